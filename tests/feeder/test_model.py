"""What is read from a model: ratings, wiring, distances, findings, on small hand-made feeders."""

from __future__ import annotations

import numpy as np
import pytest

from v2g_feeder.conventions import Connection, Wiring
from v2g_feeder.errors import FeederError, InputError
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.findings import FindingKind
from v2g_feeder.feeder.model import read_feeder

HEAD = "Clear\nNew Circuit.small bus1=src basekv=12.47 pu=1 MVAsc3=1000 MVAsc1=1000\n"
BASES = "Set VoltageBases=[12.47 0.48 0.208]\nCalcVoltageBases\n"
OHMS = "r1=0.3 x1=0.4 r0=0.9 x0=1.2 c1=0 c0=0"
TRIPLEX = "rmatrix=[0.1 | 0.02 0.1] xmatrix=[0.05 | 0.01 0.05] cmatrix=[0 | 0 0]"


def line(name, one, two, extra="", phases=3):
    return f"New Line.{name} bus1={one} bus2={two} phases={phases} {OHMS} {extra}\n"


def service(name, primary, bus, kva=25):
    """A centre-tapped 120/240 V transformer."""
    return (
        f"New Transformer.{name} phases=1 windings=3 buses=[{primary} {bus}.1.0 {bus}.0.2] "
        f"kvs=[7.2 0.12 0.12] kvas=[{kva} {kva} {kva}] %rs=[0.6 1.2 1.2] xhl=2 xht=2 xlt=1.4\n"
    )


@pytest.fixture
def feeder_of(tmp_path):
    def read(text, bases=BASES):
        master = tmp_path / "master.dss"
        master.write_text(HEAD + text + bases, encoding="utf-8")
        engine = shared_engine()
        engine.load(master)
        return read_feeder(engine, master)

    return read


def rating(feeder, element):
    row = feeder.elements.set_index("element").loc[element]
    return row["rating_a"], row["rating_kva"], row["rating_source"]


def finding(feeder, kind):
    found = [item for item in feeder.findings if item.kind == kind]
    return found[0] if found else None


# -- ratings ----------------------------------------------------------------------------------

RATED = [
    ("", "normamps=321", 321),
    ("New LineCode.c nphases=3 r1=0.3 x1=0.4 normamps=222", "linecode=c", 222),
    ("New LineCode.c nphases=3 r1=0.3 x1=0.4 normamps=222", "linecode=c normamps=111", 111),
    ("New LineCode.c nphases=3 r1=0.3 x1=0.4", "linecode=c normamps=111", 111),
    ("New LineCode.c nphases=3 r1=0.3 x1=0.4", "linecode=c normamps=400", 400),
    ("New LineCode.c nphases=3 r1=0.3 x1=0.4 normamps=400", "linecode=c", 400),
    ("", "", None),
    ("New LineCode.c nphases=3 r1=0.3 x1=0.4", "linecode=c", None),
    ("New LineCode.c nphases=3 r1=0.3 x1=0.4", "normamps=111 linecode=c", None),
    ("", "normamps=0", None),
    ("New LineCode.c nphases=3 r1=0.3 x1=0.4 normamps=0", "linecode=c", None),
    ("", "emergamps=700", None),
]


@pytest.mark.parametrize(("code", "own", "amps"), RATED)
def test_a_line_is_rated_only_where_the_model_says_so(feeder_of, code, own, amps):
    feeder = feeder_of(f"{code}\nNew Line.a bus1=src bus2=b phases=3 {own} length=1\n")
    found_a, found_kva, source = rating(feeder, "Line.a")
    assert np.isnan(found_kva)
    if amps is None:
        assert source == "unknown"
        assert np.isnan(found_a)
        assert finding(feeder, FindingKind.RATINGS_UNKNOWN).elements == ("Line.a",)
    else:
        assert (found_a, source) == (amps, "stated")
        assert finding(feeder, FindingKind.RATINGS_UNKNOWN) is None
    flagged = finding(feeder, FindingKind.RATING_IS_DEFAULT)
    assert (flagged is not None) == (amps == 400)


