"""The arguments of a simulation, checked and turned into what the compiled functions take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.conventions import Policy
from v2g_feeder.dispatch.arrays import ARBITRAGE, CHEAPEST, NOW, VALLEY, Calls, Cars, Grid
from v2g_feeder.dispatch.battery import flat
from v2g_feeder.errors import Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.dispatch.events import Event
    from v2g_feeder.dispatch.simulate import Programme
    from v2g_feeder.fleet.participation import Participation, ParticipationDraw
    from v2g_feeder.fleet.sessions import Sessions
    from v2g_feeder.fleet.vehicles import Vehicles

__all__ = [
    "AHEAD_H",
    "calls_of",
    "cars_of",
    "grid_of",
    "length_problems",
    "policy_problems",
    "takes_part",
]

AHEAD_H: Final = 48  # plans reach this far beyond the period
_RULES: Final = {
    Policy.UNCONTROLLED: NOW,
    Policy.TIME_OF_USE: CHEAPEST,
    Policy.MANAGED: VALLEY,
    Policy.EXPORT: VALLEY,
    Policy.V2H: VALLEY,
    Policy.PRICE: ARBITRAGE,
}
_TURN: Final = 0.6180339887498949  # multiples of it, modulo 1, are evenly spread however many


def policy_problems(
    policy: str, event: Event | None, premise_kw: np.ndarray | None, step_minutes: int
) -> list[Problem]:
    """Return every problem of a policy, what goes with it, and the step."""
    problems = []
    if policy not in list(_RULES):
        hint = nearest(str(policy), list(_RULES))
        problems.append(Problem("policy", f"{policy!r} is not simulated", hint))
    for name, given, wanted in (
        ("event", event, policy == Policy.EXPORT),
        ("premise_kw", premise_kw, policy == Policy.V2H),
    ):
        if (given is not None) != wanted:
            problems.append(Problem(name, f"must {'not ' if given is not None else ''}be given"))
    if step_minutes not in (60, 30, 15):
        problems.append(Problem("step_minutes", f"{step_minutes} is not 60, 30 or 15"))
    elif event is not None:
        problems += event.validate("event", step_minutes)
    if premise_kw is not None and not (np.isfinite(premise_kw) & (premise_kw >= 0)).all():
        problems.append(Problem("premise_kw", "holds values that are not 0 or more"))
    return problems


def length_problems(
    vehicles: Vehicles,
    sessions_by_draw: Sequence[Sessions],
    chance: Sequence[ParticipationDraw],
    signal_kw: np.ndarray,
    premise_kw: np.ndarray | None,
    steps_a_day: int,
) -> list[Problem]:
    """Return every problem of inputs that do not belong together."""
    problems = []
    if len(chance) != len(sessions_by_draw):
        message = f"{len(chance)} draws, but sessions have {len(sessions_by_draw)}"
        problems.append(Problem("chance", message))
    days = {sessions.n_days for sessions in sessions_by_draw}
    wanted = {number * steps_a_day for number in days}
    if signal_kw.ndim != 1 or wanted - {len(signal_kw)}:
        message = f"shape {signal_kw.shape}, but the sessions last {sorted(wanted)} steps"
        problems.append(Problem("signal_kw", message, "see v2g_feeder.dispatch.fortnight"))
    elif not np.isfinite(signal_kw).all():
        problems.append(Problem("signal_kw", "holds values that are not finite"))
    if premise_kw is not None and np.shape(premise_kw) != (len(vehicles), *signal_kw.shape):
        problems.append(Problem("premise_kw", f"has shape {np.shape(premise_kw)}"))
    shapes = {one.responds.shape for one in chance} - {(len(vehicles), number) for number in days}
    if shapes:
        problems.append(Problem("chance", f"drawn for other vehicles or days: {sorted(shapes)}"))
    if any(one.vehicle.max(initial=-1) >= len(vehicles) for one in sessions_by_draw):
        problems.append(Problem("sessions", "drawn for other vehicles"))
    return problems


def cars_of(vehicles: Vehicles, policy: str, case: Participation, programme: Programme) -> Cars:
    """Return the vehicles."""
    enrolled = case.is_enrolled(vehicles)
    rule = _RULES[Policy(policy)]
    if rule == VALLEY and programme.signal == "price":
        rule = CHEAPEST
    discharges = enrolled & vehicles.bidirectional & vehicles.accepted
    exports = discharges & vehicles.permitted
    rules = np.where(enrolled, rule, np.where(vehicles.smart_only, CHEAPEST, NOW))
    if policy == Policy.UNCONTROLLED:
        rules[:] = NOW
    if policy == Policy.PRICE:
        rules[enrolled & ~exports] = CHEAPEST
    can = exports if policy == Policy.EXPORT else discharges
    precharges = can & programme.aggregator.precharge & (policy in (Policy.EXPORT, Policy.V2H))
    floats = {
        name: np.ascontiguousarray(getattr(vehicles, name), float)
        for name in ("rated_kw", "export_kw", "eta_c", "eta_d", "battery_kwh")
    }
    battery = floats["battery_kwh"]
    target = np.asarray(vehicles.departure_soc * battery)
    taper = (np.asarray(vehicles.taper_soc, float), np.asarray(vehicles.taper_floor, float))
    turn = np.arange(len(vehicles)) * _TURN % 1.0
    return Cars(
        **floats,
        target_kwh=target,
        target_flat_kwh=np.array(
            [flat(*row) for row in zip(target, battery, *taper, strict=True)], float
        ),
        reserve_kwh=np.asarray(vehicles.reserve_soc * battery),
        floor_kwh=np.asarray(vehicles.floor_soc * battery),
        taper_soc=taper[0],
        taper_floor=taper[1],
        sure_kw=_sure_kw(vehicles),
        site=np.asarray(vehicles.fleet, np.int64),
        rule=np.asarray(rules, np.int64),
        known=np.asarray(enrolled, bool),
        precharges=np.asarray(precharges, bool),
        stagger_h=turn * programme.aggregator.stagger_minutes / 60,
    )


def _sure_kw(vehicles: Vehicles) -> np.ndarray:
    """Return the charging that each vehicle is sure of at its site's import limit, kW."""
    rated = np.asarray(vehicles.rated_kw, float)
    total = np.bincount(vehicles.fleet, rated, len(vehicles.sites))
    count = np.bincount(vehicles.fleet, minlength=len(vehicles.sites))
    at_once = [
        1.0 if site.ports is None else min(site.ports / max(number, 1), 1.0)
        for site, number in zip(vehicles.sites, count, strict=True)
    ]
    limit = np.array([site.import_kw for site in vehicles.sites], float)
    part = np.minimum(limit / np.maximum(total * at_once, 1e-9), 1.0)
    return np.asarray(rated * part[vehicles.fleet])


