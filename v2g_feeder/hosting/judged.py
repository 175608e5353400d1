"""States of a block solved and held against the limits: validity, largest rise, and its place."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

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

_HOPELESS: Final = 4.0  # of an allowed loading: three for the voltage, the rest for other loads


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
    done
        Whether it was solved; the other fields of one whose controls are still moving say nothing.
    hopeless
        Whether no larger size can pass: this has no solution, or some place is loaded to four times
        what it may be. A charger's current is its power over a voltage that in valid solutions is
        0.5 to 1.5 of its rating, so that a larger size draws a third of it at least.
    """

    valid: np.ndarray
    rise: np.ndarray
    place: np.ndarray
    solves: np.ndarray
    done: np.ndarray
    hopeless: np.ndarray


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
    going: np.ndarray | None = None,
    enough: int = WIDTH,
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
    going
        States that go on from where an earlier call left them, ``[state]``; default none.
    enough
        Number of states that are waited for.
    """
    hour = np.full(WIDTH, base.hour)
    watts = bench.work.spots.watts.copy()
    settles = grid.conditions.settles
    begun = ~idle if going is None else ~idle & ~going
    grid.stand(bench, base, begun)
    grid.solver.begin(bench, begun)
    done = grid.solver.advance(bench, ~idle, settle=settles, hour=hour, enough=enough)
    exporting = done & (watts < 0).any(axis=0)
    drawing = exporting & (watts > 0).any(axis=0)
    gauge = grid.solver.gauge(bench)
    values = read_values(grid.solver, bench, gauge, bounds.sources, floor_a)
    valid = gauge.reason <= Reason.FLAGGED
    solves = done.astype(np.int64)
    hopeless = bench.work.status != CONVERGED
    if settles:  # else there is no scan to end
        hopeless |= bounds.overload(values) > _HOPELESS
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
    return Judged(valid, rise, place, solves, done, hopeless)


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
        grid.stand(bench, base, moves)
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
