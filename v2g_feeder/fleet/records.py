"""Records of charging sessions or of duties, read from the files that fleets and sites keep.

A file is one of two kinds, told from its columns: *sessions* (plug-in, plug-out, energy at the
meter) or *duty* (start and end of a shift, miles). CSV (also ``.gz``) and JSON as ACN-Data gives
it are read. Columns are known by the names they commonly have, or are mapped. Times keep the local
wall time; a column ``timezone`` says where to move times that carry another offset. A row that
cannot be used is dropped and counted with its reason; an entry that cannot be read is a problem.

References
----------
Lee, Z. J., Li, T. and Low, S. H., "ACN-Data: Analysis and Applications of an Open EV Charging
Dataset", e-Energy 2019.
"""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.fleet.record_columns import find_columns, is_duty, missing_columns, plain_name
from v2g_feeder.fleet.record_rows import MAX_STAY_H, MIN_STAY_H, duty_table, session_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["MAX_STAY_H", "MIN_STAY_H", "Records", "join_records", "read_records"]

_TOP_LEVEL: Final = "_items"
_SEPARATORS: Final = (",", ";", "\t", "|")


@dataclass(frozen=True, eq=False)
class Records:
    """Sessions or duties of one file.

    Parameters
    ----------
    source
        Name of the file, and the filter if there was one.
    kind
        ``sessions`` or ``duty``.
    table
        Sessions, sorted by arrival: ``arrival`` (local wall time), ``stay_h``, ``energy_kwh`` (at
        the meter), ``user`` and ``station`` (text, empty where unknown), ``stated_h`` (stay that
        the driver stated, NaN where unknown). Duties: ``start_h``, ``end_h`` (hours from the
        midnight before), ``miles``, ``vehicle``, ``date`` (NaT where the file has no dates).
    rows
        Rows of the file.
    dropped
        Number of rows that are not used, by reason.
    notes
        What was done to rows that are used, such as stays that were cut.
    """

    source: str
    kind: str
    table: pd.DataFrame
    rows: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of sessions or duties."""
        return len(self.table)

    @property
    def unit(self) -> str:
        """What is followed from session to session: ``user``, ``station``, or ``""``."""
        if self.kind == "duty":
            return "vehicle" if (self.table["vehicle"] != "").all() else ""
        for name in ("user", "station"):
            known = self.table[name] != ""
            if len(known) and known.mean() >= _IDENTIFIED:
                return name
        return ""

    @property
    def dates(self) -> str:
        """First and last date, ISO, or an empty string."""
        days = self.table["arrival" if self.kind == "sessions" else "date"].dropna()
        return f"{days.min():%Y-%m-%d} to {days.max():%Y-%m-%d}" if len(days) else ""

    def part(self, rows: np.ndarray) -> Records:
        """Return the records of some rows of the table (mask or positions)."""
        table = self.table.iloc[rows if rows.dtype != bool else np.flatnonzero(rows)]
        return Records(self.source, self.kind, table.reset_index(drop=True), self.rows)


_IDENTIFIED: Final = 0.8  # share of the sessions with an id, from which on the id is used


def read_records(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    where: Mapping[str, str] | None = None,
    dates: str = "auto",
) -> Records:
    """Read the sessions or the duties of a file.

    Parameters
    ----------
    path
        CSV (separated by comma, semicolon, tab or bar; also ``.gz``) or ACN-style JSON.
    columns
        Quantity to column name, for columns with unusual names: ``arrival``, ``departure``,
        ``energy``, ``user``, ``station``, ``stated``, ``claimed``, ``timezone``, ``miles``,
        ``day``, ``on_shift``.
    where
        Column name to the value that a row must have to be used.
    dates
        ``day-first`` or ``month-first`` where dates such as 03/04/2021 do not tell.

    Returns
    -------
    Records
        With the number of rows dropped, by reason.

    Raises
    ------
    InputError
        With every problem: missing columns, entries that are not a time or a number.
    """
    path = Path(path)
    text = _read_text(path)
    raw = _from_json(text, path.name) if _is_json(path) else _from_csv(text, path.name)
    raw, filtered = _filter(raw, where or {}, path.name)
    mapped = dict(columns or {})
    found, problems = find_columns(list(raw.columns), mapped, path.name)
    problems += missing_columns(found, mapped, list(raw.columns), path.name)
    if problems:
        raise InputError(problems)
    table_of = duty_table if is_duty(found) else session_table
    table, dropped, notes, problems = table_of(raw, found, path.name, dates=dates)
    if problems:
        raise InputError(problems)
    label = "".join(f", {column}={value}" for column, value in (where or {}).items())
    if filtered:
        dropped = {"other than asked for": filtered, **dropped}
    return Records(
        source=f"{path.name}{label}",
        kind="duty" if is_duty(found) else "sessions",
        table=table,
        rows=len(raw) + filtered,
        dropped={reason: count for reason, count in dropped.items() if count},
        notes=tuple(notes),
    )


def join_records(parts: Sequence[Records]) -> Records:
    """Return the records of several files as one.

    Raises
    ------
    InputError
        Where some are sessions and others duties.
    """
    if len(parts) == 1:
        return parts[0]
    kinds = {part.kind for part in parts}
    if len(kinds) > 1:
        found = ", ".join(f"{part.source}: {part.kind}" for part in parts)
        raise InputError(Problem("records", f"of two kinds ({found})", "fit them one by one"))
    table = pd.concat([part.table for part in parts], ignore_index=True)
    if "arrival" in table:
        table = table.sort_values("arrival", ignore_index=True)
    dropped: Counter[str] = Counter()
    for part in parts:
        dropped.update(part.dropped)
    return Records(
        source=" and ".join(part.source for part in parts),
        kind=kinds.pop(),
        table=table,
        rows=sum(part.rows for part in parts),
        dropped=dict(dropped),
        notes=tuple(f"{part.source}: {note}" for part in parts for note in part.notes),
    )


def _is_json(path: Path) -> bool:
    """Return whether the file is JSON by its name."""
    return path.name.lower().removesuffix(".gz").endswith(".json")


def _read_text(path: Path) -> str:
    """Return the file's text."""
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        hint = "save it as UTF-8"
        raise InputError(Problem(str(path), f"is not UTF-8 text: {error.reason}", hint)) from error
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(Problem(str(path), f"cannot be read: {reason}")) from error


