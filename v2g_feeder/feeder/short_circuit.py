"""The network that a fault sees, taken from the engine, and the strength of the grid behind it.

It holds lines, transformers, series reactors and capacitors at the present taps, and either the
model's own sources or a fault level given at the head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from v2g_feeder.conventions import Wiring
from v2g_feeder.errors import FeederError, InputError, Problem, nearest
from v2g_feeder.feeder.engine import LOCKED
from v2g_feeder.feeder.faults import FaultNetwork

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from v2g_feeder.feeder.engine import Engine
    from v2g_feeder.feeder.model import Feeder

__all__ = ["HeadFault", "fault_network"]

_SERIES: Final = frozenset(("line", "transformer", "autotrans", "reactor", "capacitor"))
_ROTATION: Final = np.exp(-2j * np.pi / 3 * np.arange(3))


@dataclass(frozen=True)
class HeadFault:
    """Strength of the grid at the head of the feeder: the impedance behind it.

    Parameters
    ----------
    z1_ohm
        Positive-sequence impedance, ohm at the bus's own voltage.
    z0_ohm
        Zero-sequence impedance, ohm; ``None`` where it is not known, and then no ground fault is.
    bus
        Where it was given; empty: the bus of the model's source. What lies towards the
        transmission side of it is left out.
    volts_pu
        Voltage before a fault, per unit of the bus's nominal.
    """

    z1_ohm: complex
    z0_ohm: complex | None = None
    bus: str = ""
    volts_pu: float = 1.0

    @classmethod
    def from_mva(
        cls,
        kv: float,
        three_phase_mva: float,
        ground_mva: float | None = None,
        *,
        x1r1: float = 4.0,
        x0r0: float = 3.0,
        bus: str = "",
        volts_pu: float = 1.0,
    ) -> HeadFault:
        """Return the impedance of a fault level.

        Parameters
        ----------
        kv
            Nominal line-to-line kV at the bus.
        three_phase_mva, ground_mva
            ``sqrt(3) kV kA`` of a three-phase and of a line-to-ground fault; ``None``: not known.
        x1r1, x0r0
            Reactance over resistance. 4 and 3 are OpenDSS's own defaults, an assumption.
        bus, volts_pu
            As for the class.
        """
        problems = [
            Problem(f"head.{name}", f"{value} is not above zero")
            for name, value in (
                ("kv", kv),
                ("three_phase_mva", three_phase_mva),
                ("ground_mva", 1.0 if ground_mva is None else ground_mva),
            )
            if not value > 0
        ]
        if problems:
            raise InputError(problems)
        z1 = kv**2 / three_phase_mva * _direction(x1r1)
        z0 = None
        if ground_mva is not None:  # |2 z1 + z0| = 3 kV^2 / MVA, the angle of z0 given
            total, along = 3 * kv**2 / ground_mva, _direction(x0r0)
            real = 2 * (z1 * along.conjugate()).real
            inside = real**2 - 4 * abs(z1) ** 2 + total**2
            size = -real + np.sqrt(inside) if inside >= 0 else -1.0
            if size <= 0:
                message = f"{ground_mva:g} MVA does not go with {three_phase_mva:g} MVA three-phase"
                hint = "at most 1.5 times as much, where the zero-sequence impedance is nil"
                raise InputError(Problem("head.ground_mva", message, hint))
            z0 = complex(size * along)
        return cls(complex(z1), z0, bus, volts_pu)


def _direction(x_over_r: float) -> complex:
    """Return the impedance of size 1 with a ratio of reactance over resistance."""
    return complex(1.0, x_over_r) / abs(complex(1.0, x_over_r))


def fault_network(engine: Engine, feeder: Feeder, head: HeadFault | None = None) -> FaultNetwork:
    """Return the network of the circuit that an engine holds, at its present taps.

    Parameters
    ----------
    engine
        With the circuit that ``feeder`` was read from. It solves its present state once, with
        controls locked, so that every matrix is built; the circuit is not changed.
    feeder
        Its tables.
    head
        Fault level at the head; ``None`` takes the model's own sources, whose strength is often a
        modelling convenience.

    Raises
    ------
    FeederError
        If the model has more sources than the one that ``head`` replaces, or a network that
        cannot be solved.
    InputError
        For a head bus that the feeder does not have.
    """
    engine.solve(0, 1.0, LOCKED)
    bus = (head.bus.lower() if head else "") or feeder.source_bus
    if bus not in feeder.buses.index:
        hint = nearest(bus, list(feeder.buses.index))
        raise InputError(Problem("head.bus", f"{bus!r} is not a bus of this feeder", hint))
    names = engine.element_names()
    sources = [name for name in names if name.lower().startswith("vsource.")]
    if head is not None and len(sources) > 1:
        raise FeederError(f"{len(sources)} sources; a fault level at the head replaces one only")
    inside = feeder.downstream(bus) if bus != feeder.source_bus else None
    matrices = _primitives(engine, feeder, names, inside)
    builder = _Builder(len(feeder.nodes))
    for nodes, matrix in matrices.values():
        builder.add(nodes, matrix)
    amps = np.zeros(len(feeder.nodes), dtype=complex)
    if head is None:
        for name in sources:
            builder.add(*_as_arrays(engine.primitive(name)))
        amps += engine.source_amps()
        ends = np.flatnonzero(amps)
    else:
        ends, own, driven = _thevenin(head, bus, feeder)
        builder.add(ends, own)
        amps[ends] = driven
    return _fed(
        builder.matrix(), amps, ends, feeder, matrices, head is None or head.z0_ohm is not None
    )


def _as_arrays(primitive: tuple[tuple[int, ...], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(primitive[0], dtype=int), primitive[1]


def _primitives(
    engine: Engine, feeder: Feeder, names: Iterable[str], inside: frozenset[str] | None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return nodes and matrices of the elements that carry fault current, by lower-case name."""
    bus_of = np.array([name.rsplit(".", 1)[0] for name in feeder.nodes])
    found = {}
    for name in names:
        kind = name.lower().split(".", 1)[0]
        if kind not in _SERIES:
            continue
        nodes, matrix = _as_arrays(engine.primitive(name))
        buses = {str(bus) for bus in bus_of[nodes[nodes >= 0]]}
        shunt = len(buses) < 2
        if (shunt and kind in {"capacitor", "reactor"}) or (inside and not buses <= inside):
            continue
        found[name.lower()] = (nodes, matrix)
    return found


