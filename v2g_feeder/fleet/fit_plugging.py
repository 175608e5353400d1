"""Tables of the plugging process from session records: rates, stays, energy, correlations.

A *unit* is what is followed from one session to the next: a user where the records know users, else
a station, else a port that the sessions are packed into. The section's keys are described in
:mod:`v2g_feeder.fleet.plugging`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from scipy.stats import rankdata, spearmanr

from v2g_feeder.fleet.fit_rates import Exposure, own_rates, start_rates
from v2g_feeder.fleet.plugging import DAY_START_H, MIN_GAP_H, ends_as_weekend

if TYPE_CHECKING:
    from v2g_feeder.fleet.records import Records

__all__ = ["Followed", "fit_plugging", "follow", "quantiles", "spearman", "stated_errors"]

DAYS: Final = ("weekday", "weekend")
_MOST_WINDOWS: Final = 20
_SESSIONS_A_KIND: Final = 30  # fewer on weekends than this: the rows of all days serve
_POWER_LEVEL: Final = 0.995  # the highest of all are errors of the clock
_SAME: Final = 1e-9  # rounding apart, all values are equal
_DIGITS: Final = 3


@dataclass(frozen=True, eq=False)
class Followed:
    """Sessions in the order of their units; arrays ``[session]`` unless said otherwise.

    Parameters
    ----------
    unit
        Number of the unit, -1 where unknown.
    arrival_h
        Hours from the midnight that begins the first Monday on or before the first session.
    clock_h
        Hour of the day from 4 to 28.
    weekend
        Whether it arrives on a Saturday or Sunday.
    stay_h, energy_kwh
        As in the records.
    gap_h
        Hours since the unit's session before ended, at least 1; NaN for its first.
    begin_h, end_h
        ``[unit]``, the time under observation, hours.
    people
        Whether units are users: others are ports that take any car.
    """

    unit: np.ndarray
    arrival_h: np.ndarray
    clock_h: np.ndarray
    weekend: np.ndarray
    stay_h: np.ndarray
    energy_kwh: np.ndarray
    gap_h: np.ndarray
    begin_h: np.ndarray
    end_h: np.ndarray
    people: bool

    @property
    def before_weekend(self) -> np.ndarray:
        """Whether the stay is to end on a Saturday or Sunday."""
        return np.asarray(ends_as_weekend(self.arrival_h))


def follow(records: Records) -> Followed:
    """Return the sessions by unit.

    A user is observed from the first session to the last, a station or port over all days of the
    records.
    """
    table = records.table
    first = table["arrival"].min().normalize()
    monday = first - pd.Timedelta(days=first.weekday())
    arrival = ((table["arrival"] - monday).dt.total_seconds() / 3600).to_numpy()
    stay = table["stay_h"].to_numpy()
    if records.unit:
        names = table[records.unit].to_numpy()
        unit = np.where(names == "", -1, pd.factorize(names)[0])
        unit = np.where(unit < 0, -1, np.unique(unit, return_inverse=True)[1] - (unit < 0).any())
    else:
        unit = _packed(arrival, arrival + stay)
    order = np.lexsort((arrival, unit))
    unit, arrival, stay = unit[order], arrival[order], stay[order]
    count = int(unit.max()) + 1
    people = records.unit == "user"
    begin, end = np.full(count, np.inf), np.full(count, -np.inf)
    known = unit >= 0
    np.minimum.at(begin, unit[known], arrival[known])
    np.maximum.at(end, unit[known], (arrival + stay)[known])
    if not people:
        begin[:] = 24 * np.floor(arrival.min() / 24)
        end[:] = 24 * (np.floor(arrival.max() / 24) + 1)
    gap = np.full(len(unit), np.nan)
    same = (unit[1:] == unit[:-1]) & known[1:]
    gap[1:] = np.where(same, np.maximum(arrival[1:] - (arrival + stay)[:-1], MIN_GAP_H), np.nan)
    return Followed(
        unit=unit,
        arrival_h=arrival,
        clock_h=(arrival - DAY_START_H) % 24 + DAY_START_H,
        weekend=arrival // 24 % 7 >= 5,
        stay_h=stay,
        energy_kwh=table["energy_kwh"].to_numpy()[order],
        gap_h=gap,
        begin_h=begin,
        end_h=end,
        people=people,
    )


def fit_plugging(sessions: Followed, levels: tuple[float, ...]) -> dict[str, Any]:
    """Return the figures of the ``plugging`` section that records tell, by dotted key.

    Parameters
    ----------
    sessions
        Sessions by unit.
    levels
        Levels of the quantile rows, 0 to 1.

    Returns
    -------
    dict
        Values; lists for rows. Rates are per free vehicle-hour, hours and kWh as in the keys.
    """
    exposure = Exposure.of(sessions)
    own = own_rates(exposure) if sessions.people else np.ones(len(exposure.days))
    rates = start_rates(exposure, own)
    figures: dict[str, Any] = {}
    place = np.empty(len(sessions.unit))  # rank of the stay in its window, 0 to 1
    for number, day in enumerate(DAYS):
        mine = sessions.weekend == bool(number)
        used = mine if mine.sum() >= _SESSIONS_A_KIND else np.ones(len(mine), dtype=bool)
        figures[f"{day}.starts_per_free_h"] = [_round(rate, 5) for rate in rates[number]]
        figures[f"{day}.arrival_h"] = quantiles(sessions.clock_h[used], levels)
        figures[f"{day}.energy_kwh"] = quantiles(sessions.energy_kwh[used], levels)
        mine = sessions.before_weekend == bool(number)
        used = mine if mine.sum() >= _SESSIONS_A_KIND else np.ones(len(mine), dtype=bool)
        edges, rows = _stays(sessions.clock_h[used], sessions.stay_h[used], levels)
        figures[f"{day}.stay_edges_h"] = edges
        figures[f"{day}.stay_h"] = rows
        place[mine] = _ranks_in(sessions.clock_h[mine], sessions.stay_h[mine], edges)
    figures["user_rate"] = _rate_row(own, exposure.days, levels)
    figures["gap_h"] = quantiles(sessions.gap_h[~np.isnan(sessions.gap_h)], levels)
    figures |= _rank_figures(sessions, place, own)
    power = sessions.energy_kwh / sessions.stay_h
    figures["highest_kw"] = _round(np.quantile(power, _POWER_LEVEL))
    figures["fresh"] = 0.0 if sessions.people else 1.0
    return figures


def quantiles(values: np.ndarray, levels: tuple[float, ...]) -> list[float]:
    """Return the quantiles of ``values`` (one or more) at ``levels``, rising."""
    if not len(values):
        return [MIN_GAP_H] * len(levels)
    return [_round(value) for value in np.quantile(values, levels)]


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Return the Spearman rank correlation, 0 where either is constant or there are under 3."""
    both = ~(np.isnan(one) | np.isnan(other))
    if both.sum() < 3 or min(np.ptp(one[both]), np.ptp(other[both])) < _SAME:
        return 0.0
    return float(spearmanr(one[both], other[both]).statistic)


