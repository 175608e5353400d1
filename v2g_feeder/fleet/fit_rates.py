"""How often free vehicles plug in: starts per free hour of the week, and each user's own rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from v2g_feeder.fleet.plugging import BIN_H, BINS_A_DAY, MIN_GAP_H

if TYPE_CHECKING:
    from v2g_feeder.fleet.fit_plugging import Followed

__all__ = ["Exposure", "hours_by_bin", "own_rates", "start_rates", "starts_per_h"]

_ROUNDS: Final = 30
_PRIOR_STARTS: Final = 20.0  # weekend starts that weigh as much as the weekdays' shape
_WIDE_H: Final = 0.7  # width of the smoothing with 50 starts, falls with the cube root
_LEAST_WIDE_H: Final = 0.1


@dataclass(frozen=True, eq=False)
class Exposure:
    """Starts and free hours of each unit by kind of day and half hour.

    Parameters
    ----------
    starts, free_h
        Shape ``[unit, 2, 48]``; weekday, weekend. Free is beyond an hour since unplugging.
    watched_h
        Hours in which a start would have been counted, ``[2, 48]``, all units.
    days
        Days of record, ``[unit]``.
    """

    starts: np.ndarray
    free_h: np.ndarray
    watched_h: np.ndarray
    days: np.ndarray

    @classmethod
    def of(cls, sessions: Followed) -> Exposure:
        """Count the starts and the free hours.

        A user is known because of the first session, so that one does not count as a start, and
        the time after the last does not count as free: either would bias the rate of users with
        few sessions.
        """
        known = sessions.unit >= 0
        unit, arrival = sessions.unit[known], sessions.arrival_h[known]
        count = len(sessions.begin_h)
        first = np.append(True, unit[1:] != unit[:-1])
        counted = ~first if sessions.people else np.ones(len(unit), dtype=bool)
        starts = np.zeros((count, 2, BINS_A_DAY))
        week = arrival[counted] // 24 % 7 >= 5
        bins = (arrival[counted] % 24 // BIN_H).astype(int)
        np.add.at(starts, (unit[counted], week.astype(int), bins), 1.0)
        # cars of one household overlap: free once the last of them has left
        last = _last_end(first, arrival + sessions.stay_h[known])
        begin, end = last[:-1][~first[1:]] + MIN_GAP_H, arrival[1:][~first[1:]]
        owner = unit[1:][~first[1:]]
        closing = np.append(first[1:], True)
        if not sessions.people:
            begin = np.concatenate(
                [begin, sessions.begin_h[unit[first]], last[closing] + MIN_GAP_H]
            )
            end = np.concatenate([end, arrival[first], sessions.end_h[unit[closing]]])
            owner = np.concatenate([owner, unit[first], unit[closing]])
        free = hours_by_bin(owner, begin, end, count)
        watched = (sessions.begin_h, arrival[closing] if sessions.people else sessions.end_h)
        watched_h = hours_by_bin(np.zeros(count, dtype=int), *watched, 1)[0]
        return cls(starts, free, watched_h, np.maximum(sessions.end_h - sessions.begin_h, 0.0) / 24)


def start_rates(exposure: Exposure, own: np.ndarray) -> np.ndarray:
    """Return plug-in starts per free vehicle-hour, ``[2, 48]``, of a vehicle with rate 1.

    Parameters
    ----------
    exposure
        Starts and free hours.
    own
        Rate of each unit, ``[unit]``.

    Notes
    -----
    Starts and free hours are smoothed over the day with the same normal kernel, the narrower the
    more starts there are. A weekend with few starts leans on the weekdays' shape.
    """
    starts = exposure.starts.sum(axis=0)
    free = np.tensordot(own, exposure.free_h, axes=1)
    return _smooth_ratio(starts, free)


def starts_per_h(exposure: Exposure) -> np.ndarray:
    """Return plug-in starts per hour of record, plugged in or free, ``[2, 48]``.

    Smoothed as :func:`start_rates`. With the stays it gives the plugged-in share by hour.
    """
    return _smooth_ratio(exposure.starts.sum(axis=0), exposure.watched_h)


def _smooth_ratio(starts: np.ndarray, hours: np.ndarray) -> np.ndarray:
    """Return starts per hour by half hour of the week's two kinds of day, ``[2, 48]``."""
    rates = np.empty_like(starts)
    for day in (0, 1):
        wide = max(_WIDE_H * (max(starts[day].sum(), 1) / 50) ** (-1 / 3), _LEAST_WIDE_H)
        kernel = min(wide, 2 * _WIDE_H) / BIN_H
        smooth = [gaussian_filter1d(row[day], kernel, mode="wrap") for row in (starts, hours)]
        rates[day] = smooth[0] / np.maximum(smooth[1], 1e-9)
    alone = rates.copy()
    for day in (0, 1):
        own_part = starts[day].sum() / (starts[day].sum() + _PRIOR_STARTS)
        likely = (alone[1 - day] * hours[day]).sum()
        if likely > 0:
            like = alone[1 - day] * starts[day].sum() / likely
            rates[day] = own_part * rates[day] + (1 - own_part) * like
    return rates