def grid_of(
    vehicles: Vehicles, signal_kw: np.ndarray, programme: Programme, step_minutes: int
) -> Grid:
    """Return what the plans of one draw see, before anything is planned."""
    per_hour = 60 // step_minutes
    hourly = signal_kw.reshape(-1, per_hour).mean(axis=1)
    price = programme.tariff.signal(len(hourly) // 24, step_minutes)
    ahead = len(signal_kw) + AHEAD_H * per_hour
    limits = np.array([(site.import_kw, site.export_kw) for site in vehicles.sites], float)
    return Grid(
        step_h=step_minutes / 60,
        per_hour=per_hour,
        steps=len(signal_kw),
        ahead=ahead,
        load_kw=np.resize(hourly, len(hourly) + AHEAD_H),
        price=np.resize(price, ahead),
        prices=np.unique(price),
        wear=programme.tariff.throughput_per_kwh,
        site_kw=np.zeros((len(limits), ahead if np.isfinite(limits).any() else 0)),
        site_import_kw=limits[:, 0].copy(),
        site_export_kw=limits[:, 1].copy(),
    )


def calls_of(
    policy: str,
    event: Event | None,
    programme: Programme,
    premise_kw: np.ndarray | None,
    days: int,
    step_minutes: int,
) -> Calls:
    """Return the events, before it is known who takes part."""
    windows, asked = np.empty((0, 2), np.int64), 0.0
    if policy == Policy.V2H:
        windows, asked = programme.tariff.peaks(days, step_minutes), np.inf
    elif event is not None:
        windows, asked = event.windows(days, step_minutes), event.request_kw
    longest = int(np.diff(windows, axis=1).max(initial=0))
    request = np.full((len(windows), longest), float(asked))
    if policy == Policy.EXPORT:
        request *= programme.aggregator.envelope(longest, step_minutes / 60)
    return Calls(
        window=windows,
        request_kw=request,
        takes_part=np.empty((0, 0), bool),
        replace_h=programme.aggregator.replace_hours,
        immediate=programme.aggregator.rebound == "immediate",
        premise_kw=np.ascontiguousarray(np.empty((0, 0)) if premise_kw is None else premise_kw),
    )


def takes_part(
    vehicles: Vehicles,
    policy: str,
    case: Participation,
    drawn: ParticipationDraw,
    day: np.ndarray,
) -> np.ndarray:
    """Return who takes part in each event, ``[event, vehicle]``, given the events' days."""
    able = case.is_enrolled(vehicles) & vehicles.bidirectional & vehicles.accepted
    if policy != Policy.V2H:
        able = able & vehicles.permitted
    answers = (drawn.answers(case) & ~drawn.declines(case)).T & able
    return np.ascontiguousarray(answers[day])
