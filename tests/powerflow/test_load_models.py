"""Every load model, connection and limit switch of the batch engine against OpenDSS."""

from __future__ import annotations

import numpy as np
import pytest

from v2g_feeder.errors import FeederError
from v2g_feeder.feeder.engine import LOCKED
from v2g_feeder.powerflow.loads import multiplier

from .feeders import KV, bases, line, load_powers, source
from .pairs import VOLTS_PU, pair

LN = KV / np.sqrt(3.0)
CONNECTIONS = {
    "wye_1": ("1", f"phases=1 kv={LN:.8g}"),
    "wye_3": ("1.2.3", f"phases=3 kv={KV:g}"),
    "wye_2": ("2.3", f"phases=2 kv={KV:g}"),
    "line_to_line": ("3.1", f"phases=1 kv={KV:g}"),
    "delta_1": ("1.2", f"phases=1 conn=delta kv={KV:g}"),
    "delta_2": ("1.2.3", f"phases=2 conn=delta kv={KV:g}"),
    "delta_3": ("1.2.3", f"phases=3 conn=delta kv={KV:g}"),
}
ZONES = {
    "in_limits": "vminpu=0.7 vmaxpu=1.3",
    "above": "vminpu=0.5 vmaxpu=0.8 vlowpu=0.4",
    "between": "vminpu=1.2 vmaxpu=1.3 vlowpu=0.5",
    "near_low": "vminpu=1.15 vmaxpu=1.3 vlowpu=0.9",
    "below": "vminpu=1.35 vmaxpu=1.4 vlowpu=1.3",
}
MODELS = {
    "1": "model=1",
    "2": "model=2",
    "3": "model=3",
    "4": "model=4",
    "4, own exponents": "model=4 cvrwatts=0.6 cvrvars=3.1",
    "4, high exponents": "model=4 cvrwatts=2 cvrvars=7.5",
    "5": "model=5",
    "6": "model=6",
    "7": "model=7",
    "8": "model=8 zipv=[0.3 0.5 0.2 0.1 0.2 0.7 0]",
    "8, negative shares": "model=8 zipv=[1.5 -2.3 1.8 7.4 -10 3.6 0]",
    "8, cut off": "model=8 zipv=[0.3 0.5 0.2 0.1 0.2 0.7 0.6]",
}


def case_feeder(model: str) -> str:
    """A line of its own from the stiff source to every case of a model."""
    text = source()
    for connection, (nodes, rated) in CONNECTIONS.items():
        for zone, limits in ZONES.items():
            bus = f"{connection}_{zone}"
            text += line(bus, "src", bus, 4.0, "normamps=90")
            text += f"New Load.{bus} bus1={bus}.{nodes} {rated} kw=900 kvar=310 {model} {limits}\n"
    return text + bases()


@pytest.mark.parametrize("model", MODELS)
def test_every_connection_and_limit(model, tmp_path):
    both = pair(case_feeder(MODELS[model]), tmp_path)
    multipliers = np.array([1.0, 0.3, 1.3, -0.8])
    block = both.agrees(both.states(multipliers))
    bus = both.probe.observed.voltages["bus"].to_numpy()
    sagging = block.v_pu[[name.startswith(("wye", "delta")) for name in bus]]
    assert (sagging[:, 2] < 0.999).all(axis=0).mean() == 0 or sagging[:, 2].min() < 0.97
    assert block.flow_kw[0, 0] > 10e3
    assert block.flow_kw[0, 3] < -10e3, "negative loads feed the source"


def test_the_cases_stand_where_their_names_say(tmp_path):
    both = pair(case_feeder("model=1"), tmp_path)
    table = both.solver.loads
    raw = next(both.locked(both.states([1.0])))
    volts = np.append(raw.volts, 0)
    v = np.abs(volts[table.one] - volts[table.other]) / table.volts
    where = {
        "in_limits": (table.vmin < v) & (v < table.vmax),
        "above": v > table.vmax,
        "between": (table.vlow < v) & (v < table.vmin),
        "near_low": (table.vlow < v) & (v < table.vmin),
        "below": v < table.vlow,
    }
    loads = both.runner.feeder.loads
    phases = loads["phases"].to_numpy()
    owner = np.repeat(loads["name"].to_numpy(), phases)
    for zone, found in where.items():
        mine = np.array([name.endswith(zone) for name in owner])
        assert mine.sum() == 13
        assert found[mine].all(), zone
    # the loads move their own voltage by percents: a load that is wrong would be seen
    assert np.ptp(v) > 0.07


