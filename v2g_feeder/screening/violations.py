"""The violation table of one unit of work, and what a run does to each limit.

Values are rounded to float32 before they are compared, and so are the limits, because results are
stored as float32: applying the same limits to ``results.nc`` finds the same rows. A value that
equals its limit meets it.

Signs: ``value`` and ``limit`` carry the signs of the solution: a reverse flow is negative and its
limit is minus the allowed kW; a change is signed and its limit is a magnitude; operations are
those that the run adds to its reference in a day, at the day's last step. ``margin``
is at least 0 where the limit is met and negative where it is broken, in the unit of the value.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Criterion
from v2g_feeder.powerflow.solution import Reason, SuddenKind
from v2g_feeder.screening.compare import (
    KW_TOLERANCE,
    SCREEN_COLUMNS,
    Pair,
    compare,
    float32,
    invalid,
)
from v2g_feeder.screening.criteria import Against, criteria_of, operations, rated

if TYPE_CHECKING:
    from v2g_feeder.powerflow.solution import Observed, Solution
    from v2g_feeder.screening.criteria import Item
    from v2g_feeder.screening.limits import Limits

__all__ = ["Screen", "reverse_flow_indicator", "screen", "unknowns"]


class Screen:
    """The limits of a study laid over the places of a feeder: made once, applied to every unit.

    Parameters
    ----------
    observed
        The places, in the order of the arrays.
    limits
        What to screen against. Infinite limits switch a criterion off.
    steps_per_day
        Steps of a day, for operations a day; left out, a solution is one day.

    Raises
    ------
    InputError
        For a reverse-flow limit at a place that is not watched, or an unknown voltage class.
    """

    def __init__(
        self, observed: Observed, limits: Limits, *, steps_per_day: int | None = None
    ) -> None:
        self._observed, self._limits, self._steps_per_day = observed, limits, steps_per_day
        self._by_season = {"": criteria_of(observed, limits)}
        kv_class = observed.voltages["kv_class"].to_numpy(dtype=float)
        self._sudden_limit = limits.sudden_change(kv_class)

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """What is screened: the criteria that have a limit anywhere, in order."""
        found = {item.criterion for item in self.items()}
        if np.isfinite(self._sudden_limit).any():
            found.add(Criterion.SUDDEN_VOLTAGE)
        return tuple(criterion for criterion in Criterion if criterion in found)

    def items(self, season: str = "") -> tuple[Item, ...]:
        """Return the criteria with their limits place by place, with a season's ratings."""
        if season not in self._by_season:
            named = season in self._limits.season_factor
            self._by_season[season] = (
                criteria_of(self._observed, self._limits, season) if named else self._by_season[""]
            )
        return self._by_season[season]

    def unobserved(self, solution: Solution) -> tuple[Criterion, ...]:
        """Return the criteria that have a limit and that this solution holds no values of.

        They are not screened: neither a pass nor a violation is known.
        """
        steps = len(solution.reason)
        return tuple(item.criterion for item in self.items() if len(item.values(solution)) != steps)

    def sudden_limit(self) -> np.ndarray:
        """Return the largest sudden change allowed, pu, ``[node]``."""
        return self._sudden_limit

    def rows(
        self, solution: Solution, reference: Solution | None = None, *, season: str = ""
    ) -> pd.DataFrame:
        """Return every limit that a run breaks, or that its reference broke and it does not.

        Parameters
        ----------
        solution
            The run: one unit, usually a day.
        reference
            The same unit of the reference run on the same draw, or ``None``. Changes against a
            reference, and operations beyond its own, are screened only with one.
        season
            Picks the season's ratings of lines.

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
        items = self.items(season)
        reasons = _reasons(solution, items)
        usable = reasons <= Reason.FLAGGED
        compared = np.zeros(len(usable), dtype=bool)
        if reference is not None:
            compared = _reasons(reference, items) <= Reason.FLAGGED
        failed = np.flatnonzero(~usable)
        parts = [invalid(failed, [Reason(code).name.lower() for code in reasons[failed]])]
        for item in items:
            pair = self._pair(item, solution, reference, usable, compared)
            if pair is not None:
                parts.append(compare(item.criterion, pair, item.limit, item.places))
        if len(solution.sudden_step) or (reference is not None and len(reference.sudden_step)):
            places = self._observed.voltages
            parts += _sudden(solution, reference, places, self._sudden_limit, (usable, compared))
        return pd.DataFrame(
            {name: np.concatenate([part[name] for part in parts]) for name in SCREEN_COLUMNS}
        )

    def _pair(
        self,
        item: Item,
        run: Solution,
        reference: Solution | None,
        usable: np.ndarray,
        compared: np.ndarray,
    ) -> Pair | None:
        """Return what a criterion compares, or ``None`` where it cannot be."""
        now = item.values(run)
        before = None if reference is None else item.values(reference)
        steps = len(usable)
        if len(now) != steps or (before is not None and len(before) != steps):
            return None  # not observed by the engine that solved it
        if item.against == Against.EFFECT:
            return Pair(now, before, np.arange(steps), usable, compared)
        if before is None:
            return None
        both = usable & compared
        if item.against == Against.CHANGE:
            change = float32(now - before)
            return Pair(change, np.zeros_like(change), np.arange(steps), both, both)
        day = self._steps_per_day or steps
        added = float32(operations(now, _size(item), day) - operations(before, _size(item), day))
        whole = both.reshape(-1, day).all(axis=1)
        last = np.arange(1, len(whole) + 1) * day - 1
        return Pair(added, np.zeros_like(added), last, whole, whole)


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
    return observed.elements.loc[~rated(observed), columns].reset_index(drop=True)


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


def _size(item: Item) -> np.ndarray:
    """Return the size of one operation of each place."""
    assert item.size is not None  # noqa: S101  # every daily criterion has one
    return item.size


def _reasons(solution: Solution, items: tuple[Item, ...]) -> np.ndarray:
    """Return the reason of each step; one that lacks a number where one is due is not finite."""
    finite = np.isfinite(solution.v_pu).all(axis=1)
    for item in items:
        if item.against == Against.EFFECT:
            values = item.values(solution)
            if len(values) == len(finite):
                finite &= (np.isfinite(values) | ~np.isfinite(item.limit)).all(axis=1)
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
