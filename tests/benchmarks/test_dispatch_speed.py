"""Vehicle-steps a second of the dispatch, beside acnportal's uncontrolled simulation.

``python -m pytest -m benchmark -s tests/benchmarks/test_dispatch_speed.py``

acnportal 0.3.3 is run by the interpreter that ``ACNPORTAL_PYTHON`` names (the one of these tests
where it is not set), so that its dependencies stay apart: make it with ``python -m venv`` and
``pip install acnportal==0.3.3``.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from v2g_feeder.dispatch import Event, fortnight, simulate
from v2g_feeder.fleet import (
    FleetSettings,
    draw_participation,
    draw_sessions,
    draw_vehicles,
    load_archetype,
    load_participation,
)

VEHICLES, DRAWS, STEP_MINUTES, ROUNDS = 1000, 20, 15, 5
EVENT = Event(17, 21, 2000.0)
OPTIONS = {"uncontrolled": {}, "managed": {}, "export": {"event": EVENT}}

pytestmark = pytest.mark.benchmark


@pytest.fixture(scope="module")
def fleet():
    """Homes that all take part, with departures as drivers state them."""
    rng = np.random.default_rng(1)
    vehicles = draw_vehicles([FleetSettings("homes", VEHICLES, export_capable=1.0)], rng)
    homes = [load_archetype("residential")]
    sessions = [draw_sessions(vehicles, homes, (6, 7, 8), rng) for _ in range(DRAWS)]
    chance = [draw_participation(VEHICLES, rng) for _ in range(DRAWS)]
    case = replace(load_participation()["firm"], enrolled=1.0)
    hour = np.arange(24 * 60 // STEP_MINUTES) * STEP_MINUTES / 60
    day = 2000 + 800 * np.cos((hour - 19) / 24 * 2 * np.pi)
    return vehicles, sessions, case, chance, fortnight(day, day)


def dispatched(fleet, policy, draws=DRAWS):
    """Return a run, the seconds it took, and its vehicle-steps a second."""
    vehicles, sessions, case, chance, signal = fleet
    begin = time.perf_counter()
    run = simulate(
        *(vehicles, sessions[:draws], policy, case, chance[:draws], signal),
        step_minutes=STEP_MINUTES,
        **OPTIONS[policy],
    )
    seconds = time.perf_counter() - begin
    return run, run.kw.size / seconds


def test_vehicle_steps_a_second(fleet, capsys):
    assert dispatched(fleet, "export")[0].kw.min() < 0  # compiles, and touches the memory
    assert dispatched(fleet, "managed")[0].kw.max() > 0
    speed = {"managed": [], "export": []}
    for _ in range(ROUNDS):
        for policy, found in speed.items():
            found.append(dispatched(fleet, policy)[1])
    lines = [
        f"{policy:13s}{statistics.median(found) / 1e6:8.1f} million vehicle-steps/s "
        f"({min(found) / 1e6:.1f} to {max(found) / 1e6:.1f} in {ROUNDS} rounds)"
        for policy, found in speed.items()
    ]
    report(capsys, lines)


def test_beside_acnportal(fleet, tmp_path, capsys):
    python = os.environ.get("ACNPORTAL_PYTHON", sys.executable)
    command = [python, "-c", "import acnportal"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip(f"{python} has no acnportal: pip install acnportal==0.3.3, ACNPORTAL_PYTHON")
    vehicles = fleet[0]
    dispatched(fleet, "uncontrolled", 1)  # compiles
    run, _ = dispatched(fleet, "uncontrolled", 1)
    stays = run.stays[run.stays["reachable"]]  # all that are over within the period
    missing = (stays["target_kwh"] - stays["soe_arrival_kwh"]) / vehicles.eta_c[stays["vehicle"]]
    stays = stays.assign(kwh=missing)[missing > 0]
    path = tmp_path / "sessions.json"
    path.write_text(json.dumps(for_acnportal(stays, vehicles, STEP_MINUTES)))
    script = Path(__file__).with_name("acnportal_run.py")
    theirs, speeds = [], {"uncontrolled": [], "managed": [], "export": []}
    for _ in range(ROUNDS):
        done = subprocess.run([python, script, path], capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout)
        theirs.append(run.kw.size / answer["seconds"])
        dispatched(fleet, "uncontrolled")  # memory that the other process had
        for policy, found in speeds.items():
            found.append(dispatched(fleet, policy)[1])
    # the same sessions: both charge all that is missing, to what a beginning lost costs
    np.testing.assert_allclose(np.sum(answer["energy_kwh"]), stays["kwh"].sum(), rtol=0.01)
    theirs = statistics.median(theirs)
    lines = [f"acnportal uncontrolled {theirs / 1e6:8.3f} million vehicle-steps/s"]
    lines += [
        f"{policy:22s} {speed / 1e6:8.1f} ({speed / theirs:.0f} x)"
        for policy, speed in ((name, statistics.median(found)) for name, found in speeds.items())
    ]
    report(capsys, lines)


def for_acnportal(stays, vehicles, step_minutes):
    """Return sessions on whole steps: vehicle, first step, step of departure, kWh wanted."""
    per_hour = 60 / step_minutes
    first = np.floor(stays["arrival_h"] * per_hour).astype(int)
    last = np.maximum(np.ceil(stays["departure_h"] * per_hour).astype(int), first + 1)
    rows = zip(stays["vehicle"], first, last, stays["kwh"], strict=True)
    return {
        "period_minutes": step_minutes,
        "rated_kw": vehicles.rated_kw.tolist(),
        "sessions": [[int(car), int(a), int(b), float(kwh)] for car, a, b, kwh in rows],
    }


def report(capsys, lines):
    with capsys.disabled():
        print("", *lines, sep="\n")  # noqa: T201 - what it is for
