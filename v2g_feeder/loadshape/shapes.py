"""The shapes of a fleet: signed kW by connection point and step, under every policy and case.

``fleet_shapes`` goes from settings to shapes without a feeder: what it needs of one is the load
that managed charging levels and, for V2H, the load of the premises.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Case, Policy
from v2g_feeder.dispatch import (
    LEDGER_ROWS,
    day_steps,
    ledger,
    pick_day,
    simulate,
)
from v2g_feeder.loadshape.diversity import diversity
from v2g_feeder.loadshape.events import event_days, rebound
from v2g_feeder.loadshape.injections import adder
from v2g_feeder.loadshape.season import SIZES, fleet_vehicles, simulate_season
from v2g_feeder.loadshape.settings import check_settings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import xarray as xr
    from scipy.sparse import csr_array

    from v2g_feeder.calendar import Calendar
    from v2g_feeder.dispatch import Dispatch
    from v2g_feeder.fleet import Participation, Vehicles
    from v2g_feeder.loadshape.settings import Run, ShapeSettings

__all__ = ["Shapes", "fleet_power", "fleet_shapes"]

_STAGGER_MINUTES: Final = 60.0
_TRACED: Final = 4
_BY_VEHICLE: Final = ((Policy.MANAGED, Case.EXPECTED), (Policy.EXPORT, Case.EXPECTED))


@dataclass(frozen=True)
class Shapes:
    """Shapes of a fleet and what they were made of.

    Parameters
    ----------
    vehicles
        All fleets, one after the other.
    calendar
        Step axis.
    kw
        By (policy, case): ``[draw, point, step]``, kW at the grid side, above 0 draws.
    ledger
        By (policy, case): ``[draw, row, step]``, kW; rows as in ``LEDGER_ROWS``.
    sessions
        By (policy, case): sessions simulated that end within the fortnight.
    shortfall
        Sessions that left below their target: policy, case, season and the dispatch's columns.
    events
        One row an event-day: policy, case, season, draw, day, ``departures`` (``known`` or
        ``stated``: what the aggregator went by), ``request_kw``, ``held_kw``, ``mean_kw``.
    rebound
        Fleet power after the events by way of charging again: policy, case, season, ``rebound``,
        ``stagger_minutes``, ``peak_kw_mean``, ``peak_kw_p95``.
    diversity
        kW per vehicle against the size of the fleet, see :func:`diversity`.
    traces
        A few vehicles of draw 0, step by step over the fortnight.
    fortnight
        By (policy, case, season): ``[draw, 2, step of the fortnight]``, what the fleet's vehicles
        draw together and what they export together, kW, export below 0.
    vehicle_day
        By (policy, season), case ``expected`` only: ``[draw, vehicle, step]`` of the weekday that
        the calendar takes out of the fortnight, kW; empty for other policies than managed charging
        and export.
    """

    vehicles: Vehicles
    calendar: Calendar
    kw: dict[Run, np.ndarray]
    ledger: dict[Run, np.ndarray]
    sessions: dict[Run, int]
    shortfall: pd.DataFrame
    events: pd.DataFrame
    rebound: pd.DataFrame
    diversity: pd.DataFrame
    traces: pd.DataFrame
    fortnight: dict[tuple[str, str, str], np.ndarray]
    vehicle_day: dict[tuple[str, str], np.ndarray]

    def dataset(self) -> xr.Dataset:
        """Return ``kw`` and ``kvar`` (policy, case, draw, step, point) and ``ledger_kw``.

        Runs that were not simulated are NaN. Chargers run at unity power factor.
        """
        data = self.power()
        kvar = (data["kw"].dims, data["kw"].to_numpy() * 0.0, {"units": "kvar"})
        dims, book = (*data["kw"].dims[:-1], "row"), _by_run(self.ledger)
        ledger_kw = (dims, book, {"units": "kW", "sign": "magnitudes"})
        return data.assign(kvar=kvar, ledger_kw=ledger_kw).assign_coords(row=list(LEDGER_ROWS))

    def power(self, policies: Collection[str] = ()) -> xr.Dataset:
        """Return ``kw`` of :meth:`dataset` alone, of these policies if any was simulated."""
        import xarray as xr  # noqa: PLC0415  # a study's workers do without

        some = {run: kw for run, kw in self.kw.items() if run[0] in policies} or self.kw
        table = self.calendar.table()
        dims = ("policy", "case", "draw", "step", "point")
        kw = _by_run(some)
        return xr.Dataset(
            {"kw": (dims, kw, {"units": "kW", "sign": "above 0 draws"})},
            coords={
                "policy": list(dict.fromkeys(str(policy) for policy, _ in some)),
                "case": list(dict.fromkeys(str(case) for _, case in some)),
                **{name: ("step", table[name].to_numpy()) for name in _STEP_NUMBERS},
                **{name: ("step", table[name].astype(str).to_numpy(str)) for name in _STEP_NAMES},
                "draw": np.arange(kw.shape[2]),
                "step": table["step"].to_numpy(),
            },
        )


def _by_run(values: Mapping[Run, np.ndarray]) -> np.ndarray:
    """Return ``[draw, row, step]`` of runs as ``[policy, case, draw, step, row]``, else NaN."""
    policies = list(dict.fromkeys(policy for policy, _ in values))
    cases = list(dict.fromkeys(case for _, case in values))
    draws, rows, steps = next(iter(values.values())).shape
    found = np.full((len(policies), len(cases), draws, steps, rows), np.nan)
    for (policy, case), kw in values.items():
        found[policies.index(policy), cases.index(case)] = np.moveaxis(kw, 1, 2)
    return found


_STEP_NUMBERS: Final = ("month", "hour", "minute", "weight_days")
_STEP_NAMES: Final = ("season", "day_type")


def fleet_shapes(
    settings: ShapeSettings,
    load_kw: np.ndarray,
    *,
    of_vehicle: np.ndarray | None = None,
    points: int | None = None,
    premise_kw: np.ndarray | None = None,
    beside: bool = True,
) -> Shapes:
    """Simulate every run of a fleet and cut the calendar's days out of it.

    Parameters
    ----------
    settings
        Fleets, runs and programme.
    load_kw
        Load that managed charging levels, ``[step]`` of the calendar, kW.
    of_vehicle, points
        Connection point of each vehicle, ``[vehicle]``, and their number; left out, a point a
        fleet.
    premise_kw
        Load of each vehicle's premise, ``[vehicle, step]`` of the calendar, kW; for ``v2h``.
    beside
        Whether to fill ``rebound`` (which simulates events again), ``diversity`` and ``traces``.

    Returns
    -------
    Shapes

    Raises
    ------
    InputError
        For settings that do not fit together.
    """
    check_settings(settings, load_kw, premise_kw)
    vehicles = fleet_vehicles(settings)
    where = vehicles.fleet if of_vehicle is None else np.asarray(of_vehicle)
    count = len(settings.fleets) if points is None else points
    add = adder(where, count)
    out: dict[str, list[pd.DataFrame]] = {
        key: [] for key in ("shortfall", "events", "rebound", "diversity", "traces")
    }
    draws, steps = settings.draws, settings.calendar.n_steps
    kw = {run: np.zeros((draws, count, steps)) for run in settings.runs}
    books = {run: np.zeros((draws, len(LEDGER_ROWS), steps)) for run in settings.runs}
    sessions = dict.fromkeys(settings.runs, 0)
    fortnight: dict[tuple[str, str, str], np.ndarray] = {}
    vehicle_day: dict[tuple[str, str], np.ndarray] = {}
    for season in dict.fromkeys(day.season for day in settings.calendar.days):
        for run, dispatch in simulate_season(settings, vehicles, season, load_kw, premise_kw):
            key = {"policy": run[0], "case": run[1], "season": season}
            _cut(settings, season, (dispatch.kw, add), kw[run])
            _cut(settings, season, (ledger(dispatch).kw, None), books[run])
            sessions[run] += int(dispatch.stays["shortfall_kwh"].notna().sum())
            out["shortfall"].append(dispatch.shortfall.assign(**key))
            fortnight[(*run, season)] = _drawn_and_exported(dispatch.kw)
            if run in _BY_VEHICLE:
                vehicle_day[run[0], season] = _weekday(settings, dispatch.kw)
            if beside and run[1] == Case.EXPECTED:
                rng = np.random.default_rng([settings.seed, SIZES])
                out["diversity"].append(diversity(dispatch, rng).assign(**key))
                out["traces"].append(_traces(dispatch).assign(**key))
            if dispatch.event is not None:
                _add_events(settings, key, dispatch, out)
                if beside and run[1] == Case.EXPECTED:
                    _add_rebound(settings, key, dispatch, out)
    return Shapes(
        vehicles=vehicles,
        calendar=settings.calendar,
        kw=kw,
        ledger=books,
        sessions=sessions,
        fortnight=fortnight,
        vehicle_day=vehicle_day,
        **{name: _joined(tables) for name, tables in out.items()},
    )


def fleet_power(
    settings: ShapeSettings,
    vehicles: Vehicles,
    load_kw: np.ndarray,
    *,
    of_vehicle: np.ndarray,
    points: int,
    premise_kw: np.ndarray | None = None,
) -> dict[Run, np.ndarray]:
    """Simulate every run of vehicles that are already drawn; return the power alone.

    Parameters
    ----------
    settings, load_kw, of_vehicle, points, premise_kw
        As of :func:`fleet_shapes`.
    vehicles
        Of the fleets of ``settings``.

    Returns
    -------
    dict
        By (policy, case): ``[draw, point, step]``, kW at the grid side, above 0 draws.
    """
    check_settings(settings, load_kw, premise_kw)
    shape = (settings.draws, points, settings.calendar.n_steps)
    kw = {run: np.zeros(shape) for run in settings.runs}
    if len(vehicles):
        add = adder(of_vehicle, points)
        for season in dict.fromkeys(day.season for day in settings.calendar.days):
            for run, found in simulate_season(settings, vehicles, season, load_kw, premise_kw):
                _cut(settings, season, (found.kw, add), kw[run])
    return kw


def _drawn_and_exported(kw: np.ndarray) -> np.ndarray:
    """Return what vehicles draw and export together, ``[draw, 2, step]``, export below 0."""
    found = np.empty((len(kw), 2, kw.shape[2]))
    some = np.empty(kw.shape[1:])
    for draw, of_vehicles in enumerate(kw):  # one after the other: they stay in the cache
        np.maximum(of_vehicles, 0.0, out=some).sum(axis=0, out=found[draw, 0])
        np.minimum(of_vehicles, 0.0, out=some).sum(axis=0, out=found[draw, 1])
    return found


def _weekday(settings: ShapeSettings, kw: np.ndarray) -> np.ndarray:
    """Return the weekday that the calendar takes of each draw, ``[draw, vehicle, step]``."""
    minutes = settings.calendar.step_minutes
    days = [day_steps(pick_day(draw, weekend=False), minutes) for draw in settings.draw_numbers]
    return np.stack([kw[draw][:, day] for draw, day in enumerate(days)]).astype(np.float32)


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Return tables one below the other, keys first; empty ones left out."""
    kept = [table for table in tables if len(table)]
    if not kept:
        return pd.DataFrame()
    table = pd.concat(kept, ignore_index=True)
    first = ["policy", "case", "season"]
    return table[first + [column for column in table.columns if column not in first]]


