"""The figures of a plugging process as arrays that its compiled loop looks up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from v2g_feeder.fleet.plugging import BIN_H, BINS_A_DAY, DAY_START_H, MIN_GAP_H

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.fleet.archetypes import Archetype
    from v2g_feeder.fleet.plugging import DayTable, Plugging

__all__ = ["GAP_STEP_H", "SCORE_END", "SCORE_STEP", "Cars", "Law", "cars_of", "law_of"]

SCORE_END: Final = 4.0
SCORE_STEP: Final = 0.01
GAP_STEP_H: Final = 0.25
_GAP_END_H: Final = 24.0 * 90
_LONGEST_IDLE_H: Final = 24.0 * 30
_MAX_SCORE: Final = 3.5
_PLACES: Final = np.linspace(0, 1, 501)
_SCORES: Final = np.arange(-SCORE_END, SCORE_END + SCORE_STEP / 2, SCORE_STEP)


class Cars(NamedTuple):
    """The vehicles of a chunk, ``[vehicle]``; ``driven_kwh [vehicle, bin + 1]`` adds up."""

    own_rate: np.ndarray
    rate_score: np.ndarray
    idle_h: np.ndarray
    full_soc: np.ndarray
    battery_kwh: np.ndarray
    kwh_factor: np.ndarray
    kwh_per_mile: np.ndarray
    driven_kwh: np.ndarray


def cars_of(
    archetype: Archetype,
    plugging: Plugging,
    vehicles: dict[str, np.ndarray],
    season_factor: float,
    mean_rate: float,
    bins: int,
    rng: np.random.Generator,
) -> Cars:
    """Return the vehicles of a chunk as the process needs them."""
    rank, levels = vehicles["habit_rank"], archetype.quantile_levels
    own = np.interp(rank, levels, plugging.user_rate)
    # the time since the last plug-in, as a vehicle without need has it
    idle_h = -np.log1p(-rng.random(len(rank))) / np.maximum(own * mean_rate, 1e-6)
    idle_h = np.minimum(idle_h, _LONGEST_IDLE_H)
    per_mile = vehicles["kwh_per_mile"] * season_factor
    return Cars(
        own_rate=own,
        rate_score=np.interp(rank, _PLACES, _rate_score(plugging, levels, mean_rate)),
        idle_h=idle_h,
        full_soc=vehicles["departure_soc"],
        battery_kwh=vehicles["battery_kwh"],
        kwh_factor=vehicles["eta_c"] * season_factor,
        kwh_per_mile=per_mile,
        driven_kwh=_driven_kwh(plugging, per_mile, idle_h, bins, rng),
    )


class Law(NamedTuple):
    """The figures of a :class:`Plugging` as arrays that one look-up reads.

    ``kind`` is 0 on weekdays and 1 at weekends. ``weights`` are those of the scores of gap, hour,
    own rate and chance in the score of the energy.
    """

    rate: np.ndarray  # [kind, bin of the day]
    highest_rate: float
    mean_rate: float
    need_slope: float
    need_middle: float
    has_need: bool
    gap_score: np.ndarray  # [gap / GAP_STEP_H]
    hour_score: np.ndarray  # [kind, bin of the day]
    weights: np.ndarray
    energy_kwh: np.ndarray  # [kind, _SCORES]
    highest_kw: float
    by_driving: bool
    session_miles: np.ndarray
    level_scores: np.ndarray
    stay_at_h: np.ndarray  # [kind, window], arrival for which the window's row holds
    stay_h: np.ndarray  # [kind, window, _SCORES]
    stay_weight: float


def law_of(plugging: Plugging, levels: Sequence[float]) -> Law:
    """Return the look-up tables of ``plugging``."""
    tables = (plugging.weekday, plugging.weekend)
    rate = plugging.rates
    mean_rate = float(np.average(rate.mean(axis=1), weights=(5, 2)))
    chance = ndtr(_SCORES)
    empty = np.zeros((2, len(_SCORES)))
    gap_score = np.zeros(2)
    hour_score = np.zeros((2, BINS_A_DAY))
    session_miles = np.zeros(2)
    weights = np.zeros(4)
    if plugging.driving is None:
        gaps = np.arange(0.0, _GAP_END_H, GAP_STEP_H)
        gap_score = _score(np.interp(gaps, *_distinct(plugging.gap_h, levels)))
        hours = (np.arange(BINS_A_DAY) + 0.5) * BIN_H
        hours = np.where(hours < DAY_START_H, hours + 24, hours)
        hour_score = np.stack(
            [_score(np.interp(hours, *_distinct(table.arrival_h, levels))) for table in tables]
        )
        empty = np.stack([np.interp(chance, levels, table.energy_kwh) for table in tables])
        weights = _weights(plugging)
    else:
        session_miles = np.asarray(plugging.driving.session_miles)
    widest = max(len(table.stay_h) for table in tables)
    return Law(
        rate=rate,
        highest_rate=float(plugging.user_rate[-1]),
        mean_rate=mean_rate,
        need_slope=plugging.need_slope,
        need_middle=plugging.need_middle_soc,
        has_need=not plugging.fresh,
        gap_score=gap_score,
        hour_score=hour_score,
        weights=weights,
        energy_kwh=empty,
        highest_kw=plugging.highest_kw,
        by_driving=plugging.driving is not None,
        session_miles=session_miles,
        level_scores=_score(np.asarray(levels)),
        stay_at_h=np.stack([_padded_middles(table, widest, levels) for table in tables]),
        stay_h=np.stack([_padded_stays(table, widest, levels, chance) for table in tables]),
        stay_weight=_pearson(plugging.rank_energy_stay) / np.sqrt(1 - weights[1] ** 2),
    )


def _pearson(spearman: float) -> float:
    """Return the correlation of normal scores with this rank correlation."""
    return float(2 * np.sin(np.pi * spearman / 6))


def _score(place: np.ndarray) -> np.ndarray:
    """Return the normal score of a place of 0 to 1, within bounds."""
    return np.asarray(np.clip(ndtri(place), -_MAX_SCORE, _MAX_SCORE))


def _distinct(values: Sequence[float], levels: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return a quantile table as a distribution function: equal values keep their mean level."""
    unique, group = np.unique(values, return_inverse=True)
    return unique, np.bincount(group, levels) / np.bincount(group)


