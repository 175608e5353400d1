"""Load shapes as the engine states them, read by the time they really span.

The engine wraps a shape that is shorter than the horizon and fills a list that is shorter than
its ``npts`` with zeros, both without a word. So a shape is taken for a year or for a day only where
its points times its interval say so.
"""

from __future__ import annotations

from calendar import month_name
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.feeder.base_load_days import WEEKDAYS, profile, resample, weekly_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "ModelShape",
    "native_notes",
    "read_shapes",
    "rows",
    "total_kw",
    "weekday_of_first_day",
    "year_from",
]

_SPANS: Final = (24, 8760, 8784)
_FILES: Final = ("CSVFile", "PQCSVFile", "SngFile", "DblFile")


@dataclass(frozen=True, eq=False)
class ModelShape:
    """One load shape of the model.

    Parameters
    ----------
    name
        In lower case.
    p, q
        ``[day, step]``: multipliers of nominal kW and kvar, or kW and kvar where ``actual``.
        ``q`` is ``None`` where kvar follows kW.
    actual
        Whether the shape states kW and not multipliers.
    tail
        Zeros at the end of a year, in days.
    """

    name: str
    p: np.ndarray
    q: np.ndarray | None
    actual: bool
    tail: float

    @property
    def yearly(self) -> bool:
        """Whether the shape spans a year, and not one day that repeats."""
        return len(self.p) > 1


def read_shapes(
    names: Sequence[str], shapes: Mapping[str, Mapping[str, Any]], steps: int
) -> dict[str, ModelShape]:
    """Return the named shapes on ``steps`` steps a day.

    Raises
    ------
    InputError
        With every shape that is missing, has no points, no fixed interval, a value that is not
        finite, or does not span a day or a year; and where some are of 365 and some of 366 days.
    """
    lowered = {name.lower(): shape for name, shape in shapes.items()}
    read: dict[str, ModelShape] = {}
    problems: list[Problem] = []
    for name in names:
        if name not in lowered:
            hint = nearest(name, list(lowered))
            problems.append(Problem(f"loadshape.{name}", "the model has no such shape", hint))
            continue
        try:
            read[name] = _read(name, lowered[name], steps)
        except InputError as error:
            problems += error.problems
    years = {len(shape.p): name for name, shape in read.items() if shape.yearly}
    if len(years) > 1:
        text = f"spans 8784 hours and {years[365]!r} 8760: they are not of the same year"
        problems.append(Problem(f"loadshape.{years[366]}", text))
    if problems:
        raise InputError(problems)
    return read


