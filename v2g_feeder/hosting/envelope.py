"""Operating envelopes: how much each connection point of a fleet may export and import at once.

The envelope of a step is a box: every point may be anywhere between its export and its import
limit, whatever the others do. It is sought at the box's vertices (groups of points by phase, each
group at a limit or at rest) and then tried at random points inside, since a box whose vertices pass
is not for that reason alone safe. See Petrou et al., "Ensuring distribution network integrity using
dynamic operating limits for prosumers", IEEE Trans. Smart Grid 12 (2021), for equal and
proportional shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from v2g_feeder.errors import InputError, Problem
from v2g_feeder.hosting.base import SEARCH_TOLERANCE
from v2g_feeder.hosting.bounds import Bounds, parts_of
from v2g_feeder.hosting.candidates import terminals
from v2g_feeder.hosting.hunt import INVALID
from v2g_feeder.hosting.judged import bounded_day, judge
from v2g_feeder.powerflow.rows import WIDTH

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from v2g_feeder.hosting.base import BaseState, FeederInConditions
    from v2g_feeder.hosting.bounds import Part
    from v2g_feeder.screening import Limits

__all__ = ["INNER", "Envelope", "EnvelopeFound", "EnvelopeSearch", "Vertices", "vertices"]

EXPORT, IMPORT = 0, 1
INNER: Final = "inner point"
"""The ``vertex`` of a limit that a point inside the box met."""
_STREAM: Final = 7  # random numbers of its own; the others are in loadshape.season and study
_ROUNDS: Final = 8  # cuts by points inside, after which nothing is allowed
_KEPT: Final = 8  # failing points inside that a cut is sought with


@dataclass(frozen=True)
class Envelope:
    """How operating envelopes are sought.

    Parameters
    ----------
    allocation
        ``equal``: the same kW at every point, as far as its rating goes; ``proportional``: the same
        share of every rating.
    tolerance_share
        The size that fails is at most this above the one that passes, as a share of the rating (of
        the largest rating for ``equal``).
    inner_points
        Random points inside each box that must pass: half of them anywhere in it, half at corners
        of it, each connection point at one of its limits. 0 leaves a box untried inside.
    """

    allocation: str = "equal"
    tolerance_share: float = 0.01
    inner_points: int = 1000

    def __post_init__(self) -> None:
        checks = {
            "allocation": self.allocation in ("equal", "proportional"),
            "tolerance_share": 0 < self.tolerance_share < 1,
            "inner_points": self.inner_points >= 0,
        }
        problems = [
            Problem(f"hosting.envelope.{name}", f"{getattr(self, name)!r} is not possible")
            for name, fine in checks.items()
            if not fine
        ]
        if problems:
            raise InputError(problems)

    def sized(self, share: float, rating_kw: np.ndarray) -> np.ndarray:
        """Return the kW of each point at a share of the way to all ratings, ``[point]``."""
        if self.allocation == "proportional":
            return share * rating_kw
        return np.asarray(np.minimum(share * rating_kw.max(initial=0.0), rating_kw))


class Vertices(NamedTuple):
    """Vertices of a box that are solved.

    Parameters
    ----------
    signs
        -1 at the export limit, 1 at the import limit, 0 at rest, ``[vertex, point]``.
    names
        Such as ``A exports, B C import``.
    """

    signs: np.ndarray
    names: tuple[str, ...]


def vertices(points: pd.DataFrame) -> Vertices:
    """Return the vertices of a fleet's box: by phase, all at a limit, or one phase alone.

    Points are grouped by their phases (``A``, ``AB``, ``ABC``). The vertices are every way for the
    groups to be at either limit (among them all export, all import, and one phase exporting while
    the others charge), and each group alone at a limit with the others at rest.

    Parameters
    ----------
    points
        With ``phase``.
    """
    phase = points["phase"].astype(str)
    groups = sorted(set(phase))
    number = np.array([groups.index(one) for one in phase], int)
    ways = list(product((-1, 1), repeat=len(groups)))
    for group in range(len(groups)):
        for sign in (-1, 1):
            alone = [0] * len(groups)
            alone[group] = sign
            ways.append(tuple(alone))
    ways = list(dict.fromkeys(ways))
    signs = np.array(ways, float).reshape(len(ways), -1)[:, number]
    return Vertices(signs, tuple(_named(groups, way) for way in ways))


def _named(groups: Sequence[str], way: Sequence[int]) -> str:
    """Return a vertex in words."""
    words = {-1: "export", 1: "import"}
    if len(set(way)) == 1:
        return f"all {words[way[0]]}"
    found = []
    for sign, verb in words.items():
        mine = [group for group, one in zip(groups, way, strict=True) if one == sign]
        if mine:
            found.append(f"{' '.join(mine)} {verb}{'s' if len(mine) == 1 else ''}")
    return ", ".join(found) + ("" if 0 not in way else " alone")


@dataclass(frozen=True)
class EnvelopeFound:
    """Envelopes of some steps; directions are export, import.

    Parameters
    ----------
    kw, fails_at_kw
        Limits that pass together, and those a tolerance above, with which a vertex fails; infinite
        where no limit was met up to the ratings, both NaN where the step without chargers could not
        be screened, ``[step, point, direction]``.
    place
        Number of the limiting place; -1 for a vertex without a solution, or where none fails,
        ``[step, direction]``.
    vertex
        Number of the failing vertex; that of the first after them for a point inside,
        ``[step, direction]``.
    already
        Whether the step breaks the limit of that place without chargers, ``[step, direction]``.
    beyond
        Whether a larger size that was solved passes again, ``[step, direction]``.
    cuts
        How often points inside that failed made the box smaller, ``[step]``.
    broken
        Whether the step breaks a limit at the point's own bus without chargers, ``[step, point]``.
    solves
        Power flows, ``[step]``.
    """

    kw: np.ndarray
    fails_at_kw: np.ndarray
    place: np.ndarray
    vertex: np.ndarray
    already: np.ndarray
    beyond: np.ndarray
    cuts: np.ndarray
    broken: np.ndarray
    solves: np.ndarray


class _Largest(NamedTuple):
    """The largest share that passes, one above that fails, where, and whether more passes again."""

    low: float
    high: float
    place: int
    vertex: int
    beyond: bool


class EnvelopeSearch:
    """Seeks the envelopes of a fleet on a feeder under its conditions.

    Parameters
    ----------
    grid
        The feeder on its own matrix.
    points
        Connection points of the fleet.
    rating_kw
        Of the chargers at each point, export and import, magnitudes, ``[point, 2]``.
    limits
        What must not break.
    settings
        How.
    seed
        Of the random points inside.
    """

    def __init__(
        self,
        grid: FeederInConditions,
        points: pd.DataFrame,
        rating_kw: np.ndarray,
        limits: Limits,
        settings: Envelope,
        *,
        seed: int = 1,
    ) -> None:
        self.grid, self.points, self.limits, self.settings = grid, points, limits, settings
        self.rating_kw, self._seed = np.asarray(rating_kw, float), seed
        self.vertices = vertices(points)
        ends = terminals(points, grid.feeder, grid.solver.place)
        used = ends.watts > 0
        self._point = np.nonzero(used)[0]
        self._watts = ends.watts[used]
        self._bench = grid.solver.bench(int(used.sum()))
        spots = self._bench.work.spots
        for name in ("one", "other", "volts"):
            getattr(spots, name)[:] = getattr(ends, name)[used][:, None]
        self._solves = 0

    def parts(self, season: str) -> tuple[Part, ...]:
        """Return the criteria of a season."""
        return parts_of(self.grid.probe.observed, self.limits, season)

    def day(self, first_step: int, season: str = "") -> EnvelopeFound:
        """Seek the envelopes of the steps of a day.

        Parameters
        ----------
        first_step
            Step of the calendar at which the day begins.
        season
            Picks the ratings of lines.
        """
        day = bounded_day(self.grid, self.limits, first_step, season)
        steps = [self.step(state, bounds) for state, bounds in day]
        names = EnvelopeFound.__dataclass_fields__
        return EnvelopeFound(
            **{name: np.array([getattr(one, name) for one in steps]) for name in names}
        )

    def step(self, base: BaseState, bounds: Bounds) -> EnvelopeFound:
        """Seek the envelope of one step; arrays as of :class:`EnvelopeFound` without the step.

        Parameters
        ----------
        base
            The step without chargers.
        bounds
            What binds there.
        """
        self._solves, count = 0, len(self.points)
        if not base.valid:
            nothing, nowhere = np.full((count, 2), np.nan), np.full(2, INVALID)
            none, zero = np.zeros(2, bool), np.array(0)
            return EnvelopeFound(
                nothing, nothing, nowhere, nowhere, none, none, zero, np.zeros(count, bool), zero
            )
        self.grid.solver.tolerance = SEARCH_TOLERANCE
        self.grid.put(self._bench, base.step)
        signs = self.vertices.signs
        pure = [np.flatnonzero((signs * way >= 0).all(axis=1)) for way in (-1, 1)]
        found = [
            self._largest(base, bounds, signs[mine], mine, np.eye(2)[way])
            for way, mine in enumerate(pure)
        ]
        mixed = np.setdiff1d(np.arange(len(signs)), np.concatenate(pure))
        together = self._largest(base, bounds, signs[mixed], mixed, _lows(found))
        found = _cut(found, together)
        found, cuts = self._inside(base, bounds, found)
        return self._answer(bounds, found, cuts)

    def kw(self, units: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Return signed kW of states, ``[state, point]``.

        Parameters
        ----------
        units
            Where in the box of the ratings, -1 (export limit) to 1 (import limit),
            ``[state, point]``.
        shares
            Size of the box, export and import, ``[2]`` or ``[state, 2]``.
        """
        shares = np.broadcast_to(shares, (len(units), 2))
        limits = np.array(
            [[self.settings.sized(one, self.rating_kw[:, way]) for way, one in enumerate(state)]
             for state in shares]
        ).reshape(len(units), 2, -1)  # fmt: skip
        return np.asarray(np.where(units < 0, units * limits[:, 0], units * limits[:, 1]))

    def judge(
        self, base: BaseState, bounds: Bounds, kw: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Solve states of signed kW, ``[state, point]``; return rise and place, ``[state]``.

        The rise of a state without a solution is infinite and its place -1.
        """
        rise, place = np.zeros(len(kw)), np.zeros(len(kw), int)
        work = self._bench.work
        floor = self.limits.head_unbalance_floor_a
        for first in range(0, len(kw), WIDTH):
            some = kw[first : first + WIDTH]
            count = len(some)
            work.re[:], work.im[:] = base.re[:, None], base.im[:, None]
            work.spots.watts[:] = 0.0
            work.spots.watts[:, :count] = (some[:, self._point] * self._watts).T
            idle = np.arange(WIDTH) >= count
            one = judge(self.grid, self._bench, base, bounds, floor, idle)
            rise[first : first + count] = np.where(one.valid, one.rise, np.inf)[:count]
            place[first : first + count] = np.where(one.valid, one.place, INVALID)[:count]
            self._solves += int(one.solves.sum())
        return rise, place

    def _largest(
        self,
        base: BaseState,
        bounds: Bounds,
        units: np.ndarray,
        names: np.ndarray,
        whole: np.ndarray,
    ) -> _Largest:
        """Return the largest share of ``whole`` at which all of ``units`` pass.

        Sizes are tried as many at a time as fit a block: first evenly up to 1, then inside the
        bracket; the lowest that fails counts.
        """
        low, high, place, vertex, beyond = 0.0, np.inf, INVALID, INVALID, False
        if not len(units) or not whole.any():
            return _Largest(1.0, high, place, vertex, beyond)
        at_once = max(1, min(4, WIDTH // len(units)))
        sizes = np.arange(1, at_once + 1) / at_once
        tolerance = self.settings.tolerance_share / whole.max()
        while True:
            shares = np.repeat(sizes[:, None] * whole, len(units), axis=0)
            rise, where = self.judge(base, bounds, self.kw(np.tile(units, (at_once, 1)), shares))
            rise, where = rise.reshape(at_once, -1), where.reshape(at_once, -1)
            fails = np.asarray((rise > 1.0).any(axis=1))
            if fails.any():
                first = int(fails.argmax())
                beyond |= bool((~fails[first:]).any())
                worst = int(rise[first].argmax())
                high, place = float(sizes[first]), int(where[first, worst])
                vertex = int(names[worst])
                low = float(sizes[first - 1]) if first else low
            else:
                low = float(sizes[-1])
            if low >= 1.0 or high - low <= tolerance * (1 + 1e-9):
                return _Largest(low, high, place, vertex, beyond)
            top = min(high, 1.0)
            sizes = low + (top - low) * np.arange(1, at_once + 1) / (at_once + 1)

    def _inside(
        self, base: BaseState, bounds: Bounds, found: list[_Largest]
    ) -> tuple[list[_Largest], int]:
        """Cut a box until random points inside it pass, and all vertices; return how often."""
        units = np.concatenate([self.vertices.signs, self._random()])
        names = np.minimum(np.arange(len(units)), len(self.vertices.names))
        for cuts in range(_ROUNDS):
            shares = _lows(found)
            rise, _ = self.judge(base, bounds, self.kw(units, shares))
            bad = np.argsort(-rise, kind="stable")[: min(_KEPT, int((rise > 1.0).sum()))]
            if not len(bad):
                return found, cuts
            found = _cut(found, self._largest(base, bounds, units[bad], names[bad], shares))
        nothing = _Largest(0.0, found[0].high, found[0].place, found[0].vertex, beyond=True)
        return [nothing, nothing._replace(high=found[1].high)], _ROUNDS

    def _random(self) -> np.ndarray:
        """Return random points of the unit box, the same ones at every step."""
        rng = np.random.default_rng([self._seed, _STREAM])
        shape = (self.settings.inner_points, len(self.points))
        units = rng.uniform(-1.0, 1.0, shape)
        units[1::2] = np.where(units[1::2] < 0, -1.0, 1.0)
        return units

    def _answer(self, bounds: Bounds, found: list[_Largest], cuts: int) -> EnvelopeFound:
        """Return what was found for a step, in kW."""
        sized, rating = self.settings.sized, self.rating_kw
        place = np.array([one.place for one in found])
        already = np.zeros(2, bool)
        known = place >= 0
        already[known] = bounds.already[place[known]]
        return EnvelopeFound(
            kw=np.stack([sized(one.low, rating[:, way]) for way, one in enumerate(found)], axis=1),
            fails_at_kw=np.stack(
                [
                    sized(one.high, rating[:, way])
                    if np.isfinite(one.high)
                    else np.full(len(rating), np.inf)
                    for way, one in enumerate(found)
                ],
                axis=1,
            ),
            place=place,
            vertex=np.array([one.vertex for one in found]),
            already=already,
            beyond=np.array([one.beyond for one in found]),
            cuts=np.array(cuts),
            broken=self.points["bus"].isin(bounds.broken_buses).to_numpy(),
            solves=np.array(self._solves),
        )


def _lows(found: Sequence[_Largest]) -> np.ndarray:
    """Return the size of the box, export and import."""
    return np.array([one.low for one in found])


def _cut(found: Sequence[_Largest], share: _Largest) -> list[_Largest]:
    """Return both directions made smaller by one share, where less than all of it passes."""
    if not np.isfinite(share.high):
        return list(found)
    return [
        share._replace(low=one.low * share.low, high=one.low * share.high) if one.low else one
        for one in found
    ]
