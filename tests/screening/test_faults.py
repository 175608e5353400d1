"""Fault currents: closed form on two buses, OpenDSS's own fault study, and published ones."""

from pathlib import Path

import numpy as np
import opendssdirect
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from v2g_feeder.errors import FeederError, InputError
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.faults import charger_currents, fault_currents
from v2g_feeder.feeder.library import shipped
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.feeder.short_circuit import HeadFault, fault_network

KV = 12.47
VOLTS = KV * 1e3 / np.sqrt(3)
Z1, Z0 = complex(0.3, 1.2), complex(0.6, 3.0)  # behind the head, ohm
SELF, MUTUAL = complex(0.46, 1.08), complex(0.16, 0.50)  # of the line, ohm/km
KM = 5.0
LINE1, LINE0 = KM * (SELF - MUTUAL), KM * (SELF + 2 * MUTUAL)
REFERENCE = Path(__file__).parent / "reference"

TWO_BUS = f"""Clear
New Circuit.two bus1=src basekv={KV} pu=1.0 MVAsc3=1e6 MVAsc1=1e6
New Line.l bus1=src bus2=b phases=3 length={KM} units=km
~ rmatrix=[{SELF.real} | {MUTUAL.real} {SELF.real} | {MUTUAL.real} {MUTUAL.real} {SELF.real}]
~ xmatrix=[{SELF.imag} | {MUTUAL.imag} {SELF.imag} | {MUTUAL.imag} {MUTUAL.imag} {SELF.imag}]
~ cmatrix=[0 | 0 0 | 0 0 0]
New Load.x bus1=b phases=3 kv={KV} kw=500 kvar=100
New Capacitor.c bus1=b phases=3 kv={KV} kvar=300
Set VoltageBases=[{KV}]
CalcVoltageBases
"""


def loaded(text, tmp_path):
    master = tmp_path / "master.dss"
    master.write_text(text)
    engine = shared_engine()
    engine.load(master)
    return engine, read_feeder(engine, master)


@pytest.fixture
def two_bus(tmp_path):
    engine, feeder = loaded(TWO_BUS, tmp_path)
    return fault_network(engine, feeder, HeadFault(Z1, Z0))


def amps_at(table, bus):
    rows = table[table["bus"] == bus]
    return rows.groupby("fault")[["amps", "ground_amps"]].max()


@pytest.mark.parametrize("resistance", [0.0, 20.0])
def test_two_buses_in_closed_form(two_bus, resistance):
    z1, z0, r = Z1 + LINE1, Z0 + LINE0, resistance
    found = amps_at(fault_currents(two_bus, ["b"], r), "b")
    own = VOLTS / abs(z1)
    assert found.loc["three_phase", "amps"] == pytest.approx(own, rel=1e-9)
    assert found.loc["three_phase_ground", "amps"] == pytest.approx(own, rel=1e-9)
    line_line = np.sqrt(3) * VOLTS / abs(2 * z1 + r)
    assert found.loc["line_line", "amps"] == pytest.approx(line_line, rel=1e-9)
    line_ground = 3 * VOLTS / abs(2 * z1 + z0 + 3 * r)
    assert found.loc["line_ground"].tolist() == pytest.approx([line_ground] * 2, rel=1e-9)
    zero = z0 + 3 * r
    double_ground = 3 * VOLTS * abs(1 / (z1 + 2 * zero))  # 3 I0 of a double line-to-ground fault
    assert found.loc["line_line_ground", "ground_amps"] == pytest.approx(double_ground, rel=1e-9)
    assert two_bus.sequence("b") == pytest.approx((z1, z0), rel=1e-9)
    assert found.loc["three_phase", "ground_amps"] == pytest.approx(0, abs=1e-6)


def test_a_fault_level_in_mva_is_that_level_at_the_head(tmp_path):
    engine, feeder = loaded(TWO_BUS, tmp_path)
    head = HeadFault.from_mva(KV, 150.0, 120.0, x1r1=8.0, x0r0=5.0)
    found = amps_at(fault_currents(fault_network(engine, feeder, head), ["src"]), "src")
    to_mva = np.sqrt(3) * KV / 1e3
    assert found.loc["three_phase", "amps"] * to_mva == pytest.approx(150)
    assert found.loc["line_ground", "amps"] * to_mva == pytest.approx(120)
    assert head.z1_ohm.imag / head.z1_ohm.real == pytest.approx(8)
    assert head.z0_ohm.imag / head.z0_ohm.real == pytest.approx(5)
    raised = HeadFault(head.z1_ohm, head.z0_ohm, volts_pu=1.05)
    higher = amps_at(fault_currents(fault_network(engine, feeder, raised), ["src"]), "src")
    assert (higher["amps"] / found["amps"]).tolist() == pytest.approx([1.05] * len(higher))


