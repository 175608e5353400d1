"""What is delivered on at least a share of event-days, and how sure a sample of days makes it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import bdtrc

from v2g_feeder.loadshape import held_in

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CONFIDENCE", "INSUFFICIENT", "exceeded", "least_event_days", "stress_blocks"]

CONFIDENCE: Final = 0.95
INSUFFICIENT: Final = "insufficient draws"


def least_event_days(level: float, confidence: float = CONFIDENCE) -> int:
    """Return the independent event-days that a statement on an exceedance needs.

    Parameters
    ----------
    level
        Share of event-days on which the value is reached, 0.95 for P95.
    confidence
        That the statement is true.

    Returns
    -------
    int
        The least ``n`` with ``1 - level**n >= confidence``: then the lowest of ``n`` days bounds
        the value from below.

    Examples
    --------
    >>> least_event_days(0.95), least_event_days(0.9), least_event_days(0.5)
    (59, 29, 5)
    """
    return math.ceil(math.log(1 - confidence) / math.log(level) - 1e-12)


def exceeded(
    values: np.ndarray, level: float, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Return what is reached on at least a share of event-days: estimate and lower bound.

    Parameters
    ----------
    values
        One value an independent event-day.
    level
        Share of event-days, 0 to 1.
    confidence
        Of the bound.

    Returns
    -------
    tuple of float
        The value that ``level`` of the sample reaches, and the order statistic that lies at or
        below the true value with this confidence, whatever the distribution; NaN where there are
        fewer than :func:`least_event_days`.

    References
    ----------
    Wilks, S. S., "Determination of sample sizes for setting tolerance limits", Ann. Math. Stat. 12
    (1941).
    """
    days = np.sort(np.asarray(values, dtype=float))
    estimate = held_in(days, level) if len(days) else math.nan
    if len(days) < least_event_days(level, confidence):
        return estimate, math.nan
    ranks = np.arange(1, len(days) + 1)
    sure = bdtrc(ranks - 1, len(days), 1 - level) >= confidence  # at least `rank` days below
    return estimate, float(days[int(sure.sum()) - 1])


def stress_blocks(
    load_kw: np.ndarray,
    hours: Sequence[float],
    step_hours: float,
    window: tuple[float, float] | None = None,
) -> dict[float, slice | None]:
    """Return the steps of a day that stress lasts, by its length.

    The block begins with the step of the highest load and grows towards the higher neighbour, so
    that shorter blocks lie inside longer ones. It does not look at what the fleet delivers.

    Parameters
    ----------
    load_kw
        Load of the day without the fleet, ``[step]``, kW.
    hours
        Lengths.
    step_hours
        Length of a step, h.
    window
        Hours of system stress, where they are given: blocks stay inside.

    Returns
    -------
    dict
        Length to steps; ``None`` where the window is shorter.
    """
    first, last = 0, len(load_kw)
    if window is not None:
        first, last = (round(hour / step_hours) for hour in window)
        last = min(last, len(load_kw))
    start = first + int(np.argmax(load_kw[first:last]))
    end = start + 1
    found: dict[float, slice | None] = {}
    for length in sorted(hours):
        wanted = round(length / step_hours)
        while end - start < wanted and (start > first or end < last):
            before = load_kw[start - 1] if start > first else -math.inf
            after = load_kw[end] if end < last else -math.inf
            start, end = (start - 1, end) if before > after else (start, end + 1)
        found[length] = slice(start, end) if end - start >= wanted else None
    return found
