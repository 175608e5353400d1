"""Answers of a search as a table, with a status each, and their annual minima."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Criterion, Status
from v2g_feeder.hosting.nodal import DIRECTIONS
from v2g_feeder.screening import unknowns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.feeder.model import Feeder
    from v2g_feeder.hosting.bounds import Part
    from v2g_feeder.hosting.nodal import Found, Search
    from v2g_feeder.powerflow.solution import Observed
    from v2g_feeder.screening import Limits

__all__ = ["CAPACITY_COLUMNS", "annual_minima", "capacity_table", "unrated_buses"]

CAPACITY_COLUMNS: Final = (
    "bus",
    "connection",
    "direction",
    "step",
    "season",
    "month",
    "day_type",
    "hour",
    "minute",
    "kw",
    "fails_at_kw",
    "limiting_criterion",
    "limiting_element",
    "status",
    "sudden_step",
)
_KEY: Final = ["bus", "connection", "direction"]
_STEP: Final = ["step", "season", "month", "day_type", "hour", "minute"]


def unrated_buses(feeder: Feeder, observed: Observed, limits: Limits) -> frozenset[str]:
    """Return the buses fed through an element of unknown rating, if loading is limited at all."""
    if not np.isfinite(limits.thermal_pct):
        return frozenset()
    names = set(unknowns(observed)["element"])
    bare: set[str] = set()
    for bus in feeder.tree.order:
        above, element = feeder.tree.parent.get(bus, ("", ""))
        if above in bare or element in names:
            bare.add(bus)
    return frozenset(bare)


def capacity_table(
    found: Found,
    points: pd.DataFrame,
    parts: Sequence[Part],
    axis: pd.DataFrame,
    search: Search,
    unrated: frozenset[str] = frozenset(),
) -> pd.DataFrame:
    """Return one row a (candidate, direction, step).

    Parameters
    ----------
    found
        Answers of the steps.
    points
        The candidates.
    parts
        The criteria whose places ``found`` numbers.
    axis
        Rows of :meth:`~v2g_feeder.calendar.Calendar.table` for those steps.
    search
        How far and how closely was searched.
    unrated
        From :func:`unrated_buses`. A limit that was met there is a limit, and the capacity an upper
        bound; where none was met the capacity is ``unknown`` and not censored.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`CAPACITY_COLUMNS`; ``kw`` a magnitude. ``fails_at_kw`` is NaN where no size
        fails; ``sudden_step`` says which sudden change limits, and is empty for other limits.
    """
    steps, count, both = found.kw.shape
    at = np.indices((steps, count, both)).reshape(3, -1)
    criteria = np.array([*(str(p.criterion) for p in parts for _ in p.rows), ""], dtype=object)
    labels = np.concatenate([*(part.labels for part in parts), np.array([""], dtype=object)])
    sudden = np.array([*(part.sudden_step for part in parts for _ in part.rows), ""], dtype=object)
    kw, high, place = (getattr(found, n).reshape(-1) for n in ("kw", "fails_at_kw", "place"))
    fails = np.isfinite(high)
    criterion = np.where(fails & (place < 0), str(Criterion.INVALID), criteria[place])
    columns = {
        **{name: points[name].to_numpy(object)[at[1]] for name in ("bus", "connection")},
        "direction": np.array([str(one) for one in DIRECTIONS], dtype=object)[at[2]],
        **{name: axis[name].to_numpy()[at[0]] for name in _STEP},
        "kw": kw,
        "fails_at_kw": np.where(fails, high, np.nan),
        "limiting_criterion": criterion,
        "limiting_element": labels[place],
        "sudden_step": sudden[place],
    }
    table = pd.DataFrame(columns)
    table["status"] = _status(found, search, table["bus"].isin(unrated).to_numpy())
    order = [*_KEY, "step"]
    position = {bus: number for number, bus in enumerate(dict.fromkeys(points["bus"]))}
    table["_bus"] = table["bus"].map(position)
    table = table.sort_values(["_bus", *order[1:]], kind="stable", ignore_index=True)
    return table[list(CAPACITY_COLUMNS)]


def _status(found: Found, search: Search, unrated: np.ndarray) -> np.ndarray:
    """Return the status of each answer."""
    names = ("kw", "fails_at_kw", "place", "already", "beyond_kw")
    kw, high, place, already, beyond = (getattr(found, name).reshape(-1) for name in names)
    with np.errstate(invalid="ignore"):
        step = np.maximum(search.tolerance_kw, search.tolerance_share * kw)
        open_ = np.isfinite(high) & (high - kw > step * (1 + 1e-6))
    fails = np.isfinite(high)
    tests = [
        (np.isnan(kw) | open_ | (fails & (place < 0)), Status.UNKNOWN),
        (fails & already, Status.ALREADY_VIOLATED),
        (unrated & ~fails, Status.UNKNOWN),
        (beyond > high, Status.NON_MONOTONE),
        (fails, Status.LIMITED),
    ]
    return np.select(
        [test for test, _ in tests], [str(status) for _, status in tests], str(Status.CENSORED)
    ).astype(object)


def annual_minima(table: pd.DataFrame) -> pd.DataFrame:
    """Return the row of the smallest known capacity of each (bus, connection, direction).

    Of equal ones the first step's; steps whose base state could not be screened are left out.
    """
    known = table[table["kw"].notna()]
    first = known.groupby(_KEY, sort=False)["kw"].idxmin()
    return table.loc[first].reset_index(drop=True)
