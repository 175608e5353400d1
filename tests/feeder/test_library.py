"""The shipped feeders: solved as their public models are, ratings and wiring as stated."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from v2g_feeder.conventions import Connection, Wiring
from v2g_feeder.errors import InputError
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.findings import FindingKind
from v2g_feeder.feeder.library import feeder_names, resolve_model, shipped
from v2g_feeder.feeder.model import read_feeder

REFERENCE = Path(__file__).parents[1] / "reference"
NAMES = ("ieee123", "ieee13", "ieee34", "ieee37")
UNRATED = {
    "ieee13": {"Line.684652", "Line.671692"},
    "ieee34": set(),
    "ieee37": {f"Line.l{n}" for n in (3, 6, 8, 14, 16, 17, 20, 22, 25, 26, 27, 28, 29, 31, 32)}
    | {"Line.jumper"},
    "ieee123": {f"Line.l{n}" for n in range(61, 66)} | {f"Line.sw{n}" for n in range(1, 9)},
}
AMPS = {
    "ieee13": {730, 340, 230, 255},
    "ieee34": {230, 180, 140},
    "ieee37": {550, 385, 135},
    "ieee123": {530, 230},
}


@cache
def solved(name):
    """The feeder with its nominal solution: (feeder, raw solution, taps)."""
    engine = shared_engine()
    master = resolve_model(name, Path.cwd())
    engine.load(master)
    feeder = read_feeder(engine, master)
    windings = list(
        zip(feeder.regulators["transformer"], feeder.regulators["winding"], strict=True)
    )
    raw = engine.solve(0, 1.0)
    return feeder, raw, engine.taps(windings)


def reference(name, table):
    return pd.read_csv(REFERENCE / name / f"{table}.csv")


def test_the_four_feeders_ship():
    assert feeder_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_node_has_the_voltage_of_the_reference(name):
    feeder, raw, _ = solved(name)
    assert raw.converged
    assert raw.controls_done
    base = feeder.buses["kv_base_ln"]
    ours = {
        node: abs(volts) / 1e3 / base[node.rsplit(".", 1)[0]]
        for node, volts in zip(feeder.nodes, raw.volts, strict=True)
    }
    theirs = reference(name, "voltages").set_index("node")["v_pu"].to_dict()
    assert ours.keys() == theirs.keys()
    assert max(abs(ours[node] - theirs[node]) for node in theirs) < 1e-4
    assert max(theirs.values()) - min(theirs.values()) > 0.05, "a table of ones would agree"


@pytest.mark.parametrize("name", NAMES)
def test_the_head_takes_what_the_reference_takes(name):
    _, raw, _ = solved(name)
    totals = reference(name, "totals").set_index("quantity")["value"]
    assert raw.source_kva.real == pytest.approx(totals["head_kw"], rel=1e-4)
    assert raw.source_kva.imag == pytest.approx(totals["head_kvar"], rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_regulators_settle_at_the_taps_of_the_reference(name):
    feeder, _, taps = solved(name)
    found = dict(zip(feeder.regulators["transformer"], taps, strict=True))
    expected = reference(name, "taps").set_index("transformer")["tap_pu"].to_dict()
    assert found == pytest.approx(expected, abs=1e-9)
    assert set(feeder.elements.loc[feeder.elements["kind"] == "regulator", "element"]) == {
        f"Transformer.{transformer}" for transformer in expected
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_line_without_a_rating_is_unknown_and_never_400_a(name):
    elements = solved(name)[0].elements
    series = elements[elements["series"]]
    unknown = series[series["rating_source"] == "unknown"]
    assert set(unknown["element"]) == UNRATED[name]
    assert unknown[["rating_a", "rating_kva"]].isna().all(axis=None)
    lines = series[series["element"].str.startswith("Line.")]
    assert not (lines["rating_a"] == 400).any()
    assert set(lines["rating_a"].dropna()) == AMPS[name]
    transformers = series[series["element"].str.startswith("Transformer.")]
    assert (transformers["rating_kva"] > 0).all()
    assert transformers["rating_a"].isna().all()


@pytest.mark.parametrize("name", NAMES)
def test_findings_are_the_unrated_lines_and_nothing_else(name):
    findings = {finding.kind: finding for finding in solved(name)[0].findings}
    assert set(findings) == ({FindingKind.RATINGS_UNKNOWN} if UNRATED[name] else set())
    if UNRATED[name]:
        assert findings[FindingKind.RATINGS_UNKNOWN].count == len(UNRATED[name])
        assert set(findings[FindingKind.RATINGS_UNKNOWN].elements) <= UNRATED[name]


@pytest.mark.parametrize("name", NAMES)
def test_every_bus_is_reached_from_the_source_and_drawn(name):
    feeder = solved(name)[0]
    assert feeder.name == name
    assert feeder.buses["energised"].all()
    assert feeder.downstream(feeder.source_bus) == set(feeder.buses.index)
    assert feeder.buses[["kv_base_ln", "impedance_pu"]].notna().all(axis=None)
    undrawn = feeder.buses["x"].isna()
    assert all(bus.endswith("_open") for bus in feeder.buses.index[undrawn])
    assert feeder.buses["impedance_pu"].max() > 0


def test_wiring():
    wiring = {name: solved(name)[0].buses["wiring"] for name in NAMES}
    assert set(wiring["ieee13"]) == set(wiring["ieee34"]) == {Wiring.FOUR_WIRE}
    assert set(wiring["ieee37"].drop("sourcebus")) == {Wiring.THREE_WIRE}
    three = wiring["ieee123"] == Wiring.THREE_WIRE
    assert list(three.index[three]) == ["610"], "the delta secondary; all else has a neutral"
    assert solved("ieee37")[0].connections("701") == (
        Connection.AB, Connection.BC, Connection.CA, Connection.ABC,
    )  # fmt: skip
    assert solved("ieee13")[0].connections("684") == (Connection.A, Connection.C, Connection.CA)
    assert solved("ieee13")[0].connections("652") == (Connection.A,)


def test_feeders_are_found_and_solved_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    engine = shared_engine()
    for name in NAMES:
        master = resolve_model(name.upper(), Path("nowhere"))
        assert master == shipped("feeders") / name / "master.dss"
        engine.load(master)
        assert engine.solve(0, 1.0).converged
    assert Path.cwd().samefile(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_path_is_taken_from_the_folder_of_the_study(tmp_path):
    (tmp_path / "my.dss").touch()
    assert resolve_model("my.dss", tmp_path) == tmp_path / "my.dss"
    with pytest.raises(InputError, match=r"'ieee132' is neither .* \(did you mean 'ieee13'\?\)"):
        resolve_model("ieee132", tmp_path)
    with pytest.raises(InputError, match="shipped feeders: ieee123, ieee13, ieee34, ieee37"):
        resolve_model("zzz", tmp_path)


def test_the_order_of_the_node_voltages_is_the_order_of_the_names():
    feeder, raw, _ = solved("ieee13")
    kv = np.abs(raw.volts) / 1e3
    assert kv[feeder.node_index["634.1"]] < 0.3
    assert kv[feeder.node_index["sourcebus.2"]] > 60
    assert feeder.bus_nodes["645"] == (2, 3)
