"""The dispatch of a fleet over a fortnight: uncontrolled, managed, and managed with events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.conventions import Policy
from v2g_feeder.dispatch.result import Dispatch, stays_table
from v2g_feeder.dispatch.run import Run
from v2g_feeder.errors import InputError, Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.dispatch.events import Event
    from v2g_feeder.fleet.participation import Participation, ParticipationDraw
    from v2g_feeder.fleet.sessions import Sessions
    from v2g_feeder.fleet.vehicles import Vehicles

__all__ = ["simulate"]

_POLICIES: Final = (Policy.UNCONTROLLED, Policy.MANAGED, Policy.EXPORT)


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
) -> Dispatch:
    """Simulate all draws of one policy and participation case.

    Parameters
    ----------
    vehicles
        Vehicles of all fleets.
    sessions_by_draw, chance
        One entry a draw; the same ones for every policy and case.
    policy
        ``uncontrolled``, ``managed`` or ``export``.
    case
        Participation case. Vehicles that are not enrolled charge uncontrolled.
    signal_kw
        Base load that managed charging levels, ``[step]``, kW, from the first Monday's midnight
        (see :func:`~v2g_feeder.dispatch.fortnight`). The load of vehicles that are not enrolled
        is not known to the plans.
    event
        Export events; given if and only if the policy is ``export``.
    step_minutes
        60, 30 or 15.

    Returns
    -------
    Dispatch
        Signed power at the grid side. While charging, battery kW = ``eta_c`` x grid kW; while
        exporting, battery kW = grid kW / ``eta_d``. Export never goes below the reserve, in sum
        never above the request, and never costs a departure target that was reachable without it.

    Raises
    ------
    InputError
        For an unknown policy, an event that is missing or not wanted, or lengths that differ.
    """
    signal = np.asarray(signal_kw, dtype=float)
    _check(vehicles, sessions_by_draw, policy, chance, signal, event, step_minutes)
    kept = tuple(sessions.kept(case.plug_in) for sessions in sessions_by_draw)
    run = Run(
        vehicles,
        kept,
        is_managed=case.is_enrolled(vehicles) & (policy != Policy.UNCONTROLLED),
        signal_kw=signal,
        step_hours=step_minutes / 60,
    )
    if event is not None:
        n_days = len(signal) * step_minutes // 1440
        windows = event.windows(n_days, step_minutes)
        run.call(event.request_kw, windows, _taking_part(vehicles, case, chance, n_days))
    run.advance()
    shape = (run.steps, len(kept), len(vehicles))
    return Dispatch(
        policy=str(policy),
        case=case,
        event=event,
        step_minutes=step_minutes,
        vehicles=vehicles,
        sessions=kept,
        chance=tuple(chance),
        kw=np.moveaxis(run.kw[: run.steps].reshape(shape), 0, -1),
        soe_kwh=np.moveaxis(run.soe.reshape(shape[0] + 1, *shape[1:]), 0, -1),
        plugged=np.moveaxis(run.plugged.reshape(shape), 0, -1),
        stays=stays_table(run.stay, run.soe, run.h),
    )


def _taking_part(
    vehicles: Vehicles, case: Participation, chance: Sequence[ParticipationDraw], n_days: int
) -> np.ndarray:
    """Return who exports if called, ``[day, column]`` with column = draw x vehicles + vehicle."""
    able = case.is_enrolled(vehicles) & vehicles.bidirectional & vehicles.permitted
    days = [(one.answers(case) & ~one.declines(case)).T & able for one in chance]
    return np.concatenate([np.empty((n_days, 0), dtype=bool), *days], axis=1)


def _check(
    vehicles: Vehicles,
    sessions_by_draw: Sequence[Sessions],
    policy: str,
    chance: Sequence[ParticipationDraw],
    signal_kw: np.ndarray,
    event: Event | None,
    step_minutes: int,
) -> None:
    """Raise all problems of the arguments of :func:`simulate`."""
    problems = []
    if policy not in _POLICIES:
        problems.append(
            Problem("policy", f"{policy!r} is not simulated", nearest(policy, _POLICIES))
        )
    if (event is not None) != (policy == Policy.EXPORT):
        problems.append(Problem("event", f"must {'' if event is None else 'not '}be given here"))
    if step_minutes not in (60, 30, 15):
        problems.append(Problem("step_minutes", f"{step_minutes} is not 60, 30 or 15"))
    if len(chance) != len(sessions_by_draw):
        message = f"{len(chance)} draws, but sessions have {len(sessions_by_draw)}"
        problems.append(Problem("chance", message))
    days = {sessions.n_days for sessions in sessions_by_draw}
    wanted = {number * 1440 // step_minutes for number in days}
    if signal_kw.ndim != 1 or wanted - {len(signal_kw)}:
        message = f"shape {signal_kw.shape}, but the sessions last {sorted(wanted)} steps"
        problems.append(Problem("signal_kw", message, "see v2g_feeder.dispatch.fortnight"))
    elif not np.isfinite(signal_kw).all():
        problems.append(Problem("signal_kw", "holds values that are not finite"))
    shapes = {one.responds.shape for one in chance} - {(len(vehicles), number) for number in days}
    if shapes:
        problems.append(Problem("chance", f"drawn for other vehicles or days: {sorted(shapes)}"))
    if any(one.vehicle.max(initial=-1) >= len(vehicles) for one in sessions_by_draw):
        problems.append(Problem("sessions", "drawn for other vehicles"))
    if problems:
        raise InputError(problems)
