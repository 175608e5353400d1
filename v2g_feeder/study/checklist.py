"""The checklist file: candidate feeders, the evidence for each, and thresholds of one's own.

Field descriptions are the documentation of the YAML schema. Paths are relative to the file's
folder.
"""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from v2g_feeder.calendar import DEFAULT_SEASONS, season_calendar
from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.pilot import Thresholds, default_thresholds
from v2g_feeder.pilot.agreement import NONE
from v2g_feeder.pilot.clock import parse_window
from v2g_feeder.study.protection_section import HeadSection  # noqa: TC001  # pydantic reads it
from v2g_feeder.study.sections import Section, section_problems
from v2g_feeder.study.yaml_file import read_yaml

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "AgreementFile",
    "CandidateSection",
    "Checklist",
    "ChecklistFile",
    "load_checklist",
]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Columns = dict[str, str] | None
Question = Literal["load_relief", "voltage_response", "hosting_capacity"]
_PER_KIND: Final = {
    "timezone": ("sessions", "ocpp"),
    "dates": ("sessions",),
    "base": ("trips",),
}


class LoadEvidence(Section):
    """Load of the feeder, measured."""

    file: str
    """CSV at 15, 30 or 60 min, local standard time, at least one season."""
    kind: Literal["scada", "ami"] = "scada"
    """``scada``: a column of kW at the head; ``ami``: a column of kW a meter, summed."""
    columns: Columns = None
    """Your names of the columns ``timestamp`` and ``kw``."""
    hour_ending: bool = False
    """Whether the time stamps end their interval."""


class PlugInEvidence(Section):
    """When vehicles are plugged in."""

    file: str
    """CSV; ACN-style JSON for ``sessions``; JSON of OCPP messages for ``ocpp``."""
    kind: Literal["sessions", "ocpp", "trips", "timetable"] = "sessions"
    """``sessions``: charging sessions; ``ocpp``: meter values; ``trips``: telematics trips;
    ``timetable``: a plan."""
    columns: Columns = None
    """Your names of the columns."""
    vehicles: int | None = Field(default=None, ge=1)
    """Vehicles (or ports) of the fleet; left out, those that the file names."""
    timezone: str | None = None
    """Zone (IANA) of the site, for ``sessions`` and ``ocpp``: moves wall times, or times with an
    offset, to standard time. Left out, the times of sessions are taken as standard time."""
    dates: Literal["day-first", "month-first"] | None = None
    """For ``sessions`` with dates such as 03/04/2021."""
    base: str | None = None
    """For ``trips``: the ``end_location`` at which vehicles stand at their chargers; default
    ``base``."""

    @field_validator("timezone")
    @classmethod
    def _zone_is_known(cls, value: str | None) -> str | None:
        try:
            ZoneInfo(value or "UTC")
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("is no time zone such as America/Los_Angeles") from error
        return value

    @model_validator(mode="after")
    def _keys_go_with_kind(self) -> PlugInEvidence:
        for name, kinds in _PER_KIND.items():
            if getattr(self, name) is not None and self.kind not in kinds:
                raise ValueError(f"`{name}` goes with kind {' or '.join(kinds)}")
        if self.kind == "ocpp" and self.timezone is None:
            raise ValueError("`timezone` is needed: OCPP times carry an offset")
        return self


class VoltageEvidence(Section):
    """Voltages of the node at the chargers."""

    file: str
    """CSV: ``timestamp`` and of ``v_a``, ``v_b``, ``v_c`` two or more, V or pu."""
    columns: Columns = None
    """Your names of these."""


class TelemetryEvidence(Section):
    """A telemetry sample of the chargers."""

    file: str
    """CSV: ``timestamp``, ``charger``, ``phase``, ``kw``, ``status``, ``received_at``."""
    columns: Columns = None
    """Your names of these."""
    unit: Literal["kw", "w"] = "kw"
    """Unit of the power column."""
    voltages: VoltageEvidence | None = None
    """Node voltages, to confirm the phases that the chargers state."""


