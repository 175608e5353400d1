"""Hours of the day in words, and records moved to local standard time."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import pandas as pd

from v2g_feeder.errors import InputError, Problem

__all__ = ["clock", "parse_window", "standard_from_utc", "standard_from_wall", "window_text"]

_WINDOW: Final = re.compile(r"^([01]?\d|2[0-4]):([0-5]\d)\s*-\s*([01]?\d|2[0-4]):([0-5]\d)$")


def clock(hour: float) -> str:
    """Return an hour of the day as ``17:30``; hours of other days carry ``+1`` or ``-1``.

    Examples
    --------
    >>> clock(17.5), clock(31), clock(-2)
    ('17:30', '07:00 +1', '22:00 -1')
    """
    minutes = round(hour * 60)
    day, rest = divmod(minutes, 24 * 60)
    if minutes == 24 * 60:
        return "24:00"
    sign = f" {day:+d}" if day else ""
    return f"{rest // 60:02d}:{rest % 60:02d}{sign}"


def window_text(start_h: float, end_h: float) -> str:
    """Return a window in words: ``17:00-20:00``."""
    return f"{clock(start_h)}-{clock(end_h)}"


def standard_from_utc(utc: pd.Series, zone: str) -> pd.Series:
    """Return UTC times (naive) in the zone's standard time, the whole year."""
    return utc + _standard_offset(zone)


def standard_from_wall(wall: pd.Series, zone: str) -> pd.Series:
    """Return wall times (naive) of a zone in its standard time.

    An hour that comes twice in autumn is taken as its second, standard one; one that does not
    exist in spring as the first that does.
    """
    offset = _standard_offset(zone)
    local = wall.dt.tz_localize(zone, ambiguous=False, nonexistent="shift_forward")
    return pd.Series(local.dt.tz_convert("UTC").dt.tz_localize(None) + offset, index=wall.index)


def _standard_offset(zone: str) -> pd.Timedelta:
    """Return what standard time is ahead of UTC.

    Raises
    ------
    InputError
        For a name that is no time zone.
    """
    try:
        info = ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        hint = "such as America/Los_Angeles"
        raise InputError(Problem("timezone", f"{zone!r} is no time zone", hint)) from error
    moment = datetime(2024, 1, 1, tzinfo=info)
    return pd.Timedelta((moment.utcoffset() or pd.Timedelta(0)) - (moment.dst() or pd.Timedelta(0)))


def parse_window(text: str) -> tuple[float, float]:
    """Return the hours of ``17:00-21:00``; the end is above 24 where it is on the next day.

    Raises
    ------
    ValueError
        If it does not read so, or has no length.
    """
    match = _WINDOW.match(text.strip())
    if not match:
        raise ValueError(f'window {text!r} does not read as "17:00-21:00"')
    a, b, c, d = (int(part) for part in match.groups())
    start, end = a + b / 60, c + d / 60
    if max(start, end) > 24 or start in (end, 24):
        raise ValueError(f"window {text!r} is not a part of a day")
    return start, end if end > start else end + 24
