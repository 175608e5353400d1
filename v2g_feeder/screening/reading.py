"""A solution under the limits of a feeder, read once and set beside any number of references."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from v2g_feeder.powerflow.solution import Reason, SuddenKind
from v2g_feeder.screening.compare import (
    SCREEN_COLUMNS,
    Pair,
    broken,
    compare,
    float32,
    invalid,
)
from v2g_feeder.screening.criteria import Against, operations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.powerflow.solution import Solution
    from v2g_feeder.screening.criteria import Item

__all__ = ["Reading"]


class Reading:
    """Which limits a solution breaks, ready to be compared.

    Parameters
    ----------
    solution
        One unit, or several in a row.
    items
        The criteria with their limits.
    sudden
        Sudden changes with theirs.
    steps_per_day
        Steps of a day, for operations a day; left out, the solution is one day.
    """

    def __init__(
        self,
        solution: Solution,
        items: Sequence[Item],
        sudden: Item,
        steps_per_day: int | None = None,
    ) -> None:
        self.solution, self._items, self._sudden_item = solution, items, sudden
        self._values = [item.values(solution) for item in items]
        self._broken: dict[int, np.ndarray] = {}
        self._reasons = self._judged()
        self.usable = self._reasons <= Reason.FLAGGED
        self._day = steps_per_day or len(self.usable)

    def _judged(self) -> np.ndarray:
        """Return each step's reason; one that lacks a number where one is due is not finite."""
        finite = np.isfinite(self.solution.v_pu).all(axis=1)
        for item, values in zip(self._items, self._values, strict=True):
            if item.against == Against.EFFECT and len(values) == len(finite):
                missing = ~np.isfinite(values)
                if missing.any():
                    finite &= ~(missing & np.isfinite(item.limit)).any(axis=1)
        lacking = self.solution.valid & ~finite
        return np.where(lacking, int(Reason.NOT_FINITE), self.solution.reason)

    def against(self, reference: Reading | None) -> dict[str, np.ndarray]:
        """Return the rows of :meth:`.Screen.rows` as columns.

        A reference of fewer steps stands for each so many steps of the run in turn.

        Raises
        ------
        ValueError
            For a reference with other places, or whose steps do not go into those of the run.
        """
        if reference is not None:
            _check_shape(self.solution, reference.solution)
        failed = np.flatnonzero(~self.usable)
        reasons = [Reason(code).name.lower() for code in self._reasons[failed]]
        parts = [invalid(failed, reasons)]
        for number, item in enumerate(self._items):
            pair = self._pair(number, reference)
            if pair is not None:
                parts.append(compare(item.criterion, pair, item.limit, item.labels))
        if self._changes or (reference is not None and reference._changes):  # noqa: SLF001
            parts += self._sudden(reference)
        return {name: np.concatenate([part[name] for part in parts]) for name in SCREEN_COLUMNS}

    def _breaks(self, number: int) -> np.ndarray:
        """Return where a criterion's limit is broken by a step that may be screened."""
        if number not in self._broken:
            item = self._items[number]
            found = broken(item.criterion, self._values[number], item.limit)
            self._broken[number] = found & self.usable[:, None]
        return self._broken[number]

    def _pair(self, number: int, reference: Reading | None) -> Pair | None:
        """Return what a criterion compares, or ``None`` where it cannot be."""
        item, now, step = self._items[number], self._values[number], np.arange(len(self.usable))
        if len(now) != len(step):
            return None  # not observed by the engine that solved it
        if item.against == Against.EFFECT:
            mine, usable = self._breaks(number), self.usable
            if reference is None:
                return Pair(now, None, mine, None, step, usable, np.zeros_like(usable))
            before = reference._values[number]  # noqa: SLF001
            if len(before) == len(reference.usable):
                theirs = reference._breaks(number)  # noqa: SLF001
                return Pair(now, before, mine, theirs, step, usable, reference.usable)
        elif reference is not None and len(reference._values[number]):  # noqa: SLF001
            times = len(step) // len(reference.usable)
            before = np.tile(reference._values[number], (times, 1))  # noqa: SLF001
            both = self.usable & np.tile(reference.usable, times)
            return self._change(item, now, before, both)
        return None

    def _change(self, item: Item, now: np.ndarray, before: np.ndarray, both: np.ndarray) -> Pair:
        """Return a change against the reference, which itself has none, or one of operations."""
        step, change = np.arange(len(both)), now - before
        if item.against == Against.DAILY:
            assert item.size is not None  # noqa: S101  # every daily criterion has one
            counts = [operations(position, item.size, self._day) for position in (now, before)]
            change, both = counts[0] - counts[1], np.all(both.reshape(-1, self._day), axis=1)
            step = np.arange(1, len(both) + 1) * self._day - 1
        change = float32(change)
        breaks = broken(item.criterion, change, item.limit) & both[:, None]
        return Pair(change, np.zeros_like(change), breaks, None, step, both, both)

    @cached_property
    def _changes(self) -> dict[tuple[int, int, int], int]:
        """Row of each sudden change by step, kind and how many of these came before."""
        seen: Counter[tuple[int, int]] = Counter()
        rows = {}
        steps, kinds = self.solution.sudden_step.tolist(), self.solution.sudden_kind.tolist()
        for row, (step, kind) in enumerate(zip(steps, kinds, strict=True)):
            rows[step, kind, seen[step, kind]] = row
            seen[step, kind] += 1
        return rows

    def _sudden(self, reference: Reading | None) -> list[dict[str, np.ndarray]]:
        """Return the rows of the sudden changes."""
        item, mine, theirs = self._sudden_item, self._changes, {}
        if reference is not None:
            length = len(reference.usable)
            theirs = {
                (step + first, kind, number): row
                for first in range(0, len(self.usable), length)
                for (step, kind, number), row in reference._changes.items()  # noqa: SLF001
            }
        keys = sorted({*mine, *theirs})
        step = np.array([key[0] for key in keys], dtype=int)
        kind = np.array([SuddenKind(key[1]).name.lower() for key in keys], dtype=object)
        value = _rows(item.values(self.solution), [mine.get(key, -1) for key in keys])
        finite = np.isfinite(value).all(axis=1)
        usable = self.usable[step] & finite
        now, before, earlier = broken(item.criterion, value, item.limit), None, None
        compared = np.zeros(len(keys), bool)
        if reference is not None:
            before = _rows(item.values(reference.solution), [theirs.get(key, -1) for key in keys])
            whole = np.isfinite(before).all(axis=1)
            compared = reference.usable[step % len(reference.usable)] & whole
            earlier = broken(item.criterion, before, item.limit) & compared[:, None]
        pair = Pair(value, before, now & usable[:, None], earlier, step, usable, compared, kind)
        lost = np.flatnonzero(self.usable[step] & ~finite)
        return [
            compare(item.criterion, pair, item.limit, item.labels),
            invalid(step[lost], [f"{name}_not_finite" for name in kind[lost]]),
        ]


def _rows(changes: np.ndarray, at: list[int]) -> np.ndarray:
    """Return some changes in pu, ``[key, node]``; one that did not happen, -1, is zero."""
    filled = np.concatenate([changes, np.zeros((1, changes.shape[1]), np.float32)])
    return filled[at]


def _check_shape(run: Solution, reference: Solution) -> None:
    """Refuse a reference whose places are not those of the run, or whose steps do not fit."""
    for name in ("v_pu", "loading_pct", "flow_kw"):
        ours, theirs = getattr(run, name).shape, getattr(reference, name).shape
        if ours[1:] != theirs[1:] or not theirs[0] or ours[0] % theirs[0]:
            raise ValueError(f"{name} of the reference is {theirs}, of the run {ours}")
