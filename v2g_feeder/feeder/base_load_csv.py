"""Base load from measurements: SCADA at the feeder head, or AMI of each customer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.feeder.base_load import BaseLoad
from v2g_feeder.feeder.base_load_days import extreme_notes, profile, resample, source_days
from v2g_feeder.feeder.base_load_table import first_few, header, numbers, read_rows
from v2g_feeder.feeder.base_load_times import check_times, parse_times, whole_days

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from v2g_feeder.calendar import Calendar

__all__ = ["CsvColumns", "from_csv"]

_MAX_KW: Final = 20_000.0  # 20 MW
_HEAD_MARGIN: Final = 5.0  # a head above 20 MW is believed up to this multiple of nominal
_ABSURD: Final = 200.0  # multiple of nominal above which kW must be W


@dataclass(frozen=True)
class CsvColumns:
    """Names of the columns, whatever the case.

    Parameters
    ----------
    timestamp
        Local standard time.
    kw
        Feeder head, kW; import is positive. SCADA only.
    kvar
        Feeder head, kvar, SCADA only. ``None`` takes a column ``kvar`` where there is one.
    """

    timestamp: str = "timestamp"
    kw: str = "kw"
    kvar: str | None = None


@dataclass(frozen=True, eq=False)
class _Record:
    """Whole days of readings, ``[day, step, column]``, on the calendar's steps, and their use."""

    values: np.ndarray
    columns: tuple[str, ...]
    picked: tuple[np.ndarray, ...]
    notes: tuple[str, ...]

    def profile(self) -> np.ndarray:
        """Return ``[step, column]`` over the days of the calendar."""
        return profile(self.values, self.picked)


def from_csv(
    path: str | PathLike[str],
    loads: pd.DataFrame,
    calendar: Calendar,
    *,
    kind: str = "scada",
    columns: CsvColumns | None = None,
    hour_ending: bool = False,
    timestamp_format: str | None = None,
) -> BaseLoad:
    """Return the base load that a CSV of measurements states, in kW, every 15, 30 or 60 min.

    Weekdays and weekends are the mean by step over the season's days, the peak day is the one
    with the highest step of the total, the min day the one with the lowest mean total from 10:00
    to 16:00. Incomplete days at the ends and 29 February are left out. Years are pooled.

    Parameters
    ----------
    path
        UTF-8, separated by commas.
    loads
        Columns ``name, kw, kvar``: nominal kW and kvar.
    calendar
        Days and steps wanted.
    kind
        ``scada``: one series at the feeder head, spread over all loads by nominal kW, losses and
        capacitors included: the caller calibrates against ``measured``. ``ami``: a column of kW
        by load name, kvar by nominal power factor; loads without a column follow the metered ones
        by nominal kW.
    columns
        Names of the columns.
    hour_ending
        Whether a time stamp ends its interval; by default it begins it.
    timestamp_format
        As for :meth:`datetime.datetime.strptime`; ISO 8601 where ``None``.

    Raises
    ------
    InputError
        With every problem found, by line and column; see :mod:`v2g_feeder.feeder.base_load_table`
        and :mod:`v2g_feeder.feeder.base_load_times`.
    """
    if kind not in ("scada", "ami"):
        hint = nearest(kind, ("scada", "ami")) or "one of scada, ami"
        raise InputError(Problem("base_load.kind", f"unknown kind {kind!r}", hint))
    file = Path(path)
    names = header(file)
    stamp, wanted, notes = _columns(file, names, columns or CsvColumns(), loads, kind)
    rows = read_rows(file, names, stamp)
    values, problems = numbers(rows[wanted], file)
    problems += _magnitudes(file, values, wanted, loads, kind)
    times, time_problems = parse_times(rows[stamp], file, timestamp_format)
    interval = 0
    if not time_problems:
        times, interval, time_problems = check_times(
            times, rows[stamp], file, hour_ending=hour_ending
        )
    if problems or time_problems:
        raise InputError([*time_problems, *problems])
    stated = "ending" if hour_ending else "beginning"
    what = "feeder head (SCADA)" if kind == "scada" else "customers (AMI)"
    axis = f"local standard time, hour-{stated}, every {interval} min"
    notes = [f"Base load: {what} from {file.name}, {axis}.", *notes]
    summed = 1 if kind == "scada" else len(wanted)
    record = _record(file, values, wanted, times, interval, calendar, notes, summed=summed)
    return _scada(file, record, loads) if kind == "scada" else _ami(file, record, loads)


