"""When the vehicles of a batch charge within their stays.

Both rules take a batch of sessions as columns: ``cap_kw`` is the mean power that each could draw in
each step (its rating times the share of the step in which it is plugged in), shape
``[step, session]``, and ``need`` the energy to be met at the grid side in kW-steps (kWh over the
length of a step), shape ``[session]``. Both meet ``min(need, sum of cap_kw)``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

__all__ = ["charge_now", "fill_valley"]

_MAX_ITERATIONS: Final = 80
_TOLERANCE: Final = 1e-12


def charge_now(cap_kw: np.ndarray, need: np.ndarray) -> np.ndarray:
    """Charge at the rating from plug-in until the need is met; ``[step, session]``, kW."""
    before = np.cumsum(cap_kw, axis=0) - cap_kw
    return np.asarray(np.clip(need - before, 0.0, cap_kw))


def fill_valley(
    cap_kw: np.ndarray, need: np.ndarray, load_kw: np.ndarray, share: np.ndarray
) -> np.ndarray:
    """Charge where the load is lowest, each session filling its part of the valley.

    Session ``i`` draws ``clip(share_i x (level_i - load), 0, cap)`` with the level that meets its
    need. Sessions of one batch with equal stays and shares in proportion to their needs together
    lift the load to one common level: none of them herds into the cheapest step.

    Parameters
    ----------
    cap_kw
        Highest mean power by step, ``[step, session]``, kW.
    need
        Energy to be met, ``[session]``, kW-steps.
    load_kw
        Load that the session sees, ``[step, session]``, kW.
    share
        Share of the batch, ``[session]``, above 0 to 1.

    Returns
    -------
    numpy.ndarray
        Mean power by step, ``[step, session]``, kW.
    """
    if cap_kw.size == 0:
        return np.zeros_like(cap_kw)
    scaled = share * load_kw
    level = _levels(cap_kw, need, scaled)
    return np.asarray(np.clip(level - scaled, 0.0, cap_kw))


def _levels(cap_kw: np.ndarray, need: np.ndarray, scaled: np.ndarray) -> np.ndarray:
    """Return the level at which ``sum(clip(level - scaled, 0, cap))`` meets each need.

    Newton on a piecewise linear function, bisection where that leaves the bracket. A session's
    level does not depend on the other sessions of the batch or on the length of the matrix.
    """
    plugged = cap_kw > 0
    low = np.where(plugged, scaled, np.inf).min(axis=0)
    high = np.where(plugged, scaled + cap_kw, -np.inf).max(axis=0)
    level = high.copy()
    left = np.flatnonzero(need < _sum_steps(cap_kw))  # sessions still to be solved
    low, high, need = low[left], high[left], need[left]
    scaled, cap_kw = scaled.take(left, axis=1), cap_kw.take(left, axis=1)
    trial = 0.5 * (low + high)
    for _ in range(_MAX_ITERATIONS):
        power = trial - scaled
        np.minimum(power, cap_kw, out=power)
        np.maximum(power, 0.0, out=power)
        missing = need - _sum_steps(power)
        level[left] = trial
        going = np.abs(missing) > _TOLERANCE * need
        if not going.any():
            break
        slope = ((power > 0) & (power < cap_kw)).sum(axis=0)
        low = np.where(missing > 0, trial, low)
        high = np.where(missing > 0, high, trial)
        newton = trial + missing / np.maximum(slope, 1)
        inside = (slope > 0) & (newton > low) & (newton < high)
        trial = np.where(inside, newton, 0.5 * (low + high))
        if not going.all():
            left, low, high, need, trial = (
                values[going] for values in (left, low, high, need, trial)
            )
            scaled, cap_kw = scaled.compress(going, axis=1), cap_kw.compress(going, axis=1)
    return np.asarray(level)


def _sum_steps(values: np.ndarray) -> np.ndarray:
    """Return the sum over steps, added in the same order whatever the number of columns."""
    return np.asarray(values.cumsum(axis=0)[-1] if values.shape[1] == 1 else values.sum(axis=0))
