"""One line of the protection screen, and how it is judged."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from v2g_feeder.conventions import Effect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from v2g_feeder.screening.zones import Zone

__all__ = ["NO_GROUND", "PROTECTION_COLUMNS", "ProtectionStatus", "Row", "joined", "unplaced"]

PROTECTION_COLUMNS: Final = (
    "device", "bus", "check", "fault", "value", "limit", "unit", "reference_value", "effect",
    "status", "missing", "note",
)  # fmt: skip
NO_GROUND: Final = "zero-sequence fault level at the head"
_SAME: Final = 1e-4  # relative change of a figure that is none


class ProtectionStatus(StrEnum):
    """Outcome of a check."""

    PASS = "pass"  # noqa: S105  # an outcome, not a secret
    VIOLATION = "violation"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Row:
    """One line of the screen.

    Parameters
    ----------
    device, check, value, limit, unit, bus, fault, missing, note
        As in the table; an infinite limit allows anything.
    reference
        The value without chargers; NaN where it is not known or does not matter.
    least
        Whether the limit is the least allowed, not the most.
    """

    device: str
    check: str
    value: float = np.nan
    limit: float = np.nan
    unit: str = ""
    reference: float = np.nan
    bus: str = ""
    fault: str = ""
    least: bool = False
    missing: str = ""
    note: str = ""

    @property
    def status(self) -> ProtectionStatus:
        """Outcome; nothing that lacks an item passes."""
        if self.missing or np.isnan(self.value) or np.isnan(self.limit):
            return ProtectionStatus.UNKNOWN
        broken = self._broken(self.value)
        return ProtectionStatus.VIOLATION if broken else ProtectionStatus.PASS

    @property
    def effect(self) -> Effect:
        """What chargers do to a violation."""
        if self.status != ProtectionStatus.VIOLATION or np.isnan(self.reference):
            return Effect.NONE
        if not self._broken(self.reference):
            return Effect.NEW
        worse = self.value < self.reference if self.least else self.value > self.reference
        alike = abs(self.value - self.reference) <= _SAME * abs(self.reference)
        return Effect.WORSE if worse and not alike else Effect.SAME

    def cells(self) -> dict[str, Any]:
        """Return the row by the table's columns."""
        return {
            "device": self.device,
            "bus": self.bus,
            "check": self.check,
            "fault": self.fault,
            "value": self.value,
            "limit": self.limit,
            "unit": self.unit,
            "reference_value": self.reference,
            "effect": str(self.effect),
            "status": str(self.status),
            "missing": self.missing,
            "note": self.note,
        }

    def _broken(self, value: float) -> bool:
        return bool(value < self.limit if self.least else value > self.limit)


def joined(*items: str) -> str:
    """Return the items that are not empty, as a list in words."""
    return ", ".join(item for item in items if item)


def unplaced(name: str, zones: Mapping[str, Zone]) -> str:
    """Say why no current is known at a device: it has no element, or one above the head."""
    if name in zones:
        return "a fault level on the source's side of it"
    return "element of the model on which it stands"