def _read(name: str, shape: Mapping[str, Any], steps: int) -> ModelShape:
    """Return one shape, checked."""
    where = f"loadshape.{name}"
    points = np.asarray(shape.get("PMult") or shape.get("Mult") or [], float)
    if not points.size:
        file = next((str(shape[key]) for key in _FILES if shape.get(key)), "")
        text = f"its points are in {file!r} and were not read" if file else "it has no points"
        raise InputError(Problem(where, text, "state them as mult=(...) or mult=(file=...)"))
    hours = _interval_h(where, shape)
    span = points.size * hours
    days = next((length // 24 for length in _SPANS if abs(span - length) < 0.01 * hours), 0)
    if not days or points.size % days:
        text = f"{points.size} points of {hours * 60:g} min span {span:g} hours"
        raise InputError(Problem(where, f"{text}; expected 24 (a day), 8760 or 8784 (a year)"))
    kvar = np.asarray(shape.get("QMult") or [], float)
    if kvar.size not in (0, points.size):
        text = f"{kvar.size} points of kvar beside {points.size} of kW"
        raise InputError(Problem(where, text))
    if not (np.isfinite(points).all() and np.isfinite(kvar).all()):
        raise InputError(Problem(where, "a point is not a finite number"))
    live = np.flatnonzero(points)
    tail = points.size - 1 - int(live[-1]) if live.size else 0
    if tail > points.size / 2:
        text = f"its last {tail} of {points.size} points are 0"
        hint = "the engine fills a list shorter than npts with zeros: state every point"
        raise InputError(Problem(where, text, hint))
    return ModelShape(
        name,
        resample(points.reshape(days, -1), steps),
        resample(kvar.reshape(days, -1), steps) if kvar.size else None,
        bool(shape.get("UseActual")),
        tail * hours / 24 if days > 1 else 0.0,
    )


def _interval_h(where: str, shape: Mapping[str, Any]) -> float:
    """Return the interval in hours; the engine's own default is 1."""
    for key, per_hour in (("Interval", 1.0), ("MInterval", 60.0), ("SInterval", 3600.0)):
        if shape.get(key):
            return float(shape[key]) / per_hour
    if shape.get("Hour") or shape.get("Interval") == 0:
        hint = "state the shape with a fixed interval"
        raise InputError(Problem(where, "its points are not at a fixed interval", hint))
    return 1.0


def year_from(first_month: int, days: int) -> pd.DatetimeIndex:
    """Return the dates of a year's days, of which the first is that of ``first_month``.

    Raises
    ------
    InputError
        If ``first_month`` is no month.
    """
    if first_month not in range(1, 13):
        raise InputError(
            Problem("base_load.first_month", f"{first_month!r} is no month", "give 1 to 12")
        )
    dates = pd.date_range("2024-01-01" if days == 366 else "2023-01-01", periods=days)
    return dates[np.roll(np.arange(days), -int((dates.month < first_month).sum()))]


def weekday_of_first_day(
    asked: str | int | None, shapes: Iterable[ModelShape], first_month: int
) -> tuple[int, str]:
    """Return the weekday of the shapes' first day (Monday is 0) and how it was found."""
    day_1 = f"1 {month_name[first_month]}"
    if asked is not None:
        names = [name.lower() for name in WEEKDAYS]
        day = names.index(str(asked).lower()) if str(asked).lower() in names else asked
        if not (isinstance(day, int) and 0 <= day <= 6):
            hint = nearest(str(asked), WEEKDAYS) or "a weekday's name, or 0 for Monday to 6"
            raise InputError(
                Problem("base_load.first_weekday", f"{asked!r} is not a weekday", hint)
            )
        return day, f"{day_1} is taken for a {WEEKDAYS[day]}, as set."
    found = [
        (strength, day, shape.name)
        for shape in shapes
        if shape.yearly and (pattern := weekly_pattern(shape.p)) is not None
        for day, strength in [pattern]
    ]
    if not found:
        return 4, (
            f"{day_1} is taken for a Friday: the load shapes show no clear weekly pattern, so"
            " weekdays and weekends hardly differ."
        )
    _, day, name = max(found)
    return day, (
        f"The load shapes are taken to begin on {day_1}, a {WEEKDAYS[day]} by the weekly pattern of"
        f" load shape {name!r}."
    )


def total_kw(kept: pd.DataFrame, read: Mapping[str, ModelShape], year: int) -> np.ndarray:
    """Return the total load of all customers, kW ``[day, step]``."""
    total = np.zeros((year, read[""].p.shape[1]))
    for name, group in kept.groupby("shape"):
        shape = read[str(name)]
        total += shape.p * (len(group) if shape.actual else group["kw"].sum())
    return total


def rows(
    kept: pd.DataFrame, read: Mapping[str, ModelShape], picked: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Return ``p``, ``q`` and ``shape_of``; a shape in kW takes a row for each nominal load."""
    cut: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}
    for name in dict.fromkeys(kept["shape"]):
        shape = read[name]
        days = picked if shape.yearly else [np.zeros(1, int)] * len(picked)
        cut[name] = profile(shape.p, days), None if shape.q is None else profile(shape.q, days)
    row_of: dict[tuple[str, float, float], int] = {}
    p: list[np.ndarray] = []
    q: list[np.ndarray] = []
    shape_of: dict[str, int] = {}
    problems: list[Problem] = []
    columns = (kept["load"], kept["shape"], kept["kw"], kept["kvar"])
    for load, name, kw, kvar in zip(*columns, strict=True):
        actual = read[name].actual
        key = (name, float(kw), float(kvar)) if actual else (name, 1.0, 1.0)
        if key not in row_of:
            row_of[key] = len(p)
            own_p, own_q = cut[name]
            where = f"load.{load}"
            p.append(_over(own_p, key[1], f"kW of load shape {name!r}", where, problems))
            q.append(
                p[-1]
                if own_q is None
                else _over(own_q, key[2], f"kvar of load shape {name!r}", where, problems)
            )
        shape_of[load] = row_of[key]
    if problems:
        raise InputError(problems)
    empty = np.zeros((0, len(picked) * read[""].p.shape[1]))
    return (np.stack(p), np.stack(q), shape_of) if p else (empty, empty.copy(), shape_of)


def _over(
    values: np.ndarray, nominal: float, what: str, where: str, problems: list[Problem]
) -> np.ndarray:
    """Return ``values / nominal``; a nominal of 0 cannot carry a value other than 0."""
    if nominal:
        return values / nominal
    if values.any():
        text = f"its nominal is 0, so no multiple of it gives the {what}"
        problems.append(Problem(where, text, "give the load a nominal other than 0"))
    return np.zeros_like(values)


def native_notes(kept: pd.DataFrame, read: Mapping[str, ModelShape]) -> list[str]:
    """Return what the model's shapes are, and which loads have none."""
    counts = kept["shape"].value_counts()
    year = [name for name in counts.index if read[name].yearly]
    day = [name for name in counts.index if name and not read[name].yearly]
    notes = []
    for names, kind in ((year, "a year"), (day, "one day")):
        if names:
            listed = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
            notes.append(
                f"Base load: {counts[names].sum()} loads follow the model's own load shapes of"
                f" {kind} ({len(names)}: {listed})."
            )
    if day:
        notes.append("A load shape of one day is the same in every season and on every day type.")
    if flat := int(counts.get("", 0)):
        notes.append(
            f"Base load: {flat} loads have no load shape and stay at nominal kW and kvar at every"
            " step."
        )
    if not year:
        notes.append("Seasons and day types carry no information on the base load.")
    notes += [
        f"Load shape {name!r} is 0 over its last {read[name].tail:.0f} days."
        for name in year
        if read[name].tail >= 1
    ]
    return notes
