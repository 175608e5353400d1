"""Names and numbers as the report prints them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from v2g_feeder.conventions import BOUNDING_CASES, Case, Criterion, Policy

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "CRITERION",
    "FILTERS",
    "LEDGER",
    "WAYS",
    "amount",
    "criterion_name",
    "day_name",
    "hours",
    "is_bounding",
    "is_known",
    "join",
    "kw",
    "kw_range",
    "limit_text",
    "mid_sentence",
    "plain",
    "policy_name",
    "run_name",
    "run_order",
    "value_text",
    "whole",
]

_MINUS: Final = "\N{MINUS SIGN}"
_DASH: Final = "\N{EN DASH}"
_GLUE: Final = "\N{NO-BREAK SPACE}"
CRITERION: Final = {
    str(Criterion.OVER_VOLTAGE): "over-voltage",
    str(Criterion.UNDER_VOLTAGE): "under-voltage",
    str(Criterion.SUDDEN_VOLTAGE): "sudden voltage change",
    str(Criterion.THERMAL): "thermal",
    str(Criterion.REVERSE_FLOW): "reverse flow",
    str(Criterion.EMERGENCY): "emergency rating",
    str(Criterion.SLOW_VOLTAGE): "slow voltage change",
    str(Criterion.REGULATOR_VOLTAGE): "voltage change at a regulator",
    str(Criterion.LINE_UNBALANCE): "voltage unbalance (line voltages)",
    str(Criterion.SEQUENCE_UNBALANCE): "voltage unbalance (sequences)",
    str(Criterion.HEAD_UNBALANCE): "unbalance of the head current",
    str(Criterion.TAP_OPERATIONS): "tap operations added",
    str(Criterion.CAPACITOR_OPERATIONS): "capacitor operations added",
    str(Criterion.INVALID): "step not valid",
}
_POLICY: Final = {
    str(Policy.NO_EV): "No EVs",
    str(Policy.UNCONTROLLED): "Uncontrolled",
    str(Policy.MANAGED): "Managed",
    str(Policy.EXPORT): "Export",
    str(Policy.TIME_OF_USE): "Time of use",
    str(Policy.V2H): "V2H",
    str(Policy.PRICE): "Price",
}
_BOUND: Final = {
    str(Case.COINCIDENT_EXPORT): "All export at once",
    str(Case.COINCIDENT_CHARGE): "All charge at once",
    str(Case.COINCIDENT_SPLIT): "One phase exports, others charge",
}
_CASES: Final = [str(case) for case in (Case.LOW, Case.FIRM, Case.EXPECTED, Case.HIGH)]
FILTERS: Final = {
    "vehicles": "vehicles",
    "compatible": "compatible vehicle",
    "bidirectional": "bidirectional charger too",
    "permitted": "site may export",
    "accepted": "warranty and owner agree",
}
"""Filters of the eligibility funnel before enrolment, widest first."""
LEDGER: Final = {
    "not_bidirectional": "Charger or vehicle cannot export",
    "not_enrolled": "Not enrolled",
    "away": "Away",
    "unplugged": "Parked, not plugged in",
    "no_port": "No free port",
    "below_reserve": "At or below the driver's reserve",
    "needed_for_departure": "Needed for departure",
    "opted_out": "Opted out",
    "no_communication": "No communication",
    "charger_limit": "Charger's own limit",
    "site_limit": "Site limit",
    "feeder_limit": "Feeder limit",
    "available_4h": "Available 4 h, not used",
    "available_2h": "Available 2 h, not used",
    "available_1h": "Available 1 h, not used",
    "exported": "Exported",
}

WAYS: Final = {"export": "export", "import": "charging"}
"""Directions of a capacity in words."""


def plain(name: str) -> str:
    """Return a name of ours with spaces: ``peak_day`` becomes ``peak day``."""
    return str(name).replace("_", " ")


def criterion_name(name: str) -> str:
    """Return a criterion in words."""
    return CRITERION.get(name, plain(name))


def is_bounding(case: str) -> bool:
    """Whether a case is a bound that ignores state of charge."""
    return case in set(BOUNDING_CASES)


def run_name(policy: str, case: str) -> str:
    """Return a (policy, case) in words: ``Export, firm``."""
    if is_bounding(case):
        return _BOUND.get(case, plain(case))
    name = policy_name(policy)
    return name if policy == Policy.NO_EV else f"{name}, {plain(case)}"


def policy_name(policy: str) -> str:
    """Return a policy in words."""
    return _POLICY.get(policy, plain(policy).capitalize())


def mid_sentence(name: str) -> str:
    """Return a name as it stands inside a sentence: ``V2H`` keeps its capitals."""
    if any(letter.isupper() or letter.isdigit() for letter in name.partition(" ")[0][1:]):
        return name
    return f"{name[:1].lower()}{name[1:]}"


def day_name(season: str, day_type: str) -> str:
    """Return a day of the calendar in words: ``winter peak day``."""
    return f"{plain(season)} {plain(day_type)}".strip()


def run_order(policy: str, case: str) -> tuple[bool, int, int]:
    """Return what runs are sorted by: references first, cases from low to high, bounds last.

    A study's own cases come after ``high``; a stable sort keeps the order they were named in.
    """
    policies = [str(name) for name in Policy]
    return (
        is_bounding(case),
        policies.index(policy) if policy in policies else len(policies),
        _CASES.index(case) if case in _CASES else len(_CASES),
    )


def is_known(value: float | None) -> bool:
    """Whether a figure is a number: not null, as JSON has it, and not NaN."""
    return value is not None and math.isfinite(value)


def amount(value: float | None, digits: int = 1) -> str:
    """Return a number: no decimals from 10 up, ``digits`` below, an en dash for none."""
    if value is None or not math.isfinite(value):
        return _DASH
    text = f"{abs(value):,.0f}" if abs(value) >= 10 else f"{abs(value):.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{_MINUS}{text}" if value < 0 and text != "0" else text


def share_range(typical: float | None, most: float | None) -> str:
    """Return a share in percent and the most of it: ``3 %, at most 12 %``; empty for none."""
    if typical is None or most is None or not (math.isfinite(typical) and math.isfinite(most)):
        return ""
    return f"{amount(100 * typical)}{_GLUE}%, at most {amount(100 * most)}{_GLUE}%"


def kw(value: float | None) -> str:
    """Return a power with its unit; at least 0.05 kW is never printed as zero."""
    return f"{amount(value)}{_GLUE}kW"


def kw_range(low: float | None, high: float | None) -> str:
    """Return a range of kW without the unit: ``25 to 55``; one number if both print alike."""
    first, last = amount(low), amount(high)
    return first if first == last else f"{first} to {last}"


def hours(value: float | None) -> str:
    """Return hours of the modelled days with their unit."""
    if value is not None and 0 < value < 0.05:
        return f"under 0.1{_GLUE}h"
    return f"{amount(value)}{_GLUE}h"


def whole(value: float | None) -> str:
    """Return a count."""
    return _DASH if value is None or not math.isfinite(value) else f"{value:,.0f}"


def value_text(value: Any, limit: Any, unit: str) -> str:
    """Return a value with enough digits to tell it from its limit, and its unit."""
    if value is None or not math.isfinite(float(value)):
        return _DASH
    digits = 4 if unit == "pu" else 1
    if limit is not None and math.isfinite(float(limit)):
        while digits < 6 and value != limit and round(value, digits) == round(limit, digits):
            digits += 1
    text = f"{value:,.{digits}f}"
    return f"{text}{_GLUE}{unit}".strip().replace("-", _MINUS)


def limit_text(limit: Any, unit: str) -> str:
    """Return a limit as it was set, and its unit."""
    if limit is None or not math.isfinite(float(limit)):
        return _DASH
    return f"{limit:,.6g}{_GLUE}{unit}".strip().replace("-", _MINUS)


def join(parts: Sequence[str], last: str = "and") -> str:
    """Return parts as a list in a sentence."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"
