import numpy as np
import pytest

from v2g_feeder.feeder.library import shipped
from v2g_feeder.powerflow.unbalance import (
    current_unbalance_pct,
    line_unbalance_pct,
    sequence_unbalance_pct,
)

from .feeders import MUTUAL, SELF, TURN, VOLTS, bases, line, master_runner, runner, source

ROTATE = np.exp(2j * np.pi / 3)


def ieee13_runner():
    master = shipped("feeders") / "ieee13" / "master.dss"
    return master_runner(master, [], loads=[], p=np.ones(1), steps=1)


def phases(positive, negative=0.0, zero=0.0):
    return tuple(zero + positive * ROTATE**-k + negative * ROTATE**k for k in range(3))


def test_balanced_voltages_and_dead_ones():
    assert line_unbalance_pct(*phases(230.0)) == pytest.approx(0, abs=1e-12)
    assert sequence_unbalance_pct(*phases(230.0)) == pytest.approx(0, abs=1e-12)
    dead = (np.zeros(2),) * 3
    assert line_unbalance_pct(*dead).tolist() == [0, 0]
    assert sequence_unbalance_pct(*dead).tolist() == [0, 0]


def test_the_sequence_ratio_is_the_one_put_in_and_ignores_the_neutral():
    assert sequence_unbalance_pct(*phases(100.0, 2.5j)) == pytest.approx(2.5)
    assert sequence_unbalance_pct(*phases(100.0, 2.5j, 30.0)) == pytest.approx(2.5)
    assert line_unbalance_pct(*phases(1.0, 0.02, 0.3)) == pytest.approx(
        line_unbalance_pct(*phases(1.0, 0.02))
    )


def test_line_voltages_of_460_467_450():
    """The worked example of NEMA MG-1: mean 459, largest deviation 9, 1.96 %."""
    ab, bc, ca = 460.0, 467.0, 450.0
    b = -ab
    x = (ca**2 - bc**2 + ab**2) / (2 * -ab)
    c = x + 1j * np.sqrt(ca**2 - x**2)
    assert [abs(0 - b), abs(b - c), abs(c)] == pytest.approx([ab, bc, ca])
    assert line_unbalance_pct(0.0, b, c) == pytest.approx(100 * 9 / 459)


def test_currents_and_their_floor():
    amps = np.array([[110.0, 100.0, 90.0], [2.0, 1.0, 0.0]])
    assert current_unbalance_pct(amps).tolist() == pytest.approx([10, 100])
    assert current_unbalance_pct(amps, 50.0).tolist() == pytest.approx([10, 2])


def test_of_a_two_bus_feeder(tmp_path):
    """One phase loaded: the head current by phase, and both unbalances from the hand voltages."""
    text = source() + line("l", "src", "b", 4.0)
    text += "New Load.x bus1=b.2 phases=1 kv=7.2 kw=900 kvar=0 vminpu=0.5 vmaxpu=1.5\n" + bases()
    solver = runner(tmp_path, text, [], loads=["x"], p=np.ones(2), steps=2)
    observed, found = solver.probe.observed, solver.run(0, np.zeros((0, 2)))
    assert observed.head_bus == "src"
    assert observed.balanced["bus"].tolist() == ["src", "b"]
    assert found.head_amps[0, [0, 2]].tolist() == pytest.approx([0, 0], abs=0.5)
    volts = VOLTS * TURN
    amps = 900e3 / volts[1].conj() / 3
    for _ in range(50):
        amps = (900e3 / (volts[1] - 4 * SELF * amps)).conj()
    at_end = volts - 4 * np.array([MUTUAL, SELF, MUTUAL]) * amps
    assert found.head_amps[1, 1] == pytest.approx(abs(amps), rel=1e-4)
    assert found.line_unbalance_pct[1] == pytest.approx(
        [0, float(line_unbalance_pct(*at_end))], abs=2e-3
    )
    assert found.sequence_unbalance_pct[1] == pytest.approx(
        [0, float(sequence_unbalance_pct(*at_end))], abs=2e-3
    )


def test_bands_of_ieee13():
    solver = ieee13_runner()
    observed = solver.probe.observed
    bands = observed.bands
    assert sorted(set(bands["element"])) == [
        "Transformer.reg1",
        "Transformer.reg2",
        "Transformer.reg3",
    ]
    assert bands["band_pu"].tolist() == pytest.approx([2 * 20 / 2400] * 6)
    nodes = observed.voltages["node"].iloc[bands["row"]].tolist()
    assert nodes == ["rg60.1", "650.1", "rg60.2", "650.2", "rg60.3", "650.3"]
    assert observed.tap_steps == pytest.approx((0.00625,) * 3)
    assert observed.head_bus == "650"
    assert observed.capacitors == ()


def test_a_controlled_capacitor_is_watched(tmp_path):
    text = source() + line("l", "src", "b", 10.0)
    text += "New Load.x bus1=b phases=3 kv=12.47 kw=3000 kvar=900 vminpu=0.5 vmaxpu=1.5\n"
    text += "New Capacitor.c bus1=b phases=3 kv=12.47 kvar=600\n"
    text += (
        "New CapControl.cc element=Line.l terminal=1 capacitor=c type=kvar ptratio=1 ctratio=1 "
        "onsetting=600 offsetting=-500 delay=0\n"
    )
    p = np.array([0.0, 0.0, 1.0, 1.0])
    solver = runner(tmp_path, text + bases(), [], loads=["x"], p=p, steps=4)
    found = solver.run(0, np.zeros((0, 4)))
    assert solver.probe.observed.capacitors == ("c",)
    assert found.capacitor_steps[:, 0].tolist() == [0, 0, 1, 1]
