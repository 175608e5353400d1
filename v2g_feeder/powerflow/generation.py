"""Generators, PV systems and storage of the model itself, as the power that OpenDSS gives them.

The power is OpenDSS's own at every step of a day: it has read the element's shapes, irradiance,
temperature, inverter curve and idling losses. Inside ``vminpu`` to ``vmaxpu`` the element injects
it; outside it becomes the impedance that would at that limit (of a single phase in delta a third of
it, which OpenDSS makes so). Storage keeps the state of charge that the model states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from v2g_feeder.errors import FeederError
from v2g_feeder.feeder.engine import LOCKED
from v2g_feeder.powerflow.loads import (
    GIVEN,
    IMPEDANCE,
    LoadTable,
    Role,
    node_pairs,
    phase_volts,
    table_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from v2g_feeder.feeder.engine import Engine

__all__ = ["KINDS", "Generation", "read_generation", "unrepresented"]

KINDS: Final = {"generator": "Generator", "pvsystem": "PVSystem", "storage": "Storage"}
_GENERATOR_MODELS: Final = {1: GIVEN, 2: IMPEDANCE, 4: 6, 5: 7}  # to load models
_OTHER_MODELS: Final = {1: GIVEN, 2: IMPEDANCE}
_FIXED_VARS: Final = (4, 5)
_SAME_KVA: Final = 1e-6


@dataclass(frozen=True)
class Generation:
    """Own generation of a feeder.

    Parameters
    ----------
    table
        Its phases; row ``first_row + n`` of the multipliers belongs to element ``n``.
    kw, kvar
        Power drawn at each step of a day, ``[element, step]``; what is injected is negative.
    """

    table: LoadTable
    kw: np.ndarray
    kvar: np.ndarray

    def __len__(self) -> int:
        """Return the number of elements."""
        return len(self.kw)


def unrepresented(engine: Engine) -> list[str]:
    """Return the names of own generation that is no given power, each with the reason."""
    found = []
    for kind in KINDS.values():
        for row in engine.properties(kind):
            reason = _reason(kind, row) if row["Enabled"] else ""
            if reason:
                found.append(f"{kind}.{row['Name']} ({reason})")
    return found


def _reason(kind: str, row: Mapping[str, Any]) -> str:
    """Return why an element is no given power; empty if it is one."""
    model, generator = int(row["Model"]), kind == "Generator"
    if model not in (_GENERATOR_MODELS if generator else _OTHER_MODELS):
        return f"model {model}"
    if generator:
        alone = str(row["Conn"]).lower() == "delta" and row["Phases"] == 1
        checks = {
            "dispatched by load or price": row["DispValue"] > 0 and not row["ForceOn"],
            "fuel": row["UseFuel"],
            f"model {model} between two phases": alone and model in _FIXED_VARS,
        }
    else:
        checks = {
            "balanced over its phases": row["Balanced"],
            "current limit": row["LimitCurrent"],
            "grid forming": str(row["ControlMode"]).upper() != "GFL",
        }
    if kind == "PVSystem":
        checks["cut-in above cut-out"] = row["pctCutIn"] > row["pctCutOut"]
    if kind == "Storage":
        checks["dispatched by load or price"] = row["DispMode"] in {"LoadLevel", "Price"}
    return next((reason for reason, holds in checks.items() if holds), "")


def read_generation(engine: Engine, first_row: int, steps: int, step_hours: float) -> Generation:
    """Read own generation and its power from a circuit whose elements are all given powers.

    Parameters
    ----------
    engine
        With the circuit loaded. Steps of its day are solved; the caller restores what it needs.
    first_row
        Row of the multipliers of the first element.
    steps, step_hours
        Of a day.

    Raises
    ------
    FeederError
        With every element whose power does not come again on the next day.
    """
    rows = [
        (kind, row) for kind in KINDS.values() for row in engine.properties(kind) if row["Enabled"]
    ]
    phases: list[tuple[object, ...]] = []
    for number, (kind, row) in enumerate(rows):
        phases += _phases(engine, kind, row, first_row + number)
    names = [f"{kind}.{row['Name']}" for kind, row in rows]
    days = np.zeros((len(rows), 2 * steps), complex)
    if rows:
        engine.start_series(step_hours)
        for step in range(2 * steps):
            engine.solve(step, step_hours, LOCKED)
            days[:, step] = [-engine.given_kva(name) for name in names]
    power = days[:, :steps]
    other = np.flatnonzero(np.abs(days[:, steps:] - power).max(axis=1, initial=0) > _SAME_KVA)
    if len(other):
        told = ", ".join(f"{names[number]} (its shape is longer than a day)" for number in other)
        raise FeederError(f"the batch engine cannot represent {told}")
    fixed = [number for number, (kind, row) in enumerate(rows) if _fixed_vars(kind, row)]
    power.imag[fixed] = -np.array([rows[number][1]["kvar"] for number in fixed]).reshape(-1, 1)
    return Generation(table_of(phases), power.real.copy(), power.imag.copy())


def _fixed_vars(kind: str, row: Mapping[str, Any]) -> bool:
    """Whether the vars of an element are always its rated ones."""
    return kind == "Generator" and int(row["Model"]) in _FIXED_VARS


def _phases(
    engine: Engine, kind: str, row: Mapping[str, Any], number: int
) -> list[tuple[object, ...]]:
    """Return the rows of a load table of one element."""
    delta = str(row["Conn"]).lower() == "delta"
    count, nodes = int(row["Phases"]), engine.nodes(f"{kind}.{row['Name']}")
    models = _GENERATOR_MODELS if kind == "Generator" else _OTHER_MODELS
    model = models[int(row["Model"])]
    third = 1 / 3 if delta and count == 1 else 1.0
    vmin, vmax = float(row["VMinpu"]), float(row["VMaxpu"])
    below, above = (third / (limit * limit or 1.0) for limit in (vmin, vmax))
    share = 1e3 / count * (third if model == IMPEDANCE else 1.0)
    return [
        (one, other, phase_volts(row["kV"], count, delta=delta), share, share, share, number,
         number, model, vmin, vmax, 0.0, (below, above), np.zeros(7), Role.GENERATION)
        for one, other in node_pairs(nodes, count, delta=delta)
    ]  # fmt: skip
