"""Figures of the protection screen, each with its source."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.screening.limits import Source

__all__ = ["ProtectionSettings", "protection_settings"]


@dataclass(frozen=True)
class ProtectionSettings:
    """Limits and assumptions of the protection screen.

    Parameters
    ----------
    charger_factor
        Fault current of a charger over its rated current.
    reach_factor
        Least fault current in a device's zone, over its minimum trip.
    reach_loss_pct
        Most that chargers may take from the fault current that a device sees, percent.
    fault_rise_pct
        Most that chargers may add to the fault current at a bus, percent.
    sympathetic_i0_a
        Most zero-sequence current through a device for a fault that is not behind it, A.
    fault_resistance_ohm
        Resistance of line-to-line and ground faults, ohm.
    melting_factor
        Minimum melting current of a fuse over its rating, where the inventory gives the rating.
    x0_x1, r0_x1
        Largest ratios of an effectively grounded bus.
    island_ratio
        Largest export behind a device over the least load there.
    rejection_pu
        Largest voltage after a device opens, per unit.
    sources
        One a figure.
    """

    charger_factor: float
    reach_factor: float
    reach_loss_pct: float
    fault_rise_pct: float
    sympathetic_i0_a: float
    fault_resistance_ohm: float
    melting_factor: float
    x0_x1: float
    r0_x1: float
    island_ratio: float
    rejection_pu: float
    sources: tuple[Source, ...] = field(default=())

    def __post_init__(self) -> None:
        problems = [
            Problem(f"protection.{item.name}", f"{getattr(self, item.name)} is not zero or above")
            for item in fields(self)
            if item.name != "sources" and not getattr(self, item.name) >= 0
        ]
        if problems:
            raise InputError(problems)


@cache
def _defaults() -> ProtectionSettings:
    text = files("v2g_feeder.screening").joinpath("data/protection.yaml").read_text("utf-8")
    figures: dict[str, Any] = yaml.safe_load(text)
    return ProtectionSettings(
        **{name: float(row["value"]) for name, row in figures.items()},
        sources=tuple(
            Source(name, f"{row['value']:g} {row['unit']}", row["source"], row["mark"])
            for name, row in figures.items()
        ),
    )


def protection_settings(**changes: float) -> ProtectionSettings:
    """Return the shipped figures with some changed, and marked as set by the study.

    Parameters
    ----------
    **changes
        Fields of :class:`ProtectionSettings` other than ``sources``.

    Raises
    ------
    InputError
        For an unknown field, with the nearest, or a negative figure.
    """
    settings = _defaults()
    known = [item.name for item in fields(settings) if item.name != "sources"]
    unknown = [
        Problem(f"protection.{name}", "is not a figure of the screen", nearest(name, known))
        for name in changes
        if name not in known
    ]
    if unknown:
        raise InputError(unknown)
    own = tuple(
        Source(name, f"{value:g}", "set by the study", "") for name, value in changes.items()
    )
    kept = tuple(source for source in settings.sources if source.setting not in changes)
    return replace(settings, **changes, sources=(*kept, *own))