@pytest.mark.parametrize(
    ("low", "high"), [(0.2, 0.35), (0.45, 0.62), (0.7, 0.97), (1.03, 1.08), (1.1, 1.3)]
)
def test_default_limits_from_a_dead_to_a_high_source(low, high, tmp_path):
    """All models side by side, with the limits that a load has where none are stated."""
    for pu in (low, high):
        text = source(pu)
        for number, model in enumerate(MODELS.values()):
            text += line(f"l{number}", "src", f"b{number}", 1.0, "normamps=90")
            text += (
                f"New Load.x{number} bus1=b{number} phases=3 kv={KV:g} kw=900 kvar=310 {model}\n"
            )
        both = pair(text + bases(), tmp_path)
        both.agrees(both.states([1.0, 0.5, 1.5, -0.4]))


# -- split phase ------------------------------------------------------------------------------

SPLIT = (
    source()
    + line("l", "src", "p", 3.0, "normamps=90")
    + "New Transformer.t phases=1 windings=3 buses=(p.2 s.1.0 s.0.2) kvs=(7.2 0.12 0.12) "
    "kvas=(50 50 50) conns=(wye wye wye) %Rs=(0.6 1.2 1.2) xhl=2.04 xht=2.04 xlt=1.36\n"
    + "New Line.triplex bus1=s.1.2 bus2=h.1.2 phases=2 length=0.05 units=km "
    "rmatrix=[0.8 | 0.3 0.8] xmatrix=[0.5 | 0.3 0.5] cmatrix=[0 | 0 0]\n"
)


@pytest.mark.parametrize("model", MODELS)
def test_split_phase(model, tmp_path):
    """A leg, the other leg, both to the neutral, and the 240 V between them."""
    text = SPLIT + (
        f"New Load.a bus1=h.1 phases=1 kv=0.12 kw=9 kvar=3 {MODELS[model]}\n"
        f"New Load.b bus1=h.2 phases=1 kv=0.12 kw=4 kvar=-1 {MODELS[model]}\n"
        f"New Load.both bus1=h.1.2 phases=2 kv=0.208 kw=12 kvar=4 {MODELS[model]}\n"
        f"New Load.across bus1=s.1.2 phases=1 kv=0.24 kw=10 kvar=3 {MODELS[model]}\n"
    )
    both = pair(text + bases(KV, 0.208), tmp_path)
    block = both.agrees(both.states([0.2, 1.0, 1.6, -0.6]))
    legs = both.probe.observed.voltages["node"].isin(["h.1", "h.2"]).to_numpy()
    assert np.ptp(block.v_pu[legs, 2]) > 0.01, "legs differ"
    assert block.v_pu[legs, 3].max() > 1.0 > block.v_pu[legs, 2].min()


def test_chargers_on_every_connection(tmp_path):
    """Given powers, either sign, to the limit of 0.5 to 1.5 pu and beyond."""
    points = [
        {"bus": "h", "connection": "split", "kv": 0.24, "nodes": "1.2", "phases": 1,
         "delta": False, "phase": "B"},
        {"bus": "h", "connection": "A", "kv": 0.12, "nodes": "1", "phases": 1,
         "delta": False, "phase": "B"},
        {"bus": "p", "connection": "ABC", "kv": KV, "nodes": "1.2.3", "phases": 3,
         "delta": False, "phase": "ABC"},
        {"bus": "p", "connection": "ABC", "kv": KV, "nodes": "1.2.3", "phases": 3,
         "delta": True, "phase": "ABC"},
    ]  # fmt: skip
    both = pair(SPLIT + bases(KV, 0.208), tmp_path, points)
    ev = np.array([[20, -30, 5], [5, -8, 8], [900, -1500, 4000], [400, -900, -300]], float)
    kvar = np.array([[5, 0, -5], [1, 1, 0], [-300, 100, 0], [0, 0, 200]], float)
    block = both.agrees(both.states(np.zeros(3), ev, kvar))
    assert block.flow_kw[0].min() < -2000
    assert block.flow_kw[0].max() > 1200
    drawn = block.flow_kw[0] - block.losses_kw
    assert drawn == pytest.approx(ev.sum(axis=0), rel=1e-8)


# -- what scales a load -----------------------------------------------------------------------


def test_status_and_the_model_s_own_multiplier(tmp_path):
    """OpenDSS: fixed loads follow nothing, exempt ones the shape alone."""
    text = source()
    for status in ("variable", "fixed", "exempt"):
        for model in (1, 6, 7):
            bus = f"{status}_{model}"
            text += line(bus, "src", bus, 2.0, "normamps=90")
            text += (
                f"New Load.{bus} bus1={bus} phases=3 kv={KV:g} kw=900 kvar=310 model={model} "
                f"status={status} vminpu=0.7 vmaxpu=1.3\n"
            )
    both = pair(text + "Set LoadMult=0.7\n" + bases(), tmp_path)
    states = both.states([0.5, 1.4])
    block = both.agrees(states)
    for number, raw in enumerate(both.locked(states)):
        assert raw.converged
        shape = states.kw[0, number]
        expected = {"variable": 0.7 * shape, "fixed": 1.0, "exempt": shape}
        for status, factor in expected.items():
            assert load_powers(f"{status}_1") == pytest.approx((900 * factor, 310 * factor))
            assert load_powers(f"{status}_6")[1] == pytest.approx(310)
    assert block.flow_kw[0, 0] - block.losses_kw[0] == pytest.approx(
        2700 * (0.35 + 1 + 0.5), rel=1e-6
    )


