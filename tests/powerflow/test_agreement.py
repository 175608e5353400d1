"""The batch engine against OpenDSS on whole feeders: years, seasons, reversed flows.

``python -m pytest -m long -s tests/powerflow/test_agreement.py``
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.powerflow.solution import Reason

from .pairs import RATING_PCT, SHARED, VOLTS_PU, joined, pair
from .places import YEAR, depots, ev_days, homes

pytestmark = pytest.mark.long

FEEDERS = {
    "ckt5": SHARED / "ckt5" / "Master_ckt5.dss",
    "ieee8500": SHARED / "ieee8500" / "Master.dss",
    "ieee8500-unbalanced": SHARED / "ieee8500" / "Master-unbal.dss",
    "ieee_eu_lv": SHARED / "ieee_eu_lv" / "Master.dss",
}
NEAR_PU = 1e-3  # of a limit: how far a load may be that is on another side of it
SHIPPED = ("ieee13", "ieee34", "ieee37", "ieee123")


def placed(name, every, home_kw, count, depot_kw):
    """Load a feeder with points beside its loads and depots on its primary."""
    path = FEEDERS[name] if name in FEEDERS else resolve_model(name, Path.cwd())
    if not path.exists():
        pytest.skip(f"{name} is not beside the repository (shared/feeders)")
    shared_engine().load(path)
    feeder = read_feeder(shared_engine(), path)
    near, far = homes(feeder, every, home_kw), depots(feeder, count, depot_kw)
    rating = np.concatenate([near[1], far[1]])
    return path, feeder, [*near[0], *far[0]], rating


def own_shapes(feeder):
    """Row of each load's yearly shape, and the shapes, ``[row, step]``."""
    shapes = shared_engine().load_shapes()
    names = sorted(feeder.loads["yearly"].unique())
    rows = {name: row for row, name in enumerate(names)}
    values = [shapes[name].get("PMult") or shapes[name]["Mult"] for name in names]
    of = dict(zip(feeder.loads["name"], feeder.loads["yearly"].map(rows), strict=True))
    return of, np.array(values, float)


def compared(both, states, capsys, name):
    """Solve locked states on both engines and return heads, and whether both solved each.

    Where a load's current jumps at a limit (models 3, 4, 6 and 7) the voltage that it makes jumps
    too, by some 1e-4 pu: as long as the limit lies in between, the load may be on either side of
    it, each by its own voltage, and there are two solutions. Which one is reached depends on the
    way; OpenDSS reaches one or the other by where it begins. Such states are listed: at least one
    load must be on another side, by no more than ``NEAR_PU``, and the batch engine, begun from
    OpenDSS's solution, must stay with it.
    """
    seconds = {"batch": 0.0, "opendss": 0.0}
    reference = both.locked(states)
    rows, two = [], []
    blocks = both.solver.run(states)
    while True:
        begin = time.perf_counter()
        block = next(blocks, None)
        seconds["batch"] += time.perf_counter() - begin
        if block is None:
            break
        for number in range(block.v_pu.shape[1]):
            begin = time.perf_counter()
            raw = next(reference)
            seconds["opendss"] += time.perf_counter() - begin
            failed = block.reason[number] == Reason.NOT_CONVERGED
            apart = 3 * (np.nan,)
            if raw.converged and not failed:
                flow = np.abs(both.probe.flows(raw) - block.flow_kw[:, number]).max()
                apart = *both.apart(block, number, raw), flow
                if apart[0] > VOLTS_PU or apart[1] > RATING_PCT:
                    at = block.first + number
                    assert both.stays(states, at, raw), (at, *apart)
                    sides = both.sides(states, at, raw)
                    assert sides, (at, *apart)
                    assert max(sides) < NEAR_PU, (at, sides)
                    two.append(f"{at}: {apart[0]:.0e} pu, {len(sides)} load phases switch")
                    apart = 3 * (np.nan,)
            rows.append((*apart, block.flow_kw[0, number], raw.converged, failed))
    volts, load, flow, head, converged, failed = (np.array(c) for c in zip(*rows, strict=True))
    solved = converged & ~failed
    turned = (head[solved] < 0).sum()
    each = {engine: 1e3 * spent / len(rows) for engine, spent in seconds.items()}
    report(
        capsys,
        f"{name}: {len(rows)} states, {solved.sum()} solved by both, {(~converged).sum()} not by "
        f"OpenDSS, {failed.sum()} not by the batch engine; two solutions in {two}; else largest "
        f"difference {np.nanmax(volts):.1e} pu, {np.nanmax(load):.1e} % of a rating, "
        f"{np.nanmax(flow):.1e} kW; head {np.nanmin(head):.0f} to {np.nanmax(head):.0f} kW, "
        f"reversed in {turned}; {each['opendss']:.2f} ms a state on OpenDSS, "
        f"{each['batch']:.2f} ms on the batch engine",
    )
    assert len(two) <= 0.001 * len(rows), two
    assert (converged == ~failed).all(), np.flatnonzero(converged == failed)[:20]
    return head[solved], solved


