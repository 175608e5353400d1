"""Sessions: when each vehicle is plugged in, away or waiting, and how much energy it has used."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import ndtr, ndtri

from v2g_feeder.errors import InputError, Problem
from v2g_feeder.fleet.absences import absences_between, gaps_between
from v2g_feeder.fleet.duty import draw_trips
from v2g_feeder.fleet.plug_process import WARM_UP_DAYS, draw_plugs
from v2g_feeder.fleet.plugging import BIN_H, MIN_GAP_H
from v2g_feeder.fleet.ports import assign_ports

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.fleet.archetypes import Archetype
    from v2g_feeder.fleet.vehicles import Vehicles

__all__ = ["MIN_GAP_H", "Sessions", "draw_sessions", "draw_sessions_at", "plugged_in_later"]

_LEAST_STATED_H: Final = 0.25  # nobody states a departure sooner than that
_DAYS_AFTER: Final = 7  # a depot's last stays know their departure


def _none(dtype: type = float) -> np.ndarray:
    return np.empty(0, dtype=dtype)


@dataclass(frozen=True)
class Sessions:
    """Sessions of one draw, sorted by vehicle and then by arrival.

    Hours count continuously from the midnight that begins the first Monday. A session that is
    under way then has ``arrival_h < 0``; one that begins after the last day is not in it.

    Parameters
    ----------
    n_days
        Length of the period, days.
    vehicle, arrival_h, departure_h
        Plug-in and unplugging as they really happen, ``[session]``. At least one hour
        (``MIN_GAP_H``) lies between two sessions of a vehicle.
    stated_h
        Departure that the driver states at plug-in, after the arrival; ``departure_h`` where
        departures are known.
    driven_kwh
        Energy taken from the battery since the session before, ``[session]``.
    fresh
        Whether another car has taken the port, ``[session]``: it arrives with its target less
        ``driven_kwh``, whatever the one before left with.
    away_vehicle, away_start_h, away_end_h
        When vehicles are not at the site, ``[absence]``; disjoint from the sessions.
    waiting_vehicle, waiting_start_h, waiting_end_h
        When vehicles are at the site and find no free port, ``[wait]``.
    """

    n_days: int
    vehicle: np.ndarray
    arrival_h: np.ndarray
    departure_h: np.ndarray
    stated_h: np.ndarray
    driven_kwh: np.ndarray
    fresh: np.ndarray
    away_vehicle: np.ndarray = field(default_factory=lambda: _none(int))
    away_start_h: np.ndarray = field(default_factory=_none)
    away_end_h: np.ndarray = field(default_factory=_none)
    waiting_vehicle: np.ndarray = field(default_factory=lambda: _none(int))
    waiting_start_h: np.ndarray = field(default_factory=_none)
    waiting_end_h: np.ndarray = field(default_factory=_none)

    def __post_init__(self) -> None:
        arrays = [item.name for item in fields(self) if item.name != "n_days"]
        for group in (arrays[:6], arrays[6:9], arrays[9:]):
            if len({len(getattr(self, name)) for name in group}) > 1:
                raise InputError(Problem("sessions", f"{', '.join(group)} differ in length"))
        if np.any(self.departure_h <= self.arrival_h):
            raise InputError(Problem("sessions", "a session ends before it begins"))
        if np.any(self.stated_h <= self.arrival_h):
            raise InputError(Problem("sessions", "a stated departure is before the plug-in"))
        if np.any(self.driven_kwh < 0):
            raise InputError(Problem("sessions", "driven energy is negative"))
        if np.any(np.diff(self.vehicle) < 0):
            raise InputError(Problem("sessions", "not sorted by vehicle"))
        gap = self.arrival_h[1:] - self.departure_h[:-1]
        if np.any((gap < MIN_GAP_H - 1e-9) & (np.diff(self.vehicle) == 0)):
            raise InputError(
                Problem("sessions", f"less than {MIN_GAP_H:g} h between sessions of a vehicle")
            )

    def __len__(self) -> int:
        """Return the number of sessions."""
        return len(self.vehicle)

    @cached_property
    def by_start(self) -> np.ndarray:
        """Sessions in order of their arrival within the period, ``[session]``."""
        return np.lexsort((self.vehicle, np.maximum(self.arrival_h, 0.0)))


def draw_sessions(
    vehicles: Vehicles,
    archetypes: Sequence[Archetype],
    season_months: tuple[int, ...],
    rng: np.random.Generator,
    *,
    n_days: int = 14,
    plug_in: float = 1.0,
) -> Sessions:
    """Draw one realisation of a season's sessions.

    Parameters
    ----------
    vehicles
        Vehicles of all fleets.
    archetypes
        One archetype a fleet, in the order of ``vehicles.fleet``.
    season_months
        Months (1 to 12) of the season: cold months need more energy per mile, and a duty may have
        its own summer.
    rng
        Generator of this draw; spawned once a fleet, so a fleet does not depend on the others.
    n_days
        Days from the first Monday; a week of warm-up goes before them.
    plug_in
        Factor on the rate at which drivers plug in; 1 as in the records. It does not touch a depot,
        whose operator plugs in always. The same state of ``rng`` gives the same random numbers bin
        by bin: a vehicle that is free and has the same SOC plugs in at 1.2 if it does at 1.0.

    Returns
    -------
    Sessions
        See :mod:`v2g_feeder.fleet.plugging` and :mod:`v2g_feeder.fleet.duty` for what they follow.
    """
    return draw_sessions_at(
        vehicles, archetypes, season_months, rng, n_days=n_days, plug_ins=(plug_in,)
    )[0]


def draw_sessions_at(
    vehicles: Vehicles,
    archetypes: Sequence[Archetype],
    season_months: tuple[int, ...],
    rng: np.random.Generator,
    *,
    n_days: int = 14,
    plug_ins: Sequence[float],
) -> list[Sessions]:
    """Return :func:`draw_sessions` at each of ``plug_ins``, with random numbers drawn once."""
    names = [item.name for item in fields(Sessions) if item.name != "n_days"]
    columns: list[dict[str, list[np.ndarray]]] = [{name: [] for name in names} for _ in plug_ins]
    for number, child in enumerate(rng.spawn(len(archetypes))):
        index = np.flatnonzero(vehicles.fleet == number)
        archetype = archetypes[number]
        if archetype.duty is not None:
            ports = vehicles.sites[number].ports
            trips = _draw_duty(index, vehicles, archetype, season_months, n_days, ports, child)
            parts = [trips] * len(plug_ins)
        else:
            factor = archetype.season_factor(season_months)
            parts = _draw_plugging(index, vehicles, archetype, factor, n_days, plug_ins, child)
        for part, into in zip(parts, columns, strict=True):
            kept = part
            for prefix in ("", "away_", "waiting_"):
                kept = _inside(kept, prefix, 24.0 * n_days)
            for name in names:
                into[name].append(kept[name])
    empty = Sessions(0, _none(int), _none(), _none(), _none(), _none(), _none(bool))
    return [
        Sessions(
            n_days,
            **{name: np.concatenate([getattr(empty, name), *found[name]]) for name in names},
        )
        for found in columns
    ]


def plugged_in_later(sessions: Sessions, delay_h: np.ndarray) -> Sessions:
    """Return sessions whose drivers plug in some time after they have come.

    Parameters
    ----------
    sessions
        Of all fleets.
    delay_h
        Hours by vehicle, ``[vehicle]``, 0 or more. Departures stay; who leaves before the delay is
        over is plugged in for the last half hour of the stay, so that no driven energy is lost.
    """
    delay = delay_h[sessions.vehicle]
    latest = np.maximum(sessions.departure_h - BIN_H, sessions.arrival_h)
    arrival = np.minimum(sessions.arrival_h + delay, latest)
    stated = np.maximum(sessions.stated_h, np.where(delay > 0, arrival + _LEAST_STATED_H, -np.inf))
    return replace(sessions, arrival_h=arrival, stated_h=stated)


def _inside(part: dict[str, np.ndarray], prefix: str, end_h: float) -> dict[str, np.ndarray]:
    """Return ``part`` without what ends before hour 0 or begins after the period."""
    group: tuple[str, ...] = (f"{prefix}vehicle", f"{prefix}start_h", f"{prefix}end_h")
    if not prefix:
        group = ("vehicle", "arrival_h", "departure_h", "stated_h", "driven_kwh", "fresh")
    kept = (part[group[2]] > 0) & (part[group[1]] < end_h)
    return part | {name: part[name][kept] for name in group}


def _draw_plugging(
    index: np.ndarray,
    vehicles: Vehicles,
    archetype: Archetype,
    season_factor: float,
    n_days: int,
    plug_ins: Sequence[float],
    rng: np.random.Generator,
) -> list[dict[str, np.ndarray]]:
    """Return the arrays of :class:`Sessions` of a fleet whose drivers decide when to plug in."""
    plugging = archetype.plugging
    assert plugging is not None  # noqa: S101 - for the type checker: an archetype has one of two
    for_plugs, for_absences, for_stated = rng.spawn(3)
    names = ("habit_rank", "battery_kwh", "departure_soc", "eta_c", "kwh_per_mile")
    some = {name: getattr(vehicles, name)[index] for name in names}
    drawn = draw_plugs(archetype, some, season_factor, for_plugs, n_days=n_days, plug_ins=plug_ins)
    chance = _chance_stated(archetype, len(index), n_days, for_stated)
    period_h = (-24.0 * WARM_UP_DAYS, 24.0 * (n_days + 1))
    found = []
    for plugs in drawn:
        plugged = plugs.vehicle, plugs.arrival_h, plugs.departure_h
        away = gaps_between(*plugged, len(index), period_h)
        if archetype.at_home is not None:
            same = deepcopy(for_absences)
            away = absences_between(away, len(index), archetype.at_home, period_h, same)
        found.append(
            {
                "vehicle": index[plugs.vehicle],
                "arrival_h": plugs.arrival_h,
                "departure_h": plugs.departure_h,
                "stated_h": _stated(archetype, plugged, chance),
                "driven_kwh": plugs.driven_kwh,
                "fresh": np.full(len(plugs.vehicle), plugging.fresh),
                "away_vehicle": index[away[0]],
                "away_start_h": away[1],
                "away_end_h": away[2],
                "waiting_vehicle": _none(int),
                "waiting_start_h": _none(),
                "waiting_end_h": _none(),
            }
        )
    return found


def _draw_duty(
    index: np.ndarray,
    vehicles: Vehicles,
    archetype: Archetype,
    months: tuple[int, ...],
    n_days: int,
    ports: int | None,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Return the arrays of :class:`Sessions` of a depot, which plugs in whoever is back."""
    duty = archetype.duty
    assert duty is not None  # noqa: S101 - for the type checker
    for_trips, for_stated = rng.spawn(2)
    count = len(index)
    trips = draw_trips(duty, count, months, n_days, for_trips, warm_up_days=WARM_UP_DAYS)
    period_h = (-24.0 * WARM_UP_DAYS, 24.0 * (n_days + _DAYS_AFTER))
    owner, begin, end = gaps_between(trips.vehicle, trips.start_h, trips.end_h, count, period_h)
    per_mile = vehicles.kwh_per_mile[index] * archetype.season_factor(months)
    # what was driven on the trip that ends as the stay begins; both are sorted alike
    driven = np.zeros(len(owner))
    after = begin > period_h[0]
    before = np.searchsorted(trips.vehicle * _FAR_H + trips.end_h, owner * _FAR_H + begin)
    driven[after] = (trips.miles * per_mile[trips.vehicle])[before[after]]
    use = assign_ports(owner, begin, end, driven, ports)
    plugged = owner[use.plugged_stay], use.plugged_start_h, use.plugged_end_h
    return {
        "vehicle": index[plugged[0]],
        "arrival_h": plugged[1],
        "departure_h": plugged[2],
        "stated_h": _stated(
            archetype, plugged, _chance_stated(archetype, count, n_days, for_stated)
        ),
        "driven_kwh": use.driven_kwh,
        "fresh": np.zeros(len(plugged[0]), dtype=bool),
        "away_vehicle": index[trips.vehicle],
        "away_start_h": trips.start_h,
        "away_end_h": trips.end_h,
        "waiting_vehicle": index[owner[use.waiting_stay]],
        "waiting_start_h": use.waiting_start_h,
        "waiting_end_h": use.waiting_end_h,
    }


