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
from v2g_feeder.report.hosting_envelope import envelope_part
from v2g_feeder.report.hosting_figures import (
    KW_EDGES,
    CapacityPicture,
    draw_capacity_heat,
    draw_capacity_map,
)
from v2g_feeder.report.hosting_fleet import fleet_part
from v2g_feeder.report.hosting_page import write_hosting_page
from v2g_feeder.report.layout import place_buses
from v2g_feeder.report.rebuild import rebuild

from .browser import drive
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
                  "same_place": 3, "largest_share_of_room_off": 0.0, "two_solutions": 2},
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
    picture = CapacityPicture(layout, np.array([-1, 0, 1]), kw, {2: "B2: 40 kW"})
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
        "2 of these stand on a state that has two solutions",
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


def fleet_tables() -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """A fleet of 10, 20 and 40 vehicles that breaks a thermal limit at 18:00, 1, 3 and 4 of 4."""
    share = {10: 0.25, 20: 0.75, 40: 1.0}
    curve = pd.DataFrame(
        [
            {
                "policy": "managed", "case": "high", "criterion": criterion, "season": season,
                "hour": hour, "size": size, "draws": 4, "violating": round(4 * share[size]),
                "unknown": 0, "probability": share[size], "low": 0.0, "high": 1.0,
                "conditions": TOP,
            }
            for criterion in ("any", "thermal") for season in ("any", "winter")
            for hour in (-1, 18) for size in share
        ]
    )  # fmt: skip
    key = {"policy": "managed", "case": "high", "status": "limited"}
    half = {"threshold": 0.5, "size": 10.0, "passes_at": 20.0, "low": 0.0}
    every = [
        key | half | {"criterion": criterion, "season": season, "hour": hour, "high": None}
        for criterion in ("any", "thermal") for season in ("any", "winter") for hour in (-1, 18)
    ]  # fmt: skip
    part = {
        "conditions": TOP, "solved_sizes": [10, 20, 40], "draws_needed": {"0.5": 5},
        "settings": {"draws": 4, "confidence": 0.9, "thresholds": [0.5]}, "counted": "new ones",
        "rating_unknown": 2, "draws_unknown": 0,
        "sizes": [row | {"breaks_first": ["thermal"]} for row in every if row["hour"] == -1],
    }  # fmt: skip
    return part, curve, pd.DataFrame(every).assign(conditions=TOP)


def envelope_tables() -> tuple[dict[str, Any], pd.DataFrame]:
    """Two points by 24 hours: 4 and 6 kW to charge, half of it at 7:00; only the second exports."""
    rows = [
        {
            "point": point, "bus": bus, "connection": "A", "phase": "A", "step": hour,
            "season": "winter", "month": 1, "day_type": "weekday", "hour": hour, "minute": 0,
            "import_kw": size * (0.5 if hour == 7 else 1.0), "import_fails_at_kw": np.nan,
            "import_criterion": "thermal" if hour == 7 else "",
            "import_element": "Line.Long" if hour == 7 else "",
            "import_vertex": "all import" if hour == 7 else "",
            "import_status": "limited" if hour == 7 else "censored",
            "export_kw": 3.0 * point if hour else np.nan, "export_fails_at_kw": np.nan,
            "export_criterion": "", "export_element": "", "export_vertex": "",
            "export_status": "censored" if hour else "unknown", "conditions": LOCKED,
        }
        for point, (bus, size) in enumerate((("B1", 4.0), ("B2", 6.0))) for hour in range(24)
    ]  # fmt: skip
    part = {
        "conditions": LOCKED, "points": 2, "steps": 24, "steps_cut_by_inner_points": 1,
        "rating_kw": {"import": 10.0, "export": 3.0}, "vertices": ["all import"],
        "settings": {"allocation": "proportional", "inner_points": 50},
        "status": {"import": {"limited": 2, "censored": 46}, "export": {"censored": 48}},
    }  # fmt: skip
    return part, pd.DataFrame(rows)


