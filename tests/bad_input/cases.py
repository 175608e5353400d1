"""What a case of the suite is, and the good study and feeder that cases spoil in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MODEL = """\
Clear
New Circuit.c bus1=Head basekv=12.47 MVAsc3=1000 MVAsc1=1000
New Line.Aa bus1=Head bus2=Tail r1=0.3 x1=0.4 length=1 units=km normamps=300
New Load.Home bus1=Tail kv=12.47 kw=100 pf=0.95
New Load.Shop bus1=Tail.1 phases=1 kv=7.2 kw=60 pf=0.95
"""
BASES = "Set VoltageBases=[12.47]\nCalcVoltageBases\n"
HOMES = {"name": "homes", "vehicles": 4, "export_capable": 0.5}
STUDY: dict[str, Any] = {
    "name": "tiny",
    "feeder": {"model": "ieee13"},
    "calendar": {"seasons": {"winter": [1]}, "day_types": ["weekday"]},
    "fleets": [HOMES],
    "dispatch": {"export": {"window": "17:00-19:00", "request_kw": 20.0}},
    "draws": 1,
}


@dataclass(frozen=True)
class Case:
    """One spoiled input.

    Parameters
    ----------
    says
        What the message must hold: the place, what was found, the nearest valid name.
    study
        Top-level sections laid over the good study; or the whole file, as text or bytes.
    files
        Files beside the study, by name.
    exit_code
        Of the command.
    """

    says: tuple[str, ...]
    study: Mapping[str, Any] | str | bytes = field(default_factory=dict)
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    exit_code: int = 3
