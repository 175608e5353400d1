"""The page of hosting capacity: one offline HTML file from the folder's own files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from v2g_feeder.report.charts import Chart
from v2g_feeder.report.figures import map_figure, new_figure, svg_text
from v2g_feeder.report.geojson import capacity_geojson
from v2g_feeder.report.hosting_envelope import envelope_part
from v2g_feeder.report.hosting_figures import CapacityPicture, draw_capacity_heat, draw_capacity_map
from v2g_feeder.report.hosting_fleet import fleet_part
from v2g_feeder.report.layout import place_buses
from v2g_feeder.report.page import embedded, environment
from v2g_feeder.report.places import when
from v2g_feeder.report.reading import check_files, read_records
from v2g_feeder.report.words import WAYS, amount, criterion_name, kw, plain, share_range
from v2g_feeder.store import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["write_hosting_page"]

_TABLES: Final = ("hosting_capacity", "hosting_minima", "buses")
_TEXT: Final = (
    "bus", "parent", "connection", "limiting_element", "import_element", "export_element", "season",
    "day_type",
)  # fmt: skip
_MOST_ROWS: Final = 60  # buses of a heat map: those of least capacity
_MOST_LISTED: Final = 500
_NAMED: Final = 3
_FURTHER: Final = {  # further tables by the part of the summary that says they are there
    "fleet_capacity": ("hosting_fleet", "hosting_fleet_sizes"),
    "envelopes": ("envelopes",),
}


def write_hosting_page(folder: Path) -> Path:
    """Build ``hosting.html``, ``figures/`` and ``map.geojson`` from the files of a result folder.

    Raises
    ------
    InputError
        If files are missing.
    """
    summary, manifest = read_records(folder)
    further = [name for part in _FURTHER if summary.get(part) for name in _FURTHER[part]]
    names = [*_TABLES, *further]
    check_files(folder, [f"{name}.csv" for name in names])
    tables = {name: _table(folder / f"{name}.csv") for name in names}
    groups = _charts(tables)
    for group, charts in groups.items():
        for chart in charts:
            write_text(folder / "figures" / f"hosting_{group}-{chart.key}.svg", chart.svg)
    system = summary["settings"].get("coordinate_system")
    places = capacity_geojson(tables["buses"], tables["hosting_minima"], system)
    if places is not None:
        write_text(folder / "map.geojson", places)
    context = _context(summary, tables["hosting_minima"]) | {
        "manifest": manifest,
        "further": _further(folder, summary, tables),
        "has_map": places is not None,
        "charts": {
            name: embedded(charts, charts[0].key if charts else "")
            for name, charts in groups.items()
        },
    }
    path = folder / "hosting.html"
    write_text(path, environment().get_template("hosting.html.j2").render(context))
    return path


def _further(
    folder: Path, summary: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]
) -> dict[str, dict[str, Any]]:
    """Return what the page says of fleets and envelopes, if they were asked for."""
    parts: dict[str, dict[str, Any]] = {}
    if summary.get("fleet_capacity"):
        both = (tables[name] for name in _FURTHER["fleet_capacity"])
        parts["fleet_capacity"] = fleet_part(summary["fleet_capacity"], *both)
    if summary.get("envelopes"):
        parts["envelopes"] = envelope_part(summary["envelopes"], tables["envelopes"])
    for name, part in parts.items():
        for number, chart in enumerate(part["charts"], 1):
            ending = "" if number == 1 else f"_{number}"
            write_text(folder / "figures" / f"{name}{ending}.svg", chart.svg)
        part["charts"] = embedded(part["charts"], part["charts"][0].key)
    return parts


def _table(path: Path) -> pd.DataFrame:
    """Return a table, names as text."""
    return pd.read_csv(path, dtype=dict.fromkeys(_TEXT, str), keep_default_na=False, na_values=[""])


def _charts(tables: Mapping[str, pd.DataFrame]) -> dict[str, list[Chart]]:
    """Return the figures by group: a chart each of the conditions and direction."""
    table, minima = tables["hosting_capacity"], tables["hosting_minima"]
    found: dict[str, list[Chart]] = {"feeder": [], "buses": [], "seasons": []}
    conditions = list(dict.fromkeys(minima["conditions"]))
    for number, name in enumerate(conditions):
        for direction, way in WAYS.items():
            least = _widest(minima, name, direction)
            rows = _widest(table, name, direction)
            if least.empty:
                continue
            key = f"{number}-{direction}"
            label = way if len(conditions) == 1 else f"{way}, {name}"
            drawn = {
                "feeder": _feeder_svg(tables["buses"], least),
                "buses": _buses_svg(rows, least),
                "seasons": _seasons_svg(rows),
            }
            for group, svg in drawn.items():
                alt = f"Capacity, {label}, {group}"
                found[group].append(Chart(key, label, svg, alt))
    return found


def _widest(table: pd.DataFrame, conditions: str, direction: str) -> pd.DataFrame:
    """Return the rows of each bus's widest connection: all its phases, or the last searched."""
    mine = table[(table["conditions"] == conditions) & (table["direction"] == direction)]
    width = mine["connection"].str.len().where(mine["connection"] != "split", 2)
    pairs = mine[["bus", "connection"]].assign(width=width).drop_duplicates()
    last = pairs.sort_values("width", kind="stable").groupby("bus")["connection"].last()
    return mine[mine["connection"] == mine["bus"].map(last)]


