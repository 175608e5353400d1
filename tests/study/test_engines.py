"""Which engine solves a study, and that both give the same violations."""

import json

import numpy as np
import pandas as pd
import pytest

from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.study import power_flow
from v2g_feeder.study.config import load_study
from v2g_feeder.study.power_flow import EngineUse
from v2g_feeder.study.run import run_study
from v2g_feeder.study.units import Comparison, Unit
from v2g_feeder.workers import Outcome

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


def test_a_model_with_a_generator_is_solved_by_opendss_and_says_so(write_study, tmp_path):
    master = tmp_path / "master.dss"
    text = f'Redirect "{resolve_model("ieee13", tmp_path).as_posix()}"\n'
    master.write_text(text + "New Generator.chp bus1=671 kv=4.16 kw=100 kvar=0\n")
    changes = {"feeder": {"model": str(master)}, "base_load": {"source": "native"}}
    summary = run(write_study, tmp_path / "study", power_flow={"engine": "batch"}, **changes)
    assert summary["engine"]["name"] == "opendss"
    assert "Generator.chp" in summary["engine"]["why"]
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

    class Days:
        def add(self, group, lost=""):
            handed.append((list(group), lost))

    def outcomes(_function, jobs, **_options):
        yield Outcome(jobs[1][0], "")
        assert not handed
        yield Outcome("check", GOOD)
        yield Outcome(jobs[2][0], None, "it took longer than 600 s")

    monkeypatch.setattr(power_flow, "run_units", outcomes)
    use, left = power_flow._by_batch(study, units, Days(), tmp_path, 1)
    assert handed == [(units[:3], "")]
    assert left == units[3:]
    assert use == EngineUse("batch", "", GOOD, tuple(unit.label for unit in units[3:]))
    assert json.loads(json.dumps(use.record()))["comparison"]["steps"] == 96


def test_small_studies_are_left_to_opendss(small_summary):
    assert small_summary["engine"]["name"] == "opendss"
    assert "million node-steps" in small_summary["engine"]["why"]
