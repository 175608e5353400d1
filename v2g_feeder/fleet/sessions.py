"""Sessions: when each vehicle is plugged in at home, when it is away, and how far it was driven.

At home and plugged in are different states. Driving comes from the US travel survey, plugging in
from home-charging records. A day runs from 04:00 to 04:00.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import expit, ndtr

from v2g_feeder.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.fleet.archetypes import Archetype, SessionTable
    from v2g_feeder.fleet.vehicles import Vehicles

__all__ = ["Sessions", "draw_sessions"]

MIN_GAP_H: Final = 1.0  # no vehicle has two sessions in one step of an hour or less
_DAY_START_H: Final = 4.0
_WARM_UP_DAYS: Final = 7


def _none(dtype: type) -> np.ndarray:
    return np.empty(0, dtype=dtype)


@dataclass(frozen=True)
class Sessions:
    """Home sessions of one draw, sorted by vehicle and then by arrival.

    Hours count continuously from the midnight that begins the first Monday. A session that is
    under way then has ``arrival_h < 0``.

    Parameters
    ----------
    n_days
        Length of the period, days.
    vehicle, arrival_h, departure_h
        Shape ``[session]``. At least one hour lies between two sessions of a vehicle.
    driven_kwh
        Energy taken from the battery by driving since the session before, ``[session]``.
    plug_rank
        Uniform 0 to 1; a case keeps the session if below its ``plug_in`` share, ``[session]``.
    away_vehicle, away_start_h, away_end_h
        When vehicles are not at home, shape ``[absence]``; disjoint from the sessions.
    """

    n_days: int
    vehicle: np.ndarray
    arrival_h: np.ndarray
    departure_h: np.ndarray
    driven_kwh: np.ndarray
    plug_rank: np.ndarray
    away_vehicle: np.ndarray = field(default_factory=lambda: _none(int))
    away_start_h: np.ndarray = field(default_factory=lambda: _none(float))
    away_end_h: np.ndarray = field(default_factory=lambda: _none(float))

    def __post_init__(self) -> None:
        if np.any(self.departure_h <= self.arrival_h):
            raise InputError(Problem("sessions", "a session ends before it begins"))
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

    def kept(self, plug_in: float) -> Sessions:
        """Return the sessions that take place at a ``plug_in`` share of 0 to 1.

        The driving of a session that does not take place is carried to the vehicle's next one.
        """
        keep = np.flatnonzero(self.plug_rank < plug_in)
        if len(keep) == len(self):
            return self
        following = np.searchsorted(keep, np.arange(len(self)))
        has_next = following < len(keep)
        source = np.flatnonzero(has_next)
        source = source[self.vehicle[keep[following[source]]] == self.vehicle[source]]
        driven = np.bincount(following[source], self.driven_kwh[source], len(keep))
        return Sessions(
            self.n_days,
            self.vehicle[keep],
            self.arrival_h[keep],
            self.departure_h[keep],
            driven,
            self.plug_rank[keep],
            self.away_vehicle,
            self.away_start_h,
            self.away_end_h,
        )


def draw_sessions(
    vehicles: Vehicles,
    archetypes: Sequence[Archetype],
    season_months: tuple[int, ...],
    rng: np.random.Generator,
    *,
    n_days: int = 14,
) -> Sessions:
    """Draw one realisation of a season's sessions.

    Parameters
    ----------
    vehicles
        Vehicles of all fleets.
    archetypes
        One archetype a fleet, in the order of ``vehicles.fleet``.
    season_months
        Months (1 to 12) of the season: cold months need more energy per mile.
    rng
        Generator of this draw; spawned once a fleet.
    n_days
        Days from the first Monday; a week of warm-up goes before them.

    Returns
    -------
    Sessions
        Arrival, stay and energy are drawn jointly (a Gaussian copula on the arrival, the stay
        given the arrival, and the miles since the last plug-in).

    References
    ----------
    Sorensen et al. 2021, Data in Brief 36:107105 (plugging in); NHTS 2009 Tennessee (driving).
    """
    parts = [
        _draw_fleet(
            np.flatnonzero(vehicles.fleet == number),
            vehicles,
            archetype,
            season_months,
            n_days,
            child,
        )
        for number, (archetype, child) in enumerate(
            zip(archetypes, rng.spawn(len(archetypes)), strict=True)
        )
    ]
    plugs = np.concatenate([part[0] for part in parts], axis=1) if parts else np.empty((5, 0))
    aways = np.concatenate([part[1] for part in parts], axis=1) if parts else np.empty((3, 0))
    plugs = plugs[:, (plugs[2] > 0) & (plugs[1] < 24 * n_days)]
    aways = aways[:, (aways[2] > 0) & (aways[1] < 24 * n_days)]
    plugs = plugs[:, np.lexsort((plugs[1], plugs[0]))]
    aways = aways[:, np.lexsort((aways[1], aways[0]))]
    return Sessions(
        n_days,
        vehicle=plugs[0].astype(int),
        arrival_h=plugs[1],
        departure_h=plugs[2],
        driven_kwh=plugs[3],
        plug_rank=plugs[4],
        away_vehicle=aways[0].astype(int),
        away_start_h=aways[1],
        away_end_h=aways[2],
    )


@dataclass
class _State:
    """Where the vehicles of a fleet are at the start of a day; arrays ``[vehicle]``."""

    plugged_until_h: np.ndarray
    miles: np.ndarray  # since the last plug-in
    slept_away: np.ndarray  # still away from the day before


def _draw_fleet(
    index: np.ndarray,
    vehicles: Vehicles,
    archetype: Archetype,
    months: tuple[int, ...],
    n_days: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows ``[5, session]`` and ``[3, absence]`` of one fleet."""
    count = len(index)
    per_mile = vehicles.kwh_per_mile[index] * archetype.season_factor(months)
    full_miles = vehicles.departure_soc[index], vehicles.battery_kwh[index] / per_mile
    state = _State(np.full(count, -np.inf), np.zeros(count), np.zeros(count, dtype=bool))
    plugs, aways = [np.empty((5, 0))], [np.empty((3, 0))]
    for day in range(-_WARM_UP_DAYS, n_days):
        uniform, normal = rng.random((4, count)), rng.standard_normal((6, count))
        start = 24.0 * day + _DAY_START_H
        ends = (state.plugged_until_h >= start) & (state.plugged_until_h < start + 24)
        free = state.plugged_until_h < start + 24
        # unplugging means leaving
        driven = ends | state.slept_away | (free & (uniform[0] < archetype.driven_other_days))
        state.miles += driven * np.exp(archetype.ln_miles_mean + archetype.ln_miles_sd * normal[0])
        leave = 24.0 * day + archetype.leave_home_mean_h + archetype.leave_home_sd_h * normal[1]
        leave = np.clip(leave, start, start + 16)
        leave = np.where(ends, state.plugged_until_h, np.where(state.slept_away, start, leave))
        soc = full_miles[0] - state.miles / full_miles[1]
        need = expit(-archetype.need_slope * (soc - archetype.need_middle_soc))
        habit = vehicles.habit[index]
        wants = free & (state.miles > 0) & (uniform[1] < habit + (1 - habit) * need)
        table = archetype.weekend if day % 7 >= 5 else archetype.weekday
        arrival, stay = _arrival_and_stay(archetype, table, state.miles, normal[2:5])
        arrival += 24.0 * day
        back = 24.0 * day + archetype.reach_home_mean_h + archetype.reach_home_sd_h * normal[5]
        plug = wants & (arrival >= np.where(driven, leave + MIN_GAP_H, start))
        plug &= arrival >= state.plugged_until_h + MIN_GAP_H
        sleeps = driven & ~plug & (uniform[2] < archetype.night_away)
        back = np.clip(np.maximum(back, leave + MIN_GAP_H / 2), None, start + 24)
        back = np.where(plug, arrival, np.where(sleeps, start + 24, back))
        gone = driven & (back > leave)
        aways.append(np.stack([index, leave, back])[:, gone])
        rows = np.stack([index, arrival, arrival + stay, state.miles * per_mile, uniform[3]])
        plugs.append(rows[:, plug])
        state.plugged_until_h = np.where(plug, arrival + stay, state.plugged_until_h)
        state.miles = np.where(plug, 0.0, state.miles)
        state.slept_away = sleeps
    return np.concatenate(plugs, axis=1), np.concatenate(aways, axis=1)


