"""The load shapes of a study without power flow: the folder, its numbers and its package."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

from v2g_feeder.errors import InputError
from v2g_feeder.study.config import load_study
from v2g_feeder.study.package import export_case
from v2g_feeder.study.shapes import ALL_FLEETS, run_shapes

STUDY = {
    "name": "shapes",
    "feeder": {"model": "ieee13"},
    "calendar": {"seasons": {"winter": [1]}, "day_types": ["weekday", "weekend"]},
    "fleets": [
        {"name": "homes", "vehicles": 20, "export_capable": 0.8, "charger_kw": 11.5},
        {
            "name": "buses",
            "archetype": "school_bus",
            "vehicles": 4,
            "export_capable": 1.0,
            "place": {"by": "buses", "buses": ["671"]},
        },
    ],
    "dispatch": {"export": {"window": "17:00-20:00", "request_kw": 60.0}},
    "participation": ["expected", "firm", "mine"],
    "cases": {"mine": {"like": "high", "enrolled": 0.5}},
    "draws": 2,
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY, sort_keys=False))
    return load_study(path)


@pytest.fixture(scope="module")
def folder(study, tmp_path_factory):
    out = tmp_path_factory.mktemp("shapes") / "result"
    run_shapes(study, out)
    return out


@pytest.fixture
def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def test_the_folder_is_whole(folder):
    names = {path.name for path in folder.iterdir()}
    tables = ["shapes", "ledger", "funnel", "events", "shortfall", "diversity", "rebound", "traces"]
    assert {f"{name}.csv" for name in tables} <= names
    assert {"study.yaml", "summary.json", "manifest.json", "shapes.nc", "shapes.html"} <= names
    assert not [name for name in names if name.startswith(".")]
    drawn = {path.name for path in (folder / "figures").iterdir()}
    assert {"ledger.svg", "held.svg", "rebound.svg", "funnel.svg", "diversity.svg"} <= drawn


def test_shapes_of_fleets_add_up(folder):
    table = pd.read_csv(folder / "shapes.csv")
    keys = ["policy", "case", "season", "day_type", "hour", "minute"]
    by_fleet = table.pivot_table(index=keys, columns="fleet", values="kw_draw0")
    total = by_fleet["homes"] + by_fleet["buses"]
    np.testing.assert_allclose(by_fleet[ALL_FLEETS], total, rtol=1e-4, atol=1e-3)
    assert (table["kw_p05"] <= table["kw_p95"] + 1e-9).all()
    assert not table["kvar"].any()
    assert len(table) == 48 * 3 * len(table[["policy", "case"]].drop_duplicates())


def test_the_ledger_adds_up_to_nameplate(folder, summary):
    table = pd.read_csv(folder / "ledger.csv")
    rows = table.drop(columns=["policy", "case", "step", "season", "day_type", "hour", "minute"])
    np.testing.assert_allclose(rows.sum(axis=1), summary["study"]["nameplate_kw"], rtol=1e-4)


def test_arrays_open_with_units_and_agree_with_the_table(folder):
    table = pd.read_csv(folder / "shapes.csv")
    with xr.open_dataset(folder / "shapes.nc", engine="h5netcdf") as data:
        assert data["kw"].attrs["units"] == "kW"
        assert data["kvar"].attrs["units"] == "kvar"
        kw = data["kw"].sel(policy="export", case="mine").isel(draw=0).sum("point").to_numpy()
    mine = table[(table["policy"] == "export") & (table["case"] == "mine")]
    mine = mine[mine["fleet"] == ALL_FLEETS]
    np.testing.assert_allclose(mine["kw_draw0"], kw, rtol=1e-4, atol=1e-3)


def test_firm_says_what_the_stated_departures_take(summary):
    firm = [row for row in summary["events"] if row["case"] == "firm"]
    assert [row["departures"] for row in firm] == ["stated"]
    assert firm[0]["held_kw_mean"] != firm[0]["held_kw_mean_departures_known"]
    assert firm[0]["held_kw_in_95pct_of_days_departures_known"] >= 0
    assert {row["case"] for row in summary["funnel"]} >= {"expected", "firm", "mine"}


def test_a_second_run_has_the_same_content(study, summary, tmp_path):
    again = run_shapes(study, tmp_path / "again", command="another line")
    assert again["content_sha256"] == summary["content_sha256"]


def test_the_page_is_offline_and_names_every_case(folder):
    text = (folder / "shapes.html").read_text(encoding="utf-8")
    assert "http://" not in text
    assert "https://" not in text
    for name in ("Export, mine", "nameplate", "departures known", "vehicle"):
        assert name in text


def test_the_package_holds_the_stored_power(folder, tmp_path):
    other = tmp_path / "package"
    export_case(folder, "managed", "mine", 1, other)
    written = np.loadtxt(other / "ev_kw.csv", delimiter=",", skiprows=1)[:, 1:]
    with xr.open_dataset(folder / "shapes.nc", engine="h5netcdf") as data:
        stored = data["kw"].sel(policy="managed", case="mine").isel(draw=1).to_numpy()
    np.testing.assert_allclose(written, stored, rtol=1e-5, atol=1e-6)
    assert (folder / "opendss" / "run.dss").is_file()


@pytest.mark.parametrize(
    ("case", "draw", "message"), [("mien", 0, "mine"), ("mine", 2, "--draw: 2 is not 0 to 1")]
)
def test_what_the_result_does_not_hold_is_named(folder, tmp_path, case, draw, message):
    with pytest.raises(InputError, match=message):
        export_case(folder, "export", case, draw, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_nothing_is_overwritten_unasked_and_no_vehicles_is_an_error(study, folder, tmp_path):
    with pytest.raises(InputError, match="--overwrite"):
        run_shapes(study, folder)
    path = tmp_path / "study.yaml"
    fleets = [{"name": "none", "vehicles": 0, "export_capable": 0.0}]
    path.write_text(yaml.safe_dump(STUDY | {"fleets": fleets}))
    with pytest.raises(InputError, match="no vehicles"):
        run_shapes(load_study(path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_file_is_named(folder, tmp_path):
    from v2g_feeder.report.shapes_page import write_shapes_page

    shutil.copy(folder / "summary.json", tmp_path)
    with pytest.raises(InputError, match=r"shapes\.csv"):
        write_shapes_page(tmp_path)
