"""Units of work: what they depend on, and the sudden steps inside them."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from v2g_feeder.feeder.engine import LOCKED, shared_engine
from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.powerflow.days import BatchRunner, kept_batch_runner
from v2g_feeder.powerflow.opendss import kept_runner
from v2g_feeder.powerflow.solution import Reason, SuddenKind

from .feeders import (
    SELF,
    VOLTS,
    bases,
    far_volts,
    line,
    master_runner,
    point,
    runner,
    source,
    voltages,
)

STEPS = 6
P = np.concatenate([np.linspace(0.4, 1.0, STEPS), np.linspace(1.0, 0.3, STEPS)])
LN = 4.16 / np.sqrt(3.0)
POINTS = [point("675", "A", LN), point("675", "B", LN), point("634", "ABC", 0.48)]
EXPORT = np.array([[0, 0, -300, -300, 0, 50], [0, 0, -200, 0, 0, 0], [80, 0, 80, 80, 0, 0]], float)
LOST, START, END = SuddenKind.ALL_EXPORT_LOST, SuddenKind.EVENT_START, SuddenKind.EVENT_END


def ieee13(points=POINTS, steps=STEPS):
    master = resolve_model("ieee13", Path.cwd())
    shared_engine().load(master)
    loads = [row["name"] for row in shared_engine().loads()]
    return master_runner(master, points, loads=loads, p=P, steps=steps)


def same_bits(one, other):
    return all(
        getattr(one, item.name).tobytes() == getattr(other, item.name).tobytes()
        for item in fields(one)
    )


# -- what a unit depends on -------------------------------------------------------------------


def test_a_unit_gives_the_same_bits_whatever_was_solved_before():
    solver = ieee13()
    first = solver.run(0, EXPORT, sudden=True)
    again = solver.run(0, EXPORT, sudden=True)
    assert same_bits(first, again)
    heavy = solver.run(STEPS, 30 * EXPORT, sudden=True)
    assert not same_bits(first, heavy)
    assert same_bits(first, solver.run(0, EXPORT, sudden=True))
    solver.run(0, np.full_like(EXPORT, 4000.0))  # far beyond any solution
    assert same_bits(first, solver.run(0, EXPORT, sudden=True))
    later = solver.run(STEPS, EXPORT)
    fresh = ieee13()
    assert same_bits(later, fresh.run(STEPS, EXPORT)), "a fresh process that begins elsewhere"
    assert same_bits(first, fresh.run(0, EXPORT, sudden=True))


@pytest.mark.parametrize("name", ["ieee13", "two-bus"])
def test_raw_voltages_are_the_same_to_the_last_bit(name, tmp_path):
    """Results are stored in single precision, which would hide a history in the last bits."""
    load = "New Load.x bus1=b phases=3 kv=12.47 kw=2500 kvar=800 vminpu=0.7 vmaxpu=1.3\n"
    text = source() + line("l", "src", "b", 4.0) + load + bases()
    points = [point("b", "A"), point("b", "B"), point("b", "ABC")]

    def make():
        if name == "ieee13":
            return ieee13()
        return runner(tmp_path, text, points, loads=["x"], p=P, steps=STEPS)

    solver = make()
    first = _raw_volts(solver, 0, EXPORT)
    assert _raw_volts(solver, 0, EXPORT) == first, "the second unit of a day"
    other = _raw_volts(solver, STEPS, 4 * EXPORT)
    assert first != other
    assert _raw_volts(solver, 0, EXPORT) == first
    assert _raw_volts(solver, STEPS, 4 * EXPORT) == other
    solver = make()
    assert _raw_volts(solver, STEPS, 4 * EXPORT) == other
    solver.run(0, np.zeros_like(EXPORT), sudden=True)
    assert _raw_volts(solver, 0, EXPORT) == first


def _raw_volts(solver, first_step, kw):
    """Bytes of the complex node voltages of every step of a unit."""
    measure, found = solver._measure, []

    def spy(raw, *rest):
        found.append(raw.volts.tobytes())
        return measure(raw, *rest)

    solver._measure = spy
    solver.run(first_step, kw, sudden=True)
    solver._measure = measure
    return found


def test_a_runner_whose_circuit_is_gone_says_so():
    first = ieee13()
    first.run(0, EXPORT)
    ieee13(points=POINTS[:1])
    with pytest.raises(RuntimeError, match="holds another circuit"):
        first.run(0, EXPORT)


def test_some_steps_of_a_day_are_solved_at_their_hours(tmp_path):
    """Load, own generation by its shape, and EVs, without a day's history before them."""
    mult = "(0 0 0.5 1 0.2 0)"
    text = (
        source() + line("l", "src", "b", 1.0)
        + f"New LoadShape.sun npts={STEPS} interval=1 mult={mult}\n"
        + "New Load.x bus1=b phases=3 kv=12.47 kw=800 kvar=200\n"
        + "New Generator.g bus1=b phases=3 kv=12.47 kw=900 pf=1 daily=sun status=variable\n"
        + bases()
    )  # fmt: skip
    solver = runner(tmp_path, text, [point("b", "A")], loads=["x"], p=P, steps=STEPS)
    kw = np.array([[0.0, 30.0, -60.0, -90.0, 20.0, 0.0]])
    for first in (0, STEPS):
        whole = solver.run(first, kw, sudden=True)
        assert whole.head_kw.max() - whole.head_kw.min() > 500.0, "the generation is seen"
        part = solver.run(first, kw[:, 2:5], sudden=True, begin=2)
        for item in ("v_pu", "flow_kw", "head_kw", "reason"):
            assert getattr(part, item) == pytest.approx(getattr(whole, item)[2:5], rel=1e-6), item
        assert part.sudden_step.tolist() == [0, 1, 2]
        assert part.sudden_kind.tolist() == [LOST, LOST, END]
        assert part.sudden_pu == pytest.approx(whole.sudden_pu[1:], abs=1e-6), "the start is not"


