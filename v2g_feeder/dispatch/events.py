"""Export events: the hours and the days on which an aggregator asks for power."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from v2g_feeder.errors import InputError, Problem, nearest

__all__ = ["Event"]

_DAYS: Final = ("all", "weekdays", "weekends")


@dataclass(frozen=True)
class Event:
    """A daily export window, asked of all fleets together.

    Parameters
    ----------
    start_h, end_h
        Hours of the day, 0 to 24, on a step boundary. An end before the start is on the next day;
        the event then belongs to the day on which it starts.
    request_kw
        Export asked for at the grid side, kW, a magnitude (0 or more).
    days
        ``all``, ``weekdays`` or ``weekends``.
    """

    start_h: float
    end_h: float
    request_kw: float
    days: str = "all"

    def validate(self, where: str, step_minutes: int = 60) -> list[Problem]:
        """Return every problem of this event on a grid of ``step_minutes``."""
        problems = []
        if self.days not in _DAYS:
            hint = nearest(str(self.days), _DAYS)
            problems.append(Problem(f"{where}.days", f"unknown days {self.days!r}", hint))
        if not (math.isfinite(self.request_kw) and self.request_kw >= 0):
            problems.append(Problem(f"{where}.request_kw", f"{self.request_kw:g} is not 0 or more"))
        for key in ("start_h", "end_h"):
            hour = getattr(self, key)
            if not 0 <= hour <= 24:
                problems.append(Problem(f"{where}.{key}", f"{hour:g} is not 0 to 24"))
            elif not float(hour * 60 / step_minutes).is_integer():
                message = f"{hour:g} is not on a step of {step_minutes} minutes"
                problems.append(Problem(f"{where}.{key}", message, "use a shorter step"))
        if not problems and self.end_h == self.start_h:
            problems.append(Problem(f"{where}.end_h", "is start_h: an event of no length"))
        return problems

    def windows(self, n_days: int, step_minutes: int) -> np.ndarray:
        """Return the first and the past-the-last step of each event, ``[event, 2]``."""
        problems = self.validate("event", step_minutes)
        if problems:
            raise InputError(problems)
        days = np.arange(n_days)
        weekend = days % 7 >= 5
        chosen = {"all": weekend | True, "weekdays": ~weekend, "weekends": weekend}[self.days]
        end_h = self.end_h if self.end_h > self.start_h else self.end_h + 24
        hours = days[chosen, None] * 24 + np.array([self.start_h, end_h])
        return np.asarray(np.rint(np.minimum(hours, n_days * 24) * 60 / step_minutes), dtype=int)
