"""What ``summary.json`` says: the headline numbers, and everything that they depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from v2g_feeder.conventions import (
    BOUNDING_CASES,
    Case,
    Policy,
    Wiring,
    reference_of,
)
from v2g_feeder.dispatch import LEDGER_ROWS, aggregator_figures, default_tariff
from v2g_feeder.feeder.engine import TOLERANCE, engine_version
from v2g_feeder.feeder.secondary import service_figures
from v2g_feeder.fleet import load_archetype
from v2g_feeder.loadshape import held_in
from v2g_feeder.powerflow.solution import Reason
from v2g_feeder.screening import unknowns
from v2g_feeder.store import SCHEMA_VERSION
from v2g_feeder.study.charger_section import charger_assumptions
from v2g_feeder.study.names import as_written, printed
from v2g_feeder.study.solar import SOLAR_NAME
from v2g_feeder.study.solar_summary import solar_assumptions, solar_summary

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage
    from v2g_feeder.study.fleet_stage import FleetStage
    from v2g_feeder.study.power_flow import EngineUse
    from v2g_feeder.study.reduce import Reduced

__all__ = [
    "event_steps",
    "feeder_figures",
    "fleet_assumptions",
    "held_over_window",
    "ledger_means",
    "records",
    "shortfall_by_run",
    "study_figures",
    "summarise",
    "within_hours",
]


def summarise(
    study: Study, feeder: FeederStage, fleet: FleetStage, reduced: Reduced, use: EngineUse
) -> dict[str, Any]:
    """Return the contents of ``summary.json``, the content hash left out."""
    content = study.content
    return {
        "schema_version": SCHEMA_VERSION,
        "name": content.name,
        "question": content.question,
        "feeder": feeder_figures(study, feeder),
        "study": study_figures(study, fleet),
        "conditions": [*_conditions(study, feeder), *_engine(use)],
        "engine": use.record(),
        "head": _head(study, reduced),
        "curtailed": curtailed_by_run(study, fleet, reduced),
        "solar": solar_summary(study, feeder, fleet, reduced),
        "events": _events(study, fleet, reduced),
        "harm_and_relief": records(reduced.relief),
        "harm_and_relief_no_ev": records(reduced.relief_no_ev),
        "reverse_flow": records(
            printed(
                reduced.reverse[
                    (reduced.reverse["reverse_hours"] > 0) | (reduced.reverse["element"] == "head")
                ],
                feeder,
            )
        ),
        "ledger": ledger_means(study, fleet),
        "funnel": records(fleet.funnel),
        "shortfall": shortfall_by_run(fleet),
        "validity": _validity(study, feeder, reduced),
        "unknowns": _unknowns(study, feeder, reduced),
        "findings": [
            {
                "kind": finding.kind,
                "message": finding.message,
                "elements": [as_written(name, feeder.names) for name in finding.elements],
                "count": finding.count,
            }
            for finding in feeder.findings
        ],
        "notes": list(feeder.notes),
        "assumptions": _assumptions(study),
    }


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table's rows, each by column."""
    return [dict(zip(table.columns, row, strict=True)) for row in table.itertuples(index=False)]


def feeder_figures(study: Study, feeder: FeederStage) -> dict[str, Any]:
    """Return the feeder in figures."""
    tables = feeder.feeder
    loads = tables.loads[~tables.loads["name"].str.startswith(f"{SOLAR_NAME}_")]
    return {
        "model": study.content.feeder.model,
        "circuit": tables.name,
        "buses": len(tables.buses),
        "nodes": len(tables.nodes),
        "loads": len(loads),
        "load_kw": float(loads["kw"].sum()),
        "customers": len(feeder.customers),
        "secondaries": study.content.feeder.secondaries is not None,
        "regulators": len(tables.regulators),
        "capacitors": len(tables.capacitors),
        "voltages_screened": len(feeder.observed.voltages),
        "three_wire_buses": int((tables.buses["wiring"] == Wiring.THREE_WIRE).sum()),
        "elements_screened": int((feeder.observed.elements["rating_source"] != "unknown").sum()),
        "elements": len(feeder.observed.elements),
    }


