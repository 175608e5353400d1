"""The search for one size, in compiled code: what a solved size says, and which is solved next.

Sixteen searches run side by side, one a state of a block; each sees only its own history.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from v2g_feeder.compiled import compiled
from v2g_feeder.powerflow.rows import WIDTH

__all__ = ["Hunt", "Rules", "begin", "learn", "no_hunt"]

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
        Sizes, evenly spaced up to the maximum, that are solved before the search.
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
    """Searches of a block, ``[state]``.

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


def no_hunt() -> Hunt:
    """Return searches that have not begun."""
    whole = {"place", "left", "solves", "anew"}
    return Hunt(*(np.zeros(WIDTH, np.int64 if n in whole else float) for n in Hunt._fields))


@compiled
def begin(hunt: Hunt, s: int, first: float, rules: Rules) -> None:
    """Begin a search in a state, the limit expected at ``first``, unless there is a scan."""
    hunt.low[s], hunt.high[s], hunt.beyond[s] = 0.0, np.inf, 0.0
    hunt.aim[s], hunt.place[s], hunt.solves[s] = first, INVALID, 0
    hunt.left[s], hunt.rise[s], hunt.rise_high[s] = rules.scan, 0.0, np.inf
    hunt.anew[s] = 1 if rules.anew else 0
    if rules.scan or first >= rules.maximum:
        hunt.size[s] = rules.maximum
    else:
        below = first - _AIM * max(rules.least, rules.share * first)
        hunt.size[s] = min(max(below, rules.least), rules.maximum)


@compiled
def learn(hunt: Hunt, s: int, valid: bool, rise: float, place: int, rules: Rules) -> bool:
    """Take in a solved size, and choose the next; return whether the search is over.

    A load that changes its model at a voltage can leave two solutions for a size, and which is
    found depends on where the solver begins. Where the ends of a bracket differ by more than their
    sizes explain, the search begins again from there, each size from the base state: so would
    anyone who had only that size.

    Parameters
    ----------
    hunt, s
        The searches, and which of them.
    valid
        Whether the solution may be screened.
    rise, place
        Its largest rise, and the number of the place.
    rules
        How it ends.
    """
    size = hunt.size[s]
    hunt.solves[s] += 1
    if valid and rise <= 1.0:
        hunt.beyond[s] = max(hunt.beyond[s], size)
        if hunt.low[s] <= size < hunt.high[s]:
            hunt.low[s], hunt.rise[s] = size, rise
    elif size < hunt.high[s]:
        hunt.high[s], hunt.rise_high[s] = size, rise
        hunt.place[s] = place if valid or rise > 1.0 else INVALID
        if hunt.low[s] >= size:
            hunt.low[s] = 0.0
    if valid or rise > 1.0:
        hunt.aim[s] = size / max(rise, 1e-12)
    if hunt.left[s] > 0:
        hunt.left[s] -= 1
        if hunt.left[s] > 0:
            hunt.size[s] = rules.maximum * hunt.left[s] / rules.scan
            return False
    low, high = hunt.low[s], hunt.high[s]
    step = max(rules.least, rules.share * low)
    if low >= rules.maximum or hunt.solves[s] >= rules.most:
        return True
    if high - low <= step * (1.0 + 1e-9):
        return not _jumps(hunt, s)
    hunt.size[s] = _next(hunt, s, step, rules)
    return False


@compiled
def _jumps(hunt: Hunt, s: int) -> bool:
    """Begin a search anew from its failing size if the ends of its bracket are too far apart."""
    low, high = hunt.low[s], hunt.high[s]
    expected = hunt.rise[s] * high / low if low > 0.0 else 0.0
    if hunt.anew[s] or abs(hunt.rise_high[s] - expected) <= _JUMP:
        return False
    hunt.anew[s], hunt.size[s] = 1, high
    hunt.low[s], hunt.high[s], hunt.place[s] = 0.0, np.inf, INVALID
    return True


@compiled
def _next(hunt: Hunt, s: int, step: float, rules: Rules) -> float:
    """Return the size to solve next, inside the bracket."""
    low, high, aim = hunt.low[s], hunt.high[s], hunt.aim[s]
    middle = 0.5 * (low + min(high, rules.maximum))
    if np.isinf(high):
        if aim >= rules.maximum:
            return float(rules.maximum)
    elif not low < aim < high or (hunt.solves[s] > _PATIENCE and hunt.solves[s] % 2 == 0):
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
