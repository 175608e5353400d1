"""Move the rates of a fit until its process starts as many sessions in each half hour as records.

The plugged-in share of an hour follows from the starts before it and from their stays. Rates per
free hour alone do not give it back where records hold what the process has not: days on which a
site is closed, and cars that follow each other at a port within an hour.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.fleet.calibrate import simulate
from v2g_feeder.fleet.plugging import BIN_H, BINS_A_DAY

if TYPE_CHECKING:
    from v2g_feeder.fleet.archetypes import Archetype

__all__ = ["matched"]

_VEHICLES: Final = 3000
_DAYS: Final = 56
_PRIOR_STARTS: Final = 20.0  # a half hour with few starts hardly moves
_MOST: Final = 4.0  # times what the records' free hours give
_NOTE: Final = "; moved so that the process starts as many sessions in each half hour"


def matched(archetype: Archetype, wanted: np.ndarray, *, rounds: int = 5, seed: int = 2) -> Archetype:
    """Return the archetype with ``starts_per_free_h`` that gives the wanted starts.

    Parameters
    ----------
    archetype
        With a ``plugging`` section, calibrated.
    wanted
        Plug-in starts per vehicle-hour, ``[2, 48]``: weekday and weekend, by half hour.
    rounds, seed
        Simulations, and their random numbers.
    """
    plugging = archetype.plugging
    assert plugging is not None  # noqa: S101 - for the type checker
    first = np.array([plugging.weekday.starts_per_free_h, plugging.weekend.starts_per_free_h])
    days = np.array([[5.0], [2.0]]) / 7 * _DAYS
    aim = wanted * BIN_H * _VEHICLES * days
    rates = first
    for _ in range(rounds):
        drawn = simulate(archetype, vehicles=_VEHICLES, n_days=_DAYS, seed=seed)
        inside = (drawn.arrival_h >= 0) & (drawn.arrival_h < 24 * _DAYS)
        hours = drawn.arrival_h[inside]
        kind = (hours // 24 % 7 >= 5).astype(int)
        starts = np.zeros((2, BINS_A_DAY))
        np.add.at(starts, (kind, (hours % 24 / BIN_H).astype(int)), 1)
        rates = rates * (aim + _PRIOR_STARTS) / (starts + _PRIOR_STARTS)
        rates = np.minimum(rates, _MOST * np.maximum(first, 1e-6))
        archetype = _with_rates(archetype, rates)
    return archetype


def _with_rates(archetype: Archetype, rates: np.ndarray) -> Archetype:
    """Return the archetype with other rates, in its figures too."""
    plugging = archetype.plugging
    assert plugging is not None  # noqa: S101 - for the type checker
    figures = {figure.name: figure for figure in archetype.figures}
    days = {}
    for name, row in zip(("weekday", "weekend"), rates, strict=True):
        values = tuple(float(f"{rate:.4g}") for rate in row)
        days[name] = replace(getattr(plugging, name), starts_per_free_h=values)
        key = f"plugging.{name}.starts_per_free_h"
        source = figures[key].source.removesuffix(_NOTE) + _NOTE
        figures[key] = replace(figures[key], value=values, source=source)
    return replace(
        archetype, plugging=replace(plugging, **days), figures=tuple(figures.values())
    )