def test_watts_and_vars_on_shapes_of_their_own(tmp_path):
    text = source()
    for number, model in enumerate(MODELS.values()):
        text += line(f"l{number}", "src", f"b{number}", 2.0, "normamps=90")
        text += f"New Load.x{number} bus1=b{number} phases=3 kv={KV:g} kw=900 kvar=310 {model} "
        text += "vminpu=0.7 vmaxpu=1.3\n"
    both = pair(text + bases(), tmp_path)
    states = both.states([1.0, 0.2, 0.8])
    states.kvar[0] = [0.1, 1.5, -0.7]
    block = both.agrees(states)
    assert len(np.unique(np.sign(block.head_kvar))) == 2


def test_a_neutral_through_a_resistor(tmp_path):
    text = source() + line("l", "src", "b", 2.0, "normamps=90")
    text += "New Reactor.earth bus1=b.4 phases=1 r=4 x=0.5\n"
    text += f"New Load.x bus1=b.1.2.3.4 phases=3 kv={KV:g} kw=900 kvar=310 vminpu=0.5\n"
    text += f"New Load.y bus1=b.2.4 phases=1 kv={LN:.8g} kw=700 kvar=310 vminpu=0.5\n"
    both = pair(text + bases(), tmp_path)
    both.agrees(both.states([1.0, -0.5, 2.0]))
    raw = next(both.locked(both.states([1.0])))
    neutral = both.runner.feeder.node_index["b.4"]
    assert abs(raw.volts[neutral]) > 100


@pytest.mark.parametrize(
    ("extra", "word"),
    [
        ("rneut=5", "Load.x"),
        ("rneut=0", "Load.x"),
        ("model=4 cvrcurve=c", "Load.x"),
    ],
)
def test_what_a_load_cannot_have(extra, word, tmp_path):
    text = source() + "New LoadShape.c npts=2 interval=1 mult=[0.5 0.5] qmult=[0.5 0.5]\n"
    text += line("l", "src", "b", 2.0, "normamps=90")
    text += f"New Load.x bus1=b.1.2.3.4 phases=3 kv={KV:g} kw=900 kvar=310 {extra}\n"
    with pytest.raises(FeederError, match=word):
        pair(text + bases(), tmp_path)


def test_a_floating_neutral_is_refused(tmp_path):
    text = source() + line("l", "src", "b", 2.0, "normamps=90")
    text += f"New Load.x bus1=b.1.2.3.4 phases=3 kv={KV:g} kw=900 kvar=310\n"
    with pytest.raises(FeederError, match="factorised"):
        pair(text + bases(), tmp_path)


def test_all_loads_as_admittances_are_refused(tmp_path):
    """The option that makes every load an impedance, whatever its model."""
    text = source() + line("l", "src", "b", 2.0, "normamps=90")
    text += f"New Load.x bus1=b phases=3 kv={KV:g} kw=900 kvar=310\n"
    with pytest.raises(FeederError, match="LoadModel"):
        pair(text + bases() + "Set LoadModel=admittance\n", tmp_path)


# -- the multipliers by hand ------------------------------------------------------------------

NONE = np.zeros(2), np.zeros(7)
EXPONENTS = np.array([0.8, 3.0])
ZIP = np.array([0.3, 0.5, 0.2, 0.1, 0.2, 0.7, 0.0])
CUT = np.array([0.3, 0.5, 0.2, 0.1, 0.2, 0.7, 0.9])