def test_the_finding_counts_the_unrated_lines(feeder_of):
    text = "".join(line(f"l{n}", "src", f"b{n}") for n in range(12)) + line(
        "good", "src", "c", "normamps=100"
    )
    found = finding(feeder_of(text), FindingKind.RATINGS_UNKNOWN)
    assert found.count == 12
    assert len(found.elements) == 8, "the first ones"
    assert "12 of 13" in found.message


@pytest.mark.parametrize(("kvas", "kva"), [("kvas=[750 750]", 750), ("kva=750", 750), ("", None)])
def test_a_transformer_without_kva_is_unknown(feeder_of, kvas, kva):
    feeder = feeder_of(
        f"New Transformer.t windings=2 buses=[src b] kvs=[12.47 0.48] conns=[delta wye] {kvas}\n"
    )
    amps, found, source = rating(feeder, "Transformer.t")
    assert np.isnan(amps)
    assert source == ("stated" if kva else "unknown")
    assert found == kva if kva else np.isnan(found)


def test_a_transformer_code_states_the_nameplate(feeder_of):
    feeder = feeder_of(
        "New XfmrCode.x phases=3 windings=2 kvs=[12.47 0.48] kvas=[300 300] xhl=4\n"
        "New Transformer.t xfmrcode=x buses=[src b]\n"
    )
    assert rating(feeder, "Transformer.t")[1:] == (300, "stated")


# -- regulators, islands, bases ---------------------------------------------------------------

REGULATOR = (
    "New Transformer.r phases=1 windings=2 buses=[src.1 b.1] kvs=[7.2 7.2] kvas=[500 500] xhl=1\n"
)
CONTROL = "New RegControl.rc transformer=r winding=2 vreg=123 band=3 ptratio=60\n"


def test_a_regulator_without_its_control_is_a_finding(feeder_of):
    bare = feeder_of(REGULATOR)
    assert finding(bare, FindingKind.NO_REGULATOR_CONTROL).elements == ("Transformer.r",)
    assert bare.elements["kind"].tolist() == ["transformer"]
    held = feeder_of(REGULATOR + CONTROL)
    assert finding(held, FindingKind.NO_REGULATOR_CONTROL) is None
    assert held.elements["kind"].tolist() == ["regulator"]
    row = held.regulators.iloc[0]
    assert (row["transformer"], row["winding"], row["bus"]) == ("r", 2, "src")
    assert (row["vreg"], row["band"]) == (123, 3)


def test_a_disabled_control_is_no_control(feeder_of):
    feeder = feeder_of(REGULATOR + CONTROL + "Disable RegControl.rc\n")
    assert len(feeder.regulators) == 0
    assert finding(feeder, FindingKind.NO_REGULATOR_CONTROL)


def test_a_tap_off_nominal_without_control_is_a_finding(feeder_of):
    text = (
        "New Transformer.t windings=2 buses=[src b] kvs=[12.47 0.48] kvas=[300 300] taps=[1 1.05]\n"
    )
    assert finding(feeder_of(text), FindingKind.NO_REGULATOR_CONTROL)
    assert finding(feeder_of(text.replace("1.05", "1")), FindingKind.NO_REGULATOR_CONTROL) is None


def test_an_island_is_found_and_has_no_distance(feeder_of):
    feeder = feeder_of(line("a", "src", "b") + line("far", "x", "y"))
    found = finding(feeder, FindingKind.ISLAND)
    assert (found.count, set(found.elements)) == (2, {"x", "y"})
    assert feeder.buses.index[~feeder.buses["energised"]].tolist() == ["x", "y"]
    assert feeder.buses.loc["x", ["km", "impedance_pu"]].isna().all()
    assert finding(feeder_of(line("a", "src", "b")), FindingKind.ISLAND) is None


def test_a_disabled_line_makes_an_island(feeder_of):
    feeder = feeder_of(line("a", "src", "b") + line("c", "b", "c") + "Disable Line.c\n")
    assert "c" not in feeder.buses.index or not feeder.buses.loc["c", "energised"]
    assert feeder.elements["element"].tolist() == ["Line.a"]


