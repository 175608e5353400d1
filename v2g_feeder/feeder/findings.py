"""What a reader of a study must know about the feeder model itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "FindingKind"]


class FindingKind(StrEnum):
    """Kind of finding, stable for tools that read ``summary.json``."""

    RATINGS_UNKNOWN = "ratings_unknown"
    RATING_IS_DEFAULT = "rating_is_default"
    ISLAND = "island"
    NO_VOLTAGE_BASES = "no_voltage_bases"
    NO_REGULATOR_CONTROL = "no_regulator_control"
    NO_LOAD_SHAPES = "no_load_shapes"
    EXISTING_GENERATION = "existing_generation"
    LOAD_VOLTAGE = "load_voltage"
    NO_COORDINATES = "no_coordinates"
    HEAD_DOWNSTREAM = "head_downstream"


@dataclass(frozen=True)
class Finding:
    """One finding.

    Parameters
    ----------
    kind
        What was found.
    message
        One sentence with the figure and what follows from it.
    elements
        The first elements or buses that it concerns.
    count
        How many it concerns in all.
    """

    kind: FindingKind
    message: str
    elements: tuple[str, ...] = ()
    count: int = 0