class ProtectionEvidence(Section):
    """Devices in the fault path."""

    devices: str
    """Inventory, YAML or CSV, as for the protection screen of a study: ``device``, ``kind``,
    ``element``, ``change`` (``settings``, ``part`` or ``rebuild``) and settings."""
    findings: str | None = None
    """``protection.csv`` of a study's result; or CSV of your own: ``check``, ``device``,
    ``outcome``, ``note``. Left out, the screen is run where ``model``, ``buses`` and
    ``export_kw`` are given."""
    head: HeadSection | Literal["model"] | None = None
    """Fault level at the head for that screen, as in a study; left out, what needs it is
    unknown."""


class AgreementEvidence(Section):
    """The control agreement."""

    file: str
    """The register, YAML."""
    vehicle_standards: list[str] | None = None
    """Standards that will do between vehicle and charger; default ISO 15118-20."""
    backend_standards: list[str] | None = None
    """Standards that will do between charger and back end; default OCPP 2.0.1."""


class EventEvidence(Section):
    """An event that took place."""

    file: str
    """CSV: ``timestamp``, ``fleet_kw``, ``head_kw`` and a column of pu a node, named by the
    node."""
    columns: Columns = None
    """Your names of the first three."""
    start: str
    """Local standard time, quoted: ``"2025-07-15 17:00"``."""
    end: str
    called_kw: Positive
    """Change asked for, kW."""
    points: dict[str, Positive] = Field(default_factory=dict)
    """Share of the fleet by bus and nodes, such as ``"13.1.2.3": 1``: the response is compared
    with that of ``model``."""

    @field_validator("start", "end")
    @classmethod
    def _is_a_time(cls, value: str) -> str:
        datetime.strptime(value, "%Y-%m-%d %H:%M")  # noqa: DTZ007  # local standard time, naive
        return value


class CandidateSection(Section):
    """A candidate feeder. Evidence that is left out is missing, and its item unknown."""

    name: str = Field(min_length=1, pattern=r"^[\w .,()+-]+$")
    """Name of the feeder."""
    questions: list[Question] = Field(
        default=["load_relief", "voltage_response", "hosting_capacity"], min_length=1
    )
    """What its pilot is to answer."""
    window: str | None = None
    """Hours of the event, quoted: ``"17:00-20:00"``; left out, those of the evening peak."""
    seasons: list[str] = Field(default_factory=list)
    """Seasons in which events are wanted; left out, all that the load record covers."""
    load: LoadEvidence | None = None
    plug_in: PlugInEvidence | None = None
    telemetry: TelemetryEvidence | None = None
    protection: ProtectionEvidence | None = None
    agreement: AgreementEvidence | None = None
    model: str | None = None
    """A shipped feeder or an OpenDSS master file: names the devices in the fault path."""
    buses: list[str | int] = Field(default_factory=list)
    """Where the site connects, for ``model``."""
    interconnection_points: int | None = Field(default=None, ge=1)
    """Points at which the fleet connects."""
    export_kw: Positive | None = None
    """Rated export of the fleet's chargers together, kW."""
    results: str | None = None
    """Result folder of a study of this feeder: gives ``relieved_kw``, the least over its seasons of
    the mean relief at the head in event hours, expected participation."""
    relieved_kw: NotNegative | None = None
    """kW that a study found the fleet to relieve at the head."""
    events: list[EventEvidence] = Field(default_factory=list)
    """Events that took place, to check what was delivered and how the feeder responded."""

    @field_validator("window")
    @classmethod
    def _window_reads(cls, value: str | None) -> str | None:
        if value is not None:
            parse_window(value)
        return value

    @model_validator(mode="after")
    def _buses_go_with_model(self) -> CandidateSection:
        if (self.model is None) != (not self.buses):
            raise ValueError("`model` and `buses` go together")
        if self.model is None and any(event.points for event in self.events):
            raise ValueError("`points` of an event need `model`")
        if self.results is not None and self.relieved_kw is not None:
            raise ValueError("give either `results` or `relieved_kw`")
        own = self.protection
        if own and own.head and (own.findings or not (self.model and self.export_kw)):
            text = (
                "`protection.head` is for the screen, which needs `model` and `export_kw` and no "
            )
            raise ValueError(f"{text}`findings`")
        return self


