"""States of a block solved and held against the limits: validity, largest rise, and its place."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from v2g_feeder.hosting.bounds import Bounds, parts_of, read_values
from v2g_feeder.hosting.events import NO_EVENT
from v2g_feeder.powerflow.mixing import CONVERGED
from v2g_feeder.powerflow.rows import WIDTH
from v2g_feeder.powerflow.solution import Reason, SuddenKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from v2g_feeder.hosting.base import BaseState, FeederInConditions
    from v2g_feeder.hosting.events import EventSteps
    from v2g_feeder.powerflow.batch import Bench
    from v2g_feeder.powerflow.kernels import Work
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
    grid: FeederInConditions,
    limits: Limits,
    first_step: int,
    season: str,
    events: EventSteps = NO_EVENT,
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
    events
        Ends of an event that are looked at.
    """
    parts = parts_of(grid.probe.observed, limits, season, events)
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
    *,
    events: EventSteps = NO_EVENT,
) -> Judged:
    """Solve the spots of a bench from a base state, and what follows at once; compare with limits.

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
    events
        Ends of an event that are looked at; of states with one charger each.
    """
    hour = np.full(WIDTH, base.hour)
    watts = bench.work.spots.watts.copy()
    exporting = ~idle & (watts < 0).any(axis=0)
    drawing = exporting & (watts > 0).any(axis=0)
    settles = grid.conditions.settles
    grid.stand(bench, base)
    grid.solver.solve(bench, settle=settles, hour=hour, idle=idle)
    gauge = grid.solver.gauge(bench)
    values = read_values(grid.solver, bench, gauge, bounds.sources, floor_a)
    valid = gauge.reason <= Reason.FLAGGED
    solves = (~idle).astype(np.int64)
    moves, moved = exporting & valid, {}
    if (settles and exporting.any()) or drawing.any():  # else what is left is the base state
        with _kept(bench.work) as work:
            lost = _solved(grid, bench, np.maximum(work.spots.watts, 0.0), moves, hour)
        moved[SuddenKind.ALL_EXPORT_LOST] = gauge.v_pu - lost
        solves += exporting
    if moves.any() and {part.sudden for part in bounds.parts} & {*events.kinds[1:]}:
        with _kept(bench.work):
            changes, count = _events(grid, bench, base, (gauge.v_pu, watts), moves, hour, events)
        moved |= changes
        solves += count * exporting
    for change in moved.values():
        change[:, ~moves] = 0.0
        valid &= np.isfinite(change).all(axis=0)
    rise, place = bounds.worst(values, moved, exporting)
    return Judged(valid, rise, place, solves)


@contextmanager
def _kept(work: Work) -> Iterator[Work]:
    """Put voltages, powers and status back as they were."""
    held = (work.re.copy(), work.im.copy(), work.spots.watts.copy(), work.status.copy())
    yield work
    work.re[:], work.im[:], work.spots.watts[:], work.status[:] = held


def _events(
    grid: FeederInConditions,
    bench: Bench,
    base: BaseState,
    exports: tuple[np.ndarray, np.ndarray],
    moves: np.ndarray,
    hour: np.ndarray,
    events: EventSteps,
) -> tuple[dict[SuddenKind, np.ndarray], int]:
    """Return the changes of voltage at the ends of an event, and the power flows that they took.

    ``exports``: voltages of the solved bench and the watts asked for. Regulators that are locked
    stand alike before and after, so that both ends are the same two states.
    """
    v_pu, watts = exports
    charging = -events.charging_share * watts
    found, solves = {}, 0
    if events.end or not grid.conditions.settles:
        change = v_pu - _solved(grid, bench, charging, moves, hour)
        found, solves = dict.fromkeys(events.kinds[1:], change), 1
    if events.start and grid.conditions.settles:
        bench.work.re[:], bench.work.im[:] = base.re[:, None], base.im[:, None]
        grid.stand(bench, base)
        before = _solved(grid, bench, charging, moves, hour, settle=True)
        after = _solved(grid, bench, watts, moves, hour)
        found[SuddenKind.EVENT_START], solves = after - before, solves + 2
    return found, solves


def _solved(
    grid: FeederInConditions,
    bench: Bench,
    watts: np.ndarray,
    moves: np.ndarray,
    hour: np.ndarray,
    *,
    settle: bool = False,
) -> np.ndarray:
    """Return voltages with other powers of spots, ``[node, state]``; NaN where none were found."""
    bench.work.spots.watts[:] = watts
    grid.solver.solve(bench, settle=settle, hour=hour, idle=~moves)
    volts = grid.solver.voltages(bench)
    unfinished = (bench.work.status != CONVERGED) | ~bench.controls.settled | bench.off_curve
    volts[:, unfinished] = np.nan
    return volts