def test_fleet_capacity_is_on_the_page_with_its_interval_and_conditions(tmp_path: Path) -> None:
    folder = made_folder(tmp_path)
    part, curve, sizes = fleet_tables()
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    (folder / "summary.json").write_text(json.dumps(summary | {"fleet_capacity": [part]}), "utf-8")
    curve.to_csv(folder / "hosting_fleet.csv", index=False)
    with pytest.raises(InputError, match=r"hosting_fleet_sizes\.csv"):
        rebuild(folder)
    sizes.to_csv(folder / "hosting_fleet_sizes.csv", index=False)
    text = rebuild(folder).read_text("utf-8")
    assert text.count("between 10 and 20 vehicles (interval 0 to over 40; managed, high") == 2
    row = (
        "<td>any limit</td><td class='n'>50 %</td><td class='n'>10</td><td class='n'>20</td>"
        "<td class='n'>0 to over 40</td>"
    ).replace("'", '"')
    assert text.count(row) == 3  # over all; in winter; in winter at 18:00
    assert "<td>winter</td><td>18:00</td><td>any limit</td>" in text
    for words in ("Too few draws for 50 %", "from 5 draws on", "2 elements of unknown rating"):
        assert words in text
    assert "managed, high" in (tmp_path / "figures" / "fleet_capacity.svg").read_text().lower()


def test_envelopes_are_on_the_page_with_the_place_that_limits(tmp_path: Path) -> None:
    folder = made_folder(tmp_path)
    part, table = envelope_tables()
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    both = summary | {"envelopes": [part, part | {"conditions": TOP}]}
    (folder / "summary.json").write_text(json.dumps(both), "utf-8")
    every = pd.concat([table, table.assign(conditions=TOP)])
    every.to_csv(folder / "envelopes.csv", index=False)
    text = rebuild(folder).read_text("utf-8").replace("\N{NO-BREAK SPACE}", " ")
    least = "charging 5 kW of 10 kW in its least hour (winter weekday 07:00, thermal at Line.Long)"
    assert text.count(least) == 4  # of each conditions, on the first screen and in its section
    assert "1 steps have no valid solution" in text
    text = text.replace(' class="when"', "")
    least = '<th scope="row">winter weekday 07:00</th><td>charging</td><td class="n">5</td>'
    assert least + '<td class="n">50</td><td class="n">2 to 3</td><td>thermal</td>' in text
    assert text.index(least) < text.index('<th scope="row">winter weekday 06:00</th>')
    unknown = '<th scope="row">winter weekday 00:00</th><td>export</td><td class="n">\N{EN DASH}'
    assert unknown in text
    point = '<th scope="row">B2</th><td>A</td><td class="n">3</td><td>winter weekday 01:00</td>'
    assert point + '<td class="n">3</td><td class="n">3</td><td>winter weekday 07:00</td>' in text
    assert {path.name for path in (tmp_path / "figures").glob("envelopes*")} == {
        "envelopes.svg", "envelopes_2.svg",
    }  # fmt: skip


def test_without_a_solution_or_a_charger_the_envelope_says_so() -> None:
    part, table = envelope_tables()
    nothing = table.assign(import_kw=np.nan, import_status="unknown", export_kw=0.0)
    said = envelope_part([part | {"rating_kw": {"import": 10.0, "export": 0.0}}], nothing)
    assert (
        "export has no charger; charging is unknown, no step has a solution" in said["headline"][0]
    )
    assert [row["way"] for row in said["totals"]] == ["export"]


@pytest.mark.parametrize(
    ("status", "words"),
    [("censored", "is not passed up to 40 vehicles"), ("unknown", "a size has no valid solution")],
)
def test_a_share_that_is_not_passed_is_no_capacity(status: str, words: str) -> None:
    part, curve, sizes = fleet_tables()
    rows = [row | {"passes_at": None, "status": status} for row in part["sizes"]]
    found = fleet_part([part | {"sizes": rows}], curve, sizes.assign(passes_at=np.nan))
    assert words in found["headline"][0]
    assert not found["hours"]
    assert found["sizes"][0]["passes_at"] == ("over 40" if status == "censored" else "unknown")


def test_the_page_fits_a_phone_and_its_tables_sort(tmp_path: Path) -> None:
    folder = made_folder(tmp_path)
    part, table = envelope_tables()
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    (folder / "summary.json").write_text(json.dumps(summary | {"envelopes": [part]}), "utf-8")
    table.to_csv(folder / "envelopes.csv", index=False)
    found = drive(
        rebuild(folder),
        """
        document.querySelectorAll("details").forEach((one) => { one.open = true; });
        const table = document.querySelector("[aria-label='Envelopes by step'] table");
        const first = () => table.tBodies[0].rows[0].cells[0].textContent;
        const before = first();
        table.querySelector("th button").click();
        const over = document.documentElement.scrollWidth - window.innerWidth;
        return { over, before, after: first() };
        """,
        size="390,900",
    )
    assert found == {"over": 0, "before": "winter weekday 07:00", "after": "winter weekday 00:00"}
