"""Volt-var and volt-watt of chargers: the curves, the fixed point, and both engines on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

from v2g_feeder.errors import InputError
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.powerflow.chargers import (
    ChargerControl,
    Curve,
    Follow,
    Operation,
    category_b,
    charger_figures,
    respond,
)
from v2g_feeder.powerflow.days import BatchRunner
from v2g_feeder.powerflow.solution import Reason

from .feeders import KV, bases, far_volts, line, point, runner, source
from .pairs import VOLTS_PU, chosen, pair, same_bits

VAR, WATT = category_b("volt_var"), category_b("volt_watt")
BOTH = ChargerControl(VAR, WATT)
LN = KV * 1e3 / np.sqrt(3.0)


# -- the curves -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("v", "share"),
    [(0.80, 0.44), (0.92, 0.44), (0.95, 0.22), (0.98, 0), (1, 0), (1.02, 0), (1.05, -0.22),
     (1.08, -0.44), (1.3, -0.44)],
)  # fmt: skip
def test_volt_var_of_category_b(v, share):
    """IEEE 1547-2018, table 8; absorbing is positive in signed power."""
    kw, kvar = respond(ChargerControl(VAR), np.array(v), np.array(-50.0), np.array(100.0))
    assert kw == -50
    assert kvar == pytest.approx(-100 * share)


@pytest.mark.parametrize(("v", "share"), [(1.0, 1), (1.06, 1), (1.08, 0.6), (1.1, 0.2), (1.2, 0.2)])
def test_volt_watt_of_category_b(v, share):
    """IEEE 1547-2018, table 10."""
    kw, kvar = respond(ChargerControl(None, WATT), np.array(v), np.array([-100.0, -10.0]), np.array(
        100.0))  # fmt: skip
    assert kw == pytest.approx([-100 * share, -10])
    assert (kvar == 0).all()


def test_reactive_power_goes_first():
    v, rated = np.array(1.08), np.array(100.0)
    for kva, expected in ((1.0, np.sqrt(1 - 0.44**2) * 100), (1.2, 100.0)):
        control = ChargerControl(VAR, kva_per_kw=kva)
        kw, kvar = respond(control, v, np.array(-100.0), rated)
        assert kw == pytest.approx(-expected)
        assert kvar == pytest.approx(44 * kva)
        assert np.hypot(kw, kvar) <= kva * 100 * (1 + 1e-12)


def test_a_charger_that_does_not_export_is_left_alone_unless_set():
    kw = np.array([0.0, 60.0, -60.0])
    found = respond(BOTH, np.array(1.08), kw, np.array(100.0))
    np.testing.assert_allclose(found, [[0, 60, -60], [0, 0, 44]])
    control = ChargerControl(VAR, WATT, Operation.BOTH)
    found = respond(control, np.array(1.08), np.array([0.0, 60.0, 95.0]), np.array(100.0))
    np.testing.assert_allclose(found[0], [0, 60, 95])
    np.testing.assert_allclose(found[1], [0, 44, np.sqrt(100**2 - 95**2)])


def test_disabled_by_default():
    assert not ChargerControl().enabled
    found = respond(ChargerControl(), np.array(1.2), np.array(-7.0), np.array(7.0))
    assert found == (-7, 0)
    with pytest.raises(InputError, match="kva_per_kw"):
        ChargerControl(kva_per_kw=0.0)


def test_every_default_has_a_source():
    for name, figure in charger_figures().items():
        assert figure.keys() == {"value", "unit", "mark", "source"}, name


@pytest.mark.parametrize("rise", [0.03, 0.15, 0.6])
@pytest.mark.parametrize("count", [1, 7, 60])
def test_relaxation_comes_to_rest_however_steep(rise, count):
    """A linear feeder, chargers along it, voltages up to ``1.02 + rise``."""
    along = np.minimum.outer(np.arange(1, count + 1), np.arange(1, count + 1)).astype(float)
    along *= rise / along.sum(axis=1).max()
    ones = np.ones((count, 1))
    follow = Follow(BOTH, -ones, ones)
    left = np.array([True])
    for _ in range(60):
        v = 1.02 - along @ follow.given[0] - 0.8 * along @ follow.given[1]
        left = follow.move(v, left)
        if not left.any():
            break
    assert not left.any()
    np.testing.assert_allclose(follow.given, respond(BOTH, v, -ones, ones), atol=2e-7)
    assert follow.curtailed_kw > 0


# -- a closed form --------------------------------------------------------------------------------


@pytest.mark.parametrize("control", [ChargerControl(VAR), ChargerControl(None, WATT), BOTH])
@pytest.mark.parametrize("km", [4.0, 10.0])
def test_two_buses_against_a_root_by_bisection(control, km, tmp_path):
    """Voltage at a constant power is a quadratic's root; where the curve meets it is another's."""
    export = -2000.0
    text = source(1.03) + line("l", "src", "b", km, "normamps=900") + bases()
    both = pair(text, tmp_path, [point("b", "A", export_kw=2000.0)], chargers=control)
    block = both.agrees(both.states([0.0], [[export]]))
    at = both.probe.observed.voltages["node"].tolist().index("b.1")
    z = km * complex(0.46, 1.08)

    def miss(v: float) -> float:
        kw, kvar = respond(control, np.array(v), np.array(export), np.array(-export))
        return far_volts(z, 1e3 * kw, 1e3 * kvar, 1.03 * LN) / LN - v

    expected = brentq(miss, 0.9, 1.6, xtol=1e-13)
    assert block.v_pu[at, 0] == pytest.approx(expected, abs=2e-8)
    given, _ = respond(control, np.array(expected), np.array(export), np.array(-export))
    assert block.curtailed_kw[0] == pytest.approx(given - export, abs=1e-2)


# -- both engines ---------------------------------------------------------------------------------

POINTS = [
    point("b", "A", export_kw=900.0),
    point("b", "ABC", export_kw=3000.0),
    point("c", "ABC", export_kw=2500.0, delta=True),
    point("c", "BC", kv=KV, nodes="2.3", export_kw=800.0),
    point("c", "C", export_kw=700.0),
]
STREET = (
    source(1.03)
    + line("l1", "src", "b", 5.0, "normamps=300")
    + line("l2", "b", "c", 4.0, "normamps=300")
    + f"New Load.x bus1=b phases=3 kv={KV:g} kw=900 kvar=310 model=1 vminpu=0.7 vmaxpu=1.3\n"
    + f"New Load.y bus1=c.2 phases=1 kv={KV / np.sqrt(3):.8g} kw=300 model=4 vminpu=0.7 "
    "vmaxpu=1.3\n" + bases()
)
ASKED = np.array(
    [
        [-900, -300, 900, -900, 0],
        [-3000, -800, -3000, 500, 0],
        [-2500, -2000, 100, -2500, 0],
        [-800, 0, 0, -800, 300],
        [-700, -700, 0, -10, -700],
    ],
    float,
)


@pytest.mark.parametrize(
    "control",
    [ChargerControl(VAR), ChargerControl(None, WATT), BOTH,
     ChargerControl(VAR, WATT, Operation.BOTH, 1.2)],
    ids=["volt-var", "volt-watt", "both", "both, charging too"],
)  # fmt: skip
def test_every_connection_on_both_engines(control, tmp_path):
    both = pair(STREET, tmp_path, POINTS, chargers=control)
    states = both.states([1.0, 0.2, 0.5, 0.3, 1.0], ASKED)
    block = both.agrees(states)
    plain = pair(STREET, tmp_path, POINTS)
    without = plain.agrees(plain.states([1.0, 0.2, 0.5, 0.3, 1.0], ASKED))
    assert (block.v_pu.max(axis=0)[:2] < without.v_pu.max(axis=0)[:2] - 0.01).all()
    assert (block.reason == Reason.VALID).all()
    assert (without.curtailed_kw == 0).all()
    assert block.curtailed_kw[0] > 10
    drawn = block.flow_kw[0] - block.losses_kw
    for number, _ in enumerate(both.locked(states)):
        assert both.runner.curtailed_kw == pytest.approx(block.curtailed_kw[number], abs=1e-2)
    base = (without.flow_kw[0] - without.losses_kw) - ASKED.sum(axis=0)
    given = drawn - ASKED.sum(axis=0) - block.curtailed_kw
    assert given == pytest.approx(base, abs=30), "the CVR load answers to the voltage"


def test_a_state_does_not_depend_on_its_neighbours(tmp_path):
    both = pair(STREET, tmp_path, POINTS, chargers=BOTH)
    asked = np.tile(ASKED, 5) * np.linspace(0.2, 1.1, 25)
    states = both.states(np.linspace(0.1, 1.2, 25), asked)
    block = both.run(states)
    order = np.random.default_rng(3).permutation(25)
    again = both.run(chosen(states, order), threads=2)
    back = np.argsort(order)
    assert again.v_pu[:, back].tobytes() == block.v_pu.tobytes()
    assert again.curtailed_kw[back].tobytes() == block.curtailed_kw.tobytes()
    assert same_bits(both.run(states), block)


def test_powers_below_the_curves_are_solved_as_without_them(tmp_path):
    """In the dead band nothing answers, and the bits are those of constant powers."""
    low = STREET.replace("pu=1.03", "pu=1.0")
    asked = 0.02 * ASKED
    blocks = []
    for control in (BOTH, ChargerControl()):
        both = pair(low, tmp_path, POINTS, chargers=control)
        blocks.append(both.run(both.states([0.2], asked[:, :1])))
    assert same_bits(*blocks)


def test_chargers_that_do_not_come_to_rest_are_invalid(tmp_path, monkeypatch):
    monkeypatch.setattr("v2g_feeder.powerflow.response.MOST_ROUNDS", 2)
    monkeypatch.setattr("v2g_feeder.powerflow.opendss.MOST_ROUNDS", 2)
    both = pair(STREET, tmp_path, POINTS, chargers=BOTH)
    states = both.states([0.5, 0.5], ASKED[:, [0, 4]] * [[1, 0]])
    block = both.run(states)
    assert block.reason.tolist() == [Reason.EV_NOT_DELIVERED, Reason.VALID]
    for number, raw in enumerate(both.locked(states)):
        v_pu = both.probe.voltages(raw)
        found = both.runner.judge(raw, v_pu, 0, states.kw[1:, number])
        assert found == block.reason[number]


def test_regulators_settle_alike_with_chargers_on_their_curves(tmp_path):
    """Chargers answer before regulators move, at every round of their controls."""
    points = [
        point(bus, "ABC", kv=4.16, export_kw=kw)
        for bus, kw in (("60", 1200.0), ("105", 900.0), ("76", 1500.0), ("108", 900.0))
    ]
    both = pair(resolve_model("ieee123", tmp_path), None, points, chargers=BOTH)
    share = np.array([1.0, 0.6, 0.3, 1.0, 0.8])
    base = np.array([0.3, 0.3, 0.6, 0.1, 0.2])
    asked = -np.array([[1200.0], [900.0], [1500.0], [900.0]]) * share
    states = both.states(base, asked)
    block = both.run(states, settle=True)
    assert (block.curtailed_kw > 1).any()
    start = both.solver.network.taps
    for number, (raw, taps, _) in enumerate(both.settled(states)):
        assert raw.converged
        assert raw.controls_done
        np.testing.assert_allclose(block.taps[:, number], taps, atol=1e-9)
        assert both.apart(block, number, raw)[0] < VOLTS_PU
        assert np.abs(taps - start).max() > 0.005


def test_a_day_of_both_runners_curtails_the_same(tmp_path):
    """Events that start and end, all export lost at once, and what the points drew."""
    text = (
        source(1.03) + line("l", "src", "b", 6.0, "normamps=300")
        + f"New Load.x bus1=b phases=3 kv={KV:g} kw=900 kvar=310 vminpu=0.7 vmaxpu=1.3\n" + bases()
    )  # fmt: skip
    points = [point("b", "A"), point("b", "ABC")]
    solver = runner(tmp_path, text, points, loads=["x"], p=[0.2, 0.9, 0.4, 0.3])
    rated = solver.circuit.points.assign(export_kw=[1500.0, 4000.0])
    solver.circuit = replace(solver.circuit, points=rated, chargers=BOTH)
    solver._rated_kw = solver.circuit.export_kw
    kw = np.array([[300, -1500, -1500, 0], [0, -4000, -100, 200]], float)
    one = BatchRunner(solver).run(0, kw[None], sudden=np.array([True]))[0]
    other = solver.run(0, kw, sudden=True)
    assert other.curtailed_kw[1] > 100
    assert (other.curtailed_kw[[0, 3]] == 0).all()
    for name in ("v_pu", "sudden_pu"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=VOLTS_PU)
    for name in ("curtailed_kw", "charger_kw", "charger_kvar"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-3)
    np.testing.assert_array_equal(other.charger_kw[[0, 3]].T, kw[:, [0, 3]])
    assert len(one.sudden_step) == len(other.sudden_step) == 4
    np.testing.assert_allclose(
        other.curtailed_kw, (other.charger_kw - kw.T).sum(axis=1), rtol=1e-5, atol=1e-3
    )


# -- OpenDSS's own control ------------------------------------------------------------------------


def test_opendss_s_own_volt_var_and_volt_watt_end_at_the_same_power(tmp_path):
    """A PV system with an InvControl of the same curves, to within that control's tolerance."""
    export, km = 2000.0, 14.0
    text = source(1.03) + line("l", "src", "b", km, "normamps=900") + bases()
    both = pair(text, tmp_path, [point("b", "ABC", export_kw=export)], chargers=BOTH)
    block = both.agrees(both.states([0.0], [[-export]]))
    at = both.probe.observed.voltages["node"].tolist().index("b.1")
    assert 1.02 < block.v_pu[at, 0] < 1.08
    own = (
        f"New XYCurve.var npts=4 xarray={list(VAR.v_pu)} yarray={list(VAR.share)}\n"
        f"New XYCurve.watt npts=4 xarray=[0.5 {WATT.v_pu[0]} {WATT.v_pu[1]} 2] "
        "yarray=[1 1 0.2 0.2]\n"
        f"New PVSystem.p bus1=b kv={KV:g} kva={export:g} pmpp={export:g} irradiance=1 pf=1 "
        "vminpu=0.5 vmaxpu=1.5 wattpriority=no\n"
        "New InvControl.i derlist=[PVSystem.p] combimode=vv_vw vvc_curve1=var voltwatt_curve=watt "
        "voltage_curvex_ref=rated refreactivepower=varmax varchangetolerance=0.0001 "
        "activepchangetolerance=0.0001 voltagechangetolerance=0.00001 deltaq_factor=0.2 "
        "deltap_factor=0.2\n"
    )
    engine = shared_engine()
    master = tmp_path / "own.dss"
    master.write_text(text.replace("Set Volt", own + "Set Volt"))
    engine.load(master)
    engine.run(["Set maxcontroliter=1000"], where="test")
    raw = engine.solve(0, 1.0)
    assert raw.converged
    assert raw.controls_done
    v_pu = np.abs(raw.volts[engine.node_names().index("b.1")]) / LN
    assert v_pu == pytest.approx(block.v_pu[at, 0], abs=2e-4)
    assert raw.source_kva.real == pytest.approx(block.flow_kw[0, 0], abs=4)
    assert raw.source_kva.imag == pytest.approx(block.head_kvar[0], abs=8)


def test_curves_are_level_beyond_their_ends():
    assert Curve((1.0, 1.1), (1.0, 0.0)).at(np.array([0.2, 1.05, 3.0])) == pytest.approx(
        [1.0, 0.5, 0.0]
    )
