"""What reads the solutions of a day, wherever they were solved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from v2g_feeder.powerflow.solution import Observed, Solution
from v2g_feeder.screening import Screen

if TYPE_CHECKING:
    from v2g_feeder.calendar import Calendar
    from v2g_feeder.screening import Limits

__all__ = ["DayReader", "Runs"]

Runs = dict[tuple[str, str], list[Solution]]
"""The solutions of a day by (policy, case), in the order of the draws."""


@dataclass(frozen=True)
class DayReader(ABC):
    """Reads the solutions of a day under limits.

    Parameters
    ----------
    observed, limits, calendar
        Of the study.
    """

    observed: Observed
    limits: Limits
    calendar: Calendar

    @property
    def steps_per_day(self) -> int:
        """Steps of a day."""
        return self.calendar.steps_per_day

    def screen(self) -> Screen:
        """Lay the limits over the places."""
        return Screen(self.observed, self.limits, steps_per_day=self.steps_per_day)

    @abstractmethod
    def read(self, day: int, runs: Runs) -> Any:
        """Return what is found in a day, for another process to fold.

        ``runs`` may be used up, since its arrays are large.
        """
