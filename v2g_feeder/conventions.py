"""Names, signs and units that every stage shares.

Signs: ``kw > 0`` draws from the grid (load, charging), ``kw < 0`` exports, at the grid side of the
charger; ``head_kw > 0`` is import from the transmission side.

Per unit: a service voltage is taken *as connected*: line to neutral on four-wire buses, line to
line on three-wire buses, 120 V (each leg to neutral) and 240 V (leg to leg) on split phase.

Time: hour-beginning, local standard time, stored naive.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = [
    "ANY",
    "AS_STUDIED",
    "BOUNDING_CASES",
    "NO_DRAW",
    "SPLIT_PHASES",
    "WHOLE_DAY",
    "Case",
    "Connection",
    "Criterion",
    "DayType",
    "Direction",
    "Effect",
    "Placement",
    "Policy",
    "Status",
    "Wiring",
    "reference_of",
    "without_chance",
]


class Policy(StrEnum):
    """How the fleet behaves; the first three are references."""

    NO_EV = "no_ev"
    UNCONTROLLED = "uncontrolled"
    MANAGED = "managed"
    EXPORT = "export"
    TIME_OF_USE = "time_of_use"
    V2H = "v2h"
    PRICE = "price"


class Case(StrEnum):
    """Participation case; the ``coincident_*`` ones are bounds that ignore state of charge."""

    LOW = "low"
    EXPECTED = "expected"
    FIRM = "firm"
    HIGH = "high"
    COINCIDENT_EXPORT = "coincident_export"
    COINCIDENT_CHARGE = "coincident_charge"
    COINCIDENT_SPLIT = "coincident_split"


BOUNDING_CASES: Final = (Case.COINCIDENT_EXPORT, Case.COINCIDENT_CHARGE, Case.COINCIDENT_SPLIT)
SPLIT_PHASES: Final = ("A", "B", "C")
ANY: Final = "any"  # the ``criterion`` or ``season`` of rows over all of them
WHOLE_DAY: Final = -1  # the ``hour`` of rows over all hours
AS_STUDIED: Final = "as studied"  # the ``change`` of ramps without one
NO_DRAW: Final = -1  # the ``draw`` of runs without chance: ``no_ev`` and the bounding cases


class DayType(StrEnum):
    """Kind of day; ``peak_day`` and ``min_day`` are extremes and weigh nothing in energy."""

    WEEKDAY = "weekday"
    WEEKEND = "weekend"
    PEAK_DAY = "peak_day"
    MIN_DAY = "min_day"


class Criterion(StrEnum):
    """What is screened. ``invalid`` marks a step that failed the validity gate."""

    OVER_VOLTAGE = "over_voltage"
    UNDER_VOLTAGE = "under_voltage"
    SUDDEN_VOLTAGE = "sudden_voltage"
    THERMAL = "thermal"
    REVERSE_FLOW = "reverse_flow"
    EMERGENCY = "emergency"
    SLOW_VOLTAGE = "slow_voltage"
    REGULATOR_VOLTAGE = "regulator_voltage"
    LINE_UNBALANCE = "line_unbalance"
    SEQUENCE_UNBALANCE = "sequence_unbalance"
    HEAD_UNBALANCE = "head_unbalance"
    TAP_OPERATIONS = "tap_operations"
    CAPACITOR_OPERATIONS = "capacitor_operations"
    INVALID = "invalid"


class Effect(StrEnum):
    """What a run does to a limit, against its reference on the same draw."""

    NEW = "new"
    WORSE = "worse"
    SAME = "same"
    IMPROVED = "improved"
    CURED = "cured"
    NONE = "none"


class Status(StrEnum):
    """Outcome of a hosting-capacity search."""

    LIMITED = "limited"
    CENSORED = "censored"
    NON_MONOTONE = "non_monotone"
    ALREADY_VIOLATED = "already_violated"
    UNKNOWN = "unknown"


class Connection(StrEnum):
    """Phases a connection point is tied to; ``split`` is both legs of a 120/240 V service."""

    A = "A"
    B = "B"
    C = "C"
    AB = "AB"
    BC = "BC"
    CA = "CA"
    ABC = "ABC"
    SPLIT = "split"


class Direction(StrEnum):
    """Direction of a magnitude in kW."""

    EXPORT = "export"
    IMPORT = "import"


class Wiring(StrEnum):
    """How service voltages are taken at a bus."""

    FOUR_WIRE = "four_wire"
    THREE_WIRE = "three_wire"
    SPLIT_PHASE = "split_phase"


class Placement(StrEnum):
    """How the vehicles of a fleet are spread over the feeder."""

    CUSTOMERS = "customers"
    BUSES = "buses"
    NEAR_HEAD = "near_head"
    END_OF_LINE = "end_of_line"
    CLUSTER = "cluster"


def reference_of(policy: str, case: str) -> tuple[str, str] | None:
    """Return the (policy, case) that a run is judged against on the same draw.

    Export is judged against managed charging of the same case, so that what differs is the export
    and not who is enrolled; so are ``v2h`` and ``price``. Managed and ``time_of_use`` are judged
    against uncontrolled of the same case, uncontrolled against no EVs at all. Bounding cases have
    no draw and are judged against no EVs. The reference of ``no_ev`` is ``None``.
    """
    if policy == Policy.NO_EV:
        return None
    if policy == Policy.UNCONTROLLED or case in BOUNDING_CASES:
        return (Policy.NO_EV, Case.EXPECTED)
    if policy in (Policy.MANAGED, Policy.TIME_OF_USE):
        return (Policy.UNCONTROLLED, case)
    return (Policy.MANAGED, case)


def without_chance(policy: str, case: str) -> bool:
    """Whether a run has no random draws: no EVs at all, or a bounding case."""
    return policy == Policy.NO_EV or case in BOUNDING_CASES
