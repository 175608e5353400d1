"""The shapes of a fleet: signed kW by connection point and step, under every policy and case.

``fleet_shapes`` goes from settings to shapes without a feeder: what it needs of one is the load
that managed charging levels and, for V2H, the load of the premises.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from v2g_feeder.conventions import Case, DayType, Policy
from v2g_feeder.dispatch import (
    LEDGER_ROWS,
    Programme,
    day_steps,
    fortnight,
    ledger,
    pick_day,
    simulate,
)
from v2g_feeder.dispatch.draws import over_draws
from v2g_feeder.errors import InputError, Problem
from v2g_feeder.fleet import (
    draw_participation,
    draw_sessions,
    draw_vehicles,
    load_archetype,
    load_participation,
)
from v2g_feeder.loadshape.diversity import diversity
from v2g_feeder.loadshape.events import event_days, rebound
from v2g_feeder.loadshape.injections import at_points

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from v2g_feeder.calendar import Calendar
    from v2g_feeder.dispatch import Dispatch, Event
    from v2g_feeder.fleet import FleetSettings, Participation, Sessions, Vehicles

__all__ = ["ShapeSettings", "Shapes", "fleet_shapes", "fleet_vehicles"]

Run = tuple[str, str]

_VEHICLES, _SESSIONS, _CHANCE, _SIZES = 1, 3, 4, 5  # independent streams of random numbers
_N_DAYS: Final = 14
_STAGGER_MINUTES: Final = 60.0
_TRACED: Final = 4


@dataclass(frozen=True)
class ShapeSettings:
    """What the shapes of a fleet depend on.

    Parameters
    ----------
    fleets
        One entry a fleet.
    calendar
        Step axis.
    runs
        (policy, case) pairs to simulate; not ``no_ev`` and not the bounding cases.
    cases
        Participation cases by name; every case of ``runs`` is one of them.
    event
        Export events, for policy ``export``.
    event_seasons
        Seasons with events; in the others export is managed charging.
    programme
        Aggregator and prices.
    draws, seed
        Random realisations of the fleet's days.
    """

    fleets: tuple[FleetSettings, ...]
    calendar: Calendar
    runs: tuple[Run, ...] = ((Policy.UNCONTROLLED, Case.EXPECTED), (Policy.MANAGED, Case.EXPECTED))
    cases: Mapping[str, Participation] = field(default_factory=load_participation)
    event: Event | None = None
    event_seasons: frozenset[str] = frozenset()
    programme: Programme = field(default_factory=Programme)
    draws: int = 10
    seed: int = 1

    def has_event(self, season: str) -> bool:
        """Whether a season has export events."""
        return self.event is not None and season in self.event_seasons


@dataclass(frozen=True)
class Shapes:
    """Shapes of a fleet and what they were made of.

    Parameters
    ----------
    vehicles
        All fleets, one after the other.
    calendar
        Step axis.
    kw
        By (policy, case): ``[draw, point, step]``, kW at the grid side, above 0 draws.
    ledger
        By (policy, case): ``[draw, row, step]``, kW; rows as in ``LEDGER_ROWS``.
    sessions
        By (policy, case): sessions simulated that end within the fortnight.
    shortfall
        Sessions that left below their target: policy, case, season and the dispatch's columns.
    events
        One row an event-day: policy, case, season, draw, day, ``departures`` (``known`` or
        ``stated``: what the aggregator went by), ``request_kw``, ``held_kw``, ``mean_kw``.
    rebound
        Fleet power after the events by way of charging again: policy, case, season, ``rebound``,
        ``stagger_minutes``, ``peak_kw_mean``, ``peak_kw_p95``.
    diversity
        kW per vehicle against the size of the fleet, see :func:`diversity`.
    traces
        A few vehicles of draw 0, step by step over the fortnight.
    """

    vehicles: Vehicles
    calendar: Calendar
    kw: dict[Run, np.ndarray]
    ledger: dict[Run, np.ndarray]
    sessions: dict[Run, int]
    shortfall: pd.DataFrame
    events: pd.DataFrame
    rebound: pd.DataFrame
    diversity: pd.DataFrame
    traces: pd.DataFrame

    def dataset(self) -> xr.Dataset:
        """Return ``kw`` and ``kvar`` (policy, case, draw, step, point) and ``ledger_kw``.

        Runs that were not simulated are NaN. Chargers run at unity power factor.
        """
        policies = list(dict.fromkeys(policy for policy, _ in self.kw))
        cases = list(dict.fromkeys(case for _, case in self.kw))
        draws, points, steps = next(iter(self.kw.values())).shape
        kw = np.full((len(policies), len(cases), draws, steps, points), np.nan)
        book = np.full((len(policies), len(cases), draws, steps, len(LEDGER_ROWS)), np.nan)
        for (policy, case), values in self.kw.items():
            at = policies.index(policy), cases.index(case)
            kw[at] = np.moveaxis(values, 1, 2)
            book[at] = np.moveaxis(self.ledger[policy, case], 1, 2)
        table = self.calendar.table()
        dims = ("policy", "case", "draw", "step")
        data = xr.Dataset(
            {
                "kw": ((*dims, "point"), kw, {"units": "kW", "sign": "above 0 draws"}),
                "kvar": ((*dims, "point"), kw * 0.0, {"units": "kvar"}),
                "ledger_kw": ((*dims, "row"), book, {"units": "kW", "sign": "magnitudes"}),
            },
            coords={
                "policy": [str(policy) for policy in policies],
                "case": [str(case) for case in cases],
                "row": list(LEDGER_ROWS),
                **{name: ("step", table[name].to_numpy()) for name in _STEP_NUMBERS},
                **{name: ("step", table[name].astype(str).to_numpy(str)) for name in _STEP_NAMES},
            },
        )
        return data.assign_coords(draw=np.arange(draws), step=table["step"].to_numpy())


_STEP_NUMBERS: Final = ("month", "hour", "minute", "weight_days")
_STEP_NAMES: Final = ("season", "day_type")


def fleet_vehicles(settings: ShapeSettings) -> Vehicles:
    """Draw the vehicles of all fleets; the same ones for the same seed."""
    return draw_vehicles(settings.fleets, np.random.default_rng([settings.seed, _VEHICLES]))


def fleet_shapes(
    settings: ShapeSettings,
    load_kw: np.ndarray,
    *,
    of_vehicle: np.ndarray | None = None,
    points: int | None = None,
    premise_kw: np.ndarray | None = None,
) -> Shapes:
    """Simulate every run of a fleet and cut the calendar's days out of it.

    Parameters
    ----------
    settings
        Fleets, runs and programme.
    load_kw
        Load that managed charging levels, ``[step]`` of the calendar, kW.
    of_vehicle, points
        Connection point of each vehicle, ``[vehicle]``, and their number; left out, a point a
        fleet.
    premise_kw
        Load of each vehicle's premise, ``[vehicle, step]`` of the calendar, kW; for ``v2h``.

    Returns
    -------
    Shapes

    Raises
    ------
    InputError
        For settings that do not fit together.
    """
    _check(settings, load_kw, premise_kw)
    vehicles = fleet_vehicles(settings)
    where = vehicles.fleet if of_vehicle is None else np.asarray(of_vehicle)
    count = len(settings.fleets) if points is None else points
    out: dict[str, list[pd.DataFrame]] = {
        key: [] for key in ("shortfall", "events", "rebound", "diversity", "traces")
    }
    kw: dict[Run, np.ndarray] = {}
    books: dict[Run, np.ndarray] = {}
    sessions: dict[Run, int] = {}
    shape = (settings.draws, count, settings.calendar.n_steps)
    for season in dict.fromkeys(day.season for day in settings.calendar.days):
        for run, dispatch in _season(settings, vehicles, season, load_kw, premise_kw):
            key = {"policy": run[0], "case": run[1], "season": season}
            book = ledger(dispatch).kw
            into = kw.setdefault(run, np.zeros(shape))
            books.setdefault(run, np.zeros((shape[0], len(LEDGER_ROWS), shape[2])))
            _cut(settings, season, (dispatch.kw, where), book, (into, books[run]))
            ended = int(dispatch.stays["shortfall_kwh"].notna().sum())
            sessions[run] = sessions.get(run, 0) + ended
            out["shortfall"].append(dispatch.shortfall.assign(**key))
            if run[1] == Case.EXPECTED:
                rng = np.random.default_rng([settings.seed, _SIZES])
                out["diversity"].append(diversity(dispatch, rng).assign(**key))
                out["traces"].append(_traces(dispatch).assign(**key))
            if dispatch.event is not None:
                _add_events(settings, key, dispatch, out)
    return Shapes(
        vehicles=vehicles,
        calendar=settings.calendar,
        kw=kw,
        ledger=books,
        sessions=sessions,
        **{name: _joined(tables) for name, tables in out.items()},
    )


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Return tables one below the other, keys first; empty ones left out."""
    kept = [table for table in tables if len(table)]
    if not kept:
        return pd.DataFrame()
    table = pd.concat(kept, ignore_index=True)
    first = ["policy", "case", "season"]
    return table[first + [column for column in table.columns if column not in first]]


