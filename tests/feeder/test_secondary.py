"""Customers, and the services put under medium-voltage loads."""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from v2g_feeder.conventions import Connection, Wiring
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.feeder.secondary import (
    SecondarySettings,
    build_secondaries,
    customers_of_loads,
    service_figures,
)

SETTINGS = SecondarySettings()
NAMES = ("ieee13", "ieee34", "ieee37", "ieee123")
MODEL = """Clear
New Circuit.small bus1=src basekv=12.47 pu=1 MVAsc3=1000 MVAsc1=1000
New Line.a bus1=src bus2=b phases=3 r1=0.01 x1=0.02 r0=0.03 x0=0.06 c1=0 c0=0
New Transformer.low windings=2 buses=[b low] kvs=[12.47 0.48] kvas=[300 300] xhl=2
New Load.one bus1=b.2 phases=1 kv=7.2 kw=101 kvar=30 model=1 vminpu=0.8 vmaxpu=1.2
New Load.pair bus1=b.3.1 phases=1 kv=12.47 kw=40 kvar=10 model=2
New Load.three bus1=b phases=3 kv=12.47 kw=200 kvar=50 model=5
New Load.shop bus1=low phases=3 kv=0.48 kw=30 kvar=5
Set VoltageBases=[12.47 0.48]
CalcVoltageBases
"""


@pytest.fixture
def small(tmp_path):
    """A feeder with one load of each kind, bare and with services, and the secondaries."""
    master = tmp_path / "master.dss"
    master.write_text(MODEL, encoding="utf-8")
    return _with_services(master)


@cache
def shipped(name):
    return _with_services(resolve_model(name, Path.cwd()))


def _with_services(master, settings=SETTINGS):
    engine = shared_engine()
    engine.load(master)
    bare = read_feeder(engine, master)
    before = engine.solve(0, 1.0)
    services = build_secondaries(bare, settings)
    engine.load(master, services.commands)
    feeder = read_feeder(engine, master)
    return bare, before, services, feeder, engine.solve(0, 1.0)


def volts(feeder, raw, *nodes):
    at = [raw.volts[feeder.node_index[node]] for node in nodes]
    return abs(at[0] - at[1]) if len(at) == 2 else abs(at[0])


# -- settings ---------------------------------------------------------------------------------


def test_defaults_come_with_their_source():
    for name, figure in service_figures().items():
        assert figure["mark"] in {"P", "A"}, name
        assert len(figure["source"]) > 10
        assert figure["unit"]
    assert vars(SETTINGS) == {
        name: service_figures()[name]["value"]
        for name in ("rating_kva", "main_m", "drop_m", "admd_kw", "loading")
    }
    assert not SETTINGS.problems("x")


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "50"])
def test_wrong_figures_are_named(value):
    wrong = SecondarySettings(rating_kva=value, drop_m=value)
    assert [problem.where for problem in wrong.problems("s")] == ["s.rating_kva", "s.drop_m"]


def test_a_loading_in_percent_is_refused():
    assert "80 is a share" in str(SecondarySettings(loading=80).problems("s")[0])


# -- counts -----------------------------------------------------------------------------------


def test_customers_and_transformers_of_each_load(small):
    _, _, services, feeder, _ = small
    counts = services.customers.groupby("load")["customer"].nunique().to_dict()
    kw = {"one": 101, "pair": 40, "three": 200, "shop": 30}
    assert counts == {load: math.ceil(value / 5) for load, value in kw.items()}
    units = services.customers.groupby("load")["transformer"].nunique().to_dict()
    assert units["one"] == math.ceil(math.hypot(101, 30) / (0.8 * 50)) == 3
    assert units["pair"] == math.ceil(math.hypot(40, 10) / 40) == 2
    assert units["three"] == math.ceil(math.hypot(200, 50) / (0.8 * 150)) == 2
    per_unit = services.customers[services.customers["load"] == "one"].groupby("transformer").size()
    assert per_unit.max() - per_unit.min() <= 1, "shared out evenly"
    ratings = feeder.elements.set_index("element")
    for transformer in services.customers["transformer"].replace("", np.nan).dropna().unique():
        assert ratings.loc[transformer, "rating_kva"] == (150 if "three" in transformer else 50)


