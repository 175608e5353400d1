"""Loads as the engine models them: the current of every load phase at a voltage.

A load phase is an admittance ``(G - jB) V`` with ``G`` and ``B`` its nominal power over the square
of its rated voltage, times multipliers that depend on the voltage in per unit of the rating,
``v`` (OpenDSS load models 1 to 8; OpenDSS manual, *Load*):

===========  =====================  =====================  ===========================
model        watts, in limits       vars, in limits        outside ``vmin < v <= vmax``
===========  =====================  =====================  ===========================
1 PQ         1/v^2                  1/v^2                  above: 1/vmax^2
2 Z          1                      1                      the same
3 motor      1/v^2                  1                      above: 1/vmax^2
4 CVR        v^(watts - 2)          v^(vars - 2)           above: 1/vmax^2
5 I          1/v                    1/v                    above: 1/vmax
6 fixed Q    1/v^2                  1/v^2, nominal kvar    watts 1/vmax^2, vars 1
7 fixed XQ   1/v^2                  1, nominal kvar        watts 1/vmax^2, vars 1
8 ZIP        Z + I/v + P/v^2        Z + I/v + P/v^2        Z, I and P as 2, 5 and 1
===========  =====================  =====================  ===========================

Below ``vmin`` the current goes in a line down to that of the nominal impedance at ``vlow`` (model 6
and 7: the impedance at ``vmin``), from there down every load is its nominal impedance. The vars of
models 6 and 7 follow neither the load shape nor the model's load multiplier above ``vlow``, and
both below.

A model of our own, ``GIVEN``, is the power of a generator: 1 / v^2 in limits, and outside the
multipliers that stand in place of its exponents, below ``vmin`` and above ``vmax``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from v2g_feeder.compiled import compiled, packed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

__all__ = ["CVR", "GIVEN", "IMPEDANCE", "POWER", "LoadTable", "Role", "injections",
           "load_table", "multiplier", "table_of"]  # fmt: skip

POWER: Final = 1
IMPEDANCE: Final = 2
CVR: Final = 4
GIVEN: Final = 9
_EV_LIMITS: Final = (0.5, 1.5)


class Role(IntEnum):
    """What a load phase belongs to."""

    BASE = 0
    CHARGER = 1
    GENERATION = 2


@dataclass(frozen=True)
class LoadTable:
    """Load phases.

    Parameters
    ----------
    one, other
        Node pair; ground is -1.
    volts
        Rated voltage across the pair.
    watts, vars
        Nominal power of the phase at a multiplier of 1; positive draws.
    vars_low
        Of models 6 and 7, whose vars follow the shape below ``vlow`` alone: nominal vars there.
    row, vars_row
        Rows of the multipliers that scale watts and vars.
    model
        OpenDSS load model, 1 to 8, or ``GIVEN``.
    vmin, vmax, vlow
        Limits in per unit of ``volts``.
    exponents
        Of model 4, ``[load phase, 2]``: watts, vars. Of ``GIVEN``: multipliers below and above the
        limits.
    zip_shares
        Of model 8, ``[load phase, 7]``: Z, I, P of watts, of vars, and the cut-off voltage.
    role
        Whose phase it is, a :class:`Role`.
    """

    one: np.ndarray
    other: np.ndarray
    volts: np.ndarray
    watts: np.ndarray
    vars: np.ndarray
    vars_low: np.ndarray
    row: np.ndarray
    vars_row: np.ndarray
    model: np.ndarray
    vmin: np.ndarray
    vmax: np.ndarray
    vlow: np.ndarray
    exponents: np.ndarray
    zip_shares: np.ndarray
    role: np.ndarray

    def __len__(self) -> int:
        """Return the number of load phases."""
        return len(self.one)

    def joined(self, other: LoadTable) -> LoadTable:
        """Return the phases of both."""
        return LoadTable(
            **{
                item.name: np.concatenate([getattr(self, item.name), getattr(other, item.name)])
                for item in fields(LoadTable)
            }
        )

    def arrays(self, place: np.ndarray) -> Any:
        """Return the table as records: nodes by their ``place``, ground after the last."""
        at = np.append(place, len(place))
        columns = {item.name: getattr(self, item.name) for item in fields(self)}
        return packed(columns | {"one": at[self.one], "other": at[self.other]})


def load_table(
    loads: pd.DataFrame, shape_of: Mapping[str, int], multiplier_of_model: float, rows: int
) -> LoadTable:
    """Return the phases of the loads of a model.

    Parameters
    ----------
    loads
        As of :class:`~v2g_feeder.feeder.model.Feeder`; only enabled ones.
    shape_of
        Row of the multipliers by load name.
    multiplier_of_model
        The model's own load multiplier, which fixed and exempt loads do not follow.
    rows
        Number of multiplier rows; the row after them is the constant 1, for loads of fixed status
        and the fixed vars of models 6 and 7.
    """
    found = []
    for load in loads.itertuples():
        pairs = node_pairs(load.nodes, load.phases, delta=load.delta)
        rated = phase_volts(load.kv, load.phases, delta=load.delta)
        factor = 1.0 if load.status in {"fixed", "exempt"} else multiplier_of_model
        row = rows if load.status == "fixed" else shape_of[load.name]
        constant_vars = load.model in (6, 7)
        shares = np.zeros(7)
        shares[: len(load.zipv)] = load.zipv
        found += [
            (
                one,
                other,
                rated,
                load.kw * 1e3 * factor / len(pairs),
                load.kvar * 1e3 * (1.0 if constant_vars else factor) / len(pairs),
                load.kvar * 1e3 * factor / len(pairs),
                row,
                rows if constant_vars else row,
                load.model,
                load.vminpu,
                load.vmaxpu,
                load.vlowpu,
                (load.cvr_watts, load.cvr_vars),
                shares,
                Role.BASE,
            )
            for one, other in pairs
        ]
    return table_of(found)


def injections(points: pd.DataFrame, node_index: Mapping[str, int], first_row: int) -> LoadTable:
    """Return the phases of connection points: constant power from 0.5 to 1.5 pu, 1 kW and 1 kvar.

    Parameters
    ----------
    points
        ``bus``, ``nodes`` (``1.2``), ``phases``, ``delta``, ``kv``.
    node_index
        Position of each node by name.
    first_row
        Row of the multipliers of the first point; they are kW and kvar.
    """
    found = []
    for number, point in enumerate(points.itertuples()):
        at = [node_index[f"{point.bus}.{name}"] for name in str(point.nodes).split(".")]
        single = point.phases == 1
        nodes = [*at, -1] if len(at) == 1 or not (single or point.delta) else at
        pairs = node_pairs(nodes, point.phases, delta=bool(point.delta))
        rated = phase_volts(point.kv, point.phases, delta=bool(point.delta))
        row = first_row + number
        found += [
            (one, other, rated, *[1e3 / len(pairs)] * 3, row, row, 1, *_EV_LIMITS, 0.5,
             (0.0, 0.0), np.zeros(7), Role.CHARGER)
            for one, other in pairs
        ]  # fmt: skip
    return table_of(found)


def node_pairs(nodes: Sequence[int], phases: int, *, delta: bool) -> list[tuple[int, int]]:
    """Return the node pairs of a load's phases: to its neutral, or around the delta."""
    if not delta:
        return [(node, nodes[-1]) for node in nodes[:phases]]
    if phases == 1:
        return [(nodes[0], nodes[1])]
    return [(nodes[k], nodes[(k + 1) % len(nodes)]) for k in range(phases)]


