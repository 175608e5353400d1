"""The study file: one page that names a feeder, a fleet and what to look for.

Field descriptions are the documentation of the YAML schema. Stages own their own settings; this
module checks what a user wrote and hands each stage its part.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, model_validator

from v2g_feeder.calendar import DEFAULT_SEASONS, Calendar, season_calendar
from v2g_feeder.conventions import BOUNDING_CASES, Case, DayType, Placement
from v2g_feeder.dispatch import Aggregator, Event, Programme, Tariff, default_tariff
from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.feeder.library import feeder_names, resolve_model
from v2g_feeder.feeder.secondary import SecondarySettings
from v2g_feeder.fleet import (
    FleetSettings,
    Participation,
    load_participation,
    participation_case,
)
from v2g_feeder.loadshape.placement import Place
from v2g_feeder.screening import Limits, is_file_name, load_limits
from v2g_feeder.study.charger_section import ChargersSection
from v2g_feeder.study.hosting_section import HostingSection
from v2g_feeder.study.protection_section import ProtectionSection  # noqa: TC001  # pydantic reads it
from v2g_feeder.study.ramp_section import RampSection  # noqa: TC001  # pydantic reads it
from v2g_feeder.study.sections import Section, section_problems
from v2g_feeder.study.solar_section import SolarSection  # noqa: TC001  # pydantic reads it
from v2g_feeder.study.yaml_file import read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Study", "load_study"]

_WINDOW: Final = re.compile(r"^([01]?\d|2[0-4]):([0-5]\d)\s*-\s*([01]?\d|2[0-4]):([0-5]\d)$")
_NAME: Final = re.compile(r"^[A-Za-z][A-Za-z0-9_]*$")
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def window_hours(window: str) -> tuple[float, float]:
    """Return the start and end of ``17:00-21:00`` in hours."""
    match = _WINDOW.match(window)
    if not match:
        raise ValueError(f'window {window!r} does not read as "17:00-21:00"')
    a, b, c, d = (int(part) for part in match.groups())
    return a + b / 60, c + d / 60


class SecondariesSection(Section):
    """Service transformers, mains and drops under medium-voltage loads."""

    rating_kva: Positive | None = None
    """Nameplate of a single-phase service transformer, kVA; three in a three-phase bank."""
    main_m: Positive | None = None
    """Length of the shared main, m."""
    drop_m: Positive | None = None
    """Length of each drop, m."""
    admd_kw: Positive | None = None
    """After-diversity maximum demand of a customer, kW; customers = load kW / this."""

    def settings(self) -> SecondarySettings:
        """Return the stage's settings; what is left out takes its default."""
        given = {name: value for name, value in self.model_dump().items() if value is not None}
        return SecondarySettings(**given)


class FeederSection(Section):
    """The feeder."""

    model: str
    """A shipped feeder (ieee13, ieee34, ieee37, ieee123) or the path of an OpenDSS master file."""
    source_pu: Positive | None = None
    """Voltage of the source, per unit; left out, the model's."""
    secondaries: SecondariesSection | None = None
    """Services under medium-voltage loads; left out, customers connect where the model's loads do.
    ``{}`` takes the defaults."""


class BaseLoadSection(Section):
    """Load of the customers without EVs."""

    source: Literal["native", "standard", "csv"] = "native"
    """``native``: the model's own shapes; ``standard``: shipped shapes of a United States feeder;
    ``csv``: your own measurements."""
    head_peak_kw: Positive | None = None
    """Highest kW at the feeder head over the calendar; scales P and Q of every load together and
    includes losses."""
    file: str | None = None
    """CSV file, for ``source: csv``."""
    kind: Literal["scada", "ami"] = "scada"
    """``scada``: kW and kvar at the head; ``ami``: one column of kW a load."""
    columns: dict[str, str] | None = None
    """Your names of the columns ``timestamp``, ``kw`` and ``kvar``."""
    hour_ending: bool = False
    """Whether the timestamps end their interval."""
    timestamp_format: str | None = None
    """How the timestamps are written, as Python's ``strptime`` has it, such as
    ``"%d.%m.%Y %H:%M"``; left out, ISO 8601."""
    classes: dict[str, str] | None = None
    """Customer class by load name, for ``source: standard``."""
    default_class: str = "residential"
    """Customer class of the loads not named in ``classes``."""
    first_month: Annotated[int, Field(ge=1, le=12)] = 1
    """Month on whose first day the model's own load shapes of a year begin, for ``source: native``;
    EPRI's ckt5 begins in July."""

    @model_validator(mode="after")
    def _file_goes_with_csv(self) -> BaseLoadSection:
        if (self.source == "csv") != (self.file is not None):
            raise ValueError("`file` goes with `source: csv`, and only with it")
        if self.source != "native" and "first_month" in self.model_fields_set:
            raise ValueError("`first_month` goes with `source: native`, and only with it")
        return self


