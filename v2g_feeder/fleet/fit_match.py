"""Move the rates of a fit until its process starts as many sessions in each half hour as records.

The plugged-in share of an hour follows from the starts before it and from their stays. Rates per
free hour alone do not give it back where records hold what the process has not: days on which a
site is closed, and cars that follow each other at a port within an hour.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.stats import spearmanr

from v2g_feeder.fleet.calibrate import simulate
from v2g_feeder.fleet.plugging import BIN_H, BINS_A_DAY

if TYPE_CHECKING:
    from v2g_feeder.fleet.archetypes import Archetype

__all__ = ["matched"]

_DAYS: Final = 56
_PRIOR_STARTS: Final = 20.0  # a half hour with few starts hardly moves
_MOST: Final = 4.0  # times what the records' free hours give
_STEP: Final = 0.5  # of the difference in rank
_NOTE: Final = "; moved so that the process yields the starts and ranks of the records"


def matched(
    archetype: Archetype,
    wanted: np.ndarray,
    rank_energy_stay: float,
    *,
    vehicles: int = 3000,
    rounds: int = 5,
    seed: int = 2,
) -> Archetype:
    """Return the archetype with rates that give the wanted starts.

    ``rank_energy_stay`` is moved too: in the file it is that inside an arrival window, which the
    greatest power of a session and the hour add to.

    Parameters
    ----------
    archetype
        With a ``plugging`` section, calibrated.
    wanted
        Plug-in starts per vehicle-hour, ``[2, 48]``: weekday and weekend, by half hour.
    rank_energy_stay
        Wanted Spearman correlation of energy and stay over all sessions.
    vehicles, rounds, seed
        Simulations, and their random numbers.
    """
    plugging = archetype.plugging
    assert plugging is not None  # noqa: S101 - for the type checker
    first = np.array([plugging.weekday.starts_per_free_h, plugging.weekend.starts_per_free_h])
    days = np.array([[5.0], [2.0]]) / 7 * _DAYS
    aim = wanted * BIN_H * vehicles * days
    rates = first
    rank = plugging.rank_energy_stay
    for _ in range(rounds):
        drawn = simulate(archetype, vehicles=vehicles, n_days=_DAYS, seed=seed)
        inside = (drawn.arrival_h >= 0) & (drawn.arrival_h < 24 * _DAYS)
        hours = drawn.arrival_h[inside]
        kind = (hours // 24 % 7 >= 5).astype(int)
        starts = np.zeros((2, BINS_A_DAY))
        np.add.at(starts, (kind, (hours % 24 / BIN_H).astype(int)), 1)
        rates = rates * (aim + _PRIOR_STARTS) / (starts + _PRIOR_STARTS)
        rates = np.minimum(rates, _MOST * np.maximum(first, 1e-6))
        stay = (drawn.departure_h - drawn.arrival_h)[inside]
        found = float(spearmanr(drawn.driven_kwh[inside], stay).statistic)
        rank = float(np.clip(rank + _STEP * (rank_energy_stay - found), -0.9, 0.9))
        archetype = _with_figures(archetype, rates, rank)
    return archetype


def _with_figures(archetype: Archetype, rates: np.ndarray, rank: float) -> Archetype:
    """Return the archetype with other rates and another rank, in its figures too."""
    plugging = archetype.plugging
    assert plugging is not None  # noqa: S101 - for the type checker
    values: dict[str, Any] = {"rank_energy_stay": round(rank, 4)}
    days: dict[str, Any] = {}
    for name, row in zip(("weekday", "weekend"), rates, strict=True):
        table = tuple(float(f"{rate:.4g}") for rate in row)
        days[name] = replace(getattr(plugging, name), starts_per_free_h=table)
        values[f"{name}.starts_per_free_h"] = table
    figures = {figure.name: figure for figure in archetype.figures}
    for key, value in values.items():
        old = figures[f"plugging.{key}"]
        source = old.source.removesuffix(_NOTE) + _NOTE
        figures[old.name] = replace(old, value=value, source=source)
    moved = replace(plugging, rank_energy_stay=values["rank_energy_stay"], **days)
    return replace(archetype, plugging=moved, figures=tuple(figures.values()))
