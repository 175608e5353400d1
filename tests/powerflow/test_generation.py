"""Generators, PV systems and storage of the model on the batch engine against OpenDSS."""

from __future__ import annotations

import numpy as np
import pytest

from v2g_feeder.errors import FeederError
from v2g_feeder.powerflow.days import BatchRunner
from v2g_feeder.powerflow.loads import GIVEN, Role, multiplier
from v2g_feeder.powerflow.solution import Reason

from .feeders import KV, base_load, bases, line, point, runner, source
from .pairs import VOLTS_PU, pair
from .test_load_models import CONNECTIONS

ZONES = {
    "in_limits": "vminpu=0.7 vmaxpu=1.3",
    "above": "vminpu=0.5 vmaxpu=0.8",
    "below": "vminpu=1.2 vmaxpu=1.3",
}
ELEMENTS = {
    "generator 1": "Generator.{} {} kw=900 kvar=310 model=1",
    "generator 1, drawing vars": "Generator.{} {} kw=900 kvar=-310 model=1",
    "generator 2": "Generator.{} {} kw=900 kvar=310 model=2",
    "generator 4": "Generator.{} {} kw=900 kvar=310 model=4",
    "generator 5": "Generator.{} {} kw=900 kvar=310 model=5",
    "pv 1": "PVSystem.{} {} kva=900 pmpp=800 irradiance=0.9 pf=0.95",
    "pv 1, above its kVA": "PVSystem.{} {} kva=700 pmpp=800 irradiance=0.9 kvar=-200",
    "pv 2": "PVSystem.{} {} kva=900 pmpp=800 irradiance=0.9 pf=-0.95 model=2",
    "storage, discharging": "Storage.{} {} kwrated=900 kwhrated=9000 %stored=50 "
    "state=discharging dispmode=external kw=700 kvar=150",
    "storage, charging": "Storage.{} {} kwrated=900 kwhrated=9000 %stored=50 "
    "state=charging dispmode=external %charge=80",
    "storage, idle": "Storage.{} {} kwrated=900 kwhrated=9000 %idlingkw=7",
    "storage, empty within the hour": "Storage.{} {} kwrated=900 kwhrated=600 %stored=50 "
    "state=discharging dispmode=external kw=700",
}


def case_feeder(element: str, connections=CONNECTIONS) -> str:
    """A line of its own from the stiff source to every case of an element."""
    text = source()
    for connection, (nodes, rated) in connections.items():
        for zone, limits in ZONES.items():
            bus = f"{connection}_{zone}"
            text += line(bus, "src", bus, 4.0, "normamps=90")
            stated = element.format(bus, f"bus1={bus}.{nodes} {rated}")
            text += f"New {stated} {limits}\n"
            text += f"New Load.{bus} bus1={bus} phases=3 kv={KV:g} kw=90 kvar=20\n"
    return text + bases()


@pytest.mark.parametrize("element", ELEMENTS)
def test_every_connection_and_limit(element, tmp_path):
    """Of a single phase in delta, OpenDSS makes the impedance outside the limits a third."""
    connections = dict(CONNECTIONS)
    if element in {"generator 4", "generator 5"}:
        del connections["delta_1"]
    both = pair(case_feeder(ELEMENTS[element], connections), tmp_path)
    block = both.agrees(both.states([1.0, 0.2, -0.5]))
    without = pair(case_feeder("Load.{}_none {} kw=0 kvar=0", connections), tmp_path)
    alone = without.run(without.states([1.0, 0.2, -0.5]))
    assert np.abs(block.flow_kw[0] - alone.flow_kw[0]).min() > 500, "the elements are seen"


def test_the_multipliers_outside_the_limits_by_hand():
    assert multiplier(GIVEN, 1.0, (0.9, 1.1, 0.0), np.zeros(2), np.zeros(7)) == (1.0, 1.0)
    outside = np.array([1 / 0.81, 1 / 1.21])
    limits = (0.9, 1.1, 0.0)
    assert multiplier(GIVEN, 0.4, limits, outside, np.zeros(7)) == (1 / 0.81,) * 2
    assert multiplier(GIVEN, 1.2, limits, outside, np.zeros(7)) == (1 / 1.21,) * 2


