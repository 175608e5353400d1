"""Injections at places of each state's own: the same as connection points of the load table."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.powerflow.loads import injections
from v2g_feeder.powerflow.rows import WIDTH
from v2g_feeder.powerflow.solution import Reason

from .feeders import KV, bases, line, point, source
from .pairs import pair
from .places import depots, homes

SLOTS = 3


@functools.cache
def made(name, folder):
    """A shipped feeder with points beside loads and on its primary."""
    path = resolve_model(name, folder)
    shared_engine().load(path)
    feeder = read_feeder(shared_engine(), path)
    return pair(path, None, homes(feeder, 5, 1.0)[0] + depots(feeder, 3, 1.0)[0])


def put(both, bench, state, number, kw, kvar=0.0):
    """Put a connection point of a pair into the spots of a state."""
    points = both.runner.circuit.points
    own = injections(points, both.runner.feeder.node_index, 0)
    place = np.append(both.solver.place, len(both.solver.place))
    for slot, k in enumerate(np.flatnonzero(own.row == number)):
        spots = bench.work.spots
        spots.one[slot, state], spots.other[slot, state] = place[own.one[k]], place[own.other[k]]
        spots.volts[slot, state] = own.volts[k]
        spots.watts[slot, state] = own.watts[k] * kw
        spots.vars[slot, state] = own.vars[k] * kvar


def solved(both, powers, base=0.6):
    """Solve up to a block of (point, kW, kvar) as spots."""
    bench = both.solver.bench(SLOTS)
    bench.work.kw[: both.base_rows] = bench.work.kvar[: both.base_rows] = base
    for state, (number, kw, kvar) in enumerate(powers):
        put(both, bench, state, number, kw, kvar)
    both.solver.solve(bench, settle=False, hour=np.zeros(WIDTH))
    return both.solver.read(bench)


def powers_of(both, seed=1):
    rng = np.random.default_rng(seed)
    count = both.rows - both.base_rows
    return [
        (int(rng.integers(count)), float(rng.uniform(-300, 300)), float(rng.uniform(-90, 90)))
        for _ in range(WIDTH)
    ]


@pytest.mark.parametrize("name", ["ieee13", "ieee34", "ieee123"])
def test_a_spot_is_a_connection_point(name, tmp_path):
    both = made(name, tmp_path)
    powers = powers_of(both)
    block = solved(both, powers)
    ev = np.zeros((both.rows - both.base_rows, WIDTH))
    kvar = np.zeros_like(ev)
    for state, (number, kw, var) in enumerate(powers):
        ev[number, state], kvar[number, state] = kw, var
    other = both.run(both.states(np.full(WIDTH, 0.6), ev, kvar))
    assert (block.reason == other.reason).all()
    assert (block.reason <= Reason.FLAGGED).any()
    good = block.reason <= Reason.FLAGGED
    for field in ("v_pu", "loading_pct", "flow_kw", "losses_kw"):
        mine, theirs = getattr(block, field)[..., good], getattr(other, field)[..., good]
        assert np.allclose(mine, theirs, atol=1e-5, equal_nan=True), field


def test_a_state_does_not_see_the_spots_of_others(tmp_path):
    both = made("ieee13", tmp_path)
    powers = powers_of(both)
    whole = solved(both, powers)
    turned = solved(both, powers[::-1])
    alone = solved(both, powers[:1])
    for field in ("v_pu", "loading_pct", "flow_kw", "losses_kw", "reason", "iterations"):
        mine = getattr(whole, field)
        assert mine.tobytes() == getattr(turned, field)[..., ::-1].tobytes(), field
        assert mine[..., 0].tobytes() == getattr(alone, field)[..., 0].tobytes(), field


@pytest.mark.parametrize(("pu", "valid"), [(1.0, True), (0.45, False), (1.6, False)])
def test_outside_its_limits_a_spot_is_not_delivered(tmp_path, pu, valid):
    text = source(pu) + line("l", "src", "b", 0.1) + bases()
    both = pair(text, tmp_path, [point("b", "ABC")])
    block = solved(both, [(0, 50.0, 0.0)])
    assert (block.reason[0] <= Reason.FLAGGED) == valid
    assert block.reason[1] <= Reason.FLAGGED  # an empty slot is idle at any voltage
    drawn = block.flow_kw[0, 0] - block.losses_kw[0]
    expected = 50.0 if valid else 50.0 * (pu**2 if pu < 1 else (pu / 1.5) ** 2)
    assert drawn == pytest.approx(expected, rel=2e-3), KV
