"""The protection screen on a feeder that can be worked by hand: each check, and what it lacks."""

import dataclasses
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from v2g_feeder.errors import InputError
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.faults import charger_currents
from v2g_feeder.feeder.library import shipped
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.feeder.short_circuit import HeadFault, fault_network
from v2g_feeder.screening import (
    NEEDS_FULL_STUDY,
    PROTECTION_COLUMNS,
    ProtectionInputs,
    ProtectionStatus,
    protection_findings,
    protection_screen,
    protection_settings,
    read_devices,
    standing_flows,
)

KV = 12.47
VOLTS = KV * 1e3 / np.sqrt(3)
Z1, Z0 = complex(0.3, 1.2), complex(0.6, 3.0)  # behind the head, ohm
SELF, MUTUAL = complex(0.46, 1.08), complex(0.16, 0.50)  # of the lines, ohm/km
KM = {"one": 4.0, "two": 6.0}
LINE1, LINE0 = SELF - MUTUAL, SELF + 2 * MUTUAL
HEAD = HeadFault(Z1, Z0)


def lower(own, mutual):
    return f"{own} | {mutual} {own} | {mutual} {mutual} {own}"


def line(name, start, end, km):
    return (
        f"New Line.{name} bus1={start} bus2={end} phases=3 length={km} units=km "
        f"rmatrix=[{lower(SELF.real, MUTUAL.real)}] xmatrix=[{lower(SELF.imag, MUTUAL.imag)}] "
        "cmatrix=[0 | 0 0 | 0 0 0]\n"
    )