class CalendarSection(Section):
    """Seasons x day types, by step."""

    seasons: dict[str, list[int]] = Field(
        default_factory=lambda: {name: list(months) for name, months in DEFAULT_SEASONS.items()}
    )
    """Months by season."""
    day_types: list[Annotated[DayType, Field(strict=False)]] = Field(
        default_factory=lambda: list(DayType)
    )
    """``weekday``, ``weekend``, ``peak_day``, ``min_day``."""
    step_minutes: Literal[60, 30, 15] = 60
    """Length of a step."""


class PlaceSection(Section):
    """Where the vehicles are."""

    by: Placement = Field(default=Placement.CUSTOMERS, strict=False)
    """``customers``, ``buses``, ``near_head``, ``end_of_line`` or ``cluster``."""
    buses: list[str | int] = Field(default_factory=list)
    """Names, for ``by: buses``."""
    phases: Literal["as_load", "balanced", "A", "B", "C"] = "as_load"
    """The customers' own, balanced over phases, or one phase."""
    kv: Positive | None = None
    """Rated kV of chargers at named buses; left out, the bus's own."""

    @model_validator(mode="after")
    def _buses_go_with_by(self) -> PlaceSection:
        if self.by != Placement.BUSES and (self.buses or self.kv is not None):
            raise ValueError("`buses` and `kv` go with `by: buses`, and only with it")
        return self

    def settings(self) -> Place:
        """Return the stage's settings."""
        return Place(str(self.by), tuple(str(bus) for bus in self.buses), self.phases, self.kv)


class PenetrationSection(Section):
    """Vehicles as a share of customers."""

    of: Literal["customers"] = "customers"
    """The denominator."""
    share: Share
    """Vehicles per customer, 0 to 1."""


class FleetSection(Section):
    """One fleet."""

    name: str = Field(min_length=1)
    """Name in tables and figures."""
    archetype: str = "residential"
    """Kind of fleet: a shipped name (residential, apartment, workplace, school_bus, transit,
    delivery_van, delivery_truck, municipal) or the path of an archetype file, such as one that
    ``v2g-feeder fit`` wrote."""
    vehicles: int | None = Field(default=None, ge=0)
    """Number of vehicles; or give ``penetration``."""
    penetration: PenetrationSection | None = None
    """Vehicles per customer; or give ``vehicles``."""
    export_capable: Share
    """Share of vehicles with bidirectional vehicle and charger. Required: under 1.5 % of EV models
    could export in 2026 (IEA)."""
    permitted: Share = 1.0
    """Share of the bidirectional vehicles whose site may export."""
    compatible: Share | None = None
    """Share of vehicles that could export with the right charger; left out, ``export_capable``."""
    accepted: Share = 1.0
    """Share of the bidirectional vehicles whose warranty allows discharging and whose owner is
    paid for it."""
    smart_only: Share = 0.0
    """Share of vehicles that follow the tariff by a timer of their own while not enrolled."""
    charger_kw: Positive | None = None
    """Charger rating both ways at the grid side, kW."""
    battery_kwh: Positive | None = None
    """Usable battery, kWh."""
    reserve_soc: Share | None = None
    """Never discharged below this state of charge."""
    departure_soc: Share | None = None
    """State of charge wanted at departure."""
    efficiency_charge: Share | None = None
    """From meter to battery."""
    efficiency_discharge: Share | None = None
    """From battery to meter."""
    ports: int | None = Field(default=None, ge=1)
    """Chargers of a depot that the vehicles share; left out, the archetype's."""
    enrolled: Share | None = None
    """Share of this fleet that is contracted, in every participation case; left out, the case's.
    A depot's operator signs for all of it."""
    plug_in_delay_h: NotNegative = 0.0
    """Hours by which drivers plug in after they have come: late arrivals."""
    site_import_kw: Positive | None = None
    """Most that the chargers of the site may draw together, kW."""
    site_export_kw: NotNegative | None = None
    """Most that the site may export, kW."""
    place: PlaceSection = Field(default_factory=PlaceSection)
    """Where the vehicles are."""

    @model_validator(mode="after")
    def _one_size(self) -> FleetSection:
        if (self.vehicles is None) == (self.penetration is None):
            raise ValueError("give either `vehicles` or `penetration`")
        return self

    def settings(self, customers: int, folder: Path) -> FleetSettings:
        """Return the stage's settings for a feeder of that many customers.

        An archetype's path is relative to ``folder``.
        """
        archetype = self.archetype
        if archetype.lower().endswith((".yaml", ".yml")):
            archetype = str(folder / archetype)
        share = self.penetration.share if self.penetration else 0.0
        vehicles = round(share * customers) if self.vehicles is None else self.vehicles
        return FleetSettings(
            name=self.name,
            vehicles=vehicles,
            export_capable=self.export_capable,
            archetype=archetype,
            permitted=self.permitted,
            compatible=self.compatible,
            accepted=self.accepted,
            smart_only=self.smart_only,
            charger_kw=self.charger_kw,
            battery_kwh=self.battery_kwh,
            reserve_soc=self.reserve_soc,
            departure_soc=self.departure_soc,
            efficiency_charge=self.efficiency_charge,
            efficiency_discharge=self.efficiency_discharge,
            ports=self.ports,
            enrolled=self.enrolled,
            plug_in_delay_h=self.plug_in_delay_h,
            site_import_kw=self.site_import_kw,
            site_export_kw=self.site_export_kw,
        )


