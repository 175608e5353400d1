"""The search for one size, in compiled code: what a solved size says, and which is solved next.

Sixteen searches run side by side, one a state of a block; each sees only its own history.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from v2g_feeder.compiled import compiled

__all__ = ["Hunt", "Rules", "begin", "learn", "no_hunts"]

_AIM: Final = 0.45  # of the tolerance below the limit aimed at: the next size closes the bracket
_NEAR: Final = 0.9  # of the tolerance: from so near one solved size closes the bracket
_PATIENCE: Final = 5  # solves after which every second size is the middle of the bracket
_JUMP: Final = 0.05  # of the room: more between the ends of a bracket than their sizes explain
INVALID: Final = -1


class Rules(NamedTuple):
    """How a search ends.

    Parameters
    ----------
    maximum
        Largest size tried, kW.
    least, share
        Tolerance: the larger of kW and a share of the size that passes.
    scan
        Sizes, evenly spaced up to the maximum, that are solved before the search, the smallest
        first.
    most
        Solutions after which a search is given up.
    anew
        Whether every size is solved from the base state, as controls that move must be.
    """

    maximum: float
    least: float
    share: float
    scan: int
    most: int
    anew: bool


class Hunt(NamedTuple):
    """Searches, ``[pair]``.

    Parameters
    ----------
    size
        Being solved, kW.
    low, high
        Largest size below ``high`` that passes, smallest that fails; 0 and infinite to begin with.
    beyond
        Largest size that passes anywhere.
    aim
        Where the limit is expected.
    place
        Number of the limiting place at ``high``; -1 for a size that could not be solved.
    left
        Sizes of the scan that are left.
    solves
        Sizes solved.
    rise, rise_high
        Largest rise at ``low`` and at ``high``.
    anew
        1 where every size is solved from the base state, 0 where from the size before.
    """

    size: np.ndarray
    low: np.ndarray
    high: np.ndarray
    beyond: np.ndarray
    aim: np.ndarray
    place: np.ndarray
    left: np.ndarray
    solves: np.ndarray
    rise: np.ndarray
    rise_high: np.ndarray
    anew: np.ndarray


def no_hunts(count: int) -> Hunt:
    """Return searches that have not begun."""
    whole = {"place", "left", "solves", "anew"}
    found = Hunt(*(np.zeros(count, np.int64 if n in whole else float) for n in Hunt._fields))
    found.low[:] = found.high[:] = np.nan
    found.place[:] = INVALID
    return found


@compiled
def begin(hunt: Hunt, n: int, first: float, rules: Rules) -> None:
    """Begin a search, the limit expected at ``first``, unless there is a scan."""
    hunt.low[n], hunt.high[n], hunt.beyond[n] = 0.0, np.inf, 0.0
    hunt.aim[n], hunt.place[n], hunt.solves[n] = first, INVALID, 0
    hunt.left[n], hunt.rise[n], hunt.rise_high[n] = rules.scan, 0.0, np.inf
    hunt.anew[n] = 1 if rules.anew else 0
    if rules.scan:
        hunt.size[n] = rules.maximum / rules.scan
    elif first >= rules.maximum:
        hunt.size[n] = rules.maximum
    else:
        below = first - _AIM * max(rules.least, rules.share * first)
        hunt.size[n] = min(max(below, rules.least), rules.maximum)


@compiled
def learn(hunt: Hunt, n: int, valid: bool, rise: float, place: int, rules: Rules) -> bool:
    """Take in a solved size, and choose the next; return whether the search is over.

    A load that changes its model at a voltage can leave two solutions for a size, and which is
    found depends on where the solver begins. Where the ends of a bracket differ by more than their
    sizes explain, the search begins again from there, each size from the base state: so would
    anyone who had only that size.

    Parameters
    ----------
    hunt, n
        The searches, and which of them.
    valid
        Whether the solution may be screened.
    rise, place
        Its largest rise, and the number of the place.
    rules
        How it ends.
    """
    size = hunt.size[n]
    hunt.solves[n] += 1
    if valid and rise <= 1.0:
        hunt.beyond[n] = max(hunt.beyond[n], size)
        if hunt.low[n] <= size < hunt.high[n]:
            hunt.low[n], hunt.rise[n] = size, rise
    elif size < hunt.high[n]:
        hunt.high[n], hunt.rise_high[n] = size, rise
        hunt.place[n] = place if valid or rise > 1.0 else INVALID
        if hunt.low[n] >= size:
            hunt.low[n] = 0.0
    if (valid or rise > 1.0) and size <= hunt.high[n]:
        hunt.aim[n] = size / max(rise, 1e-12)
    if hunt.left[n] > 0:
        hunt.left[n] -= 1
        if hunt.left[n] > 0:
            hunt.size[n] = rules.maximum * (rules.scan - hunt.left[n] + 1) / rules.scan
            return False
    low, high = hunt.low[n], hunt.high[n]
    step = max(rules.least, rules.share * low)
    if low >= rules.maximum or hunt.solves[n] >= rules.most:
        return True
    if high - low <= step * (1.0 + 1e-9):
        return not _jumps(hunt, n)
    hunt.size[n] = _next(hunt, n, step, rules)
    return False


@compiled
def _jumps(hunt: Hunt, n: int) -> bool:
    """Begin a search anew from its failing size if the ends of its bracket are too far apart."""
    low, high = hunt.low[n], hunt.high[n]
    expected = hunt.rise[n] * high / low if low > 0.0 else 0.0
    if hunt.anew[n] or abs(hunt.rise_high[n] - expected) <= _JUMP:
        return False
    hunt.anew[n], hunt.size[n] = 1, high
    hunt.low[n], hunt.high[n], hunt.place[n] = 0.0, np.inf, INVALID
    return True


@compiled
def _next(hunt: Hunt, n: int, step: float, rules: Rules) -> float:
    """Return the size to solve next, inside the bracket."""
    low, high, aim = hunt.low[n], hunt.high[n], hunt.aim[n]
    middle = 0.5 * (low + min(high, rules.maximum))
    if np.isinf(high):
        if aim >= rules.maximum:
            return float(rules.maximum)
    elif not low < aim < high or (hunt.solves[n] > _PATIENCE and hunt.solves[n] % 2 == 0):
        return float(middle)
    if aim - low <= _NEAR * step:
        size = low + step
    elif high - aim <= _NEAR * max(rules.least, rules.share * aim):
        size = min(high - rules.least, high / (1.0 + rules.share))
    else:
        size = aim - _AIM * max(rules.least, rules.share * aim)
    if not low < size < high:
        return float(middle)
    return float(min(size, rules.maximum))