MODEL = (
    f"Clear\nNew Circuit.chain bus1=src basekv={KV} pu=1.0 MVAsc3=1e6 MVAsc1=1e6\n"
    + line("one", "src", "m", KM["one"])
    + line("two", "m", "e", KM["two"])
    + f"New Load.x bus1=e phases=3 kv={KV} kw=400 kvar=100\n"
    + "New Load.y bus1=m.1 phases=1 kv=7.2 kw=50 kvar=0\n"
    + f"Set VoltageBases=[{KV}]\nCalcVoltageBases\n"
)
HEADER = (
    "device,kind,element,pickup_a,ground_pickup_a,interrupting_a,directional,reverse_kw,"
    "minimum_load_kw\n"
)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Two lines in a row, a breaker at the head and a recloser between them."""
    master = tmp_path_factory.mktemp("chain") / "master.dss"
    master.write_text(MODEL)
    engine = shared_engine()
    engine.load(master)
    feeder = read_feeder(engine, master)
    raw = engine.solve(0, 1.0)
    return feeder, fault_network(engine, feeder, HEAD), engine.series_elements(), raw


def devices(tmp_path, *rows):
    path = tmp_path / "devices.csv"
    path.write_text(HEADER + "\n".join(rows) + "\n")
    return read_devices(path)


BREAKER = "breaker,breaker,Line.one,300,100,8000,yes,100,500"
RECLOSER = "recloser,recloser,Line.two,200,80,6000,no,,300"


def points(kw=0.0, *, nodes="1.2.3", bus="e", kva=None):
    count = len(nodes.split("."))
    row = {
        "bus": bus,
        "nodes": nodes,
        "kv": KV if count > 1 else KV / np.sqrt(3),
        "phases": count if count != 2 else 1,
        "delta": False,
        "phase": "".join("ABC"[int(node) - 1] for node in nodes.split(".")),
        "kva": kw if kva is None else kva,
        "kw": kw,
    }
    return pd.DataFrame([row])


def run(chain, table, chargers, standing=None, **figures):
    feeder, network, _, _ = chain
    inputs = ProtectionInputs(table, chargers, network, standing)
    found = protection_screen(feeder, inputs, protection_settings(**figures))
    assert tuple(found.columns) == PROTECTION_COLUMNS
    return found.set_index(["device", "check"])


def z1(*lines):
    return Z1 + LINE1 * sum(KM[name] for name in lines)


def z0(*lines):
    return Z0 + LINE0 * sum(KM[name] for name in lines)


def line_line(*lines):
    return np.sqrt(3) * VOLTS / abs(2 * z1(*lines))


def line_ground(*lines):
    return 3 * VOLTS / abs(2 * z1(*lines) + z0(*lines))


def test_reach_without_chargers_by_hand(tmp_path, chain):
    found = run(chain, devices(tmp_path, BREAKER, RECLOSER), points())
    row = found.loc[("breaker", "phase_reach")]
    assert row["value"] == pytest.approx(line_line("one") / 300)
    assert (row["bus"], row["status"], row["effect"]) == ("m", "pass", "none")
    assert row["limit"] == 2.3
    assert found.loc[("recloser", "phase_reach"), "value"] == pytest.approx(
        line_line("one", "two") / 200
    )
    assert found.loc[("recloser", "ground_reach"), "value"] == pytest.approx(
        line_ground("one", "two") / 80
    )
    assert found.loc[("recloser", "phase_reach_loss"), "value"] == pytest.approx(0, abs=1e-6)
    assert found.loc[("", "fault_current_rise"), "value"] == pytest.approx(0, abs=1e-6)


def test_a_device_without_another_behind_it_reaches_to_the_end(tmp_path, chain):
    found = run(chain, devices(tmp_path, BREAKER), points())
    row = found.loc[("breaker", "phase_reach")]
    assert (row["bus"], row["value"]) == ("e", pytest.approx(line_line("one", "two") / 300))


def test_fault_resistance_shortens_the_ground_reach(tmp_path, chain):
    found = run(chain, devices(tmp_path, RECLOSER), points(), fault_resistance_ohm=20.0)
    impedance = 2 * z1("one", "two") + z0("one", "two") + 60
    assert found.loc[("recloser", "ground_reach"), "value"] == pytest.approx(
        3 * VOLTS / abs(impedance) / 80
    )
    assert found.loc[("recloser", "ground_reach"), "note"] == ""


def test_reach_is_lost_to_chargers_as_the_current_divider_says(tmp_path, chain):
    """Chargers at m, a line-to-line fault at e: what the breaker sees of their current.

    Before the fault it flows back to the source, S + D and S - D in the faulted phases, half the
    sum and half the difference; the fault turns the share k = z(to m) / z(to e) of D around.
    """
    found = run(chain, devices(tmp_path, BREAKER), points(3000.0, bus="m"))
    rated = 1.2 * 3000 / (np.sqrt(3) * KV)
    turned = 1 - z1("one") / z1("one", "two")
    sides = [abs(0.5 + sign * 1j * np.sqrt(0.75) * turned) for sign in (1, -1)]
    row = found.loc[("breaker", "phase_reach_loss")]
    assert row["fault"].startswith("line_line")
    assert row["value"] == pytest.approx(100 * rated * min(sides) / line_line("one", "two"))
    reach = found.loc[("breaker", "phase_reach")]
    assert reach["value"] < reach["reference_value"]
    assert reach["reference_value"] == pytest.approx(line_line("one", "two") / 300)


def test_a_breaker_that_no_longer_reaches(tmp_path, chain):
    pickup = line_line("one", "two") / 2.35
    table = devices(tmp_path, BREAKER.replace(",300,", f",{pickup:.3f},", 1))
    assert run(chain, table, points()).loc[("breaker", "phase_reach"), "status"] == "pass"
    row = run(chain, table, points(3000.0, bus="m")).loc[("breaker", "phase_reach")]
    assert (row["status"], row["effect"]) == ("violation", "new")
    before = BREAKER.replace(",300,", f",{1.1 * pickup:.3f},", 1)
    row = run(chain, devices(tmp_path, before), points()).loc[("breaker", "phase_reach")]
    assert (row["status"], row["effect"]) == ("violation", "same")
    row = run(chain, devices(tmp_path, before), points(3000.0, bus="m")).loc[
        ("breaker", "phase_reach")
    ]
    assert (row["status"], row["effect"]) == ("violation", "worse")


def test_the_fault_current_rises_by_the_chargers_own(tmp_path, chain):
    """At the chargers' own bus all of their current goes into a three-phase fault."""
    found = run(chain, devices(tmp_path, BREAKER), points(2000.0))
    rise = 100 * 1.2 * 2000 / (np.sqrt(3) * KV) / (VOLTS / abs(z1("one", "two")))
    row = found.loc[("", "fault_current_rise")]
    assert row["bus"] == "e"
    assert row["value"] >= rise * (1 - 1e-9)
    assert row["value"] == pytest.approx(rise, rel=0.6)
    network = chain[1]
    columns, at = network.columns("e"), network.bus_nodes["e"]
    fault = next(item for item in network.faults("e") if item.kind == "three_phase_ground")
    volts = network.solve(charger_currents(network, points(2000.0), 1.2))[at]
    own = np.abs(fault.currents(columns[at], volts, 0.0))
    assert own == pytest.approx([1.2 * 2000 / (np.sqrt(3) * KV)] * 3)
    violation = run(chain, devices(tmp_path, BREAKER), points(8000.0))
    assert violation.loc[("", "fault_current_rise"), "status"] == "violation"
    assert violation.loc[("", "fault_current_rise"), "effect"] == "new"