def phase_volts(kv: float, phases: int, *, delta: bool) -> float:
    """Return the rated volts across a phase of a load whose kV is OpenDSS's."""
    return float(kv * 1e3 / (np.sqrt(3.0) if phases > 1 and not delta else 1.0))


def table_of(rows: Sequence[tuple[object, ...]]) -> LoadTable:
    """Return a table of rows in the order of its fields."""
    shapes = {"exponents": (0, 2), "zip_shares": (0, 7)}
    whole = {"one", "other", "row", "vars_row", "model", "role"}
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(fields(LoadTable))
    table = {}
    for item, column in zip(fields(LoadTable), columns, strict=True):
        kind = int if item.name in whole else float
        empty = np.empty(shapes.get(item.name, (0,)), kind)
        table[item.name] = np.array(column, kind) if rows else empty
    return LoadTable(**table)


@compiled
def _interpolated(v: float, vmin: float, vlow: float, at_vmin: float) -> float:
    """Multiplier of a current that goes in a line from ``vlow`` at ``vlow`` to ``at_vmin``."""
    return (vlow + (at_vmin - vlow) / (vmin - vlow) * (v - vlow)) / v


@compiled
def _shared(zip_shares: np.ndarray, v: float, current: float, power: float) -> tuple[float, float]:
    """Return the multipliers of model 8 from those of constant current and power."""
    z = zip_shares
    cut = 0.5 * (1.0 + np.tanh(500.0 * (v - z[6]))) if z[6] > 0.0 else 1.0
    watts = cut * (z[0] + z[1] * current + z[2] * power)
    return watts, cut * (z[3] + z[4] * current + z[5] * power)


@compiled
def formula(
    model: int, v: float, exponents: np.ndarray, zip_shares: np.ndarray
) -> tuple[float, float]:
    """Return the multipliers of watts and of vars at ``v`` by the load's model, limits left out."""
    current, power = 1.0 / v, 1.0 / (v * v)
    if model == 2:
        return 1.0, 1.0
    if model == 3 or model == 7:  # noqa: PLR1714 - a set takes long to compile
        return power, 1.0
    if model == 4:
        return v ** (exponents[0] - 2.0), v ** (exponents[1] - 2.0)
    if model == 5:
        return current, current
    if model == 8:
        return _shared(zip_shares, v, current, power)
    return power, power


@compiled
def multiplier(
    model: int,
    v: float,
    limits: tuple[float, float, float],
    exponents: np.ndarray,
    zip_shares: np.ndarray,
) -> tuple[float, float]:
    """Return the multipliers of a load phase's nominal conductance and susceptance.

    Parameters
    ----------
    model
        OpenDSS load model, 1 to 8, or ``GIVEN``.
    v
        Voltage in per unit of the rating.
    limits
        ``vmin``, ``vmax`` and ``vlow`` of the model, per unit.
    exponents, zip_shares
        Parameters of models 4, ``GIVEN`` and 8.
    """
    vmin, vmax, vlow = limits
    if model == 2 or v <= vlow:
        return 1.0, 1.0
    if vmin < v <= vmax:
        return formula(model, v, exponents, zip_shares)
    if v <= vmin:
        power, fixed = _interpolated(v, vmin, vlow, 1.0 / vmin), 1.0 / (vmin * vmin)
        current = _interpolated(v, vmin, vlow, 1.0)
    else:
        power, fixed, current = 1.0 / (vmax * vmax), 1.0 / (vmax * vmax), 1.0 / vmax
    if model == GIVEN:
        power = exponents[0] if v <= vmin else exponents[1]
    if model == 5:
        return current, current
    if model == 6 or model == 7:  # noqa: PLR1714
        return fixed, 1.0
    if model == 8:
        return _shared(zip_shares, v, current, power)
    return power, power
