"""A study that loses units: the rest completes, the losses are named, the exit code is 5."""

import importlib
import json
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from v2g_feeder.cli.main import main
from v2g_feeder.study import power_flow

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no signals")
STUDY = {
    "name": "losses",
    "feeder": {"model": "ieee13"},
    "calendar": {"seasons": {"summer": [7]}, "day_types": ["weekday"]},
    "fleets": [{"name": "homes", "vehicles": 40, "export_capable": 0.8}],
    "dispatch": {"export": {"window": "17:00-19:00", "request_kw": 60.0}},
    "participation": ["expected", "high"],
    "draws": 1,
}


@pytest.fixture
def faulty(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("faulty_units")


def run(folder, **changes):
    folder.mkdir(exist_ok=True)
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY | changes))
    out = folder / "out"
    done = CliRunner().invoke(main, ["study", str(path), "--out", str(out), "--workers", "2"])
    return done, json.loads((out / "summary.json").read_text()), out


WORDS = {
    "managed_high": "its process ended unexpectedly (exit code -11)",
    "uncontrolled_high": "it ran out of memory",
    "export_high": "it took longer than 40 s",
}


@pytest.mark.parametrize("late", [False, pytest.param(True, marks=pytest.mark.long)])
def test_units_lost_to_a_segfault_memory_and_time(faulty, monkeypatch, tmp_path, late):
    name = "solve_unit" if late else "solve_unit_in_time"
    monkeypatch.setattr(power_flow, "solve_unit", getattr(faulty, name))
    monkeypatch.setattr(power_flow, "DEADLINE_S", 40.0)
    done, summary, out = run(tmp_path)
    assert done.exit_code == 5, done.output
    lost = {row["unit"]: row["why"] for row in summary["validity"]["lost_units"]}
    runs = list(WORDS)[: 3 if late else 2]
    assert len(lost) == len(runs)
    rows = pd.read_csv(out / "violations.csv")
    for name in runs:
        (unit,) = (unit for unit in lost if name in unit)
        assert WORDS[name] in lost[unit]
        policy, case = name.split("_")
        bad = rows[(rows["policy"] == policy) & (rows["case"] == case)]
        assert set(bad["step"]) == set(range(24)), "a lost step is never one without a violation"
    assert summary["validity"]["invalid"] == len(runs) * 24
    kept = [row for row in summary["validity"]["by_run"] if row["case"] == "expected"]
    assert kept
    assert all(row["reason"] != "crashed" for row in kept)


def test_a_crash_under_the_batch_engine_is_made_good_by_opendss(faulty, monkeypatch, tmp_path):
    whole, expected, _ = run(tmp_path / "whole", power_flow={"engine": "batch"})
    assert whole.exit_code == 0, whole.output
    monkeypatch.setattr(power_flow, "_job", faulty.job)
    done, summary, _ = run(tmp_path / "crash", power_flow={"engine": "batch"})
    assert done.exit_code == 0, done.output
    assert summary["engine"]["name"] == "batch"
    assert any("export" in unit for unit in summary["engine"]["by_opendss"])
    assert summary["validity"] == expected["validity"]
