"""Load of the customers before any EV: the model's own shapes, or a table of customer classes.

A base load is a set of shapes: multipliers of the nominal kW and kvar of the model, by step. Every
load of the model follows one of them. All shapes of an extreme day are cut from one and the same
day, so that customers stay coincident. Measurements come through
:func:`v2g_feeder.feeder.base_load_csv.from_csv`.
"""

from __future__ import annotations

import io
from calendar import month_name, monthrange
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import DayType
from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.feeder.base_load_days import daytime_mean, extreme_notes, resample, source_days
from v2g_feeder.feeder.base_load_shapes import (
    ModelShape,
    native_notes,
    read_shapes,
    rows,
    total_kw,
    weekday_of_first_day,
    year_from,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from v2g_feeder.calendar import Calendar, Day

__all__ = ["BaseLoad", "customer_classes", "native", "standard"]

_MONTH_DAYS: Final = np.array([monthrange(2023, month)[1] for month in range(1, 13)], float)
_DAY_TYPES: Final = tuple(DayType)


@dataclass(frozen=True, eq=False)
class BaseLoad:
    """Load of every customer by step, as multipliers of the model's nominal kW and kvar, by shape.

    Parameters
    ----------
    source
        ``native``, ``standard`` or ``csv``.
    p, q
        Multipliers of nominal kW and of nominal kvar, ``[shape, step]``.
    shape_of
        Row of ``p`` and ``q`` by load name in lower case; every load of the model has one.
    notes
        Sentences on provenance for the report: region, which days the extremes are, what was
        assumed.
    season_claim
        False where no shape differs by season, so that a season's result says nothing about it.
    measured
        Measured ``head_kw`` and ``head_kvar`` by step (import is positive; kvar is NaN where it
        was not measured), for a caller who calibrates losses and capacitors; ``None`` without a
        measurement at the feeder head. :meth:`scaled` leaves it as measured.
    """

    source: str
    p: np.ndarray
    q: np.ndarray
    shape_of: Mapping[str, int]
    notes: tuple[str, ...]
    season_claim: bool
    measured: pd.DataFrame | None = None

    def scaled(self, factor: float) -> BaseLoad:
        """Return this base load with P and Q multiplied by ``factor``, which is above 0.

        Raises
        ------
        InputError
            For a factor that is 0, negative or not finite.
        """
        if not (np.isfinite(factor) and factor > 0):
            raise InputError(Problem("base_load", f"a scale of {factor} is not above 0"))
        return replace(self, p=self.p * factor, q=self.q * factor)


def native(
    loads: pd.DataFrame,
    shapes: Mapping[str, Mapping[str, Any]],
    calendar: Calendar,
    first_weekday: str | int | None = None,
    *,
    first_month: int = 1,
) -> BaseLoad:
    """Return the base load that the model's own load shapes state.

    A load follows its yearly shape, else its daily one, else it stays at nominal. A shape of a
    year gives the mean weekday and weekend day of each season, the day of the highest total load
    and that of the lowest mean total load from 10:00 to 16:00. A shape of one day is the same
    every day. 29 February is left out.

    Parameters
    ----------
    loads
        Columns ``name, kw, kvar, daily, yearly``: nominal kW and kvar, names of shapes, empty or
        ``default`` for none.
    shapes
        Shapes by name as the engine states them: ``PMult``, ``QMult``, ``Interval`` (h),
        ``MInterval`` (min) or ``SInterval`` (s), ``UseActual``. Without ``QMult`` kvar follows
        kW, also where the shape states kW.
    calendar
        Days and steps wanted.
    first_weekday
        Weekday of the shapes' first day: a name, or 0 for Monday to 6. ``None`` reads it from the
        shapes' weekly pattern; where they show none it is Friday, and it does not matter.
    first_month
        Month, 1 to 12, on whose first day the shapes of a year begin; the model names no date.

    Raises
    ------
    InputError
        With every shape that cannot be used, and every load of 0 kW (or kvar) whose shape states
        another value in kW (or kvar).
    """
    kept = loads.assign(
        load=loads["name"].astype(str).str.lower(),
        shape=[
            _stated(yearly) or _stated(daily)
            for yearly, daily in zip(loads["yearly"], loads["daily"], strict=True)
        ],
    )
    used = [name for name in dict.fromkeys(kept["shape"]) if name]
    read = read_shapes(used, shapes, calendar.steps_per_day)
    read[""] = ModelShape("", np.ones((1, calendar.steps_per_day)), None, actual=False, tail=0.0)
    year = next((len(shape.p) for shape in read.values() if shape.yearly), 365)
    first, first_note = weekday_of_first_day(first_weekday, read.values(), first_month)
    dates = year_from(first_month, year)
    keep = np.flatnonzero((dates.month != 2) | (dates.day != 29))
    dates = dates[keep]
    picked = source_days(
        calendar,
        dates.month.to_numpy(),
        (keep + first) % 7 >= 5,
        total_kw(kept, read, year)[keep],
    )
    p, q, shape_of = rows(kept, read, [keep[days] for days in picked])
    yearly = any(shape.yearly for shape in read.values())
    notes = native_notes(kept, read)
    if yearly:
        notes += [first_note] if first_note else []
        notes += ["29 February is left out."] if year == 366 else []
        firsts = dates[[int(days[0]) for days in picked]]
        notes += extreme_notes(calendar, [f"{d.day} {month_name[d.month]}" for d in firsts])
    return BaseLoad("native", p, q, shape_of, tuple(notes), season_claim=yearly)


def _stated(shape: object) -> str:
    """Return the name of a shape in lower case, or nothing where the load has none."""
    name = shape.lower() if isinstance(shape, str) else ""
    return "" if name == "default" else name


@cache
def _table() -> tuple[tuple[str, ...], np.ndarray]:
    """Return the classes, and pu of annual peak ``[class, month, day_type, hour]``."""
    text = (files("v2g_feeder.feeder") / "data" / "base_load_ckt5.csv").read_text("utf-8")
    table = pd.read_csv(io.StringIO(text), comment="#")
    names = tuple(dict.fromkeys(table["class"]))
    keys = ["class", "month", "day_type", "hour"]
    order = pd.MultiIndex.from_product([names, range(1, 13), _DAY_TYPES, range(24)], names=keys)
    values = table.set_index(keys)["pu_of_annual_peak"].loc[order].to_numpy(float)
    return names, values.reshape(len(names), 12, len(_DAY_TYPES), 24)


def customer_classes() -> tuple[str, ...]:
    """Return the customer classes of the standard table."""
    return _table()[0]


def standard(
    loads: pd.DataFrame,
    calendar: Calendar,
    classes: Mapping[str, str] | None = None,
    default_class: str = "residential",
) -> BaseLoad:
    """Return the base load of customer classes, from a United States feeder.

    Weekdays and weekends of a season are the mean over its months, weighted by their days. A peak
    day is that of the month with the highest hour of the total load, a min day that of the month
    with the lowest mean total load from 10:00 to 16:00; all classes take the same month. Nominal
    kW is taken for the load at the class's annual peak, and kvar follows kW.

    Parameters
    ----------
    loads
        Columns ``name`` and ``kw`` (nominal, which weighs the classes in the total).
    calendar
        Days and steps wanted; a step shorter than an hour repeats the hour's value.
    classes
        Class by load name, whatever the case; see :func:`customer_classes`.
    default_class
        Class of every other load.

    Raises
    ------
    InputError
        With every unknown load name and class, and the nearest one.

    References
    ----------
    EPRI test circuit ckt5, 8,760-hour load shapes; ``data/base_load_ckt5.csv`` tells how the
    table was cut from them.
    """
    names, table = _table()
    chosen = _classes_by_load(loads, classes or {}, default_class)
    kw = loads["kw"].to_numpy(float)
    used = [name for name in names if name in set(chosen.values())]
    row = {name: number for number, name in enumerate(used)}
    shape_of = {load: row[name] for load, name in chosen.items()}
    of_load = np.array([shape_of[load] for load in chosen], int)
    weights = np.bincount(of_load, np.abs(kw), minlength=len(used))
    shapes = table[[names.index(name) for name in used]]
    total = np.tensordot(weights, shapes, axes=1)  # [month, day_type, hour]
    days = [_standard_day(day, shapes, total) for day in calendar.days]
    p = np.concatenate([resample(values, calendar.steps_per_day) for values, _ in days], axis=1)
    counts = np.bincount(of_load, minlength=len(used))
    notes = (
        "Base load: customer classes of EPRI test circuit ckt5, a United States feeder.",
        "Another region's seasons and hours may differ.",
        "Loads by class: "
        + ", ".join(f"{name} {count}" for name, count in zip(used, counts, strict=True))
        + f"; {default_class.lower()} where none is named.",
        "Nominal kW is taken for the load at its class's annual peak; kvar follows kW.",
        *extreme_notes(calendar, [f"that of {month}" for _, month in days]),
    )
    return BaseLoad("standard", p, p.copy(), shape_of, notes, season_claim=True)


def _classes_by_load(
    loads: pd.DataFrame, classes: Mapping[str, str], default_class: str
) -> dict[str, str]:
    """Return the class of every load; names in lower case."""
    known = customer_classes()
    load_names = [str(name) for name in loads["name"]]
    chosen = {name.lower(): default_class.lower() for name in load_names}
    problems = []
    if default_class.lower() not in known:
        problems.append(_unknown_class("base_load.default_class", default_class))
    for load, name in classes.items():
        where = f"base_load.classes.{load}"
        if load.lower() not in chosen:
            hint = nearest(load, load_names)
            problems.append(Problem(where, f"there is no load {load!r}", hint))
        if name.lower() not in known:
            problems.append(_unknown_class(where, name))
        chosen[load.lower()] = name.lower()
    if problems:
        raise InputError(problems)
    return chosen


def _unknown_class(where: str, name: str) -> Problem:
    """Return the problem of a class that the table does not have."""
    known = customer_classes()
    hint = nearest(name, known) or f"one of {', '.join(known)}"
    return Problem(where, f"unknown customer class {name!r}", hint)


def _standard_day(day: Day, shapes: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, str]:
    """Return one day ``[class, hour]`` of the table, and the month that an extreme came from."""
    months = np.array(day.months) - 1
    kind = _DAY_TYPES.index(DayType(day.day_type))
    if day.day_type in (DayType.WEEKDAY, DayType.WEEKEND):
        values = np.average(shapes[:, months, kind], axis=1, weights=_MONTH_DAYS[months])
        return np.asarray(values), ""
    seen = total[months, kind]
    if day.day_type == DayType.PEAK_DAY:
        month = int(months[seen.max(axis=1).argmax()])
    else:
        month = int(months[daytime_mean(seen).argmin()])
    return shapes[:, month, kind], month_name[month + 1]