def _from_csv(text: str, file: str) -> pd.DataFrame:
    """Return the rows as text; the index is the line of the file."""
    first = text.split("\n", maxsplit=1)[0]
    if not first.strip():
        raise InputError(Problem(file, "is empty; the first line must name the columns"))
    separator = max(_SEPARATORS, key=first.count)
    try:
        raw = pd.read_csv(
            io.StringIO(text), sep=separator, dtype=str, keep_default_na=False, index_col=False
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        words = " ".join(str(error).split())
        raise InputError(Problem(file, f"is not a table: {words}")) from error
    if raw.empty:
        raise InputError(Problem(file, "has no rows below its column names"))
    raw.columns = [str(name).strip() for name in raw.columns]
    raw = raw.fillna("")  # a row with fewer entries than there are columns
    raw.index = pd.RangeIndex(2, len(raw) + 2)
    return raw


def _from_json(text: str, file: str) -> pd.DataFrame:
    """Return the sessions of an ACN-style JSON as text; the index is their number from 1."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        message = f"is not JSON: {error.msg}"
        raise InputError(Problem(f"{file}, line {error.lineno}", message)) from error
    items = content.get(_TOP_LEVEL) if isinstance(content, dict) else content
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        message = f"needs a list of sessions, or an object with the key {_TOP_LEVEL!r}"
        raise InputError(Problem(file, message))
    if not items:
        raise InputError(Problem(file, "has no sessions"))
    raw = pd.DataFrame([_flat(item) for item in items]).astype(object)
    raw = raw.where(raw.notna(), "").astype(str)
    raw.index = pd.RangeIndex(1, len(raw) + 1)
    return raw


def _flat(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return one session with what the driver stated at plug-in beside its own entries."""
    flat = {key: value for key, value in item.items() if not isinstance(value, dict | list)}
    inputs = item.get("userInputs")
    stated = inputs[0] if isinstance(inputs, list) and inputs else {}
    flat["requestedDeparture"] = stated.get("requestedDeparture") if stated else None
    return {key: "" if value is None else str(value) for key, value in flat.items()}


def _filter(raw: pd.DataFrame, where: Mapping[str, str], file: str) -> tuple[pd.DataFrame, int]:
    """Return the rows that have the values asked for, and how many have not."""
    keep = np.ones(len(raw), dtype=bool)
    plain = {plain_name(name): name for name in raw.columns}
    problems = []
    for column, value in where.items():
        name = column if column in raw.columns else plain.get(plain_name(column), "")
        if not name:
            hint = nearest(column, list(raw.columns)) or f"it has {', '.join(raw.columns)}"
            problems.append(Problem(file, f"has no column {column!r} to filter by", hint))
            continue
        entries = raw[name].str.strip()
        hit = (entries.str.lower() == value.strip().lower()).to_numpy()
        if not hit.any():
            most = entries.value_counts().index[:5]
            hint = nearest(value, list(most)) or f"it has {', '.join(map(repr, most))}"
            problems.append(Problem(f"{file}, {name}", f"no row has {value!r}", hint))
        keep &= hit
    if problems:
        raise InputError(problems)
    if not keep.any():
        raise InputError(Problem(file, "no row passes all the filters together"))
    return raw[keep], int((~keep).sum())