def _cut(
    settings: ShapeSettings,
    season: str,
    power: tuple[np.ndarray, csr_array | None],
    into: np.ndarray,
) -> None:
    """Cut the season's days out of a fortnight into the array of its run, in place.

    ``power`` is ``[draw, row, step]`` and, where rows are vehicles, what adds them up by point.
    """
    (kw, add), calendar = power, settings.calendar
    for number, draw in enumerate(settings.draw_numbers):
        cut: dict[int, np.ndarray] = {}
        for place, day in enumerate(calendar.days):
            if day.season != season:
                continue
            chosen = pick_day(draw, weekend=day.is_weekend)
            if chosen not in cut:
                rows = kw[number][:, day_steps(chosen, calendar.step_minutes)]
                cut[chosen] = rows if add is None else add @ rows
            into[number][:, calendar.day_slice(place)] = cut[chosen]


def _add_events(
    settings: ShapeSettings,
    key: dict[str, str],
    dispatch: Dispatch,
    out: dict[str, list[pd.DataFrame]],
) -> None:
    """Add what the events of a run deliver, with and without the error of stated departures."""
    told = "stated" if dispatch.case.stated_error else "known"
    out["events"].append(event_days(dispatch, settings.programme).assign(**key, departures=told))
    if dispatch.case.stated_error:
        known = _again(settings, dispatch, replace(dispatch.case, stated_error=0.0))
        table = event_days(known, settings.programme)
        out["events"].append(table.assign(**key, departures="known"))


