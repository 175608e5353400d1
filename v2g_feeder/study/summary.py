"""What ``summary.json`` says: the headline numbers, and everything that they depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from v2g_feeder.conventions import (
    BOUNDING_CASES,
    Case,
    Policy,
    Wiring,
    reference_of,
)
from v2g_feeder.dispatch import LEDGER_ROWS
from v2g_feeder.feeder.engine import TOLERANCE, engine_version
from v2g_feeder.feeder.secondary import service_figures
from v2g_feeder.fleet import load_archetype, load_participation
from v2g_feeder.powerflow.solution import Reason
from v2g_feeder.screening import unknowns
from v2g_feeder.store import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage
    from v2g_feeder.study.fleet_stage import FleetStage
    from v2g_feeder.study.reduce import Reduced

__all__ = ["summarise"]

_FIRM_SHARE = 0.05  # the firm figure is delivered in at least 95 % of event-days


def summarise(
    study: Study, feeder: FeederStage, fleet: FleetStage, reduced: Reduced
) -> dict[str, Any]:
    """Return the contents of ``summary.json``, the content hash left out."""
    content = study.content
    return {
        "schema_version": SCHEMA_VERSION,
        "name": content.name,
        "question": content.question,
        "feeder": _feeder(study, feeder),
        "study": _study(study, fleet),
        "conditions": _conditions(study, feeder),
        "head": _head(study, reduced),
        "events": _events(study, fleet, reduced),
        "harm_and_relief": _records(reduced.relief),
        "harm_and_relief_no_ev": _records(reduced.relief_no_ev),
        "reverse_flow": _records(
            reduced.reverse[
                (reduced.reverse["reverse_hours"] > 0) | (reduced.reverse["element"] == "head")
            ]
        ),
        "ledger": _ledger(study, fleet),
        "funnel": _records(fleet.funnel),
        "shortfall": _shortfall(fleet),
        "validity": _validity(study, feeder, reduced),
        "unknowns": _unknowns(feeder, reduced),
        "findings": [
            {
                "kind": finding.kind,
                "message": finding.message,
                "elements": list(finding.elements),
                "count": finding.count,
            }
            for finding in feeder.findings
        ],
        "notes": list(feeder.notes),
        "assumptions": _assumptions(study),
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.itertuples(index=False)]


def _feeder(study: Study, feeder: FeederStage) -> dict[str, Any]:
    """Return the feeder in figures."""
    tables = feeder.feeder
    return {
        "model": study.content.feeder.model,
        "circuit": tables.name,
        "buses": len(tables.buses),
        "nodes": len(tables.nodes),
        "loads": len(tables.loads),
        "load_kw": float(tables.loads["kw"].sum()),
        "customers": len(feeder.customers),
        "secondaries": study.content.feeder.secondaries is not None,
        "regulators": len(tables.regulators),
        "capacitors": len(tables.capacitors),
        "voltages_screened": len(feeder.observed.voltages),
        "three_wire_buses": int((tables.buses["wiring"] == Wiring.THREE_WIRE).sum()),
        "elements_screened": int((feeder.observed.elements["rating_source"] != "unknown").sum()),
        "elements": len(feeder.observed.elements),
    }


def _study(study: Study, fleet: FleetStage) -> dict[str, Any]:
    """Return the study in figures."""
    content, export = study.content, study.content.dispatch.export
    return {
        "runs": [{"policy": policy, "case": case} for policy, case in fleet.kw],
        "draws": content.draws,
        "seed": content.seed,
        "days": [day.label for day in study.calendar.days],
        "step_minutes": study.calendar.step_minutes,
        "steps": study.calendar.n_steps,
        "vehicles": len(fleet.vehicles),
        "nameplate_kw": fleet.vehicles.nameplate_kw,
        "export_capable_kw": float((fleet.vehicles.export_kw * fleet.vehicles.permitted).sum()),
        "points": len(fleet.points),
        "export": None
        if export is None
        else {
            "window": export.window,
            "request_kw": export.request_kw,
            "seasons": export.seasons or list(content.calendar.seasons),
            "days": export.days,
        },
        "limits": study.limits.name,
    }


def _conditions(study: Study, feeder: FeederStage) -> list[dict[str, str]]:
    """Return the feeder conditions that every number depends on."""
    tables = feeder.feeder
    base = study.content.base_load
    peak = np.nanmax(feeder.head_kw)
    controlled = int((tables.capacitors["control"] != "").sum())
    regulators = (
        f"{len(tables.regulators)} free: each step is settled by their own controls, from the "
        "model's own taps at the first step of each day; delays are not resolved within a step; "
        "reverse modes as the model states them"
        if len(tables.regulators)
        else "none in the model"
    )
    capacitors = (
        f"{len(tables.capacitors)} banks, {controlled} with a control, the others as the model "
        "leaves them"
        if len(tables.capacitors)
        else "none in the model"
    )
    places = "; ".join(
        f"{fleet.name}: by {fleet.place.by}, phases {fleet.place.phases}"
        for fleet in study.content.fleets
    )
    return [
        {"condition": "load", "value": f"{base.source} base load, head peak {peak:.0f} kW"},
        {
            "condition": "calendar",
            "value": f"{len(study.calendar.days)} days of "
            f"{study.calendar.steps_per_day} steps; hours are of these days, not hours a year",
        },
        {"condition": "regulators", "value": regulators},
        {"condition": "capacitors", "value": capacitors},
        {"condition": "source voltage", "value": "as the model states it, the same at every step"},
        {"condition": "existing generation", "value": "as the model states it"},
        {
            "condition": "placement",
            "value": (places or "no vehicles") + "; one realisation, drawn "
            f"with seed {study.content.seed} and kept for every draw",
        },
        {"condition": "chargers", "value": "constant power at unity power factor"},
        {
            "condition": "engine",
            "value": f"{engine_version()}, tolerance {TOLERANCE:g}; every number "
            "is solved by OpenDSS",
        },
    ]


def _head(study: Study, reduced: Reduced) -> list[dict[str, Any]]:
    """Return the peak at the feeder head by run, its range over draws and its place in time."""
    steps = study.calendar.table()
    rows = []
    for (policy, case), kw in reduced.head_kw.items():
        if np.isnan(kw).all():
            continue
        filled = np.where(np.isnan(kw), -np.inf, kw)
        peaks = filled.max(axis=1)
        at = steps.iloc[int(filled.mean(axis=0).argmax())]
        rows.append(
            {
                "policy": policy,
                "case": case,
                "peak_kw_mean": float(peaks.mean()),
                "peak_kw_min": float(peaks.min()),
                "peak_kw_max": float(peaks.max()),
                "peak_at": f"{at['season']} {at['day_type']} {at['hour']:02d}:{at['minute']:02d}",
                "lowest_kw": float(np.nanmin(kw)),
            }
        )
    return rows


def _event_steps(study: Study) -> tuple[np.ndarray, np.ndarray]:
    """Return masks of the steps of events and of the steps after them on the same day."""
    steps = study.calendar.table()
    export = study.content.dispatch.export
    nothing = np.zeros(len(steps), bool)
    if export is None:
        return nothing, nothing
    start, end = export.hours
    hour = steps["hour"] + steps["minute"] / 60
    weekend = steps["day_type"] == "weekend"
    on = steps["season"].map(study.has_event).to_numpy(bool)
    if export.days != "all":
        on &= (weekend == (export.days == "weekends")).to_numpy()
    inside = ((hour >= start) & (hour < end)).to_numpy()
    return on & inside, on & (hour >= end).to_numpy()


def _events(study: Study, fleet: FleetStage, reduced: Reduced) -> list[dict[str, Any]]:
    """Return what the events deliver and relieve, by case and season, over the draws.

    Delivered is the export of the vehicles, held over the window (the lowest hour of each event
    day); relief is the fall of head kW against managed charging; rebound the largest rise after
    the event.
    """
    during, after = _event_steps(study)
    steps = study.calendar.table()
    rows: list[dict[str, Any]] = []
    exported = LEDGER_ROWS.index("exported")
    for (policy, case), kw in reduced.head_kw.items():
        reference = reference_of(policy, case)
        if policy != Policy.EXPORT or case in BOUNDING_CASES or reference not in reduced.head_kw:
            continue
        fall = reduced.head_kw[reference] - kw
        book = fleet.ledger[policy, case][:, exported]
        for season in dict.fromkeys(steps.loc[during, "season"]):
            here = (steps["season"] == season).to_numpy()
            days = steps["day"].to_numpy()[during & here]
            held = np.stack(
                [
                    book[:, (steps["day"] == day).to_numpy() & during].min(axis=1)
                    for day in dict.fromkeys(days)
                ]
            )
            relief = fall[:, during & here].mean(axis=1)
            late = after & here
            rebound = (-fall[:, late]).max(axis=1) if late.any() else np.zeros(len(fall))
            rows.append(
                {
                    "case": case,
                    "season": season,
                    "event_days": int(held.size),
                    "request_kw": study.event.request_kw if study.event else 0.0,
                    "exported_kw_mean": float(book[:, during & here].mean()),
                    "held_kw_mean": float(held.mean()),
                    "held_kw_in_95pct_of_days": float(
                        np.quantile(held, _FIRM_SHARE, method="lower")
                    ),
                    "relief_kw_mean": _over(np.mean, relief),
                    "relief_kw_min": _over(np.min, relief),
                    "relief_kw_max": _over(np.max, relief),
                    "rebound_kw_mean": _over(np.mean, rebound),
                    "rebound_kw_max": _over(np.max, rebound),
                }
            )
    return rows


def _over(statistic: Callable[[np.ndarray], float], values: np.ndarray) -> float:
    """Return a statistic over the draws that have a value, NaN where none has."""
    found = values[np.isfinite(values)]
    return float(statistic(found)) if len(found) else float("nan")


def _ledger(study: Study, fleet: FleetStage) -> list[dict[str, Any]]:
    """Return the ledger in the event window (or over all steps), mean kW by case and row."""
    during, _ = _event_steps(study)
    chosen = during if during.any() else np.ones(len(during), bool)
    return [
        {
            "policy": policy,
            "case": case,
            "window": "event" if during.any() else "all steps",
            **{
                row: float(book[:, number][:, chosen].mean())
                for number, row in enumerate(LEDGER_ROWS)
            },
        }
        for (policy, case), book in fleet.ledger.items()
    ]


def _shortfall(fleet: FleetStage) -> list[dict[str, Any]]:
    """Return, by run, how many sessions left below their target and by how much."""
    table = fleet.shortfall
    if table.empty:
        return []
    groups = table.groupby(["policy", "case"], sort=False)["shortfall_kwh"]
    found = groups.agg(sessions="size", mean_kwh="mean", max_kwh="max").reset_index()
    found["of_sessions"] = [
        fleet.sessions[run] for run in zip(found["policy"], found["case"], strict=True)
    ]
    return _records(found)


def _validity(study: Study, feeder: FeederStage, reduced: Reduced) -> dict[str, Any]:
    """Return how many steps are valid, flagged and invalid, and which units were lost."""
    table = reduced.validity
    invalid = {reason.name.lower() for reason in dict.fromkeys(Reason) if reason > Reason.FLAGGED}
    return {
        "steps": int(table["steps"].sum()),
        "invalid": int(table.loc[table["reason"].isin(invalid), "steps"].sum()),
        "flagged": int(
            table.loc[table["reason"] == Reason.HIGH_VOLTAGE_SWITCHED.name.lower(), "steps"].sum()
        ),
        "by_run": _records(table),
        "lost_units": [{"unit": unit, "why": why} for unit, why in sorted(reduced.lost.items())],
        "base_invalid_steps": int((feeder.base_reason > Reason.FLAGGED).sum()),
        "head_check": _head_check(feeder),
        "draws": study.content.draws,
    }


def _head_check(feeder: FeederStage) -> dict[str, float] | None:
    """Return modelled against measured head, where it was measured."""
    table = feeder.head_check
    if table is None:
        return None
    kw = table["modelled_kw"] - table["measured_kw"]
    kvar = table["modelled_kvar"] - table["measured_kvar"]
    return {
        "largest_difference_kw": float(kw.abs().max()),
        "largest_difference_kvar": float(kvar.abs().max()),
        "measured_peak_kw": float(table["measured_kw"].max()),
        "modelled_peak_kw": float(table["modelled_kw"].max()),
    }


def _unknowns(feeder: FeederStage, reduced: Reduced) -> list[str]:
    """Return, in sentences, what this study cannot say."""
    found = []
    missing = len(unknowns(feeder.observed))
    if missing:
        found.append(
            f"thermal loading is unknown at {missing} of {len(feeder.observed.elements)} series "
            "elements, which state no rating"
        )
    found += [
        "protection, flicker, harmonics and dynamics are not screened",
        (
            "ramps and delays within a step are not resolved; sudden changes are taken at step "
            "boundaries, with regulators locked"
        ),
    ]
    if reduced.violations_note:
        found.append(reduced.violations_note)
    return found


def _assumptions(study: Study) -> list[dict[str, Any]]:
    """Return every default in force with its source, the study's own figures left out."""
    rows = []
    for name in dict.fromkeys(fleet.archetype for fleet in study.content.fleets):
        rows += [_figure(f"fleet, {name}", figure) for figure in load_archetype(name).figures]
    for name, case in load_participation().items():
        if name in study.cases or name in {Case.EXPECTED, Case.HIGH}:
            rows += [_figure(f"participation, {name}", figure) for figure in case.figures]
    if study.content.feeder.secondaries is not None:
        given = study.content.feeder.secondaries.model_dump(exclude_none=True)
        rows += [
            {
                "group": "services",
                "name": name,
                "value": str(given.get(name, figure["value"])),
                "unit": figure["unit"],
                "mark": "study" if name in given else figure["mark"],
                "source": "set by the study" if name in given else figure["source"],
            }
            for name, figure in service_figures().items()
        ]
    rows += [
        {
            "group": f"limits, {study.limits.name}",
            "name": source.setting,
            "value": source.figure,
            "unit": "",
            "mark": source.mark,
            "source": source.text,
        }
        for source in study.limits.sources
    ]
    return rows


def _figure(group: str, figure: Any) -> dict[str, Any]:
    return {
        "group": group,
        "name": figure.name,
        "value": figure.value,
        "unit": figure.unit,
        "mark": figure.mark,
        "source": figure.source,
    }