@pytest.mark.parametrize(
    ("level", "where"),
    [
        ((KV, 0.0), "head.three_phase_mva"),
        ((KV, 100.0, -1.0), "head.ground_mva"),
        ((0.0, 100.0), "head.kv"),
        ((KV, 100.0, 200.0), "head.ground_mva"),
        ((KV, np.nan), "head.three_phase_mva"),
    ],
)
def test_fault_levels_that_cannot_be(level, where):
    with pytest.raises(InputError, match=where):
        HeadFault.from_mva(*level)


def test_without_a_zero_sequence_level_ground_faults_are_not_known(tmp_path):
    engine, feeder = loaded(TWO_BUS, tmp_path)
    found = amps_at(fault_currents(fault_network(engine, feeder, HeadFault(Z1))), "b")
    assert np.isnan(found.loc[["line_ground", "line_line_ground", "three_phase_ground"]]).all(
        axis=None
    )
    assert found.loc["line_line", "amps"] == pytest.approx(
        np.sqrt(3) * VOLTS / abs(2 * (Z1 + LINE1))
    )


def test_a_bus_or_source_that_cannot_be_used(tmp_path):
    engine, feeder = loaded(TWO_BUS, tmp_path)
    with pytest.raises(InputError, match="did you mean 'src'"):
        fault_network(engine, feeder, HeadFault(Z1, Z0, bus="srk"))
    network = fault_network(engine, feeder, HeadFault(Z1, Z0))
    with pytest.raises(InputError, match="not fed from the head"):
        fault_currents(network, ["nowhere"])
    engine, feeder = loaded(TWO_BUS + f"New Vsource.other bus1=b basekv={KV}\n", tmp_path)
    with pytest.raises(FeederError, match="2 sources"):
        fault_network(engine, feeder, HeadFault(Z1, Z0))


def test_a_level_below_the_head_leaves_out_what_is_above(tmp_path):
    engine, feeder = loaded(TWO_BUS, tmp_path)
    network = fault_network(engine, feeder, HeadFault(Z1, Z0, bus="B"))
    assert set(network.bus_nodes) == {"b"}
    assert network.sequence("b") == pytest.approx((Z1, Z0))


# -- OpenDSS's own fault study ---------------------------------------------------------------


def opendss_fault_study(master):
    """Impedances and currents of every bus, loads and capacitors out, by OpenDSS itself."""
    engine = opendssdirect.OpenDSSDirect.OpenDSSDirect(
        opendssdirect.dss.NewContext()._api_util, prefer_lists=False
    )
    engine.Basic.AllowChangeDir(False)
    for command in (
        f'Redirect "{master}"',
        "BatchEdit Load..* enabled=no",
        "BatchEdit Capacitor..* enabled=no",
        "Set ControlMode=off",
        "Solve",
        "Set Mode=FaultStudy",
        "Solve",
    ):
        engine.Text.Command(command)
    found = {}
    for number, name in enumerate(engine.Circuit.AllBusNames()):
        engine.Circuit.SetActiveBusi(number)
        bus = engine.Bus
        found[name.lower()] = (
            complex(*bus.Zsc1()),
            complex(*bus.Zsc0()),
            np.abs(np.asarray(bus.Isc()).view(complex).ravel()),
        )
    return found


