"""Operating envelopes solved again by plain OpenDSS: at the limits, and a tolerance above them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from v2g_feeder.conventions import Criterion, Direction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.hosting.base import BaseState
    from v2g_feeder.hosting.bounds import Part
    from v2g_feeder.hosting.envelope import EnvelopeFound, Vertices
    from v2g_feeder.hosting.recheck import Recheck

__all__ = ["CHECK_COLUMNS", "EnvelopeState", "check_envelope", "envelope_states"]

_WAYS = (Direction.EXPORT, Direction.IMPORT)
CHECK_COLUMNS = ("size", "vertex", "direction", "as_said", "same_place", "nearest")


class EnvelopeState(NamedTuple):
    """What OpenDSS is asked.

    Parameters
    ----------
    size
        ``limit``, which must pass, or ``above`` it, which must fail.
    vertex
        Number among the vertices.
    way
        Number of the direction whose limit is exceeded: 0 export, 1 import; -1 at the limits.
    kw
        Signed, ``[point]``.
    """

    size: str
    vertex: int
    way: int
    kw: np.ndarray


def envelope_states(found: EnvelopeFound, step: int, box: Vertices) -> list[EnvelopeState]:
    """Return every vertex at the limits of a step, and the one that fails a tolerance above them.

    A limit that a point inside the box set has no vertex to be exceeded at.

    Parameters
    ----------
    found
        Envelopes.
    step
        Position among its steps.
    box
        Vertices that they were sought at.
    """
    low, fails, vertex = found.kw[step], found.fails_at_kw[step], found.vertex[step]
    if np.isnan(low).any():
        return []
    states = [
        EnvelopeState("limit", number, -1, _at(units, low))
        for number, units in enumerate(box.signs)
    ]
    met = [bool(np.isfinite(fails[:, way]).all()) for way in range(2)]
    for way, other in ((0, 1), (1, 0)):
        if not met[way] or not 0 <= vertex[way] < len(box.signs):
            continue
        sizes = low.copy()
        sizes[:, way] = fails[:, way]
        if met[other] and vertex[other] == vertex[way]:  # limited together
            sizes[:, other] = fails[:, other]
        number = int(vertex[way])
        states.append(EnvelopeState("above", number, way, _at(box.signs[number], sizes)))
    return states


def _at(units: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return signed kW of points at their limits, ``[point]``; ``sizes`` ``[point, direction]``."""
    return np.where(units < 0, units * sizes[:, 0], np.where(units > 0, units * sizes[:, 1], 0.0))


def check_envelope(
    check: Recheck,
    found: EnvelopeFound,
    step: int,
    box: Vertices,
    base: tuple[BaseState, np.ndarray],
    parts: Sequence[Part],
) -> list[tuple[str, str, str, bool, bool, float]]:
    """Solve a step's states again; return rows of :data:`CHECK_COLUMNS`.

    ``as_said`` is whether a state at the limits passes and one above fails, ``same_place`` whether
    that which was named is what OpenDSS breaks, ``nearest`` the largest rise where it came out
    otherwise, NaN elsewhere.

    Parameters
    ----------
    check
        OpenDSS with a load at every point.
    found, step, box
        As of :func:`envelope_states`.
    base
        The step without chargers, and the place in elimination order of every node.
    parts
        The criteria whose places ``found`` numbers.
    """
    places = [(str(part.criterion), str(label)) for part in parts for label in part.labels]
    check.settle(*base)
    rows = []
    for state in envelope_states(found, step, box):
        outcome = check.outcome(state.kw, parts)
        if state.size == "limit":
            right, same, way = outcome.passes, True, ""
        else:
            place = int(found.place[step, state.way])
            named = places[place] if place >= 0 else (str(Criterion.INVALID), "")
            unsolved = place < 0 and not outcome.valid
            right, way = not outcome.passes, str(_WAYS[state.way])
            same = unsolved or named in outcome.broken
        nearest = float("nan") if right else outcome.nearest
        rows.append((state.size, box.names[state.vertex], way, right, same, nearest))
    return rows
