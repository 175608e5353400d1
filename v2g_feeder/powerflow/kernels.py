"""Compiled loops of the batch power flow: a block of states, one beside the other, at a time.

The last axis of every array of a block holds the states of a row (:mod:`.rows`), real and imaginary
parts apart. Nodes stand in elimination order, ground after the last. No operation mixes states; one
that has converged keeps the load voltages it converged with, so that it is solved to the same bits
until the whole block is done.

A state's next voltages across loads are mixed from the last three that the network answered with,
so that what remains of the error is least (Anderson acceleration of depth two; D. G. Anderson,
*Iterative procedures for nonlinear integral equations*, J. ACM 12, 1965). The fixed point is the
same. Where a load's current jumps at a limit the last answer is taken as it is, as OpenDSS does:
there may be two solutions, and the one that is reached depends on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from v2g_feeder.compiled import compiled, inlined
from v2g_feeder.powerflow.loads import LoadTable, multiplier
from v2g_feeder.powerflow.mixing import (
    ANSWERS,
    ASKED,
    BEST,
    CHANGE,
    FAILED,
    GIVEN,
    HOLD,
    MIX_ONE,
    MIX_TWO,
    ONE_LEFT,
    ONE_ONE,
    ONE_TWO,
    RATE,
    RUNNING,
    SINCE,
    TWO_LEFT,
    TWO_TWO,
    judge_states,
    weigh,
)
from v2g_feeder.powerflow.rows import (
    WIDTH,
    all_of,
    chosen,
    larger,
    put_row,
    row_at,
    row_of,
    row_sqrt,
    within,
)
from v2g_feeder.powerflow.spots import Spots, compare_spots, inject_spots, mix_spots

if TYPE_CHECKING:
    from v2g_feeder.powerflow.factor import Factor

__all__ = [
    "CURVE_HALF", "CURVE_MIDDLE", "DEGREE", "SAMPLED", "Fast", "Rules", "Source", "Work", "by_rows",
    "fill",
    "one_by_one", "solve_block",
]  # fmt: skip

SAMPLED: Final = 4
"""One load phase in so many decides how a state's voltages are mixed."""
DEGREE: Final = 18
CURVE_MIDDLE, CURVE_HALF = 1.04, 0.4  # v^2 from 0.8^2 to 1.2^2, where model 4 is a polynomial


class Fast(NamedTuple):
    """How each load phase is evaluated for a whole row of states.

    Parameters
    ----------
    kind
        0: constant power; 1: impedance, current and power; 2: a polynomial of model 4; 3: constant
        impedance.
    low, limit, high
        Values of ``v^2``, ``[load phase]``: from ``low`` to ``high`` a row can be evaluated as a
        whole, by the formula up to ``limit``.
    above
        Multipliers from ``limit`` upwards, ``[load phase, 2]``, watts and vars.
    curve
        Of kind 2: number of the polynomial, ``[load phase, 2]``, watts and vars.
    shares
        Of kind 1, ``[load phase, 6]``: Z, I, P of watts, then of vars.
    """

    kind: np.ndarray
    low: np.ndarray
    limit: np.ndarray
    high: np.ndarray
    above: np.ndarray
    curve: np.ndarray
    shares: np.ndarray


class Work(NamedTuple):
    """Arrays of one block, last axis states.

    Parameters
    ----------
    re, im
        Node voltages, ``[node + ground, state]``.
    amps_re, amps_im
        Currents into the nodes; nothing between solutions.
    load_re, load_im
        Voltage across each load phase that the present currents belong to.
    found_re, found_im
        What the network answered to the last two, ``[2 * load phase, state]``; empty where answers
        are not mixed.
    past
        Of the load phases that are sampled and of the last two: what the network answered, and
        that less what it answers to, ``[2 * 4 * sampled phase, state]``.
    border_re, border_im
        Inverse of the border's matrix, ``[border, border, state]``.
    kw, kvar
        Multipliers of watts and vars, ``[row, state]``.
    status, iterations
        ``[state]``.
    sums
        How states come to rest, ``[number, state]`` (:mod:`.mixing`).
    spots
        Injections of each state's own.
    """

    re: np.ndarray
    im: np.ndarray
    amps_re: np.ndarray
    amps_im: np.ndarray
    load_re: np.ndarray
    load_im: np.ndarray
    found_re: np.ndarray
    found_im: np.ndarray
    past: np.ndarray
    border_re: np.ndarray
    border_im: np.ndarray
    kw: np.ndarray
    kvar: np.ndarray
    status: np.ndarray
    iterations: np.ndarray
    sums: np.ndarray
    spots: Spots


