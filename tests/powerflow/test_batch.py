"""The batch engine: what a state depends on, the nose, what is refused, powers and matrices."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from v2g_feeder.errors import FeederError
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.powerflow import batch
from v2g_feeder.powerflow.rows import WIDTH
from v2g_feeder.powerflow.solution import Reason

from .feeders import MUTUAL, SELF, VOLTS, bases, far_volts, line, point, source
from .pairs import FIELDS, chosen, joined, pair, same_bits
from .places import depots, ev_days, homes

LONG_LINE = source() + line("l", "src", "b", 4.0, "normamps=230") + bases()
STEP = 0.00625


def made(name):
    """A shipped feeder with points beside every third load and on its primary."""
    path = resolve_model(name, Path.cwd())
    shared_engine().load(path)
    feeder = read_feeder(shared_engine(), path)
    points = homes(feeder, 3, 1.0)[0] + depots(feeder, 2, 1.0)[0]
    return pair(path, None, points), feeder.loads["kw"].sum()


kept = functools.cache(made)  # for what needs the batch engine alone


def random_states(name, count, seed=0, maker=kept):
    """Base load, EVs of either sign, taps and banks at random."""
    both, kw = maker(name)
    rng = np.random.default_rng(seed)
    points = both.rows - both.base_rows
    evs = ev_days(np.full(points, 1.5 * kw / points), count, rng)
    network = both.solver.network
    return both, both.states(
        rng.uniform(0.2, 0.9, count),
        evs,
        taps=1 + STEP * rng.integers(-6, 11, (count, len(network.regulators))),
        closed=rng.integers(0, 2, (count, len(network.banks))).astype(float),
    )


def picked(block, at):
    return replace(block, **{name: getattr(block, name)[..., at].copy() for name in FIELDS})


# -- what a state depends on ------------------------------------------------------------------


@pytest.mark.parametrize("settle", [False, True])
@pytest.mark.parametrize("name", ["ieee13", "ieee34", "ieee123"])
def test_order_company_and_threads_leave_the_bits_alone(name, settle):
    count = 3 * WIDTH + 5
    both, states = random_states(name, count)
    whole = both.run(states, settle=settle)
    assert (whole.reason <= Reason.FLAGGED).sum() > count / 2
    rng = np.random.default_rng(1)
    for threads in (1, 2, 3):
        at = rng.permutation(count)
        assert same_bits(both.run(chosen(states, at), threads, settle=settle), picked(whole, at)), (
            threads
        )
    for size in (1, 3, WIDTH, WIDTH + 1):
        at = rng.choice(count, size, replace=False)
        assert same_bits(both.run(chosen(states, at), settle=settle), picked(whole, at)), size


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(at=st.lists(st.integers(0, 39), min_size=1, max_size=50), settle=st.booleans())
def test_any_selection_of_states_repeated_or_not(at, settle):
    both, states = random_states("ieee13", 40, seed=7)
    whole = joined(list(both.solver.run(states, settle=settle)))
    found = both.run(chosen(states, np.array(at)), settle=settle)
    assert same_bits(found, picked(whole, np.array(at)))


def test_blocks_are_solved_as_they_are_taken(monkeypatch):
    both, states = random_states("ieee13", 40 * WIDTH)
    solved = []
    solve = both.solver.solve

    def counted(*args, **kwargs):
        solved.append(1)
        return solve(*args, **kwargs)

    monkeypatch.setattr(both.solver, "solve", counted)
    for threads, ahead in ((1, 1), (2, 6)):
        solved.clear()
        run = both.solver.run(states, threads)
        assert next(run).first == 0
        assert len(solved) <= ahead
        assert [block.first for block in run] == list(range(WIDTH, 40 * WIDTH, WIDTH))


def test_what_is_left_of_the_error_is_below_the_tolerance(monkeypatch):
    both, states = random_states("ieee34", 64, seed=2)
    exact = both.run(states)
    for tolerance in (1e-4, 1e-6):
        monkeypatch.setattr(both.solver, "tolerance", tolerance)
        rough = both.run(states)
        valid = (exact.reason <= Reason.FLAGGED) & (rough.reason <= Reason.FLAGGED)
        assert valid.sum() > 40
        off = np.abs(rough.v_pu - exact.v_pu)[:, valid].max()
        assert 0 < off < tolerance
        assert rough.iterations[valid].mean() < exact.iterations[valid].mean()


@pytest.mark.parametrize("name", ["ieee13", "ieee123"])
def test_mixed_answers_lead_to_the_same_solution_sooner(name, monkeypatch):
    both, states = random_states(name, 48, seed=3)
    mixed = both.run(states)
    assert both.solver.steady
    monkeypatch.setattr(both.solver, "steady", False)
    plain = both.run(states)
    valid = (plain.reason <= Reason.FLAGGED) & (mixed.reason <= Reason.FLAGGED)
    assert valid.sum() > 24
    assert np.abs(mixed.v_pu - plain.v_pu)[:, valid].max() < 3e-9
    assert mixed.iterations[valid].mean() < 0.9 * plain.iterations[valid].mean()


@pytest.mark.parametrize(
    ("load", "steady"),
    [("model=1", True), ("model=2", True), ("model=3", False), ("model=5", True),
     ("model=7", False), ("model=4 cvrwatts=0.8 cvrvars=3", False),
     ("model=8 zipv=[0.2 0.3 0.5 0.1 0.1 0.8 0]", True)],
)  # fmt: skip
def test_a_load_that_jumps_at_a_limit_is_seen(load, steady, tmp_path):
    """There answers are not mixed, and voltages are carried from step to step."""
    own = f"New Load.x bus1=b phases=3 kv=12.47 kw=1200 kvar=300 vmaxpu=1.05 {load}\nSet Volt"
    found = pair(LONG_LINE.replace("Set Volt", own), tmp_path, [point("b", "A")])
    assert found.solver.steady == steady


# -- beyond the nose --------------------------------------------------------------------------


def nose_kw(ohm):
    """The most that one phase behind an impedance can draw, kW, unity power factor."""
    return 1e-3 * VOLTS**2 / (2 * (abs(ohm) + ohm.real))


def test_beyond_the_nose_there_are_no_numbers(tmp_path):
    both = pair(LONG_LINE, tmp_path, [point("b", "A")])
    limit = nose_kw(4.0 * SELF)
    share = np.concatenate([np.linspace(0.3, 0.97, 9), np.linspace(1.03, 3.0, 12)])
    block = both.run(both.states(np.zeros(len(share)), limit * share[None]))
    below = share < 1
    assert (block.reason[below] == Reason.VALID).all()
    assert np.isfinite(block.v_pu[:, below]).all()
    assert (block.reason[~below] > Reason.FLAGGED).all()
    for name in ("v_pu", "loading_pct", "flow_kw", "head_kvar", "losses_kw", "head_amps",
                 "line_unbalance_pct", "sequence_unbalance_pct"):  # fmt: skip
        lost = getattr(block, name)[..., block.reason == Reason.NOT_CONVERGED]
        assert np.isnan(lost).all(), name
    at = both.probe.observed.voltages["node"].tolist().index("b.1")
    by_hand = [far_volts(4 * SELF, limit * s * 1e3, 0) / VOLTS for s in share[below]]
    assert block.v_pu[at, below] == pytest.approx(by_hand, abs=1e-6)
    assert (block.reason == Reason.NOT_CONVERGED).any()


@pytest.mark.parametrize("settle", [False, True])
def test_a_lost_state_leaves_its_neighbours_alone(settle):
    both, states = random_states("ieee34", WIDTH)
    whole = both.run(states, settle=settle)
    for number in (0, 5, WIDTH - 1):
        kw = states.kw.copy()
        kw[both.base_rows :, number] = 1e6
        block = both.run(replace(states, kw=kw), settle=settle)
        rest = np.arange(WIDTH) != number
        assert block.reason[number] > Reason.FLAGGED
        assert same_bits(picked(block, rest), picked(whole, rest))
    kw[:, 3] = np.nan
    block = both.run(replace(states, kw=kw), settle=settle)
    assert block.reason[3] == Reason.NOT_CONVERGED
    assert np.isnan(block.v_pu[:, 3]).all()
    assert same_bits(picked(block, rest & (np.arange(WIDTH) != 3)),
                     picked(whole, rest & (np.arange(WIDTH) != 3)))  # fmt: skip


def test_the_gate_says_what_the_runner_s_gate_says(tmp_path):
    """Loads that shed, loads above their limit, chargers that get nothing, a dead source."""
    load = "New Load.x bus1=b phases=3 kv=12.47 kw=1200 kvar=300 "
    texts = [
        LONG_LINE.replace("Set Volt", f"{load} vminpu=0.99\nSet Volt"),
        LONG_LINE.replace("Set Volt", f"{load} vminpu=0.9 vmaxpu=0.95\nSet Volt"),
        source(0.05) + line("l", "src", "b", 4.0) + bases(),
        source(0.3) + line("l", "src", "b", 4.0) + bases(),
        LONG_LINE,
    ]
    seen = set()
    for text in texts:
        both = pair(text, tmp_path, [point("b", "A")])
        evs = np.array([0.0, 3900.0, -900.0, 20000.0, 100000.0])
        states = both.states(np.ones(len(evs)), evs[None])
        block = both.run(states)
        for number, kw in enumerate(evs):
            loads = tuple(both.runner.circuit.base_load.shape_of)
            one = replace(both.runner.circuit.base_load, p=np.ones((1, 1)), q=np.ones((1, 1)))
            both.runner.set_base_load(one)
            reason = both.runner.run(0, np.array([[kw]])).reason[0]
            assert block.reason[number] == reason or Reason.NOT_CONVERGED in (
                reason,
                block.reason[number],
            ), (loads, kw)
            assert (block.reason[number] > Reason.FLAGGED) == (reason > Reason.FLAGGED)
            seen.add(int(block.reason[number]))
    assert seen >= {
        Reason.VALID,
        Reason.HIGH_VOLTAGE_SWITCHED,
        Reason.NOT_ENERGISED,
        Reason.LOAD_SHED,
        Reason.EV_NOT_DELIVERED,
    }


# -- what is refused --------------------------------------------------------------------------

REFUSED = {
    "New Isource.i1 bus1=b amps=5": "Isource.i1",
    "New IndMach012.m1 bus1=b kv=12.47 kw=100 kva=120": "IndMach012.m1",
    "New Fuse.f1 MonitoredObj=Line.l": "Fuse.f1",
    "New Relay.r1 MonitoredObj=Line.l": "Relay.r1",
    "New Recloser.r2 MonitoredObj=Line.l": "Recloser.r2",
    "New SwtControl.s2 SwitchedObj=Line.l": "SwtControl.s2",
    "New Load.n1 bus1=b.1.2.3.4 phases=3 kv=12.47 kw=10 rneut=3": "Load.n1",
    "New LoadShape.c npts=2 interval=1 mult=[1 0.9]\nEdit Vsource.source daily=c": "Vsource.source",
    "New LoadShape.c npts=2 interval=1 mult=[1 0.9]\nEdit Vsource.source yearly=c": "Vsource",
    "New Capacitor.c1 bus1=b kv=12.47 kvar=[300 300] numsteps=2\n"
    "New CapControl.k1 capacitor=c1 element=Line.l type=kvar onsetting=100 offsetting=0": "c1",
    "New Capacitor.c1 bus1=b kv=12.47 kvar=300\n"
    "New CapControl.k1 capacitor=c1 element=Line.l type=pf onsetting=0.95 offsetting=0.99": "k1",
}


@pytest.mark.parametrize("command", REFUSED)
def test_what_cannot_be_represented_is_named(command, tmp_path):
    with pytest.raises(FeederError, match="cannot represent") as caught:
        pair(LONG_LINE.replace("Set Volt", f"{command}\nSet Volt"), tmp_path)
    assert REFUSED[command].lower() in str(caught.value).lower()


def test_all_that_is_refused_is_named_at_once_and_the_disabled_is_not(tmp_path):
    commands = (
        "New Generator.g1 bus1=b kv=12.47 kw=9 model=3\n"
        "New Storage.s1 bus1=b kv=12.47 kwrated=9 dispmode=price\n"
        "New Generator.off bus1=b kv=12.47 kw=9 enabled=no\n"
        "New Load.loose bus1=b.1.2.3.4 kv=12.47 kw=9 rneut=3 enabled=no\n"
    )
    with pytest.raises(FeederError) as caught:
        pair(LONG_LINE.replace("Set Volt", f"{commands}Set Volt"), tmp_path)
    words = str(caught.value).lower()
    assert "generator.g1" in words
    assert "storage.s1" in words
    assert "off" not in words
    assert "loose" not in words


def test_the_disabled_and_the_open_are_left_out(tmp_path):
    text = LONG_LINE.replace(
        "Set Volt",
        "New Generator.g1 bus1=b phases=3 kv=12.47 kw=900 enabled=no\n"
        "New Load.x bus1=b phases=3 kv=12.47 kw=1200 kvar=300\n"
        "New Load.no bus1=b phases=3 kv=12.47 kw=9000 kvar=300 enabled=no\n"
        + line("open", "b", "c", 1.0, "normamps=100")
        + "New Capacitor.c bus1=c phases=3 kv=12.47 kvar=30\nOpen Line.open 2 2\nSet Volt",
    )
    both = pair(text, tmp_path, [point("b", "A")])
    block = both.agrees(both.states([1.0, 0.2], [[10.0, -900.0]]))
    assert block.flow_kw[0] - block.losses_kw == pytest.approx([1210, -660], rel=1e-8)


# -- powers and voltages ----------------------------------------------------------------------


@pytest.mark.parametrize("kvar", [0.0, 250.0, -250.0])
def test_closed_form_of_one_and_three_phases(kvar, tmp_path):
    both = pair(LONG_LINE, tmp_path, [point("b", "A"), point("b", "ABC")])
    kw = np.array([500.0, -500.0, 1500.0, -3000.0, 0.0])
    none = np.zeros_like(kw)
    at = both.probe.observed.voltages["node"].tolist().index("b.1")
    for number, (ohm, phases) in enumerate(((4 * SELF, 1), (4 * (SELF - MUTUAL), 3))):
        evs, vars_ = np.zeros((2, len(kw))), np.zeros((2, len(kw)))
        evs[number], vars_[number] = kw, kvar
        block = both.run(both.states(none, evs, vars_))
        by_hand = [far_volts(ohm, p * 1e3 / phases, kvar * 1e3 / phases) / VOLTS for p in kw]
        # the source's own impedance is 1.5e-6 ohm, and its voltage 1 pu behind that
        assert block.v_pu[at] == pytest.approx(by_hand, abs=2e-7)


@pytest.mark.parametrize("name", ["ieee13", "ieee34", "ieee37", "ieee123"])
def test_the_source_gives_loads_and_losses(name):
    both, states = random_states(name, 40, seed=5)
    block = both.run(states)
    valid = block.reason <= Reason.FLAGGED
    assert valid.sum() > 20
    table, bench = both.solver.loads, both.solver.bench()
    for number in np.flatnonzero(valid)[::5]:
        one = chosen(states, [number] * WIDTH)
        both.solver._block(one, 0, bench, settle=False)
        volts = np.append(both.solver.volts(bench)[:, 0], 0)
        drawn = 0.0
        for k in range(len(table)):  # by the load models, phase by phase
            v = volts[table.one[k]] - volts[table.other[k]]
            pu = abs(v) / table.volts[k]
            limits = table.vmin[k], table.vmax[k], table.vlow[k]
            mine = batch.multiplier(
                table.model[k], pu, limits, table.exponents[k], table.zip_shares[k]
            )[0]
            drawn += mine * pu**2 * table.watts[k] * np.append(one.kw[:, 0], 1)[table.row[k]]
        own = both.solver.network
        pair_losses = block.flow_kw[0, number] - drawn / 1e3
        assert pair_losses == pytest.approx(block.losses_kw[number], rel=1e-6, abs=1e-6)
        assert own.matrix.shape[0] == len(volts) - 1
        assert block.losses_kw[number] > 0


@pytest.mark.parametrize("name", ["ieee13", "ieee34", "ieee123"])
def test_exports_turn_the_head_round_and_all_readings_agree(name):
    """Unbalance, head current and losses too, at other taps and banks than the model's."""
    both, states = random_states(name, 18, seed=8, maker=made)
    light = replace(states, kw=np.where(np.arange(both.rows)[:, None] < both.base_rows,
                                        0.5 * states.kw, states.kw))  # fmt: skip
    block = both.agrees(light)
    assert block.flow_kw[0].min() < 0 < block.flow_kw[0].max()
    assert block.head_amps.min() > 0
    assert block.sequence_unbalance_pct.max() > 0.5


