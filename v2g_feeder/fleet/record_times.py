"""Times and numbers of a file of records, from text to local wall time and to floats."""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import pandas as pd

from v2g_feeder.errors import Problem

__all__ = ["MISSING", "clock_hours", "numbers", "wall_times"]

MISSING: Final = frozenset({"", "na", "n/a", "nan", "nat", "null", "none", "-"})
_CLOCK: Final = re.compile(r"^\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?$")
_OFFSET: Final = re.compile(
    r"(?<=\d)(?:Z| GMT| UTC)$|(?P<clock>(?::\d\d|T\d{4,6})(?:\.\d+)?) ?[+-]\d\d(?::?\d\d)?$"
)
_PARTED: Final = re.compile(r"^(\d{1,2})([./-])(\d{1,2})\2(\d{4})\b")
_MOST_BAD: Final = 5  # of one column, the rest is counted


def numbers(text: pd.Series, file: str) -> tuple[np.ndarray, list[Problem]]:
    """Return a column as floats, NaN where it is empty; ``12,5`` is read as 12.5.

    Parameters
    ----------
    text
        Column of text; its index is the line of the file.
    file
        Name of the file, for messages.

    Returns
    -------
    tuple
        Values, and a problem for each entry that is not a finite number.
    """
    stripped = text.str.strip()
    empty = stripped.str.lower().isin(MISSING)
    comma = stripped.str.contains(",", regex=False) & ~stripped.str.contains(".", regex=False)
    plain = stripped.where(~comma, stripped.str.replace(",", ".", regex=False))
    values = pd.to_numeric(plain.where(~empty), errors="coerce").to_numpy(dtype=float)
    bad = ~empty.to_numpy() & ~np.isfinite(values)
    return values, _bad_entries(text[bad], file, "is not a number")


def clock_hours(text: pd.Series) -> np.ndarray | None:
    """Return hours of the day if the column holds times without a date, else ``None``."""
    stripped = text.str.strip()
    filled = stripped[~stripped.str.lower().isin(MISSING)]
    if filled.empty or not filled.map(lambda entry: bool(_CLOCK.match(entry))).all():
        return None
    parts = stripped.where(stripped.isin(filled)).str.split(":", expand=True)
    hours = parts.apply(pd.to_numeric).reindex(columns=range(3)).fillna({2: 0.0})
    return np.asarray(hours[0] + hours[1] / 60 + hours[2] / 3600, dtype=float)


def wall_times(
    text: pd.Series, file: str, *, zone: pd.Series | None = None, dates: str = "auto"
) -> tuple[pd.Series, list[Problem]]:
    """Return a column as local wall time without an offset, NaT where it is empty.

    Parameters
    ----------
    text
        Column of text; its index is the line of the file.
    file
        Name of the file, for messages.
    zone
        Time zone of each row (IANA). Times with an offset are moved to it; without it the wall
        time that the file shows is kept.
    dates
        ``day-first``, ``month-first``, or ``auto``: told from the entries.

    Returns
    -------
    tuple
        Times (``datetime64``), and a problem for each entry that is not one.
    """
    stripped = text.str.strip()
    filled = stripped[~stripped.str.lower().isin(MISSING)]
    if filled.empty:
        return pd.Series(pd.NaT, index=text.index, dtype="datetime64[ns]"), []
    day_first, problems = _day_first(filled, file, dates)
    parsed = _parse(filled, day_first=day_first)
    if zone is not None:
        moved = filled.map(lambda entry: bool(_OFFSET.search(entry)))
        parsed, wrong = _to_zone(parsed, filled, moved, zone.loc[filled.index].str.strip(), file)
        problems += wrong
    if not problems:
        problems = _bad_entries(text.loc[filled.index[parsed.isna()]], file, "is not a time")
    return parsed.reindex(text.index), problems


def _day_first(filled: pd.Series, file: str, dates: str) -> tuple[bool, list[Problem]]:
    """Return whether the day stands before the month; a problem if nobody can tell."""
    if dates != "auto":
        return dates == "day-first", []
    parts = filled.str.extract(_PARTED).dropna()
    if parts.empty or (parts[1] == ".").all():
        return True, []  # with points the day comes first everywhere
    first, second = parts[0].astype(int).max(), parts[2].astype(int).max()
    if first > 12 and second > 12:
        return True, []  # the entries that do not fit are named one by one
    if first > 12 or second > 12:
        return bool(first > 12), []
    message = f"{filled.name}: {filled.iloc[0]!r}: the day or the month may come first"
    return True, [Problem(file, message, "--dates day-first or --dates month-first")]


def _parse(filled: pd.Series, *, day_first: bool) -> pd.Series:
    """Return wall times as the file shows them, without the offset; NaT where not a time."""
    bare = filled.map(lambda entry: _OFFSET.sub(lambda found: found["clock"] or "", entry))
    pattern = _PARTED
    order = r"\4-\3-\1" if day_first else r"\4-\1-\3"
    iso = bare.map(lambda entry: pattern.sub(order, entry))
    try:
        parsed = pd.to_datetime(iso, errors="coerce", format="mixed")
    except ValueError:  # some still carry an offset, such as one that is cut off
        parsed = iso.map(lambda entry: pd.to_datetime(entry, errors="coerce", format="mixed"))
        parsed = parsed.where(parsed.map(lambda time: getattr(time, "tzinfo", None) is None))
    if getattr(parsed.dtype, "tz", None) is not None:  # and here all do
        parsed = pd.Series(pd.NaT, index=filled.index)
    times = pd.Series(parsed, index=filled.index)
    near = (times > pd.Timestamp.min) & (times < pd.Timestamp.max)  # years that can be told apart
    return times.where(near).astype("datetime64[ns]")


def _to_zone(
    parsed: pd.Series, filled: pd.Series, moved: pd.Series, zone: pd.Series, file: str
) -> tuple[pd.Series, list[Problem]]:
    """Move the rows with an offset to their time zone's wall time."""
    named = moved & ~zone.str.lower().isin(MISSING)
    result = parsed.copy()
    problems = []
    for name, rows in zone[named].groupby(zone[named]):
        utc = pd.to_datetime(filled.loc[rows.index], errors="coerce", utc=True, format="mixed")
        try:
            result.loc[rows.index] = utc.dt.tz_convert(str(name)).dt.tz_localize(None)
        except (KeyError, ValueError, OSError):
            problems.append(Problem(f"{file}, line {rows.index[0]}", f"{name!r} is no time zone"))
    return result, problems


def _bad_entries(bad: pd.Series, file: str, what: str) -> list[Problem]:
    """Return a problem an entry, the first few, and how many more there are."""
    problems = [
        Problem(f"{file}, line {line}", f"{bad.name}: {value!r} {what}")
        for line, value in bad.iloc[:_MOST_BAD].items()
    ]
    if len(bad) > _MOST_BAD:
        rest = f"{bad.name}: {len(bad) - _MOST_BAD} more entries: each {what}"
        problems.append(Problem(file, rest))
    return problems
