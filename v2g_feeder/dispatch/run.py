"""One simulation in progress.

A session is planned when it begins, knowing its departure; the plan meets the departure target
whenever full power from plug-in would. Managed sessions fill the valley of the signal and of what
is already planned. An event overrides the plans of those who take part; these are planned anew when
it ends. Columns are (draw, vehicle) pairs, so that one step serves all draws at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.dispatch.plan import charge_now, fill_valley
from v2g_feeder.dispatch.result import spread_over_steps
from v2g_feeder.dispatch.share import share_by_slack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.fleet.sessions import Sessions
    from v2g_feeder.fleet.vehicles import Vehicles

__all__ = ["Run"]

_HORIZON_H: Final = 48  # plans look this far, unless the need takes longer
_SHORT_H: Final = 18  # most stays are shorter: planned apart, on a smaller matrix


class Run:
    """State of a simulation; arrays ``[step, column]``, column = draw x vehicles + vehicle.

    Plans reach one horizon beyond the period, where the signal starts again from its first Monday.

    Parameters
    ----------
    vehicles, sessions
        The fleet, and the sessions that take place in each draw.
    is_managed
        Which vehicles fill the valley, ``[vehicle]``; the others charge at once.
    signal_kw
        Base load, ``[step]``, kW.
    step_hours
        Length of a step, h.
    """

    def __init__(
        self,
        vehicles: Vehicles,
        sessions: Sequence[Sessions],
        *,
        is_managed: np.ndarray,
        signal_kw: np.ndarray,
        step_hours: float,
    ) -> None:
        self.h = step_hours
        self.steps = len(signal_kw)
        self.draws = len(sessions)
        columns = self.draws * len(vehicles)

        def tile(values: np.ndarray) -> np.ndarray:
            return np.tile(values, self.draws)

        self.draw = np.repeat(np.arange(self.draws), len(vehicles))
        self.rated, self.export = tile(vehicles.rated_kw), tile(vehicles.export_kw)
        self.eta_c, self.eta_d = tile(vehicles.eta_c), tile(vehicles.eta_d)
        self.target = tile(vehicles.departure_soc * vehicles.battery_kwh)
        self.reserve = tile(vehicles.reserve_soc * vehicles.battery_kwh)
        self.floor = tile(vehicles.floor_soc * vehicles.battery_kwh)
        self.is_managed = tile(is_managed)

        ahead = self.steps + round(_HORIZON_H / step_hours)
        self.load = np.repeat(np.resize(signal_kw, ahead)[:, None], self.draws, axis=1)
        self.kw = np.zeros((ahead, columns))
        self.soe = np.zeros((self.steps + 1, columns))
        self.soe[0] = self.target
        self.until = np.full(columns, -np.inf)  # departure of the latest session, h
        self.stay, self.begins = self._sorted_stays(sessions, len(vehicles))
        self.plugged = spread_over_steps(
            self.stay["column"],
            self.stay["start_h"],
            self.stay["departure_h"],
            (self.steps, columns),
            step_hours,
        )
        self.windows = np.empty((0, 2), dtype=int)
        self.takes_part = np.empty((0, columns), dtype=bool)
        self.request_kw = 0.0

    def _sorted_stays(
        self, sessions: Sequence[Sessions], count: int
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return the sessions in order of step and column, and the first of each step."""
        draw = np.repeat(np.arange(self.draws), [len(one) for one in sessions])
        stay: dict[str, np.ndarray] = {"draw": draw}
        for key in ("vehicle", "arrival_h", "departure_h", "driven_kwh"):
            parts = [getattr(one, key) for one in sessions]
            stay[key] = np.concatenate(parts) if parts else np.empty(0)
        stay["vehicle"] = stay["vehicle"].astype(int)
        stay["column"] = draw * count + stay["vehicle"]
        stay["start_h"] = np.maximum(stay["arrival_h"], 0.0)
        step = np.floor(stay["start_h"] / self.h + 1e-9).astype(int)
        order = np.lexsort((stay["column"], step))
        stay = {key: values[order] for key, values in stay.items()}
        stay["target_kwh"] = self.target[stay["column"]]
        for key in ("public_kwh", "soe_arrival_kwh"):
            stay[key] = np.zeros(len(order))
        stay["reachable"] = np.zeros(len(order), dtype=bool)
        return stay, np.searchsorted(step[order], np.arange(self.steps + 1))

    def call(self, request_kw: float, windows: np.ndarray, takes_part: np.ndarray) -> None:
        """Announce events.

        Parameters
        ----------
        request_kw
            Export asked of each draw, kW, a magnitude.
        windows
            First and past-the-last step of each event, ``[event, 2]``, in order, disjoint.
        takes_part
            Who exports if called on a day, ``[day, column]``.
        """
        day = np.floor(windows[:, 0] * self.h / 24).astype(int)
        self.request_kw, self.windows, self.takes_part = request_kw, windows, takes_part[day]

    def advance(self) -> None:
        """Go through all steps."""
        starts = self.windows[:, 0]
        for step in range(self.steps):
            self.soe[step + 1] = self.soe[step]
            for ended in np.flatnonzero(self.windows[:, 1] == step):
                self._resume(step, self.takes_part[ended])
            first, last = self.begins[step : step + 2]
            if last > first:
                self._arrive(step, slice(first, last))
            number = int(np.searchsorted(starts, step, side="right")) - 1
            if number >= 0 and step < self.windows[number, 1]:
                self._export(step, self.takes_part[number], self.windows[number, 1] * self.h)
            else:
                self.soe[step + 1] += self.kw[step] * (self.eta_c * self.h)

    def _arrive(self, step: int, rows: slice) -> None:
        """Take out the driving of the sessions that begin, and plan them."""
        stay = {key: values[rows] for key, values in self.stay.items()}  # views
        column, driven = stay["column"], stay["driven_kwh"]
        empty = self.soe[step, column] - driven
        stay["public_kwh"][:] = np.clip(self.floor[column] - empty, 0.0, driven)
        soe = empty + stay["public_kwh"]
        stay["soe_arrival_kwh"][:] = soe
        hours = stay["departure_h"] - stay["start_h"]
        most = soe + self.eta_c[column] * self.rated[column] * hours
        stay["reachable"][:] = most >= self.target[column] - 1e-9
        self.soe[step + 1, column] = soe
        self.until[column] = stay["departure_h"]
        self._plan(step, column, stay["start_h"])

    def _resume(self, step: int, takes_part: np.ndarray) -> None:
        """Plan anew, after an event, those who took part and are still plugged in."""
        still = takes_part & (self.plugged[step - 1] > 0) & (self.until > step * self.h)
        column = np.flatnonzero(still)
        if len(column) == 0:
            return
        planned = slice(step, step + int(np.ceil((self.until[column].max()) / self.h)) - step)
        self._commit(planned, column, -self.kw[planned, column])
        self.kw[planned, column] = 0.0
        self._plan(step, column, np.full(len(column), step * self.h))

    def _plan(self, step: int, column: np.ndarray, start_h: np.ndarray) -> None:
        """Plan the charging of ``column`` from ``start_h``, within ``step``, to its departure."""
        gap = np.maximum(self.target[column] - self.soe[step + 1, column], 0.0)
        need = gap / (self.eta_c[column] * self.h)
        managed = self.is_managed[column]
        length = np.ceil(self.until[column] / self.h - 1e-9).astype(int) - step
        full = np.ceil(need / self.rated[column]).astype(int) + 1
        horizon, short = round(_HORIZON_H / self.h), round(_SHORT_H / self.h)
        window = np.where(managed, np.maximum(horizon, full), full)
        window = np.minimum(np.minimum(window, length), len(self.kw) - step)
        total = np.bincount(self.draw[column], need * managed, self.draws)[self.draw[column]]
        for group in (~managed, managed & (window <= short), managed & (window > short)):
            chosen = np.flatnonzero(group & (need > 0))
            if len(chosen) == 0:
                continue
            planned = slice(step, step + window[chosen].max())
            here = column[chosen]
            cap = self._cap(planned, here, start_h[chosen])
            if managed[chosen[0]]:
                share = need[chosen] / total[chosen]
                load = self.load[planned, self.draw[here]]
                power = fill_valley(cap, need[chosen], load, share)
                self._commit(planned, here, power)
            else:
                power = charge_now(cap, need[chosen])
            self.kw[planned, here] = power

    def _cap(self, planned: slice, column: np.ndarray, start_h: np.ndarray) -> np.ndarray:
        """Return the highest mean power in each step while plugged in, ``[step, column]``, kW."""
        edge = np.arange(planned.start, planned.stop)[:, None] * self.h
        overlap = np.minimum(self.until[column], edge + self.h) - np.maximum(start_h, edge)
        return np.asarray(np.clip(overlap / self.h, 0.0, 1.0) * self.rated[column])

    def _commit(self, planned: slice, column: np.ndarray, power: np.ndarray) -> None:
        """Add the power of sorted ``column`` to the load that later plans see."""
        draw = self.draw[column]
        first = np.flatnonzero(np.diff(draw, prepend=-1))
        self.load[planned, draw[first]] += np.add.reduceat(power, first, axis=1)

    def _export(self, step: int, takes_part: np.ndarray, end_h: float) -> None:
        """Replace the plans of those who take part by export, or by what departure needs."""
        gain = self.kw[step] * (self.eta_c * self.h)
        column = np.flatnonzero(takes_part & (self.plugged[step] > 0))
        plugged, until = self.plugged[step, column], self.until[column]
        eta_c, eta_d = self.eta_c[column], self.eta_d[column]
        soe, rated = self.soe[step + 1, column], self.rated[column]
        target, fastest = self.target[column], eta_c * rated
        # with less than this at the end of the step, the target is out of reach
        needed = target - fastest * np.maximum(until - (step + 1) * self.h, 0.0)
        charge = np.clip((needed - soe) / (eta_c * self.h), 0.0, rated * plugged)
        # what is exported must be charged again after the event, not in it
        keep = target - fastest * np.maximum(until - end_h, 0.0)
        spare = np.maximum(soe - np.maximum(self.reserve[column], keep), 0.0)
        limit = np.minimum(self.export[column] * plugged, spare * eta_d / self.h)
        hours = np.maximum(np.minimum(until, end_h) - step * self.h, 1e-6)
        slack = spare / hours  # who leaves early gives early
        power = share_by_slack(self.request_kw, limit, slack, self.draw[column], self.draws)
        self.kw[step, column] = charge - power
        gain[column] = charge * eta_c * self.h - power * self.h / eta_d
        self.soe[step + 1] += gain
