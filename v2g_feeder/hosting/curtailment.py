"""The export that chargers lose to their own curves: the price of the capacity that these buy.

A charger on volt-watt (or on volt-var, whose vars leave less of its rating) meets a limit at a
larger size because it does not export that size when its voltage is high.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from v2g_feeder.hosting.base import SEARCH_TOLERANCE
from v2g_feeder.hosting.candidates import SLOTS, terminals
from v2g_feeder.powerflow.rows import WIDTH
from v2g_feeder.powerflow.solution import Reason

if TYPE_CHECKING:
    import pandas as pd

    from v2g_feeder.hosting.base import BaseState, FeederInConditions

__all__ = ["Curtailment"]


class Curtailment:
    """Chargers at candidates, one at a time, each asked to export its rating.

    Parameters
    ----------
    grid
        The feeder under its conditions, its chargers on their curves.
    points
        Candidates, from :func:`~v2g_feeder.hosting.candidates.candidates`.
    """

    def __init__(self, grid: FeederInConditions, points: pd.DataFrame) -> None:
        self._grid, self._bench = grid, grid.solver.bench(SLOTS)
        self._ends = terminals(points, grid.feeder, grid.solver.place)

    def day(self, first_step: int, rated_kw: np.ndarray) -> np.ndarray:
        """Return what is curtailed at the steps of a day, kW, ``[step, candidate]``.

        Parameters
        ----------
        first_step
            Step of the calendar at which the day begins.
        rated_kw
            Export rating and request of each charger, a magnitude, ``[candidate]``; NaN for one
            that is not asked for.

        Returns
        -------
        ndarray
            NaN where the step without the charger, or with it, has no valid solution.
        """
        states = self._grid.day(first_step, (), 0.0)
        self._grid.solver.tolerance = SEARCH_TOLERANCE
        return np.array([self._step(base, np.asarray(rated_kw, float)) for base in states])

    def _step(self, base: BaseState, rated_kw: np.ndarray) -> np.ndarray:
        """Return what is curtailed at a step, ``[candidate]``."""
        found = np.full(len(rated_kw), np.nan)
        if not base.valid:
            return found
        grid, bench, ends = self._grid, self._bench, self._ends
        grid.put(bench, base.step)
        work, spots = bench.work, bench.work.spots
        asked = np.flatnonzero(np.isfinite(rated_kw))
        for first in range(0, len(asked), WIDTH):
            mine = asked[first : first + WIDTH]
            count = len(mine)
            idle = np.arange(WIDTH) >= count
            work.re[:], work.im[:] = base.re[:, None], base.im[:, None]
            spots.watts[:] = 0.0
            for name in ("one", "other", "volts"):
                getattr(spots, name)[:, :count] = getattr(ends, name)[mine].T
            spots.watts[:, :count] = -(rated_kw[mine, None] * ends.watts[mine]).T
            grid.stand(bench, base)
            hour = np.full(WIDTH, base.hour)
            grid.solver.solve(bench, settle=grid.conditions.settles, hour=hour, idle=idle)
            valid = grid.solver.gauge(bench).reason <= Reason.FLAGGED
            found[mine] = np.where(valid, bench.curtailed_kw, np.nan)[:count]
        return found