def test_interrupting_rating(tmp_path, chain):
    high = max(VOLTS / abs(Z1), 3 * VOLTS / abs(2 * Z1 + Z0))
    row = run(chain, devices(tmp_path, BREAKER), points()).loc[("breaker", "interrupting_rating")]
    assert row[["value", "bus", "status"]].tolist() == [
        pytest.approx(high, rel=1e-6),
        "src",
        "pass",
    ]
    weak = devices(tmp_path, BREAKER.replace("8000", f"{high + 1:.1f}"))
    assert run(chain, weak, points()).loc[("breaker", "interrupting_rating"), "status"] == "pass"
    row = run(chain, weak, points(500.0)).loc[("breaker", "interrupting_rating")]
    assert (row["status"], row["effect"]) == ("violation", "new")


def test_residual_current_of_chargers_on_one_phase(tmp_path, chain):
    """A single-phase charger's current returns to the source as residual current."""
    table = devices(tmp_path, BREAKER)
    single = points(700.0, nodes="2")
    own = 700e3 / VOLTS
    found = run(chain, table, single).loc[("breaker", "residual_pickup")]
    assert found["value"] == pytest.approx(own, rel=1e-6)
    assert (found["status"], found["missing"]) == ("unknown", "residual current of the load")
    standing = pd.DataFrame(
        {"minimum_kw": [500.0], "residual_a": [10.0]}, index=pd.Index(["breaker"], name="device")
    )
    found = run(chain, table, single, standing).loc[("breaker", "residual_pickup")]
    assert (found["value"], found["status"]) == (pytest.approx(own + 10, rel=1e-6), "violation")
    assert found["effect"] == "new"
    both = pd.concat([single, points(700.0, nodes="3")], ignore_index=True)
    assert run(chain, table, both, standing).loc[
        ("breaker", "residual_pickup"), "value"
    ] == pytest.approx(own + 10, rel=1e-6), "two phases at 120 degrees are no worse than one"
    balanced = run(chain, table, points(720.0), standing).loc[("breaker", "residual_pickup")]
    assert (balanced["value"], balanced["status"]) == (pytest.approx(10), "pass")
    heavy = run(chain, table, points(1500.0, nodes="1")).loc[("breaker", "residual_pickup")]
    assert heavy["status"] == "violation", "the load could only add to it"


def test_reverse_power_islanding_and_load_rejection(tmp_path, chain):
    table = devices(tmp_path, BREAKER, RECLOSER)
    found = run(chain, table, points(550.0))
    row = found.loc[("breaker", "reverse_power")]
    assert row[["value", "limit", "status"]].tolist() == [50, 100, "pass"]
    assert found.loc[("breaker", "islanding"), ["value", "status"]].tolist() == [1.1, "violation"]
    assert found.loc[("breaker", "load_rejection"), "status"] == "pass"
    assert found.loc[("recloser", "reverse_power"), "note"] == "no directional element"
    assert found.loc[("recloser", "reverse_power"), "status"] == "pass"
    high = found.loc[("recloser", "load_rejection")]
    assert high[["value", "limit", "status"]].tolist() == [
        pytest.approx(550 / 300), 1.38, "violation",
    ]  # fmt: skip
    found = run(chain, table, points(650.0))
    assert found.loc[("breaker", "reverse_power"), ["value", "status", "effect"]].tolist() == [
        150, "violation", "new",
    ]  # fmt: skip


def test_without_a_least_load(tmp_path, chain):
    bare = devices(tmp_path, BREAKER.replace(",100,500", ",100,"))
    found = run(chain, bare, points(90.0))
    assert found.loc[("breaker", "reverse_power"), "status"] == "pass", "load only lowers it"
    assert found.loc[("breaker", "islanding"), ["status", "missing"]].tolist() == [
        "unknown", "least load behind it",
    ]  # fmt: skip
    found = run(chain, bare, points(110.0))
    assert found.loc[("breaker", "reverse_power"), ["status", "missing"]].tolist() == [
        "unknown", "least load behind it",
    ]  # fmt: skip
    none = run(chain, bare, points(0.0))
    assert none.loc[("breaker", "islanding"), "status"] == "pass", "nothing exports"


