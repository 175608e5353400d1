"""Capacity of chargers with volt-var and volt-watt, by hand and by OpenDSS."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from v2g_feeder.conventions import Criterion, Status
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.hosting import Conditions, Curtailment, Search
from v2g_feeder.hosting.recheck import Recheck
from v2g_feeder.powerflow.chargers import ChargerControl, category_b, respond

from .cases import BASES, MUTUAL, SELF, VOLTS, limits, line, search, source, write
from .test_against_opendss import agree

KM = 4.0
VAR = ChargerControl(category_b("volt_var"))
WATT = ChargerControl(None, category_b("volt_watt"))
BOTH = ChargerControl(category_b("volt_var"), category_b("volt_watt"))


def far_pu(size_kw: float, control: ChargerControl) -> float:
    """Voltage at the end of the line with a three-phase charger asked to export its rating."""
    z = KM * (SELF - MUTUAL)

    def miss(v: float) -> float:
        kw, kvar = respond(control, np.array(v), np.array(-size_kw), np.array(size_kw))
        p, q = 1e3 * float(kw) / 3, 1e3 * float(kvar) / 3
        b = 2 * (z.real * p + z.imag * q) - VOLTS**2
        c = abs(z) ** 2 * (p * p + q * q)
        return np.sqrt((-b + np.sqrt(b * b - 4 * c)) / 2) / VOLTS - v

    return brentq(miss, 0.9, 1.4, xtol=1e-12)


@pytest.mark.parametrize(
    ("control", "vmax"), [(ChargerControl(), 1.03), (VAR, 1.03), (WATT, 1.07), (BOTH, 1.03)]
)
def test_over_voltage_by_hand(control, vmax, tmp_path):
    model = write(tmp_path, source() + line("l", "src", "b", KM, extra="normamps=900") + BASES)
    found = search(model, limits(vmax=vmax), buses=["b"], connections=["ABC"], chargers=control)
    row = found.row("b", "ABC", "export")
    assert row["limiting_criterion"] == Criterion.OVER_VOLTAGE
    expected = brentq(lambda kw: far_pu(kw, control) - vmax, 50.0, 15000.0, xtol=1e-6)
    assert row["kw"] == pytest.approx(expected, abs=1.0)
    drawn = found.row("b", "ABC", "import")
    plain = search(model, limits(vmax=vmax), buses=["b"], connections=["ABC"])
    assert row["kw"] >= plain.row("b", "ABC", "export")["kw"] - 1.0
    assert drawn["kw"] == plain.row("b", "ABC", "import")["kw"], "charging is left alone"


@pytest.mark.parametrize(
    ("control", "vmax", "cuts"), [(WATT, 1.07, 0.2), (BOTH, 1.03, None), (VAR, 1.04, None)]
)
def test_what_is_curtailed_at_the_size_that_passes(control, vmax, cuts, tmp_path):
    """At 1.07 pu the curve leaves four fifths; vars leave less of the rating than the size asks."""
    model = write(tmp_path, source() + line("l", "src", "b", KM, extra="normamps=900") + BASES)
    found = search(model, limits(vmax=vmax), buses=["b"], connections=["A", "ABC"],
                   chargers=control)  # fmt: skip
    size = found.row("b", "ABC", "export")["kw"]
    cut = Curtailment(found.nodal.grid, found.nodal.points).day(0, np.array([np.nan, size]))
    assert np.isnan(cut[0, 0]), "not asked for"
    given, _ = respond(control, np.array(far_pu(size, control)), np.array(-size), np.array(size))
    assert cut[0, 1] == pytest.approx(size + float(given), abs=0.01)
    if cuts is not None:
        assert cut[0, 1] == pytest.approx(cuts * size, rel=1e-3)
    idle = Curtailment(found.nodal.grid, found.nodal.points).day(0, np.array([10.0, 0.0]))
    assert idle[0] == pytest.approx([0.0, 0.0], abs=1e-6 if control is not WATT else 0.0)


def test_more_chargers_than_a_block_holds_are_curtailed_each_by_itself(tmp_path):
    text = source() + "".join(
        line(f"l{n}", "src" if n == 0 else f"b{n - 1}", f"b{n}", 1.0, extra="normamps=900")
        for n in range(6)
    )
    found = search(write(tmp_path, text + BASES), limits(vmax=1.2), chargers=WATT,
                   rules=Search(maximum_kw=100.0), connections=["A", "AB", "ABC"])  # fmt: skip
    points = found.nodal.points
    assert len(points) > 16
    together = Curtailment(found.nodal.grid, points).day(0, np.full(len(points), 6000.0))[0]
    for number in (0, 7, len(points) - 1):
        alone = np.full(len(points), np.nan)
        alone[number] = 6000.0
        one = Curtailment(found.nodal.grid, points).day(0, alone)[0, number]
        assert together[number] == pytest.approx(one, abs=0.01)
    assert together.min() < 1
    assert together.max() > 1000


def test_volt_watt_may_leave_no_limit_to_be_met(tmp_path):
    """The curve takes back what a larger size would add: the limit is beyond the largest tried."""
    model = write(tmp_path, source() + line("l", "src", "b", KM, extra="normamps=900") + BASES)
    rules = Search(maximum_kw=16_000.0)
    rows = {
        name: search(model, limits(vmax=1.08), buses=["b"], connections=["ABC"], rules=rules,
                     chargers=control).row("b", "ABC", "export")
        for name, control in (("plain", ChargerControl()), ("watt", WATT))
    }  # fmt: skip
    assert far_pu(16_000.0, ChargerControl()) > 1.08 > far_pu(16_000.0, WATT)
    assert (rows["plain"]["status"], rows["watt"]["status"]) == (Status.LIMITED, Status.CENSORED)
    assert rows["watt"]["kw"] == 16_000.0


@pytest.mark.parametrize("name", ["ieee13", "ieee34"])
def test_opendss_agrees_with_chargers_on_their_curves(name, tmp_path):
    limit, conditions = limits(vmin=0.9, vmax=1.07, thermal=150.0), Conditions()
    found = search(resolve_model(name, tmp_path), limit, p=None, steps=2, chargers=BOTH,
                   rules=Search(maximum_kw=4000.0), connections="default",
                   season="winter")  # fmt: skip
    nodal, table = found.nodal, found.table[found.table["kw"].notna()]
    exports = table[table["direction"] == "export"]
    rows = exports.sample(min(25, len(exports)), random_state=3).sort_values("step", kind="stable")
    parts = nodal.parts("winter")
    days = nodal.grid.day(0, sorted({part.source for part in parts}), 0.0)
    check = Recheck(shared_engine(), nodal.grid.circuit, nodal.points, conditions, limit)
    place = nodal.grid.solver.place
    verdicts, cut = [], []
    solved = rows["fails_at_kw"].fillna(rows["kw"]).to_numpy()
    for (_, row), size in zip(rows.iterrows(), solved, strict=True):
        verdicts.append((row, check.verdict(row, days[row["step"]], parts, place)))
        outcome = check.solve(row["bus"], row["connection"], row["direction"], size, parts)
        cut.append(outcome.curtailed_kw)
    agree(verdicts)
    assert max(cut) > 1.0
    keys = nodal.points.set_index(["bus", "connection"]).index
    at = keys.get_indexer(rows.set_index(["bus", "connection"]).index)
    for step in (0, 1):
        mine = rows["step"].to_numpy() == step
        sizes = np.full(len(keys), np.nan)
        sizes[at[mine]] = solved[mine]
        found_kw = Curtailment(nodal.grid, nodal.points).day(0, sizes)[step, at[mine]]
        fine = np.isfinite(found_kw)
        assert fine.mean() > 0.9
        assert found_kw[fine] == pytest.approx(np.array(cut)[mine][fine], abs=0.05)
