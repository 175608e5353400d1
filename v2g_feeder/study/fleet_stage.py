"""Second stage of a study: vehicles, their days under every policy, and signed kW by point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import (
    BOUNDING_CASES,
    SPLIT_PHASES,
    Case,
    DayType,
    Policy,
)
from v2g_feeder.dispatch import day_steps, fortnight, ledger, pick_day, simulate
from v2g_feeder.errors import InputError, Problem
from v2g_feeder.fleet import (
    Vehicles,
    draw_participation,
    draw_sessions,
    draw_vehicles,
    eligibility,
    load_archetype,
    load_participation,
)
from v2g_feeder.loadshape.injections import at_points, by_point, coincident
from v2g_feeder.loadshape.placement import place_fleet

if TYPE_CHECKING:
    from v2g_feeder.dispatch import Dispatch
    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage

__all__ = ["FleetStage", "prepare_fleet", "runs_of"]

_VEHICLES, _PLACES, _SESSIONS, _CHANCE = 1, 2, 3, 4  # independent streams of random numbers
_N_DAYS: Final = 14
_NO_DRAWS: Final = 1
_ALWAYS: Final = (Case.EXPECTED, Case.HIGH)


@dataclass(frozen=True)
class FleetStage:
    """Signed kW of every run of a study.

    Parameters
    ----------
    vehicles
        All fleets, one after the other.
    points
        Connection points, one row each.
    of_vehicle
        Point of each vehicle.
    kw
        By (policy, case): ``[draw, point, step]``; runs without chance have one draw. For
        ``coincident_split`` the first axis is the exporting phase, A, B, C.
    ledger
        By (policy, case): ``[draw, row, step]`` in kW; rows as in ``LEDGER_ROWS``.
    funnel
        Vehicles by exclusive state and case.
    sessions
        Sessions simulated that end within the fortnight, by run.
    shortfall
        Sessions that left below their target: policy, case, season and the dispatch's columns.
    """

    vehicles: Vehicles
    points: pd.DataFrame
    of_vehicle: np.ndarray
    kw: dict[tuple[str, str], np.ndarray]
    ledger: dict[tuple[str, str], np.ndarray]
    funnel: pd.DataFrame
    sessions: dict[tuple[str, str], int]
    shortfall: pd.DataFrame


def runs_of(study: Study) -> list[tuple[str, str]]:
    """Return the (policy, case) pairs of a study, references first.

    References run in every participation case of the study that is not bounding, and in
    ``expected`` and ``high`` in any case; export runs where the study asks for events.
    """
    cases = [
        case
        for case in Case
        if case not in BOUNDING_CASES and (case in study.cases or case in _ALWAYS)
    ]
    runs: list[tuple[str, str]] = [(Policy.NO_EV, Case.EXPECTED)]
    for policy in (Policy.UNCONTROLLED, Policy.MANAGED):
        runs += [(policy, case) for case in cases]
    if study.content.dispatch.export is not None:
        runs += [(Policy.EXPORT, case) for case in cases if case in study.cases]
    return runs + [(Policy.EXPORT, case) for case in study.cases if case in BOUNDING_CASES]


def prepare_fleet(study: Study, feeder: FeederStage) -> FleetStage:
    """Draw the fleet, place it, simulate every policy and case, and add up by point.

    Raises
    ------
    InputError
        For fleets that do not fit the feeder.
    """
    settings = [fleet.settings(len(feeder.customers)) for fleet in study.content.fleets]
    seed = study.content.seed
    vehicles = draw_vehicles(settings, np.random.default_rng([seed, _VEHICLES]))
    points, of_vehicle = _place(study, feeder, [fleet.vehicles for fleet in settings])
    kw: dict[tuple[str, str], np.ndarray] = {}
    books: dict[tuple[str, str], np.ndarray] = {}
    shortfall: list[pd.DataFrame] = []
    sessions: dict[tuple[str, str], int] = {}
    for policy, case in runs_of(study):
        if policy == Policy.NO_EV:
            kw[policy, case] = np.zeros((_NO_DRAWS, len(points), study.calendar.n_steps))
        elif case in BOUNDING_CASES:
            kw[policy, case] = _bounding(case, vehicles, points, of_vehicle, study.calendar.n_steps)
    for season in dict.fromkeys(day.season for day in study.calendar.days):
        for run, dispatch in _season_dispatches(study, feeder, vehicles, season):
            book = ledger(dispatch).kw
            _cut(study, season, run, (dispatch.kw, of_vehicle, len(points)), book, (kw, books))
            ended = int(dispatch.stays["shortfall_kwh"].notna().sum())
            sessions[run] = sessions.get(run, 0) + ended
            shortfall.append(dispatch.shortfall.assign(policy=run[0], case=run[1], season=season))
    return FleetStage(
        vehicles=vehicles,
        points=points,
        of_vehicle=of_vehicle,
        kw={run: as_stored(kw[run]) for run in runs_of(study)},
        ledger=books,
        funnel=_funnel(study, vehicles),
        sessions=sessions,
        shortfall=pd.concat(shortfall, ignore_index=True) if shortfall else pd.DataFrame(),
    )


def as_stored(kw: np.ndarray) -> np.ndarray:
    """Return power as results keep it (float32), so that what is solved is what is on disk."""
    return kw.astype(np.float32).astype(float)


def _place(
    study: Study, feeder: FeederStage, vehicles: list[int]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the points of all fleets and the point of each vehicle."""
    streams = np.random.default_rng([study.content.seed, _PLACES]).spawn(len(vehicles))
    tables, positions, offset = [], [], 0
    problems: list[Problem] = []
    for number, fleet in enumerate(study.content.fleets):
        where = f"{study.path}: fleets[{number}].place"
        try:
            placed = place_fleet(
                feeder.feeder,
                feeder.customers,
                vehicles[number],
                fleet.place.settings(),
                streams[number],
                where,
            )
        except InputError as error:
            problems += error.problems
            continue
        tables.append(placed.points.assign(fleet=fleet.name))
        positions.append(placed.of_vehicle + offset)
        offset += len(placed.points)
    if problems:
        raise InputError(problems)
    if not offset:
        return feeder.circuit.points, np.zeros(0, int)
    kept = [table for table in tables if len(table)]
    return pd.concat(kept, ignore_index=True), np.concatenate(positions)


