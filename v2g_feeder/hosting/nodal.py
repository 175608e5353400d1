"""Nodal hourly capacity: the largest export and import of each connection at each step.

For every (connection, direction) of a step a size is found that was solved and passes every limit,
and one at most a tolerance above that was solved and fails. The first size is the last step's
answer, or a small one; then each solved size says, by the rise of the value that comes nearest to
its limit, where the limit is to be looked for: a secant on the full power flow. Searches fill the
states of a block; one that ends makes room for the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.conventions import Direction
from v2g_feeder.errors import InputError, Problem
from v2g_feeder.hosting.base import SEARCH_TOLERANCE
from v2g_feeder.hosting.bounds import Bounds, parts_of
from v2g_feeder.hosting.candidates import SLOTS, Terminals, terminals
from v2g_feeder.hosting.events import NO_EVENT, EventSteps
from v2g_feeder.hosting.hunt import INVALID, Rules
from v2g_feeder.hosting.judged import bounded_day, judge
from v2g_feeder.hosting.lanes import Lanes, lanes, load, turn
from v2g_feeder.powerflow.rows import WIDTH

if TYPE_CHECKING:
    import pandas as pd

    from v2g_feeder.hosting.base import BaseState, FeederInConditions
    from v2g_feeder.hosting.bounds import Part
    from v2g_feeder.screening import Limits

__all__ = ["DIRECTIONS", "Found", "Nodal", "Search"]

DIRECTIONS: Final = (Direction.EXPORT, Direction.IMPORT)
_FIRST_SHARE: Final = 0.01  # of the maximum: the size from which a search without a guess begins
_MOST: Final = 60
_ENOUGH: Final = 5  # states at rest for which a block is read: reading costs a third of a round
_ANSWERS: Final = ("kw", "fails_at_kw", "place", "beyond_kw", "solves")


@dataclass(frozen=True)
class Search:
    """How far and how closely capacity is searched.

    Parameters
    ----------
    maximum_kw
        Largest size tried; a search that meets no limit up to it is censored.
    tolerance_kw, tolerance_share
        The size that fails is at most the larger of the two above the size that passes.
    scan
        Evenly spaced sizes solved for each search beforehand, up to the first that has no
        solution, so that a limit met and passed again below the answer is seen; ``None``: 5 with
        free regulators, whose moves make steps, else none.
    events
        Ends of an event whose sudden changes limit export, beside that of all export being lost.
    """

    maximum_kw: float = 5000.0
    tolerance_kw: float = 1.0
    tolerance_share: float = 0.01
    scan: int | None = None
    events: EventSteps = NO_EVENT

    def __post_init__(self) -> None:
        checks = {
            "maximum_kw": self.maximum_kw > 0,
            "tolerance_kw": self.tolerance_kw > 0,
            "tolerance_share": 0 <= self.tolerance_share < 1,
            "scan": self.scan is None or self.scan >= 0,
        }
        problems = [
            Problem(f"hosting.{name}", f"{getattr(self, name)} is not possible")
            for name, fine in checks.items()
            if not (fine and np.isfinite(getattr(self, name) or 0))
        ]
        if problems:
            raise InputError(problems)

    def rules(self, *, settles: bool) -> Rules:
        """Return the rules of the search."""
        scan = self.scan if self.scan is not None else 5 if settles else 0
        tolerance = (self.tolerance_kw, self.tolerance_share)
        return Rules(self.maximum_kw, *tolerance, scan, _MOST, settles)


@dataclass(frozen=True)
class Found:
    """Answers of some steps, ``[step, candidate, direction]`` (export, import).

    Parameters
    ----------
    kw, fails_at_kw
        Size that passes, and the one above it that fails: infinite where none did, both NaN where
        the base state could not be screened.
    place
        Number of the limiting place among those of :func:`.bounds.parts_of`; -1 where the failing
        size could not be solved, or none fails.
    already
        Whether the base state breaks the limit of that place, or one at the candidate's own bus.
    beyond_kw
        Largest size that passes anywhere: above ``fails_at_kw`` capacity is not monotone.
    solves
        Power flows that it took.
    """

    kw: np.ndarray
    fails_at_kw: np.ndarray
    place: np.ndarray
    already: np.ndarray
    beyond_kw: np.ndarray
    solves: np.ndarray


class Nodal:
    """A search over a feeder under its conditions.

    Parameters
    ----------
    grid
        The feeder on its own matrix.
    points
        Candidates, from :func:`~v2g_feeder.hosting.candidates.candidates`.
    limits
        What must not break.
    search
        How far, how closely.
    """

    def __init__(
        self, grid: FeederInConditions, points: pd.DataFrame, limits: Limits, search: Search
    ) -> None:
        self.grid, self.points, self.limits, self.search = grid, points, limits, search
        self._rules = search.rules(settles=grid.conditions.settles)
        self._ends: Terminals = terminals(points, grid.feeder, grid.solver.place)
        self._bench = grid.solver.bench(SLOTS)
        self._order = self._turns()

    def _turns(self) -> np.ndarray:
        """Return the pairs in the order of their turns: with a scan, the weakest places first.

        Large sizes have no solution there; which of a block's states have none decides its time.
        """
        pairs = np.arange(2 * len(self.points))
        if not self._rules.scan:
            return pairs
        far = self.grid.feeder.buses["impedance_pu"].reindex(self.points["bus"]).to_numpy(float)
        weak = np.nan_to_num(far) / self.points["connection"].str.len().to_numpy()
        return pairs[np.lexsort((-np.repeat(weak, 2), pairs % 2))]

    def parts(self, season: str) -> tuple[Part, ...]:
        """Return the criteria of a season."""
        return parts_of(self.grid.probe.observed, self.limits, season, self.search.events)

    def day(self, first_step: int, season: str = "") -> Found:
        """Search all candidates in both directions at the steps of a day.

        Parameters
        ----------
        first_step
            Step of the calendar at which the day begins.
        season
            Picks the ratings of lines.
        """
        guess = np.full((len(self.points), 2), _FIRST_SHARE * self.search.maximum_kw)
        steps: list[Found] = []
        before = np.zeros(0)
        days = bounded_day(self.grid, self.limits, first_step, season, self.search.events)
        for state, bounds in days:
            if steps:
                guess = _next_guess(guess, steps[-1], before, bounds.room)
            before = bounds.room
            steps.append(self.step(state, bounds, guess))
        names = Found.__dataclass_fields__
        return Found(**{name: np.array([getattr(one, name) for one in steps]) for name in names})

    def step(self, base: BaseState, bounds: Bounds, guess: np.ndarray) -> Found:
        """Search all candidates at one step, ``[candidate, direction]``.

        Parameters
        ----------
        base
            The step without a charger.
        bounds
            What binds there.
        guess
            Where limits are expected, kW, ``[candidate, direction]``; on return where they were
            found.
        """
        shape = guess.shape
        found = Found(
            np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, INVALID),
            np.zeros(shape, bool), np.zeros(shape), np.zeros(shape, int),
        )  # fmt: skip
        if not base.valid:
            return found
        self.grid.solver.tolerance = SEARCH_TOLERANCE
        self.grid.put(self._bench, base.step)
        work = self._bench.work
        work.spots.watts[:] = 0.0
        block = lanes(self._ends, guess, self._order, self._rules.scan)
        work.re[:], work.im[:] = base.re[:, None], base.im[:, None]
        for state in range(WIDTH):
            load(block, state, self._rules, work)
        while (block.pair >= 0).any():
            self._solve(base, bounds, block)
            turn(block, self._rules, work, (base.re, base.im))
        hunt = block.hunt
        answers = (hunt.low, hunt.high, hunt.place, hunt.beyond, block.solves)
        for name, values in zip(_ANSWERS, answers, strict=True):
            getattr(found, name)[:] = values.reshape(shape)
        guess[:] = block.guess.reshape(shape)
        self._mark(found, bounds)
        return found

    def _solve(self, base: BaseState, bounds: Bounds, block: Lanes) -> None:
        """Solve the sizes of a block, and note rise, place and validity of each, and the cost."""
        floor = self.limits.head_unbalance_floor_a
        found = judge(
            self.grid, self._bench, base, bounds, floor, block.pair < 0,
            events=self.search.events, going=block.going, enough=_ENOUGH,
        )  # fmt: skip
        block.valid[:], block.rise[:], block.limiting[:] = found.valid, found.rise, found.place
        block.solves_now[:], block.hopeless[:] = found.solves, found.hopeless
        block.going[:] = (block.pair >= 0) & ~found.done

    def _mark(self, found: Found, bounds: Bounds) -> None:
        """Mark answers at places, and of buses, that break a limit without any charger."""
        known = found.place >= 0
        if bounds.already.any():
            found.already[known] = bounds.already[found.place[known]]
            found.already[self.points["bus"].isin(bounds.broken_buses).to_numpy()] = True


def _next_guess(aims: np.ndarray, last: Found, before: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Return where limits are expected at a step from where the last step's were.

    A value moves by as much a kW as it did an hour ago; what has changed is its room.

    Parameters
    ----------
    aims, last
        Of the last step, ``[candidate, direction]``.
    before, room
        Of the last step and of this, ``[place]``.
    """
    known = last.place >= 0
    share = np.ones(aims.shape)
    share[known] = room[last.place[known]] / before[last.place[known]]
    return aims * share
