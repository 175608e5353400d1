"""What is marked: nothing met, met already, met twice, not known; and what must never change."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from v2g_feeder.conventions import Criterion, Status
from v2g_feeder.errors import InputError
from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.hosting import Conditions, Regulators, ReverseMode, Search
from v2g_feeder.screening import load_limits

from .cases import BASES, KV, limits, line, search, source, wider, write

IEEE13 = resolve_model("ieee13", Path.cwd())
THERMAL = limits(thermal=100.0)


def two(folder, pu=1.0, extra="normamps=200", more=""):
    return write(folder, source(pu) + line("l", "src", "b", 4.0, extra=extra) + more + BASES)


def load(name, bus, kw, phases=1):
    kv = KV / math.sqrt(3) if phases == 1 else KV
    return f"New Load.{name} bus1={bus} phases={phases} kv={kv:.6g} kw={kw} pf=0.95 model=1\n"


def test_a_search_that_meets_no_limit_is_censored(tmp_path):
    rules = Search(maximum_kw=50.0)
    table = search(two(tmp_path), limits(0.9, 1.1), rules=rules, buses=["b"]).table
    assert set(table["status"]) == {Status.CENSORED}
    assert set(table["kw"]) == {50.0}
    assert table["fails_at_kw"].isna().all()
    assert set(table["limiting_criterion"]) == {""}


def test_a_bus_in_violation_may_not_become_worse(tmp_path):
    found = search(two(tmp_path, pu=1.06), limits(vmax=1.05, thermal=100.0), buses=["b"])
    row = found.row("b", "ABC", "export")
    assert row["status"] == Status.ALREADY_VIOLATED
    assert row["limiting_criterion"] == Criterion.OVER_VOLTAGE
    assert row["kw"] == pytest.approx(1e-5 * 1.06 * (KV * 1e3) ** 2 / 1.2 / 1e3, abs=1.0)
    row = found.row("b", "ABC", "import")  # lowers the voltage, so another limit is met
    assert row["status"] == Status.ALREADY_VIOLATED
    assert row["limiting_criterion"] == Criterion.THERMAL
    assert row["kw"] > 3000


def test_a_limit_met_and_passed_again_is_not_monotone(tmp_path):
    text = (
        source()
        + f"New Transformer.reg windings=2 buses=(src r) kvs=({KV} {KV}) kvas=(20000 20000) "
        "xhl=0.01 %loadloss=0.001\n"
        "New RegControl.c transformer=reg winding=2 vreg=120 band=6 ptratio=60 bus=b.1\n"
        + line("l", "r", "b", 4.0, extra="normamps=900")
        + BASES
    )
    rules = Search(maximum_kw=6000.0, tolerance_share=0.0, scan=12)
    master = write(tmp_path, text)
    free = Conditions(regulators=Regulators.FREE)
    found = search(
        master, limits(vmax=1.02), rules=rules, conditions=free, buses=["b"], connections=["ABC"]
    )
    row = found.row("b", "ABC", "export")
    assert row["status"] == Status.NON_MONOTONE
    assert row["limiting_criterion"] == Criterion.OVER_VOLTAGE
    assert found.found.beyond_kw.max() > row["fails_at_kw"] > row["kw"]
    locked = search(master, limits(vmax=1.02), rules=rules, buses=["b"], connections=["ABC"])
    other = locked.row("b", "ABC", "export")
    assert other["status"] == Status.LIMITED
    assert other["kw"] == pytest.approx(row["kw"], abs=2.0)


def test_no_solution_is_never_a_limit(tmp_path):
    found = search(two(tmp_path), limits(), buses=["b"], connections=["A"])
    row = found.row("b", "A", "import")
    assert (row["status"], row["limiting_criterion"]) == (Status.UNKNOWN, Criterion.INVALID)
    assert 3000 < row["kw"] < row["fails_at_kw"] < 9000  # the nose is at 4.6 MW


@pytest.mark.parametrize("thermal", [100.0, math.inf])
def test_an_unknown_rating_is_never_a_capacity(tmp_path, thermal):
    master, rules = two(tmp_path, extra=""), Search(maximum_kw=50.0)
    wide = limits(vmax=1.4, thermal=thermal)
    table = search(master, wide, rules=rules, buses=["b"]).table
    assert set(table["status"]) == {Status.UNKNOWN if thermal < math.inf else Status.CENSORED}
    narrow = limits(vmax=1.001, thermal=thermal)  # another limit is met all the same
    found = search(master, narrow, rules=rules, buses=["b"])
    assert found.row("b", "A", "export")["status"] == Status.LIMITED


def test_a_step_without_a_valid_base_state_has_no_number(tmp_path):
    master = two(tmp_path, pu=0.8, more=load("one", "b.1", 50.0))
    table = search(master, THERMAL, buses=["b"]).table
    assert table["kw"].isna().all()
    assert set(table["status"]) == {Status.UNKNOWN}


def rotated(folder, turn):
    """An unbalanced feeder with its phases turned by some places."""
    a, b, c = ((k + turn) % 3 + 1 for k in range(3))
    text = (
        source(1.01)
        + line("main", "src", "m", 3.0, extra="normamps=300")
        + line("lateral", f"m.{a}", f"x.{a}", 2.0, phases=1, extra="normamps=120")
        + load("one", f"x.{a}", 180)
        + load("two", f"m.{b}", 350)
        + load("three", f"m.{c}", 90)
        + BASES
    )
    return write(folder, text)


def test_turned_phases_give_turned_capacities(tmp_path):
    limit = wider(load_limits("ansi_c84_1_a"), line_unbalance_pct=math.inf)
    first = search(rotated(tmp_path, 0), limit, p=[0.5, 1.0], steps=2)
    second = search(rotated(tmp_path, 1), limit, p=[0.5, 1.0], steps=2)
    turn = {"A": "B", "B": "C", "C": "A", "AB": "BC", "BC": "CA", "CA": "AB", "ABC": "ABC"}
    assert len(first.table) == len(second.table)
    for row in first.table.itertuples():
        other = second.row(row.bus, turn[row.connection], row.direction, row.step)
        assert other["kw"] == pytest.approx(row.kw, abs=0.1)
        assert other["limiting_criterion"] == row.limiting_criterion


REMOVED = {
    "voltage": {"voltage": ((math.inf, 0.01, 9.0),)},
    "sudden": {"sudden": ((math.inf, math.inf),)},
    "thermal": {"thermal_pct": math.inf, "emergency_pct": math.inf},
    "unbalance": {"line_unbalance_pct": math.inf},
}


def never_lower(one, other):
    """Capacities of one search are at least another's, up to its tolerance."""
    same = ["bus", "connection", "direction", "step"]
    assert one[same].equals(other[same])
    step = np.maximum(1.0, 0.01 * other["kw"])
    assert (one["kw"] >= other["kw"] - step).all()


