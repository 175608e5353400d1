"""Harm beside relief: what the fleet breaks, and what it mends, in hours and in kW.

Hours are hours of the modelled days (steps times their length), never hours a year.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Criterion, Effect
from v2g_feeder.screening.compare import excess
from v2g_feeder.screening.tables import labelled, row_codes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["ALWAYS", "RELIEF_COLUMNS", "Outcome", "fold_relief", "harm_and_relief", "relief_part"]


class Outcome(StrEnum):
    """Effects as a planner weighs them."""

    HARM = "harm"  # new or worse
    RELIEF = "relief"  # cured or improved
    UNCHANGED = "unchanged"  # broken with and without, by the same
    UNCOMPARED = "uncompared"  # no valid reference step, or the step itself is invalid


_OUTCOME: Final = {
    str(Effect.NEW): str(Outcome.HARM),
    str(Effect.WORSE): str(Outcome.HARM),
    str(Effect.CURED): str(Outcome.RELIEF),
    str(Effect.IMPROVED): str(Outcome.RELIEF),
    str(Effect.SAME): str(Outcome.UNCHANGED),
    str(Effect.NONE): str(Outcome.UNCOMPARED),
}
_UNITS: Final = {
    str(Criterion.OVER_VOLTAGE): "pu",
    str(Criterion.UNDER_VOLTAGE): "pu",
    str(Criterion.SUDDEN_VOLTAGE): "pu",
    str(Criterion.THERMAL): "kVA",
    str(Criterion.REVERSE_FLOW): "kW",
    str(Criterion.EMERGENCY): "kVA",
    str(Criterion.SLOW_VOLTAGE): "pu",
    str(Criterion.REGULATOR_VOLTAGE): "pu",
    str(Criterion.LINE_UNBALANCE): "%",
    str(Criterion.SEQUENCE_UNBALANCE): "%",
    str(Criterion.HEAD_UNBALANCE): "%",
    str(Criterion.TAP_OPERATIONS): "a day",
    str(Criterion.CAPACITOR_OPERATIONS): "a day",
    str(Criterion.INVALID): "",
}
ALWAYS: Final = (
    Criterion.OVER_VOLTAGE,
    Criterion.UNDER_VOLTAGE,
    Criterion.SUDDEN_VOLTAGE,
    Criterion.THERMAL,
    Criterion.REVERSE_FLOW,
)
"""Criteria that have a row of harm and of relief even where nothing happened."""
_MEASURES: Final = ("hours", "place_hours", "peak")
RELIEF_COLUMNS: Final = (
    "policy",
    "case",
    "criterion",
    "outcome",
    "draws",
    *(f"{name}_{over}" for name in _MEASURES for over in ("mean", "min", "max")),
    "unit",
)
_KEYS: Final = ("policy", "case", "criterion", "outcome")


def harm_and_relief(
    violations: pd.DataFrame,
    draws: Mapping[tuple[str, str], int],
    rating_kva: Mapping[str, float],
    step_hours: float = 1.0,
    criteria: Iterable[str] = ALWAYS,
) -> pd.DataFrame:
    """Return the harm and the relief of each (policy, case), criterion by criterion.

    Parameters
    ----------
    violations
        Columns :data:`~v2g_feeder.screening.VIOLATION_COLUMNS`, all draws and days.
    draws
        Number of draws of each (policy, case) that was run; 1 for runs without chance.
    rating_kva
        Rating of each series element, kVA; NaN or missing where it is not known in kVA.
    step_hours
        Length of a step in hours.
    criteria
        What was screened.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`RELIEF_COLUMNS`. Every (policy, case), each of ``criteria``, and ``harm``
        and ``relief`` has a row, of zeros if nothing happened; ``unchanged``, ``uncompared`` and
        other criteria only where there are any. The mean, lowest and highest are over
        draws, a draw without any row counting as zero:

        * ``hours``: of the modelled days with at least one such place;
        * ``place_hours``: the same, added over places; a place is a bus for voltages, however
          many of its phases or legs, and an element otherwise;
        * ``peak``: the largest at any place and step, in ``unit`` (kVA for thermal, from the
          loading and the rating; kW for reverse flow; pu). For harm by how much further beyond
          the limit the run is than its reference, for relief by how much less, both magnitudes
          and none below the limit; otherwise how far beyond the limit. Not added over places,
          because elements in series carry the same kW. Elements without a rating in kVA are left
          out; NaN where there are no others.

    Raises
    ------
    ValueError
        For a (policy, case) that ``draws`` lacks, or with more draws than it says.
    """
    return fold_relief([relief_part(violations, rating_kva)], draws, step_hours, criteria)


def relief_part(violations: pd.DataFrame, rating_kva: Mapping[str, float]) -> pd.DataFrame:
    """Return one draw a row: ``policy, case, draw, criterion, outcome, steps, place_steps, peak``.

    ``violations`` and ``rating_kva`` as for :func:`harm_and_relief`. Parts that share no (policy,
    case, draw, step) may be concatenated.
    """
    rows = violations[["policy", "case", "draw", "criterion", "step"]].assign(
        outcome=labelled(violations["effect"].map(_OUTCOME).to_numpy(object)),
        place=np.where(
            violations["node"] == "",
            -1 - row_codes(violations, ("element",)),
            row_codes(violations, ("bus",)),
        ),
        peak=_amount(violations, rating_kva),
    )
    if rows.empty:
        return pd.DataFrame(columns=[*_KEYS, "draw", "steps", "place_steps", "peak"])
    rows["group"] = row_codes(rows, (*_KEYS, "draw"))
    found = rows.drop_duplicates("group").set_index("group")[[*_KEYS, "draw"]]
    by_step = row_codes(rows, ("group", "step"))
    by_place = row_codes(rows, ("group", "step", "place"))
    return found.assign(
        steps=rows[_first(by_step)].groupby("group").size(),
        place_steps=rows[_first(by_place)].groupby("group").size(),
        peak=rows.groupby("group")["peak"].max(),
    ).reset_index(drop=True)


def fold_relief(
    parts: Sequence[pd.DataFrame],
    draws: Mapping[tuple[str, str], int],
    step_hours: float,
    criteria: Iterable[str] = ALWAYS,
) -> pd.DataFrame:
    """Return the table of :func:`harm_and_relief` from the parts of :func:`relief_part`."""
    runs = {(str(policy), str(case)): count for (policy, case), count in draws.items()}
    screened = [str(item) for item in criteria]
    both = (str(Outcome.HARM), str(Outcome.RELIEF))
    keys: set[tuple[str, ...]] = {
        (*run, *key) for run, key in product(runs, product(screened, both))
    }
    filled = [part for part in parts if len(part)]
    if not filled:
        return _table(pd.DataFrame(index=_index(keys)), runs)
    by_draw = (
        pd.concat(filled)
        .groupby([*_KEYS, "draw"], as_index=False, observed=True)
        .agg({"steps": "sum", "place_steps": "sum", "peak": "max"})
    )
    _check_draws(by_draw, runs)
    by_draw["hours"] = by_draw.pop("steps") * step_hours
    by_draw["place_hours"] = by_draw.pop("place_steps") * step_hours
    groups = by_draw.groupby(list(_KEYS), observed=True)
    found = groups.size().to_frame("found")
    for name in _MEASURES:
        found[f"{name}_sum"] = groups[name].sum(min_count=1)
        found[f"{name}_min"] = groups[name].min()
        found[f"{name}_max"] = groups[name].max()
    return _table(found.reindex(_index(keys | set(found.index))), runs)


def _index(keys: set[tuple[str, ...]]) -> pd.MultiIndex:
    """Return the keys in order."""
    return pd.MultiIndex.from_tuples(sorted(keys), names=list(_KEYS))


def _check_draws(by_draw: pd.DataFrame, runs: Mapping[tuple[str, str], int]) -> None:
    """Refuse runs that were not announced, or draws beyond their number."""
    draws = by_draw.drop_duplicates(["policy", "case", "draw"])
    for run, count in Counter(zip(draws["policy"], draws["case"], strict=True)).items():
        announced = runs.get(run, 0)
        if count > announced:
            raise ValueError(f"{run}: {count} draws with rows, {announced} announced")


def _table(found: pd.DataFrame, runs: Mapping[tuple[str, str], int]) -> pd.DataFrame:
    """Return the rows of the report; a key that was not found is zero in every draw."""
    table = found.reset_index()
    table["draws"] = [runs[run] for run in zip(table["policy"], table["case"], strict=True)]
    absent = np.ones(len(table), dtype=bool)
    partial = absent
    if "found" in table:
        absent = table["found"].isna().to_numpy()
        partial = absent | (table["found"] < table["draws"]).to_numpy()
    for name in _MEASURES:
        total, low, high = (
            table.get(f"{name}_{over}", pd.Series(0.0, table.index))
            for over in ("sum", "min", "max")
        )
        table[f"{name}_mean"] = total.mask(absent, 0.0) / table["draws"]
        table[f"{name}_min"] = low.mask(partial, 0.0)
        table[f"{name}_max"] = high.mask(absent, 0.0)
    table["unit"] = table["criterion"].map(_UNITS)
    return table[list(RELIEF_COLUMNS)]


def _first(codes: np.ndarray) -> np.ndarray:
    """Return whether each row is the first of its code."""
    first: np.ndarray = ~pd.Series(codes).duplicated().to_numpy()
    return first


def _amount(violations: pd.DataFrame, rating_kva: Mapping[str, float]) -> np.ndarray:
    """Return by how much each row is harm, relief or beyond its limit, at least zero."""
    amount = np.full(len(violations), np.nan)
    compared = ~violations["effect"].isin([Effect.SAME, Effect.NONE]).to_numpy()
    columns = [violations[name].to_numpy(float) for name in ("value", "limit", "reference_value")]
    for name in Criterion:
        if name == Criterion.INVALID:
            continue
        here = np.flatnonzero(violations["criterion"] == name)
        value, limit, reference = (column[here] for column in columns)
        beyond = np.maximum(excess(name, value, limit), 0.0)
        before = np.where(compared[here], np.maximum(excess(name, reference, limit), 0.0), 0.0)
        amount[here] = np.abs(beyond - before)
        if name in (Criterion.THERMAL, Criterion.EMERGENCY):
            element = violations["element"].iloc[here]
            amount[here] *= element.map(dict(rating_kva)).to_numpy(float) / 100
    return amount
