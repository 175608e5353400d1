"""Injections at places of their own for each state: what a search for capacity needs.

A spot is a load phase of constant power whose node pair, rating and power differ from state to
state, ``[slot, state]``, beside the load table, whose phases all states share. It has the limits of
a charger: below 0.5 and above 1.5 pu of its rating it becomes an impedance, as OpenDSS makes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from v2g_feeder.compiled import compiled
from v2g_feeder.powerflow.rows import WIDTH

if TYPE_CHECKING:
    from v2g_feeder.powerflow.kernels import Work
    from v2g_feeder.powerflow.readings import Check

__all__ = ["Spots", "check_spots", "compare_spots", "inject_spots", "mix_spots", "no_spots"]

_LOW, _HIGH = 0.25, 2.25  # squares of the limits, per unit
_ABOVE: Final = 1.0 / _HIGH


class Spots(NamedTuple):
    """Spots of a block, ``[slot, state]``.

    Parameters
    ----------
    one, other
        Node pair in elimination order; ground comes after the last node.
    volts
        Rated voltage across the pair, V; above 0.
    watts, vars
        Power, positive drawing; a slot of 0 W and 0 var is empty.
    re, im
        Voltage across the pair that the present current belongs to.
    past
        Of the last two: what the network answered and that less what it answers to, real and
        imaginary, ``[2 * 4, slot, state]``.
    """

    one: np.ndarray
    other: np.ndarray
    volts: np.ndarray
    watts: np.ndarray
    vars: np.ndarray
    re: np.ndarray
    im: np.ndarray
    past: np.ndarray


def no_spots(slots: int, ground: int) -> Spots:
    """Return empty slots, both ends at ``ground``."""
    shape = (slots, WIDTH)
    ends = np.full(shape, ground, np.int64)
    watts, vars_, re, im = np.zeros((4, *shape))
    past = np.zeros((8, *shape))
    return Spots(ends, ends.copy(), np.ones(shape), watts, vars_, re, im, past)


@compiled
def compare_spots(
    spots: Spots, re: np.ndarray, im: np.ndarray, slot: int, sums: np.ndarray
) -> None:
    """Take the network's last answers, and how they differ from those before, into the sums."""
    past, last, before = spots.past, 4 * slot, 4 - 4 * slot
    for k in range(len(spots.one)):
        for s in range(WIDTH):
            one, other = spots.one[k, s], spots.other[k, s]
            x, y = re[one, s] - re[other, s], im[one, s] - im[other, s]
            u, v = x - spots.re[k, s], y - spots.im[k, s]
            scale = 1.0 / (spots.volts[k, s] * spots.volts[k, s])
            a, b = u - past[before + 2, k, s], v - past[before + 3, k, s]
            c, d = u - past[last + 2, k, s], v - past[last + 3, k, s]
            p, q = x - past[before, k, s], y - past[before + 1, k, s]
            sums[0, s] += (a * a + b * b) * scale
            sums[1, s] += (a * c + b * d) * scale
            sums[2, s] += (c * c + d * d) * scale
            sums[3, s] += (a * u + b * v) * scale
            sums[4, s] += (c * u + d * v) * scale
            sums[5, s] += ((p - a) * (p - a) + (q - b) * (q - b)) * scale
            sums[6, s] += (p * p + q * q) * scale
            past[last + 2, k, s], past[last + 3, k, s] = u, v


@compiled
def mix_spots(spots: Spots, work: Work, slot: int, known: int) -> None:
    """Take over the voltages across spots for the states that are not done.

    The largest change of voltage across any load phase, squared, takes theirs in; NaN wins.
    """
    past, last, before = spots.past, 4 * slot, 4 - 4 * slot
    for k in range(len(spots.one)):
        for s in range(WIDTH):
            u, v = past[last + 2, k, s], past[last + 3, k, s]
            square = (u * u + v * v) / (spots.volts[k, s] * spots.volts[k, s])
            if not square <= work.change[0, s]:
                work.change[0, s] = square
            one, other = spots.one[k, s], spots.other[k, s]
            x = work.re[one, s] - work.re[other, s]
            y = work.im[one, s] - work.im[other, s]
            if work.hold[0, s] == 0.0:
                spots.re[k, s], spots.im[k, s] = x, y
                if known > 0:
                    spots.re[k, s] -= work.mix[0, s] * (x - past[before, k, s])
                    spots.im[k, s] -= work.mix[0, s] * (y - past[before + 1, k, s])
                if known > 1:
                    spots.re[k, s] -= work.mix[1, s] * (x - past[last, k, s])
                    spots.im[k, s] -= work.mix[1, s] * (y - past[last + 1, k, s])
            past[last, k, s], past[last + 1, k, s] = x, y


@compiled
def _multiplier(square: float) -> float:
    """Return by what the nominal admittance of a spot is multiplied at a square of its voltage."""
    if square <= _LOW:
        return 1.0
    return 1.0 / square if square <= _HIGH else _ABOVE


@compiled
def inject_spots(spots: Spots, re: np.ndarray, im: np.ndarray) -> None:
    """Take the currents of the spots off the right-hand side."""
    for k in range(len(spots.one)):
        for s in range(WIDTH):
            if spots.watts[k, s] == 0.0 and spots.vars[k, s] == 0.0:
                continue
            one, other = spots.one[k, s], spots.other[k, s]
            x, y = spots.re[k, s], spots.im[k, s]
            scale = 1.0 / (spots.volts[k, s] * spots.volts[k, s])
            share = _multiplier((x * x + y * y) * scale) * scale
            g, b = spots.watts[k, s] * share, spots.vars[k, s] * share
            amps_re, amps_im = g * x + b * y, g * y - b * x
            re[one, s] -= amps_re
            im[one, s] -= amps_im
            re[other, s] += amps_re
            im[other, s] += amps_im


@compiled
def check_spots(spots: Spots, re: np.ndarray, im: np.ndarray, check: Check) -> None:
    """Add what spots draw, and whether one that is not empty is outside its limits."""
    for k in range(len(spots.one)):
        for s in range(WIDTH):
            if spots.watts[k, s] == 0.0 and spots.vars[k, s] == 0.0:
                continue
            one, other = spots.one[k, s], spots.other[k, s]
            x = re[one, s] - re[other, s]
            y = im[one, s] - im[other, s]
            square = (x * x + y * y) / (spots.volts[k, s] * spots.volts[k, s])
            check.drawn_kw[0, s] += 1e-3 * spots.watts[k, s] * square * _multiplier(square)
            if not _LOW < square <= _HIGH:
                check.off[0, s] = 1.0
