"""Capacity credit: the kW that can be counted on at the hours of stress.

Relief is managed charging less export of the same event-day. It has two parts: charging that is
put off, and export. An event-day delivers, over a block of hours, the least relief of any of its
steps, less the new peak that charging again makes outside the block. The credit at P95 is what 95 %
of event-days deliver at least, with 95 % confidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pandas as pd

from v2g_feeder.conventions import DayType, Policy
from v2g_feeder.errors import InputError, Problem
from v2g_feeder.pilot.exceedance import INSUFFICIENT, exceeded, least_event_days
from v2g_feeder.pilot.relief import CREDIT_COLUMNS, LEVELS, credit_rows, relief

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from v2g_feeder.fleet import Participation
    from v2g_feeder.loadshape import Shapes

__all__ = [
    "Evidence",
    "against_contract",
    "capacity_credit",
    "credit_by_size",
    "credit_of_days",
    "fleet_credit",
]

Evidence = Literal["untested", "lab", "field"]
_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_EXTREMES_FIRST: Final = (DayType.PEAK_DAY, DayType.WEEKDAY, DayType.WEEKEND, DayType.MIN_DAY)
_COMPARED: Final = (Policy.EXPORT, Policy.MANAGED)
_IDLE_KW: Final = 1e-9


def capacity_credit(
    shapes: xr.Dataset,
    base_kw: np.ndarray,
    *,
    nameplate_kw: float,
    enrolled: Mapping[str, int],
    export_limit_kw: float | Mapping[str, float] | None = None,
    window: tuple[float, float] | None = None,
    evidence: Evidence = "untested",
) -> pd.DataFrame:
    """Return the capacity credit of a fleet by season, case, length of stress and level.

    Parameters
    ----------
    shapes
        As :meth:`v2g_feeder.loadshape.Shapes.dataset` gives it: ``kw`` by policy, case, draw, step
        and point. One day of each draw is an event-day: days of one draw share their vehicles.
    base_kw
        Load without the fleet, ``[step]`` of the calendar, kW.
    nameplate_kw
        Rated export of the fleet, kW; printed beside.
    enrolled
        Enrolled vehicles by case.
    export_limit_kw
        Export that the feeder takes, kW, or by season.
    window
        Hours of system stress; left out, the hours round the peak of each season's day.
    evidence
        What the response rests on: ``untested``, ``lab`` or ``field``.

    Returns
    -------
    pandas.DataFrame
        Columns of :func:`credit_rows`, and ``season``, ``case``, ``enrolled``,
        ``kw_per_enrolled``, ``nameplate_kw``, ``evidence``. Seasons without events are left out.
    """
    _check(shapes, base_kw)
    step_hours = _step_hours(shapes)
    tables = []
    for season in dict.fromkeys(shapes["season"].to_numpy().astype(str)):
        steps = _day(shapes, season)
        limit = export_limit_kw
        if isinstance(limit, Mapping):
            limit = limit.get(season)
        for case in shapes["case"].to_numpy().astype(str):
            kw, managed = (
                shapes["kw"]
                .sel(policy=str(policy), case=case)
                .isel(step=steps)
                .transpose("draw", "point", "step")
                .to_numpy()
                for policy in _COMPARED
            )
            if np.isnan(kw).any() or np.isnan(managed).any():
                continue  # a run that was not simulated
            if np.abs(kw - managed).max(initial=0.0) <= _IDLE_KW:
                continue  # a season without events
            rows = credit_rows(
                relief(kw, managed, limit), base_kw[steps], step_hours=step_hours, window=window
            )
            count = int(enrolled.get(case, 0))
            tables.append(
                rows.assign(
                    season=season,
                    case=case,
                    enrolled=count,
                    kw_per_enrolled=rows["kw"] / count if count else np.nan,
                    nameplate_kw=nameplate_kw,
                    evidence=evidence,
                )
            )
    if not tables:
        return pd.DataFrame(columns=["season", "case", *CREDIT_COLUMNS, *_BESIDE])
    table = pd.concat(tables, ignore_index=True)
    return table[["season", "case", *CREDIT_COLUMNS, *_BESIDE]]


_BESIDE: Final = ["enrolled", "kw_per_enrolled", "nameplate_kw", "evidence"]


def _check(shapes: xr.Dataset, base_kw: np.ndarray) -> None:
    """Raise for shapes without the runs that are compared, or a load of another length."""
    policies = set(shapes["policy"].to_numpy().astype(str))
    problems = [
        Problem("shapes", f"policy {policy} is not there; credit is export against managed")
        for policy in _COMPARED
        if str(policy) not in policies
    ]
    if np.shape(base_kw) != (shapes.sizes["step"],):
        text = f"has shape {np.shape(base_kw)}, not ({shapes.sizes['step']},)"
        problems.append(Problem("base_kw", text))
    if problems:
        raise InputError(problems)


def _step_hours(shapes: xr.Dataset) -> float:
    """Return the length of a step, h."""
    return 1.0 / len(np.unique(shapes["minute"].to_numpy()))


def _day(shapes: xr.Dataset, season: str) -> np.ndarray:
    """Return the steps of a season's day of stress: the peak day where there is one."""
    mine = shapes["season"].to_numpy().astype(str) == season
    kinds = shapes["day_type"].to_numpy().astype(str)
    kind = next(str(kind) for kind in _EXTREMES_FIRST if (mine & (kinds == str(kind))).any())
    return np.flatnonzero(mine & (kinds == kind))