def test_a_model_without_voltage_bases_is_found(feeder_of):
    feeder = feeder_of(line("a", "src", "b"), bases="")
    assert finding(feeder, FindingKind.NO_VOLTAGE_BASES).count == 2
    assert feeder.buses["kv_base_ln"].isna().all()
    assert finding(feeder_of(line("a", "src", "b")), FindingKind.NO_VOLTAGE_BASES) is None


def test_existing_generation_is_found(feeder_of):
    text = line("a", "src", "b") + "New Generator.g bus1=b kv=12.47 kw=100\n"
    assert finding(feeder_of(text), FindingKind.EXISTING_GENERATION).elements == ("Generator.g",)


def test_missing_and_empty_masters_are_errors(tmp_path):
    with pytest.raises(InputError, match="no such OpenDSS master file"):
        shared_engine().load(tmp_path / "none.dss")
    (tmp_path / "empty.dss").write_text("! nothing\n")
    with pytest.raises(FeederError, match="holds 0 circuits"):
        shared_engine().load(tmp_path / "empty.dss")
    (tmp_path / "bad.dss").write_text("Clear\nNew Circuit.c bus1=a\nNew Line.x buss1=a\n")
    with pytest.raises(InputError, match="OpenDSS refuses it"):
        shared_engine().load(tmp_path / "bad.dss")


# -- wiring, phases, connections --------------------------------------------------------------


def test_split_phase_buses_and_their_primary_phase(feeder_of):
    triplex = "New Line.drop bus1=s.1.2 bus2=home.1.2 phases=2 " + TRIPLEX + "\n"
    feeder = feeder_of(
        line("a", "src", "b")
        + service("tb", "b.2", "s")
        + triplex
        + service("tca", "b.3.1", "u").replace("7.2", "12.47")
    )
    buses = feeder.buses
    assert buses.loc[["s", "home", "u"], "wiring"].tolist() == [Wiring.SPLIT_PHASE] * 3
    assert buses.loc[["s", "home", "u"], "phase"].tolist() == ["B", "B", "CA"]
    assert buses.loc[["src", "b"], "wiring"].tolist() == [Wiring.FOUR_WIRE] * 2
    assert buses.loc["b", "phase"] == "ABC"
    assert feeder.connections("home") == (Connection.SPLIT,)
    assert feeder.nominal_kv("home") == pytest.approx(0.24, rel=1e-3)
    assert feeder.nominal_kv("b") == pytest.approx(12.47)
    assert feeder.downstream("s") == {"s", "home"}
    assert buses.loc["home", "parent"] == "s"
    assert buses.loc["home", "parent_element"] == "Line.drop"


def test_a_delta_secondary_is_three_wire_and_a_wye_one_four_wire(feeder_of):
    bank = "New Transformer.{0} buses=[src {0}] kvs=[12.47 0.48] conns=[delta {1}] kva=300\n"
    feeder = feeder_of(
        bank.format("d", "delta") + bank.format("w", "wye") + line("a", "d", "e", "normamps=1")
    )
    assert feeder.buses.loc[["d", "e", "w"], "wiring"].tolist() == [
        Wiring.THREE_WIRE, Wiring.THREE_WIRE, Wiring.FOUR_WIRE,
    ]  # fmt: skip
    pairs = (Connection.AB, Connection.BC, Connection.CA)
    assert feeder.connections("e") == (*pairs, Connection.ABC)
    assert feeder.connections("w") == (
        Connection.A,
        Connection.B,
        Connection.C,
        *pairs,
        Connection.ABC,
    )


def test_a_wye_with_a_floating_neutral_gives_no_neutral(feeder_of):
    bank = "New Transformer.{0} buses=[src {0}{1}] kvs=[12.47 0.48] conns=[delta wye] kva=300\n"
    feeder = feeder_of(bank.format("floats", ".1.2.3.4") + bank.format("tied", ".1.2.3.0"))
    assert feeder.buses.loc["floats", "wiring"] == Wiring.THREE_WIRE
    assert feeder.buses.loc["tied", "wiring"] == Wiring.FOUR_WIRE


