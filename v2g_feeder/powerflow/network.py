"""The linear part of a loaded circuit: its admittance matrix, sources and element matrices.

Everything comes from OpenDSS's own primitive matrices, so that transformers, split phase,
regulators at their tap and capacitors are what the engine makes of them; nothing is modelled again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from v2g_feeder.errors import FeederError
from v2g_feeder.powerflow.generation import KINDS, unrepresented
from v2g_feeder.powerflow.loads import CVR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.feeder.engine import Engine
    from v2g_feeder.feeder.model import Feeder

__all__ = ["Bank", "Network", "Regulator", "read_network"]

_LINEAR: Final = frozenset({"line", "transformer", "autotrans", "reactor", "capacitor", "fault"})
_PASSIVE: Final = frozenset(
    {"load", "vsource", "regcontrol", "capcontrol", "monitor", "energymeter", "sensor"}
)
_TRIED_TAPS: Final = (0.9, 1.0, 1.1)
_CHECKED_TAP: Final = 0.95
_FIT: Final = 1e-9


@dataclass(frozen=True)
class Regulator:
    """A transformer winding that a control moves.

    Its matrix is ``matrices[0] + matrices[1] / tap + matrices[2] / tap**2``, in siemens.

    Parameters
    ----------
    transformer, winding
        Name in lower case and number of the winding, from 1.
    nodes
        Node of each conductor, terminal by terminal; ground is -1.
    offset
        Where the transformer's conductors begin among those of all series elements.
    matrices
        ``[term, conductor, conductor]``.
    tap
        As the circuit stood when it was read, per unit.
    """

    transformer: str
    winding: int
    nodes: tuple[int, ...]
    offset: int
    matrices: np.ndarray
    tap: float

    def primitive(self, tap: float) -> np.ndarray:
        """Return the matrix at a tap, ``[conductor, conductor]``, siemens."""
        return np.asarray(self.matrices[0] + self.matrices[1] / tap + self.matrices[2] / tap**2)


@dataclass(frozen=True)
class Bank:
    """A capacitor bank that a control switches: nodes and matrix (siemens) when it is in."""

    name: str
    nodes: tuple[int, ...]
    matrix: np.ndarray
    closed: bool


@dataclass(frozen=True)
class Network:
    """A circuit without loads.

    Parameters
    ----------
    matrix
        Admittance in siemens, ``[node, node]``, sources included, regulators and banks left out.
    source_amps
        Current that the sources inject, ``[node]``.
    sources
        Nodes and matrix of every source.
    conductors
        Matrix from node voltages to the current into each conductor of each series or shunt
        element, ``[conductor, node]``, at the taps read; the order of
        :attr:`~v2g_feeder.feeder.engine.RawSolution.amps`.
    regulators
        In the order of the feeder's table.
    banks
        Capacitors with a control, in the order of the feeder's table.
    """

    matrix: sparse.csc_matrix
    source_amps: np.ndarray
    sources: tuple[tuple[tuple[int, ...], np.ndarray], ...]
    conductors: sparse.csr_matrix
    regulators: tuple[Regulator, ...]
    banks: tuple[Bank, ...]

    @property
    def taps(self) -> np.ndarray:
        """Tap of every regulator as read, per unit."""
        return np.array([regulator.tap for regulator in self.regulators])

    @property
    def closed(self) -> np.ndarray:
        """Whether each bank was in as read."""
        return np.array([bank.closed for bank in self.banks], dtype=bool)

    @cached_property
    def border(self) -> np.ndarray:
        """Nodes whose admittance a tap or a bank changes, ascending."""
        parts: tuple[Regulator | Bank, ...] = (*self.regulators, *self.banks)
        tied = [node for part in parts for node in part.nodes]
        return np.unique([node for node in tied if node >= 0]).astype(int)

    @cached_property
    def nominal_volts(self) -> np.ndarray:
        """Voltages without any load, as read, ``[node]``."""
        border = self.border
        own = self.variable(self.taps[None], self.closed[None])[0]
        tied = sparse.coo_matrix(own)
        entries = (border[tied.row], border[tied.col])
        whole = self.matrix + sparse.csc_matrix((tied.data, entries), self.matrix.shape)
        return np.asarray(linalg.spsolve(whole.tocsc(), self.source_amps))

    def variable(self, taps: np.ndarray, closed: np.ndarray) -> np.ndarray:
        """Return what regulators and banks add, among the :attr:`border` nodes.

        Parameters
        ----------
        taps
            Per unit, ``[state, regulator]``.
        closed
            ``[state, bank]``.

        Returns
        -------
        ndarray
            Siemens, ``[state, border, border]``.
        """
        share = 1.0 / taps
        weights = np.concatenate([np.ones((len(taps), 1)), share, share**2, closed], axis=1)
        tied = len(self.border)
        found = weights @ self._terms.reshape(len(self._terms), -1)
        return np.asarray(found.reshape(len(taps), tied, tied))

    @cached_property
    def _terms(self) -> np.ndarray:
        """Matrices of the constant, ``1 / tap``, ``1 / tap**2`` and of each bank, at the border."""
        count = len(self.regulators)
        tied = len(self.border)
        found = np.zeros((1 + 2 * count + len(self.banks), tied, tied), complex)
        for number, regulator in enumerate(self.regulators):
            for term, at in enumerate((0, 1 + number, 1 + count + number)):
                self._add(found[at], regulator.nodes, regulator.matrices[term])
        for number, bank in enumerate(self.banks):
            self._add(found[1 + 2 * count + number], bank.nodes, bank.matrix)
        return found

    def _add(self, total: np.ndarray, nodes: Sequence[int], matrix: np.ndarray) -> None:
        """Add an element's matrix where its nodes stand at the border."""
        at = np.array(nodes)
        tied = np.flatnonzero(at >= 0)
        where = np.searchsorted(self.border, at[tied])
        np.add.at(total, np.ix_(where, where), matrix[np.ix_(tied, tied)])


