"""The ``protection`` section of a study: inventory, fault level at the head, figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from v2g_feeder.feeder.short_circuit import HeadFault
from v2g_feeder.screening import ProtectionSettings, protection_settings
from v2g_feeder.study.sections import Section

if TYPE_CHECKING:
    from v2g_feeder.feeder.model import Feeder

__all__ = ["HeadSection", "ProtectionSection"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class HeadSection(Section):
    """Fault level at the head of the feeder."""

    three_phase_mva: Positive
    """Fault level of a three-phase fault, MVA (square root of 3 x kV x kA)."""
    ground_mva: Positive | None = None
    """The same of a line-to-ground fault; left out, no ground fault is known."""
    x1r1: NotNegative = 4.0
    """Reactance over resistance of the positive sequence; 4 is an assumption, OpenDSS's own."""
    x0r0: NotNegative = 3.0
    """The same of the zero sequence; 3 is an assumption, OpenDSS's own."""
    bus: str = ""
    """Bus where the level was given, such as the substation's medium-voltage bus; left out, the
    model's source."""
    volts_pu: Positive = 1.0
    """Voltage before a fault, per unit."""

    def fault(self, feeder: Feeder) -> HeadFault:
        """Return the impedance behind the head."""
        bus = self.bus.lower() or feeder.source_bus
        kv = feeder.nominal_kv(bus) if bus in feeder.buses.index else 1.0
        return HeadFault.from_mva(
            kv,
            self.three_phase_mva,
            self.ground_mva,
            x1r1=self.x1r1,
            x0r0=self.x0r0,
            bus=self.bus,
            volts_pu=self.volts_pu,
        )


class ProtectionSection(Section):
    """Screen of relays, reclosers and fuses; left out, protection is not screened."""

    devices: str | None = None
    """Device inventory, CSV or YAML; left out, only the devices that the model states."""
    head: HeadSection | Literal["model"] | None = None
    """Fault level at the head; ``model`` takes the strength of the model's own source; left out,
    what needs it is unknown."""
    figures: dict[str, NotNegative] = Field(default_factory=dict)
    """Limits and assumptions of the screen that you set otherwise: charger_factor, reach_factor,
    reach_loss_pct, fault_rise_pct, sympathetic_i0_a, fault_resistance_ohm, melting_factor, x0_x1,
    r0_x1, island_ratio, rejection_pu."""

    def settings(self) -> ProtectionSettings:
        """Return the figures of the screen."""
        return protection_settings(**self.figures)