def test_flows_of_a_solution_stand_in_for_the_inventory(tmp_path, chain):
    feeder, _, elements, raw = chain
    bare = devices(tmp_path, BREAKER.replace(",100,500", ",100,"), RECLOSER)
    standing = standing_flows(feeder, elements, bare, [raw])
    assert standing.loc["breaker", "minimum_kw"] == pytest.approx(450, rel=0.02)
    assert standing.loc["recloser", "minimum_kw"] == pytest.approx(400, rel=0.02)
    single = 50e3 / 7200
    assert standing.loc["breaker", "residual_a"] == pytest.approx(single, rel=0.03)
    assert standing.loc["recloser", "residual_a"] == pytest.approx(0, abs=0.1)
    found = run(chain, bare, points(225.0), standing)
    assert found.loc[("breaker", "islanding"), "value"] == pytest.approx(0.5, rel=0.02)
    assert found.loc[("recloser", "islanding"), "value"] == pytest.approx(0.75), (
        "its own figure first"
    )
    failed = dataclasses.replace(raw, converged=False)
    assert standing_flows(feeder, elements, bare, [failed]).isna().all(axis=None)


def test_effective_grounding(tmp_path, chain):
    found = run(chain, devices(tmp_path, BREAKER), points())
    ratios = {
        bus: (zero.imag / positive.imag, zero.real / positive.imag)
        for bus, positive, zero in (
            ("src", Z1, Z0),
            ("m", z1("one"), z0("one")),
            ("e", z1("one", "two"), z0("one", "two")),
        )
    }
    row = found.loc[("", "effective_grounding")]
    worst = max(ratios, key=lambda bus: ratios[bus][0])
    assert row[["bus", "value"]].tolist() == [worst, pytest.approx(ratios[worst][0])]
    assert (row["status"], row["effect"]) == ("violation", "same"), "chargers do not change it"
    other = found.loc[("", "r0_x1")]
    assert other["value"] == pytest.approx(max(r for _, r in ratios.values()))
    allowed = run(chain, devices(tmp_path, BREAKER), points(), x0_x1=4.0)
    assert allowed.loc[("", "effective_grounding"), "status"] == "pass"


GROUNDED = (
    MODEL.replace("Set Volt", "New Transformer.g phases=3 windings=2 buses=[e s] "
    "conns=[wye delta] kvs=[12.47 4.16] kvas=[3000 3000] xhl=5 %rs=[0.5 0.5]\nSet Volt")
    .replace("[12.47]", "[12.47 4.16]")
)  # fmt: skip


def test_sympathetic_trip_on_a_ground_source_behind_the_device(tmp_path, chain):
    """A grounded-wye/delta bank at the end feeds zero sequence into a fault at the head."""
    table = devices(tmp_path, BREAKER)
    quiet = run(chain, table, points(2000.0))
    assert quiet.loc[("breaker", "sympathetic_trip"), "value"] == pytest.approx(0, abs=0.01)
    pickup = quiet.loc[("breaker", "sympathetic_pickup")]
    assert pickup["note"].startswith("directional")
    assert (pickup["status"], np.isnan(pickup["limit"])) == ("pass", True)
    master = tmp_path / "grounded.dss"
    master.write_text(GROUNDED)
    engine = shared_engine()
    engine.load(master)
    feeder = read_feeder(engine, master)
    network = fault_network(engine, feeder, HEAD)
    blind = table.assign(directional="no")
    found = protection_screen(feeder, ProtectionInputs(blind, points(), network))
    row = found.set_index(["device", "check"]).loc[("breaker", "sympathetic_trip")]
    bank = complex(0.01, 0.05) * KV**2 / 3.0
    own, behind = Z0, LINE0 * (KM["one"] + KM["two"]) + bank
    zero = VOLTS / (2 * Z1 + own * behind / (own + behind))
    assert row["value"] == pytest.approx(abs(zero * own / (own + behind)), rel=0.01)
    assert (row["bus"], row["status"], row["effect"]) == ("src", "violation", "same")
    pickup = found.set_index(["device", "check"]).loc[("breaker", "sympathetic_pickup")]
    assert pickup["value"] == pytest.approx(3 * row["value"] / 100, rel=0.01)
    assert pickup["status"] == "violation"


