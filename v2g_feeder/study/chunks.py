"""A day's arrays packed as the chunks of ``results.nc``, in whichever process has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from v2g_feeder.store import pack_chunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.powerflow.solution import Solution

__all__ = [
    "BY_PLACE",
    "BY_POINT",
    "BY_STEP",
    "STATISTICS",
    "Chunk",
    "chunks_of",
]

STATISTICS: Final = ("min", "p05", "p95", "max")
_RANGE_BITS: Final = 16  # mantissa bits kept of the ranges over draws: 1e-5 of the value
BY_PLACE: Final = {
    "v_pu": ("node", "per unit as connected", "service voltage"),
    "loading_pct": ("element", "percent of the element's basis", "loading"),
    "flow_kw": ("flow", "kW, positive away from the head", "active power"),
}
BY_POINT: Final = {
    "charger_kw": ("kW, negative exports", "power that the chargers' curves leave"),
    "charger_kvar": ("kvar, negative injects", "reactive power of chargers on their curves"),
}
BY_STEP: Final = {
    "head_kw": ("kW, positive is import", "active power at the feeder head"),
    "head_kvar": ("kvar, positive is import", "reactive power at the feeder head"),
    "losses_kw": ("kW", "losses of lines, transformers and shunts"),
    "reason": ("code, see attribute flag_meanings", "validity of the step"),
}


class Chunk(NamedTuple):
    """A packed chunk of one run and day.

    Parameters
    ----------
    name
        Its variable.
    statistic, draw
        Its place on these axes, if the variable has them.
    places
        Number of axes behind the step.
    packed
        Its bytes.
    """

    name: str
    statistic: tuple[int, ...]
    draw: tuple[int, ...]
    places: int
    packed: bytes

    def where(self, run: tuple[int, int], step: int) -> tuple[int, ...]:
        """Return where it begins on each axis, by the numbers of policy and case."""
        return (*self.statistic, *run, *self.draw, step, *(0,) * self.places)


def chunks_of(solutions: Sequence[Solution], stored: int) -> list[Chunk]:
    """Return the chunks of one day of one run.

    Parameters
    ----------
    solutions
        All draws.
    stored
        How many draws' arrays are kept; the others are in the ranges only.
    """
    found = []
    for draw, solution in enumerate(solutions[:stored]):
        kept = {name: getattr(solution, name) for name in (*BY_PLACE, *BY_STEP)}
        kept["tap"] = solution.taps
        kept |= {name: getattr(solution, name) for name in BY_POINT if getattr(solution, name).size}
        found += [_packed(name, values, draw=(draw,)) for name, values in kept.items()]
    if len(solutions) > 1:
        for name in BY_PLACE:
            by_draw = [getattr(solution, name) for solution in solutions]
            found += [
                _packed(f"{name}_range", _rounded(values), statistic=(number,))
                for number, values in enumerate(_over_draws(by_draw))
            ]
    return found


def _packed(
    name: str,
    values: np.ndarray,
    *,
    statistic: tuple[int, ...] = (),
    draw: tuple[int, ...] = (),
) -> Chunk:
    """Return values ``[step, ...]`` as a chunk."""
    packed = pack_chunk(np.asarray(values, dtype="<f4"))
    return Chunk(name, statistic, draw, values.ndim - 1, packed)


def _over_draws(by_draw: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the statistics over draws; NaN where any draw has none."""
    last = len(by_draw) - 1
    low, share = divmod(0.05 * last, 1)
    count = min(int(low) + 2, len(by_draw))
    lowest = _lowest(by_draw, count)
    highest = [-values for values in _lowest([-values for values in by_draw], count)]
    return [
        lowest[0],
        lowest[-2] + (lowest[-1] - lowest[-2]) * np.float32(share),
        highest[-2] + (highest[-1] - highest[-2]) * np.float32(share),
        highest[0],
    ]


def _lowest(arrays: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
    """Return the lowest values at each place in order, NaN where any is.

    An array at a time, since sorting a few values at each of many places is ten times slower.
    """
    kept: list[np.ndarray] = []
    for array in arrays:
        rest = array
        for number, low in enumerate(kept):
            kept[number], rest = np.minimum(low, rest), np.maximum(low, rest)
        if len(kept) < count:
            kept.append(rest)
    return kept


def _rounded(values: np.ndarray) -> np.ndarray:
    """Return float32 values with fewer mantissa bits, which compress better."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    drop = 23 - _RANGE_BITS
    half = np.uint32((1 << (drop - 1)) - 1)
    rounded = bits + half + ((bits >> np.uint32(drop)) & np.uint32(1))
    kept = (rounded & np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)).view(np.float32)
    return np.where(np.isfinite(values), kept, values)