def _season(
    settings: ShapeSettings,
    vehicles: Vehicles,
    season: str,
    load_kw: np.ndarray,
    premise_kw: np.ndarray | None,
) -> Iterator[tuple[Run, Dispatch]]:
    """Simulate one season under every run, on the same random numbers.

    Runs that cannot differ are simulated once: without an event, export is managed charging, and
    uncontrolled charging does not depend on who is enrolled.
    """
    calendar = settings.calendar
    number = list(dict.fromkeys(day.season for day in calendar.days)).index(season)
    drawn = _Drawn(settings, vehicles, season, number)
    signal = _over_fortnight(calendar, season, load_kw)
    premise = None if premise_kw is None else _over_fortnight(calendar, season, premise_kw)
    done: dict[tuple[str, float, float, bool], Dispatch] = {}
    for policy, name in settings.runs:
        case = settings.cases[name]
        event = settings.event if settings.has_event(season) else None
        ran = Policy.MANAGED if policy == Policy.EXPORT and event is None else Policy(policy)
        enrolled = case.enrolled if ran != Policy.UNCONTROLLED else 0.0
        stated = bool(case.stated_error) and ran != Policy.UNCONTROLLED
        key = (str(ran), case.plug_in, enrolled, stated)
        if ran in (Policy.EXPORT, Policy.V2H) or key not in done:
            done[key] = simulate(
                vehicles,
                drawn.sessions(case.plug_in),
                ran,
                case,
                drawn.chance,
                signal,
                event if ran == Policy.EXPORT else None,
                step_minutes=calendar.step_minutes,
                programme=settings.programme,
                premise_kw=premise if ran == Policy.V2H else None,
            )
        yield (policy, name), replace(done[key], case=case)


