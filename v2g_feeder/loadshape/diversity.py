"""Diversity: how the power per vehicle spreads with the size of the fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from v2g_feeder.dispatch import Dispatch

__all__ = ["diversity"]

_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_SAMPLES: Final = 200
_QUANTILES: Final = (0.05, 0.5, 0.95)


def diversity(
    dispatch: Dispatch, rng: np.random.Generator, *, samples: int = _SAMPLES
) -> pd.DataFrame:
    """Return the daily extremes per vehicle of groups of growing size.

    Groups are drawn without replacement from the fleet, each with a day of the second week of one
    draw. A size that is more than half the fleet is left out: its groups would be nearly the same.

    Parameters
    ----------
    dispatch
        Result of a policy.
    rng
        Draws groups and days.
    samples
        Groups a size.

    Returns
    -------
    pandas.DataFrame
        One row a size and direction (``import``: the group's highest power of the day, ``export``:
        its highest export): ``size, direction, p05, p50, p95``, magnitudes in kW per vehicle.
    """
    draws, vehicles, steps = dispatch.kw.shape
    a_day = round(24 / dispatch.step_hours)
    days = steps // a_day
    rows = []
    for size in [1, *(size for size in _SIZES[1:] if 2 * size <= vehicles)] if vehicles else []:
        highest = np.empty((2, samples))
        for number in range(samples):
            group = rng.choice(vehicles, size, replace=False)
            day = rng.integers(days // 2, days)
            part = dispatch.kw[rng.integers(draws)][group, day * a_day : (day + 1) * a_day]
            total = part.sum(axis=0) / size
            highest[:, number] = max(total.max(), 0.0), abs(min(total.min(), 0.0))
        for row, direction in enumerate(("import", "export")):
            low, middle, high = np.quantile(highest[row], _QUANTILES)
            rows.append(
                {"size": size, "direction": direction, "p05": low, "p50": middle, "p95": high}
            )
    return pd.DataFrame(rows)