def _weights(plugging: Plugging) -> np.ndarray:
    """Return the weights of the scores of gap, hour, own rate and chance in that of the energy."""
    between = np.eye(3)
    between[0, 2] = between[2, 0] = _pearson(plugging.rank_gap_rate)
    ranks = (plugging.rank_energy_gap, plugging.rank_energy_arrival, plugging.rank_energy_rate)
    wanted = np.array([_pearson(rank) for rank in ranks])
    found = np.linalg.solve(between + 1e-9 * np.eye(3), wanted)
    explained = float(found @ wanted)
    if explained > 0.95:  # ranks that contradict each other: keep their proportions
        found *= np.sqrt(0.95 / explained)
        explained = 0.95
    return np.array([*found, np.sqrt(1 - explained)])


def _rate_score(plugging: Plugging, levels: Sequence[float], mean_rate: float) -> np.ndarray:
    """Return the score of a vehicle's rate *over sessions*: who plugs in more has more of them."""
    own = np.maximum(np.interp(_PLACES, levels, plugging.user_rate), 1e-6)
    stays = [
        np.mean([np.trapezoid(row, levels) for row in table.stay_h])
        for table in (plugging.weekday, plugging.weekend)
    ]
    cycle_h = float(np.average(stays, weights=(5, 2))) + MIN_GAP_H + 1 / max(mean_rate, 1e-9) / own
    added = np.cumsum(1 / cycle_h)
    return _score((added - 0.5 / cycle_h) / added[-1])


def _padded_middles(table: DayTable, widest: int, levels: Sequence[float]) -> np.ndarray:
    """Return the median arrival of each window, beyond any hour after the last."""
    places = np.interp(table.stay_edges_h, *_distinct(table.arrival_h, levels))
    middles = np.full(widest, np.inf)
    middle = np.interp((places[1:] + places[:-1]) / 2, levels, table.arrival_h)
    middles[: len(middle)] = middle
    return middles


def _padded_stays(
    table: DayTable, widest: int, levels: Sequence[float], chance: np.ndarray
) -> np.ndarray:
    """Return the stay by window and score; windows beyond the last repeat it."""
    rows = [*table.stay_h, *[table.stay_h[-1]] * (widest - len(table.stay_h))]
    return np.stack([np.interp(chance, levels, row) for row in rows])


def _driven_kwh(
    plugging: Plugging,
    kwh_per_mile: np.ndarray,
    idle_h: np.ndarray,
    bins: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the energy driven since the last plug-in before the warm-up, ``[vehicle, bin + 1]``.

    Every vehicle drives the same miles a day in the long run, whatever its rate of plugging in.
    """
    driving = plugging.driving
    count = len(kwh_per_mile)
    if driving is None:
        return np.zeros((count, 1))
    days = bins // BINS_A_DAY
    uniform = rng.random((count, days))
    normal = rng.standard_normal((count, days))
    mean = np.log(driving.miles_per_driven_day) - driving.ln_miles_sd**2 / 2
    miles = (uniform < driving.driven_days) * np.exp(mean + driving.ln_miles_sd * normal)
    hours = np.arange(bins + 1) * BIN_H
    span = max(driving.end_h - driving.start_h, BIN_H)
    done = np.clip((hours[:-1] % 24 - driving.start_h) / span, 0, 1).reshape(days, BINS_A_DAY)
    before = np.cumsum(miles, axis=1) - miles
    before += (driving.miles_per_driven_day * driving.driven_days * idle_h / 24)[:, None]
    total = np.empty((count, bins + 1), dtype=np.float64)
    total[:, :-1] = (before[:, :, None] + miles[:, :, None] * done).reshape(count, bins)
    total[:, -1] = before[:, -1] + miles[:, -1]
    return np.asarray(total * kwh_per_mile[:, None])
