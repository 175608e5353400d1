"""Every fault at every bus, as the buses and the devices see it, without and with chargers.

Chargers drive a limited current (:func:`~v2g_feeder.feeder.faults.charger_currents`) at a common
angle that is not known, since it depends on their controls. So each figure with chargers is a
bound: the angle is the one that is worst for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from v2g_feeder.feeder.faults import GROUND_FAULTS, charger_currents, sequence_impedance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from v2g_feeder.feeder.faults import FaultNetwork
    from v2g_feeder.screening.zones import Zone

__all__ = ["DeviceCurrents", "Sweep", "Terminals", "charger_residual_a", "sweep"]


@dataclass(frozen=True)
class Terminals:
    """The conductors at which devices measure.

    Parameters
    ----------
    names
        Devices, in order.
    weights
        From node voltages to the currents into these conductors, ``[conductor, node]``.
    start
        First conductor of each device.
    """

    names: tuple[str, ...]
    weights: np.ndarray
    start: np.ndarray

    @classmethod
    def of(
        cls, network: FaultNetwork, elements: Mapping[str, str], zones: Mapping[str, Zone]
    ) -> Terminals:
        """Return the terminals of devices on elements (by device name), towards the head.

        Devices on elements that the network does not hold, being above its head, are left out.
        """
        bus_of = [name.rsplit(".", 1)[0] for name in network.nodes]
        names: list[str] = []
        start: list[int] = []
        rows: list[np.ndarray] = []
        for device, element in elements.items():
            if element.lower() not in network.primitives:
                continue
            nodes, matrix = network.primitives[element.lower()]
            near = [row for row, node in enumerate(nodes) if _at(node, bus_of, zones[device].near)]
            names.append(device)
            start.append(len(rows))
            for row in near:
                weight = np.zeros(len(network.nodes), dtype=complex)
                np.add.at(weight, nodes[nodes >= 0], matrix[row, nodes >= 0])
                rows.append(weight)
        weights = np.array(rows, dtype=complex).reshape(len(rows), len(network.nodes))
        return cls(tuple(names), weights, np.array(start, dtype=int))

    def highest(self, amps: np.ndarray) -> np.ndarray:
        """Return the largest magnitude of each device's conductors, ``[device]``."""
        return np.maximum.reduceat(amps, self.start) if len(self.start) else np.zeros(0)

    def total(self, amps: np.ndarray) -> np.ndarray:
        """Return the sum of each device's conductors, complex, ``[device]``."""
        return np.add.reduceat(amps, self.start) if len(self.start) else np.zeros(0, complex)


def _at(node: int, bus_of: list[str], bus: str) -> bool:
    return bool(node >= 0 and bus_of[node] == bus)


@dataclass(frozen=True)
class DeviceCurrents:
    """What the devices see in each fault, A, ``[device, fault]``.

    Parameters
    ----------
    phase, residual
        Highest phase current, and sum of the phase currents, without chargers.
    phase_low, phase_high, residual_low, residual_high
        The least and the most that they can be with chargers.
    """

    phase: np.ndarray
    phase_low: np.ndarray
    phase_high: np.ndarray
    residual: np.ndarray
    residual_low: np.ndarray
    residual_high: np.ndarray


@dataclass(frozen=True)
class Sweep:
    """All faults of a feeder.

    Parameters
    ----------
    cases
        One row a fault: ``bus``, ``fault``, ``phases``, ``known`` (whether the zero-sequence
        level that it needs is), ``amps`` at the fault, and ``amps_high`` with chargers.
    terminals
        Where the devices measure.
    devices
        What they see.
    sequence
        One row a bus with three phases: ``bus``, ``z1`` and ``z0`` (ohm, complex).
    """

    cases: pd.DataFrame
    terminals: Terminals
    devices: DeviceCurrents
    sequence: pd.DataFrame


def sweep(
    network: FaultNetwork,
    terminals: Terminals,
    injected: np.ndarray,
    resistance_ohm: float,
    *,
    ungrounded: frozenset[str] = frozenset(),
) -> Sweep:
    """Return every fault at every bus.

    Parameters
    ----------
    network, terminals
        The feeder, and where devices measure in it.
    injected
        What chargers drive into the nodes, A, ``[node]``.
    resistance_ohm
        Of line-to-line and ground faults.
    ungrounded
        Buses of three wires, where a fault to ground carries next to no current and is left out.
    """
    before = np.stack([network.volts, network.solve(injected)], axis=1)
    through = terminals.weights @ before
    rows, seen, sequence = [], [], []
    for bus in network.bus_nodes:
        columns, here = network.columns(bus), network.bus_nodes[bus]
        reach = terminals.weights @ columns
        if len(here) == 3:
            sequence.append((bus, *sequence_impedance(columns[here])))
        for fault in network.faults(bus):
            if bus in ungrounded and fault.kind in GROUND_FAULTS:
                continue
            amps = fault.currents(columns[here], before[here], resistance_ohm)
            size = np.abs(amps)
            known = network.ground_known or fault.kind not in GROUND_FAULTS
            high = float(size.sum(axis=1).max())
            rows.append((bus, fault.kind, fault.phases, known, float(size[:, 0].max()), high))
            seen.append(_seen(terminals, through - reach @ amps))
    labels = ["bus", "fault", "phases", "known", "amps", "amps_high"]
    cases = pd.DataFrame(rows, columns=labels)
    stacked = np.array(seen).reshape(len(rows), 6, len(terminals.names))
    seen_by = DeviceCurrents(*stacked.transpose(1, 2, 0))
    table = pd.DataFrame(sequence, columns=["bus", "z1", "z0"])
    return Sweep(cases, terminals, seen_by, table)


def _seen(terminals: Terminals, amps: np.ndarray) -> np.ndarray:
    """Return what each device sees of the grid's and the chargers' currents, ``[figure, device]``.

    ``amps`` is complex, ``[conductor, (grid, chargers)]``.
    """
    grid, own = np.abs(amps).T
    total, added = (np.abs(terminals.total(part)) for part in amps.T)
    return np.stack(
        [
            terminals.highest(grid),
            terminals.highest(np.maximum(grid - own, 0.0)),
            terminals.highest(grid + own),
            total,
            np.maximum(total - added, 0.0),
            total + added,
        ]
    )


def charger_residual_a(
    network: FaultNetwork, terminals: Terminals, points: pd.DataFrame
) -> np.ndarray:
    """Return the largest residual current that chargers at their rating cause, A, ``[device]``.

    The worst of any set of phases exporting while the others idle, at unity power factor: points
    are grouped by ``phase`` (the primary phases of a service), and those of three phases are
    balanced and cause none.
    """
    letters = points["phase"].map(lambda phase: "".join(sorted(set(str(phase)))))
    groups = [part for _, part in points.groupby(letters)]  # A, B, C, AB, AC, BC, ABC at most
    parts = [
        terminals.total(terminals.weights @ network.solve(charger_currents(network, part, 1.0)))
        for part in groups
    ]
    worst = np.zeros(len(terminals.names))
    for mask in range(1, 2 ** len(parts)):
        chosen = sum(part for number, part in enumerate(parts) if mask >> number & 1)
        worst = np.maximum(worst, np.abs(chosen))
    return worst