def test_chargers_alone_can_pick_up_a_blind_relay(tmp_path, chain):
    """A fault before the breaker: what flows through it is the chargers' own limited current."""
    table = devices(tmp_path, BREAKER.replace(",300,100,", ",50,20,").replace("yes", "no"))
    found = run(chain, table, points(2000.0)).loc[("breaker", "sympathetic_pickup")]
    own = 1.2 * 2000 / (np.sqrt(3) * KV)
    assert found["value"] == pytest.approx(own / 50, rel=1e-3)
    assert (found["status"], found["effect"], found["bus"]) == ("violation", "new", "src")


# -- what is not known ------------------------------------------------------------------------


def test_without_a_fault_level_nothing_that_needs_it_is_answered(tmp_path, chain):
    feeder = chain[0]
    table = devices(tmp_path, BREAKER, RECLOSER)
    found = protection_screen(feeder, ProtectionInputs(table, points(550.0)))
    by_fault = ~found["check"].isin(["reverse_power", "islanding", "load_rejection"])
    assert set(found.loc[by_fault, "status"]) == {"unknown"}
    assert set(found.loc[by_fault, "missing"]) == {"fault level at the head"}
    assert found.loc[~by_fault, "status"].tolist().count("unknown") == 0
    with_level = run(chain, table, points(550.0))
    assert set(zip(found["device"], found["check"], strict=True)) == set(with_level.index)


def test_without_a_zero_sequence_level(tmp_path, chain):
    feeder, network, _, _ = chain
    blind = dataclasses.replace(network, ground_known=False)
    table = devices(tmp_path, BREAKER, RECLOSER)
    found = protection_screen(feeder, ProtectionInputs(table, points(550.0), blind))
    found = found.set_index(["device", "check"])
    level = "zero-sequence fault level at the head"
    for check in ("ground_reach", "ground_reach_loss", "sympathetic_trip"):
        assert found.loc[("recloser", check), ["status", "missing"]].tolist() == ["unknown", level]
    assert found.loc[("recloser", "phase_reach"), "status"] == "pass"
    assert level in found.loc[("", "fault_current_rise"), "note"]
    assert "ground" not in found.loc[("", "fault_current_rise"), "fault"]


def test_missing_settings_are_named(tmp_path, chain):
    table = devices(tmp_path, "breaker,breaker,Line.one,,,,,,", "away,relay,,1,1,1,,,")
    found = run(chain, table, points(100.0))
    missing = found["missing"].to_dict()
    assert missing[("breaker", "phase_reach")] == "phase minimum trip"
    assert missing[("breaker", "ground_reach")] == "ground minimum trip"
    assert missing[("breaker", "interrupting_rating")] == "interrupting rating"
    assert missing[("breaker", "residual_pickup")] == (
        "ground minimum trip, residual current of the load"
    )
    assert missing[("breaker", "reverse_power")] == (
        "setting of its directional or reverse-power element, least load behind it"
    )
    assert missing[("breaker", "sympathetic_pickup")] == "phase minimum trip, ground minimum trip"
    assert found.loc[("breaker", "phase_reach_loss"), "status"] == "pass", "needs no setting"
    away = found.loc["away"]
    assert set(away["status"]) == {"unknown"}
    assert set(away["missing"]) == {"element of the model on which it stands"}


def test_no_devices_at_all(chain):
    feeder, network, _, _ = chain
    with pytest.raises(InputError, match="no device to screen"):
        protection_screen(feeder, ProtectionInputs(pd.DataFrame(), points(), network))


def test_a_fuse_by_its_rating(tmp_path, chain):
    path = tmp_path / "fuse.csv"
    path.write_text("device,kind,element,rating_a\nf,fuse,Line.two,65\n")
    found = run(chain, read_devices(path), points())
    row = found.loc[("f", "phase_reach")]
    least = min(line_line("one", "two"), line_ground("one", "two"))
    assert row["value"] == pytest.approx(least / 130)
    assert ("f", "ground_reach") not in found.index


def test_settings_have_sources_and_refuse_nonsense():
    settings = protection_settings()
    named = {source.setting for source in settings.sources}
    assert named == {item.name for item in dataclasses.fields(settings) if item.name != "sources"}
    assert all(source.text and source.mark in {"P", "K", "A"} for source in settings.sources)
    changed = protection_settings(reach_factor=3.0)
    assert [s.text for s in changed.sources if s.setting == "reach_factor"] == ["set by the study"]
    with pytest.raises(InputError, match="did you mean 'reach_factor'"):
        protection_settings(reach_facto=3.0)
    with pytest.raises(InputError, match="not zero or above"):
        protection_settings(charger_factor=-1.0)