def own_rates(exposure: Exposure) -> np.ndarray:
    """Return each unit's rate relative to that of all, ``[unit]``; 1 on average over free time.

    Notes
    -----
    Alternates between the common rates and the units' (a Poisson model with one factor a unit and
    one a half hour of the week). A unit's rate is then drawn towards 1 by as many starts as the
    spread between units warrants (empirical Bayes with a gamma prior): few sessions say little.
    """
    starts = exposure.starts.sum(axis=(1, 2))
    own = np.ones(len(starts))
    expected = starts
    for _ in range(_ROUNDS):
        free = np.tensordot(own, exposure.free_h, axes=1)
        common = exposure.starts.sum(axis=0) / np.maximum(free, 1e-9)
        expected = np.tensordot(exposure.free_h, common, axes=2)
        own = np.maximum(starts, 0.1) / np.maximum(expected, 1e-6)
        own /= np.average(own, weights=np.maximum(expected, 1e-6))
    prior = _prior(starts, expected)
    own = (starts + prior) / (expected + prior)
    return np.asarray(own / np.average(own, weights=np.maximum(expected, 1e-6)))


def _prior(starts: np.ndarray, expected: np.ndarray) -> float:
    """Return the gamma prior's weight in starts, by the method of moments."""
    total = expected.sum()
    if len(starts) < 2 or total <= 0:
        return 1e6
    rate = starts / np.maximum(expected, 1e-6)
    mean = np.average(rate, weights=expected + 1e-9)
    spread = np.average((rate - mean) ** 2, weights=expected + 1e-9)
    between = spread - mean * len(starts) / total  # less what counting alone spreads
    return float(np.clip(mean**2 / between, 0.2, 1e6)) if between > 0 else 1e6


def _last_end(first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the latest end of a unit's sessions up to each of them."""
    latest = end.copy()
    for number in range(1, len(end)):
        if not first[number]:
            latest[number] = max(latest[number], latest[number - 1])
    return latest


def hours_by_bin(owner: np.ndarray, begin: np.ndarray, end: np.ndarray, count: int) -> np.ndarray:
    """Return the hours of the intervals by owner, kind of day and half hour, ``[count, 2, 48]``."""
    real = end > begin
    owner, begin, end = owner[real], begin[real], end[real]
    lowest = np.floor(begin / BIN_H).astype(int)
    length = np.ceil(end / BIN_H).astype(int) - lowest
    row = np.repeat(np.arange(len(begin)), length)
    step = lowest[row] + np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    hours = np.minimum(end[row], (step + 1) * BIN_H) - np.maximum(begin[row], step * BIN_H)
    weekend = step // BINS_A_DAY % 7 >= 5
    table = np.zeros((count, 2, BINS_A_DAY))
    np.add.at(table, (owner[row], weekend.astype(int), step % BINS_A_DAY), hours)
    return table
