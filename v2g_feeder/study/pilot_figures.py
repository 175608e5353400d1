"""What the pilot pack says of a study: capacity credit, timing of export, charging again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Case, DayType, Policy
from v2g_feeder.fleet import load_archetype
from v2g_feeder.pilot import (
    against_contract,
    credit_by_size,
    credit_of_days,
    export_timing,
    fleet_credit,
    stress_blocks,
    timing_summary,
)
from v2g_feeder.study.summary import within_hours

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage
    from v2g_feeder.study.fleet_stage import FleetStage
    from v2g_feeder.study.reduce import Reduced

__all__ = ["PilotTables", "pilot_tables", "recharging", "takes_kw"]

_STRESS_H: Final = 4.0
_SIZES: Final = 6  # stream of random numbers; the others are in loadshape.season and fleet_stage
_DAYS: Final = 14
_HEAT_WAVE: Final = 3

PilotTables = dict[str, pd.DataFrame]
"""Tables by file name."""


def pilot_tables(
    study: Study, feeder: FeederStage, fleet: FleetStage, ramp: Sequence[Mapping[str, Any]]
) -> PilotTables:
    """Return the tables of the pilot pack of a study with export events; none for others.

    Returns
    -------
    dict
        ``capacity_credit`` (season, case, length, level), ``credit_by_size`` and ``credit_by_day``
        (case expected), ``timing`` (case, season), ``events`` (one row an event-day), ``delivered``
        (case, season; with a contract) and ``ramp``.
    """
    if study.event is None or not len(fleet.vehicles):
        return {}
    base_kw = np.nan_to_num(feeder.head_kw)
    section = study.content.credit
    credit = fleet_credit(
        fleet.shapes,
        study.participation,
        base_kw,
        export_limit_kw=takes_kw(ramp),
        window=section.hours,
        evidence=section.evidence,
    )
    if section.contract_kw is not None:
        credit = against_contract(credit, section.contract_kw)
    events = _events(study, fleet)
    tables = {
        "capacity_credit": credit,
        "credit_by_size": _by_size(study, fleet, base_kw),
        "credit_by_day": _by_day(study, fleet, base_kw),
        "timing": _timing(study, fleet, base_kw),
        "events": events,
        "delivered": _delivered(events),
        "ramp": pd.DataFrame(ramp),
    }
    return {name: table for name, table in tables.items() if len(table)}


def takes_kw(ramp: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return by season the fleet's export that the feeder takes on the day of stress, kW."""
    found: dict[str, float] = {}
    for row in ramp:
        if row.get("asked") == "any" and "kw" in row:
            found.setdefault(row["season"], row["kw"])
    return found


def stress_hours(study: Study, base_kw: np.ndarray, season: str) -> tuple[float, float]:
    """Return the hours of stress of a season: given, or the four round the base load's peak."""
    given = study.content.credit.hours
    if given is not None:
        return given
    step_hours = study.calendar.step_hours
    block = stress_blocks(_stress_day(study, base_kw, season), [_STRESS_H], step_hours)[_STRESS_H]
    assert block is not None  # noqa: S101  # a day has four hours
    return block.start * step_hours, block.stop * step_hours


def _stress_day(study: Study, base_kw: np.ndarray, season: str) -> np.ndarray:
    """Return the load of a season's day of stress: the peak day, or the first there is."""
    days = [number for number, day in enumerate(study.calendar.days) if day.season == season]
    days.sort(key=lambda number: study.calendar.days[number].day_type != DayType.PEAK_DAY)
    return np.asarray(base_kw[study.calendar.day_slice(days[0])])


def _seasons(study: Study) -> list[str]:
    """Return the seasons with events."""
    return [name for name in study.content.calendar.seasons if study.has_event(name)]


def _timing(study: Study, fleet: FleetStage, base_kw: np.ndarray) -> pd.DataFrame:
    """Return the timing of export by case and season."""
    assert study.event is not None  # noqa: S101  # the caller's test
    rows = []
    for policy, case, season in fleet.shapes.fortnight:
        managed = (str(Policy.MANAGED), case, season)
        if policy != Policy.EXPORT or not study.has_event(season):
            continue
        hours = stress_hours(study, base_kw, season)
        table = export_timing(
            fleet.shapes.fortnight[policy, case, season],
            fleet.shapes.fortnight[managed],
            study.event,
            hours,
            step_hours=study.calendar.step_hours,
        )
        if len(table):
            key = {"case": case, "season": season, "from_h": hours[0], "to_h": hours[1]}
            rows.append(key | timing_summary(table))
    return pd.DataFrame(rows)


