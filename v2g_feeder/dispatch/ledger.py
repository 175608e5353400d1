"""The ledger: what every kW of nameplate does in every step, from nameplate to export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.dispatch.result import spread_over_steps

if TYPE_CHECKING:
    from v2g_feeder.dispatch.result import Dispatch

__all__ = ["LEDGER_ROWS", "Ledger", "ledger"]

LEDGER_ROWS: Final = (
    "not_bidirectional",
    "not_enrolled",
    "away",
    "unplugged",
    "no_port",
    "below_reserve",
    "needed_for_departure",
    "opted_out",
    "no_communication",
    "charger_limit",
    "site_limit",
    "feeder_limit",
    "available_4h",
    "available_2h",
    "available_1h",
    "exported",
)


@dataclass(frozen=True)
class Ledger:
    """Nameplate split into exclusive rows.

    Parameters
    ----------
    kw
        Magnitudes in kW, ``[draw, row, step]``, rows as in ``LEDGER_ROWS``. Over rows they sum to
        ``nameplate_kw`` at every step.
    nameplate_kw
        Ratings of all vehicles, bidirectional or not.
    step_minutes
        Length of a step.
    """

    kw: np.ndarray
    nameplate_kw: float
    step_minutes: int

    def row(self, name: str) -> np.ndarray:
        """Return one row, ``[draw, step]``, kW."""
        return np.asarray(self.kw[:, LEDGER_ROWS.index(name)])

    def table(self) -> pd.DataFrame:
        """Return one line a (draw, step), one column a row."""
        draws, rows, steps = self.kw.shape
        index = pd.MultiIndex.from_product([range(draws), range(steps)], names=["draw", "step"])
        values = np.moveaxis(self.kw, 1, -1).reshape(draws * steps, rows)
        return pd.DataFrame(values, index=index, columns=list(LEDGER_ROWS)).reset_index()


def ledger(dispatch: Dispatch) -> Ledger:
    """Split the nameplate of every step and draw by the first thing that stands in the way.

    Parameters
    ----------
    dispatch
        Result of any policy. What is available is judged on the state it left, whether or not
        there is an event in that step.

    Returns
    -------
    Ledger
        ``available_4h`` is the power that its vehicles could sustain for four hours,
        ``available_2h`` what comes on top for two hours only, ``available_1h`` for one hour only;
        all on top of ``exported``. ``needed_for_departure`` includes vehicles that leave within
        the hour. ``site_limit`` holds bidirectional vehicles whose site may not export.
        ``no_port`` and ``feeder_limit`` are 0: homes have a port a vehicle, and no envelope is
        applied in this stage.
    """
    draws, _, steps = dispatch.kw.shape
    kw = np.zeros((draws, len(LEDGER_ROWS), steps))
    vehicles, case = dispatch.vehicles, dispatch.case
    enrolled = case.is_enrolled(vehicles)
    out = {
        "not_bidirectional": ~vehicles.bidirectional,
        "not_enrolled": vehicles.bidirectional & ~enrolled,
    }
    for name, mask in out.items():
        kw[:, LEDGER_ROWS.index(name)] = vehicles.rated_kw[mask].sum()
    chosen = np.flatnonzero(vehicles.bidirectional & enrolled)
    for draw in range(draws):
        for name, values in _rows(_Part.of(dispatch, draw, chosen)).items():
            kw[draw, LEDGER_ROWS.index(name)] = values.sum(axis=0)
    return Ledger(kw, vehicles.nameplate_kw, dispatch.step_minutes)


@dataclass(frozen=True)
class _Part:
    """The enrolled bidirectional vehicles of one draw; columns ``[vehicle, 1]``."""

    rated_kw: np.ndarray
    export_kw: np.ndarray
    eta_c: np.ndarray
    eta_d: np.ndarray
    reserve_kwh: np.ndarray
    target_kwh: np.ndarray
    kw: np.ndarray  # this and all that follow: [vehicle, step]
    soe_kwh: np.ndarray  # after driving, before this step's power
    plugged: np.ndarray
    away: np.ndarray
    hours_left: np.ndarray  # from the step's beginning to unplugging
    declines: np.ndarray
    silent: np.ndarray
    forbidden: np.ndarray

    @classmethod
    def of(cls, dispatch: Dispatch, draw: int, chosen: np.ndarray) -> _Part:
        """Cut the ``chosen`` vehicles out of a draw."""
        vehicles, chance, h = dispatch.vehicles, dispatch.chance[draw], dispatch.step_hours
        _, count, steps = dispatch.kw.shape
        kw = np.ascontiguousarray(dispatch.kw[draw][chosen])
        day = (np.arange(steps) * dispatch.step_minutes) // 1440
        eta_c, eta_d = vehicles.eta_c[chosen, None], vehicles.eta_d[chosen, None]
        battery = vehicles.battery_kwh[chosen, None]
        plugged = np.ascontiguousarray(dispatch.plugged[draw][chosen])
        gained = np.where(kw > 0, kw * eta_c, kw / eta_d) * h
        sessions = dispatch.sessions[draw]
        absences = (sessions.away_vehicle, sessions.away_start_h, sessions.away_end_h)
        away = spread_over_steps(*absences, (steps, count), h).T[chosen]
        silent = ~chance.answers(dispatch.case)[chosen][:, day]
        return cls(
            vehicles.rated_kw[chosen, None],
            vehicles.export_kw[chosen, None],
            eta_c,
            eta_d,
            vehicles.reserve_soc[chosen, None] * battery,
            vehicles.departure_soc[chosen, None] * battery,
            kw,
            dispatch.soe_kwh[draw][chosen, 1:] - gained,
            plugged,
            np.minimum(away, 1 - plugged),
            _hours_left(dispatch, draw)[chosen],
            chance.declines(dispatch.case)[chosen][:, day],
            silent,
            np.broadcast_to(~vehicles.permitted[chosen, None], silent.shape),
        )


def _rows(part: _Part) -> dict[str, np.ndarray]:
    """Return the rows of a part, each ``[vehicle, step]`` in kW."""
    plugged = part.rated_kw * part.plugged
    away = part.rated_kw * part.away
    able = np.minimum(plugged, part.export_kw * part.plugged)
    exported = np.minimum(np.maximum(-part.kw, 0.0), able)
    unheld, sustained = _sustained(part, able)
    added = {hours: np.maximum(power - exported, 0.0) for hours, power in sustained.items()}
    above = np.maximum(unheld - exported, 0.0)
    free = ~(part.declines | part.silent | part.forbidden)
    return {
        "away": away,
        "unplugged": part.rated_kw - plugged - away,
        "charger_limit": plugged - able,
        "below_reserve": able - exported - above,
        "needed_for_departure": above - added[1],
        "opted_out": added[1] * part.declines,
        "no_communication": added[1] * (part.silent & ~part.declines),
        "site_limit": added[1] * (part.forbidden & ~part.silent & ~part.declines),
        "available_4h": added[4] * free,
        "available_2h": (added[2] - added[4]) * free,
        "available_1h": (added[1] - added[2]) * free,
        "exported": exported,
    }


def _sustained(part: _Part, able_kw: np.ndarray) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Return the export that the reserve allows for 1 h, and what is sustained for 1, 2 and 4 h.

    All ``[vehicle, step]`` in kW, at most ``able_kw``, each at most the one before.
    """
    above_reserve = np.maximum(part.soe_kwh - part.reserve_kwh, 0.0)
    unheld = np.minimum(able_kw, above_reserve * part.eta_d)
    sustained: dict[int, np.ndarray] = {}
    power = unheld
    for hours in (1, 2, 4):
        fastest = part.eta_c * part.rated_kw
        later = fastest * np.maximum(part.hours_left - hours, 0.0)
        spare = np.clip(part.soe_kwh - part.target_kwh + later, 0.0, above_reserve)
        spare *= part.hours_left >= hours
        power = np.minimum(power, spare * part.eta_d / hours)
        sustained[hours] = power
    return unheld, sustained


def _hours_left(dispatch: Dispatch, draw: int) -> np.ndarray:
    """Return the hours from each step's beginning to unplugging, ``[vehicle, step]``, or 0."""
    sessions = dispatch.sessions[draw]
    _, count, steps = dispatch.kw.shape
    h = dispatch.step_hours
    until = np.zeros((steps, count))
    first = np.floor(np.maximum(sessions.arrival_h, 0.0) / h + 1e-9).astype(int)
    inside = first < steps
    until[first[inside], sessions.vehicle[inside]] = sessions.departure_h[inside]
    until = np.maximum.accumulate(until, axis=0)
    return np.maximum(until - np.arange(steps)[:, None] * h, 0.0).T
