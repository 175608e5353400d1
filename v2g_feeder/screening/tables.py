"""Tables of a study's violations: the keys of each row, hour by hour, and the rows that are kept.

The tables are folds: computed from parts of the violations and merged, they are the same as from
all of them at once, whatever the order, provided that no (policy, case, draw, step) is split over
two parts. Labels that do not apply are empty strings, never NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from v2g_feeder.conventions import Effect
from v2g_feeder.screening.compare import SCREEN_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from v2g_feeder.calendar import Calendar

    Columns: TypeAlias = Mapping[str, np.ndarray] | pd.DataFrame

__all__ = [
    "HOURLY_COLUMNS",
    "MOST_ROWS",
    "VIOLATION_COLUMNS",
    "cap_note",
    "cap_rows",
    "fold_hourly",
    "hourly",
    "joined",
    "keep_worst",
    "keyed",
    "labelled",
    "place_of",
    "row_codes",
    "sort_rows",
    "table_of",
]

_TIME: Final = ("season", "month", "day_type", "hour", "minute")
VIOLATION_COLUMNS: Final = (
    "policy",
    "case",
    "draw",
    "step",
    *_TIME,
    *(name for name in SCREEN_COLUMNS if name != "step"),
)
HOURLY_COLUMNS: Final = (
    "policy",
    "case",
    "step",
    *_TIME,
    "criterion",
    "count",
    "draws_with",
    "worst_value",
    "limit",
    "worst_element",
)
MOST_ROWS: Final = 1_000_000
_HOURLY_KEYS: Final = ("policy", "case", "step", "criterion")
_CAP_KEYS: Final = (
    "policy",
    "case",
    "criterion",
    "element",
    "node",
    "phase",
    "season",
    "day_type",
    "hour",
)


def keyed(
    violations: Columns,
    *,
    policy: str,
    case: str,
    draw: int | np.ndarray,
    calendar: Calendar,
    step: int,
) -> dict[str, np.ndarray]:
    """Return the rows of one unit with the keys of the study.

    Parameters
    ----------
    violations
        Columns :data:`~v2g_feeder.screening.SCREEN_COLUMNS`, as from
        :func:`~v2g_feeder.screening.screen`, steps counted within the unit.
    policy, case, draw
        Of the unit; ``draw`` may differ from row to row.
    calendar
        The step axis of the study.
    step
        The calendar's step that is the unit's first.

    Returns
    -------
    dict of numpy.ndarray
        Columns :data:`VIOLATION_COLUMNS`; ``step`` on the study's axis, ``month`` the day's
        representative one.
    """
    steps = np.asarray(violations["step"]) + step
    day = steps // calendar.steps_per_day
    minutes = steps % calendar.steps_per_day * calendar.step_minutes
    days = calendar.days
    keys = {
        "policy": _repeated(policy, len(steps)),
        "case": _repeated(case, len(steps)),
        "draw": np.broadcast_to(draw, steps.shape),
        "step": steps,
        "season": np.array([str(item.season) for item in days], dtype=object)[day],
        "month": np.array([item.month for item in days])[day],
        "day_type": np.array([str(item.day_type) for item in days], dtype=object)[day],
        "hour": minutes // 60,
        "minute": minutes % 60,
    }
    return keys | {
        name: np.asarray(violations[name]) for name in VIOLATION_COLUMNS if name not in keys
    }


def hourly(violations: pd.DataFrame) -> pd.DataFrame:
    """Return how many places break a limit in each step, and the worst of them.

    Parameters
    ----------
    violations
        Columns :data:`VIOLATION_COLUMNS`.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`HOURLY_COLUMNS`, one row a (policy, case, step, criterion) with a violation.
        ``count`` is the number of broken limits over places and draws, ``cured`` rows left out;
        ``draws_with`` the number of draws with at least one. The worst is the most negative
        margin; of equals the lowest draw, then the first label. ``worst_element`` is a node for
        voltages, a series element otherwise, the reason of an invalid step.
    """
    return fold_hourly([violations])[list(HOURLY_COLUMNS)]


def fold_hourly(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the hourly table of violations, of earlier folds or of a mixture of them.

    Parameters
    ----------
    parts
        Violations (columns :data:`VIOLATION_COLUMNS`) or results of this function.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`HOURLY_COLUMNS`, and the worst row's ``margin`` and ``draw``.
    """
    ready = [part if "draws_with" in part else _by_draw(part) for part in parts]
    return _worst(pd.concat(ready, ignore_index=True), _HOURLY_KEYS, ("count", "draws_with"))


def cap_rows(violations: pd.DataFrame, most: int = MOST_ROWS) -> tuple[pd.DataFrame, str]:
    """Return the violations, or the worst of them if they are too many.

    Parameters
    ----------
    violations
        Columns :data:`VIOLATION_COLUMNS`.
    most
        Number of rows above which rows are dropped.

    Returns
    -------
    frame : pandas.DataFrame
        In the order of :func:`sort_rows`. Above ``most`` rows the worst of each (policy, case,
        criterion, element or node, phase, season, day type, hour) is kept; if there are still too
        many, each criterion keeps its worst, in equal shares of ``most`` and at least one.
    note : str
        What was dropped; empty if nothing was.
    """
    count = len(violations)
    if count <= most:
        return sort_rows(violations), ""
    rows, shared = keep_worst(violations, most)
    return sort_rows(rows), cap_note(count, shared=shared)


