"""The runner against feeders that can be solved by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from v2g_feeder.loadshape.injections import coincident
from v2g_feeder.powerflow.solution import Reason

from .feeders import (
    MUTUAL,
    SELF,
    TURN,
    VOLTS,
    bases,
    far_volts,
    line,
    point,
    runner,
    source,
    three_phase,
    voltages,
)

TWO_BUS = source() + line("l", "src", "b", 4.0) + bases()
THREE_BUS = source() + line("l1", "src", "mid", 2.0) + line("l2", "mid", "end", 2.0) + bases()
TOLERANCE = 1e-6
POSITIVE = SELF - MUTUAL


def solve(folder, text, points, kw, kvar=None, **other):
    """Voltages of one step by node."""
    solver = runner(folder, text, points, **other)
    column = [np.reshape(np.asarray(v, float), (-1, 1)) for v in (kw, kvar or np.zeros(len(kw)))]
    solution = solver.run(0, *column)
    assert solution.reason[0] <= Reason.FLAGGED
    return voltages(solver, solution)


@pytest.mark.parametrize("kw", [500.0, -500.0, 1500.0, -3000.0])
@pytest.mark.parametrize("kvar", [0.0, 200.0, -200.0])
def test_one_phase_on_a_two_bus_line(tmp_path, kw, kvar):
    found = solve(tmp_path, TWO_BUS, [point("b", "A")], [kw], [kvar])
    by_hand = far_volts(4.0 * SELF, kw * 1e3, kvar * 1e3)
    assert found["b.1"] == pytest.approx(by_hand / VOLTS, abs=TOLERANCE)
    # the other phases see the current of A through the mutual impedance alone
    own = VOLTS - 4.0 * SELF * _current(4.0 * SELF, kw * 1e3, kvar * 1e3)
    assert abs(own) == pytest.approx(by_hand)
    drop = 4.0 * MUTUAL * _current(4.0 * SELF, kw * 1e3, kvar * 1e3)
    others = np.abs(VOLTS * TURN[1:] - drop) / VOLTS
    assert [found["b.2"], found["b.3"]] == pytest.approx(list(others), abs=TOLERANCE)
    if not kvar:
        assert (found["b.1"] > 1) == (kw < 0)


def _current(z, watts, var):
    """Phase A current from its own quadratic: the angle from P and Q of the receiving end."""
    u = far_volts(z, watts, var)
    s = complex(watts, var)
    # E = V + Z conj(S)/conj(V), V = u e^{jd}: E e^{-jd} = u + Z conj(S)/u
    turned = u + z * s.conjugate() / u
    angle = -np.angle(turned)
    return (s / (u * np.exp(1j * angle))).conjugate()


@pytest.mark.parametrize("kw", [1500.0, -1500.0, 4500.0, -9000.0])
def test_balanced_three_phase_sees_self_minus_mutual(tmp_path, kw):
    found = solve(tmp_path, TWO_BUS, [point("b", "ABC")], [kw], [-100.0])
    by_hand = far_volts(4.0 * POSITIVE, kw * 1e3 / 3, -100e3 / 3) / VOLTS
    assert [found[f"b.{n}"] for n in (1, 2, 3)] == pytest.approx([by_hand] * 3, abs=TOLERANCE)


@pytest.mark.parametrize("kw", [900.0, -900.0])
def test_moving_from_the_head_to_the_end_doubles_the_impedance(tmp_path, kw):
    near = solve(tmp_path, THREE_BUS, [point("mid", "A")], [kw])
    far = solve(tmp_path, THREE_BUS, [point("end", "A")], [kw])
    assert near["mid.1"] == pytest.approx(near["end.1"], abs=1e-7), "no current beyond the charger"
    change = far["end.1"] - near["mid.1"]
    by_hand = (far_volts(4 * SELF, kw * 1e3, 0) - far_volts(2 * SELF, kw * 1e3, 0)) / VOLTS
    assert change == pytest.approx(by_hand, abs=TOLERANCE)
    assert np.sign(change) == -np.sign(kw)
    assert abs(change) > 1e-3


@pytest.mark.parametrize("kw", [900.0, -900.0])
def test_balanced_to_one_phase(tmp_path, kw):
    balanced = solve(tmp_path, TWO_BUS, [point("b", p) for p in "ABC"], [kw / 3] * 3)
    single = solve(tmp_path, TWO_BUS, [point("b", "A")], [kw])
    change = single["b.1"] - balanced["b.1"]
    one, three = far_volts(4 * SELF, kw * 1e3, 0), far_volts(4 * POSITIVE, kw * 1e3 / 3, 0)
    assert change == pytest.approx((one - three) / VOLTS, abs=TOLERANCE)
    assert np.sign(change) == -np.sign(kw)


@pytest.mark.parametrize("kw", [600.0, -600.0])
def test_heavy_to_light_load(tmp_path, kw):
    text = TWO_BUS.replace(
        "Set Volt",
        "New Load.x bus1=b phases=3 kv=12.47 kw=3000 kvar=900 vminpu=0.8 vmaxpu=1.2\nSet Volt",
    )
    solver = runner(tmp_path, text, [point("b", "ABC")], loads=["x"], p=[1.0, 0.2])
    solution = solver.run(0, np.full((1, 2), kw))
    heavy, light = (voltages(solver, solution, step)["b.2"] for step in (0, 1))
    by_hand = [
        far_volts(4 * POSITIVE, (3000 * p + kw) * 1e3 / 3, 900e3 * p / 3) / VOLTS for p in (1, 0.2)
    ]
    assert [heavy, light] == pytest.approx(by_hand, abs=TOLERANCE)
    assert light - heavy > 0.02


def test_the_split_is_the_worst_of_the_bounding_cases(tmp_path):
    """A exports while B and C charge: the mutual impedance adds to the rise instead of taking."""
    points = [point("b", phase) for phase in "ABC"]
    rating = np.full(3, 700.0)
    solver = runner(tmp_path, TWO_BUS, points)
    highest, lowest = {}, {}
    for case in ("coincident_export", "coincident_charge", "coincident_split"):
        kw = coincident(case, pd.DataFrame(points), rating, rating, 1)
        solution = solver.run(0, kw)
        assert solution.reason[0] == Reason.VALID
        by_hand = three_phase(4.0, kw[:, 0] * 1e3) / VOLTS
        found = voltages(solver, solution)
        assert [found[f"b.{n}"] for n in (1, 2, 3)] == pytest.approx(list(by_hand), abs=TOLERANCE)
        highest[case], lowest[case] = by_hand.max(), by_hand.min()
    assert max(highest, key=highest.get) == "coincident_split"
    assert highest["coincident_split"] - highest["coincident_export"] > 0.01
    assert min(lowest, key=lowest.get) != "coincident_export"
    first = -rating[0] * 1e3 * (SELF.real + MUTUAL.real) * 4 / VOLTS**2
    assert highest["coincident_split"] - 1 == pytest.approx(-first, rel=0.15)
    for phase, node in zip("BC", (2, 3), strict=True):
        kw = coincident("coincident_split", pd.DataFrame(points), rating, rating, 1, phase)
        found = voltages(solver, solver.run(0, kw))
        assert found[f"b.{node}"] == pytest.approx(highest["coincident_split"], abs=TOLERANCE)


def test_a_feeder_without_regulators_keeps_its_loads(tmp_path):
    """Loads once dropped out of the matrix wherever no tap moved."""
    text = TWO_BUS.replace(
        "Set Volt",
        "New Load.x bus1=b.1 phases=1 kv=7.2 kw=500 kvar=0 vminpu=0.8 vmaxpu=1.2\nSet Volt",
    )
    solver = runner(tmp_path, text, loads=["x"], p=[1.0, 0.5])
    solution = solver.run(0, np.zeros((0, 2)))
    for step, kw in enumerate((500.0, 250.0)):
        by_hand = far_volts(4 * SELF, kw * 1e3, 0)
        assert voltages(solver, solution, step)["b.1"] == pytest.approx(
            by_hand / VOLTS, abs=TOLERANCE
        )
        assert solution.head_kw[step] - solution.losses_kw[step] == pytest.approx(kw, rel=1e-4)