class _Drawn:
    """The random numbers of a season: sessions by rate of plugging in, and who answers."""

    def __init__(
        self, settings: ShapeSettings, vehicles: Vehicles, season: str, number: int
    ) -> None:
        self._settings, self._vehicles, self._number = settings, vehicles, number
        days = settings.calendar.days
        self._months = next(day.months for day in days if day.season == season)
        self._archetypes = [load_archetype(fleet.archetype) for fleet in settings.fleets]
        self._sessions: dict[float, list[Sessions]] = {}
        self.chance = [
            draw_participation(len(vehicles), self._rng(_CHANCE, draw), n_days=_N_DAYS)
            for draw in range(settings.draws)
        ]

    def _rng(self, stream: int, draw: int) -> np.random.Generator:
        return np.random.default_rng([self._settings.seed, stream, self._number, draw])

    def sessions(self, plug_in: float) -> list[Sessions]:
        """Return the sessions of every draw at a rate of plugging in."""
        if plug_in not in self._sessions:
            self._sessions[plug_in] = over_draws(
                lambda draw: draw_sessions(
                    self._vehicles,
                    self._archetypes,
                    self._months,
                    self._rng(_SESSIONS, draw),
                    n_days=_N_DAYS,
                    plug_in=plug_in,
                ),
                range(self._settings.draws),
                self._settings.draws * len(self._vehicles) * _N_DAYS * 24,
            )
        return self._sessions[plug_in]


def _over_fortnight(calendar: Calendar, season: str, values: np.ndarray) -> np.ndarray:
    """Return the weekdays and weekends of a season over the fortnight; the last axis is the step.

    A step without a value (an invalid one) counts as 0.
    """
    by_type = {
        day.day_type: np.nan_to_num(values[..., calendar.day_slice(number)])
        for number, day in enumerate(calendar.days)
        if day.season == season
    }
    weekday = by_type.get(DayType.WEEKDAY, next(iter(by_type.values())))
    return fortnight(weekday, by_type.get(DayType.WEEKEND, weekday), n_days=_N_DAYS)