def test_a_runner_of_an_equal_circuit_is_kept_while_the_engine_holds_it():
    engine = shared_engine()
    first = ieee13()
    circuit = first.circuit
    kept = kept_runner(engine, circuit, {})
    assert kept is not first
    again = replace(circuit, points=circuit.points.copy())
    assert kept_runner(engine, again, {}) is kept
    fewer = replace(circuit, points=circuit.points[:2])
    other = kept_runner(engine, fewer, {})
    assert other is not kept
    assert kept_runner(engine, fewer, {"head": 5.0}) is not other
    last = kept_runner(engine, replace(circuit, base_load=circuit.base_load.scaled(2.0)), {})
    assert last.circuit.base_load.p.max() == 2 * circuit.base_load.p.max()
    engine.load(circuit.master)
    assert kept_runner(engine, last.circuit, {}) is not last
    assert same_bits(kept_runner(engine, circuit, {}).run(0, EXPORT), ieee13().run(0, EXPORT))


def test_the_batch_engine_of_an_equal_circuit_is_kept_whatever_the_engine_holds():
    engine = shared_engine()
    circuit = ieee13().circuit
    kept = kept_batch_runner(engine, circuit, {})
    engine.load(circuit.master)
    again = replace(circuit, points=circuit.points.copy())
    assert kept_batch_runner(engine, again, {}) is kept
    assert kept_batch_runner(engine, circuit, {"head": 5.0}) is not kept
    fewer = kept_batch_runner(engine, replace(circuit, points=circuit.points[:2]), {})
    assert len(fewer.circuit.points) == 2
    (found,) = kept_batch_runner(engine, circuit, {}).run(0, EXPORT[None])
    (alone,) = BatchRunner(ieee13()).run(0, EXPORT[None])
    assert same_bits(found, alone)


def test_a_runner_that_the_batch_engine_was_read_from_gives_the_same_bits():
    """Even one that has solved before; its matrix was built with base load for a while."""
    solver = ieee13()
    first = solver.run(0, EXPORT, sudden=True)
    BatchRunner(solver)
    assert same_bits(first, solver.run(0, EXPORT, sudden=True))
    solver.engine.move()
    assert not same_bits(first, solver.run(0, EXPORT, sudden=True)), "the matrix is seen"
    solver.rewind()
    assert same_bits(first, solver.run(0, EXPORT, sudden=True))


