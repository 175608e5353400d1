"""The section of a study file that asks for hosting capacity."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from v2g_feeder.conventions import Connection  # noqa: TC001  # pydantic reads it
from v2g_feeder.errors import InputError, Problem
from v2g_feeder.hosting import (
    Capacitors,
    Conditions,
    Envelope,
    EventSteps,
    FleetCapacity,
    Regulators,
    ReverseMode,
    Search,
)
from v2g_feeder.hosting.mitigation import Measure
from v2g_feeder.powerflow.chargers import ChargerControl, category_b
from v2g_feeder.study.sections import Section

if TYPE_CHECKING:
    from v2g_feeder.screening import Limits

__all__ = ["ConditionsSection", "EnvelopeSection", "FleetCapacitySection", "HostingSection"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(gt=0, lt=1)]


class ConditionsSection(Section):
    """Feeder conditions; they are printed beside every number."""

    regulators: Regulators = Field(default=Regulators.LOCKED, strict=False)
    """``locked`` at the step's base state; ``top``: locked at the top of their bands; ``free``:
    settling anew from the step's base state."""
    reverse_mode: ReverseMode = Field(default=ReverseMode.AS_MODEL, strict=False)
    """Of all regulators: ``as_model``, ``locked_forward``, ``neutral``, ``bidirectional``,
    ``cogeneration``, or ``unknown``: every mode is searched and the range reported."""
    reverse_threshold_kw: NotNegative | None = None
    """Reverse power from which a regulator takes the flow for reversed, kW."""
    reverse_delay_s: NotNegative | None = None
    """Time that it waits, s. A static solution has no time: only whether it is shorter or longer
    than the delays of regulators and banks counts, and the report says where it does nothing."""
    capacitors: Capacitors = Field(default=Capacitors.CONTROLLED, strict=False)
    """``controlled``: as the model has them; ``off``."""
    source_pu: Positive | None = None
    """Voltage of the source, per unit; left out, the model's."""
    generation: NotNegative = 1.0
    """Existing generation over what the model and the study's ``solar`` state: 0 is none, 0.5 half
    of each size, 1 all of it. Storage stays as it is, and so does what measured loads contain."""

    def settings(self) -> Conditions:
        """Return the stage's settings."""
        return Conditions(**self.model_dump())


class FleetCapacitySection(Section):
    """How many vehicles of the study's fleets, placed at random, until limits break."""

    sizes: list[Annotated[int, Field(ge=1)]] | None = Field(default=None, min_length=1)
    """Numbers of vehicles of all fleets together, ascending; left out, a quarter, half, 1, 1.5, 2
    and 3 times the study's, as far as there are customers."""
    draws: int = Field(default=20, ge=1, le=10_000)
    """Placements, each with vehicles and days of its own; 20 are few, and the interval says so."""
    confidence: Probability = 0.9
    """Of the two-sided interval; at 0.9 each bound holds with 95 %."""
    thresholds: list[Probability] = Field(default_factory=lambda: [0.05, 0.5], min_length=1)
    """Probabilities of a violation whose sizes are reported."""
    cases: list[str] = Field(default_factory=lambda: ["expected", "high"], min_length=1)
    """Participation cases: shipped, your own of ``cases``, ``coincident_export`` and
    ``coincident_charge``."""
    request: Literal["per_vehicle", "fixed"] = "per_vehicle"
    """Whether the event's ``request_kw`` grows with the fleet, or stays the study's."""
    count_worse: bool = True
    """Whether making a violation worse counts as one; ``false``: new ones alone, for a feeder that
    breaks limits without any vehicle."""

    def settings(self) -> FleetCapacity:
        """Return the stage's settings."""
        given = self.model_dump()
        names = ("sizes", "thresholds", "cases")
        lists = {name: tuple(given[name]) for name in names if given[name] is not None}
        return FleetCapacity(**(given | lists))