def _columns(
    file: Path, names: Sequence[str], columns: CsvColumns, loads: pd.DataFrame, kind: str
) -> tuple[str, list[str], list[str]]:
    """Return the column of the time, those of the readings, and notes on those left aside."""
    where = f"{file}, line 1"
    lowered = {name.lower(): name for name in names}
    asked = [columns.timestamp]
    if kind == "scada":
        asked += [columns.kw, *([columns.kvar] if columns.kvar else [])]
    problems = [
        Problem(where, f"there is no column {name!r}", nearest(name, names))
        for name in asked
        if name.lower() not in lowered
    ]
    stamp = lowered.get(columns.timestamp.lower(), "")
    others = [name for name in names if name != stamp]
    known = {str(name).lower(): str(name) for name in loads["name"]}
    if kind == "ami":
        unknown = [
            Problem(where, f"column {name!r} is not a load", nearest(name, list(known.values())))
            for name in others
            if name.lower() not in known
        ]
        problems += first_few(unknown, where, "columns that are not loads")
        if stamp and not others:
            problems.append(Problem(where, "there is no column of a load"))
    if problems:
        raise InputError(problems)
    if kind == "ami":
        return stamp, others, []
    wanted = [lowered[name.lower()] for name in asked[1:]]
    if columns.kvar is None and "kvar" in lowered and lowered["kvar"] not in (stamp, *wanted):
        wanted.append(lowered["kvar"])
    aside = [name for name in others if name and name not in wanted]
    return stamp, wanted, [f"Columns not read: {', '.join(aside)}."] if aside else []


def _magnitudes(
    file: Path, values: np.ndarray, names: Sequence[str], loads: pd.DataFrame, kind: str
) -> list[Problem]:
    """Return the columns that look like W for kW, and customers of negative load."""
    problems: list[Problem] = []
    negative: list[Problem] = []
    nominal = dict(zip(loads["name"].str.lower(), loads["kw"].abs(), strict=True))
    finite = np.where(np.isfinite(values), values, 0.0)
    for column, name in enumerate(names):
        where = f"{file}, column {name!r}"
        base = float(nominal[name.lower()] if kind == "ami" else loads["kw"].abs().sum())
        limit = max(_MAX_KW, _HEAD_MARGIN * base) if kind == "scada" else _MAX_KW
        top = float(np.abs(finite[:, column]).max(initial=0.0))
        if top > limit or (base > 0 and top > _ABSURD * base):
            text = f"reaches {top:g} beside a nominal load of {base:g} kW; expected kW or kvar"
            problems.append(Problem(where, text, "did you mean W?"))
        lowest = float(finite[:, column].min(initial=0.0))
        if kind == "ami" and lowest < 0:
            text = f"negative load, {lowest:g} kW; expected load without generation"
            negative.append(Problem(where, text))
    return [
        *first_few(problems, file, "columns as large"),
        *first_few(negative, file, "columns of negative load"),
    ]


