"""From the text of a file of records to a table of sessions or of duties; what is dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.errors import Problem
from v2g_feeder.fleet.record_columns import plain_name
from v2g_feeder.fleet.record_times import MISSING, clock_hours, numbers, wall_times

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_STAY_H", "MIN_STAY_H", "duty_table", "session_table"]

MIN_STAY_H: Final = 0.25  # shorter connections are failed starts and tests of the plug
MAX_STAY_H: Final = 96.0
_MOST_SWAPPED: Final = 0.2  # more ends before their begin than this are columns swapped
_MOST_KWH: Final = 500.0  # no vehicle here holds more; a median above it is Wh
_KM_A_MILE: Final = 1.609344
_FALSE: Final = frozenset({"0", "0.0", "false", "no", "n", "off", *MISSING})

_Read = tuple[pd.DataFrame, dict[str, int], list[str], list[Problem]]


def session_table(
    raw: pd.DataFrame, found: Mapping[str, str], file: str, *, dates: str = "auto"
) -> _Read:
    """Return the sessions of a file.

    Parameters
    ----------
    raw
        Rows as text; the index is the line of the file.
    found
        Quantity to column.
    file
        Name of the file, for messages.
    dates
        As :func:`v2g_feeder.fleet.records.read_records`.

    Returns
    -------
    tuple
        Table (see :class:`v2g_feeder.fleet.records.Records`), rows dropped by reason, notes and
        problems.
    """
    zone = raw[found["timezone"]] if "timezone" in found else None
    problems: list[Problem] = []
    times = {}
    for role in ("arrival", "departure", "stated"):
        if role in found:
            times[role], wrong = wall_times(raw[found[role]], file, zone=zone, dates=dates)
            problems += wrong
    energy, wrong = numbers(raw[found["energy"]], file)
    problems += wrong
    if problems:
        return raw, {}, [], problems
    table = pd.DataFrame(
        {
            "arrival": times["arrival"],
            "stay_h": _hours(times["departure"] - times["arrival"]),
            "energy_kwh": energy * (1e-3 if _in_wh(found["energy"]) else 1.0),
            "user": _ids(raw, found, "user"),
            "station": _ids(raw, found, "station"),
            "stated_h": np.nan,
        }
    )
    if "stated" in found:
        stated = _hours(times["stated"] - times["arrival"])
        table["stated_h"] = stated.where(_claimed(raw, found) & (stated > 0))
    problems = _implausible(table, found, file)
    table, dropped = _drop(table)
    long = table["stay_h"] > MAX_STAY_H
    notes = [f"{long.sum()} stays of more than {MAX_STAY_H:g} h cut"] if long.any() else []
    table["stay_h"] = table["stay_h"].clip(upper=MAX_STAY_H)
    if not problems and table.empty:
        problems = [Problem(file, "no row can be used", _counted(dropped))]
    return table.sort_values("arrival", ignore_index=True), dropped, notes, problems


def duty_table(
    raw: pd.DataFrame, found: Mapping[str, str], file: str, *, dates: str = "auto"
) -> _Read:
    """Return the duties of a file, one a vehicle-day; parameters as :func:`session_table`.

    The shifts of a vehicle-day are merged, from the first start to the last end.
    """
    hours, date, problems = _duty_times(raw, found, file, dates)
    miles, wrong = numbers(raw[found["miles"]], file)
    problems += wrong
    if problems:
        return raw, {}, [], problems
    kilometres = plain_name(found["miles"]) in {"km", "distance_km", "kilometres", "kilometers"}
    on_shift = np.ones(len(raw), dtype=bool)
    if "on_shift" in found:
        on_shift = ~raw[found["on_shift"]].str.strip().str.lower().isin(_FALSE).to_numpy()
    table = pd.DataFrame(
        {
            "start_h": hours["arrival"],
            "end_h": hours["departure"],
            "miles": miles / (_KM_A_MILE if kilometres else 1.0),
            "vehicle": _ids(raw, found, "user"),
            "date": date,
        },
        index=raw.index,
    )
    table["day"] = _days(raw, found, table)
    reasons = {
        "off shift": ~on_shift,
        "no start": np.isnan(table["start_h"]),
        "no end": np.isnan(table["end_h"]),
        "distance missing or not above 0": ~(table["miles"] > 0),
    }
    kept, dropped = _first_reasons(table, reasons)
    merged = _merged(kept)
    joined = len(kept) - len(merged)
    notes = [f"{joined} more shifts of a vehicle-day merged into its first"] if joined else []
    if merged.empty:
        problems = [Problem(file, "no row can be used", _counted(dropped))]
    return merged, dropped, notes, problems


def _duty_times(
    raw: pd.DataFrame, found: Mapping[str, str], file: str, dates: str
) -> tuple[dict[str, np.ndarray], pd.Series, list[Problem]]:
    """Return start and end in hours from the midnight before the start, and the date."""
    date = pd.Series(pd.NaT, index=raw.index, dtype="datetime64[ns]")
    start, end = (clock_hours(raw[found[role]]) for role in ("arrival", "departure"))
    if start is not None and end is not None:
        problems: list[Problem] = []
        if "day" in found and plain_name(found["day"]) in {"date", "service_date"}:
            date, problems = wall_times(raw[found["day"]], file, dates=dates)
        return {"arrival": start, "departure": np.where(end < start, end + 24, end)}, date, problems
    first, problems = wall_times(raw[found["arrival"]], file, dates=dates)
    last, wrong = wall_times(raw[found["departure"]], file, dates=dates)
    date = first.dt.normalize()
    hours = {"arrival": _hours(first - date), "departure": _hours(last - date)}
    return {role: values.to_numpy() for role, values in hours.items()}, date, problems + wrong


def _days(raw: pd.DataFrame, found: Mapping[str, str], table: pd.DataFrame) -> np.ndarray:
    """Return what tells the vehicle-days apart, a text a row."""
    if "day" in found and table["date"].isna().all():
        return np.asarray(table["vehicle"] + "/" + raw[found["day"]].str.strip())
    if (table["vehicle"] != "").all() and table["date"].notna().all():
        return np.asarray(table["vehicle"] + "/" + table["date"].astype(str))
    return np.arange(len(raw)).astype(str)


def _merged(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a vehicle-day."""
    grouped = table.groupby("day", sort=False)
    merged = grouped.agg(
        start_h=("start_h", "min"),
        end_h=("end_h", "max"),
        miles=("miles", "sum"),
        vehicle=("vehicle", "first"),
        date=("date", "first"),
    )
    return merged.reset_index(drop=True)


