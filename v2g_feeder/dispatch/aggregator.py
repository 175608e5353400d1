"""What stands between a request and the vehicles that answer it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Final

import numpy as np

from v2g_feeder.errors import Problem, nearest
from v2g_feeder.fleet.figures import Figure, parse_figures

__all__ = ["Aggregator", "aggregator_figures"]

_REBOUNDS: Final = ("managed", "immediate")


@lru_cache
def aggregator_figures() -> tuple[Figure, ...]:
    """Return the default times with their sources."""
    data = resources.files("v2g_feeder.dispatch").joinpath("data", "aggregator.yaml")
    return tuple(parse_figures(data.read_text(encoding="utf-8"), "aggregator.yaml").values())


def _default(name: str) -> float:
    return next(float(figure.value) for figure in aggregator_figures() if figure.name == name)


@dataclass(frozen=True)
class Aggregator:
    """How an aggregator commands the vehicles; times in minutes, 0 or more.

    The defaults and their sources stand in ``data/aggregator.yaml``.

    Parameters
    ----------
    latency_minutes
        From the start of an event until the first vehicle answers.
    poll_minutes
        Time between two posts of measurements: a vehicle that leaves earlier than its driver
        stated is replaced after half of it and the latency, on average.
    ramp_minutes
        From the first answer to the whole request, linear.
    precharge
        Whether vehicles that can export are charged before an event rather than after it.
    rebound
        Charging after an event: ``managed`` (fills the valley) or ``immediate``.
    stagger_minutes
        Starts of ``immediate`` charging are spread evenly over this time.
    """

    latency_minutes: float = field(default_factory=lambda: _default("latency_minutes"))
    poll_minutes: float = field(default_factory=lambda: _default("poll_minutes"))
    ramp_minutes: float = field(default_factory=lambda: _default("ramp_minutes"))
    precharge: bool = True
    rebound: str = "managed"
    stagger_minutes: float = field(default_factory=lambda: _default("stagger_minutes"))

    def validate(self, where: str) -> list[Problem]:
        """Return every problem of these settings."""
        problems = []
        for key in ("latency_minutes", "poll_minutes", "ramp_minutes", "stagger_minutes"):
            value = getattr(self, key)
            if not (math.isfinite(value) and value >= 0):
                problems.append(Problem(f"{where}.{key}", f"{value:g} is not 0 or more"))
        if self.rebound not in _REBOUNDS:
            hint = nearest(str(self.rebound), _REBOUNDS)
            problems.append(Problem(f"{where}.rebound", f"unknown rebound {self.rebound!r}", hint))
        elif self.stagger_minutes > 0 and self.rebound != "immediate":
            message = "goes with rebound: immediate; managed charging is spread already"
            problems.append(Problem(f"{where}.stagger_minutes", message))
        return problems

    @property
    def replace_hours(self) -> float:
        """Mean time until the power of a vehicle that left unannounced is made up, h."""
        return (self.latency_minutes + 0.5 * self.poll_minutes) / 60

    def envelope(self, steps: int, step_hours: float) -> np.ndarray:
        """Return the share of the request that is asked in each step of an event, ``[step]``.

        The mean over the step of a ramp from 0 at the latency to 1; 1 from then on.
        """
        edges = np.arange(steps + 1) * step_hours - self.latency_minutes / 60
        ramp = self.ramp_minutes / 60
        late = np.maximum(edges, 0.0)
        area = (
            late - 0.5 * ramp
            if ramp == 0
            else np.where(late < ramp, late**2 / (2 * ramp), late - 0.5 * ramp)
        )
        return np.asarray(np.diff(area) / step_hours)
