"""The batch power flow beside a tight loop of OpenDSS: speed, threads, memory, first call.

``python -m pytest -m benchmark -s tests/benchmarks/test_powerflow_speed.py``

The same states, controls off, tolerance 1e-6 in both, all service voltages and all loadings read.
OpenDSS has its states as its own load shapes and is read by bulk getters; it begins every state
from the last one's solution, the batch engine from no load. Rounds are interleaved; medians.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from v2g_feeder.compiled import compiled
from v2g_feeder.feeder.engine import LOCKED, shared_engine
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.powerflow.solution import Reason

from ..powerflow.pairs import SHARED, pair  # noqa: TID252
from ..powerflow.places import homes  # noqa: TID252

ROOT = Path(__file__).parents[2]
FEEDERS = {
    "ckt5": SHARED / "ckt5" / "Master_ckt5.dss",
    "ieee8500": SHARED / "ieee8500" / "Master-unbal.dss",
}
ROUNDS, TOLERANCE = 5, 1e-6

pytestmark = pytest.mark.benchmark


def feeder_of(name):
    """A feeder with chargers, at the taps that it has settled to at nominal load."""
    path = FEEDERS[name]
    if not path.exists():
        pytest.skip(f"{name} is not beside the repository (shared/feeders)")
    shared_engine().load(path)
    points, rating = homes(read_feeder(shared_engine(), path), 12, 7.2)
    both = pair(path, None, points)
    nominal = both.run(both.states(np.ones(1)), settle=True)
    assert nominal.reason[0] <= Reason.FLAGGED
    return both, nominal, rating


def states_of(both, nominal, rating, count):
    """Base load of 0.3 to 1.0 and chargers of either sign, all at the same taps and banks."""
    rng = np.random.default_rng(count)
    evs = rating[:, None] * rng.uniform(-1, 1, (len(rating), count))
    taps, closed = (np.repeat(value.T, count, axis=0) for value in (nominal.taps, nominal.closed))
    return both.states(rng.uniform(0.3, 1.0, count), evs, taps=taps, closed=closed)


def tight_loop(both, count):
    """Solve the states that OpenDSS has been given; return voltages, loadings and seconds."""
    engine, probe = both.runner.engine, both.probe
    dss = engine._dss
    solution, elements, volts = dss.Solution, dss.PDElements, engine._volts()
    ground, rating = np.zeros(1), probe.amp_rating
    found = []
    engine._at(0, 1.0)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        solution.Solve()  # each moves the clock on to the next point of the shapes
        v = np.concatenate([volts[1:], ground])
        amps = elements.AllCurrents().view(complex)
        v_pu = np.abs(v[probe.volt_a] - v[probe.volt_b]) * probe.volt_scale
        share = np.abs(amps[probe.amp_at]) / rating
        found.append((v_pu, 100 * np.maximum.reduceat(share, probe.amp_start)))
    spent = time.perf_counter() - wall, time.process_time() - cpu
    return found, spent


def batch_run(both, states, threads=1):
    """Solve states on the batch engine; return the blocks and seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    blocks = list(both.solver.run(states, threads))
    return blocks, (time.perf_counter() - wall, time.process_time() - cpu)


@compiled
def spin(count: int) -> float:
    """Arithmetic that touches no memory."""
    total = 1.0
    for n in range(count):
        total = total * 0.999999 + n
    return total


def arithmetic(threads):
    """Seconds of so many threads that spin: what the machine has free for a second one."""
    begin = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(spin, [60_000_000] * threads))
    return time.perf_counter() - begin


