"""Injections at places of their own for each state: what a search for capacity needs.

A spot is a load phase of constant power whose node pair, rating and power differ from state to
state, ``[slot, state]``, beside the load table, whose phases all states share. It has the limits of
a charger: below 0.5 and above 1.5 pu of its rating it becomes an impedance, as OpenDSS makes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from v2g_feeder.compiled import compiled
from v2g_feeder.powerflow.mixing import (
    ASKED,
    CHANGE,
    GIVEN,
    HOLD,
    MIX_ONE,
    MIX_TWO,
    ONE_LEFT,
    ONE_ONE,
    ONE_TWO,
    TWO_LEFT,
    TWO_TWO,
)
from v2g_feeder.powerflow.rows import WIDTH

if TYPE_CHECKING:
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
        imaginary, ``[slot, state, 2 * 4]``.
    """

    one: np.ndarray
    other: np.ndarray
    volts: np.ndarray
    watts: np.ndarray
    vars: np.ndarray
    re: np.ndarray
    im: np.ndarray
    past: np.ndarray


def no_spots(slots: int, ground: int) -> Any:
    """Return empty slots, both ends at ``ground``: an array of records of :class:`Spots`."""
    kinds = {"one": np.int64, "other": np.int64}
    record = [
        (name, kinds.get(name, np.float64), (8,) if name == "past" else ())
        for name in Spots._fields
    ]
    found = np.zeros((slots, WIDTH), np.dtype(record, align=True)).view(np.recarray)
    found.one[:] = found.other[:] = ground
    found.volts[:] = 1.0
    return found


@compiled
def compare_spots(
    spots: Spots, re: np.ndarray, im: np.ndarray, sums: np.ndarray, slot: int
) -> None:
    """Take the network's last answers, and how they differ from those before, into the sums."""
    last, before = 4 * slot, 4 - 4 * slot
    for k in range(len(spots)):
        for s in range(WIDTH):
            past = spots.past[k, s]
            one, other = spots.one[k, s], spots.other[k, s]
            x, y = re[one, s] - re[other, s], im[one, s] - im[other, s]
            u, v = x - spots.re[k, s], y - spots.im[k, s]
            scale = 1.0 / (spots.volts[k, s] * spots.volts[k, s])
            a, b = u - past[before + 2], v - past[before + 3]
            c, d = u - past[last + 2], v - past[last + 3]
            p, q = x - past[before], y - past[before + 1]
            sums[ONE_ONE, s] += (a * a + b * b) * scale
            sums[ONE_TWO, s] += (a * c + b * d) * scale
            sums[TWO_TWO, s] += (c * c + d * d) * scale
            sums[ONE_LEFT, s] += (a * u + b * v) * scale
            sums[TWO_LEFT, s] += (c * u + d * v) * scale
            sums[ASKED, s] += ((p - a) * (p - a) + (q - b) * (q - b)) * scale
            sums[GIVEN, s] += (p * p + q * q) * scale
            past[last + 2], past[last + 3] = u, v


@compiled
def mix_spots(
    spots: Spots, re: np.ndarray, im: np.ndarray, sums: np.ndarray, slot: int, known: int
) -> None:
    """Take over the voltages across spots for the states that are not done.

    The largest change of voltage across any load phase, squared, takes theirs in; NaN wins.
    """
    last, before = 4 * slot, 4 - 4 * slot
    for k in range(len(spots)):
        for s in range(WIDTH):
            past = spots.past[k, s]
            u, v = past[last + 2], past[last + 3]
            square = (u * u + v * v) / (spots.volts[k, s] * spots.volts[k, s])
            if not square <= sums[CHANGE, s]:
                sums[CHANGE, s] = square
            one, other = spots.one[k, s], spots.other[k, s]
            x = re[one, s] - re[other, s]
            y = im[one, s] - im[other, s]
            if sums[HOLD, s] == 0.0:
                spots.re[k, s], spots.im[k, s] = x, y
                if known > 0:
                    spots.re[k, s] -= sums[MIX_ONE, s] * (x - past[before])
                    spots.im[k, s] -= sums[MIX_ONE, s] * (y - past[before + 1])
                if known > 1:
                    spots.re[k, s] -= sums[MIX_TWO, s] * (x - past[last])
                    spots.im[k, s] -= sums[MIX_TWO, s] * (y - past[last + 1])
            past[last], past[last + 1] = x, y


@compiled
def _multiplier(square: float) -> float:
    """Return by what the nominal admittance of a spot is multiplied at a square of its voltage."""
    if square <= _LOW:
        return 1.0
    return 1.0 / square if square <= _HIGH else _ABOVE


@compiled
def inject_spots(spots: Spots, re: np.ndarray, im: np.ndarray) -> None:
    """Take the currents of the spots off the right-hand side."""
    for k in range(len(spots)):
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
    for k in range(len(spots)):
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