class MeasureSection(Section):
    """One measure, by its name; exactly one of the kinds."""

    name: str = Field(min_length=1)
    """What it is called in the tables."""
    regulator: str | None = None
    """A regulator control, or ``all``, that gets ``vreg_v`` or ``band_v``."""
    vreg_v: Positive | None = None
    """Forward set-point, V at the relay."""
    band_v: Positive | None = None
    """Bandwidth, V at the relay."""
    transformer: str | None = None
    """A transformer that is replaced by one of ``kva``, the impedance in percent as it is."""
    kva: Positive | None = None
    """Its new nameplate, kVA."""
    volt_var: bool = False
    """The charger follows the volt-var curve of IEEE 1547-2018, category B, while it exports."""
    volt_watt: bool = False
    """The charger follows the volt-watt curve of IEEE 1547-2018, category B, which begins at 1.06
    pu: what it buys is reported with the kWh that it curtails. With ``volt_var``: both."""
    other_phase: bool = False
    """Each bus's best single phase in place of the one it has; single phases must be asked for."""
    charging_hours: Annotated[float, Field(gt=0, le=24)] | None = None
    """Managed charging: so many hours a day, the best ones of each day."""

    @model_validator(mode="after")
    def _one_kind(self) -> MeasureSection:
        kinds = {
            "regulator": self.regulator is not None,
            "transformer": self.transformer is not None,
            "volt_var, volt_watt": self.volt_var or self.volt_watt,
            "other_phase": self.other_phase,
            "charging_hours": self.charging_hours is not None,
        }
        if sum(kinds.values()) != 1:
            raise ValueError(f"give one of {', '.join(kinds)}")
        settings = self.vreg_v is not None or self.band_v is not None
        if kinds["regulator"] != settings:
            raise ValueError("regulator goes with vreg_v or band_v, and they with it")
        if kinds["transformer"] != (self.kva is not None):
            raise ValueError("transformer goes with kva, and kva with it")
        return self

    def settings(self) -> Measure:
        """Return the stage's settings."""
        others = {"volt_var", "volt_watt", "other_phase", "charging_hours"}
        return Measure(**self.model_dump(exclude=others))

    def chargers(self) -> ChargerControl:
        """Return what chargers do with their voltage."""
        return ChargerControl(
            volt_var=category_b("volt_var") if self.volt_var else None,
            volt_watt=category_b("volt_watt") if self.volt_watt else None,
        )


class EnvelopeSection(Section):
    """How much each connection point of the study's fleets may export and import at once."""

    allocation: Literal["equal", "proportional"] = "equal"
    """``equal``: the same kW at every point, as far as its chargers' rating goes;
    ``proportional``: the same share of every rating."""
    tolerance_share: Probability = 0.01
    """The size that fails is at most this share of the (largest) rating above the one that
    passes."""
    inner_points: int = Field(default=1000, ge=0, le=1_000_000)
    """Random points inside each step's envelope that must pass."""
    check_steps: int = Field(default=12, ge=0, le=1_000_000)
    """Steps, drawn at random by the study's seed, that OpenDSS solves again beside the least ones
    of each direction: every vertex at the limits, and those that fail above. 0: none at all."""

    def settings(self) -> Envelope:
        """Return the stage's settings."""
        return Envelope(**self.model_dump(exclude={"check_steps"}))


class EventStepsSection(Section):
    """Ends of an export event whose sudden changes limit export, beside the loss of all export.

    Regulators stay where they stand, and there is no ramp.
    """

    start: bool = True
    """From charging to export, at the step's base load."""
    end: bool = True
    """From export to the charging that follows, the rebound."""
    charging_share: Positive = 1.0
    """Charging kW before the start and after the end, over the size that is searched; 1, that a
    charger draws at the rating at which it exports, is an assumption."""

    @model_validator(mode="after")
    def _something_is_asked(self) -> EventStepsSection:
        if not (self.start or self.end):
            raise ValueError("neither start nor end is asked for: leave event_steps out")
        return self

    def settings(self) -> EventSteps:
        """Return the stage's settings."""
        return EventSteps(**self.model_dump())


