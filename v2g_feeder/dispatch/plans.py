"""How one stay's charging is laid into its steps.

Every rule fills ``out`` (mean kW by step) up to ``need`` (kW-steps: kWh at the grid side over the
length of a step) within ``cap`` (the highest mean kW by step), and returns what did not fit. All
lay ``min(need, sum of cap)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.compiled import compiled, lean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["fill_cheapest", "fill_now", "fill_valley"]

_MAX_ITERATIONS: Final = 100
_TOLERANCE: Final = 1e-13
_NOTHING: Final = 1e-12  # kW-steps: no level is looked for


@lean
def fill_now(cap: Floats, need: float, out: Floats) -> float:
    """Charge at the cap from the first step on."""
    for k in range(len(cap)):
        out[k] = min(cap[k], need)
        need -= out[k]
        if need <= 0.0:
            break
    return need


@lean
def fill_cheapest(
    cap: Floats, need: float, price: Floats, prices: Floats, latest: bool, out: Floats
) -> float:
    """Charge at the cap in the cheapest steps.

    ``prices`` are all the values of ``price`` in order; of equally cheap steps the earliest come
    first, or the latest.
    """
    steps = len(cap)
    if need <= 0.0:
        return need
    for value in prices:
        for n in range(steps):
            k = steps - 1 - n if latest else n
            if price[k] == value:
                out[k] = min(cap[k], need)
                need -= out[k]
                if need <= 0.0:
                    return need
    return need


@compiled
def fill_valley(
    cap: Floats, need: float, load_kw: Floats, first: int, per_hour: int, out: Floats
) -> float:
    """Charge where the load is lowest: ``clip(level - load, 0, cap)`` at the level that fits.

    Hour by hour, whatever the step, so that the same stays take the same energy in every hour at
    any step length. Within an hour the power follows the cap.

    Parameters
    ----------
    cap, need, out
        As for every rule.
    load_kw
        Load by hour from the beginning of the period.
    first
        Step of the period at which ``cap`` begins.
    per_hour
        Steps an hour.
    """
    begin = first // per_hour
    hours = (first + len(cap) - 1) // per_hour - begin + 1
    most = np.zeros(hours)
    for k in range(len(cap)):
        most[(first + k) // per_hour - begin] += cap[k]
    if need <= _NOTHING:
        return need
    rest: float = need - most.sum()
    if rest >= 0.0:
        out[: len(cap)] = cap
        return rest
    load = load_kw[begin : begin + hours]
    power = _level(most / per_hour, need / per_hour, load)
    for k in range(len(cap)):
        hour = (first + k) // per_hour - begin
        if power[hour] > 0.0:
            out[k] = cap[k] * (power[hour] * per_hour / most[hour])
    return 0.0


@compiled
def _level(cap: Floats, need: float, load: Floats) -> Floats:
    """Return ``clip(level - load, 0, cap)`` with the level at which it adds up to ``need``.

    Newton on a piecewise linear function, bisection where that leaves the bracket.
    """
    low, high = np.inf, -np.inf
    for k in range(len(cap)):
        if cap[k] > 0.0:
            low, high = min(low, load[k]), max(high, load[k] + cap[k])
    level = 0.5 * (low + high)
    for _ in range(_MAX_ITERATIONS):
        filled, slope = _filled(level, cap, load)
        missing = need - filled
        if abs(missing) <= _TOLERANCE * need:
            break
        low, high = (level, high) if missing > 0.0 else (low, level)
        trial = level + missing / slope if slope > 0 else low
        if not low < trial < high:
            trial = 0.5 * (low + high)
        if trial == level:
            break
        level = trial
    power: Floats = np.minimum(np.maximum(level - load, 0.0), cap)
    # a level far above the power itself is rounded: the rest goes to the hours in between
    missing = need - power.sum()
    for k in range(len(power)):
        if 0.0 < power[k] < cap[k]:
            change = min(max(missing, -power[k]), cap[k] - power[k])
            power[k] += change
            missing -= change
    return power


@lean
def _filled(level: float, cap: Floats, load: Floats) -> tuple[float, int]:
    """Return what a level fills, and how many hours take more if it rises."""
    filled, slope = 0.0, 0
    for k in range(len(cap)):
        power = min(max(level - load[k], 0.0), cap[k])
        filled += power
        slope += 0.0 < power < cap[k]
    return filled, slope