class Source(NamedTuple):
    """Currents that sources inject: nodes, in elimination order, and amperes."""

    node: np.ndarray
    re: np.ndarray
    im: np.ndarray


class Rules(NamedTuple):
    """When a state is solved.

    Parameters
    ----------
    tolerance
        Largest remaining error of a voltage across a load, per unit.
    most
        Number of iterations after which a state has failed.
    depth
        How many answers before the last are mixed in, 0 to 2.
    """

    tolerance: float
    most: int
    depth: int


@compiled
def _substitute(factor: Factor, work: Work, first: int, last: int) -> None:
    """Solve for the node voltages of the currents, which are used up.

    Nothing is injected into nodes before ``first``; voltages of nodes before ``last`` are left out.
    """
    re, im = work.amps_re, work.amps_im
    inner, tied = len(factor.diagonal_re), len(work.border_re)
    for i in range(first, inner + tied):
        x, y = row_at(re, i), row_at(im, i)
        begin = factor.lower_loud[i] if first else factor.lower_start[i]
        for at in range(begin, factor.lower_start[i + 1]):
            j, a, b = factor.lower_column[at], factor.lower_re[at], factor.lower_im[at]
            u, v = row_at(re, j), row_at(im, j)
            x = x - u * a + v * b
            y = y - v * a - u * b
        put_row(re, i, x)
        put_row(im, i, y)
    for i in range(tied):
        x, y = row_of(0.0), row_of(0.0)
        for j in range(tied):
            a, b = row_at(work.border_re, i * tied + j), row_at(work.border_im, i * tied + j)
            u, v = row_at(re, inner + j), row_at(im, inner + j)
            x = x + a * u - b * v
            y = y + a * v + b * u
        put_row(work.re, inner + i, x)
        put_row(work.im, inner + i, y)
    re[inner:] = 0.0
    im[inner:] = 0.0
    zero = row_of(0.0)
    for i in range(inner - 1, last - 1, -1):
        x, y = row_at(re, i), row_at(im, i)
        put_row(re, i, zero)
        put_row(im, i, zero)
        for at in range(factor.upper_start[i], factor.upper_start[i + 1]):
            j, a, b = factor.upper_column[at], factor.upper_re[at], factor.upper_im[at]
            u, v = row_at(work.re, j), row_at(work.im, j)
            x = x - u * a + v * b
            y = y - v * a - u * b
        a, b = factor.diagonal_re[i], factor.diagonal_im[i]
        put_row(work.re, i, x * a - y * b)
        put_row(work.im, i, y * a + x * b)


@compiled
def _compare(loads: LoadTable, work: Work, slot: int) -> None:
    """Compare the network's last answer with those before it, at the load phases sampled."""
    past, some = work.past, len(work.past) // 8
    last, one_ago = 4 * slot * some, 4 * (1 - slot) * some  # what was there is two ago
    one_one, one_two, two_two = row_of(0.0), row_of(0.0), row_of(0.0)
    one_left, two_left, asked, given = row_of(0.0), row_of(0.0), row_of(0.0), row_of(0.0)
    for n in range(some):
        k = n * SAMPLED
        scale = 1.0 / (loads.volts[k] * loads.volts[k])
        x = row_at(work.re, loads.one[k]) - row_at(work.re, loads.other[k])
        y = row_at(work.im, loads.one[k]) - row_at(work.im, loads.other[k])
        u, v = x - row_at(work.load_re, k), y - row_at(work.load_im, k)
        a = u - row_at(past, one_ago + 2 * some + n)
        b = v - row_at(past, one_ago + 3 * some + n)
        c = u - row_at(past, last + 2 * some + n)
        d = v - row_at(past, last + 3 * some + n)
        one_one = one_one + (a * a + b * b) * scale
        one_two = one_two + (a * c + b * d) * scale
        two_two = two_two + (c * c + d * d) * scale
        one_left = one_left + (a * u + b * v) * scale
        two_left = two_left + (c * u + d * v) * scale
        c, d = x - row_at(past, one_ago + n), y - row_at(past, one_ago + some + n)
        given = given + (c * c + d * d) * scale
        asked = asked + ((c - a) * (c - a) + (d - b) * (d - b)) * scale
        put_row(past, last + n, x)
        put_row(past, last + some + n, y)
        put_row(past, last + 2 * some + n, u)
        put_row(past, last + 3 * some + n, v)
    put_row(work.sums, ONE_ONE, one_one)
    put_row(work.sums, ONE_TWO, one_two)
    put_row(work.sums, TWO_TWO, two_two)
    put_row(work.sums, ONE_LEFT, one_left)
    put_row(work.sums, TWO_LEFT, two_left)
    put_row(work.sums, ASKED, asked)
    put_row(work.sums, GIVEN, given)
    compare_spots(work.spots, work.re, work.im, work.sums, slot)