class ExportSection(Section):
    """Export events."""

    window: str = "17:00-21:00"
    """Hours of the event, local standard time, quoted: ``"17:00-21:00"``; ``"22:00-02:00"`` ends
    on the next day."""
    request_kw: Positive
    """What the aggregator asks of all fleets together, kW."""
    seasons: list[str] | None = None
    """Seasons with events; left out, all."""
    days: Literal["all", "weekdays", "weekends"] = "all"
    """Days with events; peak and minimum days count as weekdays."""

    @model_validator(mode="after")
    def _window_reads(self) -> ExportSection:
        start, end = self.hours
        if max(start, end) > 24 or start in (end, 24):
            raise ValueError(f"window {self.window!r} is not a part of a day")
        return self

    @property
    def hours(self) -> tuple[float, float]:
        """Start and end in hours."""
        return window_hours(self.window)

    def event(self) -> Event:
        """Return the stage's event."""
        start, end = self.hours
        return Event(start_h=start, end_h=end, request_kw=self.request_kw, days=self.days)


class AggregatorSection(Section):
    """Between a request and the vehicles that answer it."""

    latency_minutes: NotNegative | None = None
    """From the start of an event until the first vehicle answers, minutes."""
    poll_minutes: NotNegative | None = None
    """Between two posts of measurements, minutes."""
    ramp_minutes: NotNegative | None = None
    """From the first answer to the whole request, minutes."""
    precharge: bool | None = None
    """Whether vehicles that can export are charged before an event rather than after it."""
    rebound: Literal["managed", "immediate"] | None = None
    """Charging after an event."""
    stagger_minutes: NotNegative | None = None
    """Time over which starts of ``immediate`` charging are spread, minutes."""

    def settings(self) -> Aggregator:
        """Return the stage's settings; what is left out takes its default."""
        return Aggregator(**self.model_dump(exclude_none=True))


class TariffSection(Section):
    """Prices for the policies that follow one."""

    weekday_per_kwh: list[float] | None = Field(default=None, min_length=24, max_length=24)
    """Price by hour on weekdays, 24 values."""
    weekend_per_kwh: list[float] | None = Field(default=None, min_length=24, max_length=24)
    """Price by hour on weekends, 24 values."""
    throughput_per_kwh: Positive | None = None
    """Wear per kWh exported."""

    def settings(self) -> Tariff:
        """Return the stage's settings; what is left out takes its default."""
        given = self.model_dump(exclude_none=True)
        tables = {key: tuple(value) for key, value in given.items() if isinstance(value, list)}
        return replace(default_tariff(), **(given | tables))