def study_figures(study: Study, fleet: FleetStage) -> dict[str, Any]:
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
        "export_capable_kw": float(
            (fleet.vehicles.export_kw * fleet.vehicles.permitted * fleet.vehicles.accepted).sum()
        ),
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
        "contract_kw": content.credit.contract_kw,
        "stress_window": content.credit.window,
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
    source_pu = study.content.feeder.source_pu
    source = "as the model states it" if source_pu is None else f"{source_pu:g} pu"
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
        {"condition": "source voltage", "value": f"{source}, the same at every step"},
        {"condition": "existing generation", "value": _generation(study)},
        {
            "condition": "placement",
            "value": (places or "no vehicles") + "; one realisation, drawn "
            f"with seed {study.content.seed} and kept for every draw",
        },
        {"condition": "chargers", "value": study.content.chargers.settings().words()},
    ]


def _generation(study: Study) -> str:
    """Return what generates beside the chargers."""
    own = ", ".join(f"{one.name} {one.kw:g} kW at {one.bus}" for one in study.content.solar)
    return (
        f"as the model states it, and {own} under a clear sky" if own else "as the model states it"
    )


def _engine(use: EngineUse) -> list[dict[str, str]]:
    """Return which engine solved the study, and how the batch engine compares with OpenDSS."""
    version = engine_version().split(";")[0]  # the manifest has all of it
    opendss = f"{version}, tolerance {TOLERANCE:g}"
    if use.name == "opendss":
        value = f"{opendss}; every number is solved by OpenDSS"
        value += f", not by the batch engine: {use.why}" if use.why else ""
    else:
        value = (
            f"batch engine on the feeder's own admittance matrix as {version} builds it, "
            f"tolerance {TOLERANCE:g}; the base load is calibrated with OpenDSS"
        )
        if use.by_opendss:
            value += f"; {len(use.by_opendss)} days of runs it lost are solved by OpenDSS"
    rows = [{"condition": "engine", "value": value}]
    if use.comparison is not None:
        found = use.comparison
        same = found.steps - found.other_state
        rows.append(
            {
                "condition": "check against OpenDSS",
                "value": f"{found.units} days of runs drawn at random, {found.steps} steps, solved "
                f"by both: {same} end in the same taps, banks and validity; there the largest "
                f"differences are {found.v_pu:.1e} pu, {found.loading_pct:.1e} % loading and "
                f"{found.flow_kw:.1e} kW",
            }
        )
    elif use.name == "batch":
        rows.append({"condition": "check against OpenDSS", "value": "none: check_units is 0"})
    return rows


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


def curtailed_by_run(study: Study, fleet: FleetStage, reduced: Reduced) -> list[dict[str, Any]]:
    """Return what the chargers' curves cut of each run's export, kWh over the modelled days.

    Runs that export nothing are left out; so is the whole list where no charger follows a curve.
    It is not made up for: no other vehicle exports more, and none charges less later.
    """
    rows = []
    for run, cut in reduced.curtailed_kw.items():
        asked = np.maximum(-_solved(study, fleet, reduced, run), 0.0).sum(axis=(1, 2))
        if not asked.any():
            continue
        kwh = np.nansum(cut, axis=1) * study.calendar.step_hours
        rows.append(
            {
                "policy": run[0],
                "case": run[1],
                "asked_kwh_mean": float(asked.mean() * study.calendar.step_hours),
                "curtailed_kwh_mean": float(kwh.mean()),
                "curtailed_kwh_min": float(kwh.min()),
                "curtailed_kwh_max": float(kwh.max()),
                "curtailed_kw_max": float(np.nanmax(cut, initial=0.0)),
            }
        )
    return rows


def _solved(study: Study, fleet: FleetStage, reduced: Reduced, run: tuple[str, str]) -> np.ndarray:
    """Return the power asked of a run's points, ``[draw, point, step]``, as it was kept."""
    kw = fleet.kw[run]
    if run[1] != Case.COINCIDENT_SPLIT:
        return kw
    days = [
        kw["ABC".index(phase)][:, study.calendar.day_slice(day)]
        for day, phase in sorted(reduced.split_phase.items())
    ]
    return np.concatenate(days, axis=1)[None]


