"""Mitigation in a capacity search: plans of what must be searched again, one table of all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from v2g_feeder.hosting.mitigation import MITIGATION_COLUMNS, best_hours, bought, other_phase
from v2g_feeder.hosting.table import annual_minima
from v2g_feeder.powerflow.chargers import ChargerControl, category_b

if TYPE_CHECKING:
    from collections.abc import Mapping

    from v2g_feeder.hosting import Search
    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage
    from v2g_feeder.study.hosting_units import HostingPlan

__all__ = ["measure_plans", "mitigation_summary", "mitigation_table"]


def measure_plans(study: Study, feeder: FeederStage, plan: HostingPlan) -> dict[str, HostingPlan]:
    """Return the plan of each measure that is searched anew, under the conditions of ``plan``."""
    found = {}
    for section in study.content.hosting.mitigation:
        commands = section.settings().commands(feeder.feeder)
        circuit = replace(plan.circuit, commands=(*plan.circuit.commands, *commands))
        if section.volt_var:
            circuit = replace(circuit, chargers=ChargerControl(category_b("volt_var")))
        if commands or section.volt_var:
            found[section.name] = replace(plan, circuit=circuit)
    return found


def mitigation_table(
    study: Study, table: pd.DataFrame, with_measure: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Return what each measure of the study buys, in the study's order.

    Parameters
    ----------
    study
        A study.
    table
        Capacity without measures, of one set of conditions.
    with_measure
        Capacity with those of :func:`measure_plans`, by name.
    """
    minima = annual_minima(table)
    parts = []
    for section in study.content.hosting.mitigation:
        if section.other_phase:
            answers = other_phase(minima)
        elif section.charging_hours is not None:
            days = table.assign(day=table["step"] // study.calendar.steps_per_day)
            answers = best_hours(days, section.charging_hours, study.calendar.step_hours)
        else:
            least = annual_minima(with_measure[section.name])
            limit = least["limiting_criterion"].replace("", "none")
            answers = least.assign(with_it="then limited by " + limit)
        parts.append(bought(minima, answers, section.name))
    return pd.concat(parts, ignore_index=True)[list(MITIGATION_COLUMNS)]


def mitigation_summary(table: pd.DataFrame, search: Search) -> pd.DataFrame:
    """Return a row a (measure, direction, connection): medians over buses, and the most bought.

    What lies within the tolerance of the search is neither more nor less.
    """
    rows: list[dict[str, Any]] = []
    keys = ["measure", "direction", "connection"]
    for (measure, direction, connection), mine in table.groupby(keys, sort=False):
        known = mine.dropna(subset=["bought_kw"])
        if known.empty:
            continue
        most = known.loc[known["bought_kw"].idxmax()]
        told = np.maximum(search.tolerance_kw, search.tolerance_share * known["kw"])
        rows.append(
            {
                "measure": measure,
                "direction": direction,
                "connection": connection,
                "buses": len(known),
                "kw_median": float(known["kw"].median()),
                "kw_median_with": float(known["kw_with"].median()),
                "bought_kw_median": float(known["bought_kw"].median()),
                "buses_more": int((known["bought_kw"] > told).sum()),
                "buses_less": int((known["bought_kw"] < -told).sum()),
                "most_bought_kw": float(most["bought_kw"]),
                "bus_of_most": str(most["bus"]),
            }
        )
    order = {name: number for number, name in enumerate(dict.fromkeys(table["measure"]))}
    rows.sort(key=lambda row: (order[row["measure"]], row["direction"], row["connection"]))
    return pd.DataFrame(rows)
