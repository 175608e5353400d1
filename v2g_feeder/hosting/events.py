"""Sudden steps at the ends of an export event, for the charger whose size is searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from v2g_feeder.errors import InputError, Problem
from v2g_feeder.powerflow.solution import SuddenKind

__all__ = ["NO_EVENT", "EventSteps"]


@dataclass(frozen=True)
class EventSteps:
    """Which ends of an event a search looks at, beside the loss of all export.

    The charger goes from charging to exporting its size, or back, at once and with the regulators
    where they stand; the base load is that of the step. A ramp over which regulators can move
    leaves less.

    Parameters
    ----------
    start, end
        Charging to export, and export to the charging that follows.
    charging_share
        Charging kW before the start and after the end, over the size searched. That it is 1, a
        charger that draws at the rating at which it exports, is an assumption.

    Raises
    ------
    InputError
        For a share that is not above 0.
    """

    start: bool = False
    end: bool = False
    charging_share: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.charging_share) and self.charging_share > 0):
            message = f"{self.charging_share} is not above 0"
            raise InputError(Problem("hosting.event_steps.charging_share", message))

    @property
    def kinds(self) -> tuple[SuddenKind, ...]:
        """Return the sudden steps that are searched."""
        asked = {SuddenKind.EVENT_START: self.start, SuddenKind.EVENT_END: self.end}
        return (SuddenKind.ALL_EXPORT_LOST, *(kind for kind, on in asked.items() if on))

    def words(self) -> str:
        """Return the sudden steps in a line."""
        told = ", ".join(kind.name.lower().replace("_", " ") for kind in self.kinds)
        if len(self.kinds) > 1:
            told += f" (charging {self.charging_share:g} x the size beside the event, without ramp)"
        return told


NO_EVENT: Final = EventSteps()
"""Nothing but the loss of all export."""