@pytest.mark.parametrize("name", FEEDERS)
def test_ratio_to_opendss(name, capsys):
    both, nominal, rating = feeder_of(name)
    few, many = 100, 1024
    states, all_states = (states_of(both, nominal, rating, count) for count in (few, many))
    both.solver.tolerance = TOLERANCE
    both.run(states)  # compiles
    engine = both.runner.engine
    both.give(states)
    engine.start_series(1.0)
    engine.restore(both.start(states, 0), few, 1.0)
    engine._dss.Solution.ControlMode(LOCKED)
    engine._dss.Solution.Convergence(TOLERANCE)
    arithmetic(1), arithmetic(2)
    spent = {"opendss": [], "batch": [], "threads": []}
    free = []
    for _ in range(ROUNDS):
        theirs, seconds = tight_loop(both, few)
        spent["opendss"].append(np.array(seconds) / few)
        spent["batch"].append(np.array(batch_run(both, all_states)[1]) / many)
        spent["threads"].append(np.array(batch_run(both, all_states, 2)[1]) / many)
        free.append(2 * arithmetic(1) / arithmetic(2))
    mine = both.run(states)
    assert (mine.reason <= Reason.FLAGGED).all()
    known = both.probe.amp_element
    apart = [
        (np.abs(v_pu - mine.v_pu[:, n]).max(), np.abs(load - mine.loading_pct[known, n]).max())
        for n, (v_pu, load) in enumerate(theirs)
    ]
    near = [volts < 5 * TOLERANCE and load < 0.01 for volts, load in apart]
    assert np.mean(near) > 0.7
    wall, cpu = (
        {key: statistics.median(row[at] for row in rows) for key, rows in spent.items()}
        for at in (0, 1)
    )
    each = [row[0] / other[0] for row, other in zip(spent["opendss"], spent["batch"], strict=True)]
    report(
        capsys,
        f"{name}: {1e3 * wall['opendss']:.2f} ms a state on OpenDSS, {1e3 * wall['batch']:.4f} on "
        f"the batch engine: {wall['opendss'] / wall['batch']:.1f} x "
        f"({min(each):.1f} to {max(each):.1f} in {ROUNDS} rounds; by processor time "
        f"{cpu['opendss'] / cpu['batch']:.1f} x)",
        f"  two threads {1e3 * wall['threads']:.4f} ms: {wall['batch'] / wall['threads']:.2f} x one"
        f" (bare arithmetic meanwhile {statistics.median(free):.2f} x); "
        f"{mine.iterations.mean():.1f} iterations; {100 * np.mean(near):.0f} % of states within "
        f"{5 * TOLERANCE:g} pu and 0.01 % of a rating (others: two solutions, "
        f"begun elsewhere); load average {os.getloadavg()[0]:.1f}",
    )


def test_memory_of_a_year_and_of_ten(capsys):
    if not FEEDERS["ckt5"].exists():
        pytest.skip("ckt5 is not beside the repository (shared/feeders)")
    found = [child("year", str(times)) for times in (1, 10)]
    report(
        capsys,
        *(
            f"{row['states']} states of ckt5: peak {row['peak_mb']:.0f} MB, of which "
            f"{row['before_mb']:.0f} before the first; {row['seconds']:.0f} s"
            for row in found
        ),
    )


def test_first_call_and_second_process(capsys, tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    new, again = child("first", **cache), child("first", **cache)
    report(capsys, said("first call, compilation included", new), said("second process", again))


@pytest.mark.skipif(sys.platform == "win32", reason="folders that cannot be written")
def test_a_read_only_install(capsys, tmp_path):
    """Nothing can be written beside the package, nor in the home of the user."""
    tree = tmp_path / "install"
    for name in ("v2g_feeder", "tests", "feeders", "studies"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    home = tmp_path / "home"
    home.mkdir()
    writable(tree, on=False)
    writable(home, on=False)
    try:
        settings = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
        drop = ["NUMBA_CACHE_DIR"]
        # root writes where no one may, unless it gives that up
        given_up = ["--bounding-set", "-dac_override", "--inh-caps", "-dac_override"]
        prefix = ["setpriv", *given_up] if os.geteuid() == 0 else []
        touched = subprocess.run([*prefix, "touch", tree / "x"], capture_output=True, check=False)
        assert touched.returncode, "the folder must refuse"
        row = child("first", root=tree, drop=drop, prefix=prefix, **settings)
        assert not list(tmp_path.rglob("*.nbi")), "no machine code was kept"
        report(capsys, said("read-only install", row))
    finally:
        writable(tree, on=True)
        writable(home, on=True)


def writable(folder, *, on):
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200 if on else path.stat().st_mode & ~0o222)


def said(name, row):
    return (
        f"{name}: {row['all_s']:.1f} s in all, imports {row['import_s']:.1f} s, two solutions "
        f"{row['solve_s']:.2f} s; processor time {row['cpu_s']:.1f} s"
    )


def child(*arguments, root=ROOT, drop=(), prefix=(), **settings):
    """Run a process of its own and return what it measured."""
    command = [*prefix, sys.executable, "-m", "tests.benchmarks.powerflow_run", *arguments]
    kept = {key: value for key, value in os.environ.items() if key not in drop}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=root, env=kept | settings, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    row = json.loads(done.stdout.splitlines()[-1])
    assert Path(row["package"]) == root / "v2g_feeder", "another install was measured"
    return row


def report(capsys, *lines):
    with capsys.disabled():
        print("", *lines, sep="\n")  # noqa: T201 - what it is for