@pytest.mark.parametrize("name", ["ieee13", "ieee34", "ieee37", "ieee123"])
def test_the_same_as_the_fault_study_of_opendss(name):
    master = shipped("feeders") / name / "master.dss"
    theirs = opendss_fault_study(master)
    engine = shared_engine()
    engine.load(master)
    network = fault_network(engine, read_feeder(engine, master))
    checked = 0
    for bus, (z1, z0, amps) in theirs.items():
        if len(network.bus_nodes[bus]) != 3:
            continue
        assert network.sequence(bus)[0] == pytest.approx(z1, rel=1e-5)
        if abs(z0) < 1e4:  # a delta that only the transformer's stray capacitance grounds
            assert network.sequence(bus)[1] == pytest.approx(z0, rel=1e-5)
            fault = next(f for f in network.faults(bus) if f.kind == "three_phase_ground")
            at = network.bus_nodes[bus]
            ours = np.abs(fault.currents(network.columns(bus)[at], network.volts[at], 0.0))
            assert ours == pytest.approx(amps, rel=1e-4)
        checked += 1
    assert checked > 5


def test_ieee34_as_published():
    """Source impedance and substation transformer of the publication, regulators neutral."""
    master = shipped("feeders") / "ieee34" / "master.dss"
    engine = shared_engine()
    engine.load(
        master,
        [
            "Edit Transformer.subxf kVAs=[2500 2500] %Rs=[0.5 0.5] XHL=8",
            "BatchEdit Transformer.reg.* XHL=0.001 %Rs=[0.0001 0.0001]",
        ],
    )
    head = HeadFault(complex(8.3741, 21.3901), complex(19.0068, 44.8784))
    network = fault_network(engine, read_feeder(engine, master), head)
    published = pd.read_csv(REFERENCE / "ieee34_faults.csv", dtype={"bus": str})
    ours = fault_currents(network, published["bus"].unique())
    both = published.merge(ours, on=["bus", "fault", "phases"], suffixes=("_published", ""))
    assert len(both) == len(published)
    error = (both["amps"] / both["amps_published"] - 1).abs()
    behind = both["bus"].isin(
        ["888", "890"]
    )  # the step-down transformer, a magnetising branch less
    assert error[~behind].max() < 0.005, both[error == error.max()].to_string()
    assert error[behind].max() < 0.01, both[error == error.max()].to_string()


# -- chargers ---------------------------------------------------------------------------------


def points(*rows):
    columns = ["bus", "nodes", "kv", "phases", "delta", "kva"]
    return pd.DataFrame(list(rows), columns=columns)


def test_chargers_are_balanced_limited_sources(two_bus):
    amps = charger_currents(two_bus, points(("b", "1.2.3", KV, 3, False, 1000.0)), 1.2)
    rated = 1000 / (np.sqrt(3) * KV)
    assert np.abs(amps[two_bus.bus_nodes["b"]]).tolist() == pytest.approx([1.2 * rated] * 3)
    assert abs(amps.sum()) == pytest.approx(0, abs=1e-9)
    single = charger_currents(two_bus, points(("B", "2", KV / np.sqrt(3), 1, False, 72.0)), 1.5)
    assert np.abs(single[two_bus.bus_nodes["b"]]).tolist() == pytest.approx([0, 15, 0], rel=1e-3)
    across = charger_currents(two_bus, points(("b", "1.3", KV, 1, True, 124.7)), 1.0)
    assert np.abs(across[two_bus.bus_nodes["b"]]).tolist() == pytest.approx([10, 0, 10])
    assert abs(across.sum()) == pytest.approx(0, abs=1e-9)
    with pytest.raises(InputError, match=r"points\[0\].*x\.1"):
        charger_currents(two_bus, points(("x", "1", KV, 1, False, 1.0)), 1.2)


@settings(max_examples=12, deadline=None)
@given(
    km=st.floats(0.1, 40),
    mva=st.floats(20, 2000),
    ratio=st.floats(0.2, 1.4),
    resistance=st.floats(0, 40),
)
def test_more_impedance_never_raises_a_fault_current(tmp_path_factory, km, mva, ratio, resistance):
    text = TWO_BUS.replace(f"length={KM}", f"length={km}")
    engine, feeder = loaded(text, tmp_path_factory.mktemp("two"))
    head = HeadFault.from_mva(KV, mva, ratio * mva)
    network = fault_network(engine, feeder, head)
    table = fault_currents(network).set_index(["bus", "fault", "phases"])["amps"]
    assert (table["b"] <= table["src"] * (1 + 1e-9)).all()
    arced = fault_currents(network, resistance_ohm=resistance).set_index(table.index.names)["amps"]
    plain = table.index.get_level_values("fault").isin(["line_ground", "line_line"])
    assert (arced[plain] <= table[plain] * (1 + 1e-9)).all()