def _bounding(
    case: str, vehicles: Vehicles, points: pd.DataFrame, of_vehicle: np.ndarray, steps: int
) -> np.ndarray:
    """Return a bounding case, ``[1 or exporting phase, point, step]``."""
    charge = by_point(of_vehicle, vehicles.rated_kw, len(points))
    export = by_point(of_vehicle, vehicles.export_kw * vehicles.permitted, len(points))
    phases = SPLIT_PHASES if case == Case.COINCIDENT_SPLIT else SPLIT_PHASES[:1]
    return np.stack([coincident(case, points, charge, export, steps, phase) for phase in phases])


def _season_dispatches(
    study: Study, feeder: FeederStage, vehicles: Vehicles, season: str
) -> list[tuple[tuple[str, str], Dispatch]]:
    """Simulate one season under every policy and case, on the same random numbers."""
    seed, number = study.content.seed, list(study.content.calendar.seasons).index(season)
    months = next(day.months for day in study.calendar.days if day.season == season)
    archetypes = [load_archetype(fleet.archetype) for fleet in study.content.fleets]
    draws = range(study.content.draws)
    sessions = [
        draw_sessions(
            vehicles,
            archetypes,
            months,
            np.random.default_rng([seed, _SESSIONS, number, draw]),
            n_days=_N_DAYS,
        )
        for draw in draws
    ]
    chance = [
        draw_participation(
            len(vehicles), np.random.default_rng([seed, _CHANCE, number, draw]), n_days=_N_DAYS
        )
        for draw in draws
    ]
    signal = _signal(study, feeder, season)
    cases = load_participation()
    event = study.event if study.has_event(season) else None
    found = []
    done: dict[tuple[str, float, float], Dispatch] = {}
    for policy, case in runs_of(study):
        if policy == Policy.NO_EV or case in BOUNDING_CASES:
            continue
        # without an event, a season's export run is managed charging
        ran = Policy.MANAGED if policy == Policy.EXPORT and event is None else policy
        taking_part = cases[case].enrolled if ran != Policy.UNCONTROLLED else 0.0
        key = (ran, cases[case].plug_in, taking_part)
        if ran == Policy.EXPORT or key not in done:
            done[key] = simulate(
                vehicles,
                sessions,
                ran,
                cases[case],
                chance,
                signal,
                event if ran == Policy.EXPORT else None,
                step_minutes=study.calendar.step_minutes,
            )
        found.append(((policy, case), replace(done[key], case=cases[case])))
    return found


def _signal(study: Study, feeder: FeederStage, season: str) -> np.ndarray:
    """Return the base load at the head that managed charging levels, over the fortnight, kW."""
    by_type = {
        day.day_type: np.nan_to_num(feeder.head_kw[study.calendar.day_slice(number)])
        for number, day in enumerate(study.calendar.days)
        if day.season == season
    }
    fallback = next(iter(by_type.values()))
    weekday = by_type.get(DayType.WEEKDAY, fallback)
    return fortnight(weekday, by_type.get(DayType.WEEKEND, weekday), n_days=_N_DAYS)


def _cut(
    study: Study,
    season: str,
    run: tuple[str, str],
    dispatched: tuple[np.ndarray, np.ndarray, int],
    book: np.ndarray,
    out: tuple[dict[tuple[str, str], np.ndarray], dict[tuple[str, str], np.ndarray]],
) -> None:
    """Cut the season's days out of a dispatch into the arrays of its run, in place."""
    kw, of_vehicle, points = dispatched
    draws, steps = study.content.draws, study.calendar.n_steps
    into_kw = out[0].setdefault(run, np.zeros((draws, points, steps)))
    into_book = out[1].setdefault(run, np.zeros((draws, book.shape[1], steps)))
    for number, day in enumerate(study.calendar.days):
        if day.season != season:
            continue
        into = study.calendar.day_slice(number)
        for draw in range(draws):
            cut = day_steps(pick_day(draw, weekend=day.is_weekend), study.calendar.step_minutes)
            into_kw[draw, :, into] = at_points(kw[draw][:, cut], of_vehicle, points)
            into_book[draw, :, into] = book[draw][:, cut]


def _funnel(study: Study, vehicles: Vehicles) -> pd.DataFrame:
    """Return vehicles by exclusive state, fleet and participation case."""
    names = [fleet.name for fleet in study.content.fleets]
    tables = [
        eligibility(vehicles, case, names).assign(case=name)
        for name, case in load_participation().items()
    ]
    return pd.concat(tables, ignore_index=True)
