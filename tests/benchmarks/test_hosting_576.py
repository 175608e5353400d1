"""Capacity over the 576 hours of California's ICA: a sample extrapolated, and the whole.

``python -m pytest -m benchmark -s tests/benchmarks/test_hosting_576.py -k sample`` (minutes)
``python -m pytest -m benchmark -s tests/benchmarks/test_hosting_576.py -k whole`` (an hour or so)

EPRI ckt5, every bus with its own connection, regulators locked; IEEE 8500, 100 buses drawn at
random, regulators free. All criteria of the ICA set, export and import, one core. The plain way
beside IEEE 8500 halves with OpenDSS, regulators free from the same base taps, and screens the same
places: once from the maximum, and once from twice the answer, as if it had been guessed. Unlike
ours it solves no sizes above the answer to see whether one passes again.
"""

from __future__ import annotations

import resource
import time

import numpy as np
import pytest

from v2g_feeder.conventions import Direction
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.hosting import Conditions, Regulators, Search
from v2g_feeder.hosting.recheck import Recheck
from v2g_feeder.screening import load_limits

from ..hosting.cases import search  # noqa: TID252
from ..powerflow.pairs import SHARED  # noqa: TID252

pytestmark = pytest.mark.benchmark
HOURS, OF_DAY = 576, 24
RULES, SAMPLE = Search(), 12
CASES = {
    "ckt5": ("ckt5/Master_ckt5.dss", Regulators.LOCKED, None, 4),
    "ieee8500": ("ieee8500/Master.dss", Regulators.FREE, 100, 2),
}


def begun(name, steps):
    """Return a search and its limits; its first day is searched, and all code compiled."""
    file, regulators, most, _ = CASES[name]
    master = SHARED / file
    if not master.exists():
        pytest.skip(f"{name} is not beside the repository (shared/feeders)")
    limit, conditions = load_limits("ica"), Conditions(regulators=regulators)
    given = {"p": None, "conditions": conditions, "rules": RULES, "connections": "own"}
    given |= {"season": "winter", "steps": steps}
    buses = None
    if most:  # drawn from the screened buses, which a search of one of them names
        one = search(master, limit, **(given | {"buses": ["_hvmv_sub_lsb"], "steps": 1}))
        every = list(dict.fromkeys(one.runner.probe.observed.voltages["bus"]))
        chosen = np.random.default_rng(3).choice(len(every), most, replace=False)
        buses = [every[number] for number in sorted(chosen)]
    found = search(master, limit, buses=buses, **given)
    return found, limit, conditions


def told(name, nodal, seconds, answers, solves, hours):
    """Print what a search took, and what 576 hours take at its rate."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    whole = seconds * HOURS / hours / 60
    print(  # noqa: T201
        f"\n{name}: {len(nodal.points)} connections, {hours} hours, both directions: {answers} "
        f"answers in {seconds:.1f} s of processor time, {1e3 * seconds / answers:.2f} ms an answer"
        f"\n{solves / answers:.2f} solves an answer, {1e3 * seconds / solves:.3f} ms a solve; "
        f"largest memory {memory:.1f} GB"
        f"\n576 hours{'' if hours == HOURS else ' (EXTRAPOLATED from this sample)'}: {whole:.0f} "
        "core-minutes"
    )
    return memory


@pytest.mark.parametrize("name", CASES)
def test_sample(name):
    steps = CASES[name][-1]
    found, limit, conditions = begun(name, steps)
    began = time.process_time()
    again = found.nodal.day(0, "winter")
    seconds = time.process_time() - began
    memory = told(name, found.nodal, seconds, again.kw.size, again.solves.sum(), steps)
    assert memory < 4
    if conditions.settles:
        _beside_opendss(found, limit, conditions, seconds / again.kw.size)


def _beside_opendss(found, limit, conditions, ours):
    """Print what bisections by OpenDSS take for the same answers, regulators free."""
    nodal, table = found.nodal, found.table
    first = table[(table["step"] == 0) & table["fails_at_kw"].notna()]
    rows = first.sample(SAMPLE, random_state=3)
    points = nodal.points.merge(rows[["bus", "connection"]].drop_duplicates())
    check = Recheck(shared_engine(), nodal.grid.circuit, points, conditions, limit)
    parts = nodal.parts("winter")
    bases = nodal.grid.day(0, sorted({part.source for part in parts}), 0.0)
    check.settle(bases[0], nodal.grid.solver.place)
    for words, twice in (("the maximum", False), ("twice the answer", True)):
        solves, began, apart = 0, time.process_time(), []
        for _, row in rows.iterrows():
            low, high = 0.0, 2.0 * row["fails_at_kw"] if twice else RULES.maximum_kw
            while high - low > max(RULES.tolerance_kw, RULES.tolerance_share * low):
                middle = (low + high) / 2
                solves += 1 + (row["direction"] == Direction.EXPORT)
                one = check.solve(row["bus"], row["connection"], row["direction"], middle, parts)
                low, high = (middle, high) if one.passes else (low, middle)
            apart.append(abs(low - row["kw"]) / max(RULES.tolerance_kw, 0.01 * row["kw"]))
        theirs = (time.process_time() - began) / len(rows)
        print(  # noqa: T201
            f"plain OpenDSS bisection from {words}, {len(rows)} of them: {1e3 * theirs:.0f} ms an "
            f"answer, {solves / len(rows):.1f} solves; ratio {theirs / ours:.0f}; sizes differ by "
            f"{max(apart):.2f} tolerances at most"
        )


@pytest.mark.parametrize("name", CASES)
def test_whole(name):
    found, _, _ = begun(name, OF_DAY)
    nodal = found.nodal
    days = nodal.grid.circuit.base_load.p.shape[1] // OF_DAY  # of the calendar, over again
    answers = solves = 0
    began = time.process_time()
    for day in range(HOURS // OF_DAY):
        again = nodal.day(OF_DAY * (day % days), "winter")
        answers, solves = answers + again.kw.size, solves + int(again.solves.sum())
    seconds = time.process_time() - began
    assert told(name, nodal, seconds, answers, solves, HOURS) < 4