def report(capsys, line):
    with capsys.disabled():
        print(f"\n{line}")  # noqa: T201 - what it is for


def test_a_year_of_ckt5(capsys):
    path, feeder, points, rating = placed("ckt5", 10, 7.2, 6, 1200.0)
    of, base = own_shapes(feeder)
    both = pair(path, None, points, shape_of=of)
    evs = ev_days(rating, base.shape[1], np.random.default_rng(5))
    head, solved = compared(both, both.states(base, evs), capsys, "ckt5, 8,760 h")
    assert len(solved) == 8760
    assert (head < 0).sum() > 1000
    assert solved.mean() > 0.999


@pytest.mark.parametrize("name", ["ieee8500", "ieee8500-unbalanced"])
def test_four_seasons_of_ieee8500_locked(name, capsys):
    path, _, points, rating = placed(name, 12, 7.2, 6, 2500.0)
    both = pair(path, None, points)
    evs = ev_days(rating, len(YEAR), np.random.default_rng(8))
    quiet = both.run(both.states(0.6 * np.ones(1)), settle=True)
    assert quiet.reason[0] <= Reason.FLAGGED
    taps, closed = (np.repeat(value.T, len(YEAR), axis=0) for value in (quiet.taps, quiet.closed))
    states = both.states(YEAR, evs, taps=taps, closed=closed)
    head, solved = compared(both, states, capsys, f"{name}, locked")
    assert (head < 0).sum() >= 10
    assert solved.mean() > 0.9


def test_a_day_of_minutes_on_the_european_feeder(capsys):
    path, feeder, points, rating = placed("ieee_eu_lv", 1, 7.4, 0, 0.0)
    of, base = own_shapes(feeder)
    both = pair(path, None, points, shape_of=of)
    evs = np.repeat(ev_days(rating, 24, np.random.default_rng(3)), base.shape[1] // 24, axis=1)
    head, solved = compared(both, both.states(base, evs), capsys, "European LV, 1,440 minutes")
    assert len(solved) == 1440
    assert (head < 0).sum() > 200
    assert solved.all()


@pytest.mark.parametrize("name", SHIPPED)
def test_four_seasons_of_the_shipped_feeders_locked(name, capsys):
    path, feeder, points, _ = placed(name, 3, 1.0, 3, 1.0)
    rating = np.full(len(points), 1.3 * feeder.loads["kw"].sum() / len(points))
    both = pair(path, None, points)
    evs = ev_days(rating, len(YEAR), np.random.default_rng(4))
    head, solved = compared(both, both.states(YEAR, evs), capsys, f"{name}, locked")
    assert (head < 0).sum() >= 5
    assert solved.mean() > 0.95


@pytest.mark.parametrize("name", ["ieee8500", "ieee8500-unbalanced", *SHIPPED])
def test_settled_taps_of_four_seasons(name, capsys):
    large = name in FEEDERS
    path, feeder, points, rating = placed(name, 12 if large else 3, 7.2, 3, 800.0)
    if not large:
        rating = np.full(len(points), 0.8 * feeder.loads["kw"].sum() / len(points))
    both = pair(path, None, points)
    evs = ev_days(rating, len(YEAR), np.random.default_rng(6))
    evs[:, YEAR > 0.9] = np.minimum(evs[:, YEAR > 0.9], 0)  # a peak with charging has no solution
    states = both.states(YEAR, evs)
    begin = time.perf_counter()
    block = joined(list(both.solver.run(states, settle=True)))
    seconds = time.perf_counter() - begin
    other, worst, unsolved = [], 0.0, 0
    for number, (raw, taps, closed) in enumerate(both.settled(states)):
        if not (raw.converged and raw.controls_done):
            unsolved += 1
            continue
        moved = np.abs(taps - block.taps[:, number]).max(initial=0.0)
        if moved < 1e-9 and (closed == block.closed[:, number]).all():
            worst = max(worst, both.apart(block, number, raw)[0])
        else:
            steps = moved / np.array(both.probe.observed.tap_steps).min(initial=1.0)
            banks = int((closed != block.closed[:, number]).sum())
            other.append((number, round(float(steps), 2), banks))
    taps = np.unique(block.taps, axis=1).shape[1] if block.taps.size else 1
    report(
        capsys,
        f"{name}, settled: {len(YEAR)} states, {taps} different taps, {unsolved} not solved by "
        f"OpenDSS; other taps (state, steps, banks): {other}; else {worst:.1e} pu apart; "
        f"{seconds / len(YEAR) * 1e3:.1f} ms a state on the batch engine",
    )
    assert taps > 1 or not block.taps.size
    assert unsolved < 0.05 * len(YEAR)
    assert worst < VOLTS_PU
    assert len(other) <= 0.01 * len(YEAR), other
    assert all(steps < 1.01 for _, steps, _ in other)
