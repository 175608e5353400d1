"""A season's fortnight of a fleet under every run, on the same random numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.conventions import DayType, Policy
from v2g_feeder.dispatch import fortnight, simulate
from v2g_feeder.dispatch.draws import over_draws
from v2g_feeder.fleet import (
    draw_participation,
    draw_sessions_at,
    draw_vehicles,
    load_archetype,
    plugged_in_later,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from v2g_feeder.calendar import Calendar
    from v2g_feeder.dispatch import Dispatch, Event
    from v2g_feeder.fleet import Sessions, Vehicles
    from v2g_feeder.loadshape.settings import Run, ShapeSettings

__all__ = ["SIZES", "fleet_vehicles", "simulate_season"]

_VEHICLES, _SESSIONS, _CHANCE, SIZES = 1, 3, 4, 5  # independent streams of random numbers
_N_DAYS: Final = 14


def fleet_vehicles(settings: ShapeSettings) -> Vehicles:
    """Draw the vehicles of all fleets; the same ones for the same seed."""
    return draw_vehicles(settings.fleets, np.random.default_rng([settings.seed, _VEHICLES]))


def simulate_season(
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
    drawn = Drawn(settings, vehicles, season, number)
    signal = _over_fortnight(calendar, season, load_kw)
    premise = None if premise_kw is None else _over_fortnight(calendar, season, premise_kw)
    event = settings.event if settings.has_event(season) else None
    alike = [_alike(settings, run, event) for run in settings.runs]
    done: dict[tuple[object, ...], Dispatch] = {}
    for run_number, (policy, name) in enumerate(settings.runs):
        case, key = settings.cases[name], alike[run_number]
        ran = str(key[0])
        found = done.pop(key, None)
        if found is None:
            found = simulate(
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
        if key in alike[run_number + 1 :]:  # what is not run again is not kept: it is large
            done[key] = found
        yield (policy, name), replace(found, case=case)


def _alike(settings: ShapeSettings, run: Run, event: Event | None) -> tuple[object, ...]:
    """Return the policy that a run is simulated under, and what else runs must share to be one."""
    (policy, name), case = run, settings.cases[run[1]]
    ran = Policy.MANAGED if policy == Policy.EXPORT and event is None else Policy(policy)
    if ran in (Policy.EXPORT, Policy.V2H):
        return str(ran), name
    if ran == Policy.UNCONTROLLED:
        return str(ran), case.plug_in
    return str(ran), case.plug_in, case.enrolled, bool(case.stated_error)


class Drawn:
    """The random numbers of a season: sessions by rate of plugging in, and who answers."""

    def __init__(
        self, settings: ShapeSettings, vehicles: Vehicles, season: str, number: int
    ) -> None:
        self._settings, self._vehicles, self._number = settings, vehicles, number
        days = settings.calendar.days
        self._months = next(day.months for day in days if day.season == season)
        self._archetypes = [load_archetype(fleet.archetype) for fleet in settings.fleets]
        self.chance = [
            draw_participation(len(vehicles), self._rng(_CHANCE, draw), n_days=_N_DAYS)
            for draw in settings.draw_numbers
        ]
        self._plug_ins = list(
            dict.fromkeys(settings.cases[name].plug_in for _, name in settings.runs)
        )
        self._sessions = over_draws(
            self._drawn,
            settings.draw_numbers,
            settings.draws * len(vehicles) * _N_DAYS * 24,
        )

    def _rng(self, stream: int, draw: int) -> np.random.Generator:
        return np.random.default_rng([self._settings.seed, stream, self._number, draw])

    def sessions(self, plug_in: float) -> list[Sessions]:
        """Return the sessions of every draw at a rate of plugging in."""
        return [drawn[plug_in] for drawn in self._sessions]

    def _drawn(self, draw: int) -> dict[float, Sessions]:
        """Return the sessions of a draw by rate, each plugged in as late as its fleet is."""
        drawn = draw_sessions_at(
            self._vehicles,
            self._archetypes,
            self._months,
            self._rng(_SESSIONS, draw),
            n_days=_N_DAYS,
            plug_ins=self._plug_ins,
        )
        delay_h = np.array([fleet.plug_in_delay_h for fleet in self._settings.fleets] or [0.0])
        if delay_h.any():
            drawn = [plugged_in_later(found, delay_h[self._vehicles.fleet]) for found in drawn]
        return dict(zip(self._plug_ins, drawn, strict=True))


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
