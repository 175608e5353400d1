"""The page of hosting capacity: what its drawings and its map hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection

from v2g_feeder.errors import InputError
from v2g_feeder.report.figures import new_figure
from v2g_feeder.report.geojson import capacity_geojson
from v2g_feeder.report.hosting_figures import (
    KW_EDGES,
    CapacityPicture,
    draw_capacity_heat,
    draw_capacity_map,
)
from v2g_feeder.report.hosting_page import write_hosting_page
from v2g_feeder.report.layout import place_buses
from v2g_feeder.report.rebuild import rebuild

from .conftest import MANIFEST

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

LOCKED, TOP = "regulators locked", "regulators top"
BUSES = pd.DataFrame(
    {
        "bus": ["Src", "B1", "B2"], "parent": ["", "Src", "B1"], "x": [0.0, 1.0, 2.0],
        "y": [0.0, 0.0, 1.0], "phase": ["ABC", "ABC", "A"], "kv_base_ln": 7.2,
        "km": [0.0, 1.0, 2.0],
    }
)  # fmt: skip
KW = {("B1", "A"): 5.0, ("B1", "ABC"): 300.0, ("B2", "A"): 40.0}


def made_rows() -> pd.DataFrame:
    """Two seasons by 24 hours: kW of a key times 1 or 2 by season, the least at hour 13."""
    rows = [
        {
            "bus": bus, "connection": connection, "direction": direction, "step": 24 * at + hour,
            "season": season, "month": 1, "day_type": "weekday", "hour": hour, "minute": 0,
            "kw": least * (1 + at) * (1 if hour == 13 else 3) * (1 if name == LOCKED else 0.5),
            "fails_at_kw": 1e4, "limiting_criterion": "over_voltage",
            "limiting_element": f"{bus}.1", "status": "limited", "conditions": name,
        }
        for name in (LOCKED, TOP)
        for (bus, connection), least in KW.items()
        for direction in ("export", "import")
        for at, season in enumerate(("winter", "summer"))
        for hour in range(24)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def made_minima(rows: pd.DataFrame) -> pd.DataFrame:
    keys = ["conditions", "bus", "connection", "direction"]
    return rows.loc[rows.groupby(keys, sort=False)["kw"].idxmin()].reset_index(drop=True)


def made_folder(folder: Path, buses: pd.DataFrame = BUSES) -> Path:
    rows = made_rows()
    minima = made_minima(rows)
    capacity = [
        {
            "conditions": name, "direction": direction, "connection": "ABC", "buses": 1,
            "already_violated": 0, "kw_min": 300.0, "kw_median": 300.0, "kw_max": 300.0,
            "bus_of_min": "B1", "limiting": "over_voltage",
        }
        for name in (LOCKED, TOP) for direction in ("export", "import")
    ]  # fmt: skip
    summary: dict[str, Any] = {
        "kind": "hosting", "name": "made", "question": "How much?", "feeder": {"circuit": "made"},
        "conditions": [f"feeder: {LOCKED}", f"feeder: {TOP}"], "candidates": 3, "steps": 48,
        "settings": {"coordinate_system": None}, "capacity": capacity, "range": [],
        "limiting": [
            {"conditions": LOCKED, "direction": "export", "limiting_criterion": "over_voltage",
             "status": "limited", "answers": 7},
        ],
        "effort": {"pairs": len(rows), "solves_a_pair": 2.5},
        "check": {"checked": 3, "annual_minima": 3, "passes_at_kw": 3, "fails_at_fails_at_kw": 3,
                  "same_place": 3, "largest_share_of_room_off": 0.0},
        "unrated": {"answers": 9, "buses": 1, "elements": 1, "first_elements": ["Line.sw"]},
        "not_searched": ["tap_operations"], "findings": [], "notes": ["a note"],
        "content_sha256": "0" * 64,
    }  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary), "utf-8")
    (folder / "manifest.json").write_text(json.dumps(MANIFEST), "utf-8")
    for name, table in {
        "hosting_capacity": rows, "hosting_minima": minima, "buses": buses,
    }.items():  # fmt: skip
        table.to_csv(folder / f"{name}.csv", index=False)
    return folder


def axes() -> Axes:
    return new_figure(6, 4).add_subplot()


def test_the_drawing_colours_buses_and_puts_the_least_on_top() -> None:
    layout = place_buses(
        list(BUSES["bus"]), list(BUSES["parent"]), BUSES["x"].to_numpy(), BUSES["y"].to_numpy()
    )
    kw = np.array([np.nan, 300.0, 40.0])
    picture = CapacityPicture(layout, np.array([-1, 0, 1]), kw, {2: "B2"})
    ax = draw_capacity_map(axes(), picture)
    (lines,) = (one for one in ax.collections if isinstance(one, LineCollection))
    assert len(lines.get_segments()) == 2
    (dots,) = (one for one in ax.collections if isinstance(one, PathCollection))
    assert np.asarray(dots.get_array()).tolist() == [300.0, 40.0]
    assert np.asarray(dots.get_offsets())[-1].tolist() == [2.0, 1.0]
    assert [text.get_text() for text in ax.texts] == ["B2: 40 kW"]


def test_the_heat_map_shows_kw_and_leaves_the_unknown_white() -> None:
    table = pd.DataFrame(np.full((2, 24), 30.0), index=["B1", "B2"])
    table.iloc[0, 5], table.iloc[1, 7] = np.nan, 0.0
    ax = draw_capacity_heat(axes(), table, ylabel="bus")
    shown = np.ma.masked_invalid(ax.images[0].get_array())
    assert shown.mask.sum() == 1
    assert shown.mask[0, 5]
    assert shown[1, 7] == 0
    norm = ax.images[0].norm
    assert norm(0.5) == 0
    assert norm(1e9) == len(KW_EDGES) - 1
    assert [label.get_text() for label in ax.get_yticklabels()] == ["B1", "B2"]


def test_the_map_holds_each_bus_and_says_what_its_coordinates_are() -> None:
    minima = made_minima(made_rows())
    text = capacity_geojson(BUSES, minima, None)
    assert text is not None
    found = json.loads(text)
    assert "crs" not in found
    assert "no system is stated" in found["coordinates"]
    b1 = next(one for one in found["features"] if one["properties"]["bus"] == "B1")
    assert b1["geometry"] == {"type": "Point", "coordinates": [1.0, 0.0]}
    assert b1["properties"]["export_A_kw"] == 5.0
    assert b1["properties"]["export_A_kw_any_conditions"] == 2.5
    assert b1["properties"]["import_ABC_at"] == "B1.1"
    stated = json.loads(capacity_geojson(BUSES, minima, "EPSG:2229") or "")
    assert stated["crs"]["properties"]["name"] == "EPSG:2229"
    assert capacity_geojson(BUSES.assign(x=np.nan), minima, None) is None


def test_the_page_is_built_from_the_folder_alone(tmp_path: Path) -> None:
    page = rebuild(made_folder(tmp_path))
    text = page.read_text("utf-8")
    for words in (
        "In the worst hour, export on ABC: 300", LOCKED, TOP, "tap operations added",
        "event's start", "Line.sw", "3 fail one tolerance above", "a note", "winter weekday 13:00",
    ):  # fmt: skip
        assert words in text, words
    assert text.index('<td>A</td><td>export</td><td class="n">2.5</td>') > 0
    for group in ("feeder", "buses", "seasons"):
        for key in ("0-export", "0-import", "1-export", "1-import"):
            assert (tmp_path / "figures" / f"hosting_{group}-{key}.svg").is_file()
    assert (tmp_path / "map.geojson").is_file()


def test_without_coordinates_there_is_no_map(tmp_path: Path) -> None:
    text = write_hosting_page(made_folder(tmp_path, BUSES.assign(x=np.nan, y=np.nan))).read_text()
    assert not (tmp_path / "map.geojson").exists()
    assert "drawn as a tree" in text
    (tmp_path / "buses.csv").unlink()
    with pytest.raises(InputError, match=r"buses\.csv"):
        write_hosting_page(tmp_path)