@pytest.mark.parametrize(
    ("nodes", "phases", "expected"),
    [
        (".2", 1, (Connection.B,)),
        (".1.2", 2, (Connection.A, Connection.B, Connection.AB)),
        (".3.1", 2, (Connection.A, Connection.C, Connection.CA)),
        (".2.3", 2, (Connection.B, Connection.C, Connection.BC)),
    ],
)
def test_connections_are_the_phases_that_reach_a_bus(feeder_of, nodes, phases, expected):
    feeder = feeder_of(line("a", f"src{nodes}", f"b{nodes}", phases=phases))
    assert feeder.connections("b") == expected


# -- distance and direction -------------------------------------------------------------------


def test_distance_and_impedance_by_hand(feeder_of):
    feeder = feeder_of(
        line("a", "src", "b", "length=2 units=km")
        + line("c", "c", "b", "length=1000 units=ft")  # written towards the head
        + "New Transformer.t windings=2 buses=[c d] kvs=[12.47 0.48] kvas=[500 500] xhl=4\n"
        + "New Line.e bus1=d bus2=e phases=3 r1=0.003 x1=0.004 length=50 units=m\n"
    )
    buses = feeder.buses
    assert buses.loc["b", "km"] == pytest.approx(2)
    assert buses.loc["c", "km"] == pytest.approx(2.3048)
    assert buses.loc["d", "km"] == buses.loc["c", "km"]
    assert buses.loc["e", "km"] == pytest.approx(2.3548)
    z_b = 2 * 0.5 / 12.47**2  # |0.3 + j0.4| ohm/km, on 1 MVA
    z_c = z_b + 1000 * 0.5 / 12.47**2  # the impedance is per unit of length, whatever the unit
    z_d = z_c + 0.04 / 0.5
    z_e = z_d + 50 * 0.005 / 0.48**2
    assert buses.loc[["src", "b", "c", "d", "e"], "impedance_pu"].tolist() == pytest.approx(
        [0, z_b, z_c, z_d, z_e], rel=1e-4
    )
    row = feeder.elements.set_index("element").loc["Line.c"]
    assert (row["bus1"], row["bus2"]) == ("b", "c"), "oriented away from the source"
    assert feeder.tree.parent["c"] == ("b", "Line.c")


def test_kinds_and_what_is_not_in_series(feeder_of):
    feeder = feeder_of(
        line("a", "src", "b")
        + "New Line.sw bus1=b bus2=c phases=3 switch=yes\n"
        + "New Capacitor.bank bus1=c kv=12.47 kvar=300\n"
        + "New Reactor.r bus1=c bus2=d phases=3 r=0.1 x=1\n"
        + "New CapControl.cc capacitor=bank element=line.a type=voltage ptratio=60 "
        + "onsetting=118 offsetting=122\n"
    )
    kinds = feeder.elements.set_index("element")[["kind", "series"]].to_dict("index")
    assert kinds["Line.a"] == {"kind": "line", "series": True}
    assert kinds["Line.sw"]["kind"] == "switch"
    assert kinds["Reactor.r"] == {"kind": "reactor", "series": True}
    assert kinds["Capacitor.bank"] == {"kind": "capacitor", "series": False}
    assert feeder.capacitors.iloc[0].to_dict() == {
        "name": "bank", "bus": "c", "kvar": 300.0, "control": "cc",
    }  # fmt: skip


def test_disabled_loads_are_no_loads(feeder_of):
    text = line("a", "src", "b") + "".join(
        f"New Load.{name} bus1=b.{n} phases=1 kv=7.2 kw=10 kvar=2\n"
        for n, name in enumerate("xyz", 1)
    )
    feeder = feeder_of(text + "Disable Load.y\n")
    assert feeder.loads["name"].tolist() == ["x", "z"]
    index = [feeder.node_index["b.1"], feeder.node_index["b.3"]]
    assert [nodes[0] for nodes in feeder.loads["nodes"]] == index
    assert [nodes[-1] for nodes in feeder.loads["nodes"]] == [-1, -1]
    assert len(feeder_of(line("a", "src", "b")).loads) == 0
