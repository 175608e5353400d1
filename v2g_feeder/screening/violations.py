"""The violation table of one unit of work, and what a run does to each limit.

Values are rounded to float32 before they are compared, and so are the limits, because results are
stored as float32: applying the same limits to ``results.nc`` finds the same rows. A value that
equals its limit meets it.

Signs: ``value`` and ``limit`` carry the signs of the solution: a reverse flow is negative and its
limit is minus the allowed kW; a sudden change is signed and its limit is a magnitude. ``margin``
is at least 0 where the limit is met and negative where it is broken, in the unit of the value.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Criterion
from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.powerflow.solution import Reason, SuddenKind
from v2g_feeder.screening.compare import (
    KW_TOLERANCE,
    SCREEN_COLUMNS,
    Pair,
    compare,
    float32,
    invalid,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from v2g_feeder.powerflow.solution import Observed, Solution
    from v2g_feeder.screening.limits import Limits

__all__ = ["Screen", "reverse_flow_indicator", "screen", "unknowns"]


class _Steady(NamedTuple):
    """A criterion on steady-state values: what is compared, to what, and where."""

    criterion: Criterion
    values: Callable[[Solution], np.ndarray]  # [step, place]
    limit: np.ndarray  # [place]; not finite: no limit here
    places: pd.DataFrame  # [place], with its labels


class Screen:
    """The limits of a study laid over the places of a feeder: made once, applied to every unit.

    Parameters
    ----------
    observed
        The places, in the order of the arrays.
    limits
        What to screen against. Infinite limits switch a criterion off.

    Raises
    ------
    InputError
        For a reverse-flow limit at a place that is not watched, or an unknown voltage class.
    """

    def __init__(self, observed: Observed, limits: Limits) -> None:
        self._observed = observed
        self._criteria = _steady_criteria(observed, limits)
        kv_class = observed.voltages["kv_class"].to_numpy(dtype=float)
        self._sudden_limit = limits.sudden_change(kv_class)

    def rows(self, solution: Solution, reference: Solution | None = None) -> pd.DataFrame:
        """Return every limit that a run breaks, or that its reference broke and it does not.

        Parameters
        ----------
        solution
            The run: one unit, usually a day.
        reference
            The same unit of the reference run on the same draw, or ``None``.

        Returns
        -------
        pandas.DataFrame
            Columns :data:`SCREEN_COLUMNS`; one row a (step, criterion, place). ``step`` counts
            within the unit. ``effect`` is an :class:`~v2g_feeder.conventions.Effect`; ``cured``
            rows meet their limit. A step that failed the validity gate, or holds a value that is
            not a number where one is due, is one row of criterion ``invalid`` (``element`` names
            the reason) and is not screened. A sudden change that is not a number is such a row too
            (``event_start_not_finite``), without keeping its step from the other criteria. Where
            the reference step is invalid the effect is ``none`` and ``reference_value`` NaN. A
            sudden change that one of the two runs lacks counts as 0 pu.

        Raises
        ------
        ValueError
            For a reference of another shape.
        """
        _same_shape(solution, reference)
        reasons = _reasons(solution, self._criteria)
        usable = reasons <= Reason.FLAGGED
        compared = np.zeros(len(usable), dtype=bool)
        if reference is not None:
            compared = _reasons(reference, self._criteria) <= Reason.FLAGGED
        failed = np.flatnonzero(~usable)
        parts = [invalid(failed, [Reason(code).name.lower() for code in reasons[failed]])]
        for item in self._criteria:
            pair = Pair(
                item.values(solution),
                None if reference is None else item.values(reference),
                np.arange(len(usable)),
                usable,
                compared,
            )
            parts.append(compare(item.criterion, pair, item.limit, item.places))
        if len(solution.sudden_step) or (reference is not None and len(reference.sudden_step)):
            places = self._observed.voltages
            parts += _sudden(solution, reference, places, self._sudden_limit, (usable, compared))
        return pd.DataFrame(
            {name: np.concatenate([part[name] for part in parts]) for name in SCREEN_COLUMNS}
        )


def screen(
    solution: Solution, observed: Observed, limits: Limits, reference: Solution | None = None
) -> pd.DataFrame:
    """Return :meth:`Screen.rows` of one unit: for a single use, where nothing is worth keeping."""
    return Screen(observed, limits).rows(solution, reference)


def unknowns(observed: Observed) -> pd.DataFrame:
    """Return the elements whose rating is unknown, and which are therefore not screened.

    Neither a pass nor a violation is known there: a summary says *thermal unknown at*
    ``len(unknowns(observed))`` *of* ``len(observed.elements)`` *elements*.

    Returns
    -------
    pandas.DataFrame
        Columns ``element, kind, bus, phase``.
    """
    columns = ["element", "kind", "bus", "phase"]
    return observed.elements.loc[~_rated(observed), columns].reset_index(drop=True)


def reverse_flow_indicator(
    solution: Solution, observed: Observed, step_hours: float = 1.0
) -> pd.DataFrame:
    """Return the reverse flow at every watched place: an indicator, not a violation.

    Parameters
    ----------
    solution, observed
        One unit, and its places.
    step_hours
        Length of a step in hours.

    Returns
    -------
    pandas.DataFrame
        One row a place, in the order of ``observed.flows``, so that units can be merged place by
        place: ``element, kind, bus, phase``; ``reverse_kw`` the largest reverse flow as a
        magnitude, 0 if none; ``reverse_hours`` of the unit's valid steps with more than 0.1 kW;
        ``first_step`` the first of them within the unit, -1 if none.
    """
    flow = float32(solution.flow_kw)
    reverse = (flow < -KW_TOLERANCE) & solution.valid[:, None]
    magnitude = np.where(reverse, -flow.astype(float), 0.0)
    return observed.flows[["element", "kind", "bus", "phase"]].assign(
        reverse_kw=magnitude.max(axis=0, initial=0.0),
        reverse_hours=reverse.sum(axis=0) * step_hours,
        first_step=np.where(reverse.any(axis=0), reverse.argmax(axis=0), -1),
    )


def _steady_criteria(observed: Observed, limits: Limits) -> list[_Steady]:
    """Return the criteria on steady-state values, each with its limits place by place."""
    vmin, vmax = limits.voltage_band(observed.voltages["kv_class"].to_numpy(dtype=float))
    thermal = np.where(_rated(observed), limits.thermal_pct, np.nan)
    reverse = 0.0 - _reverse_limits(observed, limits)
    voltages, elements, flows = observed.voltages, observed.elements, observed.flows
    return [
        _Steady(Criterion.OVER_VOLTAGE, lambda run: float32(run.v_pu), vmax, voltages),
        _Steady(Criterion.UNDER_VOLTAGE, lambda run: float32(run.v_pu), vmin, voltages),
        _Steady(Criterion.THERMAL, lambda run: float32(run.loading_pct), thermal, elements),
        _Steady(Criterion.REVERSE_FLOW, lambda run: float32(run.flow_kw), reverse, flows),
    ]


def _rated(observed: Observed) -> np.ndarray:
    """Return whether each element has a stated rating, ``[element]``."""
    elements = observed.elements
    rated: np.ndarray = (
        (elements["rating_source"] != "unknown")
        & elements[["rating_a", "rating_kva"]].notna().any(axis=1)
    ).to_numpy(dtype=bool)
    return rated


def _reverse_limits(observed: Observed, limits: Limits) -> np.ndarray:
    """Return the allowed reverse flow of each watched place, kW, NaN where there is none."""
    limit: np.ndarray = observed.flows["limit_kw"].to_numpy(dtype=float, copy=True)
    if not limits.reverse_flow_kw:
        return limit
    watched = observed.flows["element"].str.lower().to_numpy()
    problems = []
    for name, kw in limits.reverse_flow_kw.items():
        here = watched == name.lower()
        limit[here] = kw
        if not here.any():
            known = list(observed.flows["element"].unique())
            message = "no reverse flow is watched at this element"
            problems.append(
                Problem(f"limits.reverse_flow_kw.{name}", message, nearest(name, known))
            )
    if problems:
        raise InputError(problems)
    return limit


def _reasons(solution: Solution, criteria: list[_Steady]) -> np.ndarray:
    """Return the reason of each step; one that lacks a number where one is due is not finite."""
    finite = np.isfinite(solution.v_pu).all(axis=1)
    for item in criteria:
        if item.criterion in (Criterion.THERMAL, Criterion.REVERSE_FLOW):
            due = np.isfinite(item.limit)
            finite &= (np.isfinite(item.values(solution)) | ~due).all(axis=1)
    return np.where(solution.valid & ~finite, int(Reason.NOT_FINITE), solution.reason)


def _sudden(
    run: Solution,
    reference: Solution | None,
    places: pd.DataFrame,
    limit: np.ndarray,
    steps: tuple[np.ndarray, np.ndarray],
) -> list[dict[str, np.ndarray]]:
    """Return the rows of the sudden changes; ``steps`` says which are usable and compared."""
    keys = sorted({*_change_keys(run), *(_change_keys(reference) if reference else ())})
    step = np.array([key[0] for key in keys], dtype=int)
    kind = [SuddenKind(key[1]).name.lower() for key in keys]
    value = _changes(run, keys)
    before = None if reference is None else _changes(reference, keys)
    finite = np.isfinite(value).all(axis=1)
    usable, compared = steps[0][step], steps[1][step]
    lost = np.flatnonzero(usable & ~finite)
    if before is not None:
        compared = compared & np.isfinite(before).all(axis=1)
    pair = Pair(value, before, step, usable & finite, compared, np.array(kind, dtype=object))
    return [
        compare(Criterion.SUDDEN_VOLTAGE, pair, limit, places),
        invalid(step[lost], [f"{kind[row]}_not_finite" for row in lost]),
    ]


def _change_keys(run: Solution) -> list[tuple[int, int, int]]:
    """Return (step, kind, how many of these came before) of each sudden change."""
    seen: Counter[tuple[int, int]] = Counter()
    keys = []
    for step, kind in zip(run.sudden_step.tolist(), run.sudden_kind.tolist(), strict=True):
        keys.append((step, kind, seen[step, kind]))
        seen[step, kind] += 1
    return keys


def _changes(run: Solution, keys: list[tuple[int, int, int]]) -> np.ndarray:
    """Return the changes of ``keys`` in pu, ``[key, node]``; one that did not happen is zero."""
    row = {key: number for number, key in enumerate(keys)}
    changes = np.zeros((len(keys), run.v_pu.shape[1]), dtype=np.float32)
    changes[[row[key] for key in _change_keys(run)]] = float32(run.sudden_pu)
    return changes


def _same_shape(run: Solution, reference: Solution | None) -> None:
    """Refuse a reference whose steps or places are not those of the run."""
    if reference is None:
        return
    for name in ("v_pu", "loading_pct", "flow_kw"):
        ours, theirs = getattr(run, name).shape, getattr(reference, name).shape
        if ours != theirs:
            raise ValueError(f"{name} of the reference is {theirs}, of the run {ours}")
