"""What differs between two results: inputs, figures, broken limits, capacity.

Two tables are laid side by side by what a row is about; a row of the answer says what it is about,
its value in A, in B, and the difference. What is alike is left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import yaml

from v2g_feeder.conventions import Effect
from v2g_feeder.errors import InputError, Problem
from v2g_feeder.report.reading import kind_of
from v2g_feeder.report.words import run_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["compare_results"]

_MADE_WITH: Final = ("v2g_feeder", "engine", "python", "seed")
_HEAD: Final = ("peak_kw_mean", "lowest_kw")
_EVENTS: Final = (
    "request_kw",
    "held_kw_mean",
    "held_kw_in_95pct_of_days",
    "relief_kw_mean",
    "rebound_kw_mean",
)
_RUN: Final = ["policy", "case", "criterion"]
_POINT: Final = ["bus", "connection", "direction"]
_SAME: Final = 1e-6  # relative; the tables hold six digits


def compare_results(a: Path, b: Path) -> dict[str, Any]:
    """Return what differs between two result folders.

    Parameters
    ----------
    a, b
        Result folders of the same kind: both of ``study``, ``shapes`` or ``hosting``.

    Returns
    -------
    dict
        ``same`` (whether the tables and arrays are the same to the digit), and lists of rows:
        ``inputs`` (keys of the study, files, versions), ``figures`` (kW at the head and in events),
        ``violations`` (by policy, case and criterion: place-hours, mean of draws, and how many
        places break the limit in A alone, B alone and both), ``capacity`` (kW by direction and
        connection) and ``capacity_buses`` (the answers that moved most). A list that its results
        have no figures for is empty.

    Raises
    ------
    InputError
        If a folder holds no result, or the two are of different kinds.
    """
    folders = [Path(a), Path(b)]
    kinds = [kind_of(folder) for folder in folders]
    if kinds[0] != kinds[1]:
        message = f"is a result of `{kinds[1]}`, {folders[0]} one of `{kinds[0]}`"
        raise InputError(Problem(str(folders[1]), message, "compare results of one kind"))
    summaries = [_json(folder / "summary.json") for folder in folders]
    hashes = [summary.get("content_sha256") for summary in summaries]
    found: dict[str, Any] = {
        "a": str(folders[0]),
        "b": str(folders[1]),
        "same": hashes[0] == hashes[1] and hashes[0] is not None,
        "inputs": _inputs(*folders),
        "figures": _figures(*summaries),
        "violations": [],
        "capacity": [],
        "capacity_buses": [],
    }
    if kinds[0] == "study":
        found["violations"] = _violations(folders, summaries)
    if kinds[0] == "hosting":
        found["capacity"], found["capacity_buses"] = _capacity(*folders)
    return found


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _differs(one: Any, other: Any) -> bool:
    """Whether two values differ by more than the digits of the tables."""
    numbers = [isinstance(value, int | float) for value in (one, other)]
    if all(numbers):
        return not np.isclose(one, other, rtol=_SAME, atol=1e-9, equal_nan=True)
    return bool(one != other)


def _inputs(a: Path, b: Path) -> list[dict[str, Any]]:
    """Return the inputs that differ: keys of the resolved study, files, what it was made with."""
    both = [
        dict(_flat(yaml.safe_load((folder / "study.yaml").read_text("utf-8")))) for folder in (a, b)
    ]
    for folder, values in zip((a, b), both, strict=True):
        manifest = _json(folder / "manifest.json")
        values |= {name: manifest[name] for name in _MADE_WITH}
        values |= {f"package {name}": version for name, version in manifest["packages"].items()}
        study = f"{folder}.yaml"
        for row in manifest["inputs"]:
            name = Path(row["file"]).name
            if name != Path(study).name and not name.endswith((".yaml", ".yml")):
                values[f"file {name}"] = row["sha256"][:12]
    names = dict.fromkeys([*both[0], *both[1]])
    return [
        {"input": name, "a": both[0].get(name), "b": both[1].get(name)}
        for name in names
        if _differs(both[0].get(name), both[1].get(name))
    ]


def _flat(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted key and value of every leaf; the entries of ``fleets`` go by their names."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(item, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for number, item in enumerate(value):
            yield from _flat(item, f"{where}[{item.get('name', number)}]")
    else:
        yield where, ", ".join(map(str, value)) if isinstance(value, list) else value


def _figures(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the figures of head and events that differ."""
    sides = [dict(_named_figures(summary)) for summary in (a, b)]
    return [
        {"figure": name, "a": sides[0].get(name), "b": sides[1].get(name)}
        for name in dict.fromkeys([*sides[0], *sides[1]])
        if _differs(sides[0].get(name), sides[1].get(name))
    ]


