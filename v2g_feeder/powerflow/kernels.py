"""Compiled loops of the batch power flow: a block of states, one beside the other, at a time.

The last axis of every array of a block holds the states of a row (:mod:`.rows`), real and imaginary
parts apart. Nodes stand in elimination order, ground after the last. No operation mixes states; one
that has converged keeps the load voltages it converged with, so that it is solved to the same bits
until the whole block is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from v2g_feeder.compiled import compiled, inlined
from v2g_feeder.powerflow.loads import LoadArrays, multiplier
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
from v2g_feeder.powerflow.spots import Spots, inject_spots, spot_changes, take_spots

if TYPE_CHECKING:
    from v2g_feeder.powerflow.factor import Factor

__all__ = [
    "CONVERGED", "CURVE_HALF", "CURVE_MIDDLE", "DEGREE", "FAILED", "Fast", "Work", "by_rows",
    "fill",
    "one_by_one", "solve_block",
]  # fmt: skip

RUNNING, CONVERGED, FAILED = 0, 1, 2
_STALLED: Final = 25  # iterations without progress after which a state is given up
_PROGRESS: Final = 0.9
_LEAST_RATE: Final = 0.1
DEGREE: Final = 18
CURVE_MIDDLE, CURVE_HALF = 1.04, 0.4  # v^2 from 0.8^2 to 1.2^2, where model 4 is a polynomial


class Fast(NamedTuple):
    """How each load phase is evaluated for a whole row of states.

    Parameters
    ----------
    kind
        0: constant power; 1: impedance, current and power; 2: a polynomial of model 4.
    shares
        Of kind 1, ``[load phase, 6]``: Z, I, P of watts, then of vars.
    curve
        Of kind 2: row of ``curves``, ``[load phase, 2]``, watts and vars.
    curves
        Coefficients by power of ``(v^2 - CURVE_MIDDLE) / CURVE_HALF``, ``[curve, power]``.
    above
        Multipliers from ``limit`` upwards, ``[load phase, 2]``, watts and vars.
    low, limit, high
        Values of ``v^2``, ``[load phase]``: from ``low`` to ``high`` a row can be evaluated as a
        whole, by the formula up to ``limit``.
    """

    kind: np.ndarray
    shares: np.ndarray
    curve: np.ndarray
    curves: np.ndarray
    above: np.ndarray
    low: np.ndarray
    limit: np.ndarray
    high: np.ndarray


class Work(NamedTuple):
    """Arrays of one block, last axis states.

    Parameters
    ----------
    re, im
        Right-hand sides and node voltages in turn, ``[node + ground, state]``.
    load_re, load_im
        Voltage across each load phase that the present currents belong to.
    border_re, border_im
        Inverse of the border's matrix, ``[border, border, state]``.
    kw, kvar
        Multipliers of watts and vars, ``[row, state]``.
    status, iterations
        ``[state]``.
    hold, change
        ``[1, state]``: 1 for states that are done; the largest change of voltage, squared.
    before, best, since
        History of convergence, ``[state]``.
    spots
        Injections of each state's own.
    """

    re: np.ndarray
    im: np.ndarray
    load_re: np.ndarray
    load_im: np.ndarray
    border_re: np.ndarray
    border_im: np.ndarray
    kw: np.ndarray
    kvar: np.ndarray
    status: np.ndarray
    iterations: np.ndarray
    hold: np.ndarray
    change: np.ndarray
    before: np.ndarray
    best: np.ndarray
    since: np.ndarray
    spots: Spots


@compiled
def _substitute(factor: Factor, work: Work) -> None:
    """Solve in place for the node voltages of a right-hand side."""
    re, im, border_re, border_im = work.re, work.im, work.border_re, work.border_im
    inner, tied = len(factor.diagonal_re), len(border_re)
    for i in range(inner + tied):
        x, y = row_at(re, i), row_at(im, i)
        for at in range(factor.lower_start[i], factor.lower_start[i + 1]):
            j, a, b = factor.lower_column[at], factor.lower_re[at], factor.lower_im[at]
            u, v = row_at(re, j), row_at(im, j)
            x = x - u * a + v * b
            y = y - v * a - u * b
        put_row(re, i, x)
        put_row(im, i, y)
    if tied:
        right_re, right_im = re[inner : inner + tied].copy(), im[inner : inner + tied].copy()
        for i in range(tied):
            total_re, total_im = row_of(0.0), row_of(0.0)
            for j in range(tied):
                a, b = row_at(border_re, i * tied + j), row_at(border_im, i * tied + j)
                x, y = row_at(right_re, j), row_at(right_im, j)
                total_re = total_re + a * x - b * y
                total_im = total_im + a * y + b * x
            put_row(re, inner + i, total_re)
            put_row(im, inner + i, total_im)
    for i in range(inner - 1, -1, -1):
        x, y = row_at(re, i), row_at(im, i)
        for at in range(factor.upper_start[i], factor.upper_start[i + 1]):
            j, a, b = factor.upper_column[at], factor.upper_re[at], factor.upper_im[at]
            u, v = row_at(re, j), row_at(im, j)
            x = x - u * a + v * b
            y = y - v * a - u * b
        a, b = factor.diagonal_re[i], factor.diagonal_im[i]
        put_row(re, i, x * a - y * b)
        put_row(im, i, y * a + x * b)


@compiled
def _changes(loads: LoadArrays, work: Work) -> None:
    """Find the largest change of voltage across any load phase, per unit of its rating, squared."""
    change = row_of(0.0)
    for k in range(len(loads.one)):
        one, other = loads.one[k], loads.other[k]
        x = row_at(work.re, one) - row_at(work.re, other) - row_at(work.load_re, k)
        y = row_at(work.im, one) - row_at(work.im, other) - row_at(work.load_im, k)
        change = larger(change, (x * x + y * y) * (1.0 / (loads.volts[k] * loads.volts[k])))
    put_row(work.change, 0, change)
    spot_changes(work.spots, work.re, work.im, work.change)


@compiled
def _judge(work: Work, iteration: int, tolerance: float) -> bool:
    """Mark states that have converged or that will not; return whether none is left.

    What is left of the error after a change is estimated from the rate at which changes shrink:
    ``change * rate / (1 - rate)``.
    """
    running = False
    for s in range(WIDTH):
        if work.status[s] != RUNNING:
            continue
        change = np.sqrt(work.change[0, s])
        rate = max(change / work.before[s], _LEAST_RATE) if iteration > 1 else 0.5
        work.before[s] = max(change, 1e-300)
        if not np.isfinite(change):
            work.status[s] = FAILED
        elif rate < 1.0 and change * rate / (1.0 - rate) <= tolerance:
            work.status[s] = CONVERGED
        elif change < _PROGRESS * work.best[s]:
            work.best[s], work.since[s] = change, 0
        else:
            work.since[s] += 1
            if work.since[s] > _STALLED:
                work.status[s] = FAILED
        work.iterations[s] = iteration
        work.hold[0, s] = 0.0 if work.status[s] == RUNNING else 1.0
        running = running or work.status[s] == RUNNING
    return not running


@compiled
def _take(loads: LoadArrays, work: Work) -> None:
    """Take over the voltages across load phases for the states that are not done."""
    hold = row_at(work.hold, 0)
    for k in range(len(loads.one)):
        one, other = loads.one[k], loads.other[k]
        x = row_at(work.re, one) - row_at(work.re, other)
        y = row_at(work.im, one) - row_at(work.im, other)
        put_row(work.load_re, k, chosen(hold, row_at(work.load_re, k), x))
        put_row(work.load_im, k, chosen(hold, row_at(work.load_im, k), y))
    take_spots(work.spots, work.re, work.im, work.hold)


@compiled
def _inject(loads: LoadArrays, fast: Fast, work: Work) -> None:
    """Take the currents of the loads off the right-hand side."""
    square, found = np.empty((1, WIDTH)), np.empty((2, WIDTH))
    to_re, to_im = work.re, work.im
    for k in range(len(loads.one)):
        one, other = loads.one[k], loads.other[k]
        x, y = row_at(work.load_re, k), row_at(work.load_im, k)
        scale = 1.0 / (loads.volts[k] * loads.volts[k])
        u = (x * x + y * y) * scale
        put_row(square, 0, u)
        by_rows(fast, k, square, found)
        if not all_of(within(row_of(fast.low[k]), u, row_of(fast.high[k]))):
            one_by_one(loads, fast, k, square, found, work.kvar)
        g = row_at(found, 0) * row_at(work.kw, loads.row[k]) * (loads.watts[k] * scale)
        b = row_at(found, 1) * row_at(work.kvar, loads.vars_row[k]) * (loads.vars[k] * scale)
        amps_re, amps_im = g * x + b * y, g * y - b * x
        put_row(to_re, one, row_at(to_re, one) - amps_re)
        put_row(to_im, one, row_at(to_im, one) - amps_im)
        put_row(to_re, other, row_at(to_re, other) + amps_re)
        put_row(to_im, other, row_at(to_im, other) + amps_im)
    inject_spots(work.spots, work.re, work.im)


@inlined
def by_rows(fast: Fast, k: int, square: np.ndarray, found: np.ndarray) -> None:
    """Evaluate a load phase for a row of states: watts, then vars."""
    u = row_at(square, 0)
    below = within(row_of(0.0), u, row_of(fast.limit[k]))
    if fast.kind[k] == 0:
        power = chosen(below, 1.0 / u, row_of(fast.above[k, 0]))
        put_row(found, 0, power)
        put_row(found, 1, power)
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
            curve = fast.curves[fast.curve[k, n]]
            value = t * curve[DEGREE] + curve[DEGREE - 1]
            for power in range(DEGREE - 2, -1, -1):
                value = value * t + curve[power]
            put_row(found, n, value)
    for n in range(2):
        put_row(found, n, chosen(below, row_at(found, n), row_of(fast.above[k, n])))


@compiled
def one_by_one(
    loads: LoadArrays,
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
    loads: LoadArrays,
    fast: Fast,
    work: Work,
    settled: np.ndarray,
    source: np.ndarray,
    tolerance: float,
    most: int,
) -> None:
    """Solve a block of states from the voltages that it holds.

    Parameters
    ----------
    factor, loads, fast
        The network and what hangs on it.
    work
        Multipliers and border matrices of the states; on return ``re`` and ``im`` hold the node
        voltages, and ``status`` what became of each state.
    settled
        States to leave as they are, ``[state]``: solved before, and nothing has changed for them.
    source
        Complex currents of the sources, ``[node + ground]``.
    tolerance
        Largest remaining error of a voltage across a load, per unit.
    most
        Number of iterations after which a state has failed.
    """
    for s in range(WIDTH):
        work.hold[0, s] = 1.0 if settled[s] else 0.0
        if not settled[s]:
            work.status[s], work.iterations[s] = RUNNING, 0
    work.best[:] = np.inf
    work.since[:] = 0
    for iteration in range(most + 1):
        if iteration:
            _changes(loads, work)
            if _judge(work, iteration, tolerance):
                break
        _take(loads, work)
        fill(work, source)
        _inject(loads, fast, work)
        work.re[-1, :] = 0.0
        work.im[-1, :] = 0.0
        _substitute(factor, work)
    for s in range(WIDTH):
        if work.status[s] == RUNNING:
            work.status[s] = FAILED


@compiled
def fill(work: Work, values: np.ndarray) -> None:
    """Give all states the same values by node."""
    for i in range(len(values)):
        put_row(work.re, i, row_of(values[i].real))
        put_row(work.im, i, row_of(values[i].imag))