def fleet_credit(
    shapes: Shapes,
    cases: Mapping[str, Participation],
    base_kw: np.ndarray,
    *,
    export_limit_kw: float | Mapping[str, float] | None = None,
    window: tuple[float, float] | None = None,
    evidence: Evidence = "untested",
) -> pd.DataFrame:
    """Return :func:`capacity_credit` of simulated shapes; nameplate and enrolment are theirs.

    Parameters
    ----------
    shapes
        Of :func:`v2g_feeder.loadshape.fleet_shapes`, with managed and export runs of a case.
    cases
        Participation cases by name.
    base_kw, export_limit_kw, window, evidence
        As in :func:`capacity_credit`.
    """
    vehicles = shapes.vehicles
    names = {case for _, case in shapes.kw}
    return capacity_credit(
        shapes.power(_COMPARED),
        base_kw,
        nameplate_kw=vehicles.nameplate_kw,
        enrolled={name: int(cases[name].is_enrolled(vehicles).sum()) for name in names},
        export_limit_kw=export_limit_kw,
        window=window,
        evidence=evidence,
    )


def credit_of_days(
    kw: np.ndarray,
    managed_kw: np.ndarray,
    is_event: np.ndarray,
    base_kw: np.ndarray,
    *,
    step_hours: float,
    window: tuple[float, float] | None = None,
    days: int = 3,
) -> pd.DataFrame:
    """Return the credit of the first, second and third day of a run of event-days.

    Parameters
    ----------
    kw, managed_kw
        ``[draw, point, step]`` of a row of days, kW; above 0 draws.
    is_event
        Whether there is an event on each day, ``[day]``.
    base_kw
        Load without the fleet, ``[step]`` of a day, kW, the same every day of the heat wave.
    step_hours, window
        As in :func:`credit_rows`.
    days
        Length of the run. The last run that is as long is read, one event-day a draw and position.

    Returns
    -------
    pandas.DataFrame
        Columns of :func:`credit_rows` and ``day_of_run``, from 1.

    Raises
    ------
    InputError
        If no run of events is as long.
    """
    per_day = round(24 / step_hours)
    event = np.asarray(is_event, dtype=bool)
    starts = [
        day
        for day in range(len(event) - days + 1)
        if event[day : day + days].all() and not (day and event[day - 1])
    ]
    if not starts:
        raise InputError(Problem("is_event", f"no {days} days in a row have an event"))
    tables = []
    for position in range(days):
        first = (starts[-1] + position) * per_day
        part = slice(first, first + per_day)
        found = relief(kw[..., part], managed_kw[..., part])
        rows = credit_rows(found, base_kw, step_hours=step_hours, window=window)
        tables.append(rows.assign(day_of_run=position + 1))
    return pd.concat(tables, ignore_index=True)


def credit_by_size(
    kw: np.ndarray,
    managed_kw: np.ndarray,
    enrolled: np.ndarray,
    block: slice,
    rng: np.random.Generator,
    *,
    sizes: Sequence[int] = _SIZES,
    levels: Sequence[float] = LEVELS,
) -> pd.DataFrame:
    """Return the kW per enrolled vehicle that groups of growing size deliver.

    Six buses do not scale like five thousand cars: a small group swings further.

    Parameters
    ----------
    kw, managed_kw
        ``[event-day, vehicle, step]``, kW; above 0 draws.
    enrolled
        Which vehicles are enrolled, ``[vehicle]``.
    block
        Steps of stress.
    rng
        Draws a group of enrolled vehicles for every event-day.
    sizes
        Sizes up to the number enrolled; that number is added.
    levels
        Levels of exceedance.

    Returns
    -------
    pandas.DataFrame
        ``size``, ``level``, ``kw_per_enrolled`` (lower bound, NaN with too few event-days),
        ``estimate_kw_per_enrolled``, ``event_days`` and ``status``.
    """
    members = np.flatnonzero(enrolled)
    gain = (managed_kw - kw)[..., block]
    rows = []
    for size in sorted({size for size in sizes if size < len(members)} | {len(members)} - {0}):
        values = np.array(
            [
                max(day[rng.choice(members, size, replace=False)].sum(axis=0).min(), 0.0) / size
                for day in gain
            ]
        )
        for level in levels:
            estimate, bound = exceeded(values, level)
            status = "ok" if len(values) >= least_event_days(level) else INSUFFICIENT
            rows.append((size, f"P{100 * level:g}", bound, estimate, len(values), status))
    names = ["size", "level", "kw_per_enrolled", "estimate_kw_per_enrolled", "event_days", "status"]
    return pd.DataFrame(rows, columns=names)


def against_contract(credit: pd.DataFrame, contract_kw: float) -> pd.DataFrame:
    """Return a credit table beside what a contract promises.

    Parameters
    ----------
    credit
        With ``kw``, such as :func:`capacity_credit` gives.
    contract_kw
        Promised, kW.

    Returns
    -------
    pandas.DataFrame
        With ``contract_kw``, ``short_kw`` (what is lacking, 0 or more) and ``kept`` (``yes``,
        ``no``, or ``unknown`` where there is no credit).
    """
    short = (contract_kw - credit["kw"]).clip(lower=0.0)
    kept = np.select([credit["kw"].isna(), short > 0], ["unknown", "no"], "yes")
    return credit.assign(contract_kw=contract_kw, short_kw=short, kept=kept)
