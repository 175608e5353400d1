"""Searches in the states of a block: where each injects, and what takes the place of one that ends.

Compiled. A pair is a (candidate, direction), two a candidate: export first, then import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from v2g_feeder.compiled import compiled
from v2g_feeder.hosting.hunt import Hunt, Rules, begin, learn, no_hunts
from v2g_feeder.powerflow.mixing import CONVERGED
from v2g_feeder.powerflow.rows import WIDTH, chosen, put_row, row_at, row_of

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
    once
        Whether the state's pair makes room after one size, ``[state]``.
    queue, following
        Pairs in the order of their turns, and whose turn is next, ``[1]``.
    scanned
        Turns, from the first, of a single size.
    hunt
        The searches, and the answers.
    over
        Which searches have ended, ``[pair]``.
    one, other, volts, watts
        Load phases of the candidates, ``[candidate, slot]``; watts of each kW.
    guess
        Where each limit is expected at first, ``[pair]``; on return where the last solution put it.
    going
        States whose controls have not come to rest yet; their sizes go on, ``[state]``.
    rise, limiting, valid, hopeless
        Of the sizes just solved: largest rise, number of its place, whether they may be screened,
        whether no larger one can pass, ``[state]``.
    solves_now
        Power flows of the sizes just solved, ``[state]``.
    solves
        Power flows, ``[pair]``.
    """

    pair: np.ndarray
    once: np.ndarray
    queue: np.ndarray
    following: np.ndarray
    scanned: int
    hunt: Hunt
    over: np.ndarray
    one: np.ndarray
    other: np.ndarray
    volts: np.ndarray
    watts: np.ndarray
    guess: np.ndarray
    going: np.ndarray
    rise: np.ndarray
    limiting: np.ndarray
    valid: np.ndarray
    hopeless: np.ndarray
    solves_now: np.ndarray
    solves: np.ndarray


def lanes(ends: Terminals, guess: np.ndarray, order: np.ndarray, scan: int) -> Lanes:
    """Return searches not yet begun.

    The sizes of a scan are solved one after the other for all pairs: those that have no solution
    take the longest, and so stand in the same blocks.

    Parameters
    ----------
    ends
        The candidates.
    guess
        First sizes, ``[candidate, direction]``.
    order
        Pairs in the order of their turns.
    scan
        Sizes solved beforehand.
    """
    count = guess.size
    return Lanes(
        pair=np.full(WIDTH, -1),
        once=np.zeros(WIDTH, np.bool_),
        queue=np.tile(order, scan + 1),
        following=np.zeros(1, np.int64),
        scanned=scan * count,
        hunt=no_hunts(count),
        over=np.zeros(count, np.bool_),
        one=ends.one,
        other=ends.other,
        volts=ends.volts,
        watts=ends.watts,
        guess=guess.reshape(-1).copy(),
        going=np.zeros(WIDTH, np.bool_),
        rise=np.zeros(WIDTH),
        limiting=np.zeros(WIDTH, np.int64),
        valid=np.zeros(WIDTH, np.bool_),
        hopeless=np.zeros(WIDTH, np.bool_),
        solves_now=np.zeros(WIDTH, np.int64),
        solves=np.zeros(count, np.int64),
    )


@compiled
def load(block: Lanes, s: int, rules: Rules, work: Work) -> None:
    """Give a state to the pair whose turn it is, or leave it idle.

    A pair whose last size is still in the block waits, and all after it.
    """
    work.spots.watts[:, s] = 0.0
    block.pair[s] = -1
    turns = block.following
    while turns[0] < len(block.queue) and _needless(block, turns[0]):
        turns[0] += 1
    if turns[0] >= len(block.queue):
        return
    number = block.queue[turns[0]]
    for other in range(WIDTH):
        if block.pair[other] == number:
            return
    block.pair[s], block.once[s] = number, turns[0] < block.scanned
    turns[0] += 1
    if block.hunt.solves[number] == 0:
        begin(block.hunt, number, block.guess[number], rules)
    candidate = number // 2
    for slot in range(len(work.spots.watts)):
        work.spots.one[slot, s] = block.one[candidate, slot]
        work.spots.other[slot, s] = block.other[candidate, slot]
        work.spots.volts[slot, s] = block.volts[candidate, slot]
    _size(block, s, work)


@compiled
def _needless(block: Lanes, turn: int) -> bool:
    """Whether the pair of a turn has nothing left to solve in it."""
    number = block.queue[turn]
    begun = block.hunt.solves[number] > 0
    return block.over[number] or (turn < block.scanned and begun and block.hunt.left[number] == 0)


@compiled
def _size(block: Lanes, s: int, work: Work) -> None:
    """Give a state the size that is solved next."""
    pair = block.pair[s]
    signed = block.hunt.size[pair] * (-1.0 if pair % 2 == 0 else 1.0)
    for slot in range(len(work.spots.watts)):
        work.spots.watts[slot, s] = signed * block.watts[pair // 2, slot]


@compiled
def _along(work: Work, base: tuple[np.ndarray, np.ndarray], share: np.ndarray) -> None:
    """Move voltages along the line from the base state, near where the next sizes put them.

    ``share``: of the way from the base state to the present voltages, ``[1, state]``; those of
    states at 0 may be no numbers.
    """
    way, rest = row_at(share, 0), 1.0 - row_at(share, 0)
    for i in range(len(base[0])):
        for values, start in ((work.re, base[0][i]), (work.im, base[1][i])):
            x = row_at(values, i)
            put_row(values, i, chosen(way, x * way + rest * start, row_of(start)))


@compiled
def turn(block: Lanes, rules: Rules, work: Work, base: tuple[np.ndarray, np.ndarray]) -> None:
    """Take in the solved sizes of a block, choose the next, and replace what makes room."""
    hunt = block.hunt
    shares = np.zeros((1, WIDTH))  # of new ones: from the base state
    for s in range(WIDTH):
        number = block.pair[s]
        if block.going[s]:
            shares[0, s] = 1.0
            continue
        if number >= 0:
            solved = hunt.size[number]
            if block.hopeless[s]:
                hunt.left[number] = min(hunt.left[number], 1)
            block.solves[number] += block.solves_now[s]
            over = learn(hunt, number, block.valid[s], block.rise[s], block.limiting[s], rules)
            if over:
                block.over[number] = True
                block.guess[number] = min(hunt.aim[number], rules.maximum)
            elif not block.once[s]:
                if work.status[s] == CONVERGED and not hunt.anew[number]:
                    shares[0, s] = hunt.size[number] / solved
                _size(block, s, work)
                continue
        load(block, s, rules, work)
    _along(work, base, shares)