def _record(
    file: Path,
    values: np.ndarray,
    names: Sequence[str],
    times: pd.DatetimeIndex,
    interval: int,
    calendar: Calendar,
    notes: Sequence[str],
    *,
    summed: int,
) -> _Record:
    """Return the whole days on the calendar's steps, and which of them each day is made of.

    The first ``summed`` columns are the kW that the extreme days are judged by.
    """
    rows, dates = whole_days(times, interval)
    if dates.empty:
        raise InputError(Problem(str(file), "there is no whole day from 00:00 to 24:00"))
    cut = values[rows].reshape(len(dates), -1, len(names))
    leap = (dates.month == 2) & (dates.day == 29)
    dates, cut = dates[~leap], cut[~leap]
    cut = np.moveaxis(resample(np.moveaxis(cut, 1, -1), calendar.steps_per_day), -1, 1)
    total = cut[:, :, :summed].sum(axis=2)
    picked = source_days(calendar, dates.month.to_numpy(), dates.day_of_week.to_numpy() >= 5, total)
    problems = [
        Problem(str(file), f"no {day.day_type} in {day.season} (months {list(day.months)})")
        for day, days in zip(calendar.days, picked, strict=True)
        if not days.size
    ]
    if problems:
        raise InputError(problems)
    told = [*notes, f"{len(dates)} whole days from {dates[0].date()} to {dates[-1].date()}."]
    if dropped := len(times) - (rows.stop - rows.start):
        told.append(f"{dropped} rows of incomplete days at the ends are left out.")
    if leap.any():
        told.append("29 February is left out.")
    told += extreme_notes(calendar, [str(dates[int(days[0])].date()) for days in picked])
    return _Record(cut, tuple(names), tuple(picked), tuple(told))


def _scada(file: Path, record: _Record, loads: pd.DataFrame) -> BaseLoad:
    """Return the one shape of a feeder head; ``p`` times all nominal kW is the measured kW."""
    measured = record.profile()
    kw, kvar = (float(loads[name].sum()) for name in ("kw", "kvar"))
    if kw <= 0:
        raise InputError(
            Problem(str(file), f"the model's loads sum to {kw:g} kW; expected above 0")
        )
    head = pd.DataFrame({"head_kw": measured[:, 0], "head_kvar": np.nan})
    head.index.name = "step"
    notes = [*record.notes, "The measured kW is spread over all loads by nominal kW."]
    p = measured[:, 0] / kw
    q = p
    if measured.shape[1] > 1:
        head["head_kvar"] = measured[:, 1]
        if abs(kvar) > 1e-6 * kw:
            q = measured[:, 1] / kvar
        else:
            notes.append("The loads have no nominal kvar, so the measured kvar is not spread.")
    else:
        notes.append("kvar was not measured: nominal power factors are kept.")
    if below := int((measured[:, 0] < 0).sum()):
        notes.append(f"The head exports at {below} steps: generation is netted in the base load.")
    shape_of = dict.fromkeys(loads["name"].astype(str).str.lower(), 0)
    return BaseLoad("csv", p[None], q[None].copy(), shape_of, tuple(notes), True, head)


def _ami(file: Path, record: _Record, loads: pd.DataFrame) -> BaseLoad:
    """Return a shape for each metered load, and their mean for the loads without a meter."""
    kw = record.profile()
    names = [name.lower() for name in record.columns]
    by_load = loads.set_index(loads["name"].astype(str).str.lower())["kw"].astype(float)
    nominal = by_load.loc[names].to_numpy()
    problems = [
        Problem(f"{file}, column {name!r}", "the load's nominal kW is 0 and its readings are not")
        for name, base, column in zip(record.columns, nominal, kw.T, strict=True)
        if base == 0 and column.any()
    ]
    unmetered = [name for name in by_load.index if name not in set(names)]
    if unmetered and nominal.sum() <= 0:
        text = "the metered loads have no nominal kW, so the others cannot follow them"
        problems.append(Problem(str(file), text))
    if problems:
        raise InputError(first_few(problems, file, "loads like these"))
    p = np.divide(kw, nominal, out=np.zeros_like(kw), where=nominal != 0).T
    shape_of = {name: row for row, name in enumerate(names)}
    notes = [
        *record.notes,
        f"{len(names)} of {len(by_load)} loads are metered; nominal power factors are kept.",
    ]
    if unmetered:
        p = np.vstack([p, kw.sum(axis=1) / nominal.sum()])
        shape_of |= dict.fromkeys(unmetered, len(names))
        share = by_load[unmetered].sum() / by_load.sum()
        notes.append(
            f"The {len(unmetered)} loads without a meter ({share:.0%} of nominal kW) follow the"
            " metered ones by nominal kW."
        )
    p = np.ascontiguousarray(p)
    return BaseLoad("csv", p, p.copy(), shape_of, tuple(notes), season_claim=True)