@inlined
def _mixed(
    found: np.ndarray, x: Any, last: int, before: int, known: int, mix: tuple[Any, Any]
) -> Any:
    """Return the mix of an answer ``x`` with those before it, and keep it."""
    one, two = mix
    mixed = x
    if known > 0:
        mixed = mixed - one * (x - row_at(found, before))
    if known > 1:
        mixed = mixed - two * (x - row_at(found, last))
    put_row(found, last, x)
    return mixed


@compiled
def _inject(
    loads: LoadTable, fast: Fast, curves: np.ndarray, work: Work, slot: int, known: int
) -> None:
    """Take over the voltages across loads where a state is not done, and inject their currents."""
    square, found = np.empty((1, WIDTH)), np.empty((2, WIDTH))
    to_re, to_im = work.amps_re, work.amps_im
    count = len(loads.one)
    hold, change = row_at(work.sums, HOLD), row_of(0.0)
    mix = row_at(work.sums, MIX_ONE), row_at(work.sums, MIX_TWO)
    mixes = len(work.found_re) > 0
    last, before = slot * count, (1 - slot) * count
    for k in range(count):
        one, other = loads.one[k], loads.other[k]
        scale = 1.0 / (loads.volts[k] * loads.volts[k])
        x = row_at(work.re, one) - row_at(work.re, other)
        y = row_at(work.im, one) - row_at(work.im, other)
        before_re, before_im = row_at(work.load_re, k), row_at(work.load_im, k)
        u, v = x - before_re, y - before_im
        change = larger(change, (u * u + v * v) * scale)
        if mixes:
            x = _mixed(work.found_re, x, last + k, before + k, known, mix)
            y = _mixed(work.found_im, y, last + k, before + k, known, mix)
        x, y = chosen(hold, before_re, x), chosen(hold, before_im, y)
        put_row(work.load_re, k, x)
        put_row(work.load_im, k, y)
        u = (x * x + y * y) * scale
        put_row(square, 0, u)
        by_rows(fast, curves, k, square, found)
        if not all_of(within(row_of(fast.low[k]), u, row_of(fast.high[k]))):
            one_by_one(loads, fast, k, square, found, work.kvar)
        g = row_at(found, 0) * row_at(work.kw, loads.row[k]) * (loads.watts[k] * scale)
        b = row_at(found, 1) * row_at(work.kvar, loads.vars_row[k]) * (loads.vars[k] * scale)
        amps_re, amps_im = g * x + b * y, g * y - b * x
        put_row(to_re, one, row_at(to_re, one) - amps_re)
        put_row(to_im, one, row_at(to_im, one) - amps_im)
        put_row(to_re, other, row_at(to_re, other) + amps_re)
        put_row(to_im, other, row_at(to_im, other) + amps_im)
    put_row(work.sums, CHANGE, change)
    mix_spots(work.spots, work.re, work.im, work.sums, slot, known)
    inject_spots(work.spots, to_re, to_im)


