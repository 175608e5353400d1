"""Unbalance of voltages and of the head current, and the bands of regulators, by index arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Wiring
from v2g_feeder.feeder.model import phase_letters
from v2g_feeder.powerflow.unbalance import line_unbalance_pct, sequence_unbalance_pct

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from v2g_feeder.feeder.engine import RawSolution, SeriesElement
    from v2g_feeder.feeder.model import Feeder

__all__ = ["Balance", "make_balance", "regulator_bands"]


@dataclass(frozen=True)
class Balance:
    """Index arrays of the buses with three phases and of the head; see :func:`make_balance`.

    Parameters
    ----------
    buses
        One row a bus with three phases: ``bus``, ``phase``, ``kv_class``.
    nodes
        Nodes A, B and C of each in the engine's order, ``[3, bus]``.
    head_bus
        First screened bus from the source.
    head_at, head_phase
        Conductors through which current leaves the head bus, and the phase of each.
    """

    buses: pd.DataFrame
    nodes: np.ndarray
    head_bus: str
    head_at: np.ndarray
    head_phase: np.ndarray

    def unbalance(self, raw: RawSolution) -> tuple[np.ndarray, np.ndarray]:
        """Return voltage unbalance by lines and by sequences, percent, ``[bus]``."""
        a, b, c = raw.volts[self.nodes]
        return line_unbalance_pct(a, b, c), sequence_unbalance_pct(a, b, c)

    def head_amps(self, raw: RawSolution) -> np.ndarray:
        """Return the current out of the head bus by phase, A, ``[3]``."""
        total = np.zeros(3, dtype=complex)
        np.add.at(total, self.head_phase, raw.amps[self.head_at])
        return np.abs(total)


def make_balance(
    feeder: Feeder, elements: Sequence[SeriesElement], voltages: pd.DataFrame
) -> Balance:
    """Make the index arrays of a feeder.

    Parameters
    ----------
    feeder
        Its tables.
    elements
        Series elements between two buses.
    voltages
        One row a service voltage, with ``bus``, ``wiring`` and ``kv_class``.
    """
    screened = voltages[voltages["wiring"] != Wiring.SPLIT_PHASE].drop_duplicates("bus")
    whole = [{1, 2, 3} <= set(feeder.bus_nodes[bus]) for bus in screened["bus"]]
    buses = screened.loc[whole, ["bus", "kv_class"]].reset_index(drop=True)
    buses.insert(1, "phase", "ABC")
    nodes = [[feeder.node_index[f"{bus}.{node}"] for bus in buses["bus"]] for node in (1, 2, 3)]
    known = set(screened["bus"])
    head_bus = next((bus for bus in feeder.tree.order if bus in known), "")
    at, phase = _leaving(feeder, elements, head_bus)
    return Balance(buses, np.array(nodes, int).reshape(3, -1), head_bus, at, phase)


def _leaving(
    feeder: Feeder, elements: Sequence[SeriesElement], bus: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return conductors of the elements that are fed through ``bus``, and their phases."""
    here = feeder.bus_nodes.get(bus, ())
    numbers = {feeder.node_index[f"{bus}.{node}"]: node - 1 for node in here}
    rank = {name: number for number, name in enumerate(feeder.tree.order)}
    at, phase = [], []
    for element in elements:
        others = [other for other in element.buses if other != bus]
        if bus not in element.buses or min(rank.get(other, 0) for other in others) < rank[bus]:
            continue
        terminal = element.buses.index(bus)
        first = element.offset + terminal * len(element.nodes[terminal])
        for position, node in enumerate(element.nodes[terminal]):
            if numbers.get(node, 3) < 3:
                at.append(first + position)
                phase.append(numbers[node])
    return np.array(at, int), np.array(phase, int)


def regulator_bands(
    feeder: Feeder,
    elements: Sequence[SeriesElement],
    voltages: pd.DataFrame,
    transformers: Mapping[str, Any],
) -> pd.DataFrame:
    """Return the service voltages on either side of each regulator with its bandwidth.

    Returns
    -------
    pandas.DataFrame
        ``element`` (``Transformer.reg1``), ``row`` (position in ``voltages``), ``band_pu``
        (bandwidth over the voltage that the potential transformer gives at the winding's rated
        kV). Only the phases that the regulator stands on.
    """
    named = {element.name.lower(): element for element in elements}
    rows: list[tuple[str, int, float]] = []
    for control in feeder.regulators.itertuples():
        element = named.get(f"transformer.{control.transformer}")
        if element is None:
            continue
        unit = transformers[control.transformer]
        kv, _, delta, _ = unit["windings"][control.winding - 1]
        rated = kv * 1e3 / (1.0 if unit["phases"] == 1 or delta else np.sqrt(3.0))
        phases = set(phase_letters(feeder.nodes, element.nodes[0]))
        near = np.flatnonzero(voltages["bus"].isin(element.buses))
        mine = [int(row) for row in near if set(str(voltages["phase"].iloc[row])) <= phases]
        band = control.band * control.ptratio / rated
        rows += [(element.name, row, band) for row in mine]
    return pd.DataFrame(rows, columns=["element", "row", "band_pu"])
