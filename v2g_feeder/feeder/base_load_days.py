"""From a record of days to the days of a calendar: which days stand for which, on which steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.conventions import DayType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.calendar import Calendar

__all__ = [
    "DAYTIME_HOURS",
    "WEEKDAYS",
    "daytime_mean",
    "extreme_notes",
    "profile",
    "resample",
    "source_days",
    "weekly_pattern",
]

DAYTIME_HOURS: Final = (10, 16)  # a min_day is judged from the first hour up to the second
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DECISIVE: Final = 2.0  # how far the best reading of a weekly pattern must lead the second best


def resample(values: np.ndarray, steps: int) -> np.ndarray:
    """Return a day's values on another number of steps, each the mean over its time.

    Parameters
    ----------
    values
        Means over equal intervals of a day; the last axis is the interval.
    steps
        Intervals a day wanted. Finer values are averaged, coarser ones repeated.

    Returns
    -------
    ndarray
        The last axis has ``steps`` intervals; the mean over the day is unchanged.
    """
    given = values.shape[-1]
    if given == steps:
        return values
    common = int(np.lcm(given, steps))
    fine = np.repeat(values, common // given, axis=-1) if common > given else values
    return np.asarray(fine.reshape(*fine.shape[:-1], steps, common // steps).mean(axis=-1))


def daytime_mean(total: np.ndarray) -> np.ndarray:
    """Return the mean from 10:00 to 16:00; the last axis is the step of a day."""
    hours = np.arange(total.shape[-1]) * 24 / total.shape[-1]
    inside = (hours >= DAYTIME_HOURS[0]) & (hours < DAYTIME_HOURS[1])
    return np.asarray(total[..., inside].mean(axis=-1))


def source_days(
    calendar: Calendar, months: np.ndarray, weekend: np.ndarray, total: np.ndarray
) -> list[np.ndarray]:
    """Return, for every day of the calendar, the days of a record that it is the mean of.

    Parameters
    ----------
    calendar
        The days wanted.
    months, weekend
        Month (1 to 12) of each day of the record, and whether it is a Saturday or a Sunday.
    total
        Total load ``[day, step]``, in any unit: the extremes are the season's day with the
        highest step and the one with the lowest mean from 10:00 to 16:00, the earlier of equals.

    Returns
    -------
    list of ndarray
        Numbers of days of the record; empty where the record has none of that kind.
    """
    peak = total.max(axis=1)
    daytime = daytime_mean(total)
    picked = []
    for day in calendar.days:
        inside = np.flatnonzero(np.isin(months, day.months))
        if day.day_type == DayType.WEEKDAY:
            inside = inside[~weekend[inside]]
        elif day.day_type == DayType.WEEKEND:
            inside = inside[weekend[inside]]
        elif inside.size and day.day_type == DayType.PEAK_DAY:
            inside = inside[[peak[inside].argmax()]]
        elif inside.size and day.day_type == DayType.MIN_DAY:
            inside = inside[[daytime[inside].argmin()]]
        picked.append(inside)
    return picked


def profile(values: np.ndarray, picked: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean over the picked days, one calendar day after the other.

    Parameters
    ----------
    values
        ``[day, step]`` or ``[day, step, column]``.
    picked
        From :func:`source_days`.

    Returns
    -------
    ndarray
        ``[step]`` or ``[step, column]`` over all days of the calendar.
    """
    return np.concatenate([values[days].mean(axis=0) for days in picked])


def extreme_notes(calendar: Calendar, labels: Sequence[str]) -> list[str]:
    """Return one sentence a season that names the days its extremes were taken from.

    Parameters
    ----------
    calendar
        The days.
    labels
        By day of the calendar, what to print; those of weekdays and weekends are not.
    """
    found: dict[str, list[str]] = {}
    for day, label in zip(calendar.days, labels, strict=True):
        if day.day_type in (DayType.PEAK_DAY, DayType.MIN_DAY):
            found.setdefault(day.season, []).append(f"{day.day_type} is {label}")
    return [f"In {season}, {' and '.join(texts)}." for season, texts in found.items()]


def weekly_pattern(days: np.ndarray) -> tuple[int, float] | None:
    """Return the weekday of the first day that a weekly pattern shows, and how strong it is.

    Parameters
    ----------
    days
        One load, ``[day, step]``, consecutive days.

    Returns
    -------
    tuple or None
        Weekday (Monday is 0) and the share of the day-to-day variance, season taken out, that
        the difference between weekends and weekdays explains; ``None`` where no reading of the
        pattern is twice as good as every other.
    """
    if len(days) < 21:
        return None
    window = np.lib.stride_tricks.sliding_window_view(days, 7, axis=0).mean(axis=-1)
    rest = days[3:-3] - window
    variance = float((rest**2).sum())
    if variance <= 1e-12 * float((days**2).sum()):
        return None
    number = np.arange(3, len(days) - 3)
    scores = []
    for first in range(7):
        weekend = (number + first) % 7 >= 5
        ends, week = rest[weekend], rest[~weekend]
        gap = ends.mean(axis=0) - week.mean(axis=0)
        weight = len(ends) * len(week) / len(rest)
        scores.append(weight * float((gap**2).sum()) / variance)
    best, second = sorted(range(7), key=scores.__getitem__, reverse=True)[:2]
    return (best, scores[best]) if scores[best] > _DECISIVE * scores[second] else None
