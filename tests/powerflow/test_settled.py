"""Regulators and banks of the batch engine where OpenDSS's static control loop leaves them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.powerflow.batch import BatchSolver
from v2g_feeder.powerflow.days import BatchRunner
from v2g_feeder.powerflow.solution import Reason

from .feeders import KV, bases, line, master_runner, point, runner, source
from .pairs import VOLTS_PU, chosen, pair
from .places import YEAR, depots, ev_days, homes

STEP = 0.00625
LN = KV / np.sqrt(3.0)


def same_taps(both, states, only=None, apart=0):
    """Settle states on both engines; all must end at the same taps and banks."""
    block = both.run(states, settle=True)
    at = range(len(states)) if only is None else only
    other, hunting = [], 0
    for number, (raw, taps, closed) in zip(at, both.settled(states, only), strict=True):
        assert raw.converged, number
        unfinished = block.reason[number] == Reason.CONTROLS_UNFINISHED
        assert unfinished == (not raw.controls_done), number
        hunting += unfinished
        if unfinished:
            continue
        steps = np.abs(taps - block.taps[:, number]) / STEP
        if steps.max(initial=0.0) > 1e-6 or (closed != block.closed[:, number]).any():
            mine = block.taps[:, number], block.closed[:, number]
            other.append((number, (taps - 1) / STEP, (mine[0] - 1) / STEP, closed, mine[1]))
            assert steps.max(initial=0.0) < 1.01, other
        else:
            assert both.apart(block, number, raw)[0] < VOLTS_PU, number
    assert len(other) <= apart, other
    assert hunting < len(states) / 2
    return block


# -- shipped feeders --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ieee13", "ieee34", "ieee37", "ieee123"])
def test_the_shipped_feeders_through_the_seasons(name):
    path = resolve_model(name, Path.cwd())
    shared_engine().load(path)
    feeder = read_feeder(shared_engine(), path)
    points = homes(feeder, 3, 1.0)[0] + depots(feeder, 3, 1.0)[0]
    rating = np.full(len(points), 1.1 * feeder.loads["kw"].sum() / len(points))
    both = pair(path, None, points)
    states = both.states(YEAR, ev_days(rating, len(YEAR), np.random.default_rng(2)))
    only = range(1, len(YEAR), 4)
    block = same_taps(both, chosen(states, np.array(only)))
    assert len(np.unique(block.taps, axis=1).T) > 4
    assert block.flow_kw[0].min() < 0 < block.flow_kw[0].max()


@pytest.mark.parametrize("name", ["ieee13", "ieee123"])
def test_days_of_the_batch_engine_are_days_of_the_runner(name):
    path = resolve_model(name, Path.cwd())
    shared_engine().load(path)
    feeder = read_feeder(shared_engine(), path)
    points = homes(feeder, 4, 1.0)[0] + depots(feeder, 2, 1.0)[0]
    loads = list(feeder.loads["name"])
    steps = 12
    solver = master_runner(path, points, loads=loads, p=YEAR[:: 24 // steps], steps=steps)
    batch = BatchRunner(solver)
    rating = np.full(len(points), 0.5 * feeder.loads["kw"].sum() / len(points))
    evs = ev_days(rating, 24, np.random.default_rng(2))[:, :: 24 // steps]
    units = np.stack([0 * evs, evs, np.minimum(evs, 0), 0.4 * evs[:, ::-1]])
    sudden = np.array([False, True, True, False])
    for first in (0, 2 * steps):
        found = batch.run(first, units, sudden=sudden)
        for kw, wanted, mine in zip(units, sudden, found, strict=True):
            theirs = solver.run(first, kw, sudden=bool(wanted))
            for item in fields(theirs):
                one, other = getattr(theirs, item.name), getattr(mine, item.name)
                assert one.dtype == other.dtype, item.name
                loose = 1e-6 if item.name in {"v_pu", "taps", "sudden_pu"} else 5e-3
                assert other == pytest.approx(one, abs=loose, rel=1e-5, nan_ok=True), item.name
            assert len(np.unique(theirs.taps, axis=0)) > 1
    assert len(found[1].sudden_step) > 3


# -- regulators -------------------------------------------------------------------------------

SUBSTATION = (
    source(1.0, 115.0)
    + "New Transformer.sub phases=3 windings=2 xhl=8 buses=(src low) conns=(delta wye) "
    "kvs=(115 12.47) kvas=(10000 10000) %Rs=(0.4 0.4)\n"
)
THREE_PHASE = (
    "New Transformer.reg phases=3 windings=2 buses=(low out) conns=(wye wye) kvs=(12.47 12.47) "
    "kvas=(9000 9000) xhl=0.5 %loadloss=0.01\n"
)
FEEDING = (
    line("l1", "out", "mid", 3.0, "normamps=230")
    + line("l2", "mid", "end", 3.0, "normamps=230")
    + f"New Load.x bus1=mid phases=3 kv={KV:g} kw=2500 kvar=900 vminpu=0.7 vmaxpu=1.4\n"
    + f"New Load.y bus1=end.2 phases=1 kv={LN:.8g} kw=600 kvar=100 vminpu=0.7 vmaxpu=1.4\n"
)
POINTS = (point("end", "ABC"), point("mid", "A"), point("end", "C"))
LOADS = np.array([0.2, 0.5, 0.8, 1.0, 1.2, 0.3, 0.9, 0.05, 1.1, 0.6])
EVS = np.array([[0, 0, 0, 0, 0, -2500, -4500, -5200, 900, -3300],
                [0, 0, 500, 0, -700, -900, -1400, 0, 300, -900],
                [0, -300, 0, 500, 0, -600, 0, -900, 400, 500]], float)  # fmt: skip
PLAIN = "transformer=reg winding=2 vreg=122 band=2 ptratio=60"


def one_regulator(folder, settings, transformer=THREE_PHASE, more=""):
    text = SUBSTATION + transformer + FEEDING + more + f"New RegControl.r {settings}\n"
    return pair(text + bases(115.0, KV), folder, POINTS)


def settled(folder, settings, transformer=THREE_PHASE, more=""):
    both = one_regulator(folder, settings, transformer, more)
    taps = 1 + STEP * np.array([[0], [0], [3], [-4], [16], [0], [2], [5], [-16], [7]])
    return same_taps(both, both.states(LOADS, EVS, taps=taps))


REGULATORS = {
    "plain": PLAIN,
    "narrow band": PLAIN + " band=1.3",
    "highest phase": PLAIN + " PTphase=max",
    "lowest phase": PLAIN + " PTphase=min",
    "phase 3": PLAIN + " PTphase=3",
    "line drop": PLAIN + " CTprim=300 R=3 X=7",
    "line drop, R alone": PLAIN + " CTprim=300 R=6",
    "line drop, negative X": PLAIN + " CTprim=300 R=3 X=-5",
    "line drop, phase 2": PLAIN + " CTprim=300 R=3 X=7 PTphase=2",
    "line drop, highest": PLAIN + " CTprim=300 R=3 X=7 PTphase=max",
    "line drop by Z": PLAIN + " CTprim=300 LDC_Z=6",
    "limit": PLAIN + " CTprim=300 R=6 X=9 Vlimit=124",
    "limit within the band": PLAIN + " Vlimit=121.5",
    "one tap at a time": PLAIN + " maxtapchange=1",
    "two taps at a time": PLAIN + " maxtapchange=2",
    "no tap at all": PLAIN + " maxtapchange=0",
    "inverse time": PLAIN + " inversetime=yes delay=30",
    "remote bus": PLAIN + " bus=end.2",
    "remote bus, own ratio": PLAIN + " bus=mid.1 remoteptratio=61",
    "remote bus, limit": PLAIN + " bus=end.2 vlimit=123",
    "remote bus without node": PLAIN + " bus=end",
    "remote bus, line drop": PLAIN + " bus=mid.3 CTprim=300 R=3 X=7",
    "taps on the other winding": PLAIN + " tapwinding=1",
    "reversible": PLAIN + " reversible=yes revvreg=119 revband=3 revthreshold=100",
    "reversible, line drop": PLAIN + " CTprim=300 R=3 X=7 reversible=yes revvreg=120 revband=2.5 "
    "revR=1 revX=2",
    "reversible to neutral": PLAIN + " reversible=yes revneutral=yes",
    "cogeneration": PLAIN + " CTprim=300 R=3 X=7 cogen=yes revvreg=121 revband=2 revR=1 revX=3",
    "cogeneration by Z": PLAIN + " CTprim=300 LDC_Z=5 Rev_Z=2 cogen=yes revvreg=121 revband=2",
    "high threshold": PLAIN + " reversible=yes revvreg=119 revband=3 revthreshold=2500",
    "reversible, quick": PLAIN + " reversible=yes revvreg=119 revband=3 revdelay=5 delay=30",
}


def test_a_regulator_that_never_rests_is_seen_when_it_comes_back(tmp_path, monkeypatch):
    both = one_regulator(tmp_path, PLAIN + " Vlimit=120.5")
    rounds = []
    flow = BatchSolver._flow
    monkeypatch.setattr(BatchSolver, "_flow", lambda *given: (rounds.append(1), flow(*given)))
    states = both.states(LOADS, EVS)
    block = both.run(states, settle=True)
    unfinished = block.reason == Reason.CONTROLS_UNFINISHED
    assert unfinished.any()
    assert len(rounds) < 40
    for number, (raw, _, _) in enumerate(both.settled(states)):
        assert unfinished[number] == (not raw.controls_done), number


@pytest.mark.parametrize("name", REGULATORS)
def test_a_regulator(name, tmp_path):
    block = settled(tmp_path, REGULATORS[name])
    if name != "no tap at all":
        assert len(np.unique(block.taps)) > 2


TRANSFORMERS = {
    "wye, taps on the first": THREE_PHASE + "Edit Transformer.reg wdg=1 maxtap=1.1\n",
    "32 steps of 15 %": THREE_PHASE
    + "Edit Transformer.reg wdg=2 maxtap=1.15 mintap=0.85 numtaps=32\n",
    "20 steps": THREE_PHASE + "Edit Transformer.reg wdg=2 numtaps=20\n",
    "delta on the sensed side": THREE_PHASE.replace("conns=(wye wye)", "conns=(delta delta)"),
    "delta and wye": THREE_PHASE.replace("conns=(wye wye)", "conns=(delta wye)"),
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers(name, tmp_path):
    transformer, more, ptratio = TRANSFORMERS[name], "", 60
    if "delta on" in name:
        more = "New Transformer.earth phases=3 windings=2 buses=(out ground) conns=(wye delta) "
        more += "kvs=(12.47 12.47) kvas=(9000 9000) xhl=3\n"
        ptratio = 104
    both = one_regulator(tmp_path, PLAIN + f" ptratio={ptratio}", transformer, more)
    block = both.run(both.states(LOADS, EVS), settle=True)
    other = []
    step = both.probe.observed.tap_steps[0]
    for number, (raw, taps, _) in enumerate(both.settled(both.states(LOADS, EVS))):
        assert raw.converged
        if abs(taps[0] - block.taps[0, number]) > 1e-9:
            other.append((number, taps[0], block.taps[0, number], step))
    assert not other
    assert len(np.unique(block.taps)) > 2


def test_three_single_phase_regulators_in_a_row_of_two(tmp_path):
    """Six controls of unlike delays that see each other."""
    text = SUBSTATION
    for phase in "123":
        text += (
            f"New Transformer.a{phase} phases=1 windings=2 buses=(low.{phase} out.{phase}) "
            f"kvs=(7.2 7.2) kvas=(3000 3000) xhl=0.1 %loadloss=0.01\n"
            f"New RegControl.a{phase} transformer=a{phase} winding=2 vreg=122 band=2 ptratio=60 "
            f"CTprim=400 R=2 X=4 delay={15 + int(phase)}\n"
            f"New Transformer.b{phase} phases=1 windings=2 buses=(mid.{phase} far.{phase}) "
            f"kvs=(7.2 7.2) kvas=(3000 3000) xhl=0.1 %loadloss=0.01\n"
            f"New RegControl.b{phase} transformer=b{phase} winding=2 vreg=121 band=1.6 ptratio=60 "
            f"delay=30 {'reversible=yes revvreg=120 revband=2' if phase == '2' else ''}\n"
        )
    text += FEEDING.replace("bus1=mid bus2=end", "bus1=far bus2=end")
    both = pair(text + bases(115.0, KV), tmp_path, POINTS)
    block = same_taps(both, both.states(LOADS, EVS))
    assert (np.ptp(block.taps, axis=1) > 3 * STEP).all()


def test_taps_stop_at_their_ends(tmp_path):
    block = settled(tmp_path, PLAIN + " vreg=135 band=2")
    assert np.isclose(block.taps[0], 1.1).sum() >= 5
    block = settled(tmp_path, PLAIN + " vreg=104 band=2")
    assert np.isclose(block.taps[0], 0.9).sum() >= 5


def test_a_disabled_regulator_and_a_banned_name(tmp_path):
    text = SUBSTATION + THREE_PHASE + FEEDING + f"New RegControl.r {PLAIN} enabled=no\n"
    both = pair(text + bases(115.0, KV), tmp_path, POINTS)
    block = both.run(both.states(LOADS, EVS), settle=True)
    for number, (raw, _, _) in enumerate(both.settled(both.states(LOADS, EVS))):
        assert both.apart(block, number, raw)[0] < VOLTS_PU


# -- banks ------------------------------------------------------------------------------------

BANK = f"New Capacitor.c bus1=mid phases=3 kv={KV:g} kvar=900\n"
BANKS = {
    "current": "type=current element=Line.l1 terminal=1 onsetting=110 offsetting=60 ctratio=1",
    "current, highest": "type=current element=Line.l1 onsetting=110 offsetting=60 ctratio=1 "
    "ctphase=max",
    "current, lowest": "type=current element=Line.l1 onsetting=90 offsetting=60 ctratio=1 "
    "ctphase=min",
    "current, mean": "type=current element=Line.l1 onsetting=1.7 offsetting=0.9 ctratio=60 "
    "ctphase=avg",
    "current, phase 3": "type=current element=Line.l2 terminal=2 onsetting=60 offsetting=20 "
    "ctratio=1 ctphase=3",
    "voltage": "type=voltage element=Line.l1 terminal=2 onsetting=115 offsetting=119 ptratio=60",
    "voltage, mean": "type=voltage element=Line.l1 terminal=2 onsetting=115 offsetting=119 "
    "ptratio=60 ptphase=avg",
    "voltage, lowest": "type=voltage element=Line.l2 terminal=2 onsetting=113 offsetting=118 "
    "ptratio=60 ptphase=min",
    "kvar": "type=kvar element=Line.l1 terminal=1 onsetting=700 offsetting=-500",
    "kvar and override": "type=kvar element=Line.l1 terminal=1 onsetting=900 offsetting=-700 "
    "voltoverride=yes vmin=114 vmax=121 ptratio=60",
    "current and override": "type=current element=Line.l1 terminal=2 onsetting=110 offsetting=60 "
    "ctratio=1 voltoverride=yes vmin=114 vmax=121 ptratio=60",
    "time": "type=time element=Line.l1 onsetting=4 offsetting=8",
    "time, over midnight": "type=time element=Line.l1 onsetting=8 offsetting=3",
}


@pytest.mark.parametrize("delta", [False, True])
@pytest.mark.parametrize("name", BANKS)
def test_a_bank(name, delta, tmp_path):
    bank = BANK.replace("kvar=900", "kvar=900 conn=delta") if delta else BANK
    own_phase = not any(word in name for word in ("mean", "lowest", "highest"))
    # between two lines where the bank is in delta and one phase is sensed
    settings = (
        BANKS[name].replace("ptratio=60", "ptratio=104") if delta and own_phase else BANKS[name]
    )
    text = SUBSTATION + THREE_PHASE + FEEDING + bank + f"New CapControl.k capacitor=c {settings}\n"
    both = pair(text + bases(115.0, KV), tmp_path, POINTS)
    closed = np.array([[1], [0]] * 5, float)
    hour = np.arange(1.0, 11)
    block = same_taps(both, both.states(LOADS, EVS, closed=closed, hour=hour))
    assert len(np.unique(block.closed)) == 2
    assert (block.closed[0] != closed[:, 0]).any()


def test_a_bank_that_the_model_leaves_open(tmp_path):
    """Its matrix is that of a bank that is in, so that closing it changes the voltages."""
    settings = BANKS["voltage"]
    text = SUBSTATION + THREE_PHASE + FEEDING + BANK.replace("kvar=900", "kvar=900 states=[0]")
    text += f"New CapControl.k capacitor=c {settings}\n"
    both = pair(text + bases(115.0, KV), tmp_path, POINTS)
    (bank,) = both.solver.network.banks
    assert not bank.closed
    ohm = 1.0 / np.abs(bank.matrix[0, 0])
    assert ohm == pytest.approx(KV**2 / 0.9, rel=1e-6)
    block = same_taps(both, both.states(LOADS, EVS))
    assert block.closed.any()


def test_banks_and_regulators_together(tmp_path):
    text = SUBSTATION + THREE_PHASE + FEEDING + BANK
    text += f"New Capacitor.e bus1=end.2 phases=1 kv={LN:.8g} kvar=200\n"
    text += f"New CapControl.k capacitor=c {BANKS['kvar and override']} delay=20 delayoff=40\n"
    text += f"New CapControl.e capacitor=e {BANKS['voltage, lowest']} delay=10\n"
    text += f"New RegControl.r {PLAIN} reversible=yes revvreg=120 revband=2 delay=30\n"
    both = pair(text + bases(115.0, KV), tmp_path, POINTS)
    for start in (0.0, 1.0):
        block = same_taps(both, both.states(LOADS, EVS, closed=np.full((10, 2), start)))
        assert len(np.unique(block.closed, axis=1).T) > 2


# -- what OpenDSS keeps from unit to unit -----------------------------------------------------


@pytest.mark.parametrize(
    "settings", ["reversible=yes revvreg=115 revband=2", "cogen=yes revvreg=115 revband=2",
                 "reversible=yes revneutral=yes"],
)  # fmt: skip
def test_a_regulator_looks_forward_when_a_unit_begins(settings, tmp_path):
    """A day that ends in reverse must leave nothing to the next one."""
    text = SUBSTATION + THREE_PHASE + FEEDING + f"New RegControl.r {PLAIN} {settings}\n"
    solver = runner(tmp_path, text + bases(115.0, KV), POINTS, loads=["x", "y"], p=[0.6, 0.5, 0.4])
    quiet = np.zeros((3, 3))
    turned = np.array([[0, -5200, -5200.0], [0, 0, 0], [0, 0, 0]])
    first = solver.run(0, quiet)
    reverse = solver.run(0, turned)
    assert reverse.head_kw[-1] < -2000
    assert reverse.taps[-1] != pytest.approx(first.taps[-1]), "it did look the other way"
    again = solver.run(0, quiet)
    assert again.taps.tobytes() == first.taps.tobytes()
    assert again.v_pu.tobytes() == first.v_pu.tobytes()
    assert solver.run(0, turned).v_pu.tobytes() == reverse.v_pu.tobytes()
    mine = BatchRunner(solver).run(0, np.stack([quiet, turned]))
    for found, expected in zip(mine, (first, reverse), strict=True):
        assert found.taps == pytest.approx(expected.taps, abs=1e-7)
