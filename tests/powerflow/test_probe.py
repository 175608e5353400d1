"""Voltages, loadings, flows and losses against hand calculation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.library import resolve_model

from .feeders import (
    KV,
    VOLTS,
    bases,
    line,
    load_powers,
    master_runner,
    point,
    runner,
    source,
    voltages,
)

LN = KV / np.sqrt(3.0)
WIDE = "vminpu=0.5 vmaxpu=1.5 kvar=0"
IDEAL = "%noloadloss=0 %imag=0"


def service(primary, bus, kva=25, kv=LN):
    return (
        f"New Transformer.t phases=1 windings=3 buses=[{primary} {bus}.1.0 {bus}.0.2] "
        f"kvs=[{kv:.8g} 0.12 0.12] kvas=[{kva} {kva} {kva}] %rs=[0.6 1.2 1.2] "
        f"xhl=2.04 xht=2.04 xlt=1.36 {IDEAL}\n"
    )


def loading(solver, solution, element, step=0):
    names = solver.probe.observed.elements["element"].tolist()
    return float(solution.loading_pct[step, names.index(element)])


def flow(solver, solution, element, step=0):
    names = solver.probe.observed.flows["element"].tolist()
    return float(solution.flow_kw[step, names.index(element)])


# -- loading ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kw", [700.0, -700.0])
def test_a_line_is_loaded_by_its_worst_phase_in_either_direction(tmp_path, kw):
    text = source() + line("l", "src", "b", 2.0, "normamps=150") + bases()
    solver = runner(tmp_path, text, [point("b", "A"), point("b", "B")])
    solution = solver.run(0, np.array([[kw], [kw / 2]]))
    found = voltages(solver, solution)
    amps = abs(kw) * 1e3 / (found["b.1"] * VOLTS)
    assert loading(solver, solution, "Line.l") == pytest.approx(100 * amps / 150, rel=1e-5)
    row = solver.probe.observed.elements.iloc[0]
    assert (row["rating_a"], row["basis"], row["phase"]) == (150, "normal amps", "ABC")
    assert row["rating_kva"] == pytest.approx(3 * 150 * KV / np.sqrt(3), rel=1e-4)


def test_an_unrated_line_has_no_loading(tmp_path):
    text = source() + line("l", "src", "b", 2.0) + line("m", "b", "c", 1.0, "normamps=0") + bases()
    solver = runner(tmp_path, text, [point("c", "A")])
    solution = solver.run(0, np.array([[500.0]]))
    assert np.isnan(solution.loading_pct).all()
    assert set(solver.probe.observed.elements["rating_source"]) == {"unknown"}


@pytest.mark.parametrize("kw", [80.0, -80.0])
def test_a_three_phase_bank_is_loaded_by_its_worst_winding(tmp_path, kw):
    text = (
        source()
        + line("l", "src", "b", 0.1)
        + f"New Transformer.t phases=3 windings=2 buses=[b low] kvs=[12.47 0.48] conns=[delta wye] "
        f"kvas=[300 300] %rs=[0.5 0.5] xhl=4 {IDEAL}\n" + bases(KV, 0.48)
    )
    solver = runner(tmp_path, text, [point("low", "A", 0.48 / np.sqrt(3))])
    solution = solver.run(0, np.array([[kw]]))
    v = voltages(solver, solution)["low.1"] * 480 / np.sqrt(3)
    rated = 300e3 / (np.sqrt(3) * 480)
    assert loading(solver, solution, "Transformer.t") == pytest.approx(
        100 * 80e3 / v / rated, rel=1e-4
    )
    balanced = runner(tmp_path, text, [point("low", "ABC", 0.48)])
    solution = balanced.run(0, np.array([[kw * 3]]))
    assert loading(balanced, solution, "Transformer.t") == pytest.approx(80, rel=0.03)


def test_a_two_phase_bank_states_its_voltage_line_to_line(tmp_path):
    text = (
        source()
        + line("l", "src", "b", 0.1)
        + f"New Transformer.t phases=2 windings=2 buses=[b.1.2 low.1.2] kvs=[12.47 0.48] "
        f"kvas=[100 100] %rs=[0.5 0.5] xhl=2 {IDEAL}\n" + bases(KV, 0.48)
    )
    kv = 0.48 / np.sqrt(3)
    solver = runner(tmp_path, text, [point("low", "A", kv), point("low", "B", kv)])
    solution = solver.run(0, np.array([[50.0], [50.0]]))
    v = min(voltages(solver, solution)[f"low.{n}"] for n in (1, 2))
    assert loading(solver, solution, "Transformer.t") == pytest.approx(100 / v, rel=1e-3)


@pytest.mark.parametrize("kw", [10.0, -10.0])
def test_a_centre_tapped_unit_is_loaded_leg_by_leg(tmp_path, kw):
    text = source() + line("l", "src", "b", 0.1) + service("b.2", "s") + bases(KV, 0.207846)
    both = point("s", "split", 0.24, phase="B")
    leg = point("s", "A", 0.12)  # a 120 V socket
    solver = runner(tmp_path, text, [both, leg])
    solution = solver.run(0, np.array([[kw], [0.0]]))
    found = voltages(solver, solution)
    assert found["s.1"] == pytest.approx(found["s.2"], abs=2e-4)
    assert found["s.1.2"] == pytest.approx((found["s.1"] + found["s.2"]) / 2, abs=1e-5)
    amps = 10e3 / (found["s.1.2"] * 240)
    rated = 25e3 / 240  # the nameplate at 240 V, in each leg
    # the primary winding carries the same share, and the losses when it charges
    assert loading(solver, solution, "Transformer.t") == pytest.approx(100 * amps / rated, rel=0.01)
    solution = solver.run(0, np.array([[0.0], [kw]]))
    amps = 10e3 / (voltages(solver, solution)["s.1"] * 120)
    assert loading(solver, solution, "Transformer.t") == pytest.approx(100 * amps / rated, rel=1e-4)
    assert abs(voltages(solver, solution)["s.1"] - voltages(solver, solution)["s.2"]) > 0.004


def test_split_phase_voltages_are_as_connected(tmp_path):
    text = source(1.02) + line("l", "src", "b", 0.1) + service("b.3", "s") + bases(KV, 0.207846)
    solver = runner(tmp_path, text)
    places = solver.probe.observed.voltages.set_index("node")
    service_rows = places.loc[["s.1", "s.2", "s.1.2"]]
    assert set(service_rows["wiring"]) == {"split_phase"}
    assert set(service_rows["phase"]) == {"C"}
    assert service_rows["kv_class"].to_numpy() == pytest.approx(0.24, rel=1e-3)
    found = voltages(solver, solver.run(0, np.zeros((0, 1))))
    assert [found[node] for node in ("s.1", "s.2", "s.1.2")] == pytest.approx([1.02] * 3, rel=2e-3)


def test_three_wire_voltages_are_line_to_line(tmp_path):
    text = (
        source()
        + "New Transformer.t windings=2 buses=[src d] kvs=[12.47 0.48] conns=[delta delta] kva=300 "
        f"xhl=4 {IDEAL}\n" + bases(KV, 0.48)
    )
    point_ca = point("d", "CA", 0.48)
    solver = runner(tmp_path, text, [point_ca])
    solution = solver.run(0, np.array([[60.0]]))
    labels = solver.probe.observed.voltages.set_index("node")
    assert labels.loc[["d.1.2", "d.2.3", "d.3.1"], "phase"].tolist() == ["AB", "BC", "CA"]
    assert "d.1" not in labels.index
    found = voltages(solver, solution)
    raw = solver.solve_at(0)
    for pair in ((1, 2), (2, 3), (3, 1)):
        at = [raw.volts[solver.feeder.node_index[f"d.{n}"]] for n in pair]
        label = f"d.{pair[0]}.{pair[1]}"
        assert found[label] == pytest.approx(abs(at[0] - at[1]) / 480, abs=1e-6)
    assert found["d.1.2"] < found["d.3.1"] < found["d.2.3"]


# -- flows and losses -------------------------------------------------------------------------

WATCHED = (
    source()
    + "New Transformer.reg phases=1 buses=[src.1 r.1] kvs=[7.2 7.2] kvas=[2000 2000] xhl=1\n"
    + "New RegControl.c transformer=reg winding=2 vreg=120 band=3 ptratio=60\n"
    + "New Line.sw bus1=mid.1 bus2=r.1 phases=1 switch=yes\n"  # written against the flow
    + "New Line.l bus1=mid.1 bus2=far.1 phases=1 r1=0.5 x1=0.5 length=1\n"
    + service("far.1", "s", kva=100, kv=7.2)
    + f"New Load.x bus1=mid.1 phases=1 kv=7.2 kw=300 {WIDE}\n"
    + bases(KV, 0.207846)
)


def test_flows_are_positive_away_from_the_head(tmp_path):
    home = point("s", "split", 0.24, phase="A")
    limits = {"head": 100.0, "LINE.SW": 50.0}
    solver = runner(tmp_path, WATCHED, [home], loads=["x"], p=[1.0, 0.1, 1.0], limits=limits)
    solution = solver.run(0, np.array([[0.0, -80.0, 40.0]]))
    table = solver.probe.observed.flows.set_index("element")
    assert table["kind"].to_dict() == {
        "head": "head",
        "Transformer.reg": "regulator",
        "Line.sw": "switch",
        "Transformer.t": "service_transformer",
    }
    assert table["limit_kw"].dropna().to_dict() == {"head": 100.0, "Line.sw": 50.0}
    assert table.loc["Transformer.t", "phase"] == "A"
    for step, (base, ev) in enumerate([(300, 0), (30, -80), (300, 40)]):
        flows = {name: flow(solver, solution, name, step) for name in table.index}
        assert flows["Line.sw"] == pytest.approx(base + ev, abs=2.5)
        assert flows["Transformer.reg"] == pytest.approx(flows["Line.sw"], abs=1.0)
        assert flows["Transformer.t"] == pytest.approx(ev, abs=2.0)
        assert flows["head"] == pytest.approx(solution.head_kw[step])
        assert flows["head"] - flows["Transformer.reg"] == pytest.approx(0, abs=0.01)
    assert flow(solver, solution, "Transformer.t", 1) > -80, "export loses on its way up"
    assert flow(solver, solution, "Transformer.t", 2) > 40


@pytest.mark.parametrize("name", ["ieee13", "ieee34", "ieee37", "ieee123"])
def test_power_balances_at_every_step(name):
    """Source = loads + chargers + losses, with a head that reverses."""
    master = resolve_model(name, Path.cwd())
    engine = shared_engine()
    engine.load(master)
    loads = [row["name"] for row in engine.loads()]
    site = {"ieee13": "675", "ieee34": "844", "ieee37": "730", "ieee123": "60"}[name]
    kv = {"ieee13": 4.16, "ieee34": 24.9, "ieee37": 4.8, "ieee123": 4.16}[name]
    three = point(site, "ABC", kv, delta=name == "ieee37")
    solver = master_runner(master, [three], loads=loads, p=[1.0, 0.5, 0.3])
    kw = np.array([[100.0, -400.0, -1500.0]])
    measure, drawn, chargers = solver._measure, [], []

    def spy(*arguments):
        drawn.append(sum(load_powers(load)[0] for load in loads))
        chargers.append(load_powers("v2g_0")[0])
        return measure(*arguments)

    solver._measure = spy
    solution = solver.run(0, kw)
    assert solution.valid.all()
    assert solution.head_kw.min() < 0
    assert chargers == pytest.approx(list(kw[0]), rel=1e-5)
    balance = np.array(drawn) + chargers + solution.losses_kw
    assert solution.head_kw.tolist() == pytest.approx(list(balance), abs=0.02)
    assert (solution.losses_kw > 0).all()
    assert drawn[0] > 1.5 * drawn[1] > 1.5 * drawn[2] > 0
