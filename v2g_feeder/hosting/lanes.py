"""Searches in the states of a block: where each injects, and what takes the place of one that ends.

Compiled. A pair is a (candidate, direction), two a candidate: export first, then import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from v2g_feeder.compiled import compiled
from v2g_feeder.hosting.hunt import INVALID, Hunt, Rules, begin, learn, no_hunt
from v2g_feeder.powerflow.mixing import CONVERGED
from v2g_feeder.powerflow.rows import WIDTH

if TYPE_CHECKING:
    from v2g_feeder.hosting.candidates import Terminals
    from v2g_feeder.powerflow.kernels import Work

__all__ = ["Lanes", "lanes", "load", "turn"]


class Lanes(NamedTuple):
    """Pairs to be searched, those in the block, and the answers.

    Parameters
    ----------
    pair
        Searched in each state, -1 for none, ``[state]``.
    following
        Pair that begins next, ``[1]``.
    hunt
        The searches.
    one, other, volts, watts
        Load phases of the candidates, ``[candidate, slot]``; watts of each kW.
    guess
        Where each limit is expected at first, ``[pair]``; on return where the last solution put it.
    rise, limiting, valid
        Of the sizes just solved: largest rise, number of its place, whether they may be screened,
        ``[state]``.
    solves_now
        Power flows so far, ``[state]``.
    kw, fails_at_kw, place, beyond_kw, solves
        Answers, ``[pair]``; see :class:`~v2g_feeder.hosting.nodal.Found`.
    """

    pair: np.ndarray
    following: np.ndarray
    hunt: Hunt
    one: np.ndarray
    other: np.ndarray
    volts: np.ndarray
    watts: np.ndarray
    guess: np.ndarray
    rise: np.ndarray
    limiting: np.ndarray
    valid: np.ndarray
    solves_now: np.ndarray
    kw: np.ndarray
    fails_at_kw: np.ndarray
    place: np.ndarray
    beyond_kw: np.ndarray
    solves: np.ndarray


def lanes(ends: Terminals, guess: np.ndarray) -> Lanes:
    """Return searches not yet begun, with first sizes ``guess``, ``[candidate, direction]``."""
    count = guess.size
    return Lanes(
        pair=np.full(WIDTH, -1),
        following=np.zeros(1, np.int64),
        hunt=no_hunt(),
        one=ends.one,
        other=ends.other,
        volts=ends.volts,
        watts=ends.watts,
        guess=guess.reshape(-1).copy(),
        rise=np.zeros(WIDTH),
        limiting=np.zeros(WIDTH, np.int64),
        valid=np.zeros(WIDTH, np.bool_),
        solves_now=np.zeros(WIDTH, np.int64),
        kw=np.full(count, np.nan),
        fails_at_kw=np.full(count, np.nan),
        place=np.full(count, INVALID, np.int64),
        beyond_kw=np.zeros(count),
        solves=np.zeros(count, np.int64),
    )


@compiled
def load(
    block: Lanes, s: int, rules: Rules, work: Work, base: tuple[np.ndarray, np.ndarray]
) -> None:
    """Begin the next search in a state, from the base state's voltages; none left: make it idle."""
    work.re[:, s], work.im[:, s] = base
    number = block.following[0]
    if number >= len(block.guess):
        block.pair[s] = -1
        work.spots.watts[:, s] = 0.0
        return
    block.following[0] += 1
    block.pair[s] = number
    begin(block.hunt, s, block.guess[number], rules)
    candidate = number // 2
    for slot in range(len(work.spots.watts)):
        work.spots.one[slot, s] = block.one[candidate, slot]
        work.spots.other[slot, s] = block.other[candidate, slot]
        work.spots.volts[slot, s] = block.volts[candidate, slot]
    _size(block, s, work)


@compiled
def _size(block: Lanes, s: int, work: Work) -> None:
    """Give a state the size that is solved next."""
    pair = block.pair[s]
    signed = block.hunt.size[s] * (-1.0 if pair % 2 == 0 else 1.0)
    for slot in range(len(work.spots.watts)):
        work.spots.watts[slot, s] = signed * block.watts[pair // 2, slot]


@compiled
def _along(work: Work, s: int, base: tuple[np.ndarray, np.ndarray], share: float) -> None:
    """Move a state's voltages along the line from the base state: near where a size puts them."""
    re, im = base
    for i in range(len(re)):
        work.re[i, s] = re[i] + share * (work.re[i, s] - re[i])
        work.im[i, s] = im[i] + share * (work.im[i, s] - im[i])


@compiled
def turn(block: Lanes, rules: Rules, work: Work, base: tuple[np.ndarray, np.ndarray]) -> None:
    """Take in the solved sizes of a block, choose the next, and replace what has ended."""
    for s in range(WIDTH):
        number = block.pair[s]
        if number < 0:
            continue
        solved = block.hunt.size[s]
        over = learn(block.hunt, s, block.valid[s], block.rise[s], block.limiting[s], rules)
        if not over:
            share = 0.0
            if work.status[s] == CONVERGED and not block.hunt.anew[s]:
                share = block.hunt.size[s] / solved
            _along(work, s, base, share)
            _size(block, s, work)
            continue
        block.kw[number], block.fails_at_kw[number] = block.hunt.low[s], block.hunt.high[s]
        block.place[number], block.beyond_kw[number] = block.hunt.place[s], block.hunt.beyond[s]
        block.guess[number] = min(block.hunt.aim[s], rules.maximum)
        block.solves[number], block.solves_now[s] = block.solves_now[s], 0
        load(block, s, rules, work, base)
