"""Folding the violations of a study, unit by unit, into its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd

from v2g_feeder.screening.relief import ALWAYS, fold_relief, relief_part
from v2g_feeder.screening.tables import (
    HOURLY_COLUMNS,
    MOST_ROWS,
    VIOLATION_COLUMNS,
    cap_note,
    fold_hourly,
    joined,
    keep_worst,
    sort_rows,
    table_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from v2g_feeder.screening.tables import Columns

__all__ = ["Reducer"]

_BATCH: Final = 50_000  # rows folded at a time: a unit alone is mostly overhead


class Reducer:
    """Collects the violations of a study without holding all of them.

    Units may come in any order; every result is the same as from all rows at once. At most about
    twice ``most`` rows are held, 90 bytes each: labels are categories.

    Parameters
    ----------
    rating_kva
        Rating of each series element, kVA; NaN or missing where it is not known in kVA.
    step_hours
        Length of a step in hours.
    most
        Number of violations above which only the worst are kept.
    criteria
        What is screened: each has its row of harm and relief, of zeros if nothing happened.
    """

    def __init__(
        self,
        rating_kva: Mapping[str, float],
        *,
        step_hours: float = 1.0,
        most: int = MOST_ROWS,
        criteria: Iterable[str] = ALWAYS,
    ) -> None:
        self._rating_kva = rating_kva
        self._step_hours = step_hours
        self._most = most
        self._criteria = tuple(criteria)
        self._waiting: list[pd.DataFrame] = []
        self._count = 0
        self._kept = pd.DataFrame(columns=list(VIOLATION_COLUMNS))
        self._hourly = pd.DataFrame(columns=list(HOURLY_COLUMNS))
        self._relief: list[pd.DataFrame] = []
        self._seen = 0
        self._shared = False

    def add(self, violations: Columns) -> None:
        """Take the rows of one unit or more, with the columns of :func:`keyed`; none is fine.

        A (policy, case, draw, step) belongs to one unit only.
        """
        rows = table_of([violations])
        if len(rows):  # labels of no row have no type to be joined with
            self._waiting.append(rows)
        self._count += len(rows)
        if self._count >= _BATCH:
            self._fold()

    def violations(self) -> tuple[pd.DataFrame, str]:
        """Return the rows for ``violations.csv`` and a note on those left out, as ``cap_rows``."""
        self._fold()
        if self._seen <= self._most:
            return sort_rows(self._kept), ""
        rows, shared = keep_worst(self._kept, self._most, shared=self._shared)
        return sort_rows(rows), cap_note(self._seen, shared=shared)

    def hourly(self) -> pd.DataFrame:
        """Return the table of :func:`~v2g_feeder.screening.hourly`."""
        self._fold()
        return self._hourly[list(HOURLY_COLUMNS)]

    def harm_and_relief(self, draws: Mapping[tuple[str, str], int]) -> pd.DataFrame:
        """Return the table of :func:`~v2g_feeder.screening.harm_and_relief`.

        ``draws`` is the number of draws of each (policy, case) that was run.
        """
        self._fold()
        return fold_relief(self._relief, draws, self._step_hours, self._criteria)

    def _fold(self) -> None:
        """Fold the waiting units into the tables."""
        if not self._count:
            return
        rows = joined(self._waiting)
        self._waiting, self._count = [], 0
        self._seen += len(rows)
        self._relief.append(relief_part(rows, self._rating_kva))
        self._hourly = fold_hourly([self._hourly, rows] if len(self._hourly) else [rows])
        self._kept = joined([self._kept, rows]) if len(self._kept) else rows
        if len(self._kept) > 2 * self._most:
            self._kept, self._shared = keep_worst(self._kept, self._most, shared=self._shared)
