"""Units of a day on the batch engine: what stands beside a unit changes nothing in it."""

from __future__ import annotations

from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest

from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.powerflow.chargers import ChargerControl, category_b
from v2g_feeder.powerflow.days import BatchRunner
from v2g_feeder.powerflow.rows import WIDTH

from .feeders import master_runner
from .places import YEAR, depots, ev_days, homes

STEPS = 8
COUNT = WIDTH + 5


@pytest.fixture(scope="module", params=[False, True], ids=["free", "curves"])
def day(request):
    """A runner of IEEE 13, units of a day, and which of them have sudden steps."""
    path = resolve_model("ieee13", Path.cwd())
    shared_engine().load(path)
    feeder = read_feeder(shared_engine(), path)
    points = homes(feeder, 4, 1.0)[0] + depots(feeder, 2, 1.0)[0]
    solver = master_runner(path, points, loads=list(feeder.loads["name"]), p=YEAR[:24:3])
    rating = np.full(len(points), 0.5 * feeder.loads["kw"].sum() / len(points))
    if request.param:
        solver.circuit = replace(
            solver.circuit,
            points=solver.circuit.points.assign(export_kw=1.1 * rating),
            chargers=ChargerControl(category_b("volt_var")),
        )
    rng = np.random.default_rng(3)
    units = [ev_days(rating * rng.uniform(0.1, 1.2), 24, rng)[:, ::3] for _ in range(COUNT)]
    return BatchRunner(solver), np.array(units), rng.random(COUNT) < 0.5


def same(one, other):
    """Whether all arrays of two solutions have the same bits."""
    return all(
        (mine.dtype, mine.shape, mine.tobytes()) == (theirs.dtype, theirs.shape, theirs.tobytes())
        for mine, theirs in zip(astuple(one), astuple(other), strict=True)
    )


def test_a_unit_has_the_same_bits_in_any_order_and_alone(day):
    batch, kw, sudden = day
    found = batch.run(0, kw, sudden=sudden)
    at = np.random.default_rng(4).permutation(COUNT)
    for number, moved in zip(at, batch.run(0, kw[at], sudden=sudden[at]), strict=True):
        assert same(found[number], moved), number
    for number in (0, 1, 2, COUNT - 1):
        part = slice(number, number + 1)
        assert same(found[number], batch.run(0, kw[part], sudden=sudden[part])[0]), number
    assert {len(one.sudden_step) > 0 for one in found} == {True, False}
    assert len(np.unique(np.concatenate([one.taps for one in found]), axis=0)) > 3


def test_sudden_steps_of_others_change_nothing(day):
    batch, kw, _ = day
    none = batch.run(0, kw)
    some = batch.run(0, kw, sudden=np.arange(COUNT) % 2 == 1)
    assert all(len(one.sudden_step) == 0 for one in some[::2])
    assert all(len(one.sudden_step) > 0 for one in some[1::2])
    assert all(same(one, other) for one, other in zip(none[::2], some[::2], strict=True))


def dense(kw):
    """Units that differ in every step, and one like the first; none moves many taps."""
    size = np.abs(kw).max() * np.random.default_rng(5).uniform(0.05, 0.2, kw[:WIDTH].shape)
    return size, size[0].copy()


def counted(batch, monkeypatch, kw):
    """Solve units; return what is found and how many states were solved."""
    count, begin = [0], batch.solver.begin

    def counting(bench, states):
        count[0] += int(states.sum())
        begin(bench, states)

    monkeypatch.setattr(batch.solver, "begin", counting)
    found = batch.run(0, kw)
    monkeypatch.undo()
    return found, count[0]


def test_a_step_that_comes_again_is_solved_once(day, monkeypatch):
    batch, kw, _ = day
    assert batch.solver.steady
    units, twin = dense(kw)
    batch.run(0, units[:1])  # what the day begins with is solved
    assert counted(batch, monkeypatch, units)[1] == WIDTH * STEPS
    twin[:, 2] *= 0.99
    found, count = counted(batch, monkeypatch, np.array([*units, twin, units[1]]))
    assert WIDTH * STEPS < count < WIDTH * STEPS + 4, "some may be in hand twice"
    assert same(found[WIDTH], batch.run(0, twin[None])[0])
    assert not same(found[WIDTH], found[0])
    assert same(found[WIDTH + 1], found[1])


def test_a_step_after_other_taps_is_solved_again(day, monkeypatch):
    """Whatever is known of a step, it was found with the taps that it began with."""
    batch, kw, _ = day
    units, twin = dense(kw)
    twin[:, 2] *= 6.0
    found, count = counted(batch, monkeypatch, np.array([*units, twin]))
    assert (found[WIDTH].taps[2] != found[0].taps[2]).any()
    assert count > WIDTH * STEPS + 1
    assert same(found[WIDTH], batch.run(0, twin[None])[0])


def test_voltages_are_carried_where_a_load_jumps(day, monkeypatch):
    batch, kw, _ = day
    units, twin = dense(kw)
    twins = np.array([*units, twin])
    batch.run(0, units[:1])
    monkeypatch.setattr(batch.solver, "steady", False)
    found, count = counted(batch, monkeypatch, twins)
    assert count == len(twins) * STEPS
    assert same(found[0], found[WIDTH])


def test_no_units_have_no_solutions(day):
    batch, kw, _ = day
    assert batch.run(0, kw[:0]) == []