@pytest.mark.parametrize(
    ("model", "v", "watts", "vars_"),
    [
        (1, 0.96, 0.96**-2, 0.96**-2),
        (1, 1.10, 1.05**-2, 1.05**-2),
        (1, 0.40, 1.0, 1.0),
        (2, 0.30, 1.0, 1.0),
        (2, 1.30, 1.0, 1.0),
        (3, 1.02, 1.02**-2, 1.0),
        (4, 1.02, 1.02**-1.2, 1.02),
        (4, 1.10, 1.05**-2, 1.05**-2),
        (5, 0.97, 1 / 0.97, 1 / 0.97),
        (5, 1.10, 1 / 1.05, 1 / 1.05),
        (6, 1.02, 1.02**-2, 1.02**-2),
        (6, 0.90, 0.95**-2, 1.0),
        (6, 1.10, 1.05**-2, 1.0),
        (7, 1.02, 1.02**-2, 1.0),
        (8, 1.00, 1.0, 1.0),
        (8, 1.04, 0.3 + 0.5 / 1.04 + 0.2 / 1.04**2, 0.1 + 0.2 / 1.04 + 0.7 / 1.04**2),
        # halfway from 0.5 to 0.95 pu the current of a constant power is halfway from that of the
        # impedance, 0.5, to that at 0.95 pu, 1 / 0.95
        (1, 0.725, (0.5 + 1 / 0.95) / 2 / 0.725, (0.5 + 1 / 0.95) / 2 / 0.725),
        (5, 0.725, (0.5 + 1.0) / 2 / 0.725, (0.5 + 1.0) / 2 / 0.725),
    ],
)
def test_multipliers_by_hand(model, v, watts, vars_):
    found = multiplier(model, v, (0.95, 1.05, 0.5), EXPONENTS, ZIP)
    assert found == pytest.approx((watts, vars_), rel=1e-14)


def test_the_cut_off_of_a_zip_load():
    """A half at the cut-off voltage, all or nothing two hundredths away."""
    at, above, below = (
        multiplier(8, v, (0.5, 1.5, 0.4), EXPONENTS, CUT) for v in (0.9, 0.92, 0.88)
    )
    plain = multiplier(8, 0.9, (0.5, 1.5, 0.4), EXPONENTS, ZIP)
    assert at == pytest.approx((plain[0] / 2, plain[1] / 2))
    assert above == pytest.approx(multiplier(8, 0.92, (0.5, 1.5, 0.4), EXPONENTS, ZIP), rel=1e-8)
    assert max(below) < 1e-8


def test_a_zip_load_about_its_cut_off(tmp_path):
    """Behind a stiff line, where the load that comes and goes does not move its own voltage."""
    text = source()
    for number, cut in enumerate((0.97, 0.998, 0.9995, 1.0005, 1.002, 1.03)):
        text += line(f"l{number}", "src", f"b{number}", 0.02, "normamps=90")
        text += f"New Load.x{number} bus1=b{number} phases=3 kv={KV:g} kw=900 kvar=310 model=8 "
        text += f"zipv=[0.3 0.5 0.2 0.1 0.2 0.7 {cut}]\n"
    both = pair(text + bases(), tmp_path)
    block = both.agrees(both.states([1.0, 0.5, -0.5]))
    on = 900 * 6
    assert 0.4 * on < block.flow_kw[0, 0] < 0.6 * on


@pytest.mark.parametrize("model", range(1, 9))
def test_where_currents_meet(model):
    """Continuous at ``vlow`` for all that go in a line; at ``vmin`` for all but the CVR model."""
    limits = (0.95, 1.05, 0.5)
    watts = {
        v: multiplier(model, v, limits, EXPONENTS, ZIP)[0]
        for limit in limits
        for v in (limit * (1 - 1e-9), limit * (1 + 1e-9))
    }
    jump = {limit: watts[limit * (1 + 1e-9)] - watts[limit * (1 - 1e-9)] for limit in limits}
    meets = {limit for limit, size in jump.items() if abs(size) < 1e-7}
    expected = {1: {0.95, 1.05, 0.5}, 2: {0.95, 1.05, 0.5}, 3: {0.95, 1.05, 0.5}, 4: {0.5},
                5: {0.95, 1.05, 0.5}, 6: {0.95, 1.05}, 7: {0.95, 1.05},
                8: {0.95, 1.05, 0.5}}  # fmt: skip
    assert meets == expected[model]


def test_a_power_that_follows_its_model_whatever_the_row_s_neighbours(tmp_path):
    """States of one row in different zones: a row is evaluated whole or state by state."""
    text = source() + line("l", "src", "b", 6.0, "normamps=90")
    text += f"New Load.x bus1=b phases=3 kv={KV:g} kw=2000 kvar=500 model=1 vminpu=0.97\n"
    text += f"New Load.y bus1=b phases=3 kv={KV:g} kw=500 kvar=100 model=4 cvrwatts=1.3\n"
    both = pair(text + bases(), tmp_path)
    multipliers = np.array([1.9, 0.1, -0.9, 1.0, 0.4, -0.2, 2.4])
    block = both.agrees(both.states(multipliers))
    at = both.probe.observed.voltages["node"].tolist().index("b.1")
    v = block.v_pu[at]
    assert v.min() < 0.95 < v.max()
    assert v.max() > 1.0
    engine = both.runner.engine
    both.give(both.states(multipliers))
    alone = engine.solve(3, 1.0, LOCKED)
    assert abs(both.probe.voltages(alone)[at] - v[3]) < VOLTS_PU