@pytest.mark.parametrize("removed", REMOVED)
def test_a_criterion_removed_never_lowers_capacity(removed):
    limit = wider(load_limits("ansi_c84_1_a"), line_unbalance_pct=0.8)
    rules = Search()
    whole = search(IEEE13, limit, p=[0.4, 0.9], steps=2, rules=rules, connections="default")
    less = search(
        IEEE13, wider(limit, **REMOVED[removed]), p=[0.4, 0.9], steps=2, rules=rules,
        connections="default",
    )  # fmt: skip
    never_lower(less.table, whole.table)
    assert (less.table["kw"] > whole.table["kw"]).any()


def test_a_rating_raised_never_lowers_capacity():
    rules, limit = Search(), THERMAL
    whole = search(IEEE13, limit, p=[0.4, 0.9], steps=2, rules=rules, connections="default")
    name = whole.table.loc[
        whole.table["limiting_element"].str.startswith("Line."), "limiting_element"
    ].mode()[0]
    raised = search(
        IEEE13, limit, p=[0.4, 0.9], steps=2, rules=rules, connections="default",
        commands=[f"Edit {name} normamps=2000"],
    )  # fmt: skip
    never_lower(raised.table, whole.table)
    assert (raised.table["kw"] > whole.table["kw"] + 50).any()


def test_impossible_settings_are_refused():
    with pytest.raises(InputError, match="maximum_kw"):
        Search(maximum_kw=0.0)
    with pytest.raises(InputError, match="no threshold"):
        Conditions(reverse_mode=ReverseMode.AS_MODEL, reverse_threshold_kw=10.0)
    with pytest.raises(InputError, match="no screened bus 'nowhere'"):
        search(IEEE13, THERMAL, buses=["nowhere"])
