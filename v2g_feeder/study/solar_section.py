"""The ``solar`` section of a study: photovoltaic arrays."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from v2g_feeder.feeder.solar import SolarArray
from v2g_feeder.study.sections import Section

__all__ = ["SolarSection"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class SolarSection(Section):
    """A photovoltaic array at a bus, in every run; a clear sky by pvlib."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9_]+$")
    """Name."""
    bus: str | int
    """Bus; the array takes all phases that it has."""
    kw: Positive
    """Rating of the inverter, kW."""
    latitude: float
    """Degrees north."""
    longitude: float
    """Degrees east; west is below 0."""
    tilt: float | None = None
    """Degrees from horizontal; left out 20, an assumption."""
    azimuth: float | None = None
    """Degrees from north by way of east; left out 180, facing south, an assumption."""
    clear_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Generation over that of a clear sky: 1 is the most there can be."""
    utc_offset_h: float | None = None
    """Local standard time less UTC, h; left out, the nearest hour of the longitude."""

    def array(self) -> SolarArray:
        """Return the stage's settings."""
        return SolarArray(**self.model_dump(exclude={"name", "bus"}, exclude_none=True))
