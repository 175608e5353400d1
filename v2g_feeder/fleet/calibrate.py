"""Fit the plugging process to the figures of records, by simulation."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.stats import rankdata, spearmanr

from v2g_feeder.fleet.plug_process import draw_plugs
from v2g_feeder.fleet.plugging import BIN_H, BINS_A_DAY, DAY_START_H, ends_as_weekend

if TYPE_CHECKING:
    from v2g_feeder.fleet.archetypes import Archetype
    from v2g_feeder.fleet.plug_process import Plugs
    from v2g_feeder.fleet.plugging import DayTable, Plugging

__all__ = ["calibrated", "simulate"]

_PRIOR_STARTS: Final = 30.0  # a bin or a vehicle with few starts hardly moves
_NEAR: Final = 0.03  # vehicles of about the same place
_TOGETHER: Final = 1.0  # weight of the starts of all vehicles beside those of one
_DIGITS: Final = 4
_A_ROUND: Final = 8  # simulations
_NEAR_ENOUGH: Final = 0.012
_STEP: Final = 0.3  # of the difference, for the figures act on each other
_NOTE: Final = "; moved so that the process yields the figures of the records"
_WITH_ENERGY: Final = (
    "rank_energy_gap",
    "rank_energy_arrival",
    "rank_energy_rate",
    "rank_energy_stay",
)
_TWICE: Final = "rank_gap_rate"
_TABLES: Final = ("starts_per_free_h", "user_rate", "energy_kwh", "gap_h", "session_miles")
_MOVED: Final = (*_TABLES, *_WITH_ENERGY, _TWICE)


def calibrated(
    archetype: Archetype, *, vehicles: int = 3000, n_days: int = 56, rounds: int = 3, seed: int = 1
) -> Archetype:
    """Return the archetype with figures by which the process yields those of the records.

    Its ``figures`` have the new values too, rounded, with a note in their source.

    Drawn one after the other, the figures of the records would not come back: a vehicle in need
    plugs in at more than its own rate, one that plugs in often is seldom free, and one that needs
    much has short gaps. Moved are ``starts_per_free_h``, ``user_rate``, ``energy_kwh``, the ranks
    with the energy, and ``gap_h`` or ``session_miles``, which the process yields itself.

    Parameters
    ----------
    archetype
        With a ``plugging`` section of figures of records.
    vehicles, n_days, seed
        Size of the simulations, which all use the same random numbers.
    rounds
        Eight simulations each. Fewer are run once the process is near enough, and the nearest found
        is returned: far from the records, as with drivers who nearly always plug in from need, it
        swings about them at first.
    """
    wanted = archetype.plugging
    assert wanted is not None  # noqa: S101 - for the type checker: the caller has looked
    nearest, least = archetype, math.inf
    for _ in range(rounds * _A_ROUND):
        drawn = simulate(archetype, vehicles=vehicles, n_days=n_days, seed=seed, records=wanted)
        ranks = _ranks(archetype.plugging, drawn)
        misfit = _misfit(archetype, wanted, drawn, ranks)
        if misfit < least:
            nearest, least = archetype, misfit
        if misfit < _NEAR_ENOUGH:
            break
        archetype = _moved(archetype, wanted, drawn, ranks)
    return _with_figures(nearest)


def simulate(
    archetype: Archetype,
    *,
    vehicles: int,
    n_days: int,
    seed: int,
    records: Plugging | None = None,
) -> Plugs:
    """Draw a fleet with evenly spread rates in mild weather; see :func:`draw_plugs`."""
    rng = np.random.default_rng(seed)
    uniform = rng.random((2, vehicles))
    battery = archetype.battery_kwh_high - archetype.battery_kwh_low
    per_mile = archetype.kwh_per_mile_high - archetype.kwh_per_mile_low
    columns = {
        "habit_rank": (np.arange(vehicles) + 0.5) / vehicles,
        "battery_kwh": archetype.battery_kwh_low + battery * uniform[0],
        "departure_soc": np.full(vehicles, archetype.departure_soc),
        "eta_c": np.full(vehicles, archetype.efficiency_charge),
        "kwh_per_mile": archetype.kwh_per_mile_low + per_mile * uniform[1],
    }
    return draw_plugs(archetype, columns, 1.0, rng, n_days=n_days, records=records)[0]


def _misfit(archetype: Archetype, wanted: Plugging, drawn: Plugs, ranks: dict[str, float]) -> float:
    """Return how far the process is from the records: the mean of three differences.

    The relative one of the sessions, the distance of the energy's distribution, and half of that of
    the worst rank correlation. Only the first where the energy is driven.
    """
    aim = drawn.expected_by_vehicle.sum()
    starts = float(abs(len(drawn.vehicle) - aim) / max(aim, 1.0))
    if wanted.driving is not None:
        return starts
    levels = np.asarray(archetype.quantile_levels)
    weekend = drawn.arrival_h // 24 % 7 >= 5
    apart = 0.0
    for table, day in ((wanted.weekday, ~weekend), (wanted.weekend, weekend)):
        kwh = np.sort(drawn.driven_kwh[day] / archetype.efficiency_charge)
        below = np.searchsorted(kwh, table.energy_kwh, side="right") / max(len(kwh), 1)
        apart += float(np.abs(below - levels)[1:-1].max(initial=0) * day.mean())
    rank = max(abs(ranks[name] - getattr(wanted, name)) for name in _WITH_ENERGY)
    return float(starts + apart + rank / 2) / 3


def _moved(
    archetype: Archetype, wanted: Plugging, drawn: Plugs, ranks: dict[str, float]
) -> Archetype:
    """Return the archetype one step nearer to what is wanted."""
    now, levels = archetype.plugging, np.asarray(archetype.quantile_levels)
    assert now is not None  # noqa: S101 - for the type checker
    kind = (drawn.arrival_h // 24 % 7 >= 5).astype(int)
    rates = _moved_rates(now, drawn, kind)
    change: dict[str, Any] = {"user_rate": _moved_user_rate(now, wanted, drawn, levels)}
    days: dict[str, Any] = {}
    for number, name in enumerate(("weekday", "weekend")):
        table: DayTable = replace(getattr(now, name), starts_per_free_h=_numbers(rates[number]))
        if now.driving is None:
            kwh = drawn.driven_kwh[kind == number] / archetype.efficiency_charge
            aim = getattr(wanted, name).energy_kwh
            table = replace(table, energy_kwh=_moved_quantiles(table.energy_kwh, aim, kwh, levels))
        days[name] = table
    inside = drawn.arrival_h >= 0
    if now.driving is None:
        gaps = np.quantile(drawn.gap_h[inside], levels)
        change["gap_h"] = _numbers((1 - _STEP) * np.asarray(now.gap_h) + _STEP * gaps)
        change |= _moved_ranks(now, wanted, ranks)
    else:
        per_mile = (archetype.kwh_per_mile_low + archetype.kwh_per_mile_high) / 2
        miles = _numbers(np.quantile(drawn.driven_kwh[inside] / per_mile, levels))
        change["driving"] = replace(now.driving, session_miles=miles)
    return replace(archetype, plugging=replace(now, **days, **change))


def _numbers(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _moved_rates(now: Plugging, drawn: Plugs, kind: np.ndarray) -> np.ndarray:
    """Return rates by bin that bring the starts nearer to those expected."""
    starts = np.zeros((2, BINS_A_DAY))
    np.add.at(starts, (kind, (drawn.arrival_h % 24 / BIN_H).astype(int)), 1)
    factor = (drawn.expected_by_bin + _PRIOR_STARTS) / (starts + _PRIOR_STARTS)
    factor *= starts.sum() / (factor * starts).sum()  # the level is that of user_rate
    return np.asarray(now.rates * factor**_STEP)


def _moved_user_rate(
    now: Plugging, wanted: Plugging, drawn: Plugs, levels: np.ndarray
) -> tuple[float, ...]:
    """Return rates by level that bring each vehicle's starts nearer to those expected.

    Need adds to a rate, so the difference is taken off; a vehicle that would need less than none
    plugs in from need only. The others then make up for it: the number of all comes first.
    """
    aim = drawn.expected_by_vehicle
    place = (np.arange(len(aim)) + 0.5) / len(aim)
    starts = np.bincount(drawn.vehicle, minlength=len(aim))
    at_rate_1 = aim / np.maximum(np.interp(place, levels, wanted.user_rate), 1e-3)
    near = np.abs(place[None, :] - levels[:, None]) < _NEAR
    excess = (near @ (starts - aim)) / np.maximum(near @ at_rate_1, 1e-9)
    stuck = np.interp(place, levels, now.user_rate) < 1e-9
    left_over = (starts - aim)[stuck].sum() / max(at_rate_1[~stuck].sum(), 1e-9)
    excess += left_over + _TOGETHER * (starts - aim).sum() / at_rate_1.sum()
    rates = np.maximum(np.asarray(now.user_rate) - _STEP * excess, 0.0)
    return _numbers(np.maximum.accumulate(rates))


def _moved_quantiles(
    now: tuple[float, ...], aim: tuple[float, ...], found: np.ndarray, levels: np.ndarray
) -> tuple[float, ...]:
    """Return a table whose draws, at the places at which they now fall, follow ``aim``."""
    below = np.searchsorted(np.sort(found), now, side="right") / max(len(found), 1)
    below[0], below[-1] = 0.0, 1.0
    return _numbers((1 - _STEP) * np.asarray(now) + _STEP * np.interp(below, levels, aim))


def _moved_ranks(now: Plugging, wanted: Plugging, found: dict[str, float]) -> dict[str, float]:
    """Return rank correlations that bring the drawn ones nearer to the wanted ones."""
    moved = {}
    for name in _WITH_ENERGY:
        rank = getattr(now, name) + _STEP * (getattr(wanted, name) - found[name])
        moved[name] = float(np.clip(rank, -0.9, 0.9))
    # this one is not chosen: it says how far gap and rate explain the energy twice
    moved[_TWICE] = (1 - _STEP) * getattr(now, _TWICE) + _STEP * found[_TWICE]
    return moved


def _ranks(plugging: Plugging | None, drawn: Plugs) -> dict[str, float]:
    """Return the Spearman correlations of the drawn sessions."""
    assert plugging is not None  # noqa: S101 - for the type checker
    hour = (drawn.arrival_h - DAY_START_H) % 24
    place = _places(plugging, drawn)
    columns = np.c_[drawn.driven_kwh, drawn.gap_h, hour, drawn.vehicle, place]
    rank = spearmanr(columns[drawn.arrival_h >= 0]).statistic
    pairs = (rank[0, 1], rank[0, 2], rank[0, 3], rank[0, 4], rank[1, 3])
    named = zip((*_WITH_ENERGY, _TWICE), pairs, strict=True)
    return {name: float(np.nan_to_num(value)) for name, value in named}


def _places(plugging: Plugging, drawn: Plugs) -> np.ndarray:
    """Return the rank (0 to 1) of each stay among those of its arrival window."""
    hour = (drawn.arrival_h - DAY_START_H) % 24 + DAY_START_H
    weekend = ends_as_weekend(drawn.arrival_h)
    windows = [
        np.searchsorted(table.stay_edges_h[1:-1], hour, side="right")
        for table in (plugging.weekday, plugging.weekend)
    ]
    window = np.where(weekend, -1 - windows[1], windows[0])
    stay = drawn.departure_h - drawn.arrival_h
    place = np.empty(len(stay))
    for number in np.unique(window):
        inside = window == number
        place[inside] = rankdata(stay[inside]) / inside.sum()
    return place


def _with_figures(archetype: Archetype) -> Archetype:
    """Return the archetype with the values of its ``plugging`` in its ``figures``."""
    plugging = archetype.plugging
    figures = []
    for figure in archetype.figures:
        section, _, rest = figure.name.partition(".")
        if section == "plugging" and rest.rpartition(".")[2] in _MOVED:
            value: Any = plugging
            for part in rest.split("."):
                value = getattr(value, part)
            value = _short(value)
            if value != figure.value:
                figure = replace(figure, value=value, source=figure.source + _NOTE)  # noqa: PLW2901
        figures.append(figure)
    return replace(archetype, figures=tuple(figures))


def _short(value: Any) -> Any:
    """Return numbers with a few significant digits."""
    if isinstance(value, tuple):
        return tuple(_short(item) for item in value)
    return float(f"{value:.{_DIGITS}g}")
