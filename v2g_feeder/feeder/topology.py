"""Direction, distance and wiring of a feeder, from its elements alone."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from v2g_feeder.conventions import Wiring

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Edge", "Tree", "Winding", "walk", "wiring_of"]


@dataclass(frozen=True)
class Edge:
    """A series element between two buses.

    Parameters
    ----------
    element
        Name.
    bus1, bus2
        Its ends.
    km
        Length; 0 for what has none.
    impedance_pu
        Positive-sequence impedance magnitude, per unit on 1 MVA.
    """

    element: str
    bus1: str
    bus2: str
    km: float
    impedance_pu: float


@dataclass(frozen=True)
class Tree:
    """What a walk from the source found.

    Parameters
    ----------
    order
        Buses in the order they were reached, the source first.
    parent
        Bus and element towards the source, by bus; the source has none.
    km, impedance_pu
        Length and impedance from the source, by bus.
    """

    order: tuple[str, ...]
    parent: Mapping[str, tuple[str, str]]
    km: Mapping[str, float]
    impedance_pu: Mapping[str, float]

    def downstream(self, bus: str) -> frozenset[str]:
        """Return ``bus`` and every bus that the walk reached through it."""
        found = {bus}
        for candidate in self.order:
            link = self.parent.get(candidate)
            if link and link[0] in found:
                found.add(candidate)
        return frozenset(found)


def walk(source: str, edges: Iterable[Edge]) -> Tree:
    """Walk breadth-first from the source bus.

    In a meshed part the first path (fewest elements) gives parent and distance.
    """
    neighbours: dict[str, list[tuple[str, Edge]]] = {}
    for edge in edges:
        neighbours.setdefault(edge.bus1, []).append((edge.bus2, edge))
        neighbours.setdefault(edge.bus2, []).append((edge.bus1, edge))
    order, parent = [source], {}
    km, impedance = {source: 0.0}, {source: 0.0}
    queue = deque(order)
    while queue:
        bus = queue.popleft()
        for other, edge in neighbours.get(bus, ()):
            if other not in km:
                parent[other] = (bus, edge.element)
                km[other] = km[bus] + edge.km
                impedance[other] = impedance[bus] + edge.impedance_pu
                order.append(other)
                queue.append(other)
    return Tree(tuple(order), parent, km, impedance)


@dataclass(frozen=True)
class Winding:
    """A transformer winding or source: its bus, whether it ties the bus to ground, centre tap.

    Parameters
    ----------
    bus
        Where it stands.
    grounded
        Whether it gives the bus a neutral (wye to ground, or single phase to ground).
    centre_tapped
        Whether it is half of a 120/240 V winding pair.
    """

    bus: str
    grounded: bool
    centre_tapped: bool = False


def wiring_of(
    buses: Sequence[str], galvanic: Iterable[tuple[str, str]], windings: Iterable[Winding]
) -> dict[str, Wiring]:
    """Return how service voltages are taken at each bus.

    Buses that lines join share a neutral or its absence. Such a group is split phase where a
    centre-tapped winding feeds it, four-wire where any winding or source ties it to ground, and
    three-wire otherwise.
    """
    root = {bus: bus for bus in buses}

    def find(bus: str) -> str:
        while root[bus] != bus:
            root[bus] = root[root[bus]]
            bus = root[bus]
        return bus

    for one, other in galvanic:
        root[find(one)] = find(other)
    grounded, tapped = set(), set()
    for winding in windings:
        group = find(winding.bus)
        if winding.centre_tapped:
            tapped.add(group)
        elif winding.grounded:
            grounded.add(group)
    return {
        bus: Wiring.SPLIT_PHASE
        if find(bus) in tapped
        else Wiring.FOUR_WIRE
        if find(bus) in grounded
        else Wiring.THREE_WIRE
        for bus in buses
    }
