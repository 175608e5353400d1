"""The dispatch of a fleet over a fortnight under one policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.conventions import Policy
from v2g_feeder.dispatch.aggregator import Aggregator
from v2g_feeder.dispatch.draws import over_draws
from v2g_feeder.dispatch.kernel import (
    ARBITRAGE,
    CHEAPEST,
    NOW,
    VALLEY,
    Calls,
    Cars,
    Grid,
    State,
    Stays,
    run,
)
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

_AHEAD_H: Final = 48  # plans reach this far beyond the period
_RULES: Final = {
    Policy.UNCONTROLLED: NOW,
    Policy.TIME_OF_USE: CHEAPEST,
    Policy.MANAGED: VALLEY,
    Policy.EXPORT: VALLEY,
    Policy.V2H: VALLEY,
    Policy.PRICE: ARBITRAGE,
}


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
    arguments = (vehicles, sessions_by_draw, policy, chance, signal, event, step_minutes)
    _check(*arguments, plan, premise_kw)
    n_days = len(signal) * step_minutes // 1440
    ahead = len(signal) + _AHEAD_H * 60 // step_minutes
    price = plan.tariff.signal(n_days, step_minutes)
    cars = _cars(vehicles, policy, case, plan)
    windows, request = _events(policy, event, plan, n_days, step_minutes)
    day = windows[:, 0] * step_minutes // 1440
    able = case.is_enrolled(vehicles) & vehicles.bidirectional & vehicles.accepted
    if policy != Policy.V2H:
        able = able & vehicles.permitted
    shape = (len(sessions_by_draw), len(vehicles))
    kw, soe_kwh = np.zeros((*shape, ahead)), np.empty((*shape, len(signal) + 1))
    plugged = np.zeros((*shape, len(signal)))
    inputs = []
    for draw, (sessions, drawn) in enumerate(zip(sessions_by_draw, chance, strict=True)):
        answers = (drawn.answers(case) & ~drawn.declines(case)).T & able
        calls = Calls(
            windows,
            request,
            np.ascontiguousarray(answers[day]),
            plan.aggregator.replace_hours,
            plan.aggregator.rebound == "immediate",
            np.empty((0, 0)) if premise_kw is None else np.ascontiguousarray(premise_kw, float),
        )
        grid = Grid(
            step_minutes / 60,
            len(signal),
            np.resize(signal, ahead),
            np.resize(price, ahead),
            plan.tariff.throughput_per_kwh,
            np.zeros((len(vehicles.sites), ahead)),
            np.array([site.import_kw for site in vehicles.sites], float),
            np.array([site.export_kw for site in vehicles.sites], float),
        )
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
        stays=stays_table(runs, cars.target_kwh, step_minutes / 60),
    )


def _cars(vehicles: Vehicles, policy: str, case: Participation, plan: Programme) -> Cars:
    """Return the vehicles as the kernel takes them."""
    enrolled = case.is_enrolled(vehicles)
    rule = _RULES[Policy(policy)]
    if rule == VALLEY and plan.signal == "price":
        rule = CHEAPEST
    discharges = enrolled & vehicles.bidirectional & vehicles.accepted
    exports = discharges & vehicles.permitted
    rules = np.where(enrolled, rule, np.where(vehicles.smart_only, CHEAPEST, NOW))
    if policy == Policy.UNCONTROLLED:
        rules[:] = NOW
    if policy == Policy.PRICE:
        rules[enrolled & ~exports] = CHEAPEST
    can = exports if policy == Policy.EXPORT else discharges
    precharges = can & plan.aggregator.precharge & (policy in (Policy.EXPORT, Policy.V2H))
    battery = np.asarray(vehicles.battery_kwh, float)
    turn = np.arange(len(vehicles)) * 0.6180339887498949 % 1.0  # evenly spread, whoever takes part
    return Cars(
        *(np.ascontiguousarray(vehicles.rated_kw, float), np.asarray(vehicles.export_kw, float)),
        *(np.asarray(vehicles.eta_c, float), np.asarray(vehicles.eta_d, float)),
        battery,
        vehicles.departure_soc * battery,
        vehicles.reserve_soc * battery,
        vehicles.floor_soc * battery,
        *(np.asarray(vehicles.taper_soc, float), np.asarray(vehicles.taper_floor, float)),
        np.asarray(vehicles.fleet, np.int64),
        np.asarray(rules, np.int64),
        np.asarray(precharges, bool),
        turn * plan.aggregator.stagger_minutes / 60,
    )


def _events(
    policy: str, event: Event | None, plan: Programme, n_days: int, step_minutes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the windows ``[event, 2]`` and what is requested, ``[event, step of the event]``."""
    if policy == Policy.V2H:
        windows = plan.tariff.peaks(n_days, step_minutes)
        longest = int(np.diff(windows, axis=1).max(initial=0))
        return windows, np.full((len(windows), longest), np.inf)
    if event is None:
        return np.empty((0, 2), np.int64), np.empty((0, 0))
    windows = event.windows(n_days, step_minutes)
    longest = int(np.diff(windows, axis=1).max(initial=0))
    envelope = plan.aggregator.envelope(longest, step_minutes / 60)
    return windows, np.tile(event.request_kw * envelope, (len(windows), 1))


