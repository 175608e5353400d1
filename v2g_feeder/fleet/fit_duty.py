"""Tables of a duty from duty records: start, end, miles and how they go together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import rankdata

from v2g_feeder.fleet.duty import MIN_OUT_H
from v2g_feeder.fleet.fit_plugging import quantiles, spearman

if TYPE_CHECKING:
    from v2g_feeder.fleet.records import Records

__all__ = ["TRIP", "fit_duty"]

TRIP: Final = "trips.shift"
_LEAST_DAYS: Final = 20  # vehicle-days, for a vehicle's own part in the spread


def fit_duty(records: Records, levels: tuple[float, ...]) -> dict[str, Any]:
    """Return the figures of the ``duty`` section that records tell, by dotted key.

    Parameters
    ----------
    records
        Duties, one a vehicle-day.
    levels
        Levels of the quantile rows, 0 to 1.

    Returns
    -------
    dict
        Hours, miles, rank correlations; the shares of days with a duty only where the records have
        dates and vehicles, the vehicle's own part in the spread only where they have vehicles.
    """
    table = records.table
    start, miles = table["start_h"].to_numpy(), table["miles"].to_numpy()
    end = np.maximum(table["end_h"].to_numpy(), start + MIN_OUT_H)
    figures: dict[str, Any] = {
        f"{TRIP}.start_h": quantiles(start, levels),
        f"{TRIP}.end_h": quantiles(end, levels),
        f"{TRIP}.miles": quantiles(miles, levels),
        f"{TRIP}.rank_start_end": round(spearman(start, end), 3),
        f"{TRIP}.rank_start_miles": round(spearman(start, miles), 3),
        f"{TRIP}.rank_end_miles": round(spearman(end, miles), 3),
    }
    if records.unit == "vehicle":
        own = [_own_part(table["vehicle"], values) for values in (start, end, miles)]
        known = [part for part in own if part is not None]
        if known:
            figures["same_vehicle"] = round(float(np.mean(known)), 2)
        if table["date"].notna().all():
            figures |= _shares(table)
    return figures


def _shares(table: pd.DataFrame) -> dict[str, float]:
    """Return the share of the fleet's vehicle-days with a duty; holidays count as days without."""
    days = pd.date_range(table["date"].min(), table["date"].max())
    vehicles = table["vehicle"].nunique()
    shares = {"holiday_share": 0.0}
    for name, weekend in (("weekday", False), ("weekend", True)):
        count = int(((days.day_of_week >= 5) == weekend).sum())
        mine = table[(table["date"].dt.day_of_week >= 5) == weekend]
        duties = len(mine.drop_duplicates(["vehicle", "date"]))
        if count:
            shares[f"{TRIP}.{name}_share"] = round(min(duties / (count * vehicles), 1.0), 3)
    return shares


def _own_part(vehicle: pd.Series, values: np.ndarray) -> float | None:
    """Return the share (0 to 1) of the variance of normal scores that lies between vehicles.

    One-way analysis of variance; ``None`` where too few vehicles have two days of record.
    """
    groups = pd.Series(ndtri((rankdata(values) - 0.5) / len(values))).groupby(vehicle.to_numpy())
    count, total, k = groups.size().to_numpy(), len(values), groups.ngroups
    if total < _LEAST_DAYS or k < 2 or total - k < _LEAST_DAYS / 2:
        return None
    within = float((groups.var(ddof=0) * groups.size()).sum()) / (total - k)
    means = groups.mean().to_numpy()
    between = float((count * (means - np.average(means, weights=count)) ** 2).sum()) / (k - 1)
    typical = (total - (count**2).sum() / total) / (k - 1)
    own = (between - within) / (between + (typical - 1) * within)
    return float(np.clip(own, 0, 1))