class DispatchSection(Section):
    """What the vehicles do."""

    charging: Literal["managed"] = "managed"
    """Charging of enrolled vehicles outside events. Uncontrolled charging is always run beside it,
    as its reference."""
    signal: Literal["load", "price"] = "load"
    """What managed charging fills: the valley of the load, or the cheapest hours."""
    also: list[Literal["time_of_use", "v2h", "price"]] = Field(default_factory=list)
    """Further policies to run: ``time_of_use`` (charging off-peak first), ``v2h`` (covers the
    premise's own load in the hours of the highest price, never beyond it), ``price`` (trades on
    the tariff, wear included)."""
    aggregator: AggregatorSection = Field(default_factory=AggregatorSection)
    """Latency, ramp and rebound."""
    tariff: TariffSection = Field(default_factory=TariffSection)
    """Prices."""
    export: ExportSection | None = None
    """Export events; left out, no vehicle exports."""


class CaseSection(Section):
    """A participation case of the study's own."""

    like: Literal["low", "expected", "firm", "high"] = "expected"
    """The shipped case that gives what is left out."""
    enrolled: Share | None = None
    """Share of all vehicles in the programme."""
    responds: Share | None = None
    """Share of enrolled vehicles that answer an event's command."""
    opt_out: Share | None = None
    """Share of enrolled vehicles whose driver declines an event."""
    outage: Share | None = None
    """Chance that an event-day fails for the whole fleet."""
    plug_in: NotNegative | None = None
    """Factor on the rate at which drivers plug in, 1 as in the archetype's records."""
    stated_error: Literal[0, 1] | None = None
    """1: departures are known as drivers state them; 0: as they happen."""

    def settings(self, name: str) -> Participation:
        """Return the stage's settings."""
        changes = self.model_dump(exclude_none=True, exclude={"like"})
        return participation_case(name, self.like, changes)


class ScreeningSection(Section):
    """Limits."""

    limits: str = "ansi_c84_1_a"
    """Name of a preset (ansi_c84_1_a, ansi_c84_1_b, en_50160, ica, drive), or the path of a YAML
    file with a set of your own."""
    reverse_flow_kw: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        default_factory=dict
    )
    """Largest reverse flow allowed, kW, by element name or ``head``; elsewhere an indicator."""
    thermal_pct: Positive | None = None
    """Largest loading, percent of the basis; left out, the preset's."""


class CreditSection(Section):
    """What can be counted on at the hours of system or feeder stress."""

    window: str | None = None
    """Hours of stress, quoted: ``"17:00-20:00"``; left out, those round the peak of the base
    load."""
    contract_kw: Positive | None = None
    """What the fleet's contract promises, kW."""
    kept_share: Annotated[float, Field(gt=0, le=1)] = 0.99
    """Share of the contract that has to be held through an event for it to be kept; 0.99, an
    assumption, leaves room for the moment in which a vehicle that leaves is replaced."""
    evidence: Literal["untested", "lab", "field"] = "untested"
    """What the response of vehicles and aggregator rests on."""

    @model_validator(mode="after")
    def _window_reads(self) -> CreditSection:
        hours = self.hours
        if hours is not None and hours[1] <= hours[0]:
            raise ValueError(f"window {self.window!r} has to end on the day on which it begins")
        return self

    @property
    def hours(self) -> tuple[float, float] | None:
        """Start and end in hours."""
        return None if self.window is None else window_hours(self.window)


class PowerFlowSection(Section):
    """How states are solved; see ``studies/README.md``, Engines."""

    engine: Literal["auto", "batch", "opendss"] = "auto"
    """``batch``: the engine on the feeder's own matrix where it represents the model exactly,
    checked against OpenDSS; ``opendss``: OpenDSS alone; ``auto``: the first for large studies."""
    check_units: int = Field(default=4, ge=0, le=10_000)
    """Days (of one policy, case and draw) that OpenDSS solves again, drawn at random."""