def keep_worst(
    violations: pd.DataFrame, most: int, *, shared: bool = False
) -> tuple[pd.DataFrame, bool]:
    """Return the worst rows, as :func:`cap_rows` does for too many, and whether it cut shares.

    What it dropped once it would drop again with more rows added, if ``shared`` is passed on.
    """
    worst = _worst(violations.assign(worst_element=place_of(violations)), _CAP_KEYS, ())
    worst = worst[list(VIOLATION_COLUMNS)]
    if not shared and len(worst) <= most:
        return worst, False
    share = max(1, most // worst["criterion"].nunique())
    margin = worst["margin"].fillna(-np.inf).to_numpy()
    order = np.argsort(margin, kind="stable")
    rank = worst.iloc[order].groupby("criterion", observed=True, sort=False).cumcount()
    return worst.iloc[np.sort(order[rank.to_numpy() < share])], True


def cap_note(count: int, *, shared: bool) -> str:
    """Return what :func:`keep_worst` left of ``count`` rows, in words."""
    note = (
        f"{count} rows: only the worst per policy, case, criterion, place, season, "
        "day type and hour are kept"
    )
    return f"{note}, and of these an equal share of the worst of each criterion" if shared else note


def sort_rows(violations: pd.DataFrame) -> pd.DataFrame:
    """Return the rows by policy, case, draw, step, criterion and place, numbered from zero."""
    if violations.empty:
        return violations.reset_index(drop=True)
    keys = ("policy", "case", "draw", "step", "criterion", "node", "element", "phase")
    order = np.argsort(row_codes(violations, keys), kind="stable")
    return violations.iloc[order].reset_index(drop=True)


def place_of(violations: pd.DataFrame) -> np.ndarray:
    """Return the label of each row's place: its node, or its element where it has none."""
    node = violations["node"].to_numpy(dtype=object)
    found: np.ndarray = np.where(node == "", violations["element"].to_numpy(dtype=object), node)
    return found


def table_of(parts: Sequence[Columns]) -> pd.DataFrame:
    """Return rows of :func:`keyed`, of one part or more in turn, their labels as categories."""
    found = {}
    for name in VIOLATION_COLUMNS:
        columns = [part[name] for part in parts]
        found[name] = labelled(np.concatenate(columns) if len(columns) > 1 else columns[0])
    return pd.DataFrame(found)


def labelled(column: np.ndarray | pd.Series) -> np.ndarray | pd.Series | pd.Categorical:
    """Return labels as categories in order, so that none is looked at again; others as they are.

    Every sort, comparison and count of a label's column costs ten times less.
    """
    if column.dtype.kind != "O" or isinstance(column.dtype, pd.CategoricalDtype):
        return column
    codes, labels = pd.factorize(column, sort=True)
    return pd.Categorical.from_codes(codes, labels)


def joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of tables of :func:`labelled` columns."""
    first = tables[0]
    if len(tables) == 1:
        return first
    return pd.DataFrame(
        {
            name: union_categoricals([table[name] for table in tables], sort_categories=True)
            if isinstance(first[name].dtype, pd.CategoricalDtype)
            else np.concatenate([table[name] for table in tables])
            for name in first
        }
    )


def row_codes(table: pd.DataFrame, keys: Sequence[str]) -> np.ndarray:
    """Return a number for each row, equal and in the order of the keys, ``[row]``."""
    codes = np.zeros(len(table), dtype=np.int64)
    size = 1
    for key in keys:
        code, count = _codes(table[key])
        if size * count >= 2**62:
            codes = np.unique(codes, return_inverse=True)[1]
            size = int(codes.max(initial=0)) + 1
        codes = codes * count + code
        size *= count
    return codes


def _codes(column: pd.Series) -> tuple[np.ndarray, int]:
    """Return a number for each row, in the order of its values, and above the highest of them."""
    if isinstance(column.dtype, pd.CategoricalDtype) and len(column.cat.categories):
        rank = np.argsort(np.argsort(column.cat.categories))
        return rank[column.cat.codes.to_numpy()], len(rank)
    code, labels = pd.factorize(column, sort=True)
    return code, len(labels)


def _repeated(label: str, count: int) -> np.ndarray:
    """Return a plain string repeated; an enumeration's member prints as its value."""
    return np.full(count, str(label), dtype=object)


def _by_draw(violations: pd.DataFrame) -> pd.DataFrame:
    """Return the worst row of each (policy, case, draw, step, criterion) and their number."""
    broken = violations[violations["effect"] != Effect.CURED]
    rows = broken[["draw", "margin", "limit", *_TIME, *_HOURLY_KEYS]].assign(
        worst_value=broken["value"], worst_element=place_of(broken), count=1
    )
    worst = _worst(rows, (*_HOURLY_KEYS, "draw"), ("count",)).assign(draws_with=1)
    labels = ("policy", "case", "season", "day_type", "criterion")
    return worst.astype(dict.fromkeys(labels, object))


def _worst(rows: pd.DataFrame, keys: Sequence[str], sums: Sequence[str]) -> pd.DataFrame:
    """Return the worst row of each key, in the order of keys, with some columns summed over it.

    Worst is the most negative margin, one that is not a number first; of equals the lowest draw,
    then the first place.
    """
    if rows.empty:
        return rows
    group = row_codes(rows, keys)
    order = np.lexsort(
        (
            row_codes(rows, [key for key in ("worst_element", "step") if key not in keys]),
            rows["draw"].to_numpy(),
            rows["margin"].fillna(-np.inf).to_numpy(),
            group,
        )
    )
    ordered = group[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    totals = {name: np.add.reduceat(rows[name].to_numpy()[order], starts) for name in sums}
    return rows.iloc[order[starts]].assign(**totals).reset_index(drop=True)