def _cut(
    settings: ShapeSettings,
    season: str,
    power: tuple[np.ndarray, np.ndarray],
    book: np.ndarray,
    into: tuple[np.ndarray, np.ndarray],
) -> None:
    """Cut the season's days out of a dispatch into the arrays of its run, in place."""
    (kw, of_vehicle), calendar = power, settings.calendar
    days = [number for number, day in enumerate(calendar.days) if day.season == season]
    steps = np.arange(calendar.n_steps)
    here = np.concatenate([steps[calendar.day_slice(number)] for number in days])
    fortnight_steps = np.arange(kw.shape[2])
    for draw in range(settings.draws):
        chosen = [pick_day(draw, weekend=calendar.days[number].is_weekend) for number in days]
        cut = np.concatenate(
            [fortnight_steps[day_steps(day, calendar.step_minutes)] for day in chosen]
        )
        into[0][draw][:, here] = at_points(kw[draw][:, cut], of_vehicle, into[0].shape[1])
        into[1][draw][:, here] = book[draw][:, cut]


def _add_events(
    settings: ShapeSettings,
    key: dict[str, str],
    dispatch: Dispatch,
    out: dict[str, list[pd.DataFrame]],
) -> None:
    """Add what the events of a run deliver, with and without the error of stated departures."""
    told = "stated" if dispatch.case.stated_error else "known"
    out["events"].append(event_days(dispatch, settings.programme).assign(**key, departures=told))
    aggregator = settings.programme.aggregator

    def again(case: Participation, **changes: Any) -> Dispatch:
        programme = replace(settings.programme, aggregator=replace(aggregator, **changes))
        return simulate(
            dispatch.vehicles,
            dispatch.sessions,
            Policy.EXPORT,
            case,
            dispatch.chance,
            dispatch.signal_kw,
            dispatch.event,
            step_minutes=dispatch.step_minutes,
            programme=programme,
        )

    if dispatch.case.stated_error:
        known = again(replace(dispatch.case, stated_error=0.0))
        table = event_days(known, settings.programme)
        out["events"].append(table.assign(**key, departures="known"))
    if key["case"] == Case.EXPECTED:
        ways = dict.fromkeys(
            [
                (aggregator.rebound, aggregator.stagger_minutes),
                ("managed", 0.0),
                ("immediate", 0.0),
                ("immediate", _STAGGER_MINUTES),
            ]
        )
        for number, (way, stagger) in enumerate(ways):
            run = again(dispatch.case, rebound=way, stagger_minutes=stagger) if number else dispatch
            out["rebound"].append(
                rebound(run).assign(
                    **key, rebound=way, stagger_minutes=stagger, in_force=not number
                )
            )


def _traces(dispatch: Dispatch) -> pd.DataFrame:
    """Return a few vehicles of draw 0 over the fortnight, those that export first."""
    vehicles = dispatch.vehicles
    chosen = np.argsort(~(vehicles.bidirectional & dispatch.case.is_enrolled(vehicles)))[:_TRACED]
    steps = dispatch.kw.shape[2]
    columns = {
        "vehicle": np.repeat(chosen, steps),
        "hour_of_fortnight": np.tile(np.arange(steps) * dispatch.step_hours, len(chosen)),
        "kw": dispatch.kw[0][chosen].ravel(),
        "soc": (dispatch.soe_kwh[0][chosen, 1:] / vehicles.battery_kwh[chosen, None]).ravel(),
        "plugged": dispatch.plugged[0][chosen].ravel(),
    }
    return pd.DataFrame(columns)


def _check(settings: ShapeSettings, load_kw: np.ndarray, premise_kw: np.ndarray | None) -> None:
    """Raise all problems of the arguments of :func:`fleet_shapes`."""
    steps, problems = settings.calendar.n_steps, settings.programme.validate("programme")
    if np.shape(load_kw) != (steps,):
        problems.append(Problem("load_kw", f"has shape {np.shape(load_kw)}, not ({steps},)"))
    policies = {policy for policy, _ in settings.runs}
    if Policy.EXPORT in policies and settings.event is None:
        problems.append(Problem("event", "is needed for policy export"))
    if Policy.V2H in policies and premise_kw is None:
        problems.append(Problem("premise_kw", "is needed for policy v2h"))
    problems += [
        Problem("runs", f"unknown case {case!r}")
        for case in dict.fromkeys(case for _, case in settings.runs)
        if case not in settings.cases
    ]
    if settings.draws < 1:
        problems.append(Problem("draws", f"{settings.draws} is not 1 or more"))
    if problems:
        raise InputError(problems)
