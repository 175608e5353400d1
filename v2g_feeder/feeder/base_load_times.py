"""The time stamps of a record: whole days at an even interval, or every problem with its line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.errors import Problem
from v2g_feeder.feeder.base_load_table import first_few

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["INTERVALS", "check_times", "parse_times", "whole_days"]

INTERVALS: Final = (15, 30, 60)
_OFFSET: Final = re.compile(r"\d:\d\d\S*\s*(?:[Zz]|[+-]\d{1,2}(?::?\d\d)?)$")
_CHANGE_MONTHS: Final = (2, 3, 4, 9, 10, 11)  # months in which clocks change, either hemisphere
_CHANGE_HOUR: Final = 3  # and the last hour of the day at which they do
_STANDARD_TIME: Final = "export the readings in local standard time, without daylight saving"


def parse_times(
    text: pd.Series[str], path: Path, time_format: str | None
) -> tuple[pd.DatetimeIndex, list[Problem]]:
    """Return the time stamps and the cells that are none.

    Parameters
    ----------
    text
        Time stamps; the index is the line in the file.
    path
        For the problems.
    time_format
        As for :meth:`datetime.datetime.strptime`; ISO 8601 where ``None``.
    """
    stripped = text.str.strip()
    parsed = pd.to_datetime(
        stripped.where(~stripped.str.contains(_OFFSET, na=False)),
        format=time_format or "ISO8601",
        errors="coerce",
    )
    problems = []
    for line, cell in stripped[parsed.isna()].items():
        where = f"{path}, line {line}, column {text.name!r}"
        if pd.isna(cell):
            problems.append(Problem(where, "a missing time stamp"))
        elif _OFFSET.search(cell):
            hint = "write local standard time without a zone"
            problems.append(Problem(where, f"{cell!r} carries a zone", hint))
        elif " 24:00" in cell or "T24:00" in cell:
            hint = "write 00:00 of the next day; the stamps then end their hour: set hour_ending"
            problems.append(Problem(where, f"{cell!r} is not a time of day", hint))
        else:
            expected = time_format or "2023-01-31 13:00"
            hint = "or set timestamp_format"
            problems.append(Problem(where, f"{cell!r} is not like {expected!r}", hint))
    return pd.DatetimeIndex(parsed), first_few(problems, path, "time stamps like these")


def check_times(
    times: pd.DatetimeIndex,
    text: pd.Series[str],
    path: Path,
    *,
    hour_ending: bool,
    gaps: bool = False,
) -> tuple[pd.DatetimeIndex, int, list[Problem]]:
    """Return the beginnings of the intervals, the interval in minutes, and the problems.

    Parameters
    ----------
    times, text
        Time stamps, and how the file writes them; the index of ``text`` is the line.
    path
        For the problems.
    hour_ending
        Whether a stamp ends its interval.
    gaps
        Whether missing rows are allowed.
    """
    seconds = times.astype("datetime64[s]").to_numpy().astype(np.int64)
    kinds, counts = np.unique(np.diff(np.unique(seconds)), return_counts=True)
    if not kinds.size:
        return times, 0, [Problem(str(path), "one time only; expected at least a day")]
    minutes = int(kinds[counts.argmax()]) / 60
    if minutes not in INTERVALS:
        message = f"the interval is {minutes:g} min; expected 15, 30 or 60"
        return times, 0, [Problem(f"{path}, column {text.name!r}", message)]
    interval = int(minutes)
    step = 60 * interval
    problems = _off_grid(seconds, step, text, path)
    if not hour_ending and seconds[0] % 86400 == step and seconds[-1] % 86400 == 0:
        message = f"begins at {text.iloc[0]} and ends at {text.iloc[-1]}: the stamps end their hour"
        problems.append(Problem(f"{path}, column {text.name!r}", message, "set hour_ending"))
    begins = seconds - step if hour_ending else seconds
    problems += _order(begins, interval, text, path)
    if not gaps:
        problems += _gaps(begins, step, text, path)
    return pd.DatetimeIndex(begins.astype("datetime64[s]")), interval, problems


def _off_grid(seconds: np.ndarray, step: int, text: pd.Series[str], path: Path) -> list[Problem]:
    """Return the stamps that are not on a whole interval."""
    odd = text[seconds % step != 0]
    found = [
        Problem(f"{path}, line {line}", f"{cell} is not on a step of {step // 60} min")
        for line, cell in odd.items()
    ]
    return first_few(found, path, "time stamps off the interval")


def _order(begins: np.ndarray, interval: int, text: pd.Series[str], path: Path) -> list[Problem]:
    """Return an hour that comes twice in autumn, other repeated stamps, and steps back."""
    repeated = pd.Index(begins).duplicated()
    folded = np.zeros(len(begins), bool)
    stamps = pd.DatetimeIndex(begins.astype("datetime64[s]"))
    problems = []
    for date in stamps[repeated].normalize().unique():
        rows = np.flatnonzero(repeated & (stamps.normalize() == date))
        one_hour = len(rows) == 60 // interval and len(set(stamps[rows].hour)) == 1
        if one_hour and _may_change(stamps[rows[0]]):
            folded[rows] = True
            message = f"{date.date()} has 25 hours: {text.iloc[rows[0]]} comes twice (autumn)"
            problems.append(Problem(f"{path}, line {text.index[rows[0]]}", message, _STANDARD_TIME))
    twice = [
        Problem(f"{path}, line {line}", f"{cell} comes twice")
        for line, cell in text[repeated & ~folded].items()
    ]
    back = np.append(False, np.diff(begins) < 0) & ~folded & ~repeated
    unsorted = [
        Problem(f"{path}, line {line}", f"{cell} is earlier than the row above it", "sort by time")
        for line, cell in text[back].items()
    ]
    return [
        *first_few(problems, path, "days of 25 hours"),
        *first_few(twice, path, "repeated time stamps"),
        *first_few(unsorted, path, "rows out of order"),
    ]


def _gaps(begins: np.ndarray, step: int, text: pd.Series[str], path: Path) -> list[Problem]:
    """Return the missing hour of spring and other gaps; 29 February may be missing."""
    order = np.argsort(begins, kind="stable")
    ordered = begins[order]
    after = np.flatnonzero(np.diff(ordered) > step) + 1
    spring, holes = [], []
    for row in after:
        where = f"{path}, line {text.index[order[row]]}"
        seconds = int(ordered[row] - ordered[row - 1]) - step
        gap = pd.Timestamp(int(ordered[row - 1]) + step, unit="s")
        if seconds == 3600 and _may_change(gap):
            message = f"{gap.date()} has 23 hours: none between "
            message += f"{text.iloc[order[row - 1]]} and {text.iloc[order[row]]} (spring)"
            spring.append(Problem(where, message, _STANDARD_TIME))
        elif not (seconds == 86400 and (gap.month, gap.day, gap.hour) == (2, 29, 0)):
            message = f"{seconds // step} rows are missing after {text.iloc[order[row - 1]]}"
            holes.append(Problem(where, message))
    return [*first_few(spring, path, "days of 23 hours"), *first_few(holes, path, "gaps")]


def _may_change(time: pd.Timestamp) -> bool:
    """Whether clocks may change at this time of the year and of the day."""
    return time.month in _CHANGE_MONTHS and time.hour <= _CHANGE_HOUR


def whole_days(begins: pd.DatetimeIndex, interval: int) -> tuple[slice, pd.DatetimeIndex]:
    """Return the rows of whole days, and the dates of these; the stamps have no gaps but days."""
    per_day = 24 * 60 // interval
    midnights = np.flatnonzero(begins == begins.normalize())
    first = int(midnights[0]) if midnights.size else len(begins)
    days = (len(begins) - first) // per_day
    rows = slice(first, first + days * per_day)
    return rows, begins[rows][::per_day]
