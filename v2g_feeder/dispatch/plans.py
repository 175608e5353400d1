"""How one stay's charging is laid into its steps.

Every rule fills ``out`` (mean kW by step) up to ``need`` (kW-steps: kWh at the grid side over the
length of a step) within ``cap`` (the highest mean kW by step), and returns what did not fit. All
meet ``min(need, sum of cap)``.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

__all__ = ["arbitrage", "fill_cheapest", "fill_now", "fill_valley"]

_MAX_ITERATIONS: Final = 100
_TOLERANCE: Final = 1e-12
_MAX_TRADES: Final = 2000
_LEAST_KWH: Final = 1e-9


@njit(cache=True, nogil=True)
def fill_now(cap: np.ndarray, need: float, out: np.ndarray) -> float:
    """Charge at the cap from the first step on."""
    for k in range(len(cap)):
        out[k] = min(cap[k], need)
        need -= out[k]
    return need


@njit(cache=True, nogil=True)
def fill_valley(cap: np.ndarray, need: float, load_kw: np.ndarray, out: np.ndarray) -> float:
    """Charge where the load is lowest: ``clip(level - load, 0, cap)`` at the level that fits.

    Newton on a piecewise linear function, bisection where that leaves the bracket.
    """
    most, low, high = 0.0, np.inf, -np.inf
    for k in range(len(cap)):
        if cap[k] > 0.0:
            most += cap[k]
            low = min(low, load_kw[k])
            high = max(high, load_kw[k] + cap[k])
    if need >= most:
        out[: len(cap)] = cap
        return need - most
    level = 0.5 * (low + high)
    for _ in range(_MAX_ITERATIONS):
        total, slope = 0.0, 0
        for k in range(len(cap)):
            power = level - load_kw[k]
            if power > 0.0:
                if power < cap[k]:
                    slope += 1
                    total += power
                else:
                    total += cap[k]
        missing = need - total
        if abs(missing) <= _TOLERANCE * need:
            break
        if missing > 0.0:
            low = level
        else:
            high = level
        newton = level + missing / max(slope, 1)
        inside = slope > 0 and low < newton < high
        trial = newton if inside else 0.5 * (low + high)
        if trial == level:
            break
        level = trial
    total = 0.0
    for k in range(len(cap)):
        out[k] = min(max(level - load_kw[k], 0.0), cap[k])
        total += out[k]
    # rounding of a level far above the power itself: the last kW-step is put where there is room
    missing = need - total
    for k in range(len(cap)):
        if missing == 0.0:
            break
        change = min(max(missing, -out[k]), cap[k] - out[k]) if out[k] > 0.0 else 0.0
        out[k] += change
        missing -= change
    return missing


@njit(cache=True, nogil=True)
def fill_cheapest(cap: np.ndarray, need: float, price: np.ndarray, out: np.ndarray) -> float:
    """Charge at the cap in the cheapest steps, the earlier of equal ones first."""
    out[: len(cap)] = 0.0
    for k in np.argsort(price[: len(cap)], kind="mergesort"):
        out[k] = min(cap[k], need)
        need -= out[k]
        if need <= 0.0:
            break
    return need


@njit(cache=True, nogil=True)
def arbitrage(  # noqa: C901  # one search, kept in one place
    charge_cap: np.ndarray,
    export_cap: np.ndarray,
    price: np.ndarray,
    bounds: tuple[float, float, float],
    costs: tuple[float, float, float],
    out: np.ndarray,
) -> None:
    """Add to a charging plan the trades that pay, the best first."""
    start, reserve, limit = bounds
    eta_c, eta_d, wear = costs
    steps = len(out)
    soe = np.empty(steps + 1)
    soe[0] = start
    for k in range(steps):
        soe[k + 1] = soe[k] + out[k] * eta_c
    both = eta_c * eta_d
    for _ in range(_MAX_TRADES):
        best, best_a, best_b, best_kwh = 1e-9, -1, -1, 0.0
        for first in range(steps):
            up, down = np.inf, np.inf  # room above and below, in battery kWh
            for second in range(first + 1, steps):
                up = min(up, limit - soe[second])
                down = min(down, soe[second] - reserve)
                if up <= _LEAST_KWH and down <= _LEAST_KWH:
                    break
                for a, b, room in ((first, second, up), (second, first, down)):
                    gain = both * (price[b] - wear) - price[a]
                    if gain <= best or out[a] < 0.0 or out[b] > 0.0:
                        continue
                    amount = min(charge_cap[a] - out[a], (export_cap[b] + out[b]) / both)
                    amount = min(amount, room / eta_c)
                    if amount > _LEAST_KWH:
                        best, best_a, best_b, best_kwh = gain, a, b, amount
        if best_a < 0:
            break
        out[best_a] += best_kwh
        out[best_b] -= best_kwh * both
        sign = 1.0 if best_a < best_b else -1.0
        for k in range(min(best_a, best_b) + 1, max(best_a, best_b) + 1):
            soe[k] += sign * best_kwh * eta_c