class StudySection(Section):
    """A study."""

    name: str = Field(min_length=1, pattern=r"^\w(?:[\w .,()+-]*[\w)+])?$")
    """Name of the study; its result folder has it too, so that it begins with a letter or digit and
    ends in no point."""
    question: str = ""
    """What the study should answer, in a sentence; printed at the top of the report."""
    feeder: FeederSection
    base_load: BaseLoadSection = Field(default_factory=BaseLoadSection)
    calendar: CalendarSection = Field(default_factory=CalendarSection)
    solar: list[SolarSection] = Field(default_factory=list)
    """Photovoltaic arrays beside what the model holds."""
    fleets: list[FleetSection] = Field(default_factory=list)
    chargers: ChargersSection = Field(default_factory=ChargersSection)
    dispatch: DispatchSection = Field(default_factory=DispatchSection)
    participation: list[str] = Field(
        default_factory=lambda: [str(case) for case in Case], min_length=1
    )
    """Participation cases of the export policy: ``low``, ``expected``, ``firm``, ``high``, the
    bounding ``coincident_export``, ``coincident_charge``, ``coincident_split``, and your own of
    ``cases``."""
    cases: dict[str, CaseSection] = Field(default_factory=dict)
    """Participation cases of your own, by name."""
    screening: ScreeningSection = Field(default_factory=ScreeningSection)
    protection: ProtectionSection | None = None
    ramp: RampSection | None = None
    """First limit of a rising export, by reverse mode, re-phased and with other set points."""
    credit: CreditSection = Field(default_factory=CreditSection)
    """Capacity credit."""
    power_flow: PowerFlowSection = Field(default_factory=PowerFlowSection)
    hosting: HostingSection = Field(default_factory=HostingSection)
    draws: int = Field(default=10, ge=1, le=10_000)
    """Random realisations of the fleet's days."""
    seed: int = Field(default=1, ge=0)
    """Seed of every random number."""
    store: Literal["summary", "all"] = "summary"
    """``summary``: arrays of draw 0 and the range over draws; ``all``: arrays of every draw."""


class Study:
    """A checked study file.

    Parameters
    ----------
    content
        The sections.
    path
        Where it was read from; paths inside it are relative to its folder.
    """

    def __init__(self, content: StudySection, path: Path) -> None:
        self.content = content
        self.path = path
        self.model: Path = resolve_model(content.feeder.model, path.parent)
        section = content.calendar
        self.calendar: Calendar = season_calendar(
            section.seasons, [str(kind) for kind in section.day_types], section.step_minutes
        )
        self.limits: Limits = self._limits()
        if content.protection is not None:
            content.protection.settings()  # raises for figures that are none
        content.hosting.check(self.limits)
        if content.hosting.fleet is not None:
            content.hosting.fleet.settings()
        self._check_names()

    @property
    def cases(self) -> tuple[str, ...]:
        """Participation cases, in the order of the vocabulary."""
        known = [str(case) for case in Case if case not in BOUNDING_CASES]
        known += [*self.content.cases, *(str(case) for case in BOUNDING_CASES)]
        return tuple(case for case in known if case in self.content.participation)

    @property
    def participation(self) -> dict[str, Participation]:
        """Shipped cases and the study's own, by name."""
        own = {name: case.settings(name) for name, case in self.content.cases.items()}
        return load_participation() | own

    @property
    def programme(self) -> Programme:
        """Aggregator and prices."""
        section = self.content.dispatch
        return Programme(section.aggregator.settings(), section.tariff.settings(), section.signal)

    @property
    def fleets(self) -> tuple[FleetSettings, ...]:
        """Settings of the fleets as on a feeder of a thousand customers."""
        return self.fleets_for(1000)

    def fleets_for(self, customers: int) -> tuple[FleetSettings, ...]:
        """Return the settings of the fleets on a feeder of that many customers."""
        folder = self.path.parent
        return tuple(fleet.settings(customers, folder) for fleet in self.content.fleets)

    @property
    def event(self) -> Event | None:
        """The export event, if the study has one."""
        export = self.content.dispatch.export
        return export.event() if export else None

    def has_event(self, season: str) -> bool:
        """Whether a season has export events."""
        export = self.content.dispatch.export
        return export is not None and (export.seasons is None or season in export.seasons)

    @property
    def files(self) -> dict[str, Path]:
        """Files that the study names, by the key that names them; shipped ones are left out."""
        return _named_files(self.content, self.path.parent)

    def resolved(self) -> dict[str, Any]:
        """Return the study with every default filled in, as it is written beside the result."""
        return self.content.model_dump(mode="json", exclude_none=True)

    def _limits(self) -> Limits:
        section = self.content.screening
        limits = load_limits(section.limits, self.path.parent)
        changed: dict[str, Any] = {}
        if section.reverse_flow_kw:
            changed["reverse_flow_kw"] = dict(section.reverse_flow_kw)
        if section.thermal_pct is not None:
            changed["thermal_pct"] = section.thermal_pct
        return limits.replaced(**changed) if changed else limits

    def _case_problems(self) -> list[Problem]:
        """Return cases that are unknown, and own ones that hide a shipped one."""
        known = [*(str(case) for case in Case), *self.content.cases]
        return [
            Problem("participation", f"unknown case {case!r}", nearest(case, known))
            for case in self.content.participation
            if case not in known
        ] + [
            Problem(f"cases.{name}", f"{name!r} is not a name of your own", "choose another")
            for name in self.content.cases
            if name in set(Case) or not _NAME.match(name)
        ]

    def _check_names(self) -> None:
        """Raise for names that must be known elsewhere in the file."""
        export = self.content.dispatch.export
        seasons = list(self.content.calendar.seasons)
        where = "dispatch.export.seasons"
        problems = [
            Problem(where, f"unknown season {season!r}", nearest(season, seasons))
            for season in (export.seasons if export and export.seasons else [])
            if season not in seasons
        ]
        problems += [
            Problem("screening.limits", f"unknown season {season!r}", nearest(season, seasons))
            for season in self.limits.season_factor
            if season not in seasons
        ]
        names = [fleet.name for fleet in self.content.fleets]
        problems += [
            Problem("fleets", f"the name {name!r} stands twice")
            for name in dict.fromkeys(names)
            if names.count(name) > 1
        ]
        for number, fleet in enumerate(self.fleets):
            problems += fleet.validate(f"fleets[{number}]")
        arrays = [array.name.lower() for array in self.content.solar]
        for number, array in enumerate(self.content.solar):
            problems += array.array().validate(f"solar[{number}]")
            if array.name.lower() in arrays[:number]:
                problems.append(Problem("solar", f"the name {array.name!r} stands twice"))
        problems += self._case_problems()
        problems += self.programme.validate("dispatch")
        if problems:
            raise InputError(problems)


