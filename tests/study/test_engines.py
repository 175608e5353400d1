"""Which engine solves a study, and that both give the same violations."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.study import power_flow
from v2g_feeder.study.config import load_study
from v2g_feeder.study.package import export_case
from v2g_feeder.study.power_flow import EngineUse
from v2g_feeder.study.run import run_study
from v2g_feeder.study.units import Comparison, Unit
from v2g_feeder.workers import Outcome

from .test_package import solve, voltages_of

WINTER = {
    "calendar": {"seasons": {"winter": [1]}, "day_types": ["peak_day"]},
    "dispatch": {"export": {"seasons": ["winter"]}},
    "participation": ["expected", "coincident_split"],
    "draws": 1,
}
KEYS = ["policy", "case", "draw", "step", "criterion", "element", "node", "phase", "effect"]
GOOD = Comparison(4, 96, 0, 1e-7, 1e-4, 1e-3)


def run(write_study, folder, **changes):
    folder.mkdir()
    return run_study(load_study(write_study(folder, **WINTER, **changes)), folder / "out")


def rows(folder):
    table = pd.read_csv(folder / "out" / "violations.csv")
    return table.sort_values(KEYS, ignore_index=True)


def test_both_engines_give_the_same_violations(write_study, tmp_path):
    batch = run(write_study, tmp_path / "batch", power_flow={"engine": "batch"})
    plain = run(write_study, tmp_path / "plain", power_flow={"engine": "opendss"})
    assert batch["engine"]["name"] == "batch"
    assert batch["engine"]["comparison"]["v_pu"] < 1e-6
    assert plain["engine"] == {"name": "opendss", "why": "", "comparison": None, "by_opendss": []}
    one, other = rows(tmp_path / "batch"), rows(tmp_path / "plain")
    assert len(one) > 100
    pd.testing.assert_frame_equal(one[KEYS], other[KEYS])
    for name in ("value", "reference_value"):
        np.testing.assert_allclose(one[name], other[name], rtol=2e-5)
    stated = {row["condition"]: row["value"] for row in batch["conditions"]}
    assert "batch engine" in stated["engine"]
    assert "end in the same taps" in stated["check against OpenDSS"]


def package_agrees(result, folder):
    """Stock OpenDSS with the power that the curves left: equal wherever its taps end the same."""
    export_case(result, "export", "coincident_split", 0, folder)
    files = solve("opendssdirect", folder)
    with xr.open_dataset(result / "results.nc", engine="h5netcdf") as data:
        run = data.sel(policy="export", case="coincident_split").isel(draw=0)
        expected, kvar = run["v_pu"].values, run["charger_kvar"].values
        apart = []
        for name, path in files.items():
            day, step = (int(part) for part in re.match(r"d(\d+)_s(\d+)_", name).groups())
            apart.append(np.abs(voltages_of(path, data) - expected[24 * day + step]).max())
    assert (np.abs(kvar).max(axis=1) > 1).all()
    assert len(apart) == len(expected)
    assert np.mean(np.array(apart) < 1e-6) > 0.6
    assert max(apart) < 0.025, "a few taps of regulators in series"


def test_a_study_with_chargers_on_their_curves(write_study, tmp_path):
    """One phase exports all it can: volt-var and volt-watt act, taps settle, OpenDSS agrees."""
    changes = {
        "chargers": {"volt_var": "category_b", "volt_watt": "category_b"},
        "fleets": [{"name": "homes", "vehicles": 600, "export_capable": 1.0, "charger_kw": 11.5}],
    }
    batch = run(write_study, tmp_path / "a", power_flow={"engine": "batch"}, **changes)
    assert batch["engine"]["name"] == "batch"
    assert batch["engine"]["comparison"]["v_pu"] < 1e-6
    assert batch["engine"]["comparison"]["other_state"] == 0
    found = {row["case"]: row for row in batch["curtailed"]}
    split = found["coincident_split"]
    assert 0.02 < split["curtailed_kwh_mean"] / split["asked_kwh_mean"] < 0.8
    stated = {row["condition"]: row["value"] for row in batch["conditions"]}
    assert "volt-watt begins at 1.06 pu" in stated["chargers"]
    assert {row["mark"] for row in batch["assumptions"] if row["group"] == "chargers"} == {"K", "A"}
    assert "kW and kvar" in batch["package"]["note"]
    package_agrees(tmp_path / "a" / "out", tmp_path / "package")
    assert any("before the chargers' curves cut" in line for line in batch["unknowns"])


def with_generation(folder, text):
    """A study of the 13-bus feeder with elements of its own."""
    master = folder / "master.dss"
    first = f'Redirect "{resolve_model("ieee13", folder).as_posix()}"\n'
    master.write_text(first + text)
    return {"feeder": {"model": str(master)}, "base_load": {"source": "native"}}


def test_a_model_with_a_generator_is_solved_by_the_batch_engine(write_study, tmp_path):
    """The loads are scaled to the peak of the head, from where it is fed from below."""
    changes = with_generation(tmp_path, "New Generator.chp bus1=671 kv=4.16 kw=5000 kvar=0\n")
    changes["base_load"]["head_peak_kw"] = 500.0
    summary = run(write_study, tmp_path / "study", power_flow={"engine": "batch"}, **changes)
    assert summary["engine"]["name"] == "batch"
    assert summary["engine"]["comparison"]["v_pu"] < 1e-6
    assert summary["engine"]["comparison"]["other_state"] == 0


def test_a_generator_that_limits_its_current_is_left_to_opendss_which_is_said(
    write_study, tmp_path
):
    text = "New Generator.chp bus1=671 kv=4.16 kw=100 kvar=0 model=7\n"
    changes = with_generation(tmp_path, text)
    summary = run(write_study, tmp_path / "study", power_flow={"engine": "batch"}, **changes)
    assert summary["engine"]["name"] == "opendss"
    assert "Generator.chp (model 7)" in summary["engine"]["why"]
    stated = {row["condition"]: row["value"] for row in summary["conditions"]}
    assert "Generator.chp" in stated["engine"]


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        (Outcome("check", GOOD), ""),
        (Outcome("check", GOOD._replace(other_state=2)), "2 of 96 steps"),
        (Outcome("check", GOOD._replace(v_pu=3e-6)), "3.0e-06 pu"),
        (Outcome("check", GOOD._replace(loading_pct=0.03)), "3.0e-02 %"),
        (Outcome("check", "cannot represent Generator.chp"), "Generator.chp"),
        (Outcome("check", None, "its process ended unexpectedly"), "ended unexpectedly"),
    ],
)
def test_engines_that_do_not_agree_leave_the_study_to_opendss(outcome, why):
    use = power_flow._judged(outcome)
    assert (use.name == "batch") == (why == "")
    assert why in use.why


def test_what_the_batch_engine_loses_is_left_to_opendss(monkeypatch, write_study, tmp_path):
    """No day is handed on before the engines agree; lost units are named."""
    study = load_study(write_study(tmp_path, **WINTER))
    units = [Unit(day, "managed", "expected", draw) for day in range(2) for draw in range(3)]
    handed = []

    days = SimpleNamespace(
        same_as={day: {unit: unit for unit in units if unit.day == day} for day in range(2)},
        begin=lambda: None,
        add_day=lambda day, file: handed.append((day, file.name)),
    )

    def outcomes(_function, jobs, **_options):
        yield Outcome(jobs[1][0], "")
        assert not handed
        yield Outcome("check", GOOD)
        yield Outcome(jobs[2][0], None, "it took longer than 600 s")

    monkeypatch.setattr(power_flow, "run_units", outcomes)
    use, left = power_flow._by_batch(study, dict.fromkeys(units), (days, tmp_path), 1)
    assert handed == [(0, "d000.pickle")]
    assert left == units[3:]
    assert use == EngineUse("batch", "", GOOD, tuple(unit.label for unit in units[3:]))
    assert json.loads(json.dumps(use.record()))["comparison"]["steps"] == 96


def test_small_studies_are_left_to_opendss(small_summary):
    assert small_summary["engine"]["name"] == "opendss"
    assert "million node-steps" in small_summary["engine"]["why"]