@inlined
def by_rows(fast: Fast, curves: np.ndarray, k: int, square: np.ndarray, found: np.ndarray) -> None:
    """Evaluate a load phase for a row of states: watts, then vars."""
    u = row_at(square, 0)
    below = within(row_of(0.0), u, row_of(fast.limit[k]))
    if fast.kind[k] == 0:
        power = chosen(below, 1.0 / u, row_of(fast.above[k, 0]))
        put_row(found, 0, power)
        put_row(found, 1, power)
        return
    if fast.kind[k] == 3:
        put_row(found, 0, row_of(fast.shares[k][0]))
        put_row(found, 1, row_of(fast.shares[k][3]))
        return
    if fast.kind[k] == 1:
        z = fast.shares[k]
        power = 1.0 / u
        current = row_sqrt(power)
        put_row(found, 0, current * z[1] + power * z[2] + z[0])
        put_row(found, 1, current * z[4] + power * z[5] + z[3])
    else:
        t = (u - CURVE_MIDDLE) * (1.0 / CURVE_HALF)
        for n in range(2):
            curve = curves[fast.curve[k, n]]
            value = t * curve[DEGREE] + curve[DEGREE - 1]
            for power in range(DEGREE - 2, -1, -1):
                value = value * t + curve[power]
            put_row(found, n, value)
    for n in range(2):
        put_row(found, n, chosen(below, row_at(found, n), row_of(fast.above[k, n])))


@compiled
def one_by_one(
    loads: LoadTable,
    fast: Fast,
    k: int,
    square: np.ndarray,
    found: np.ndarray,
    kvar: np.ndarray,
) -> None:
    """Evaluate a load phase anew for the states outside the limits of the row's formula."""
    limits = (loads.vmin[k], loads.vmax[k], loads.vlow[k])
    for s in range(WIDTH):
        if not fast.low[k] < square[0, s] <= fast.high[k]:
            v = np.sqrt(square[0, s])
            found[0, s], found[1, s] = multiplier(
                loads.model[k], v, limits, loads.exponents[k], loads.zip_shares[k]
            )
            if loads.vars_row[k] != loads.row[k] and v <= limits[2] and loads.vars[k] != 0.0:
                found[1, s] *= kvar[loads.row[k], s] * loads.vars_low[k] / loads.vars[k]


@compiled
def solve_block(
    factor: Factor,
    loads: LoadTable,
    fast: Fast,
    curves: np.ndarray,
    work: Work,
    settled: np.ndarray,
    source: Source,
    rules: Rules,
) -> None:
    """Solve a block of states from the voltages that it holds.

    Parameters
    ----------
    factor, loads, fast, curves
        The network, and what hangs on it, packed.
    work
        Multipliers and border matrices of the states; on return ``re`` and ``im`` hold the node
        voltages, and ``status`` what became of each state.
    settled
        States to leave as they are, ``[state]``: solved before, and nothing has changed for them.
    source
        What the sources inject.
    rules
        When to stop.
    """
    for s in range(WIDTH):
        work.sums[HOLD, s] = 1.0 if settled[s] else 0.0
        if not settled[s]:
            work.status[s] = RUNNING
    work.sums[BEST] = np.inf
    work.sums[SINCE], work.sums[RATE] = 0.0, 0.0
    first = 0 if len(work.spots) else factor.quiet
    done = False
    for iteration in range(rules.most + 1):
        slot, known = iteration % 2, min(max(iteration - 1, 0), rules.depth)
        _compare(loads, work, slot)
        weigh(work.sums, known)
        for n in range(len(source.node)):
            put_row(work.amps_re, source.node[n], row_of(source.re[n]))
            put_row(work.amps_im, source.node[n], row_of(source.im[n]))
        _inject(loads, fast, curves, work, slot, known)
        done = iteration > 0 and judge_states(work.sums, work.status, iteration, rules.tolerance)
        _substitute(factor, work, first, 0 if done else first)
        if done:
            break
    for s in range(WIDTH):
        if work.status[s] == RUNNING:
            work.status[s] = FAILED
        if not settled[s]:
            work.iterations[s] = int(work.sums[ANSWERS, s])


@compiled
def fill(work: Work, values: np.ndarray) -> None:
    """Give all states the same values by node."""
    for i in range(len(values)):
        put_row(work.re, i, row_of(values[i].real))
        put_row(work.im, i, row_of(values[i].imag))
