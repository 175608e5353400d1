"""When vehicles are plugged in: charging sessions, OCPP meter values, trips or a timetable."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from v2g_feeder.errors import InputError, Problem
from v2g_feeder.feeder.base_load_table import first_few
from v2g_feeder.fleet.records import read_records
from v2g_feeder.pilot.clock import standard_from_utc, standard_from_wall
from v2g_feeder.pilot.tables import read_text_table, times, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Stays", "read_ocpp", "read_sessions", "read_timetable", "read_trips"]

_YES_NO: Final = dict.fromkeys(("yes", "true", "1", "y"), "yes") | dict.fromkeys(
    ("no", "false", "0", "n"), "no"
)
_WEEK: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAYS: Final = {day: day for day in _WEEK} | {
    "weekday": "weekday", "weekdays": "weekday", "weekend": "weekend", "daily": "daily",
}  # fmt: skip
_MONDAY: Final = pd.Timestamp("2024-01-01")
_STATION_KEYS: Final = ("chargePointId", "chargingStationId", "stationId", "chargeBoxId")


@dataclass(frozen=True, eq=False)
class Stays:
    """Stays at a plug.

    Parameters
    ----------
    file
        Where they were read from.
    kind
        ``sessions``, ``ocpp``, ``trips`` or ``timetable``.
    table
        ``unit`` (vehicle or port; empty where unknown), ``start`` and ``end``, local standard time.
    noun
        What the units are: ``vehicles`` or ``ports``.
    first, last
        First and last date that the record covers whole.
    parked_only
        Whether the record says where vehicles stood and not that they were plugged in.
    notes
        What was dropped or assumed.
    """

    file: str
    kind: str
    table: pd.DataFrame
    noun: str
    first: pd.Timestamp
    last: pd.Timestamp
    parked_only: bool = False
    notes: tuple[str, ...] = ()

    @property
    def units(self) -> int:
        """Number of vehicles or ports; 0 where the record does not tell them apart."""
        names = self.table["unit"]
        return 0 if (names == "").any() else int(names.nunique())


def read_sessions(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    dates: str = "auto",
    timezone: str | None = None,
) -> Stays:
    """Read charging sessions, CSV or ACN-style JSON.

    Parameters
    ----------
    path
        The file.
    columns, dates
        As for :func:`v2g_feeder.fleet.records.read_records`.
    timezone
        Zone of the file's wall times, to move them to standard time; left out, they are taken as
        standard time.
    """
    records = read_records(path, columns=columns, dates=dates)
    if records.kind != "sessions":
        hint = "trips and duties are read with kind: trips"
        raise InputError(Problem(str(path), "holds duties, not charging sessions", hint))
    table = records.table
    start = _standard(table["arrival"], timezone)
    unit = records.unit
    stays = pd.DataFrame(
        {
            "unit": table[unit] if unit else "",
            "start": start,
            "end": start + pd.to_timedelta(table["stay_h"], unit="h"),
        }
    )
    unknown = stays["unit"] == "" if unit else np.zeros(len(stays), bool)
    notes = [f"{count} rows dropped: {reason}" for reason, count in records.dropped.items()]
    notes += [f"{unknown.sum()} sessions without a {unit} left out"] if unknown.any() else []
    notes += [f"wall times of {timezone} moved to standard time"] if timezone else []
    noun = "ports" if unit == "station" else "vehicles"
    return _stays(path, "sessions", stays[~unknown], noun, [*notes, *records.notes])


def _standard(wall: pd.Series, zone: str | None) -> pd.Series:
    return wall if zone is None else standard_from_wall(wall, zone)


def _stays(
    path: Path, kind: str, table: pd.DataFrame, noun: str, notes: Sequence[str] = ()
) -> Stays:
    """Return stays with the days that their record surely covers: not its first nor its last."""
    if table.empty:
        raise InputError(Problem(str(path), "no stay can be used"))
    day = pd.Timedelta(days=1)
    first, last = table["start"].min().normalize() + day, table["start"].max().normalize() - day
    return Stays(
        str(path), kind, table.reset_index(drop=True), noun, first, last, notes=tuple(notes)
    )


def read_trips(
    path: Path, *, base: str = "base", columns: Mapping[str, str] | None = None
) -> Stays:
    """Read telematics trips: a vehicle stands at its base from a trip that ends there to the next.

    Parameters
    ----------
    path
        CSV: ``vehicle``, ``start``, ``end`` (local standard time), ``end_location`` and, if known,
        ``plugged_in`` (yes or no, after the trip).
    base
        The ``end_location`` of a stay at the chargers.
    columns
        Your names of these.

    Returns
    -------
    Stays
        Without ``plugged_in``, with ``parked_only``: an upper bound to being plugged in. The stay
        after a vehicle's last trip is left out: its end is not known.
    """
    needed = ("vehicle", "start", "end", "end_location")
    raw = read_text_table(path, needed, columns, optional=("plugged_in",))
    start, problems = times(raw["start"], path, (columns or {}).get("start"))
    end, wrong = times(raw["end"], path, (columns or {}).get("end"))
    problems += wrong
    plugged = pd.Series("yes", index=raw.index)
    if "plugged_in" in raw:
        plugged, wrong = words(raw["plugged_in"], path, _YES_NO, needed=False)
        problems += wrong
    back = [
        Problem(f"{path}, line {line}", f"the trip ends at {end[line]}, before it starts")
        for line in raw.index[(end < start).to_numpy()]
    ]
    blank = [
        Problem(f"{path}, line {line}, column 'vehicle'", "is empty")
        for line in raw.index[raw["vehicle"] == ""]
    ]
    problems += [*first_few(back, path, "trips like these"), *first_few(blank, path, "such rows")]
    at_base = raw["end_location"].str.lower() == base.lower()
    if not problems and not at_base.any():
        seen = ", ".join(map(repr, raw["end_location"].value_counts().index[:5]))
        problems.append(Problem(str(path), f"no trip ends at {base!r}", f"it has {seen}; set base"))
    if problems:
        raise InputError(problems)
    trips = pd.DataFrame(
        {
            "unit": raw["vehicle"],
            "left": start,
            "start": end,
            "at_base": at_base & (plugged == "yes"),
        }
    ).sort_values(["unit", "left"])
    trips["end"] = trips.groupby("unit")["left"].shift(-1)
    stays = trips[trips["at_base"] & trips["end"].notna() & (trips["end"] > trips["start"])]
    found = _stays(path, "trips", stays[["unit", "start", "end"]], "vehicles")
    fleet = raw["vehicle"].nunique()
    notes = [] if found.units == fleet else [f"{fleet - found.units} vehicles never at base"]
    day = pd.Timedelta(days=1)
    return Stays(
        found.file, found.kind, found.table, found.noun,
        start.min().normalize() + day, end.max().normalize() - day,
        "plugged_in" not in raw, tuple(notes),
    )  # fmt: skip


def read_ocpp(path: Path, *, timezone: str, columns: Mapping[str, str] | None = None) -> Stays:
    """Read an export of OCPP meter values; a stay lasts from a transaction's first to last value.

    Parameters
    ----------
    path
        JSON (a list, or an object a line) of OCPP 1.6 ``MeterValues`` or OCPP 2.0.1
        ``TransactionEvent`` messages, bare or under ``payload``, each with the station's id beside
        it (``chargePointId`` or the like). Or CSV: ``station``, ``connector``, ``transaction``,
        ``timestamp``.
    timezone
        Of the site; OCPP times carry an offset, and are moved to the zone's standard time.
    columns
        Your names of the CSV's columns.
    """
    if path.suffix.lower() in (".json", ".jsonl", ".ndjson"):
        values, problems = _ocpp_messages(path)
    else:
        values = read_text_table(
            path, ("station", "connector", "transaction", "timestamp"), columns
        )
        problems = []
    utc = pd.to_datetime(values["timestamp"], errors="coerce", utc=True, format="ISO8601")
    bad = [
        Problem(f"{path}, line {line}, column 'timestamp'", f"{cell!r} is not a time")
        for line, cell in values.loc[utc.isna(), "timestamp"].items()
    ]
    problems += first_few(bad, path, "time stamps like these")
    if problems:
        raise InputError(problems)
    values = values.assign(time=standard_from_utc(utc.dt.tz_localize(None), timezone))
    keys = ["station", "connector", "transaction"]
    grouped = values[values["transaction"] != ""].groupby(keys)["time"].agg(["min", "max"])
    stays = grouped.reset_index()
    table = pd.DataFrame(
        {
            "unit": stays["station"] + "/" + stays["connector"],
            "start": stays["min"],
            "end": stays["max"],
        }
    )
    note = "a stay is from the first to the last meter value of a transaction"
    return _stays(path, "ocpp", table, "ports", [note])


def _ocpp_messages(path: Path) -> tuple[pd.DataFrame, list[Problem]]:
    """Return one row a time stamp of a transaction, and what is wrong with the messages."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if text.lstrip().startswith("["):
            messages = list(enumerate(json.loads(text), start=1))
        else:
            lines = enumerate(text.splitlines(), start=1)
            messages = [(number, json.loads(line)) for number, line in lines if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Problem(str(path), f"cannot be read: {error}")) from None
    except json.JSONDecodeError as error:
        raise InputError(
            Problem(f"{path}, line {error.lineno}", f"not JSON: {error.msg}")
        ) from None
    rows, problems = [], []
    for number, message in messages:
        found = _message_rows(message) if isinstance(message, dict) else None
        if found is None:
            text = "is neither MeterValues (OCPP 1.6) nor TransactionEvent (2.0.1) with a station"
            problems.append(Problem(f"{path}, message {number}", text))
        else:
            rows += [(*row, number) for row in found]
    names = ["station", "connector", "transaction", "timestamp", "line"]
    table = pd.DataFrame(rows, columns=names).set_index("line")
    return table, first_few(problems, path, "messages like these")


def _message_rows(message: Mapping[str, Any]) -> list[tuple[str, str, str, str]] | None:
    """Return station, connector, transaction and times of a message; ``None`` if it is another."""
    body = message.get("payload", message)
    station = next((message[key] for key in _STATION_KEYS if key in message), None)
    if station is None or not isinstance(body, dict):
        return None
    stamps = [str(value.get("timestamp", "")) for value in body.get("meterValue", [])]
    if "transactionInfo" in body:  # OCPP 2.0.1
        evse = body.get("evse", {})
        connector = f"{evse.get('id', '')}.{evse.get('connectorId', 1)}"
        transaction = body["transactionInfo"].get("transactionId", "")
        stamps.append(str(body.get("timestamp", "")))
    elif "meterValue" in body:
        connector, transaction = str(body.get("connectorId", "")), body.get("transactionId", "")
    else:
        return None
    return [(str(station), connector, str(transaction), stamp) for stamp in stamps]


def read_timetable(path: Path, *, columns: Mapping[str, str] | None = None) -> Stays:
    """Read a timetable: when each vehicle is planned to be plugged in, in a week of the term.

    Parameters
    ----------
    path
        CSV: ``vehicle``, ``day`` (``mon`` to ``sun``, ``weekday``, ``weekend`` or ``daily``),
        ``plug_in`` and ``plug_out`` (``16:30``). A ``plug_out`` at or before ``plug_in`` is on the
        next day.
    columns
        Your names of these.
    """
    raw = read_text_table(path, ("vehicle", "day", "plug_in", "plug_out"), columns)
    day, problems = words(raw["day"], path, _DAYS)
    hours = {}
    for role in ("plug_in", "plug_out"):
        cells = raw[role].str.extract(r"^(\d{1,2}):(\d{2})$").astype(float)
        hours[role] = cells[0] + cells[1] / 60
        odd = cells[0].isna() | (hours[role] > 24) | (cells[1] > 59)
        bad = [
            Problem(f"{path}, line {line}, column {role!r}", f"{cell!r} is not a time like 16:30")
            for line, cell in raw.loc[odd, role].items()
        ]
        problems += first_few(bad, path, "entries like these")
    if problems:
        raise InputError(problems)
    groups = {"weekday": _WEEK[:5], "weekend": _WEEK[5:], "daily": _WEEK}
    rows = []
    for line in raw.index:
        for name in groups.get(day[line], (day[line],)):
            date = _MONDAY + pd.Timedelta(days=_WEEK.index(name))
            begin, end = hours["plug_in"][line], hours["plug_out"][line]
            stay = end - begin if end > begin else end - begin + 24
            start = date + pd.Timedelta(hours=begin)
            rows.append((raw["vehicle"][line], start, start + pd.Timedelta(hours=stay)))
    table = pd.DataFrame(rows, columns=["unit", "start", "end"])
    # the week before, so that a stay begun on Sunday reaches into Monday
    before = table.assign(
        start=table["start"] - pd.Timedelta(days=7), end=table["end"] - pd.Timedelta(days=7)
    )
    both = pd.concat([before, table], ignore_index=True)
    sunday = _MONDAY + pd.Timedelta(days=6)
    note = "a timetable is a plan: no interval"
    return Stays(str(path), "timetable", both, "vehicles", _MONDAY, sunday, notes=(note,))
