"""A set of limits of the user's own, from the study file to the tables and the manifest."""

import json

import pandas as pd
import pytest

from v2g_feeder.errors import InputError
from v2g_feeder.study.config import load_study
from v2g_feeder.study.run import run_study

STUDY = """
name: own limits
feeder: {model: ieee13}
base_load: {source: standard}
calendar: {seasons: {winter: [1], summer: [7]}, day_types: [weekday]}
fleets:
  - {name: homes, vehicles: 20, export_capable: 1.0, place: {by: buses, buses: [675]}}
dispatch: {export: {request_kw: 150}}
participation: [expected]
screening: {limits: own.yaml}
draws: 1
"""
OWN = """
like: ica
slow: [{kv_max: .inf, change_pu: 0.0005}]
line_unbalance: {pct: 0.5}
head_unbalance: {pct: 1}
tap_operations: {a_day: 0}
thermal: {pct: 25, season_factor: {winter: 10}}
"""


def test_limits_of_a_file(tmp_path):
    (tmp_path / "own.yaml").write_text(OWN)
    (tmp_path / "study.yaml").write_text(STUDY)
    run_study(load_study(tmp_path / "study.yaml"), tmp_path / "out", workers=1)
    rows = pd.read_csv(tmp_path / "out" / "violations.csv")
    found = set(rows["criterion"])
    assert {"slow_voltage", "line_unbalance", "head_unbalance"} <= found
    slow = rows[rows["criterion"] == "slow_voltage"]
    assert (slow["value"].abs() > 0.0005).all()
    assert (slow["policy"] != "no_ev").all()
    thermal = rows[rows["criterion"] == "thermal"]
    lines = thermal[thermal["element"].str.startswith("Line.")]
    assert set(thermal["season"]) == {"winter", "summer"}, "transformers keep their nameplate"
    assert set(lines["season"]) == {"summer"}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert "own.yaml" in [entry["file"].rsplit("/", 1)[-1] for entry in manifest["inputs"]]
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_season_that_the_study_does_not_have(tmp_path):
    (tmp_path / "own.yaml").write_text(OWN.replace("winter: 10", "wintr: 5"))
    (tmp_path / "study.yaml").write_text(STUDY)
    with pytest.raises(InputError, match="did you mean 'winter'"):
        load_study(tmp_path / "study.yaml")
