"""First item: whether the hours of the evening peak recur within a narrow window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.errors import InputError, Problem
from v2g_feeder.feeder.base_load_times import check_times
from v2g_feeder.pilot.answers import Item, Measure
from v2g_feeder.pilot.clock import clock, window_text
from v2g_feeder.pilot.tables import numbers, read_text_table, times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from v2g_feeder.pilot.thresholds import Thresholds

__all__ = ["LoadRecord", "SeasonPeak", "evening_peak", "read_load", "season_peaks"]

_MOST_KW: Final = 200_000.0


@dataclass(frozen=True, eq=False)
class LoadRecord:
    """Measured load of a feeder.

    Parameters
    ----------
    file
        Where it was read from.
    kw
        By beginning of the interval (local standard time), kW, import positive; NaN where missing.
    interval_minutes
        15, 30 or 60.
    """

    file: str
    kw: pd.Series
    interval_minutes: int

    def days(self) -> tuple[pd.DatetimeIndex, np.ndarray]:
        """Return the dates of whole days and their kW, ``[day, step]``."""
        per_day = 24 * 60 // self.interval_minutes
        first, last = self.kw.index[0].normalize(), self.kw.index[-1].normalize()
        axis = pd.date_range(first, last + pd.Timedelta(days=1), freq=f"{self.interval_minutes}min")
        table = self.kw.reindex(axis[:-1]).to_numpy().reshape(-1, per_day)
        whole = np.isfinite(table).all(axis=1)
        return pd.date_range(first, last, freq="D")[whole], table[whole]


@dataclass(frozen=True)
class SeasonPeak:
    """Daily peaks of one season.

    Parameters
    ----------
    season
        Its name.
    days
        Whole days.
    start_h, end_h
        The window of the wanted width that holds most daily peaks.
    share
        Share of the days whose peak lies in it.
    peak_to_average
        Median over days of the daily peak over the daily mean; NaN where a mean is not above 0.
    """

    season: str
    days: int
    start_h: float
    end_h: float
    share: float
    peak_to_average: float


def read_load(
    path: Path,
    *,
    kind: str = "scada",
    columns: Mapping[str, str] | None = None,
    hour_ending: bool = False,
) -> LoadRecord:
    """Read a CSV of measured load: 15, 30 or 60 min, local standard time.

    Parameters
    ----------
    path
        Columns ``timestamp`` and ``kw``; rows and entries may be missing.
    kind
        ``scada``: one column of kW at the feeder head. ``ami``: a column of kW a meter, which are
        summed; an interval in which one is missing is missing.
    columns
        Your names of ``timestamp`` and ``kw``.
    hour_ending
        Whether a time stamp ends its interval.

    Raises
    ------
    InputError
        With every problem, by line and column.
    """
    roles = ("timestamp", "kw") if kind == "scada" else ("timestamp",)
    table = read_text_table(path, roles, columns, others=kind == "ami")
    meters = [name for name in table.columns if name != "timestamp"]
    if not meters:
        raise InputError(Problem(f"{path}, line 1", "there is no column of a meter"))
    stamp = (columns or {}).get("timestamp", "timestamp")
    begins, problems = times(table["timestamp"], path, stamp)
    interval = 0
    if not problems:
        index = pd.DatetimeIndex(begins)
        text = table["timestamp"].rename(stamp)
        index, interval, problems = check_times(
            index, text, path, hour_ending=hour_ending, gaps=True
        )
    kw = np.zeros(len(table))
    for meter in meters:
        name = (columns or {}).get(meter, meter)
        values, wrong = numbers(table[meter], path, name)
        problems += wrong
        kw += values
        top = np.nanmax(np.abs(values), initial=0.0)
        if not wrong and top > _MOST_KW:
            where = f"{path}, column {name!r}"
            problems.append(Problem(where, f"reaches {top:g}; expected kW", "did you mean W?"))
    if problems:
        raise InputError(problems)
    return LoadRecord(str(path), pd.Series(kw, index=index), interval)


def season_peaks(
    record: LoadRecord, seasons: Mapping[str, Sequence[int]], width_h: float, start_h: float
) -> list[SeasonPeak]:
    """Return the daily peaks of every season that has a whole day.

    Parameters
    ----------
    record
        Measured load.
    seasons
        Months by season.
    width_h, start_h
        Width of the window and the earliest hour at which it may begin. A daily peak lies in the
        window if its whole interval does.
    """
    dates, kw = record.days()
    step_h = record.interval_minutes / 60
    hour = kw.argmax(axis=1) * step_h if len(kw) else np.zeros(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = kw.max(axis=1, initial=-np.inf) / kw.mean(axis=1)
    ratio[kw.mean(axis=1) <= 0] = np.nan
    starts = np.arange(start_h, 24 - width_h + 1e-9, step_h)
    found = []
    for season, months in seasons.items():
        mine = np.isin(dates.month, list(months))
        if not mine.any():
            continue
        own = hour[mine]
        inside = (own >= starts[:, None] - 1e-9) & (
            own + step_h <= starts[:, None] + width_h + 1e-9
        )
        share = inside.mean(axis=1)
        off_centre = np.abs(starts + width_h / 2 - (np.median(own) + step_h / 2))
        best = np.lexsort((off_centre, -share))[0]
        start = float(starts[best])
        found.append(
            SeasonPeak(
                season,
                int(mine.sum()),
                start,
                start + width_h,
                float(share[best]),
                float(np.median(ratio[mine])),
            )
        )
    return found


def evening_peak(
    record: LoadRecord | None,
    thresholds: Thresholds,
    seasons: Mapping[str, Sequence[int]],
    wanted: Sequence[str] = (),
) -> tuple[Item, tuple[float, float] | None]:
    """Answer the first item, and return the window of the peak.

    Parameters
    ----------
    record
        Measured load; ``None`` where there is none.
    thresholds
        What is enough.
    seasons
        Months by season.
    wanted
        Seasons that are judged; where empty, all that have enough whole days.

    Returns
    -------
    tuple
        The item, and the hours from the earliest to the latest window of the judged seasons, or
        ``None`` if no season is judged.
    """
    if record is None:
        text = f"load of the feeder head or of its meters, {thresholds.season_days:g} days or more"
        return Item("evening_peak", missing=(text,)), None
    peaks = season_peaks(record, seasons, thresholds.peak_width_h, thresholds.peak_start_h)
    enough = {peak.season: peak for peak in peaks if peak.days >= thresholds.season_days}
    judged = [season for season in seasons if season in (wanted or enough)]
    days = {peak.season: peak.days for peak in peaks}
    missing = [
        f"{season}: {days.get(season, 0)} whole days of load, {thresholds.season_days:g} are needed"
        for season in (judged or days)
        if season not in enough
    ]
    if not days:
        missing = ["no whole day of load in the record"]
    measures = [
        measure
        for season in judged
        if season in enough
        for measure in _measures(enough[season], thresholds)
    ]
    missing += [
        f"{peak.season}: daily means of load above 0, without generation"
        for peak in (enough[season] for season in judged if season in enough)
        if np.isnan(peak.peak_to_average)
    ]
    aside = ", ".join(f"{name} ({days[name]} days)" for name in days if name not in judged)
    notes = (f"not judged: {aside}",) if aside else ()
    item = Item("evening_peak", tuple(measures), (record.file,), tuple(missing), notes=notes)
    used = [enough[season] for season in judged if season in enough]
    window = (min(p.start_h for p in used), max(p.end_h for p in used)) if used else None
    return item, window


def _measures(peak: SeasonPeak, thresholds: Thresholds) -> list[Measure]:
    """Return the two figures of a season."""
    window = window_text(peak.start_h, peak.end_h)
    return [
        Measure(
            f"{peak.season}: daily peaks in {window}",
            peak.share,
            "1",
            at_least=thresholds.peak_share,
            note=f"{peak.days} days; window of {thresholds.peak_width_h:g} h, not before "
            f"{clock(thresholds.peak_start_h)}",
        ),
        Measure(
            f"{peak.season}: daily peak to average",
            peak.peak_to_average,
            "",
            at_least=thresholds.peak_to_average,
            note="median day",
        ),
    ]