def test_a_scaled_base_load_and_back_gives_the_same_bits():
    solver = ieee13()
    base = solver.circuit.base_load
    first = solver.run(0, EXPORT)
    solver.set_base_load(base.scaled(0.7))
    scaled = solver.run(0, EXPORT)
    assert scaled.head_kw[0] < 0.8 * first.head_kw[0]
    solver.set_base_load(base)
    assert same_bits(first, solver.run(0, EXPORT))


def test_idle_points_are_no_points():
    with_points = ieee13().run(0, np.zeros_like(EXPORT), sudden=True)
    without = ieee13([]).run(0, np.zeros((0, STEPS)))
    for item in fields(without):
        assert getattr(with_points, item.name) == pytest.approx(
            getattr(without, item.name), rel=2e-6, abs=2e-7, nan_ok=True
        ), item.name
    assert len(with_points.sudden_step) == 0
    assert (with_points.head_kw > 500).all()


def test_the_day_picks_its_base_load():
    solver = ieee13([])
    head = np.concatenate([solver.run(n, np.zeros((0, STEPS))).head_kw for n in (0, STEPS)])
    # losses, and load models that follow the voltage, keep it from being proportional
    assert head / head[STEPS - 1] == pytest.approx(P, rel=0.1)
    assert (np.diff(head[:STEPS]) > 0).all()
    assert (np.diff(head[STEPS:]) < 0).all()


def test_quarter_hour_steps_read_their_own_points(tmp_path):
    text = source() + line("l", "src", "b", 4.0) + bases()
    quarter = runner(tmp_path, text, [point("b")], p=np.ones(96), step_hours=0.25)
    kw = np.linspace(-500, 900, 96)[None]
    solution = quarter.run(0, kw, sudden=True)
    assert solution.head_kw - solution.losses_kw == pytest.approx(kw[0], abs=0.01)
    assert kinds(solution)[-1] == ((kw < 0).sum(), END)


def test_reactive_power_reaches_the_feeder(tmp_path):
    text = source() + line("l", "src", "b", 4.0) + bases()
    solver = runner(tmp_path, text, [point("b")], p=np.ones(2))
    solution = solver.run(0, np.array([[100.0, 100.0]]), np.array([[50.0, -50.0]]))
    for step, kvar in enumerate((50e3, -50e3)):
        by_hand = far_volts(4 * SELF, 100e3, kvar) / VOLTS
        assert voltages(solver, solution, step)["b.1"] == pytest.approx(by_hand, abs=1e-6)
    assert solution.head_kvar == pytest.approx([50, -50], abs=1.5)


# -- sudden steps -----------------------------------------------------------------------------


def kinds(solution):
    return list(zip(solution.sudden_step.tolist(), solution.sudden_kind.tolist(), strict=True))


def test_where_the_sudden_steps_are():
    solution = ieee13().run(0, EXPORT, sudden=True)
    assert solution.valid.all()
    assert kinds(solution) == [(2, START), (2, LOST), (3, LOST), (4, END)]
    assert solution.sudden_pu.shape == (4, solution.v_pu.shape[1])
    assert len(ieee13().run(0, EXPORT).sudden_step) == 0, "only on request"
    assert len(ieee13().run(0, np.abs(EXPORT), sudden=True).sudden_step) == 0


@pytest.mark.parametrize(
    ("kw", "expected"),
    [
        ([-9, -9, -9], [(0, LOST), (1, LOST), (2, LOST)]),
        ([-9, 0, 0], [(0, LOST), (1, END)]),
        ([0, 0, -9], [(2, START), (2, LOST)]),
        ([0, -9, 0], [(1, START), (1, LOST), (2, END)]),
        ([-9, 5, -9], [(0, LOST), (1, END), (2, START), (2, LOST)]),
        ([5, 0, -1e-6], []),
    ],
)
def test_events_at_the_edges_of_a_day(tmp_path, kw, expected):
    text = source() + line("l", "src", "b", 4.0) + bases()
    solver = runner(tmp_path, text, [point("b")], p=np.ones(3))
    assert kinds(solver.run(0, np.array([kw], float), sudden=True)) == expected