def event_steps(study: Study) -> tuple[np.ndarray, np.ndarray]:
    """Return masks of the steps of events and of the steps after them on the same day."""
    steps = study.calendar.table()
    export = study.content.dispatch.export
    nothing = np.zeros(len(steps), bool)
    if export is None:
        return nothing, nothing
    start, end = export.hours
    hour = (steps["hour"] + steps["minute"] / 60).to_numpy()
    weekend = (steps["day_type"] == "weekend").to_numpy()
    on = steps["season"].map(study.has_event).to_numpy(bool)
    if export.days != "all":
        on = on & (weekend == (export.days == "weekends"))
    later = hour >= end
    if end < start:  # over midnight: its morning part is the end of the event of the day before
        later &= hour < start
    return on & within_hours(hour, start, end), on & later


def within_hours(hour: np.ndarray, start_h: float, end_h: float) -> np.ndarray:
    """Return which hours of the day lie in a window, which may go over midnight."""
    if end_h < start_h:
        return (hour >= start_h) | (hour < end_h)
    return (hour >= start_h) & (hour < end_h)


def _events(study: Study, fleet: FleetStage, reduced: Reduced) -> list[dict[str, Any]]:
    """Return what the events deliver and relieve, by case and season, over the draws.

    Delivered is the export of the vehicles, held over the window (the lowest step of each event-day
    of the season's fortnights); relief is the fall of head kW against managed charging; rebound
    the largest rise after the event.
    """
    during, after = event_steps(study)
    steps = study.calendar.table()
    rows: list[dict[str, Any]] = []
    exported = LEDGER_ROWS.index("exported")
    for (policy, case), kw in reduced.head_kw.items():
        reference = reference_of(policy, case)
        if policy != Policy.EXPORT or case in BOUNDING_CASES or reference not in reduced.head_kw:
            continue
        fall = reduced.head_kw[reference] - kw
        book = fleet.shapes.ledger[policy, case][:, exported]
        for season in dict.fromkeys(steps.loc[during, "season"]):
            here = (steps["season"] == season).to_numpy()
            relief = fall[:, during & here].mean(axis=1)
            late = after & here
            rebound = (-fall[:, late]).max(axis=1) if late.any() else np.zeros(len(fall))
            rows.append(
                {
                    "case": case,
                    "season": season,
                    "request_kw": study.event.request_kw if study.event else 0.0,
                    "exported_kw_mean": float(book[:, during & here].mean()),
                    **held_over_window(fleet.shapes.events, case, season),
                    "relief_kw_mean": _over(np.mean, relief),
                    "relief_kw_min": _over(np.min, relief),
                    "relief_kw_max": _over(np.max, relief),
                    "rebound_kw_mean": _over(np.mean, rebound),
                    "rebound_kw_max": _over(np.max, rebound),
                }
            )
    return rows


def held_over_window(events: pd.DataFrame, case: str, season: str) -> dict[str, Any]:
    """Return what is held over the window, as departures are told and as if they were known."""
    mine = events[(events["case"] == case) & (events["season"] == season)]
    told = "stated" if (mine["departures"] == "stated").any() else "known"
    held = mine.loc[mine["departures"] == told, "held_kw"]
    known = mine.loc[mine["departures"] == "known", "held_kw"]
    return {
        "event_days": len(held),
        "departures": told,
        "held_kw_mean": float(held.mean()),
        "held_kw_in_95pct_of_days": held_in(held),
        "held_kw_mean_departures_known": float(known.mean()),
        "held_kw_in_95pct_of_days_departures_known": held_in(known),
    }


def _over(statistic: Callable[[np.ndarray], float], values: np.ndarray) -> float:
    """Return a statistic over the draws that have a value, NaN where none has."""
    found = values[np.isfinite(values)]
    return float(statistic(found)) if len(found) else float("nan")


def ledger_means(study: Study, fleet: FleetStage) -> list[dict[str, Any]]:
    """Return the ledger in the event window (or over all steps), mean kW by case and row."""
    during, _ = event_steps(study)
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
        for (policy, case), book in fleet.shapes.ledger.items()
    ]


def shortfall_by_run(fleet: FleetStage) -> list[dict[str, Any]]:
    """Return, by run, how many sessions left below their target and by how much."""
    table = fleet.shapes.shortfall
    if table.empty:
        return []
    groups = table.groupby(["policy", "case"], sort=False)["shortfall_kwh"]
    found = groups.agg(sessions="size", mean_kwh="mean", max_kwh="max").reset_index()
    found["of_sessions"] = [
        fleet.shapes.sessions[run] for run in zip(found["policy"], found["case"], strict=True)
    ]
    return records(found)


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
        "by_run": records(table),
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


