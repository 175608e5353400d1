"""Generation in a study: both engines, the balance at the head, and what charging absorbs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
import yaml

from v2g_feeder.errors import InputError
from v2g_feeder.study.config import load_study
from v2g_feeder.study.run import run_study

CAMPUS = {
    "name": "campus",
    "feeder": {"model": "ieee13"},
    "base_load": {"source": "standard", "default_class": "commercial_md", "head_peak_kw": 2000.0},
    "calendar": {"seasons": {"summer": [6, 7, 8]}, "day_types": ["weekday"]},
    "solar": [
        {"name": "roof", "bus": "671", "kw": 3500.0, "latitude": 34.0, "longitude": -117.8}
    ],
    "fleets": [
        {
            "name": "cars", "archetype": "workplace", "vehicles": 400, "export_capable": 0.5,
            "enrolled": 1.0, "place": {"by": "buses", "buses": ["671"]},
        }
    ],
    "participation": ["expected"],
    "draws": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    def made(engine, **changes):
        folder = tmp_path_factory.mktemp(engine)
        path = folder / "study.yaml"
        content = CAMPUS | {"power_flow": {"engine": engine, "check_units": 2}} | changes
        path.write_text(yaml.safe_dump(content))
        run_study(load_study(path), folder / "result", workers=1)
        return folder / "result"

    return made


@pytest.fixture(scope="module")
def campus(run):
    return run("opendss")


def test_surplus_is_absorbed_and_power_flows_back_for_fewer_hours(campus):
    summary = json.loads((campus / "summary.json").read_text())
    with xr.open_dataset(campus / "results.nc", engine="h5netcdf") as data:
        head = {
            policy: data[f"head_kw_{policy}_expected"].to_numpy() for policy in ("no_ev", "managed")
        }
        kw = data["ev_kw_managed_expected"].to_numpy()
        roof = -3500.0 * data["base_p"].to_numpy()[-1]
    assert roof.min() < -2500.0
    assert (head["no_ev"] < 0).sum() > (head["managed"] < 0).mean(axis=0).sum()
    rows = {(row["policy"], row["case"]): row for row in summary["solar"]["absorbed"]}
    row = rows["managed", "expected"]
    assert 0 < row["absorbed_kwh_min"] <= row["absorbed_kwh_mean"] <= row["surplus_kwh"]
    assert row["absorbed_kwh_mean"] <= np.maximum(kw, 0).sum(axis=(1, 2)).mean() + 1e-3
    assert row["reverse_hours_mean"] <= row["reverse_hours_none"]
    assert row["absorbed_kwh_mean"] > rows["uncontrolled", "expected"]["absorbed_kwh_mean"]
    hours = {row["policy"]: row["reverse_hours"] for row in summary["solar"]["head"]}
    assert hours["no_ev"] == (head["no_ev"] < -0.1).sum()
    assert summary["feeder"]["load_kw"] > 0
    assert any(row["group"] == "solar" for row in summary["assumptions"])


def test_both_engines_hold_the_generation_alike(campus, run):
    other = run("batch")
    summary = json.loads((other / "summary.json").read_text())
    assert summary["engine"]["name"] == "batch"
    for name in ("head_kw_no_ev_expected", "head_kw_managed_expected"):
        with (
            xr.open_dataset(campus / "results.nc", engine="h5netcdf") as one,
            xr.open_dataset(other / "results.nc", engine="h5netcdf") as two,
        ):
            np.testing.assert_allclose(one[name], two[name], atol=0.05)


def test_wrong_arrays_are_told_by_their_key(tmp_path):
    path = tmp_path / "study.yaml"
    roof = CAMPUS["solar"][0]
    path.write_text(yaml.safe_dump(CAMPUS | {"solar": [roof, roof | {"latitude": 120.0}]}))
    with pytest.raises(InputError) as caught:
        load_study(path)
    told = [problem.where for problem in caught.value.problems]
    assert any("solar[1].latitude" in where for where in told)
    assert any("stands twice" in problem.message for problem in caught.value.problems)
    path.write_text(yaml.safe_dump(CAMPUS | {"solar": [roof | {"bus": "6711"}]}))
    with pytest.raises(InputError, match="no bus '6711'"):
        run_study(load_study(path), tmp_path / "result", workers=1)