def _named_figures(summary: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """Yield name and kW."""
    for row in summary.get("head", []):
        for name in _HEAD:
            yield f"head {row['policy']} {row['case']}: {name}", row[name]
    for row in summary.get("events", []):
        policy = row.get("policy", "export")
        for name in _EVENTS:
            if name in row:
                yield f"event {policy} {row['case']} {row['season']}: {name}", row[name]


def _violations(
    folders: Sequence[Path], summaries: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return broken limits by run and criterion, where the two differ."""
    hours = [
        _place_hours(folder, summary) for folder, summary in zip(folders, summaries, strict=True)
    ]
    places = [_places(folder) for folder in folders]
    none: set[str] = set()
    rows = []
    for key in dict.fromkeys([*hours[0], *hours[1], *places[0], *places[1]]):
        in_a, in_b = places[0].get(key, none), places[1].get(key, none)
        row = {
            **dict(zip(_RUN, key, strict=True)),
            "place_hours_a": hours[0].get(key, 0.0),
            "place_hours_b": hours[1].get(key, 0.0),
            "places_a_only": len(in_a - in_b),
            "places_b_only": len(in_b - in_a),
            "places_both": len(in_a & in_b),
        }
        moved = _differs(row["place_hours_a"], row["place_hours_b"])
        if moved or row["places_a_only"] or row["places_b_only"]:
            rows.append(row)
    rows.sort(key=lambda row: (*run_order(str(row["policy"]), str(row["case"])), row["criterion"]))
    return rows


def _place_hours(folder: Path, summary: Mapping[str, Any]) -> dict[tuple[str, ...], float]:
    """Return place-hours of broken limits, mean of draws, by policy, case and criterion."""
    table = pd.read_csv(folder / "hourly.csv", keep_default_na=False)
    draws = {(row["policy"], row["case"]): row["draws"] for row in summary["harm_and_relief"]}
    step_hours = summary["study"]["step_minutes"] / 60
    return {
        key: float(count) * step_hours / max(1, draws.get(key[:2], 1))
        for key, count in table.groupby(_RUN, observed=True)["count"].sum().items()
    }


def _places(folder: Path) -> dict[tuple[str, ...], set[str]]:
    """Return the places that break a limit, by policy, case and criterion."""
    columns = [*_RUN, "element", "bus", "node", "effect"]
    table = pd.read_csv(
        folder / "violations.csv", usecols=columns, dtype="category", keep_default_na=False
    )
    table = table[table["effect"] != str(Effect.CURED)].astype(str)
    table["place"] = table["element"].where(table["node"] == "", table["node"])
    rows = table[[*_RUN, "place"]].drop_duplicates()
    return {key: set(group["place"]) for key, group in rows.groupby(_RUN, observed=True)}


def _capacity(a: Path, b: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the least capacities by direction and connection, and those that moved most."""
    tables = [pd.read_csv(folder / "hosting_minima.csv", dtype={"bus": str}) for folder in (a, b)]
    wanted = [*_POINT, "kw", "limiting_criterion"]
    both = tables[0][wanted].merge(tables[1][wanted], on=_POINT, how="outer", suffixes=("_a", "_b"))
    both["difference_kw"] = both["kw_b"] - both["kw_a"]
    groups = [
        {
            "direction": direction,
            "connection": connection,
            "answers": int(mine["difference_kw"].notna().sum()),
            "a_only": int(mine["kw_b"].isna().sum()),
            "b_only": int(mine["kw_a"].isna().sum()),
            "median_kw_a": float(mine["kw_a"].median()),
            "median_kw_b": float(mine["kw_b"].median()),
            "least_difference_kw": float(mine["difference_kw"].min()),
            "largest_difference_kw": float(mine["difference_kw"].max()),
        }
        for (direction, connection), mine in both.groupby(["direction", "connection"], sort=True)
    ]
    moved = both[both["difference_kw"].abs() > _SAME * both["kw_a"].abs().clip(lower=1.0)]
    order = moved["difference_kw"].abs().sort_values(ascending=False, kind="stable").index
    rows = [
        {str(name): value for name, value in row.items()}
        for row in moved.loc[order].to_dict("records")
    ]
    return groups if rows or any(row["a_only"] or row["b_only"] for row in groups) else [], rows
