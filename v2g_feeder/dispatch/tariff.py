"""Prices by hour, for the policies that follow one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Final

import numpy as np

from v2g_feeder.errors import Problem
from v2g_feeder.fleet.figures import Figure, parse_figures

__all__ = ["Tariff", "default_tariff"]

_HOURS: Final = 24


@dataclass(frozen=True)
class Tariff:
    """Prices for import and export alike.

    Parameters
    ----------
    weekday_per_kwh, weekend_per_kwh
        Price by hour of the day, 24 values; may be negative.
    throughput_per_kwh
        Cost of wear per kWh exported, above 0: without it, cycling for nothing would pay.
    figures
        Sources of the numbers above.
    """

    weekday_per_kwh: tuple[float, ...]
    weekend_per_kwh: tuple[float, ...]
    throughput_per_kwh: float
    figures: tuple[Figure, ...] = ()

    def validate(self, where: str) -> list[Problem]:
        """Return every problem of these prices."""
        problems = []
        for key in ("weekday_per_kwh", "weekend_per_kwh"):
            values = getattr(self, key)
            if len(values) != _HOURS or not all(math.isfinite(value) for value in values):
                problems.append(Problem(f"{where}.{key}", "is not 24 finite prices"))
        if not (math.isfinite(self.throughput_per_kwh) and self.throughput_per_kwh > 0):
            message = f"{self.throughput_per_kwh:g} is not above 0"
            problems.append(Problem(f"{where}.throughput_per_kwh", message))
        return problems

    def signal(self, n_days: int, step_minutes: int) -> np.ndarray:
        """Return the price over ``n_days`` from a Monday, ``[step]``."""
        days = [
            self.weekend_per_kwh if day % 7 >= 5 else self.weekday_per_kwh for day in range(n_days)
        ]
        return np.repeat(np.concatenate(days), 60 // step_minutes)

    def peaks(self, n_days: int, step_minutes: int) -> np.ndarray:
        """Return first and past-the-last step of each run of the highest price, ``[run, 2]``."""
        signal = self.signal(n_days, step_minutes)
        top = signal >= signal.max() if signal.max() > signal.min() else np.zeros(len(signal), bool)
        edges = np.diff(np.concatenate([[0], top.astype(int), [0]]))
        return np.stack([np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)], axis=1)


@lru_cache
def default_tariff() -> Tariff:
    """Return the shipped prices, an assumption."""
    data = resources.files("v2g_feeder.dispatch").joinpath("data", "tariff.yaml")
    figures = parse_figures(data.read_text(encoding="utf-8"), "tariff.yaml")
    values = {key: figure.value for key, figure in figures.items()}
    return Tariff(**values, figures=tuple(figures.values()))
