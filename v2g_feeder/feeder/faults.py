"""Fault currents of a feeder from its own admittance matrix.

Loads, shunt capacitors and generation are left out, as is usual in short-circuit studies (IEEE
551); what inverters add is put in by the caller as a limited current (:func:`charger_currents`).
A fault is a set of loops closed at a bus; its currents follow from the impedance seen there and
the voltages before it (superposition).

Signs: a fault current flows out of the network into the fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.linalg import splu

from v2g_feeder.errors import InputError, Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "FAULT_COLUMNS",
    "GROUND_FAULTS",
    "Fault",
    "FaultNetwork",
    "charger_columns",
    "charger_currents",
    "fault_currents",
    "sequence_impedance",
]

FAULT_COLUMNS: Final = ("bus", "fault", "phases", "amps", "ground_amps")
GROUND_FAULTS: Final = ("three_phase_ground", "line_line_ground", "line_ground")
"""Faults whose current depends on the zero-sequence fault level of the head."""
_DEAD_V: Final = 1e-3


class Fault(NamedTuple):
    """A kind of fault on some phases of a bus.

    Parameters
    ----------
    kind
        ``three_phase``, ``line_line`` (both clear of ground), ``three_phase_ground``,
        ``line_line_ground``, ``line_ground``.
    phases
        Letters, or legs ``1``, ``2`` of a 120/240 V service.
    loops
        Node currents of each loop, ``[node of the bus, loop]``.
    resistance
        1 where two loops share the fault resistance, ``[loop, loop]``.
    """

    kind: str
    phases: str
    loops: np.ndarray
    resistance: np.ndarray

    def currents(self, z: np.ndarray, volts: np.ndarray, resistance_ohm: float) -> np.ndarray:
        """Return the current out of each node of the bus, A.

        Parameters
        ----------
        z
            Impedance seen at the nodes of the bus, ohm, ``[node, node]``.
        volts
            Voltages before the fault, ``[node]``, or of several cases, ``[node, case]``.
        resistance_ohm
            Of the arc or the ground path.
        """
        found: np.ndarray = self.admittance(z, resistance_ohm) @ volts
        return found

    def admittance(self, z: np.ndarray, resistance_ohm: float) -> np.ndarray:
        """Return the current out of each node per volt at each before the fault, S."""
        inner = self.loops.T @ z @ self.loops + resistance_ohm * self.resistance
        found: np.ndarray = self.loops @ np.linalg.solve(inner, self.loops.T)
        return found


@dataclass(frozen=True)
class FaultNetwork:
    """A feeder as a fault sees it; made by :func:`~v2g_feeder.feeder.short_circuit.fault_network`.

    Parameters
    ----------
    nodes
        Names of the nodes, ``bus.1``.
    admittance
        Siemens, ``[node, node]``, sources' own included.
    volts
        Voltages before a fault without load, ``[node]``.
    primitives
        Nodes (position, -1 for ground or left out) and matrix of each element, by lower-case name.
    split
        Buses of 120/240 V services.
    ground_known
        Whether the zero-sequence impedance behind the head is known.
    """

    nodes: tuple[str, ...]
    admittance: sparse.csc_matrix
    volts: np.ndarray
    primitives: Mapping[str, tuple[np.ndarray, np.ndarray]]
    split: frozenset[str]
    ground_known: bool

    @cached_property
    def _factor(self) -> splu:
        return splu(self.admittance, permc_spec="MMD_AT_PLUS_A")

    @cached_property
    def bus_nodes(self) -> dict[str, np.ndarray]:
        """Positions of the phase nodes (1, 2, 3) of each bus, in that order."""
        found: dict[str, list[tuple[int, int]]] = {}
        for position, name in enumerate(self.nodes):
            bus, node = name.rsplit(".", 1)
            if int(node) <= 3:
                found.setdefault(bus, []).append((int(node), position))
        return {
            bus: np.array([position for _, position in sorted(pairs)])
            for bus, pairs in found.items()
        }

    def solve(self, amps: np.ndarray) -> np.ndarray:
        """Return the voltages of currents into the nodes, ``[node]`` or ``[node, case]``."""
        found: np.ndarray = self._factor.solve(np.asarray(amps, dtype=complex))
        return found

    def columns(self, bus: str) -> np.ndarray:
        """Return the impedance from the nodes of a bus to every node, ohm, ``[node, of the bus]``.

        Raises
        ------
        InputError
            For a bus that is not fed, with the nearest name.
        """
        if bus not in self.bus_nodes:
            hint = nearest(bus, list(self.bus_nodes))
            raise InputError(Problem("faults.bus", f"{bus!r} is not fed from the head", hint))
        unit = np.zeros((len(self.nodes), len(self.bus_nodes[bus])), dtype=complex)
        unit[self.bus_nodes[bus], np.arange(len(self.bus_nodes[bus]))] = 1.0
        return self.solve(unit)

    def faults(self, bus: str) -> Iterator[Fault]:
        """Yield every kind of fault that a bus can have."""
        split = bus in self.split
        numbers = [int(self.nodes[position].rsplit(".", 1)[1]) for position in self.bus_nodes[bus]]
        letters = [str(number) if split else "ABC"[number - 1] for number in numbers]
        count = len(letters)
        if count == 3:
            loops = np.array([[1.0, 0.0], [-1.0, 1.0], [0.0, -1.0]])
            yield Fault("three_phase", "ABC", loops, np.zeros((2, 2)))
            yield Fault("three_phase_ground", "ABC", np.eye(3), np.ones((3, 3)))
        for one in range(count):
            for other in range(one + 1, count):
                names = letters[one] + letters[other]
                name = "CA" if names == "AC" else names
                both = np.eye(count)[:, [one, other]]
                across = (both[:, 0] - both[:, 1])[:, None]
                yield Fault("line_line", name, across, np.ones((1, 1)))
                yield Fault("line_line_ground", name, both, np.ones((2, 2)))
        for one in range(count):
            yield Fault("line_ground", letters[one], np.eye(count)[:, [one]], np.ones((1, 1)))

    def sequence(self, bus: str) -> tuple[complex, complex]:
        """Return the positive- and zero-sequence impedance seen at a three-phase bus, ohm."""
        z = self.columns(bus)[self.bus_nodes[bus]]
        if len(z) != 3:
            raise InputError(Problem("faults.bus", f"{bus!r} has {len(z)} phases, not three"))
        return sequence_impedance(z)


def sequence_impedance(z: np.ndarray) -> tuple[complex, complex]:
    """Return the positive- and zero-sequence impedance of ``[phase, phase]``, lines transposed."""
    own = complex(np.trace(z)) / 3
    mutual = (complex(z.sum()) - complex(np.trace(z))) / 6
    return own - mutual, own + 2 * mutual


def charger_currents(network: FaultNetwork, points: pd.DataFrame, factor: float) -> np.ndarray:
    """Return what all chargers together drive into the nodes during a fault, A, ``[node]``.

    The sum of :func:`charger_columns`, each with its ``kva`` (rating of all chargers there).
    """
    kva = points["kva"].to_numpy(dtype=float)
    found: np.ndarray = factor * (charger_columns(network, points) @ kva)
    return found


def charger_columns(network: FaultNetwork, points: pd.DataFrame) -> sparse.csc_matrix:
    """Return what each charger drives into the nodes for every kVA, A, ``[node, point]``.

    Each is a source of a limited current, balanced over its phases without zero sequence, and in
    phase with its own voltage before the fault. A common turn of all these currents is free, since
    it depends on controls; a caller takes the turn that is worst.

    Parameters
    ----------
    network
        From :func:`~v2g_feeder.feeder.short_circuit.fault_network`.
    points
        Connection points: ``bus``, ``nodes`` (``1.2``), ``kv`` (rated; line to line from two
        phases up), ``phases``, ``delta``.

    Raises
    ------
    InputError
        For points at nodes that are not fed.
    """
    index = {name: position for position, name in enumerate(network.nodes)}
    row: list[int] = []
    column: list[int] = []
    value: list[complex] = []
    problems = []
    for number, point in enumerate(points.itertuples()):
        names = [f"{str(point.bus).lower()}.{node}" for node in str(point.nodes).split(".")]
        if missing := [name for name in names if name not in index]:
            message = f"{', '.join(missing)} not fed from the head"
            problems.append(Problem(f"points[{point.Index}]", message))
            continue
        at = [index[name] for name in names]
        row += at
        column += [number] * len(at)
        value += list(_balanced(network.volts[at]) / float(point.kv))
    if problems:
        raise InputError(problems)
    shape = (len(network.nodes), len(points))
    return sparse.coo_matrix((value, (row, column)), shape=shape, dtype=complex).tocsc()


def _balanced(volts: np.ndarray) -> np.ndarray:
    """Return the currents of a charger of 1 kVA at 1 kV by node, in phase with its voltages."""
    if len(volts) == 2:
        along = _along(volts[:1] - volts[1:])
        return np.concatenate([along, -along])
    along = _along(volts)
    return (along - along.mean()) / np.sqrt(3.0) if len(volts) == 3 else along


def _along(volts: np.ndarray) -> np.ndarray:
    """Return the direction of voltages; zero where they are dead."""
    size = np.abs(volts)
    found: np.ndarray = np.where(size > _DEAD_V, volts / np.maximum(size, _DEAD_V), 0.0)
    return found


def fault_currents(
    network: FaultNetwork, buses: Iterable[str] | None = None, resistance_ohm: float = 0.0
) -> pd.DataFrame:
    """Return the fault currents at buses.

    Parameters
    ----------
    network
        From :func:`~v2g_feeder.feeder.short_circuit.fault_network`.
    buses
        Left out, all.
    resistance_ohm
        Of the arc or the ground path.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`FAULT_COLUMNS`, one row a (bus, fault, phases): ``amps`` the highest phase
        current, ``ground_amps`` the current to ground (three times the zero sequence). Ground
        faults are NaN where the zero-sequence impedance behind the head is not known.
    """
    rows = []
    for bus in network.bus_nodes if buses is None else buses:
        name = bus.lower()
        columns, here = network.columns(name), network.bus_nodes[name]
        for fault in network.faults(name):
            amps = fault.currents(columns[here], network.volts[here], resistance_ohm)
            known = network.ground_known or fault.kind not in GROUND_FAULTS
            unknown = 1.0 if known else np.nan
            peak, ground = float(np.abs(amps).max()), float(abs(amps.sum()))
            rows.append((name, fault.kind, fault.phases, peak * unknown, ground * unknown))
    return pd.DataFrame(rows, columns=list(FAULT_COLUMNS))