class _Builder:
    """Adds primitive matrices up; ground (-1) drops out."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._row: list[np.ndarray] = []
        self._column: list[np.ndarray] = []
        self._value: list[np.ndarray] = []

    def add(self, nodes: np.ndarray, matrix: np.ndarray) -> None:
        """Add an element."""
        row, column = np.repeat(nodes, len(nodes)), np.tile(nodes, len(nodes))
        kept = (row >= 0) & (column >= 0)
        self._row.append(row[kept])
        self._column.append(column[kept])
        self._value.append(matrix.ravel()[kept])

    def matrix(self) -> sparse.csc_matrix:
        """Return the sum."""
        parts = (np.concatenate(part) for part in (self._row, self._column))
        shape = (self._size, self._size)
        return sparse.coo_matrix((np.concatenate(self._value), tuple(parts)), shape=shape).tocsc()


def _thevenin(
    head: HeadFault, bus: str, feeder: Feeder
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the nodes of the head, its admittance and the current that it drives into them."""
    base = float(feeder.buses.loc[bus, "kv_base_ln"])
    if not np.isfinite(base):
        raise InputError(Problem("head.bus", f"{bus!r} has no voltage base"))
    z1, z0 = head.z1_ohm, head.z1_ohm if head.z0_ohm is None else head.z0_ohm
    z = np.full((3, 3), (z0 - z1) / 3) + z1 * np.eye(3)
    phases = [node for node in feeder.bus_nodes[bus] if node <= 3]
    at = [node - 1 for node in phases]
    own = np.linalg.inv(z[np.ix_(at, at)])
    volts = head.volts_pu * base * 1e3 * _ROTATION[at]
    ends = np.array([feeder.node_index[f"{bus}.{node}"] for node in phases])
    return ends, own, own @ volts


def _fed(
    matrix: sparse.csc_matrix,
    amps: np.ndarray,
    ends: np.ndarray,
    feeder: Feeder,
    matrices: Mapping[str, tuple[np.ndarray, np.ndarray]],
    ground_known: bool,
) -> FaultNetwork:
    """Return the part of the network that hangs together with a source."""
    _, part = connected_components(matrix != 0, directed=False)
    kept = np.isin(part, part[ends]) & (np.asarray(abs(matrix).sum(axis=0)).ravel() > 0)
    position = np.where(kept, np.cumsum(kept) - 1, -1)
    inner = matrix[kept][:, kept].tocsc()
    try:
        volts = splu(inner, permc_spec="MMD_AT_PLUS_A").solve(amps[kept])
    except RuntimeError as error:
        raise FeederError(f"the short-circuit network cannot be solved: {error}") from error
    if not np.isfinite(volts).all():
        raise FeederError("the short-circuit network cannot be solved: a part has no ground")
    split = feeder.buses.index[feeder.buses["wiring"] == Wiring.SPLIT_PHASE]
    return FaultNetwork(
        nodes=tuple(name for name, keep in zip(feeder.nodes, kept, strict=True) if keep),
        admittance=inner,
        volts=volts,
        primitives={
            name: (np.where(nodes >= 0, position[nodes], -1), own)
            for name, (nodes, own) in matrices.items()
            if (position[nodes[nodes >= 0]] >= 0).all()
        },
        split=frozenset(str(bus) for bus in split),
        ground_known=ground_known,
    )