def _drop(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the sessions that can be used, and how many cannot, by reason."""
    stay = table["stay_h"].to_numpy()
    reasons = {
        "no start": table["arrival"].isna(),
        "no end": np.isnan(stay),
        "end before start": stay < 0,
        f"stay of {MIN_STAY_H:g} h or less": stay <= MIN_STAY_H,
        "energy missing or not above 0": ~(table["energy_kwh"] > 0),
        "the same row again": table.duplicated(
            ["arrival", "stay_h", "energy_kwh", "user", "station"]
        ),
    }
    return _first_reasons(table, reasons)


def _first_reasons(
    table: pd.DataFrame, reasons: Mapping[str, np.ndarray | pd.Series]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Drop the rows with a reason; a row counts under its first."""
    left = np.ones(len(table), dtype=bool)
    dropped = {}
    for reason, rows in reasons.items():
        hit = np.asarray(rows, dtype=bool) & left
        dropped[reason] = int(hit.sum())
        left &= ~hit
    return table[left].reset_index(drop=True), dropped


def _implausible(table: pd.DataFrame, found: Mapping[str, str], file: str) -> list[Problem]:
    """Return a problem where columns look swapped or energy is in another unit."""
    problems = []
    backward = (table["stay_h"] < 0).mean()
    if backward > _MOST_SWAPPED:
        message = f"{backward:.0%} of the sessions end before they begin"
        hint = f"swap {found['arrival']!r} and {found['departure']!r} with --columns"
        problems.append(Problem(file, message, hint))
    middle = table["energy_kwh"].median()
    if middle > _MOST_KWH:
        message = f"{found['energy']}: median {middle:g} kWh a session"
        problems.append(Problem(file, message, "it looks like Wh: name the column energy_wh"))
    return problems


def _hours(span: pd.Series) -> pd.Series:
    """Return a time span in hours."""
    return span.dt.total_seconds() / 3600


def _in_wh(column: str) -> bool:
    """Return whether an energy column is in Wh by its name."""
    bracket = column.lower().partition("(")[2].rstrip(") ").strip()
    return bracket == "wh" or plain_name(column).rpartition("_")[2] == "wh"


def _ids(raw: pd.DataFrame, found: Mapping[str, str], role: str) -> pd.Series:
    """Return a column of names, empty where unknown."""
    if role not in found:
        return pd.Series("", index=raw.index)
    names = raw[found[role]].str.strip()
    return names.where(~names.str.lower().isin(MISSING), "")


def _claimed(raw: pd.DataFrame, found: Mapping[str, str]) -> pd.Series:
    """Return which sessions have a driver who stated a departure."""
    if "claimed" not in found:
        return pd.Series(data=True, index=raw.index)
    return ~raw[found["claimed"]].str.strip().str.lower().isin(_FALSE)


def _counted(dropped: Mapping[str, int]) -> str:
    """Return the reasons and counts in words."""
    return ", ".join(f"{count} {reason}" for reason, count in dropped.items() if count)
