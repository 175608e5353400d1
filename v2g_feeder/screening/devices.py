"""Protective devices: an inventory file, and what an OpenDSS model states about its own.

Both give the same table, one row a device, so that one may complete the other.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.screening.plain_yaml import read_text, read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from v2g_feeder.feeder.engine import Engine
    from v2g_feeder.feeder.model import Feeder

__all__ = [
    "DEVICE_COLUMNS",
    "DEVICE_KINDS",
    "combine_devices",
    "devices_of_model",
    "read_devices",
]

DEVICE_KINDS: Final = (
    "breaker",
    "relay",
    "recloser",
    "fuse",
    "sectionalizer",
    "switch",
    "regulator",
)
_NUMBERS: Final = (
    "pickup_a",
    "ground_pickup_a",
    "rating_a",
    "interrupting_a",
    "reverse_kw",
    "minimum_load_kw",
)
_WORDS: Final = ("device", "kind", "element", "directional", "curve")
_KEPT: Final = ("change", "forward_v", "reverse_mode", "note")  # of the checklist: text as it is
DEVICE_COLUMNS: Final = (*_WORDS, *_NUMBERS, *_KEPT, "source")
_YES_NO: Final = {"yes": "yes", "true": "yes", "no": "no", "false": "no", "": ""}
_TRIPS: Final = {
    "Relay": ("PhaseTrip", "GroundTrip", ("PhaseCurve",), ("GroundCurve",)),
    "Recloser": (
        "PhaseTrip",
        "GroundTrip",
        ("PhaseFast", "PhaseDelayed"),
        ("GroundFast", "GroundDelayed"),
    ),
    "Fuse": ("RatedCurrent", "", ("FuseCurve",), ()),
}


def read_devices(path: Path, feeder: Feeder | None = None) -> pd.DataFrame:
    """Read a device inventory.

    Parameters
    ----------
    path
        CSV with a header, or YAML: a list of mappings under ``devices``, whose settings may stand
        under ``settings``, ``name`` for ``device``. The columns, empty where not known:

        ``device``
            Name, each once. Required.
        ``kind``
            One of :data:`DEVICE_KINDS`. Required.
        ``element``
            Element of the model on which it stands (``Line.650632``); it looks away from the
            head. A device without one cannot be screened.
        ``pickup_a``, ``ground_pickup_a``
            Minimum trip of its phase and ground elements, A primary (residual current for
            ground); of a fuse, its minimum melting current.
        ``rating_a``
            Rated current of a fuse link, A; gives the melting current where ``pickup_a`` is empty.
        ``interrupting_a``
            Largest current that it may break, A symmetrical.
        ``directional``
            ``yes`` or ``no``: whether it looks one way only.
        ``reverse_kw``
            Setting of its reverse-power or directional power element, kW; 0 for a network
            protector or a relay that trips on any reverse power.
        ``minimum_load_kw``
            Least load behind it when chargers may export, kW.
        ``curve``, ``change``, ``forward_v``, ``reverse_mode``, ``note``
            Kept as text for the checklist.
    feeder
        The model that ``element`` must name an element of.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`DEVICE_COLUMNS`: numbers NaN and text empty where not known; ``source`` is
        the name of the file.

    Raises
    ------
    InputError
        With every problem: file, row, column, value and the nearest valid name.
    """
    is_yaml = path.suffix.lower() in {".yaml", ".yml"}
    rows, problems = _yaml_rows(path) if is_yaml else _csv_rows(path)
    records = []
    for place, row in rows:
        record, wrong = _record(place, row, feeder)
        records.append(record | {"source": path.name})
        problems += wrong
    names = Counter(str(record["device"]).lower() for record in records)
    problems += [
        Problem(f"{path}: device", f"{name!r} stands {count} times", "give each its own name")
        for name, count in names.items()
        if name and count > 1
    ]
    if not records and not problems:
        problems.append(Problem(str(path), "holds no device"))
    if problems:
        raise InputError(problems)
    return _table(records)


def devices_of_model(engine: Engine) -> pd.DataFrame:
    """Return the relays, reclosers and fuses that the loaded model states.

    Returns
    -------
    pandas.DataFrame
        As :func:`read_devices`, ``source`` is ``model``. A minimum trip is the stated trip (of a
        fuse: the rated current) times the first point of its time-current curve, and NaN where
        the model states no trip: the engine's default of 1 A is no setting. Disabled devices are
        left out, and relays that are not of type current have no pickup.
    """
    stated = engine.circuit()
    curves = {
        str(row["Name"]).lower(): float(np.min(row["C_Array"]))
        for row in engine.properties("TCC_Curve")
        if row.get("C_Array")
    }
    records = []
    for kind, (phase, ground, phase_curves, ground_curves) in _TRIPS.items():
        in_force = {str(row["Name"]).lower(): row for row in engine.properties(kind)}
        for row in stated.get(kind, []):
            if not row.get("Enabled", True):
                continue
            full = in_force[str(row["Name"]).lower()]
            current = str(full.get("Type", "Current")).lower() == "current"
            records.append(
                {
                    "device": f"{kind.lower()}.{row['Name']}",
                    "kind": kind.lower(),
                    "element": str(row.get("MonitoredObj", "")),
                    "pickup_a": _trip(row, phase, full, phase_curves, curves, usable=current),
                    "ground_pickup_a": _trip(
                        row, ground, full, ground_curves, curves, usable=current
                    ),
                    "rating_a": row.get("RatedCurrent", math.nan),
                    "curve": str(full.get(phase_curves[-1]) or ""),
                    "source": "model",
                }
            )
    return _table(records)


def combine_devices(inventory: pd.DataFrame, model: pd.DataFrame) -> pd.DataFrame:
    """Return an inventory with the model's devices that it does not have.

    A device of the model that bears the same name, with or without its class, or stands on the
    same element and is of the same kind, is the inventory's; what the inventory leaves empty there
    is taken from the model.
    """
    merged, left = inventory.copy(), []
    taken: set[int] = set()
    for row in model.to_dict("records"):
        name, element = str(row["device"]).lower(), str(row["element"]).lower()
        names = merged["device"].str.lower()
        same = names.isin([name, name.partition(".")[2]])
        if not same.any():
            same = (merged["element"].str.lower() == element) & (merged["kind"] == row["kind"])
        free = [at for at in merged.index[same] if at not in taken]
        if not free:
            left.append(row)
            continue
        at = free[0]
        taken.add(at)
        for column in DEVICE_COLUMNS:
            value = merged.loc[at, column]
            if value == "" or (column in _NUMBERS and math.isnan(float(value))):
                merged.loc[at, column] = row[column]
    return pd.concat([merged, _table(left)], ignore_index=True) if left else merged


def _trip(
    row: Mapping[str, Any],
    key: str,
    full: Mapping[str, Any],
    names: tuple[str, ...],
    curves: Mapping[str, float],
    *,
    usable: bool,
) -> float:
    """Return a stated trip times the least first point of its curves."""
    if not usable or key not in row:
        return math.nan
    found = [curves.get(str(full.get(name)).lower()) for name in names if full.get(name)]
    return float(row[key]) * min((first for first in found if first is not None), default=1.0)


def _table(records: list[dict[str, Any]]) -> pd.DataFrame:
    """Return records as the table, with every column."""
    columns: dict[str, Any] = {}
    for name in DEVICE_COLUMNS:
        if name in _NUMBERS:
            columns[name] = np.array([record.get(name, math.nan) for record in records], float)
        else:
            columns[name] = np.array([str(record.get(name, "")) for record in records], object)
    return pd.DataFrame(columns)


def _csv_rows(path: Path) -> tuple[list[tuple[str, dict[str, Any]]], list[Problem]]:
    """Return the rows of a CSV, each with its place, and what is wrong with its form."""
    reader = csv.reader(io.StringIO(read_text(path)))
    try:
        lines = [
            (number, cells) for number, cells in enumerate(reader, 1) if any(map(str.strip, cells))
        ]
    except csv.Error as error:
        raise InputError(Problem(f"{path}: line {reader.line_num}", str(error))) from error
    if not lines:
        raise InputError(Problem(str(path), "is empty"))
    names = [name.strip().lower() for name in lines[0][1]]
    problems = _columns(path, names)
    rows = []
    for number, cells in lines[1:]:
        if len(cells) > len(names):
            message = f"{len(cells)} entries under {len(names)} columns"
            problems.append(Problem(f"{path}: row {number}", message, "quote text with a comma"))
            continue
        rows.append(
            (f"{path}: row {number}", dict(zip(names, map(str.strip, cells), strict=False)))
        )
    return rows, problems


def _columns(path: Path, names: list[str]) -> list[Problem]:
    """Return the columns that are missing, unknown or stand twice."""
    problems = [
        Problem(f"{path}: row 1", f"column {name!r} is missing", nearest(name, names))
        for name in ("device", "kind")
        if name not in names
    ]
    for name, count in Counter(names).items():
        if name not in DEVICE_COLUMNS[:-1]:
            hint = nearest(name, DEVICE_COLUMNS[:-1]) or "leave it out, or call it note"
            problems.append(Problem(f"{path}: row 1", f"unknown column {name!r}", hint))
        if count > 1:
            problems.append(Problem(f"{path}: row 1", f"column {name!r} stands {count} times"))
    return problems


def _yaml_rows(path: Path) -> tuple[list[tuple[str, dict[str, Any]]], list[Problem]]:
    """Return the devices of a YAML file, each with its place."""
    content = read_yaml(path)
    listed = content.get("devices") if isinstance(content, dict) else content
    if not isinstance(listed, list):
        raise InputError(Problem(str(path), "is not a list of devices", "begin with devices:"))
    rows, problems = [], []
    for number, item in enumerate(listed, 1):
        place = f"{path}: device {number}"
        if not isinstance(item, dict) or not isinstance(item.get("settings") or {}, dict):
            problems.append(Problem(place, f"{item!r} is not a mapping"))
            continue
        row = {str(key).lower(): value for key, value in item.items() if key != "settings"}
        row |= {str(key).lower(): value for key, value in (item.get("settings") or {}).items()}
        row.setdefault("device", row.pop("name", None))
        for key in row:
            if key not in DEVICE_COLUMNS[:-1]:
                hint = nearest(key, DEVICE_COLUMNS[:-1])
                problems.append(Problem(place, f"unknown key {key!r}", hint))
        rows.append((place, row))
    return rows, problems


def _record(
    place: str, row: Mapping[str, Any], feeder: Feeder | None
) -> tuple[dict[str, Any], list[Problem]]:
    """Return one device, and everything that is wrong with it."""
    problems: list[Problem] = []
    text = {name: "" if row.get(name) is None else str(row[name]) for name in DEVICE_COLUMNS[:-1]}
    record: dict[str, Any] = {name: text[name].strip() for name in (*_WORDS, *_KEPT)}
    record["kind"] = record["kind"].lower()
    if not record["device"]:
        problems.append(Problem(f"{place}, device", "a device has no name"))
    if record["kind"] not in DEVICE_KINDS:
        hint = nearest(record["kind"], DEVICE_KINDS) or f"one of {', '.join(DEVICE_KINDS)}"
        problems.append(Problem(f"{place}, kind", f"{record['kind']!r} is not a kind", hint))
    sense = _YES_NO.get(record["directional"].lower())
    if sense is None:
        message = f"{record['directional']!r} is neither yes nor no"
        problems.append(Problem(f"{place}, directional", message))
    record["directional"] = sense or ""
    for name in _NUMBERS:
        record[name] = _number(f"{place}, {name}", text[name].strip(), problems)
    element = record["element"]
    if feeder is not None and element:
        known = {str(name).lower(): str(name) for name in feeder.elements["element"]}
        if element.lower() not in known:
            hint = nearest(element, list(known.values()))
            message = f"{element!r} is not an element of the model"
            problems.append(Problem(f"{place}, element", message, hint))
        else:
            record["element"] = known[element.lower()]
    return record, problems


def _number(where: str, text: str, problems: list[Problem]) -> float:
    """Return a number at or above zero, NaN where empty; anything else is a problem."""
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        hint = f"did you mean {text.replace(',', '.')}?" if "," in text else ""
        problems.append(Problem(where, f"{text!r} is not a number", hint))
        return math.nan
    if not 0 <= value < math.inf:
        problems.append(Problem(where, f"{text} is not zero or above"))
        return math.nan
    return value
