"""How states of a row come to rest: the mix of the network's answers, and when to stop.

A block keeps a few numbers of each state, ``sums``, ``[number, state]``: the largest change of
voltage, squared; 1 for states that are done; weights of the last answer but one and of that before
it; products of the differences of what is left to that before and to that before it; squares of
what was asked and given since; the rate at which that shrank; the least change, how many iterations
ago it was, and how many there have been.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from v2g_feeder.compiled import compiled
from v2g_feeder.powerflow.rows import WIDTH

__all__ = [
    "ANSWERS", "ASKED", "BEST", "CHANGE", "CONVERGED", "FAILED", "GIVEN", "HOLD", "MIX_ONE",
    "MIX_TWO", "NUMBERS", "ONE_LEFT", "ONE_ONE", "ONE_TWO", "RATE", "RUNNING", "SINCE", "TWO_LEFT",
    "TWO_TWO", "judge_states", "weigh",
]  # fmt: skip

RUNNING, CONVERGED, FAILED = 0, 1, 2
CHANGE, HOLD, MIX_ONE, MIX_TWO = range(4)
ONE_ONE, ONE_TWO, TWO_TWO, ONE_LEFT, TWO_LEFT, ASKED, GIVEN = range(4, 11)
RATE, BEST, SINCE, ANSWERS = range(11, 15)
NUMBERS: Final = 15
_STALLED: Final = 25  # iterations without progress after which a state is given up
_PROGRESS: Final = 0.9
_LEAST_RATE: Final = 0.1
_DEPENDENT: Final = 1e-10  # of their product: two differences that are one


@compiled
def weigh(sums: np.ndarray, known: int) -> None:
    """Find the mix of the last answers that leaves least, of ``known`` before the last."""
    sums[MIX_ONE], sums[MIX_TWO] = 0.0, 0.0
    for s in range(WIDTH):
        if not known or not sums[ONE_ONE, s] > 0.0:
            continue
        a, b = sums[ONE_LEFT, s], sums[TWO_LEFT, s]
        both = sums[ONE_ONE, s] * sums[TWO_TWO, s]
        rest = both - sums[ONE_TWO, s] * sums[ONE_TWO, s]
        if known > 1 and rest > _DEPENDENT * both:
            sums[MIX_ONE, s] = (sums[TWO_TWO, s] * a - sums[ONE_TWO, s] * b) / rest
            sums[MIX_TWO, s] = (sums[ONE_ONE, s] * b - sums[ONE_TWO, s] * a) / rest
        else:
            sums[MIX_ONE, s] = a / sums[ONE_ONE, s]


@compiled
def judge_states(sums: np.ndarray, status: np.ndarray, iteration: int, tolerance: float) -> bool:
    """Mark states that will have converged or that will not; return whether none is left.

    The network draws voltages together at a rate. What it answered is wrong by at most
    ``change * rate / (1 - rate)``, the mix by so much times its weights, and the next answer,
    which is the last that a state is given, by less at the same rate.
    """
    running = False
    for s in range(WIDTH):
        if status[s] != RUNNING:
            continue
        change = np.sqrt(sums[CHANGE, s])
        latest = 0.5
        if iteration > 1 and sums[ASKED, s] > 0.0:
            latest = np.sqrt(sums[GIVEN, s] / sums[ASKED, s])
        rate = max(latest, sums[RATE, s], _LEAST_RATE)
        sums[RATE, s] = latest if iteration > 1 else 0.0
        weights = 1.0 + 2.0 * (abs(sums[MIX_ONE, s]) + abs(sums[MIX_TWO, s]))
        if not np.isfinite(change):
            status[s] = FAILED
        elif rate < 1.0 and weights * change * rate * rate / (1.0 - rate) <= tolerance:
            status[s] = CONVERGED
        elif change < _PROGRESS * sums[BEST, s]:
            sums[BEST, s], sums[SINCE, s] = change, 0
        else:
            sums[SINCE, s] += 1
            if sums[SINCE, s] > _STALLED:
                status[s] = FAILED
        sums[ANSWERS, s] = iteration + 1
        sums[HOLD, s] = 0.0 if status[s] == RUNNING else 1.0
        running = running or status[s] == RUNNING
    return not running
