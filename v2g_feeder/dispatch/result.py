"""What a dispatch leaves behind: power, state and plug of every vehicle, and its sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.dispatch.arrays import State, Stays
    from v2g_feeder.dispatch.events import Event
    from v2g_feeder.fleet.participation import Participation, ParticipationDraw
    from v2g_feeder.fleet.sessions import Sessions
    from v2g_feeder.fleet.vehicles import Vehicles

__all__ = ["Dispatch"]


@dataclass(frozen=True)
class Dispatch:
    """Result of :func:`~v2g_feeder.dispatch.simulate` for one policy and case.

    Parameters
    ----------
    policy, case, event
        What was asked for.
    step_minutes
        Length of a step.
    vehicles, sessions, chance, signal_kw
        The inputs; ``sessions`` and ``chance`` have one entry a draw.
    kw
        Mean power at the grid side, ``[draw, vehicle, step]``, kW; above 0 draws from the grid.
    soe_kwh
        Stored energy at the beginning of each step and at the end, ``[draw, vehicle, step + 1]``.
        Driving is taken out at the moment of the next plug-in.
    plugged
        Share of the step in which the vehicle is plugged in, ``[draw, vehicle, step]``.
    stays
        One row a session: ``draw, vehicle, arrival_h`` (0 if it was under way), ``departure_h,
        stated_h`` (what the dispatch was told), ``driven_kwh, public_kwh`` (topped up in public
        before arrival), ``swapped_kwh`` (what another car brings more than the one before left),
        ``soe_arrival_kwh, soe_departure_kwh, target_kwh, reachable`` (at full power from plug-in,
        within the period) and ``shortfall_kwh``. A session that goes on after the period has no
        departure: its last columns are NaN and False.
    """

    policy: str
    case: Participation
    event: Event | None
    step_minutes: int
    vehicles: Vehicles
    sessions: tuple[Sessions, ...]
    chance: tuple[ParticipationDraw, ...]
    signal_kw: np.ndarray
    kw: np.ndarray
    soe_kwh: np.ndarray
    plugged: np.ndarray
    stays: pd.DataFrame

    @property
    def step_hours(self) -> float:
        """Length of a step in hours."""
        return self.step_minutes / 60

    @property
    def shortfall(self) -> pd.DataFrame:
        """Rows of ``stays`` that left below their target by more than 1e-6 kWh."""
        return self.stays[self.stays["shortfall_kwh"] > 1e-6].reset_index(drop=True)

    @property
    def head_kw(self) -> np.ndarray:
        """Sum over vehicles, ``[draw, step]``, kW."""
        return np.asarray(self.kw.sum(axis=1))


def stays_table(
    runs: Sequence[tuple[Stays, State]],
    sessions_by_draw: Sequence[Sessions],
    target_kwh: np.ndarray,
    step_hours: float,
) -> pd.DataFrame:
    """Return one row a session of all draws, with its energy at departure.

    Parameters
    ----------
    runs, sessions_by_draw
        Stays and state, one pair a draw, and the sessions whose ``by_start`` the stays are in.
    target_kwh
        Departure target, ``[vehicle]``.
    step_hours
        Length of a step, h.
    """
    columns: dict[str, list[np.ndarray]] = {
        name: [] for name in ("draw", *_COLUMNS, *_AT_DEPARTURE)
    }
    for draw, ((stays, state), sessions) in enumerate(zip(runs, sessions_by_draw, strict=True)):
        last = state.soe_kwh.shape[1] - 1
        step = np.ceil(stays.departure_h / step_hours - 1e-9).astype(int)
        ended = stays.departure_h <= last * step_hours + 1e-9
        left = state.soe_kwh[stays.vehicle, np.minimum(step, last)]
        target = target_kwh[stays.vehicle]
        found = {name: getattr(stays, field) for name, field in _COLUMNS.items()} | {
            "draw": np.full(len(stays.vehicle), draw),
            "soe_departure_kwh": np.where(ended, left, np.nan),
            "target_kwh": target,
            "reachable": stays.reachable & ended,
            "shortfall_kwh": np.where(ended, np.maximum(target - left, 0.0), np.nan),
        }
        back = np.argsort(sessions.by_start)
        for name, values in found.items():
            columns[name].append(values[back])
    table = {
        name: np.concatenate(parts) if parts else np.empty(0) for name, parts in columns.items()
    }
    return pd.DataFrame(table)


_COLUMNS = {
    "vehicle": "vehicle",
    "arrival_h": "start_h",
    "departure_h": "departure_h",
    "stated_h": "stated_h",
    "driven_kwh": "driven_kwh",
    "public_kwh": "public_kwh",
    "swapped_kwh": "swapped_kwh",
    "soe_arrival_kwh": "soe_arrival_kwh",
}
_AT_DEPARTURE = ("soe_departure_kwh", "target_kwh", "reachable", "shortfall_kwh")