def test_findings_for_the_checklist(tmp_path, chain):
    found = run(chain, devices(tmp_path, BREAKER), points(650.0)).reset_index()
    findings = protection_findings(found).set_index(["check", "device"])
    assert findings.loc[("islanding", "breaker"), "outcome"] == "fail"
    assert findings.loc[("islanding", "breaker"), "note"].startswith("1.3 x least load; limit 1")
    note = findings.loc[("residual_pickup", "breaker"), "note"]
    assert "missing: residual current of the load" in note
    assert set(findings["outcome"]) <= {"pass", "fail", "unknown"}
    assert len(NEEDS_FULL_STUDY) > 3


# -- a real feeder ----------------------------------------------------------------------------


def ieee13(tmp_path, chargers):
    master = shipped("feeders") / "ieee13" / "master.dss"
    engine = shared_engine()
    engine.load(master)
    feeder = read_feeder(engine, master)
    head = HeadFault.from_mva(4.16, 150.0, 130.0, bus="650")
    network = fault_network(engine, feeder, head)
    path = tmp_path / "devices.csv"
    path.write_text(
        "device,kind,element,pickup_a,ground_pickup_a,rating_a\n"
        "breaker,breaker,Line.650632,800,300,\n"
        "recloser,recloser,Line.670671,560,200,\n"
        "fuse,fuse,Line.684652,,,100\n"
    )
    inputs = ProtectionInputs(read_devices(path, feeder), chargers, network)
    return protection_screen(feeder, inputs).set_index(["device", "check"])


def test_ieee13_more_chargers_never_help(tmp_path):
    """Bounds at the worst angle grow with the chargers' current, one check after the other."""
    at = points(1.0, bus="675").assign(kv=4.16)
    tables = [ieee13(tmp_path, at.assign(kva=kva, kw=kva)) for kva in (0.0, 500.0, 1000.0, 2000.0)]
    for one, other in pairwise(tables):
        for check in ("phase_reach", "ground_reach"):
            for device in ("breaker", "recloser"):
                assert (
                    other.loc[(device, check), "value"] <= one.loc[(device, check), "value"] + 1e-9
                )
        for device, check in (
            ("", "fault_current_rise"), ("breaker", "phase_reach_loss"),
            ("recloser", "ground_reach_loss"), ("breaker", "sympathetic_trip"),
        ):  # fmt: skip
            assert other.loc[(device, check), "value"] >= one.loc[(device, check), "value"] - 1e-9
    assert tables[0].loc[("fuse", "phase_reach"), "bus"] == "652"
    assert tables[0].loc[("recloser", "phase_reach"), "bus"] in {"680", "675", "684", "692"}


def test_rotated_phases_give_rotated_results(tmp_path, chain):
    table = devices(tmp_path, BREAKER, RECLOSER)
    values = [run(chain, table, points(720.0, nodes=nodes))["value"].to_numpy() for nodes in "123"]
    assert values[0] == pytest.approx(values[1], rel=1e-6, abs=1e-3)
    assert values[0] == pytest.approx(values[2], rel=1e-6, abs=1e-3)


def test_statuses_are_those_of_the_enumeration(tmp_path, chain):
    found = run(chain, devices(tmp_path, BREAKER, RECLOSER), points(720.0, nodes="1"))
    assert set(found["status"]) <= {str(status) for status in ProtectionStatus}


def test_ungrounded_buses_have_no_ground_faults(tmp_path):
    """IEEE 123 has a delta service at 610: a percentage of next to nothing is no rise."""
    master = shipped("feeders") / "ieee123" / "master.dss"
    engine = shared_engine()
    engine.load(master)
    feeder = read_feeder(engine, master)
    network = fault_network(engine, feeder, HeadFault.from_mva(4.16, 150.0, 130.0, bus="150"))
    path = tmp_path / "devices.csv"
    path.write_text("device,kind,element,pickup_a,ground_pickup_a\nb,breaker,Line.l115,800,300\n")
    chargers = points(300.0, bus="48", nodes="1.2.3").assign(kv=4.16)
    inputs = ProtectionInputs(read_devices(path, feeder), chargers, network)
    found = protection_screen(feeder, inputs).set_index(["device", "check"])
    rise = found.loc[("", "fault_current_rise")]
    assert 0 < rise["value"] < 20
    assert "610" not in found.loc[("", "effective_grounding"), "bus"]
