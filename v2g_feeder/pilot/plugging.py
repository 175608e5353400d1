"""Second item: whether a fleet or site has predictable plug-in times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.pilot.answers import Item, Measure
from v2g_feeder.pilot.clock import clock, window_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.pilot.stays import Stays
    from v2g_feeder.pilot.thresholds import Thresholds

__all__ = ["PluggedShare", "plug_in", "plugged_share"]

_Z95: Final = 1.959964
_QUANTILES: Final = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class PluggedShare:
    """How much of a fleet is plugged in through a window on weekdays.

    Parameters
    ----------
    share, low, high
        Share of vehicle-weekdays, and its 95 % interval (NaN for a timetable).
    weekdays, units
        Counts.
    plug_in_h, plug_out_h
        10, 50 and 90 % points of the hours at which the stays through the window begin and end,
        from midnight of the window's day; empty without such a stay.
    """

    share: float
    low: float
    high: float
    weekdays: int
    units: int
    plug_in_h: tuple[float, ...]
    plug_out_h: tuple[float, ...]


def plugged_share(
    stays: Stays,
    window: tuple[float, float],
    *,
    units: int | None = None,
    months: Sequence[int] = (),
) -> PluggedShare:
    """Return the share of vehicle-weekdays on which a vehicle is plugged in through the window.

    Every weekday that the record covers counts, holidays included. Stays of one unit that touch
    or overlap are one.

    Parameters
    ----------
    stays
        The record.
    window
        Hours of the day, the end above 24 where it is on the next day.
    units
        Number of vehicles or ports; left out, those of the record.
    months
        Months that count; all where empty.

    Returns
    -------
    PluggedShare
        The interval is Wilson's with weekdays as the independent observations: vehicles of one day
        go together, so a vehicle-day is no observation of its own.
    """
    dates = pd.date_range(stays.first, stays.last, freq="D")
    dates = dates[dates.day_of_week < 5]
    if months and stays.kind != "timetable":
        dates = dates[np.isin(dates.month, list(months))]
    table = merged(stays.table)
    start = table["start"].to_numpy("datetime64[s]").astype(float) / 3600
    end = table["end"].to_numpy("datetime64[s]").astype(float) / 3600
    count = units or stays.units
    shares, begins, ends = [], [], []
    for midnight in dates.to_numpy("datetime64[s]").astype(float) / 3600:
        through = (start <= midnight + window[0] + 1e-6) & (end >= midnight + window[1] - 1e-6)
        shares.append(through.sum() / count)
        begins.append(start[through] - midnight)
        ends.append(end[through] - midnight)
    share = float(np.mean(shares)) if shares else float("nan")
    plan = stays.kind == "timetable" or not shares
    low, high = (float("nan"),) * 2 if plan else _wilson(min(share, 1.0), len(shares))
    return PluggedShare(share, low, high, len(shares), count, _points(begins), _points(ends))


def merged(table: pd.DataFrame) -> pd.DataFrame:
    """Return stays with those of one unit that touch or overlap made one; unknown units as is."""
    known = table[table["unit"] != ""].sort_values(["unit", "start"])
    if known.empty:
        return table
    reach = known.groupby("unit")["end"].cummax()
    before = reach.groupby(known["unit"]).shift()
    group = (before.isna() | (known["start"] > before)).cumsum()
    joined = known.groupby(group).agg(
        unit=("unit", "first"), start=("start", "min"), end=("end", "max")
    )
    return pd.concat([joined, table[table["unit"] == ""]], ignore_index=True)


def _points(hours: Sequence[np.ndarray]) -> tuple[float, ...]:
    every = np.concatenate(hours) if hours else np.zeros(0)
    return tuple(float(value) for value in np.quantile(every, _QUANTILES)) if every.size else ()


def _wilson(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share.

    References
    ----------
    Wilson, E. B., "Probable inference, the law of succession, and statistical inference", JASA 22
    (1927).
    """
    z2 = _Z95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z95 / (1 + z2 / count) * np.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def plug_in(
    stays: Stays | None,
    window: tuple[float, float] | None,
    thresholds: Thresholds,
    *,
    units: int | None = None,
    months: Sequence[int] = (),
) -> Item:
    """Answer the second item.

    Parameters
    ----------
    stays
        Sessions, meter values, trips or a timetable; ``None`` where there are none.
    window
        Hours of the event; ``None`` where neither the user nor the load gives one.
    thresholds
        What is enough.
    units, months
        As in :func:`plugged_share`.
    """
    if stays is None:
        return Item("plug_in", missing=("session records, trips or a timetable of the fleet",))
    evidence, missing = (stays.file,), []
    if window is None:
        missing.append("the hours of the event: `window`, or a load record that shows the peak")
    if not (units or stays.units):
        missing.append("who was plugged in: a column of vehicle, user or port, or `vehicles`")
    if missing or window is None:
        return Item("plug_in", (), evidence, tuple(missing), notes=stays.notes)
    found = plugged_share(stays, window, units=units, months=months)
    text = f"{found.weekdays} weekdays, {found.units} {stays.noun}"
    if not np.isnan(found.low):
        text = f"95 % interval {found.low:.0%} to {found.high:.0%}; {text}"
    share = found.share
    if stays.kind != "timetable" and found.weekdays < thresholds.weekdays:
        missing.append(f"{found.weekdays} weekdays of records; {thresholds.weekdays:g} are needed")
        text, share = f"not judged, {share:.0%} so far; {text}", float("nan")
    if stays.parked_only and not share < thresholds.plugged_share:
        missing.append("whether parked vehicles are plugged in: a column `plugged_in`, or sessions")
    if share > 1:
        missing.append(f"{found.units} {stays.noun} are fewer than are plugged in at once")
    verb = "parked at base" if stays.parked_only else "plugged in"
    measures = [
        Measure(
            f"{verb} through {window_text(*window)}, weekdays",
            share,
            "1",
            at_least=thresholds.plugged_share,
            note=text,
        ),
        *_spread("plug-in", found.plug_in_h),
        *_spread("plug-out", found.plug_out_h),
    ]
    return Item("plug_in", tuple(measures), evidence, tuple(missing), notes=stays.notes)


def _spread(name: str, points: Sequence[float]) -> list[Measure]:
    """Return the spread of plug-in or plug-out, hours between the 10 and the 90 % point."""
    if not points:
        return []
    low, middle, high = points
    note = f"{clock(low)} to {clock(high)}, median {clock(middle)}"
    return [Measure(f"spread of {name}, 10 to 90 %", high - low, "h", note=note)]
