"""A study that is killed and goes on has the result of one that was not."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

from v2g_feeder.errors import InputError
from v2g_feeder.study.config import load_study
from v2g_feeder.study.run import run_study

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
STUDY = {
    "name": "killed",
    "feeder": {"model": "ieee13"},
    "calendar": {"seasons": {"winter": [1], "summer": [7]}, "day_types": ["weekday", "peak_day"]},
    "fleets": [{"name": "homes", "vehicles": 40, "export_capable": 0.8}],
    "dispatch": {"export": {"window": "17:00-19:00", "request_kw": 60.0}},
    "participation": ["expected", "high"],
    "draws": 2,
}


def written(folder, **changes):
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY | changes))
    return path


def killed(path, out, *, units=0, seconds=np.inf):
    """Run the command until so many units have files or so much time is over, and kill it all."""
    command = [sys.executable, "-m", "v2g_feeder", "study", str(path), "--out", str(out), "-q"]
    run = subprocess.Popen([*command, "--workers", "2", "--resume"], start_new_session=True)
    end = time.monotonic() + seconds
    while run.poll() is None and time.monotonic() < end:
        if units and len(list(out.glob(".units/d*.pickle"))) >= units:
            break
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGKILL)
    return run.wait()


@pytest.mark.parametrize("engine", ["opendss", "batch"])
def test_it_goes_on_and_solves_nothing_twice(tmp_path, engine):
    flow = {"power_flow": {"engine": engine}}
    path, out = written(tmp_path, **flow), tmp_path / "out"
    whole = run_study(load_study(path), tmp_path / "whole", workers=2)
    assert killed(path, out, units=3) == -signal.SIGKILL
    assert not (out / "summary.json").exists()
    kept = {item: item.stat().st_mtime_ns for item in out.glob(".units/d*.pickle")}
    assert kept
    with pytest.raises(InputError, match=r"study\.seed: was 1, is 2"):
        run_study(load_study(path, seed=2), out, resume=True)
    with pytest.raises(InputError, match="--overwrite"):
        run_study(load_study(path), out)
    counts = []
    again = run_study(
        load_study(path), out, workers=1, resume=True, progress=lambda *told: counts.append(told)
    )
    assert again["content_sha256"] == whole["content_sha256"]
    assert not list(out.glob(".units*"))
    if engine == "opendss":
        total = counts[-1] and max(told[2] for told in counts if told[0] == "power flow")
        assert ("power flow", len(kept), total) in counts


@pytest.mark.long
def test_killed_at_twenty_moments(tmp_path):
    path = written(tmp_path)
    began = time.monotonic()
    whole = run_study(load_study(path), tmp_path / "whole", workers=2)["content_sha256"]
    seconds = time.monotonic() - began
    rng = np.random.default_rng(1)
    for number, share in enumerate(rng.uniform(0.05, 1.1, 20)):
        out = tmp_path / f"out{number}"
        if killed(path, out, seconds=share * seconds) == -signal.SIGKILL:
            summary = run_study(load_study(path), out, workers=2, resume=True)
            assert summary["content_sha256"] == whole, (number, share)
