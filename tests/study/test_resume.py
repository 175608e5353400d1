"""A study that is killed and goes on has the result of one that was not."""

import json
import os
import shutil
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


def test_an_interrupt_exits_130_and_leaves_what_was_solved(tmp_path):
    path, out = written(tmp_path), tmp_path / "out"
    command = [sys.executable, "-m", "v2g_feeder", "study", str(path), "--out", str(out), "-q"]
    run = subprocess.Popen([*command, "--workers", "2"], stderr=subprocess.PIPE, text=True)
    while run.poll() is None and not list(out.glob(".units/d*.pickle")):
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=120)
    assert (run.returncode, said.strip()) == (130, "interrupted")
    assert list(out.glob(".units/d*.pickle"))
    assert not (out / "summary.json").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own, and a function that changes its size."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount") or "mount"

    def sized(kilobytes, how="remount"):
        options = f"{how},size={kilobytes}k"
        return subprocess.run(
            [mount, "-t", "tmpfs", "-o", options, "tmpfs", str(disk)],
            capture_output=True,
            check=False,
        ).returncode

    if sys.platform != "linux" or os.geteuid() or sized(100, "rw"):
        pytest.skip("no disk can be mounted here")
    yield disk, sized
    subprocess.run([shutil.which("umount") or "umount", str(disk)], check=True)


@pytest.mark.parametrize(
    "kilobytes",  # among the units, in the arrays, in the report
    [pytest.param(100, marks=pytest.mark.long), 700, pytest.param(2000, marks=pytest.mark.long)],
)
def test_a_full_disk_is_told_and_gone_on_from(tmp_path, small_disk, kilobytes):
    disk, sized = small_disk
    path, out = written(tmp_path), disk / "out"
    command = [sys.executable, "-m", "v2g_feeder", "study", str(path), "--out", str(out), "-q"]
    command += ["--workers", "1", "--resume"]
    assert sized(kilobytes) == 0
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    said, _ = done.stderr.splitlines()[-2:]  # HDF5 may complain before
    assert said == "error: the disk of the output folder is full"
    assert list(out.glob(".units/*")), "not a whole result"
    assert sized(20_000) == 0
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads((out / "summary.json").read_text())
    whole = run_study(load_study(path), tmp_path / "whole", workers=1)
    assert summary["content_sha256"] == whole["content_sha256"]
    assert not list(out.glob(".units*"))


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


def test_a_whole_result_is_taken_as_it_is(small_result, write_study, tmp_path):
    """A run may be killed on its way out; of other inputs, or by --overwrite, it is not taken."""
    study = load_study(small_result.parent / "study.yaml")
    before = {path: path.stat().st_mtime_ns for path in small_result.rglob("*")}
    told = []
    found = run_study(study, small_result, resume=True, notice=told.append)
    assert found == json.loads((small_result / "summary.json").read_text())
    assert "nothing was run" in told[0]
    other = load_study(write_study(tmp_path, seed=4))
    with pytest.raises(InputError, match="seed: was 3, is 4"):
        run_study(other, small_result, resume=True)
    with pytest.raises(InputError, match="goes on with a run that --overwrite would remove"):
        run_study(study, small_result, resume=True, overwrite=True)
    assert {path: path.stat().st_mtime_ns for path in small_result.rglob("*")} == before