# -- matrices ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ieee13", "ieee34", "ieee37", "ieee123"])
def test_the_border_s_elimination_is_a_dense_solve(name):
    both, states = random_states(name, WIDTH, seed=9)
    network, bench = both.solver.network, both.solver.bench()
    idle = replace(states, kw=0 * states.kw, kvar=0 * states.kvar)
    both.solver._block(idle, 0, bench, settle=False)
    found = both.solver.volts(bench)
    tied = np.ix_(network.border, network.border)
    own = network.variable(states.taps, states.closed)
    spread = []
    for number in range(WIDTH):
        matrix = network.matrix.toarray()
        matrix[tied] += own[number]
        dense = np.linalg.solve(matrix, network.source_amps)
        assert np.abs(found[:, number] - dense).max() < 1e-8 * np.abs(dense).max()
        spread.append(dense)
    assert np.ptp(np.abs(spread), axis=0).max() > 10


@pytest.mark.parametrize("name", ["ieee13", "ieee34", "ieee37", "ieee123"])
def test_the_matrix_is_opendss_s_own(name):
    """With its loads at nothing and the taps and banks of a state."""
    both, states = random_states(name, 3, seed=4, maker=made)
    network = both.solver.network
    engine = both.runner.engine
    tied = np.ix_(network.border, network.border)
    own = network.variable(states.taps, states.closed)
    both.give(states)
    engine.start_series(1.0)
    for number in range(3):
        engine.restore(both.start(states, number), 3, 1.0)
        values, rows, starts = engine._dss.YMatrix.getYsparse()
        size = len(starts) - 1
        theirs = np.zeros((size, size), complex)
        columns = np.repeat(np.arange(size), np.diff(starts))
        theirs[rows, columns] = np.asarray(values).view(complex)
        mine = network.matrix.toarray()
        mine[tied] += own[number]
        assert np.abs(mine - theirs).max() < 1e-9 * np.abs(theirs).max()


def test_a_part_that_nothing_ties_is_an_error(tmp_path):
    text = LONG_LINE.replace("Set Volt", line("island", "x", "y", 1.0) + "Set Volt")
    with pytest.raises(FeederError, match="factorised"):
        pair(text, tmp_path)
