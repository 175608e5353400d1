"""States of a block solved and held against the limits: validity, largest rise, and its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from v2g_feeder.hosting.bounds import Bounds, parts_of, read_values
from v2g_feeder.powerflow.mixing import CONVERGED
from v2g_feeder.powerflow.rows import WIDTH
from v2g_feeder.powerflow.solution import Reason

if TYPE_CHECKING:
    from v2g_feeder.hosting.base import BaseState, FeederInConditions
    from v2g_feeder.powerflow.batch import Bench
    from v2g_feeder.screening import Limits

__all__ = ["Judged", "bounded_day", "judge"]


class Judged(NamedTuple):
    """What became of the states of a block, each ``[state]``.

    Parameters
    ----------
    valid
        Whether the solution may be screened.
    rise
        Largest rise: above 1 a limit is broken.
    place
        Number of its place among those of :func:`.bounds.parts_of`; -1 if nothing rises.
    solves
        Power flows that it took.
    """

    valid: np.ndarray
    rise: np.ndarray
    place: np.ndarray
    solves: np.ndarray


def bounded_day(
    grid: FeederInConditions, limits: Limits, first_step: int, season: str
) -> list[tuple[BaseState, Bounds]]:
    """Return the steps of a day without chargers, and what binds at each.

    Parameters
    ----------
    grid
        The feeder under its conditions.
    limits
        What must not break.
    first_step
        Step of the calendar at which the day begins.
    season
        Picks the ratings of lines.
    """
    parts = parts_of(grid.probe.observed, limits, season)
    wanted = sorted({part.source for part in parts})
    states = grid.day(first_step, wanted, limits.head_unbalance_floor_a)
    return [(state, Bounds(parts, state.values)) for state in states]


def judge(
    grid: FeederInConditions,
    bench: Bench,
    base: BaseState,
    bounds: Bounds,
    floor_a: float,
    idle: np.ndarray,
) -> Judged:
    """Solve the spots of a bench from a base state, lose all export, and compare with the limits.

    Parameters
    ----------
    grid
        The feeder under its conditions.
    bench
        With the step's base load, spots and voltages to begin from.
    base, bounds
        The step without chargers, and what binds there.
    floor_a
        Mean current from which the head's unbalance counts in full, A.
    idle
        States to leave alone, ``[state]``.
    """
    hour = np.full(WIDTH, base.hour)
    watts = bench.work.spots.watts
    exporting = ~idle & (watts < 0).any(axis=0)
    drawing = exporting & (watts > 0).any(axis=0)
    settles = grid.conditions.settles
    grid.stand(bench, base)
    grid.solver.solve(bench, settle=settles, hour=hour, idle=idle)
    gauge = grid.solver.gauge(bench)
    values = read_values(grid.solver, bench, gauge, bounds.sources, floor_a)
    valid = gauge.reason <= Reason.FLAGGED
    solves, after = (~idle).astype(np.int64), None
    if (settles and exporting.any()) or drawing.any():  # else what is left is the base state
        after = _lost(grid, bench, gauge.v_pu, ~exporting | ~valid, hour)
        valid &= np.isfinite(after).all(axis=0)
        solves += exporting
    rise, place = bounds.worst(values, after, exporting)
    return Judged(valid, rise, place, solves)


def _lost(
    grid: FeederInConditions, bench: Bench, v_pu: np.ndarray, still: np.ndarray, hour: np.ndarray
) -> np.ndarray:
    """Return the voltages after all export is lost, taps as they are, ``[node, state]``."""
    work = bench.work
    held = (work.re.copy(), work.im.copy(), work.spots.watts.copy(), work.status.copy())
    np.maximum(work.spots.watts, 0.0, out=work.spots.watts)
    grid.solver.solve(bench, settle=False, hour=hour, idle=still)
    after = grid.solver.voltages(bench)
    after[:, ~still & (work.status != CONVERGED)] = np.nan
    after[:, still] = np.where(np.isfinite(v_pu[:, still]), v_pu[:, still], 0.0)
    work.re[:], work.im[:], work.spots.watts[:], work.status[:] = held
    return after