def read_network(engine: Engine, feeder: Feeder) -> Network:
    """Read the network of the circuit that ``engine`` holds; the circuit is left as it was.

    Parameters
    ----------
    engine
        With the circuit loaded and solved once.
    feeder
        Read from it.

    Raises
    ------
    FeederError
        With the names of everything that a linear network with constant-power, -current and
        -impedance loads cannot represent.
    """
    refuse(engine)
    size = len(feeder.nodes)
    regulated = set(feeder.regulators["transformer"])
    banked = list(feeder.capacitors.loc[feeder.capacitors["control"] != "", "name"])
    series = [element for element in engine.series_elements() if element.enabled]
    offsets = {element.name.lower(): element.offset for element in series}
    own: list[tuple[tuple[int, ...], np.ndarray]] = []
    currents: list[tuple[int, tuple[int, ...], np.ndarray]] = []
    for element in series:
        nodes, matrix = engine.primitive(element.name)
        currents.append((element.offset, nodes, matrix))
        kind, name = element.name.lower().split(".", 1)
        if not (
            (kind == "transformer" and name in regulated)
            or (kind == "capacitor" and name in banked)
        ):
            own.append((nodes, matrix))
    sources = tuple(
        engine.primitive(name)
        for name in engine.element_names()
        if name.lower().startswith("vsource.")
    )
    return Network(
        matrix=_assembled([*own, *sources], size),
        source_amps=engine.source_amps(),
        sources=sources,
        conductors=_rows(currents, engine.conductor_count(), size),
        regulators=_regulators(engine, feeder, offsets),
        banks=_banks(engine, banked),
    )


def refuse(engine: Engine) -> None:
    """Raise for what the network cannot represent exactly.

    Raises
    ------
    FeederError
        With every such element's name.
    """
    names = [
        name
        for name in engine.element_names()
        if name.lower().split(".", 1)[0] not in _LINEAR | _PASSIVE | KINDS.keys()
    ]
    names += unrepresented(engine)
    names += [
        f"Vsource.{row['Name']} (its voltage follows a shape)"
        for row in engine.properties("Vsource")
        if row.get("Daily") or row.get("Yearly")
    ]
    loads = [row for row in engine.properties("Load") if row["Enabled"]]
    names += [
        f"Load.{row['Name']} (impedance from its neutral)" for row in loads if row["RNeut"] >= 0
    ]
    names += [
        f"Load.{row['Name']} (its exponents follow a shape)"
        for row in loads
        if row.get("CVRCurve") and row["Model"] == CVR
    ]
    if engine.loads_are_admittances():
        names.append("the option LoadModel=Admittance (every load an impedance)")
    if names:
        raise FeederError("the batch engine cannot represent " + ", ".join(names))