def stated_errors(records: Records, levels: tuple[float, ...]) -> tuple[list[float], float] | None:
    """Return quantiles of stated minus actual departure (h) and their Spearman with the stay.

    ``None`` where fewer than 30 sessions have a stated departure.
    """
    table = records.table.dropna(subset=["stated_h"])
    if len(table) < _SESSIONS_A_KIND:
        return None
    error = (table["stated_h"] - table["stay_h"]).to_numpy()
    return quantiles(error, levels), _round(spearman(error, table["stay_h"].to_numpy()))


def _packed(begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return a port for each session: the first one that has been free for an hour."""
    port = np.empty(len(begin), dtype=int)
    free: list[float] = []
    for session in np.argsort(begin, kind="stable"):
        ready = next(
            (number for number, at in enumerate(free) if at + MIN_GAP_H <= begin[session]),
            len(free),
        )
        if ready == len(free):
            free.append(0.0)
        free[ready] = end[session]
        port[session] = ready
    return port


def _stays(
    clock: np.ndarray, stay: np.ndarray, levels: tuple[float, ...]
) -> tuple[list[float], list[list[float]]]:
    """Return the edges of arrival windows of equal counts, and the quantiles of the stay in each.

    The number of windows grows with the square root of the number of sessions.
    """
    count = int(np.clip(np.sqrt(len(clock)) / 2.5, 1, _MOST_WINDOWS))
    inner = np.unique(np.round(np.quantile(clock, np.arange(1, count) / count), 2))
    inner = inner[(inner > clock.min()) & (inner < clock.max())]
    edges = [DAY_START_H, *(float(edge) for edge in inner), DAY_START_H + 24]
    window = np.searchsorted(inner, clock, side="right")
    rows = [quantiles(stay[window == number], levels) for number in range(len(edges) - 1)]
    return edges, rows


def _ranks_in(clock: np.ndarray, stay: np.ndarray, edges: list[float]) -> np.ndarray:
    """Return the rank (0 to 1) of each stay among those of its arrival window."""
    window = np.searchsorted(edges[1:-1], clock, side="right")
    ranks = np.full(len(clock), 0.5)
    for number in np.unique(window):
        inside = window == number
        ranks[inside] = (rankdata(stay[inside]) - 0.5) / inside.sum()
    return ranks


def _rank_figures(sessions: Followed, place: np.ndarray, own: np.ndarray) -> dict[str, float]:
    """Return the rank correlations; with ports there is no gap and no rate of a car's own."""
    rate = np.where(sessions.unit >= 0, own[sessions.unit], np.nan)
    energy, gap = sessions.energy_kwh, sessions.gap_h
    pairs = {
        "rank_energy_gap": (energy, gap),
        "rank_energy_arrival": (energy, sessions.clock_h),
        "rank_energy_rate": (energy, rate),
        "rank_gap_rate": (gap, rate),
        "rank_energy_stay": (energy, place),
    }
    ranks = {name: _round(spearman(*pair)) for name, pair in pairs.items()}
    if not sessions.people:
        ranks |= dict.fromkeys(("rank_energy_gap", "rank_energy_rate", "rank_gap_rate"), 0.0)
    return ranks


def _rate_row(own: np.ndarray, days: np.ndarray, levels: tuple[float, ...]) -> list[float]:
    """Return quantiles of the units' rates, weighted by their days of record."""
    order = np.argsort(own)
    weight = days[order]
    middle = (np.cumsum(weight) - weight / 2) / weight.sum()
    return [_round(value) for value in np.interp(levels, middle, own[order])]


def _round(value: float, digits: int = _DIGITS) -> float:
    """Return a float with a few digits, for the file."""
    return round(float(value), digits)