def _unknowns(study: Study, feeder: FeederStage, reduced: Reduced) -> list[str]:
    """Return, in sentences, what this study cannot say."""
    found = []
    missing = len(unknowns(feeder.observed))
    if missing:
        found.append(
            f"thermal loading is unknown at {missing} of {len(feeder.observed.elements)} series "
            "elements, which state no rating"
        )
    if np.isfinite(study.limits.emergency_pct):
        ratio = feeder.observed.elements.get("emergency_ratio")
        bare = len(feeder.observed.elements) if ratio is None else int(ratio.isna().sum())
        found.append(
            f"the emergency rating is unknown at {bare} of {len(feeder.observed.elements)} series "
            "elements: it counts only where the model states it and a normal rating"
        )
    if reduced.unobserved:
        names = ", ".join(name.replace("_", " ") for name in reduced.unobserved)
        found.append(f"not screened, since the engine of this study does not observe it: {names}")
    screened = study.content.protection is not None
    if reduced.curtailed_kw:
        found.append(
            "ledger, events and held kW are the vehicles' before the chargers' curves cut any "
            "export; voltages, loadings, head power and relief are after it"
        )
    found += [
        "flicker, harmonics and dynamics are not screened"
        if screened
        else "protection, flicker, harmonics and dynamics are not screened",
        (
            "ramps and delays within a step are not resolved; sudden changes are taken at step "
            "boundaries, with regulators locked"
        ),
    ]
    if reduced.violations_note:
        found.append(reduced.violations_note)
    return found


def fleet_assumptions(study: Study) -> list[dict[str, Any]]:
    """Return every default of the fleet in force with its source; what the study sets says so."""
    rows = []
    for section, settings in zip(study.content.fleets, study.fleets, strict=True):
        given = section.model_dump(exclude_none=True)
        for figure in load_archetype(settings.archetype).figures:
            row = _figure(f"fleet {section.name}, {section.archetype}", figure)
            keys = [key for key in _SET_BY.get(figure.name, (figure.name,)) if key in given]
            if keys:
                row |= {"value": given[keys[0]], "mark": "study", "source": "set by the study"}
            rows.append(row)
    for name, case in study.participation.items():
        if name in study.cases or name in {Case.EXPECTED, Case.HIGH}:
            rows += [_figure(f"participation, {name}", figure) for figure in case.figures]
    dispatch = study.content.dispatch
    given = dispatch.aggregator.model_dump(exclude_none=True)
    rows += [
        _given(_figure("aggregator", figure), given.get(figure.name))
        for figure in aggregator_figures()
    ]
    if dispatch.also or dispatch.signal == "price":
        given = dispatch.tariff.model_dump(exclude_none=True)
        rows += [
            _given(_figure("tariff", figure), given.get(figure.name))
            for figure in default_tariff().figures
        ]
    return rows


_KEPT: Final = "held to so much counts as kept: a vehicle that leaves is replaced with some delay"
_SET_BY: Final = {
    "battery_kwh_low": ("battery_kwh",),
    "battery_kwh_high": ("battery_kwh",),
    "ports_per_vehicle": ("ports",),
}


def _given(row: dict[str, Any], value: Any) -> dict[str, Any]:
    """Return a row of defaults, or the study's own value in its place."""
    if value is None:
        return row
    return row | {"value": value, "mark": "study", "source": "set by the study"}


def _assumptions(study: Study) -> list[dict[str, Any]]:
    """Return every default in force with its source; what the study sets says so."""
    rows = [*fleet_assumptions(study), *solar_assumptions(study)]
    rows += charger_assumptions(study.content.chargers)
    credit = study.content.credit
    if credit.contract_kw is not None:
        chosen = "kept_share" in credit.model_fields_set
        rows.append(
            {"group": "contract", "name": "kept_share", "value": credit.kept_share, "unit": "1"}
            | {"mark": "study" if chosen else "A"}
            | {"source": "set by the study" if chosen else _KEPT}
        )
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