@pytest.mark.parametrize(
    ("kw", "admd", "customers"), [(10, 5, 2), (10.01, 5, 3), (0.1, 5, 1), (0.3, 0.1, 3)]
)
def test_a_whole_number_of_customers_is_not_rounded_up(small, kw, admd, customers):
    bare = small[0]
    bare.loads.loc[bare.loads["name"] == "one", "kw"] = kw
    settings = SecondarySettings(admd_kw=admd)
    for table in (build_secondaries(bare, settings).customers, customers_of_loads(bare, admd)):
        assert (table["load"] == "one").sum() == customers
        assert table.loc[table["load"] == "one", "kw"].sum() == pytest.approx(kw)


@pytest.mark.parametrize("name", NAMES)
def test_the_customers_add_up_to_the_loads(name):
    bare, _, services, feeder, _ = shipped(name)
    by_load = services.customers.groupby("load")["kw"].sum().to_dict()
    assert by_load == pytest.approx(dict(zip(bare.loads["name"], bare.loads["kw"], strict=True)))
    assert feeder.loads["kw"].sum() == pytest.approx(bare.loads["kw"].sum())
    assert feeder.loads["kvar"].sum() == pytest.approx(bare.loads["kvar"].sum())
    assert services.customers["customer"].is_unique
    for load in bare.loads.itertuples():
        rows = services.customers[services.customers["load"] == load.name]
        assert len(rows) == math.ceil(load.kw / 5 - 1e-9)
        if bare.nominal_kv(load.bus) > 0.6:
            kva = math.hypot(load.kw, load.kvar) / (0.8 * (150 if load.phases == 3 else 50))
            assert rows["transformer"].nunique() == min(len(rows), math.ceil(kva - 1e-9))


# -- what stands there ------------------------------------------------------------------------


def test_a_low_voltage_load_keeps_its_place(small):
    bare, _, services, feeder, _ = small
    shop = services.customers[services.customers["load"] == "shop"]
    assert set(shop["bus"]) == {"low"}
    assert set(shop["connection"]) == {Connection.ABC}
    assert set(shop["transformer"]) == {""}
    assert "shop" not in services.loads.values()
    assert "shop" in set(feeder.loads["name"])
    assert set(bare.loads["name"]) - {"shop"} == set(services.loads.values())
    assert set(services.loads) == set(feeder.loads["name"]) - {"shop"}


def test_a_feeder_with_low_voltage_loads_alone_is_left_as_it_is(small):
    bare = small[0]
    only = type(bare)(**{**bare.__dict__, "loads": bare.loads[bare.loads["name"] == "shop"]})
    services = build_secondaries(only, SETTINGS)
    assert (services.commands, services.loads) == ((), {})
    assert len(services.customers) == 6


def test_split_phase_services_have_120_and_240_volts(small):
    _, _, services, feeder, raw = small
    for load, phase in (("one", "B"), ("pair", "CA")):
        rows = services.customers[services.customers["load"] == load]
        assert set(rows["connection"]) == {Connection.SPLIT}
        for bus in rows["bus"]:
            assert feeder.buses.loc[bus, "wiring"] == Wiring.SPLIT_PHASE
            assert feeder.buses.loc[bus, "phase"] == phase
            legs = [volts(feeder, raw, f"{bus}.{leg}") for leg in (1, 2)]
            both = volts(feeder, raw, f"{bus}.1", f"{bus}.2")
            assert legs == pytest.approx([120, 120], rel=0.04)
            assert both == pytest.approx(sum(legs), rel=1e-6), "the legs are opposite"
            assert both < 240


def test_three_phase_services_are_banks_of_208_volts(small):
    _, _, services, feeder, raw = small
    rows = services.customers[services.customers["load"] == "three"]
    assert set(rows["connection"]) == {Connection.ABC}
    for bus in rows["bus"]:
        assert feeder.buses.loc[bus, "wiring"] == Wiring.FOUR_WIRE
        assert volts(feeder, raw, f"{bus}.1", f"{bus}.2") == pytest.approx(208, rel=0.04)
        assert volts(feeder, raw, f"{bus}.3") == pytest.approx(120, rel=0.04)


def test_a_customer_takes_its_share_with_the_model_of_its_load(small):
    _, _, services, feeder, raw = small
    loads = feeder.loads.set_index("name")
    one = loads.loc[[name for name, load in services.loads.items() if load == "one"]]
    assert one["kw"].tolist() == pytest.approx([101 / 21] * 21)
    assert one["kvar"].tolist() == pytest.approx([30 / 21] * 21)
    assert set(one["vminpu"]) == {0.8}
    assert set(one["vmaxpu"]) == {1.2}
    models = {load: set(loads.loc[[n for n, o in services.loads.items() if o == load], "model"])
              for load in ("one", "pair", "three")}  # fmt: skip
    assert models == {"one": {1}, "pair": {2}, "three": {5}}
    assert raw.converged