def _arrival_and_stay(
    archetype: Archetype, table: SessionTable, miles: np.ndarray, normal: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the plug-in hour of the day and the stay, both in hours, given the miles.

    The normal scores of arrival and of stay-given-arrival are independent of each other and
    correlated with the score of the miles; ``normal`` has shape ``[3, vehicle]``.
    """
    score = np.log(np.maximum(miles, 0.1)) - archetype.ln_session_miles_mean
    score = np.clip(score / archetype.ln_session_miles_sd, -3, 3)
    with_arrival = 2 * np.sin(np.pi * table.rank_energy_arrival / 6)
    with_stay = 2 * np.sin(np.pi * table.rank_energy_stay / 6)
    first = with_arrival * score + np.sqrt(1 - with_arrival**2) * normal[0]
    # given the energy and the arrival, so that the stay's score stays independent of the arrival's
    slope = np.array([with_stay, 0.0]) @ np.linalg.inv([[1, with_arrival], [with_arrival, 1]])
    spread = np.sqrt(1 - slope @ [with_stay, 0.0])
    second = slope[0] * score + slope[1] * first + spread * normal[1]
    levels = archetype.quantile_levels
    arrival = np.interp(ndtr(first), levels, table.arrival_h)
    window = np.searchsorted(table.stay_edges_h[1:-1], arrival, side="right")
    rank = ndtr(second)
    stay = np.empty_like(arrival)
    for number, quantiles in enumerate(table.stay_h):
        here = window == number
        stay[here] = np.interp(rank[here], levels, quantiles)
    return arrival, stay
