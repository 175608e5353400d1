"""Capacity of chargers with volt-var and volt-watt, by hand and by OpenDSS."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from v2g_feeder.conventions import Criterion
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.hosting import Conditions, Search
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
    for _, row in rows.iterrows():
        verdicts.append((row, check.verdict(row, days[row["step"]], parts, place)))
        cut.append(check._runner.curtailed_kw)
    agree(verdicts)
    assert max(cut) > 1.0
