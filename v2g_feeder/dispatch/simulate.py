"""The dispatch of a fleet over a fortnight under one policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from v2g_feeder.dispatch.aggregator import Aggregator
from v2g_feeder.dispatch.arrays import EPS, Calls, Cars, Grid, State, Stays
from v2g_feeder.dispatch.draws import over_draws
from v2g_feeder.dispatch.inputs import (
    AHEAD_H,
    calls_of,
    cars_of,
    grid_of,
    length_problems,
    policy_problems,
    takes_part,
)
from v2g_feeder.dispatch.kernel import run
from v2g_feeder.dispatch.result import Dispatch, stays_table
from v2g_feeder.dispatch.tariff import Tariff, default_tariff
from v2g_feeder.errors import InputError, Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.dispatch.events import Event
    from v2g_feeder.fleet.participation import Participation, ParticipationDraw
    from v2g_feeder.fleet.sessions import Sessions
    from v2g_feeder.fleet.vehicles import Vehicles

__all__ = ["Programme", "simulate"]


@dataclass(frozen=True)
class Programme:
    """How those who are enrolled are operated.

    Parameters
    ----------
    aggregator
        Between a request and the vehicles.
    tariff
        Prices for ``time_of_use``, ``price`` and ``v2h`` (which covers the premise's load in the
        hours of the highest price).
    signal
        What managed charging fills: ``load`` or ``price``.
    """

    aggregator: Aggregator = field(default_factory=Aggregator)
    tariff: Tariff = field(default_factory=default_tariff)
    signal: str = "load"

    def validate(self, where: str) -> list[Problem]:
        """Return every problem of these settings."""
        problems = self.aggregator.validate(f"{where}.aggregator")
        problems += self.tariff.validate(f"{where}.tariff")
        if self.signal not in ("load", "price"):
            hint = nearest(str(self.signal), ("load", "price"))
            problems.append(Problem(f"{where}.signal", f"unknown signal {self.signal!r}", hint))
        return problems


def simulate(
    vehicles: Vehicles,
    sessions_by_draw: Sequence[Sessions],
    policy: str,
    case: Participation,
    chance: Sequence[ParticipationDraw],
    signal_kw: np.ndarray,
    event: Event | None = None,
    *,
    step_minutes: int = 60,
    programme: Programme | None = None,
    premise_kw: np.ndarray | None = None,
) -> Dispatch:
    """Simulate all draws of one policy and participation case.

    Parameters
    ----------
    vehicles
        Vehicles of all fleets.
    sessions_by_draw, chance
        One entry a draw; the same ones for every policy and case (sessions drawn at the case's
        ``plug_in``).
    policy
        ``uncontrolled``, ``time_of_use``, ``managed``, ``export``, ``v2h`` or ``price``.
    case
        Participation case. Vehicles that are not enrolled charge uncontrolled, or by the tariff
        where they are ``smart_only`` (not under ``uncontrolled``, which has no control at all).
    signal_kw
        Base load that managed charging levels, ``[step]``, kW, from the first Monday's midnight
        (see :func:`~v2g_feeder.dispatch.fortnight`). The load of vehicles that are not enrolled
        is not known to the plans.
    event
        Export events; given if and only if the policy is ``export``.
    step_minutes
        60, 30 or 15.
    programme
        Aggregator and prices.
    premise_kw
        Load of each vehicle's own premise, ``[vehicle, step]``, kW; for ``v2h``, and only for it.

    Returns
    -------
    Dispatch
        Signed power at the grid side. While charging, battery kW = ``eta_c`` x grid kW; while
        exporting, battery kW = grid kW / ``eta_d``. Export never goes below the reserve, in sum
        never above the request, and never costs a departure target that was reachable without it
        by the departure that the driver stated.

    Raises
    ------
    InputError
        For an unknown policy, an event that is missing or not wanted, or lengths that differ.
    """
    plan = programme or Programme()
    signal = np.asarray(signal_kw, dtype=float)
    steps_a_day = 1440 // step_minutes if step_minutes > 0 else 0
    problems = [
        *plan.validate("programme"),
        *policy_problems(policy, event, premise_kw, step_minutes),
        *length_problems(
            *(vehicles, sessions_by_draw, chance, signal, premise_kw),
            steps_a_day,
        ),
    ]
    if problems:
        raise InputError(problems)
    cars = cars_of(vehicles, policy, case, plan)
    events = calls_of(policy, event, plan, premise_kw, len(signal) // steps_a_day, step_minutes)
    day = events.window[:, 0] // steps_a_day
    shape = (len(sessions_by_draw), len(vehicles))
    kw = np.zeros((*shape, len(signal) + AHEAD_H * 60 // step_minutes))
    soe_kwh, plugged = np.empty((*shape, len(signal) + 1)), np.zeros((*shape, len(signal)))
    inputs = []
    for draw, (sessions, drawn) in enumerate(zip(sessions_by_draw, chance, strict=True)):
        grid = grid_of(vehicles, signal, plan, step_minutes)
        calls = events._replace(takes_part=takes_part(vehicles, policy, case, drawn, day))
        arrays = (kw[draw], soe_kwh[draw], plugged[draw])
        inputs.append((cars, sessions, case, grid, calls, arrays))
    runs = over_draws(_run_draw, inputs, kw.size)
    return Dispatch(
        policy=str(policy),
        case=case,
        event=event,
        step_minutes=step_minutes,
        vehicles=vehicles,
        sessions=tuple(sessions_by_draw),
        chance=tuple(chance),
        signal_kw=signal,
        kw=kw[:, :, : len(signal)],
        soe_kwh=soe_kwh,
        plugged=plugged,
        stays=stays_table(runs, sessions_by_draw, cars.target_kwh, step_minutes / 60),
    )


def _run_draw(
    inputs: tuple[
        Cars, Sessions, Participation, Grid, Calls, tuple[np.ndarray, np.ndarray, np.ndarray]
    ],
) -> tuple[Stays, State]:
    """Simulate one draw into its arrays."""
    cars, sessions, case, grid, calls, (kw, soe_kwh, plugged) = inputs
    stated = sessions.stated_h if case.stated_error else sessions.departure_h
    order = sessions.by_start  # by time and not by step: the same at any step
    start = np.maximum(sessions.arrival_h, 0.0)[order].astype(float)
    step = np.floor(start / grid.step_h + EPS).astype(np.int64)
    count, vehicles = len(order), len(cars.rated_kw)
    stays = Stays(
        vehicle=sessions.vehicle[order].astype(np.int64),
        start_h=start,
        departure_h=sessions.departure_h[order].astype(float),
        stated_h=stated[order].astype(float),
        driven_kwh=sessions.driven_kwh[order].astype(float),
        fresh=sessions.fresh[order].astype(bool),
        public_kwh=np.zeros(count),
        swapped_kwh=np.zeros(count),
        soe_arrival_kwh=np.zeros(count),
        reachable=np.zeros(count, bool),
    )
    soe_kwh[:, 0] = cars.target_kwh
    state = State(
        kw=kw,
        soe_kwh=soe_kwh,
        plugged=plugged,
        level=cars.target_kwh.copy(),
        done=np.zeros(vehicles, np.int64),
        since_h=np.full(vehicles, -np.inf),
        until_h=np.full(vehicles, -np.inf),
        stated_h=np.full(vehicles, -np.inf),
        cap=np.empty(grid.ahead),
        power=np.empty(grid.ahead),
    )
    run(cars, stays, np.searchsorted(step, np.arange(grid.steps + 1)), grid, calls, state)
    return stays, state
