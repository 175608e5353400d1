"""The ledger: what every kW of nameplate does in every step, from nameplate to export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from v2g_feeder.compiled import compiled, lean
from v2g_feeder.dispatch.battery import flat, unflat
from v2g_feeder.dispatch.draws import over_draws

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
        all on top of ``exported``. ``not_enrolled`` includes vehicles whose warranty or owner does
        not allow it. ``needed_for_departure`` includes vehicles that leave, or were
        said to leave, within the hour. ``no_port`` holds vehicles that wait at a depot,
        ``site_limit`` those whose site may not export, and what exceeds its limit.
        ``feeder_limit`` is 0: no envelope is applied in this stage.
    """
    vehicles, case = dispatch.vehicles, dispatch.case
    draws, _, steps = dispatch.kw.shape
    kw = np.zeros((draws, len(LEDGER_ROWS), steps))
    enrolled = case.is_enrolled(vehicles) & vehicles.accepted
    out = {
        "not_bidirectional": ~vehicles.bidirectional,
        "not_enrolled": vehicles.bidirectional & ~enrolled,
    }
    for name, mask in out.items():
        kw[:, LEDGER_ROWS.index(name)] = vehicles.rated_kw[mask].sum()
    chosen = np.flatnonzero(vehicles.bidirectional & enrolled)
    if len(chosen) and draws:
        over_draws(
            lambda draw: _book_draw(dispatch, draw, chosen, kw[draw]),
            range(draws),
            dispatch.kw.size,
        )
    return Ledger(kw, vehicles.nameplate_kw, dispatch.step_minutes)


def _book_draw(dispatch: Dispatch, draw: int, chosen: np.ndarray, book: np.ndarray) -> None:
    """Book the ``chosen`` vehicles of a draw into ``book``, ``[row, step]``."""
    vehicles, chance, sessions = dispatch.vehicles, dispatch.chance[draw], dispatch.sessions[draw]
    case = dispatch.case
    stated = sessions.stated_h if case.stated_error else sessions.departure_h
    until = np.minimum(sessions.departure_h, stated)
    export_kw = np.array([site.export_kw for site in vehicles.sites], float)
    _book(
        chosen,
        _Cars(
            vehicles.rated_kw,
            vehicles.export_kw,
            vehicles.eta_c,
            vehicles.eta_d,
            vehicles.battery_kwh,
            vehicles.reserve_soc * vehicles.battery_kwh,
            vehicles.departure_soc * vehicles.battery_kwh,
            vehicles.taper_soc,
            vehicles.taper_floor,
            vehicles.fleet,
        ),
        _Run(
            *(dispatch.step_hours, dispatch.kw[draw], dispatch.soe_kwh[draw]),
            dispatch.plugged[draw],
            chance.declines(case),
            ~chance.answers(case),
            ~vehicles.permitted,
        ),
        _intervals(sessions.vehicle, np.maximum(sessions.arrival_h, 0.0), until, len(vehicles)),
        _intervals(
            *(sessions.away_vehicle, sessions.away_start_h, sessions.away_end_h), len(vehicles)
        ),
        _intervals(
            *(sessions.waiting_vehicle, sessions.waiting_start_h, sessions.waiting_end_h),
            len(vehicles),
        ),
        export_kw,
        book,
    )


class _Cars(NamedTuple):
    """Vehicles, ``[vehicle]``."""

    rated_kw: np.ndarray
    export_kw: np.ndarray
    eta_c: np.ndarray
    eta_d: np.ndarray
    battery_kwh: np.ndarray
    reserve_kwh: np.ndarray
    target_kwh: np.ndarray
    taper_soc: np.ndarray
    taper_floor: np.ndarray
    site: np.ndarray


class _Run(NamedTuple):
    """One draw; ``[vehicle, step]``, ``[vehicle, day]``, and ``[vehicle]`` at the end."""

    step_h: float
    kw: np.ndarray
    soe_kwh: np.ndarray
    plugged: np.ndarray
    declines: np.ndarray
    silent: np.ndarray
    forbidden: np.ndarray


class _Intervals(NamedTuple):
    """Disjoint intervals of each vehicle; those of ``i`` are ``first[i]`` to ``first[i + 1]``."""

    first: np.ndarray
    start_h: np.ndarray
    end_h: np.ndarray


def _intervals(
    vehicle: np.ndarray, start_h: np.ndarray, end_h: np.ndarray, vehicles: int
) -> _Intervals:
    """Return sorted intervals by vehicle."""
    first = np.searchsorted(vehicle, np.arange(vehicles + 1))
    return _Intervals(first, np.asarray(start_h, float), np.asarray(end_h, float))


_ROW: Final = {name: number for number, name in enumerate(LEDGER_ROWS)}
_AWAY, _UNPLUGGED, _NO_PORT = _ROW["away"], _ROW["unplugged"], _ROW["no_port"]
_RESERVE, _DEPARTURE = _ROW["below_reserve"], _ROW["needed_for_departure"]
_DECLINED, _SILENT = _ROW["opted_out"], _ROW["no_communication"]
_CHARGER, _SITE = _ROW["charger_limit"], _ROW["site_limit"]
_FOR_4H, _FOR_2H, _FOR_1H = _ROW["available_4h"], _ROW["available_2h"], _ROW["available_1h"]
_EXPORTED = _ROW["exported"]