def test_what_is_read_is_what_opendss_gives(tmp_path):
    text = source() + line("l", "src", "b", 1.0, "normamps=90")
    text += f"New Generator.g bus1=b kv={KV:g} kw=900 kvar=310\n"
    text += f"New PVSystem.p bus1=b kv={KV:g} kva=500 pmpp=400 irradiance=0.5 pf=0.8\n"
    text += f"New Storage.s bus1=b kv={KV:g} kwrated=100 %idlingkw=4\n"
    both = pair(text + "Set GenMult=0.5\n" + bases(), tmp_path)
    own = both.batch.generation
    assert own.kw[:, 0] == pytest.approx([-450, -200, 4])
    assert own.kvar[:, 0] == pytest.approx([-155, -150, 0])
    assert (own.table.role == Role.GENERATION).all()
    block = both.agrees(both.states([1.0]))
    assert block.flow_kw[0, 0] - block.losses_kw[0] == pytest.approx(-646, rel=1e-6)


def test_the_gate_does_not_take_generation_for_load(tmp_path):
    """A generator above its limit is no flagged load, one below its limit sheds none."""
    for pu in (0.88, 1.13):
        text = source(pu) + line("l", "src", "b", 1.0, "normamps=90")
        text += f"New Generator.g bus1=b kv={KV:g} kw=3000 kvar=0\n"
        text += f"New Storage.s bus1=b kv={KV:g} kwrated=100\n"
        text += f"New Load.x bus1=b kv={KV:g} kw=500 kvar=100 vminpu=0.5 vmaxpu=1.4\n"
        both = pair(text + bases(), tmp_path)
        block = both.agrees(both.states([1.0]))
        assert block.reason[0] == Reason.VALID


# -- by hour, and in a unit of work ---------------------------------------------------------------

STEPS = 24
SUN = np.clip(np.sin(np.pi * (np.arange(STEPS) - 6) / 12), 0, 1)
DAY = (
    source(1.0)
    + f"New LoadShape.sun npts={STEPS} interval=1 mult=[{' '.join(f'{v:.4f}' for v in SUN)}]\n"
    "New LoadShape.chp npts=12 interval=2 mult=[1 .9 .8 .7 .6 .5 .4 .5 .6 .7 .8 .9]\n"
    "New LoadShape.bat npts=24 interval=1 mult=[-.5 -.5 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 .9 1 1 0 0 0"
    " 0]\n"
    + line("l", "src", "b", 6.0, "normamps=90")
    + f"New Generator.chp bus1=b kv={KV:g} kw=500 kvar=100 daily=chp\n"
    f"New PVSystem.roof bus1=b.2 phases=1 kv={KV / np.sqrt(3):.8g} kva=900 pmpp=800 irradiance=1 "
    "daily=sun\n"
    f"New Storage.bat bus1=b kv={KV:g} kwrated=600 kwhrated=4000 %stored=60 dispmode=follow "
    "daily=bat\n"
    f"New Load.x bus1=b phases=3 kv={KV:g} kw=900 kvar=300 vminpu=0.7\n" + bases()
)


def test_days_with_generation_are_the_same_on_both_engines_in_any_order(tmp_path):
    """Shapes by hour, cut-in of an inverter, storage whose charge does not run down."""
    solver = runner(tmp_path, DAY, [point("b")], loads=["x"], p=np.linspace(0.4, 1.2, 2 * STEPS),
                    steps=STEPS)  # fmt: skip
    batch = BatchRunner(solver)
    ev = np.zeros((2, 1, STEPS))
    ev[0, 0, 17:21] = -600.0
    ev[1, 0, 1:5] = 300.0
    first = {}
    for day in (0, 1, 0):
        found = batch.run(day * STEPS, ev, sudden=np.array([True, False]))
        for number, one in enumerate(found):
            other = solver.run(day * STEPS, ev[number], sudden=number == 0)
            assert np.abs(one.v_pu - other.v_pu).max() < VOLTS_PU
            assert np.abs(one.head_kw - other.head_kw).max() < 0.01
            np.testing.assert_allclose(one.sudden_pu, other.sudden_pu, atol=2e-6)
            kept = first.setdefault((day, number), other)
            assert kept.v_pu.tobytes() == other.v_pu.tobytes()
    drawn = batch.generation.kw
    assert drawn[1].min() == pytest.approx(-800, rel=1e-3)
    assert drawn[1, 7] == pytest.approx(-800 * SUN[7], rel=1e-3)
    assert drawn[1, 6] == 0.0
    assert drawn[2, 18] == pytest.approx(-600)
    assert drawn[2, 0] > 200


