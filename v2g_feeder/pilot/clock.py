"""Hours of the day in words, and records moved to local standard time."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pandas as pd

from v2g_feeder.errors import InputError, Problem

__all__ = ["clock", "standard_from_utc", "standard_from_wall", "window_text"]


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