@compiled
def _book(
    chosen: np.ndarray,
    cars: _Cars,
    run: _Run,
    stays: _Intervals,
    away: _Intervals,
    waiting: _Intervals,
    site_export_kw: np.ndarray,
    book: np.ndarray,
) -> None:
    """Book every step of the ``chosen`` vehicles, then what their sites cannot take."""
    steps, h = run.kw.shape[1], run.step_h
    at_site = np.zeros((len(site_export_kw), 4, steps))  # available for 4, 2, 1 h, exported
    for i in chosen:
        stay, out, wait = stays.first[i], away.first[i], waiting.first[i]
        for t in range(steps):
            now = t * h
            while stay < stays.first[i + 1] - 1 and stays.start_h[stay + 1] < now + h - 1e-9:
                stay += 1
            out, gone = _inside(away, out, i, now, h)
            wait, waits = _inside(waiting, wait, i, now, h)
            until = stays.end_h[stay] if stay < stays.first[i + 1] else 0.0
            day = int(now // 24)
            rated, inside = cars.rated_kw[i], run.plugged[i, t]
            gone = min(gone, 1.0 - inside)
            waits = min(waits, 1.0 - inside - gone)
            plugged, able = rated * inside, min(rated, cars.export_kw[i]) * inside
            exported = min(max(-run.kw[i, t], 0.0), able)
            book[_AWAY, t] += rated * gone
            book[_NO_PORT, t] += rated * waits
            book[_UNPLUGGED, t] += rated - plugged - rated * gone - rated * waits
            if inside <= 0.0:
                continue
            book[_CHARGER, t] += plugged - able
            unheld, for_1h, for_2h, for_4h = _sustained(i, t, able, until - now, cars, run)
            above = max(unheld - exported, 0.0)
            for_1h, for_2h = max(for_1h - exported, 0.0), max(for_2h - exported, 0.0)
            for_4h = max(for_4h - exported, 0.0)
            book[_EXPORTED, t] += exported
            book[_RESERVE, t] += able - exported - above
            book[_DEPARTURE, t] += above - for_1h
            at_site[cars.site[i], 3, t] += exported
            if run.declines[i, day]:
                book[_DECLINED, t] += for_1h
            elif run.silent[i, day]:
                book[_SILENT, t] += for_1h
            elif run.forbidden[i]:
                book[_SITE, t] += for_1h
            else:
                at_site[cars.site[i], 0, t] += for_4h
                at_site[cars.site[i], 1, t] += for_2h - for_4h
                at_site[cars.site[i], 2, t] += for_1h - for_2h
    for site in range(len(site_export_kw)):
        for t in range(steps):
            available = at_site[site, :3, t].sum()
            room = max(site_export_kw[site] - at_site[site, 3, t], 0.0)
            part = min(room / available, 1.0) if available > 0.0 else 0.0
            book[_FOR_4H, t] += at_site[site, 0, t] * part
            book[_FOR_2H, t] += at_site[site, 1, t] * part
            book[_FOR_1H, t] += at_site[site, 2, t] * part
            book[_SITE, t] += available * (1.0 - part)


@lean
def _inside(of: _Intervals, at: int, i: int, now: float, h: float) -> tuple[int, float]:
    """Return the share of a step that lies in a vehicle's intervals, going on from ``at``."""
    share, last = 0.0, of.first[i + 1]
    while at < last and of.end_h[at] <= now:
        at += 1
    number = at
    while number < last and of.start_h[number] < now + h:
        share += (min(of.end_h[number], now + h) - max(of.start_h[number], now)) / h
        number += 1
    return at, min(share, 1.0)


@lean
def _sustained(
    i: int, t: int, able_kw: float, left_h: float, cars: _Cars, run: _Run
) -> tuple[float, float, float, float]:
    """Return the export that the reserve allows for 1 h, and what departure leaves of it.

    The last three are sustained for 1, 2 and 4 h, in kW, each at most the one before.
    """
    kw, eta_d = run.kw[i, t], cars.eta_d[i]
    gained = run.step_h * (kw * cars.eta_c[i] if kw > 0.0 else kw / eta_d)
    soe = run.soe_kwh[i, t + 1] - gained  # after driving, before this step's power
    above = max(soe - cars.reserve_kwh[i], 0.0)
    unheld = min(able_kw, above * eta_d)
    one = min(unheld, _spare(i, soe, above, left_h, 1.0, cars) * eta_d)
    two = min(one, _spare(i, soe, above, left_h, 2.0, cars) * eta_d / 2.0)
    four = min(two, _spare(i, soe, above, left_h, 4.0, cars) * eta_d / 4.0)
    return unheld, one, two, four


@lean
def _spare(
    i: int, soe_kwh: float, above_kwh: float, left_h: float, hours: float, cars: _Cars
) -> float:
    """Return what can be taken over some hours and charged again by departure, kWh."""
    if left_h < hours:
        return 0.0
    battery, s0, f = cars.battery_kwh[i], cars.taper_soc[i], cars.taper_floor[i]
    later = cars.eta_c[i] * cars.rated_kw[i] * (left_h - hours)
    keep = unflat(flat(cars.target_kwh[i], battery, s0, f) - later, battery, s0, f)
    return min(max(soe_kwh - keep, 0.0), above_kwh)