def _by_day(study: Study, fleet: FleetStage, base_kw: np.ndarray) -> pd.DataFrame:
    """Return the credit of the first days of a run of event-days, expected participation."""
    case, event = str(Case.EXPECTED), study.event
    assert event is not None  # noqa: S101  # the caller's test
    shapes, minutes = fleet.shapes, study.calendar.step_minutes
    is_event = np.zeros(_DAYS, bool)
    is_event[event.windows(_DAYS, minutes)[:, 0] * minutes // (24 * 60)] = True
    tables = []
    for season in _seasons(study):
        export, managed = (
            shapes.fortnight.get((str(policy), case, season))
            for policy in (Policy.EXPORT, Policy.MANAGED)
        )
        in_a_row = any(is_event[day : day + _HEAT_WAVE].all() for day in range(_DAYS - _HEAT_WAVE))
        if export is None or managed is None or not in_a_row:
            continue
        table = credit_of_days(
            export,
            managed,
            is_event,
            _stress_day(study, base_kw, season),
            step_hours=study.calendar.step_hours,
            window=study.content.credit.hours,
            days=_HEAT_WAVE,
        )
        tables.append(table.assign(season=season, case=case))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _by_size(study: Study, fleet: FleetStage, base_kw: np.ndarray) -> pd.DataFrame:
    """Return the kW per enrolled vehicle against their number, expected participation."""
    shapes, step_hours = fleet.shapes, study.calendar.step_hours
    enrolled = study.participation[str(Case.EXPECTED)].is_enrolled(fleet.vehicles)
    tables = []
    for season in _seasons(study):
        export, managed = (
            shapes.vehicle_day.get((str(policy), season))
            for policy in (Policy.EXPORT, Policy.MANAGED)
        )
        if export is None or managed is None or not enrolled.any():
            continue
        start, end = stress_hours(study, base_kw, season)
        block = slice(round(start / step_hours), round(end / step_hours))
        rng = np.random.default_rng([study.content.seed, _SIZES])
        table = credit_by_size(export, managed, enrolled, block, rng)
        tables.append(table.assign(season=season, case=str(Case.EXPECTED)))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _events(study: Study, fleet: FleetStage) -> pd.DataFrame:
    """Return called against delivered, an event-day a row."""
    table = fleet.shapes.events
    section = study.content.credit
    if table.empty or section.contract_kw is None:
        return table
    least_kw = section.kept_share * section.contract_kw
    return table.assign(
        contract_kw=section.contract_kw,
        kept_share=section.kept_share,
        kept=table["held_kw"] >= least_kw,
    )


def _delivered(events: pd.DataFrame) -> pd.DataFrame:
    """Return called against delivered by case and season, for a contract."""
    if "kept" not in events:
        return pd.DataFrame()
    told = events[(events["departures"] == "stated") | (events["case"] != Case.FIRM)]
    groups = told.groupby(["case", "season"], sort=False)
    return groups.agg(
        event_days=("kept", "size"),
        kept=("kept", "sum"),
        kept_share=("kept_share", "first"),
        request_kw=("request_kw", "first"),
        held_kw_mean=("held_kw", "mean"),
        held_kw_min=("held_kw", "min"),
        held_kw_max=("held_kw", "max"),
    ).reset_index()


def recharging(study: Study, fleet: FleetStage, reduced: Reduced) -> list[dict[str, Any]]:
    """Return, by case of export, what charging outside the events does to feeder and drivers.

    Returns
    -------
    list of dict
        ``case``; ``hours_mean`` and ``hours_max`` over the draws, in which any limit is broken
        outside the event's hours that is not broken without EVs at the same step; ``sessions``
        that end within the fortnights, ``short`` of them below their target (with uncontrolled
        charging ``short_uncontrolled``), and ``short_kwh_max``; ``depots``, whether all fleets
        are depots.
    """
    if study.event is None or not len(fleet.vehicles):
        return []
    depots = all(load_archetype(item.archetype).duty is not None for item in study.fleets)
    table = reduced.violations
    broken = table[(table["margin"] < 0) & (table["criterion"] != "invalid")]
    bare = set(broken.loc[broken["policy"] == Policy.NO_EV, "step"])
    axis = study.calendar.table()
    hour = (axis["hour"] + axis["minute"] / 60).to_numpy()
    inside = within_hours(hour, study.event.start_h, study.event.end_h)
    outside = set(np.flatnonzero(~inside)) - bare
    rows = []
    for policy, case in fleet.shapes.kw:
        if policy != Policy.EXPORT:
            continue
        mine = broken[(broken["policy"] == policy) & (broken["case"] == case)]
        found = mine[mine["step"].isin(outside)].drop_duplicates(["draw", "step"])
        hours = found.groupby("draw").size() * study.calendar.step_hours
        missed = _missed(fleet, policy, case)
        rows.append(
            {
                "case": case,
                "hours_mean": float(hours.sum() / study.content.draws),
                "hours_max": float(hours.max()) if len(hours) else 0.0,
                "sessions": fleet.shapes.sessions[policy, case],
                "short": len(missed),
                "short_uncontrolled": len(_missed(fleet, Policy.UNCONTROLLED, case)),
                "short_kwh_max": float(missed["shortfall_kwh"].max()) if len(missed) else 0.0,
                "depots": depots,
            }
        )
    return rows


def _missed(fleet: FleetStage, policy: str, case: str) -> pd.DataFrame:
    """Return the sessions of a run that ended below their target."""
    table = fleet.shapes.shortfall
    return table[(table["policy"] == policy) & (table["case"] == case)] if len(table) else table