def test_voltages_fall_from_the_transformer_to_the_meter(small):
    _, _, services, feeder, raw = small
    for row in services.customers[services.customers["load"] == "one"].itertuples():
        unit = row.transformer.split(".")[1]
        path = [volts(feeder, raw, f"{bus}.1", f"{bus}.2") for bus in (unit, f"{unit}m", row.bus)]
        assert path == sorted(path, reverse=True)
        assert len(set(path)) == 3


@pytest.mark.parametrize("name", NAMES)
def test_services_of_the_shipped_feeders_lie_near_nominal(name):
    bare, _, services, feeder, raw = shipped(name)
    assert raw.converged
    assert raw.controls_done
    customers = services.customers
    for row in customers[customers["transformer"] != ""].itertuples():
        if row.connection == Connection.SPLIT:
            pu = volts(feeder, raw, f"{row.bus}.1", f"{row.bus}.2") / 240
            legs = [volts(feeder, raw, f"{row.bus}.{leg}") for leg in (1, 2)]
            assert legs[0] == pytest.approx(legs[1], rel=1e-3)
        else:
            pu = volts(feeder, raw, f"{row.bus}.1", f"{row.bus}.2") / 208
        parent = bare.loads.set_index("name").loc[row.load, "bus"]
        assert 0.85 < pu < 1.1, (row.customer, parent)
    new = feeder.buses.index.difference(bare.buses.index)
    assert feeder.buses.loc[new, "energised"].all()
    assert feeder.buses.loc[new, "kv_base_ln"].to_numpy() == pytest.approx(0.12, rel=2e-3)
    assert (feeder.buses["kv_base_ln"].reindex(bare.buses.index) == bare.buses["kv_base_ln"]).all()


def test_line_to_line_loads_of_ieee37_are_fed_between_their_phases():
    bare, _, services, feeder, _ = shipped("ieee37")
    for load in bare.loads.itertuples():
        rows = services.customers[services.customers["load"] == load.name]
        if bare.nominal_kv(load.bus) <= 0.6:
            continue
        expected = {frozenset((1, 2)): "AB", frozenset((2, 3)): "BC", frozenset((1, 3)): "CA"}
        numbers = frozenset(int(bare.nodes[node][-1]) for node in load.nodes if node >= 0)
        if load.phases == 1:
            assert set(feeder.buses.loc[rows["bus"], "phase"]) == {expected[numbers]}
        else:
            assert set(rows["connection"]) == {Connection.ABC}


def test_the_head_rises_by_the_losses_of_the_services_alone(tmp_path):
    master = tmp_path / "master.dss"
    master.write_text(re.sub(r"(New Load.*?)( model=\d)?( vmin.*)?\n", r"\1 vminpu=0.7\n", MODEL))
    bare, before, _, _, after = _with_services(master)
    losses_after, of_services = _losses_kw()
    shared_engine().load(master)
    assert shared_engine().solve(0, 1.0).source_kva == before.source_kva
    losses_before, none = _losses_kw()
    rise = after.source_kva.real - before.source_kva.real
    assert rise == pytest.approx(losses_after - losses_before, abs=1e-4), "no load was lost"
    assert none == 0
    assert of_services == pytest.approx(rise, rel=0.02), "the rest is what they cost upstream"
    assert 0 < rise < 0.05 * bare.loads["kw"].sum()


def _losses_kw():
    """Losses of the engine's circuit as it stands, in all and in the services, kW."""
    dss = shared_engine()._dss
    total = services = 0.0
    for name in dss.PDElements.AllNames():
        dss.Circuit.SetActiveElement(name)
        kw = float(dss.CktElement.Losses()[0]) / 1e3
        total += kw
        services += kw if ".svc_" in name.lower() else 0.0
    return total, services


def test_loads_without_kw_and_negative_loads_have_no_customers(tmp_path):
    master = tmp_path / "master.dss"
    extra = "".join(
        f"New Load.{name} bus1=b.1 phases=1 kv=7.2 kw={kw} kvar=9\n"
        for name, kw in (("none", 0), ("pv", -50))
    )
    master.write_text(MODEL.replace("Set Volt", extra + "Set Volt"))
    _, _, services, feeder, _ = _with_services(master)
    assert not {"none", "pv"} & set(services.customers["load"])
    kept = feeder.loads.set_index("name")
    assert kept.loc[["none", "pv"], "bus"].tolist() == ["b", "b"]
    assert feeder.loads["kw"].sum() == pytest.approx(101 + 40 + 200 + 30 - 50)