class HostingSection(Section):
    """Nodal hosting capacity, hour by hour, export and import."""

    buses: list[str | int] | None = Field(default=None, min_length=1)
    """Buses to ask for; left out, every screened bus."""
    connections: (
        Literal["default", "own"]
        | Annotated[list[Annotated[Connection, Field(strict=False)]], Field(min_length=1)]
    ) = "default"
    """``default``: each phase of a bus, and all three where it has them; ``own``: the widest
    connection of each bus; or a list, such as ``[AB, ABC]``, taken where a bus has it."""
    maximum_kw: Positive = 5000.0
    """Largest size tried; where no limit is met up to it, the capacity is ``censored``."""
    tolerance_kw: Positive = 1.0
    """The size that fails is at most this above the one that passes, or the share below."""
    tolerance_share: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """The same as a share of the size."""
    scan: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Evenly spaced sizes solved beforehand, which show a limit that is met and passed again; left
    out, 5 with free regulators and none otherwise."""
    event_steps: EventStepsSection | None = None
    """Sudden changes at an event's start and end; left out, they are not searched. ``{}`` takes the
    defaults."""
    conditions: ConditionsSection = Field(default_factory=ConditionsSection)
    further_conditions: list[ConditionsSection] = Field(default_factory=list)
    """Other conditions under which the same is asked, such as regulators locked and free; every
    number has its conditions beside it."""
    mitigation: list[MeasureSection] = Field(default_factory=list)
    """Measures, each with the capacity that it buys under the first of the conditions."""
    coordinate_system: str | None = None
    """What the model's bus coordinates are, such as ``EPSG:2229``, for the map; left out, the map
    says that none is stated."""
    check_minima: bool = True
    """Whether OpenDSS solves the least capacity of each (bus, connection, direction) again."""
    check_pairs: int = Field(default=1000, ge=0, le=1_000_000)
    """Further answers that OpenDSS solves again, drawn at random by the study's seed."""

    fleet: FleetCapacitySection | None = None
    """Fleet capacity besides; left out, it is not asked for. ``{}`` takes the defaults."""
    envelope: EnvelopeSection | None = None
    """Operating envelopes besides; left out, they are not asked for. ``{}`` takes the defaults."""

    @model_validator(mode="after")
    def _measures_can_be_told_apart(self) -> HostingSection:
        names = [measure.name for measure in self.mitigation]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"mitigation: {', '.join(twice)} is there twice")
        single = [one for one in self.connections if len(one) == 1]
        enough = self.connections == "default" or len(single) > 1
        if any(measure.other_phase for measure in self.mitigation) and not enough:
            raise ValueError("mitigation: other_phase needs connections of more than one phase")
        return self

    def check(self, limits: Limits) -> None:
        """Refuse settings that do nothing.

        Raises
        ------
        InputError
            For conditions without effect, and ends of an event under limits without sudden changes.
        """
        self.asked()
        unlimited = not any(math.isfinite(band.change_pu) for band in limits.sudden)
        if self.event_steps is not None and unlimited:
            message = f"{limits.name} does not limit sudden changes of voltage"
            raise InputError(Problem("hosting.event_steps", message))

    def search(self) -> Search:
        """Return the stage's settings."""
        steps = EventSteps() if self.event_steps is None else self.event_steps.settings()
        return Search(self.maximum_kw, self.tolerance_kw, self.tolerance_share, self.scan, steps)

    def asked(self) -> tuple[Conditions, ...]:
        """Return the conditions under which is asked, as they were stated."""
        stated = (self.conditions, *self.further_conditions)
        return tuple(dict.fromkeys(one.settings() for one in stated))

    def wanted_buses(self) -> list[str] | None:
        """Return the buses' names."""
        return None if self.buses is None else [str(bus) for bus in self.buses]

    def wanted_connections(self) -> str | list[str]:
        """Return the connections' names."""
        given = self.connections
        return given if isinstance(given, str) else [str(one) for one in given]