def _add_rebound(
    settings: ShapeSettings,
    key: dict[str, str],
    dispatch: Dispatch,
    out: dict[str, list[pd.DataFrame]],
) -> None:
    """Add the fleet's power after the events of a run, by way of charging again."""
    aggregator = settings.programme.aggregator
    ways = dict.fromkeys(
        [
            (aggregator.rebound, aggregator.stagger_minutes),
            ("managed", 0.0),
            ("immediate", 0.0),
            ("immediate", _STAGGER_MINUTES),
        ]
    )
    for number, (way, stagger) in enumerate(ways):
        run = dispatch
        if number:
            run = _again(settings, dispatch, dispatch.case, rebound=way, stagger_minutes=stagger)
        out["rebound"].append(
            rebound(run).assign(**key, rebound=way, stagger_minutes=stagger, in_force=not number)
        )


def _again(
    settings: ShapeSettings, dispatch: Dispatch, case: Participation, **changes: Any
) -> Dispatch:
    """Return an export run simulated again, with changes to its aggregator."""
    aggregator = replace(settings.programme.aggregator, **changes)
    return simulate(
        dispatch.vehicles,
        dispatch.sessions,
        Policy.EXPORT,
        case,
        dispatch.chance,
        dispatch.signal_kw,
        dispatch.event,
        step_minutes=dispatch.step_minutes,
        programme=replace(settings.programme, aggregator=aggregator),
    )


def _traces(dispatch: Dispatch) -> pd.DataFrame:
    """Return a few vehicles of draw 0 over the fortnight, those that export first."""
    vehicles = dispatch.vehicles
    chosen = np.argsort(~(vehicles.bidirectional & dispatch.case.is_enrolled(vehicles)))[:_TRACED]
    steps = dispatch.kw.shape[2]
    columns = {
        "vehicle": np.repeat(chosen, steps),
        "hour_of_fortnight": np.tile(np.arange(steps) * dispatch.step_hours, len(chosen)),
        "kw": dispatch.kw[0][chosen].ravel(),
        "soc": (dispatch.soe_kwh[0][chosen, 1:] / vehicles.battery_kwh[chosen, None]).ravel(),
        "plugged": dispatch.plugged[0][chosen].ravel(),
    }
    return pd.DataFrame(columns)
