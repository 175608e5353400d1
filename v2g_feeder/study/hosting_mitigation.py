"""Mitigation in a capacity search: plans of what must be searched again, one table of all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Direction, Status
from v2g_feeder.hosting.mitigation import (
    MITIGATION_COLUMNS,
    best_hours,
    bought,
    lost,
    other_phase,
)
from v2g_feeder.hosting.table import annual_minima
from v2g_feeder.powerflow.chargers import category_b
from v2g_feeder.study.hosting_units import curtail_day, curtailed_days, load_curtailed, run_days
from v2g_feeder.study.summary import records

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from v2g_feeder.hosting import Search
    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage
    from v2g_feeder.study.hosting_units import HostingPlan

__all__ = [
    "curtailed_export",
    "measure_plans",
    "mitigation_parts",
    "mitigation_summary",
    "mitigation_table",
]

_KEY: Final = ["bus", "connection"]
_STEP: Final = ["step", "season", "month", "day_type", "hour", "minute"]


def measure_plans(study: Study, feeder: FeederStage, plan: HostingPlan) -> dict[str, HostingPlan]:
    """Return the plan of each measure that is searched anew, under the conditions of ``plan``."""
    found = {}
    for section in study.content.hosting.mitigation:
        commands = section.settings().commands(feeder.feeder)
        circuit = replace(plan.circuit, commands=(*plan.circuit.commands, *commands))
        circuit = replace(circuit, chargers=section.chargers())
        if commands or circuit.chargers.enabled:
            found[section.name] = replace(plan, circuit=circuit)
    return found


def curtailed_export(
    study: Study,
    plan: HostingPlan,
    folder: Path,
    table: pd.DataFrame,
    *,
    workers: int,
    tell: Callable[[str, int, int], None],
) -> pd.DataFrame:
    """Return what chargers of the size that a measure allows lose to their curves, by step.

    Parameters
    ----------
    study
        A study.
    plan, folder
        Of the measure, its circuit with chargers that follow curves.
    table
        Capacity with the measure; its annual minimum is the size of each charger.
    workers, tell
        Worker processes; called with stage, done and total.

    Returns
    -------
    pandas.DataFrame
        ``bus, connection, step, season, month, day_type, hour, minute, kw, curtailed_kw``: a row a
        (connection, step). Empty for a measure without curves.
    """
    if not plan.circuit.chargers.enabled:
        return pd.DataFrame(columns=[*_KEY, *_STEP, "kw", "curtailed_kw"])
    least = annual_minima(table)
    least = least[least["direction"] == Direction.EXPORT].set_index(_KEY)["kw"]
    points = plan.points[_KEY]
    kw = least.reindex(pd.MultiIndex.from_frame(points)).to_numpy(float)
    days = len(study.calendar.days)
    left = sorted({*range(days)} - curtailed_days(folder))
    jobs = [(day, (str(folder), day, kw)) for day in left]
    run_days(
        "curtailed", curtail_day, jobs,
        lambda day: f"what is curtailed on {study.calendar.days[day].label}",
        total=days, workers=workers, tell=tell,
    )  # fmt: skip
    cut = np.concatenate([load_curtailed(folder, day) for day in range(days)])  # [step, point]
    axis = study.calendar.table()[_STEP]
    rows = points.assign(kw=kw).merge(axis, how="cross")[[*_KEY, *_STEP, "kw"]]
    rows = rows.assign(curtailed_kw=cut.T.reshape(-1))
    return rows[rows["kw"].notna()].reset_index(drop=True)


def mitigation_table(
    study: Study,
    table: pd.DataFrame,
    with_measure: Mapping[str, pd.DataFrame],
    curtailed: Mapping[str, pd.DataFrame],
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
    curtailed
        Of :func:`curtailed_export`, by name.
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
            if len(curtailed[section.name]):
                energy = lost(curtailed[section.name], study.calendar.step_hours)
                answers = answers.merge(energy, how="left")
        parts.append(bought(minima, answers, section.name))
    return pd.concat(parts, ignore_index=True)[list(MITIGATION_COLUMNS)]


def mitigation_parts(study: Study, table: pd.DataFrame | None, search: Search) -> dict[str, Any]:
    """Return what ``summary.json`` says of measures: rows, and what must be read with them."""
    if table is None:
        return {"mitigation": [], "mitigation_notes": []}
    rows = mitigation_summary(table, search)
    return {"mitigation": records(rows), "mitigation_notes": _notes(study, rows, search)}


def _notes(study: Study, rows: pd.DataFrame, search: Search) -> list[str]:
    """Return what the rows do not say themselves."""
    found = []
    if rows["buses_censored"].any():
        found.append(
            f"censored: no limit met up to {search.maximum_kw:g} kW with the measure; the size is "
            "the largest tried and no capacity, and at least so much is bought"
        )
    if rows["curtailed_share_most"].notna().any():
        hours = study.calendar.n_steps * study.calendar.step_hours
        found.append(
            "curtailed: energy that a charger of the size with the measure does not give, of what "
            f"it is asked for, its rating in each of the calendar's {hours:g} hours "
            f"(every day of it once; an assumption). By step: hosting_curtailment.csv"
        )
    begins = category_b("volt_watt").v_pu[0]
    highest = max(band.vmax_pu for band in study.limits.voltage)
    if any(section.volt_watt for section in study.content.hosting.mitigation) and highest <= begins:
        found.append(
            f"volt-watt of category B begins at {begins:g} pu, and {study.limits.name} allows no "
            f"more than {highest:g} pu: where over-voltage limits, it acts too late to buy anything"
        )
    return found


def mitigation_summary(table: pd.DataFrame, search: Search) -> pd.DataFrame:
    """Return a row a (measure, direction, connection): medians over buses, and the most bought.

    What lies within the tolerance of the search is neither more nor less. ``buses_censored`` meet
    no limit with the measure up to the largest size tried, so that more than that is bought there.
    ``curtailed_share`` is energy not given over energy asked for: of the median bus, and the most.
    """
    rows: list[dict[str, Any]] = []
    keys = ["measure", "direction", "connection"]
    for (measure, direction, connection), mine in table.groupby(keys, sort=False):
        known = mine.dropna(subset=["bought_kw"])
        if known.empty:
            continue
        most = known.loc[known["bought_kw"].idxmax()]
        share = known["curtailed_kwh"] / known["asked_kwh"]
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
                "buses_censored": int((known["status_with"] == Status.CENSORED).sum()),
                "curtailed_share_median": float(share.median()),
                "curtailed_share_most": float(share.max()),
            }
        )
    order = {name: number for number, name in enumerate(dict.fromkeys(table["measure"]))}
    rows.sort(key=lambda row: (order[row["measure"]], row["direction"], row["connection"]))
    return pd.DataFrame(rows)