def _named_files(content: StudySection, folder: Path) -> dict[str, Path]:
    """Return the files that a study names, by key."""
    model, limits = content.feeder.model, content.screening.limits
    named = {
        "feeder.model": None if model.lower() in feeder_names() else Path(model).expanduser(),
        "base_load.file": content.base_load.file,
        "screening.limits": limits if is_file_name(limits) else None,
        "protection.devices": content.protection.devices if content.protection else None,
    }
    named |= {
        f"fleets[{number}].archetype": fleet.archetype if is_file_name(fleet.archetype) else None
        for number, fleet in enumerate(content.fleets)
    }
    return {key: (folder / name).resolve() for key, name in named.items() if name}


def _refuse_outside(files: Mapping[str, Path], folders: Sequence[Path]) -> None:
    """Raise for files that lie in none of some folders."""
    inside = [folder.resolve() for folder in folders]
    problems = [
        Problem(
            key,
            f"{path} lies outside the study's folder",
            f"--allow-path {path.parent} lets the study read there",
        )
        for key, path in files.items()
        if not any(path.is_relative_to(folder) for folder in inside)
    ]
    if problems:
        raise InputError(problems)


def load_study(path: Path, *, allowed: Sequence[Path] | None = None, **changes: Any) -> Study:
    """Read and check a study file.

    Parameters
    ----------
    path
        The YAML file.
    allowed
        Folders beside the study's own that it may name files in; left out, all.
    **changes
        Top-level keys set on the command line, such as ``seed``; ``None`` keeps the file's.

    Raises
    ------
    InputError
        With every problem of the file: key, what was found, the nearest valid name.
    """
    raw = read_yaml(path)
    raw |= {key: value for key, value in changes.items() if value is not None}
    try:
        content = StudySection.model_validate(raw)
    except ValidationError as error:
        raise InputError(section_problems(path, error, StudySection)) from error
    try:
        if allowed is not None:
            _refuse_outside(_named_files(content, path.parent), (path.parent, *allowed))
        return Study(content, path)
    except InputError as error:
        raise InputError(
            [
                Problem(f"{path}: {problem.where}", problem.message, problem.hint)
                for problem in error.problems
            ]
        ) from error