def _run_draw(
    inputs: tuple[
        Cars, Sessions, Participation, Grid, Calls, tuple[np.ndarray, np.ndarray, np.ndarray]
    ],
) -> tuple[Stays, State]:
    """Simulate one draw into its arrays."""
    cars, sessions, case, grid, calls, (kw, soe_kwh, plugged) = inputs
    start = np.maximum(sessions.arrival_h, 0.0)
    step = np.floor(start / grid.step_h + 1e-9).astype(np.int64)
    order = np.lexsort((sessions.vehicle, step))
    stated = sessions.stated_h if case.stated_error else sessions.departure_h
    count, vehicles = len(order), len(cars.rated_kw)
    stays = Stays(
        sessions.vehicle[order].astype(np.int64),
        start[order],
        sessions.departure_h[order].astype(float),
        stated[order].astype(float),
        sessions.driven_kwh[order].astype(float),
        sessions.fresh[order].astype(bool),
        *(np.zeros(count) for _ in range(3)),
        np.zeros(count, bool),
    )
    soe_kwh[:, 0] = cars.target_kwh
    state = State(
        *(kw, soe_kwh, plugged, cars.target_kwh.copy(), np.zeros(vehicles, np.int64)),
        *(np.full(vehicles, -np.inf), np.full(vehicles, -np.inf)),
    )
    run(cars, stays, np.searchsorted(step[order], np.arange(grid.steps + 1)), grid, calls, state)
    return stays, state


def _check(
    vehicles: Vehicles,
    sessions_by_draw: Sequence[Sessions],
    policy: str,
    chance: Sequence[ParticipationDraw],
    signal_kw: np.ndarray,
    event: Event | None,
    step_minutes: int,
    programme: Programme,
    premise_kw: np.ndarray | None,
) -> None:
    """Raise all problems of the arguments of :func:`simulate`."""
    problems = programme.validate("programme")
    if policy not in _RULES:
        problems.append(
            Problem("policy", f"{policy!r} is not simulated", nearest(str(policy), list(_RULES)))
        )
    for name, given, wanted in (
        ("event", event, policy == Policy.EXPORT),
        ("premise_kw", premise_kw, policy == Policy.V2H),
    ):
        if (given is not None) != wanted:
            problems.append(Problem(name, f"must {'not ' if given is not None else ''}be given"))
    if step_minutes not in (60, 30, 15):
        problems.append(Problem("step_minutes", f"{step_minutes} is not 60, 30 or 15"))
    if len(chance) != len(sessions_by_draw):
        message = f"{len(chance)} draws, but sessions have {len(sessions_by_draw)}"
        problems.append(Problem("chance", message))
    days = {sessions.n_days for sessions in sessions_by_draw}
    wanted_steps = {number * 1440 // step_minutes for number in days}
    if signal_kw.ndim != 1 or wanted_steps - {len(signal_kw)}:
        message = f"shape {signal_kw.shape}, but the sessions last {sorted(wanted_steps)} steps"
        problems.append(Problem("signal_kw", message, "see v2g_feeder.dispatch.fortnight"))
    elif not np.isfinite(signal_kw).all():
        problems.append(Problem("signal_kw", "holds values that are not finite"))
    if premise_kw is not None and np.shape(premise_kw) != (len(vehicles), len(signal_kw)):
        problems.append(Problem("premise_kw", f"has shape {np.shape(premise_kw)}"))
    shapes = {one.responds.shape for one in chance} - {(len(vehicles), number) for number in days}
    if shapes:
        problems.append(Problem("chance", f"drawn for other vehicles or days: {sorted(shapes)}"))
    if any(one.vehicle.max(initial=-1) >= len(vehicles) for one in sessions_by_draw):
        problems.append(Problem("sessions", "drawn for other vehicles"))
    if problems:
        raise InputError(problems)
