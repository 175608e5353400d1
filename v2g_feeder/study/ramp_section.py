"""The ``ramp`` section of a study: a rising export."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from v2g_feeder.hosting import ReverseMode
from v2g_feeder.study.sections import Section

__all__ = ["RampSection"]


class RampSection(Section):
    """All chargers that may export do so together, more and more, until a limit is broken."""

    reverse_modes: list[Annotated[ReverseMode, Field(strict=False)]] = Field(
        default_factory=lambda: [ReverseMode.AS_MODEL], min_length=1
    )
    """Reverse modes of the regulators to compare: ``as_model``, ``locked_forward``, ``neutral``,
    ``bidirectional``, ``cogeneration``; ``unknown`` compares all but the first."""
    balanced: bool = False
    """Whether to ask again with the chargers spread over the phases of their buses."""
    vreg_v: float | None = Field(default=None, allow_inf_nan=False)
    """Whether to ask again with every regulator's set point moved by this many volts (on its
    120 V scale)."""
