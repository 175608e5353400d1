"""Where capacity is asked for: buses and the phase connections that each can have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.loadshape import connection_points
from v2g_feeder.powerflow.loads import injections

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from v2g_feeder.conventions import Connection
    from v2g_feeder.feeder.model import Feeder

__all__ = ["DEFAULT", "OWN", "SLOTS", "Terminals", "candidates", "terminals"]

DEFAULT: Final = "default"
"""Each of a bus's phases, and all three together where it has them."""
OWN: Final = "own"
"""The widest connection of each bus alone."""
SLOTS: Final = 3
"""Load phases that a connection has at most."""


def candidates(
    feeder: Feeder,
    screened: Sequence[str],
    buses: Sequence[str] | None = None,
    connections: str | Sequence[str] = DEFAULT,
) -> pd.DataFrame:
    """Return the connection points at which capacity is searched, one at a time.

    Parameters
    ----------
    feeder
        With its secondaries, if any.
    screened
        Buses whose voltage is screened.
    buses
        Names; default every screened bus.
    connections
        :data:`DEFAULT` (phases and ``ABC``; on three-wire buses pairs and ``ABC``; ``split``),
        :data:`OWN`, or names of connections, taken at every bus that has them.

    Returns
    -------
    pandas.DataFrame
        ``bus, connection, kv, nodes, phases, delta, phase``, in the feeder's order of buses.

    Raises
    ------
    InputError
        For unknown or unscreened buses, and connections that no bus has.
    """
    known = list(dict.fromkeys(screened))
    if buses is not None:
        wanted = dict.fromkeys(str(bus).lower() for bus in buses)
        problems = [
            Problem("hosting.buses", f"no screened bus {bus!r}", nearest(bus, known))
            for bus in wanted
            if bus not in set(known)
        ]
        if problems:
            raise InputError(problems)
        known = list(wanted)
    sites = [(bus, one) for bus in known for one in _wanted(feeder, bus, connections)]
    if not sites:
        message = f"no bus has a connection of {connections}"
        raise InputError(Problem("hosting.connections", message))
    return connection_points(feeder, sites)


def _wanted(feeder: Feeder, bus: str, connections: str | Sequence[str]) -> list[Connection]:
    """Return the connections that are asked for at a bus."""
    have = feeder.connections(bus)
    if connections == OWN:
        return list(have[-1:])
    if connections == DEFAULT:
        single = [one for one in have if len(one) == 1]
        pairs = [] if single else [one for one in have if len(one) == 2]
        return [*single, *pairs, *(one for one in have if one in ("ABC", "split"))]
    return [one for one in have if one in connections]


class Terminals:
    """Load phases of candidates, as the slots of a block take them.

    Parameters
    ----------
    one, other
        Node pair in elimination order, ``[candidate, slot]``; both ground where a slot is empty.
    volts
        Rated voltage, V.
    watts
        Of each kW, W.
    """

    def __init__(
        self, one: np.ndarray, other: np.ndarray, volts: np.ndarray, watts: np.ndarray
    ) -> None:
        self.one, self.other, self.volts, self.watts = one, other, volts, watts


def terminals(points: pd.DataFrame, feeder: Feeder, place: np.ndarray) -> Terminals:
    """Return the slots of connection points, for nodes that stand by ``place``."""
    table = injections(points, feeder.node_index, 0)
    ground = len(place)
    at = np.append(place, ground)
    shape = (len(points), SLOTS)
    found = Terminals(
        np.full(shape, ground), np.full(shape, ground), np.ones(shape), np.zeros(shape)
    )
    filled = np.zeros(len(points), int)
    for k, row in enumerate(table.row.tolist()):
        slot = (row, filled[row])
        found.one[slot], found.other[slot] = at[table.one[k]], at[table.other[k]]
        found.volts[slot], found.watts[slot] = table.volts[k], table.watts[k]
        filled[row] += 1
    return found