def _assembled(parts: Sequence[tuple[tuple[int, ...], np.ndarray]], size: int) -> sparse.csc_matrix:
    """Return the sum of element matrices over the nodes; ground is left out."""
    rows, columns, values = [], [], []
    for nodes, matrix in parts:
        at = np.array(nodes)
        keep = np.outer(at >= 0, at >= 0)
        row, column = np.meshgrid(at, at, indexing="ij")
        rows.append(row[keep])
        columns.append(column[keep])
        values.append(matrix[keep])
    entries = (np.concatenate(rows), np.concatenate(columns))
    return sparse.csc_matrix((np.concatenate(values), entries), (size, size))


def _rows(
    parts: Sequence[tuple[int, tuple[int, ...], np.ndarray]], count: int, size: int
) -> sparse.csr_matrix:
    """Return the matrix from node voltages to conductor currents."""
    rows, columns, values = [], [], []
    for offset, nodes, matrix in parts:
        at = np.array(nodes)
        keep = np.broadcast_to(at >= 0, matrix.shape) & (matrix != 0)
        row, column = np.meshgrid(offset + np.arange(len(at)), at, indexing="ij")
        rows.append(row[keep])
        columns.append(column[keep])
        values.append(matrix[keep])
    entries = (np.concatenate(rows), np.concatenate(columns))
    return sparse.csr_matrix((np.concatenate(values), entries), (count, size))


def _regulators(engine: Engine, feeder: Feeder, offsets: dict[str, int]) -> tuple[Regulator, ...]:
    """Read the regulated transformers at three taps; a fourth must agree with what follows."""
    table = feeder.regulators
    windings = list(zip(table["transformer"], table["winding"], strict=True))
    stood = engine.taps(windings)
    read = []
    for tap in (*_TRIED_TAPS, _CHECKED_TAP):
        engine.move([(name, winding, tap) for name, winding in windings])
        read.append([engine.primitive(f"Transformer.{name}") for name, _ in windings])
    engine.move([(*key, tap) for key, tap in zip(windings, stood, strict=True)])
    inverse = np.linalg.inv(np.vander(1.0 / np.array(_TRIED_TAPS), 3, increasing=True))
    found = []
    for number, (name, winding) in enumerate(windings):
        nodes = read[0][number][0]
        tried = np.array([at[number][1] for at in read])
        terms = np.tensordot(inverse, tried[:3], axes=1)
        offset = offsets[f"transformer.{name}"]
        one = Regulator(name, int(winding), nodes, offset, terms, stood[number])
        error = np.abs(one.primitive(_CHECKED_TAP) - tried[3]).max()
        moved = np.abs(tried[2] - tried[0]).max()
        if error > _FIT * np.abs(tried[3]).max() or not moved:
            raise FeederError(
                f"the batch engine cannot represent Transformer.{name}: its matrix is not that of "
                "a winding with taps of 0.9 to 1.1"
            )
        found.append(one)
    return tuple(found)


def _banks(engine: Engine, names: Sequence[str]) -> tuple[Bank, ...]:
    """Read the switched capacitor banks with all of them in, whether or not they were."""
    stood = [(name, engine.capacitor_states(name)) for name in names]
    stepped = [f"Capacitor.{name}" for name, states in stood if len(states) > 1]
    if stepped:
        raise FeederError(f"the batch engine cannot represent {', '.join(stepped)}: several steps")
    engine.move(capacitors=[(name, (1,)) for name in names])
    found = tuple(
        Bank(name, *engine.primitive(f"Capacitor.{name}"), bool(states[0]))
        for name, states in stood
    )
    engine.move(capacitors=stood)
    return found
