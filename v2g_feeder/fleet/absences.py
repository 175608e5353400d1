"""When vehicles are not at their site: at home and plugged in are different states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.fleet.plugging import DAY_START_H

if TYPE_CHECKING:
    from v2g_feeder.fleet.archetypes import AtHome

__all__ = ["absences_between", "gaps_between"]

_SHORTEST_H: Final = 0.5  # a drive


def gaps_between(
    vehicle: np.ndarray,
    arrival_h: np.ndarray,
    departure_h: np.ndarray,
    count: int,
    period_h: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vehicle, begin and end of the times without plug-in, sorted by vehicle and time.

    Parameters
    ----------
    vehicle, arrival_h, departure_h
        Sessions, sorted by vehicle and then by arrival.
    count
        Number of vehicles; one without sessions has one gap.
    period_h
        Begin and end, hours; the first and last gap of a vehicle reach to them.
    """
    everyone = np.arange(count)
    owner = np.concatenate([vehicle, everyone])
    begin = np.concatenate([departure_h, np.full(count, period_h[0])])
    order = np.lexsort((begin, owner))
    ends = np.concatenate([arrival_h, np.full(count, period_h[1])])
    end = ends[np.lexsort((ends, np.concatenate([vehicle, everyone])))]
    owner, begin = owner[order], begin[order]
    real = end > begin
    return owner[real], begin[real], end[real]


def absences_between(
    gaps: tuple[np.ndarray, np.ndarray, np.ndarray],
    count: int,
    at_home: AtHome,
    period_h: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vehicle, begin and end of the absences within ``gaps``.

    Unplugging means leaving and plugging in means coming back; between them, days (from 04:00)
    follow :class:`~v2g_feeder.fleet.archetypes.AtHome`.

    Parameters
    ----------
    gaps
        Vehicle, begin and end, of :func:`gaps_between`.
    count
        Number of vehicles.
    at_home
        When a vehicle that is not plugged in drives.
    period_h
        Begin and end of the drawn time, hours; nobody leaves or comes back because of them.
    rng
        Draws once a vehicle and day, whatever the sessions are.
    """
    owner, begin, end = gaps
    first_day = int(np.floor((period_h[0] - DAY_START_H) / 24))
    days = int(np.floor((period_h[1] - DAY_START_H) / 24)) - first_day + 1
    uniform, normal = rng.random((2, count, days)), rng.standard_normal((2, count, days))
    first = np.floor((begin - DAY_START_H) / 24).astype(int)
    number = np.floor((end - DAY_START_H) / 24).astype(int) - first + 1
    gap = np.repeat(np.arange(len(owner)), number)
    day = first[gap] + np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
    cell = owner[gap], np.clip(day - first_day, 0, days - 1)
    start = 24.0 * day + DAY_START_H
    leaves = (day == first[gap]) & (begin[gap] > period_h[0])
    returns = (day == (first + number - 1)[gap]) & (end[gap] < period_h[1])
    driven = leaves | returns | (uniform[0][cell] < at_home.driven_days)
    sleeps = driven & ~returns & (uniform[1][cell] < at_home.night_away)
    slept = np.zeros_like(sleeps)
    slept[1:] = sleeps[:-1] & (gap[1:] == gap[:-1])
    driven |= slept
    sleeps &= driven
    leave = 24.0 * day + at_home.leave_mean_h + at_home.leave_sd_h * normal[0][cell]
    leave = np.clip(leave, start, start + 16)
    leave = np.where(returns, np.minimum(leave, end[gap] - _SHORTEST_H), leave)
    leave = np.where(slept, start, np.where(leaves, begin[gap], np.maximum(leave, start)))
    back = 24.0 * day + at_home.reach_mean_h + at_home.reach_sd_h * normal[1][cell]
    back = np.clip(back, leave + _SHORTEST_H, start + 24)
    back = np.where(returns, end[gap], np.where(sleeps, start + 24, back))
    leave, back = np.maximum(leave, begin[gap]), np.minimum(back, end[gap])
    kept = driven & (back > leave)
    return owner[gap][kept], leave[kept], back[kept]
