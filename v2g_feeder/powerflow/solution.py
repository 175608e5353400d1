"""What a power flow hands to the screening: the places observed, and their values by step."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Observed", "Reason", "Solution", "SuddenKind", "stacked", "with_curves"]


class Reason(IntEnum):
    """Why a step is valid, flagged or invalid; values above ``FLAGGED`` are invalid."""

    VALID = 0
    HIGH_VOLTAGE_SWITCHED = 1  # a load model switched above its vmaxpu: flagged, still screened
    FLAGGED = 1
    NOT_CONVERGED = 2
    CONTROLS_UNFINISHED = 3
    NOT_FINITE = 4
    NOT_ENERGISED = 5
    LOAD_SHED = 6  # load models switched below their vminpu and shed over 2 % of the load
    EV_NOT_DELIVERED = 7
    CRASHED = 8


class SuddenKind(IntEnum):
    """Which sudden step, with regulators locked, a voltage change belongs to."""

    ALL_EXPORT_LOST = 0
    EVENT_START = 1
    EVENT_END = 2


@dataclass(frozen=True)
class Observed:
    """The places that are observed, in the order of the arrays of :class:`Solution`.

    Parameters
    ----------
    voltages
        One row a service voltage as connected: ``node`` (label: ``b1.2`` to neutral,
        ``b1.1.2`` between two nodes), ``bus``, ``phase`` (A, B, C, AB, BC, CA, or the primary
        phases of a split-phase service), ``wiring``, ``kv_class`` (nominal line-to-line kV of
        the bus, or 0.24 for a 120/240 V service).
    elements
        One row a series element: ``element`` (``Line.l1``), ``kind`` (line, transformer,
        regulator), ``bus`` (towards the head), ``phase``, ``basis`` (what 100 % is), ``rating_a``
        and ``rating_kva`` (NaN where unknown), ``rating_source`` (``stated`` or ``unknown``).
    flows
        One row a place where active power is watched: ``element``, ``kind`` (head, regulator,
        switch, service_transformer), ``bus``, ``phase``, ``limit_kw`` (largest reverse flow that
        is allowed, as a magnitude; NaN where it is only an indicator).
    regulators
        Names of the regulated transformers, in the order of ``taps``.
    tap_steps
        Size of a step of each of them, per unit.
    capacitors
        Names of the controlled capacitors, in the order of ``capacitor_steps``.
    bands
        One row a service voltage on either side of a regulator: ``element`` (the transformer),
        ``row`` (position in ``voltages``), ``band_pu`` (the regulator's bandwidth).
    balanced
        One row a bus with three phases: ``bus``, ``phase``, ``kv_class``.
    head_bus
        First screened bus from the source; ``head_amps`` leave it.
    """

    voltages: pd.DataFrame
    elements: pd.DataFrame
    flows: pd.DataFrame
    regulators: tuple[str, ...]
    tap_steps: tuple[float, ...] = ()
    capacitors: tuple[str, ...] = ()
    bands: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["element", "row", "band_pu"])
    )
    balanced: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["bus", "phase", "kv_class"])
    )
    head_bus: str = ""


def _none() -> np.ndarray:
    """Return the array of what an engine does not observe."""
    return np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class Solution:
    """Values of one unit of work, a day of one (policy, case, draw).

    The unbalance, the head's currents and the capacitors' steps may be empty, ``(0, 0)``: their
    criteria are then not screened.

    Parameters
    ----------
    v_pu
        Service voltages, ``[step, node]``.
    loading_pct
        Loading in percent of the element's basis, ``[step, element]``; NaN where unknown.
    flow_kw
        Active power away from the head, ``[step, flow]``; negative is reverse.
    head_kw, head_kvar, losses_kw
        At the source, ``[step]``; positive is import.
    taps
        Tap ratio in per unit, ``[step, regulator]``.
    reason
        :class:`Reason` codes, ``[step]``.
    sudden_step, sudden_kind
        Step (within the day) and :class:`SuddenKind` of each sudden change, ``[change]``.
    sudden_pu
        Voltage after minus before with regulators locked, ``[change, node]``.
    line_unbalance_pct, sequence_unbalance_pct
        Voltage unbalance by either definition, percent, ``[step, balanced bus]``.
    head_amps
        Current out of the head bus by phase, A, ``[step, 3]``.
    capacitor_steps
        Steps in service of the controlled capacitors, ``[step, capacitor]``.
    curtailed_kw
        Export asked of the chargers that their curves did not let them give, ``[step]``; empty
        where no charger follows a curve.
    charger_kw, charger_kvar
        What connection points then drew, ``[step, point]``; empty likewise.
    """

    v_pu: np.ndarray
    loading_pct: np.ndarray
    flow_kw: np.ndarray
    head_kw: np.ndarray
    head_kvar: np.ndarray
    losses_kw: np.ndarray
    taps: np.ndarray
    reason: np.ndarray
    sudden_step: np.ndarray
    sudden_kind: np.ndarray
    sudden_pu: np.ndarray
    line_unbalance_pct: np.ndarray = field(default_factory=_none)
    sequence_unbalance_pct: np.ndarray = field(default_factory=_none)
    head_amps: np.ndarray = field(default_factory=_none)
    capacitor_steps: np.ndarray = field(default_factory=_none)
    curtailed_kw: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    charger_kw: np.ndarray = field(default_factory=_none)
    charger_kvar: np.ndarray = field(default_factory=_none)

    @property
    def valid(self) -> np.ndarray:
        """Whether each step may be screened, ``[step]``."""
        return self.reason <= Reason.FLAGGED


def with_curves(solution: Solution, curtailed_kw: np.ndarray, given: np.ndarray) -> Solution:
    """Return a solution with what chargers on curves did.

    Parameters
    ----------
    solution
        Of a unit.
    curtailed_kw
        ``[step]``.
    given
        kW and kvar of connection points, ``[step, 2, point]``.
    """
    kw, kvar = given.astype(np.float32).transpose(1, 0, 2)
    return replace(
        solution, curtailed_kw=curtailed_kw.astype(np.float32), charger_kw=kw, charger_kvar=kvar
    )


def stacked(solutions: Sequence[Solution]) -> Solution:
    """Return several units one after the other on the step axis, which counts on from unit to unit.

    Parameters
    ----------
    solutions
        At least one; all with the same places.
    """
    if len(solutions) == 1:
        return solutions[0]
    joined = {
        item.name: np.concatenate([getattr(solution, item.name) for solution in solutions])
        for item in fields(Solution)
    }
    offset = np.cumsum([0, *(len(solution.reason) for solution in solutions[:-1])])
    joined["sudden_step"] = np.concatenate(
        [
            solution.sudden_step.astype(np.int32) + start
            for solution, start in zip(solutions, offset, strict=True)
        ]
    )
    return Solution(**joined)