_FAR_H: Final = 1e6  # more than any hour


def _chance_stated(
    archetype: Archetype, count: int, n_days: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the scores of the errors in stated departures, ``[vehicle, half hour]``.

    A number belongs to a vehicle and half hour, so it does not move with other sessions.
    """
    bins = int(24 * (WARM_UP_DAYS + n_days + _DAYS_AFTER + 1) / BIN_H)
    if not archetype.stated_error_h:
        return np.empty((count, 0), dtype=np.float32)
    return rng.standard_normal((count, bins), dtype=np.float32)


def _stated(
    archetype: Archetype,
    plugged: tuple[np.ndarray, np.ndarray, np.ndarray],
    normal: np.ndarray,
) -> np.ndarray:
    """Return the departures that drivers state: what happens plus an error that goes with the stay.

    ``normal`` is of :func:`_chance_stated`.
    """
    vehicle, arrival, departure = plugged
    if not archetype.stated_error_h or not len(vehicle):
        return departure.copy()
    half_hour = ((arrival + 24 * WARM_UP_DAYS) / BIN_H).astype(int)
    chance = normal[vehicle, np.clip(half_hour, 0, normal.shape[1] - 1)]
    rank = 2 * np.sin(np.pi * archetype.rank_error_stay / 6)
    stay = ndtri((_ranks(departure - arrival) - 0.5) / len(vehicle))
    score = rank * stay + np.sqrt(1 - rank**2) * chance
    error = np.interp(ndtr(score), archetype.quantile_levels, archetype.stated_error_h)
    return np.asarray(np.maximum(departure + error, arrival + _LEAST_STATED_H))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks from 1, the mean of their ranks to equals (scipy.stats takes 1 s to import)."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[place])