def test_a_base_load_s_scale_leaves_generation_alone(tmp_path):
    solver = runner(tmp_path, DAY, loads=["x"], p=np.ones(STEPS), steps=STEPS)
    blank = np.zeros((1, 0, STEPS))
    before = BatchRunner(solver).run(0, blank)[0]
    solver.set_base_load(base_load(["x"], np.full(STEPS, 0.5)))
    after = BatchRunner(solver).run(0, blank)[0]
    reference = solver.run(0, blank[0])
    assert np.abs(after.head_kw - reference.head_kw).max() < 0.01
    assert before.head_kw - after.head_kw == pytest.approx(450, rel=0.1)


# -- what is no given power -----------------------------------------------------------------------

REFUSED = {
    "New Generator.g bus1=b kv=12.47 kw=9 model=3": "Generator.g (model 3)",
    "New Generator.g bus1=b kv=12.47 kw=9 model=7": "Generator.g (model 7)",
    "New Generator.g bus1=b kv=12.47 kw=9 dispmode=loadlevel dispvalue=0.5": "by load or price",
    "New Generator.g bus1=b.1.2 phases=1 conn=delta kv=12.47 kw=9 model=4": "between two phases",
    "New Generator.g bus1=b kv=12.47 kw=9 usefuel=yes": "fuel",
    "New PVSystem.p bus1=b kv=12.47 kva=9 balanced=yes": "balanced over its phases",
    "New PVSystem.p bus1=b kv=12.47 kva=9 limitcurrent=yes": "current limit",
    "New PVSystem.p bus1=b kv=12.47 kva=9 %cutin=30 %cutout=10": "cut-in above cut-out",
    "New Storage.s bus1=b kv=12.47 kwrated=9 dispmode=price": "by load or price",
    "New Storage.s bus1=b kv=12.47 kwrated=9\nNew StorageController.c element=Line.l "
    "elementlist=[s]": "StorageController.c",
    "New PVSystem.p bus1=b kv=12.47 kva=9\nNew XYCurve.v npts=2 xarray=[0.9 1.1] yarray=[1 -1]\n"
    "New InvControl.i derlist=[PVSystem.p] mode=voltvar vvc_curve1=v": "InvControl.i",
    "New LoadShape.y npts=48 interval=1 mult=[(0.1) (0.2)]\n"
    "New Generator.g bus1=b kv=12.47 kw=9 daily=y": "shape is longer than a day",
}


@pytest.mark.parametrize("command", REFUSED)
def test_what_is_no_given_power_is_named(command, tmp_path):
    text = source() + line("l", "src", "b", 2.0, "normamps=90") + command
    with pytest.raises(FeederError) as caught:
        pair(f"{text}\n{bases()}", tmp_path)
    assert REFUSED[command].lower() in str(caught.value).lower()


def test_the_disabled_is_no_generation(tmp_path):
    text = source() + line("l", "src", "b", 2.0, "normamps=90")
    text += "New Generator.g bus1=b kv=12.47 kw=9 model=3 enabled=no\n"
    text += f"New Load.x bus1=b kv={KV:g} kw=500 kvar=100\n"
    both = pair(text + bases(), tmp_path)
    assert not len(both.batch.generation)
    both.agrees(both.states([1.0, 0.1]))
