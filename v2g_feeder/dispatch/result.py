"""What a dispatch leaves behind: power, state and plug of every vehicle, and its sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.dispatch.events import Event
    from v2g_feeder.fleet.participation import Participation, ParticipationDraw
    from v2g_feeder.fleet.sessions import Sessions
    from v2g_feeder.fleet.vehicles import Vehicles

__all__ = ["Dispatch", "spread_over_steps"]


@dataclass(frozen=True)
class Dispatch:
    """Result of :func:`~v2g_feeder.dispatch.simulate` for one policy and case.

    Parameters
    ----------
    policy, case, event
        What was asked for.
    step_minutes
        Length of a step.
    vehicles, sessions, chance
        The inputs; ``sessions`` are those that took place in the case, one entry a draw.
    kw
        Mean power at the grid side, ``[draw, vehicle, step]``, kW; above 0 draws from the grid.
    soe_kwh
        Stored energy at the beginning of each step and at the end, ``[draw, vehicle, step + 1]``.
        Driving is taken out at the moment of the next plug-in.
    plugged
        Share of the step in which the vehicle is plugged in, ``[draw, vehicle, step]``.
    stays
        One row a session: ``draw, vehicle, arrival_h, departure_h, driven_kwh, public_kwh`` (topped
        up in public before arrival), ``soe_arrival_kwh, soe_departure_kwh, target_kwh, reachable``
        (at full power from plug-in, within the period) and ``shortfall_kwh``. A session that goes
        on after the period has no departure: its last columns are NaN and False.
    """

    policy: str
    case: Participation
    event: Event | None
    step_minutes: int
    vehicles: Vehicles
    sessions: tuple[Sessions, ...]
    chance: tuple[ParticipationDraw, ...]
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


def spread_over_steps(
    vehicle: np.ndarray,
    start_h: np.ndarray,
    end_h: np.ndarray,
    shape: tuple[int, int],
    step_hours: float,
) -> np.ndarray:
    """Return the share of each step that lies in the intervals of each vehicle.

    Parameters
    ----------
    vehicle, start_h, end_h
        Disjoint intervals, hours from the beginning; cut at the ends of the period.
    shape
        Number of steps and of vehicles.
    step_hours
        Length of a step, h.

    Returns
    -------
    numpy.ndarray
        Shares 0 to 1, ``[step, vehicle]``.
    """
    steps, count = shape
    share = np.zeros((steps + 2) * count)
    for hours, sign in ((start_h, 1.0), (end_h, -1.0)):
        at = np.clip(hours / step_hours, 0, steps)
        step = np.floor(at).astype(int)
        inside = at - step
        np.add.at(share, step * count + vehicle, sign * (1 - inside))
        np.add.at(share, (step + 1) * count + vehicle, sign * inside)
    rows = share.reshape(steps + 2, count)[:steps]
    for later in range(1, steps):
        rows[later] += rows[later - 1]
    return np.clip(rows, 0.0, 1.0, out=rows)


def stays_table(
    columns: dict[str, np.ndarray], soe_kwh: np.ndarray, step_hours: float
) -> pd.DataFrame:
    """Return one row a session with its energy at departure; ``soe_kwh`` is ``[step, column]``."""
    last = len(soe_kwh) - 1
    table = pd.DataFrame({key: columns[key] for key in _STAY_COLUMNS})
    step = np.ceil(columns["departure_h"] / step_hours - 1e-9).astype(int)
    ended = columns["departure_h"] <= last * step_hours + 1e-9
    left = soe_kwh[np.minimum(step, last), columns["column"]]
    table["soe_departure_kwh"] = np.where(ended, left, np.nan)
    table["target_kwh"] = columns["target_kwh"]
    table["reachable"] = columns["reachable"] & ended
    missing = np.maximum(columns["target_kwh"] - left, 0.0)
    table["shortfall_kwh"] = np.where(ended, missing, np.nan)
    order: Sequence[str] = ("draw", "vehicle", "arrival_h")
    return table.sort_values(list(order)).reset_index(drop=True)


_STAY_COLUMNS = (
    "draw",
    "vehicle",
    "arrival_h",
    "departure_h",
    "driven_kwh",
    "public_kwh",
    "soe_arrival_kwh",
)