def test_sudden_values_by_hand(tmp_path):
    """Before and after share the load of the earlier step; chargers that draw stay on."""
    load = "New Load.x bus1=b.1 phases=1 kv=7.2 kw=400 kvar=0 vminpu=0.8 vmaxpu=1.2\n"
    text = source() + line("l", "src", "b", 4.0) + load + bases()
    solver = runner(tmp_path, text, [point("b"), point("b")], loads=["x"], p=[1.0, 0.5, 0.25])
    kw = np.array([[100.0, -600.0, 0.0], [50.0, 50.0, 80.0]])
    solution = solver.run(0, kw, sudden=True)
    assert kinds(solution) == [(1, START), (1, LOST), (2, END)]
    at = solver.probe.observed.voltages["node"].tolist().index("b.1")

    def volts(base, evs):
        return far_volts(4 * SELF, (400 * base + evs) * 1e3, 0) / VOLTS

    by_hand = [
        volts(1.0, -550) - volts(1.0, 150),
        volts(0.5, 50) - volts(0.5, -550),
        volts(0.5, 80) - volts(0.5, -550),
    ]
    assert solution.sudden_pu[:, at] == pytest.approx(by_hand, abs=1e-6)
    assert by_hand[0] > 0 > by_hand[1]


def test_a_sudden_value_is_two_plain_solves_with_the_taps_locked():
    solver = ieee13()
    solution = solver.run(0, EXPORT, sudden=True)
    observed = {
        "windings": list(
            zip(
                solver.feeder.regulators["transformer"],
                solver.feeder.regulators["winding"],
                strict=True,
            )
        ),
        "probe": solver.probe,
    }
    lost = np.where(EXPORT < 0, 0.0, EXPORT)
    following = np.roll(EXPORT, -1, axis=1)
    cases = [(1, following), (2, lost), (3, lost), (3, following)]
    taps = solution.taps.astype(float)
    assert len(np.unique(taps, axis=0)) > 1, "the regulators work during the day"
    for row, (step, after_kw) in enumerate(cases):
        pair = [_plain(observed, taps[step], P[step], kw[:, step]) for kw in (EXPORT, after_kw)]
        assert pair[0] == pytest.approx(solution.v_pu[step], abs=1e-6)
        assert solution.sudden_pu[row] == pytest.approx(pair[1] - pair[0], abs=1e-6)
    assert np.abs(solution.sudden_pu).max() > 0.005
    # free regulators would have moved: the locked change is larger than the slow one
    slow = solution.v_pu[2] - solution.v_pu[1]
    assert np.abs(solution.sudden_pu[0]).max() != pytest.approx(np.abs(slow).max(), rel=1e-3)


def _plain(observed, taps, multiplier, kw):
    """Service voltages of one snapshot with given taps, built without shapes or a runner."""
    engine = shared_engine()
    commands = [f"Set LoadMult={multiplier:.12g}"]
    for number, (at, power) in enumerate(zip(POINTS, kw, strict=True)):
        commands.append(
            f"New Load.plain{number} bus1={at['bus']}.{at['nodes']} phases={at['phases']} "
            f"kv={at['kv']:.10g} kw={power:g} kvar=0 model=1 vminpu=0.5 vmaxpu=1.5 status=fixed"
        )
    commands += [
        f"Edit Transformer.{name} wdg={winding} tap={tap:.10g}"
        for (name, winding), tap in zip(observed["windings"], taps, strict=True)
    ]
    engine.load(resolve_model("ieee13", Path.cwd()), commands)
    raw = engine.solve(0, 1.0, LOCKED)
    assert raw.converged
    return observed["probe"].voltages(raw)


def test_no_sudden_step_is_taken_from_an_invalid_state(tmp_path):
    load = "New Load.x bus1=b.1 phases=1 kv=7.2 kw=400 kvar=0 vminpu=0.99\n"
    text = source(0.9) + line("l", "src", "b", 4.0) + load + bases()
    solver = runner(tmp_path, text, [point("b")], loads=["x"], p=np.ones(2))
    solution = solver.run(0, np.array([[-50.0, 0.0]]), sudden=True)
    assert solution.reason.tolist() == [Reason.LOAD_SHED] * 2
    assert kinds(solution) == []