def _feeder_svg(buses: pd.DataFrame, least: pd.DataFrame) -> str:
    """Return the feeder coloured by least capacity."""
    names = [str(bus) for bus in buses["bus"]]
    parents = ["" if pd.isna(bus) else str(bus) for bus in buses["parent"]]
    layout = place_buses(names, parents, buses["x"].to_numpy(), buses["y"].to_numpy())
    number = {name.lower(): at for at, name in enumerate(names)}
    parent = np.array([number.get(name.lower(), -1) for name in parents])
    of_bus = np.full(len(names), np.nan)
    labels: dict[int, str] = {}
    known = least[least["kw"].notna()].sort_values("kw", kind="stable")
    for bus, size in zip(known["bus"], known["kw"], strict=True):
        at = int(layout.anchor[number[str(bus).lower()]])
        if at >= 0 and not np.isfinite(of_bus[at]):  # the least of those that are drawn there
            of_bus[at] = size
            if len(labels) < _NAMED:
                labels[at] = f"{bus}: {kw(size)}"
    figure = map_figure(layout)
    draw_capacity_map(figure.add_subplot(), CapacityPicture(layout, parent, of_bus, labels))
    return svg_text(figure)


def _buses_svg(rows: pd.DataFrame, least: pd.DataFrame) -> str:
    """Return least capacity by bus and hour over all days, buses of least capacity first."""
    order = least.sort_values("kw", kind="stable")["bus"].tolist()[:_MOST_ROWS]
    by_hour = rows.pivot_table(index="bus", columns="hour", values="kw", aggfunc="min")
    by_hour = by_hour.reindex(index=order, columns=range(24))
    figure = new_figure(11.2, 0.9 + 0.17 * max(len(order), 4))
    draw_capacity_heat(figure.add_subplot(), by_hour, ylabel="bus")
    return svg_text(figure)


def _seasons_svg(rows: pd.DataFrame) -> str:
    """Return the median bus's least capacity by season and hour."""
    keys = ["bus", "season", "hour"]
    least = rows.groupby(keys, sort=False)["kw"].min().reset_index()
    by_hour = least.pivot_table(index="season", columns="hour", values="kw", aggfunc="median")
    seasons = [name for name in dict.fromkeys(rows["season"]) if name in by_hour.index]
    by_hour = by_hour.reindex(index=seasons, columns=range(24))
    by_hour.index = pd.Index([plain(str(name)) for name in by_hour.index])
    figure = new_figure(11.2, 0.9 + 0.3 * max(len(seasons), 4))
    draw_capacity_heat(figure.add_subplot(), by_hour)
    return svg_text(figure)


def _context(summary: Mapping[str, Any], minima: pd.DataFrame) -> dict[str, Any]:
    """Return the sentences and tables that the template shows."""
    listed = minima.sort_values("kw", kind="stable").head(_MOST_LISTED)
    return {
        "summary": summary,
        "headline": _headline(summary),
        "capacity": [
            row | {"way": WAYS[row["direction"]], "limit": criterion_name(row["limiting"])}
            for row in summary["capacity"]
        ],
        "ranges": [row | {"way": WAYS[row["direction"]]} for row in summary["range"]],
        "limiting": _limiting(summary["limiting"]),
        "minima": [_minimum(row) for row in listed.to_dict("records")],
        "more_minima": len(minima) - len(listed),
        "mitigation": [
            row
            | {
                "way": WAYS[row["direction"]],
                "curtailed": share_range(
                    row["curtailed_share_median"], row["curtailed_share_most"]
                ),
            }
            for row in summary.get("mitigation", [])
        ],
        "most_rows": _MOST_ROWS,
        "not_searched": [criterion_name(name) for name in summary["not_searched"]],
    }


def _headline(summary: Mapping[str, Any]) -> str:
    """Return the answer in a sentence: the median and the worst bus under the first conditions."""
    first = summary["capacity"][0]["conditions"] if summary["capacity"] else ""
    parts = []
    for direction, way in WAYS.items():
        rows = [
            row
            for row in summary["capacity"]
            if row["conditions"] == first and row["direction"] == direction
        ]
        if rows:
            row = max(rows, key=lambda row: (row["connection"] == "ABC", row["buses"]))
            parts.append(
                f"{way} on {row['connection']}: {kw(row['kw_median'])} at the median bus, "
                f"{kw(row['kw_min'])} at {row['bus_of_min']}"
            )
    text = "; ".join(parts) or "no bus could be searched"
    return f"In the worst hour, {text}."


def _limiting(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what limits, most answers first within each of the conditions and direction."""
    found = [
        {
            "conditions": row["conditions"],
            "way": WAYS[row["direction"]],
            "limit": criterion_name(row["limiting_criterion"]) or "none",
            "status": plain(row["status"]),
            "answers": row["answers"],
        }
        for row in rows
    ]
    order = list(dict.fromkeys((row["conditions"], row["way"]) for row in found))
    found.sort(key=lambda row: (order.index((row["conditions"], row["way"])), -row["answers"]))
    return found


def _minimum(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the cells of an annual minimum."""
    limit = row["limiting_criterion"]
    step = row.get("sudden_step")
    during = "" if step is None or pd.isna(step) else f", {plain(step)}"
    return {
        "bus": str(row["bus"]),
        "connection": str(row["connection"]),
        "way": WAYS[row["direction"]],
        "kw": amount(row["kw"]),
        "when": when(row),
        "limit": "none" if pd.isna(limit) else criterion_name(str(limit)) + during,
        "element": "" if pd.isna(row["limiting_element"]) else str(row["limiting_element"]),
        "status": plain(str(row["status"])),
        "conditions": str(row["conditions"]),
    }