class ChecklistFile(Section):
    """A checklist."""

    name: str = Field(min_length=1, pattern=r"^[\w .,()+-]+$")
    """Name of the checklist."""
    thresholds: dict[str, float] = Field(default_factory=dict)
    """Thresholds in place of the shipped ones, by name."""
    seasons: dict[str, list[int]] = Field(
        default_factory=lambda: {name: list(months) for name, months in DEFAULT_SEASONS.items()}
    )
    """Months by season."""
    feeders: list[CandidateSection] = Field(min_length=1)


Text = str | list[str] | None
Number = float | str | None


class AgreementFile(Section):
    """An agreement register.

    Leave empty what is not known; write ``none`` for what is known not to be agreed.
    """

    may_call: Text = None
    """Who may call an event."""
    notice_minutes: Number = None
    """Notice before an event, min."""
    events_per_year: Number = None
    """Most events a year."""
    hours_per_event: Number = None
    """Most hours an event."""
    reserve_soc: Number = None
    """State of charge kept for the driver, 0 to 1."""
    fallback: Text = None
    """What chargers do when communication is lost."""
    interconnection_permit: Text = None
    """Permit to export: its number, or where it is kept."""
    vehicle_standard: Text = None
    """Between vehicle and charger, such as ISO 15118-20."""
    backend_standard: Text = None
    """Between charger and back end, such as OCPP 2.0.1."""
    cybersecurity: Text = None
    """Evidence: a test report, a certificate."""

    @field_validator("notice_minutes", "events_per_year", "hours_per_event", "reserve_soc")
    @classmethod
    def _is_a_number(cls, value: Number, info: ValidationInfo) -> Number:
        if value is None or value == NONE:
            return value
        if isinstance(value, str):
            raise ValueError(f"expected a number, or {NONE!r}")  # noqa: TRY004
        if not 0 <= value < math.inf:
            raise ValueError("expected 0 or more")
        if info.field_name == "reserve_soc" and value > 1:
            raise ValueError("input should be less than or equal to 1")
        return value


class Checklist:
    """A checked checklist file.

    Parameters
    ----------
    content
        The sections.
    path
        Where it was read from.
    """

    def __init__(self, content: ChecklistFile, path: Path) -> None:
        self.content = content
        self.path = path
        self.thresholds: Thresholds = default_thresholds().changed(content.thresholds)
        self._check()

    def _check(self) -> None:
        """Raise for seasons and names that do not fit together."""
        problems: list[Problem] = []
        try:
            season_calendar(self.content.seasons)
        except InputError as error:
            problems += error.problems
        seasons = list(self.content.seasons)
        for number, feeder in enumerate(self.content.feeders):
            problems += [
                Problem(
                    f"feeders[{number}].seasons", f"unknown season {name!r}", nearest(name, seasons)
                )
                for name in feeder.seasons
                if name not in seasons
            ]
        count = Counter(page_name(feeder.name) for feeder in self.content.feeders)
        problems += [
            Problem("feeders", f"the name {feeder.name!r} stands twice", "as a file name")
            for feeder in self.content.feeders
            if count.pop(page_name(feeder.name), 1) > 1
        ]
        if problems:
            raise InputError(problems)


def page_name(name: str) -> str:
    """Return a feeder's name as that of its file, without the ending."""
    kept = [letter.lower() if letter.isalnum() else "-" for letter in name]
    return "-".join(part for part in "".join(kept).split("-") if part) or "feeder"


def load_checklist(path: Path) -> Checklist:
    """Read and check a checklist file; the evidence is not read yet.

    Raises
    ------
    InputError
        With every problem of the file: key, what was found, the nearest valid name.
    """
    raw = read_yaml(path)
    try:
        content = ChecklistFile.model_validate(raw)
    except ValidationError as error:
        raise InputError(section_problems(path, error, ChecklistFile)) from error
    try:
        return Checklist(content, path)
    except InputError as error:
        raise InputError(
            [Problem(f"{path}: {p.where}", p.message, p.hint) for p in error.problems]
        ) from error
