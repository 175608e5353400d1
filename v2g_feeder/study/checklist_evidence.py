"""From the sections of a checklist file to the evidence that the items are answered by."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from v2g_feeder.conventions import Case
from v2g_feeder.errors import InputError, Problem
from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.pilot import Agreement, Candidate
from v2g_feeder.pilot.clock import parse_window
from v2g_feeder.pilot.fault_path import model_fault_path
from v2g_feeder.pilot.load import read_load
from v2g_feeder.pilot.protection import findings_of_screen, read_findings, read_inventory
from v2g_feeder.pilot.stays import read_ocpp, read_sessions, read_timetable, read_trips
from v2g_feeder.pilot.telemetry import read_telemetry, read_voltages
from v2g_feeder.study.checklist import AgreementFile
from v2g_feeder.study.protection import screen_site
from v2g_feeder.study.protection_section import ProtectionSection
from v2g_feeder.study.sections import section_problems
from v2g_feeder.study.yaml_file import read_yaml
from v2g_feeder.workers import run_alone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from v2g_feeder.pilot.fault_path import ModelDevice
    from v2g_feeder.pilot.protection import Finding
    from v2g_feeder.pilot.stays import Stays
    from v2g_feeder.study.checklist import CandidateSection, PlugInEvidence, ProtectionEvidence
    from v2g_feeder.study.sections import Section

__all__ = ["read_evidence"]

_DEADLINE_S: Final = 120.0
_STANDARDS: Final = {
    "vehicle_standards": "vehicle_standard",
    "backend_standards": "backend_standard",
}


class _Reader:
    """Calls readers and gathers what is wrong with every file."""

    def __init__(self, folder: Path, where: str) -> None:
        self.folder = folder
        self.where = where
        self.problems: list[Problem] = []
        self.files: list[Path] = []

    def read(self, file: str, function: Callable[..., Any], **options: Any) -> Any:
        """Return what ``function`` reads from a file, or ``None`` after a problem."""
        path = self.folder / file
        if not path.is_file():
            self.problems.append(Problem(f"{self.where}: {file}", "there is no such file"))
            return None
        self.files.append(path)
        try:
            return function(path, **options)
        except InputError as error:
            self.problems += error.problems
            return None


def read_evidence(
    section: CandidateSection, folder: Path, where: str
) -> tuple[Candidate | None, list[Path], list[Problem]]:
    """Read the evidence of a candidate.

    Parameters
    ----------
    section
        The candidate.
    folder
        Folder that its paths are relative to.
    where
        Place of the section, for messages.

    Returns
    -------
    tuple
        The candidate (``None`` where anything is wrong), the files read, and every problem.
    """
    reader = _Reader(folder, where)
    found: dict[str, Any] = {}
    if (load := section.load) is not None:
        record = reader.read(
            load.file, read_load, kind=load.kind, columns=load.columns, hour_ending=load.hour_ending
        )
        found["load"] = record and replace(record, file=load.file)
    if section.plug_in is not None:
        found["stays"] = _stays(reader, section.plug_in)
        found["vehicles"] = section.plug_in.vehicles
    if (telemetry := section.telemetry) is not None:
        sample = reader.read(
            telemetry.file, read_telemetry, columns=telemetry.columns, unit=telemetry.unit
        )
        found["telemetry"] = sample and replace(sample, file=telemetry.file)
        if (voltages := telemetry.voltages) is not None:
            found["voltages"] = reader.read(voltages.file, read_voltages, columns=voltages.columns)
            found["voltages_file"] = voltages.file
    found |= _protection(reader, section)
    if (agreement := section.agreement) is not None:
        found["agreement"] = reader.read(agreement.file, _agreement, name=agreement.file)
        own = {term: getattr(agreement, name) for name, term in _STANDARDS.items()}
        found["accepted_standards"] = {term: names for term, names in own.items() if names}
    if section.model is not None:
        found["has_model"] = True
        found["fault_path"] = _fault_path(reader, section)
    relieved_kw = section.relieved_kw
    if section.results is not None:
        relieved_kw = reader.read(f"{section.results}/summary.json", _relieved_kw)
    if reader.problems:
        return None, reader.files, reader.problems
    candidate = Candidate(
        name=section.name,
        questions=tuple(section.questions),
        window=parse_window(section.window) if section.window else None,
        seasons=tuple(section.seasons),
        interconnection_points=section.interconnection_points,
        export_kw=section.export_kw,
        relieved_kw=relieved_kw,
        **found,
    )
    return candidate, reader.files, []


def _stays(reader: _Reader, section: PlugInEvidence) -> Stays | None:
    """Read sessions, meter values, trips or a timetable."""
    functions: dict[str, Callable[..., Stays]] = {
        "sessions": read_sessions,
        "ocpp": read_ocpp,
        "trips": read_trips,
        "timetable": read_timetable,
    }
    options = {
        name: value
        for name in ("columns", "timezone", "dates", "base")
        if (value := getattr(section, name)) is not None
    }
    stays: Stays | None = reader.read(section.file, functions[section.kind], **options)
    return stays and replace(stays, file=section.file)


def _protection(reader: _Reader, section: CandidateSection) -> dict[str, Any]:
    """Read inventory and findings."""
    protection = section.protection
    if protection is None:
        return {}
    found: dict[str, Any] = {"protection_files": (protection.devices,)}
    found["devices"] = reader.read(protection.devices, read_inventory)
    if protection.findings is not None:
        findings: tuple[Finding, ...] | None = reader.read(protection.findings, read_findings)
        found["findings"] = findings
        found["protection_files"] += (protection.findings,)
    elif found["devices"] and section.model and section.buses and section.export_kw:
        found["findings"] = _screened(reader, section, protection)
    return found


def _screened(
    reader: _Reader, section: CandidateSection, protection: ProtectionEvidence
) -> tuple[Finding, ...] | None:
    """Return the findings of the protection screen, run here."""
    try:
        table = run_alone(
            screen_site,
            resolve_model(str(section.model), reader.folder),
            [str(bus) for bus in section.buses],
            float(section.export_kw or 0.0),
            reader.folder / protection.devices,
            ProtectionSection(head=protection.head),
            deadline_s=_DEADLINE_S,
        )
    except InputError as error:
        reader.problems += [
            Problem(f"{reader.where}: {p.where}", p.message, p.hint) for p in error.problems
        ]
        return None
    return findings_of_screen(table)


def _relieved_kw(path: Path) -> float:
    """Return the kW that a study's result relieves at the head, the least of its seasons."""
    summary = json.loads(path.read_text(encoding="utf-8"))
    rows = [row for row in summary.get("events", []) if row.get("case") == Case.EXPECTED]
    found = [row["relief_kw_mean"] for row in rows if row.get("relief_kw_mean") is not None]
    if not found:
        text = "has no event with expected participation that is compared with managed charging"
        raise InputError(Problem(str(path), text, "give relieved_kw instead"))
    return max(float(min(found)), 0.0)


def _agreement(path: Path, *, name: str) -> Agreement:
    """Read an agreement register."""
    content = _validated(path, AgreementFile)
    terms = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in content.model_dump().items()
        if value is not None and value != []
    }
    return Agreement(name, terms)


def _validated(path: Path, root: type[Section]) -> Any:
    raw = read_yaml(path)
    try:
        return root.model_validate(raw)
    except ValidationError as error:
        raise InputError(section_problems(path, error, root)) from error


def _fault_path(reader: _Reader, section: CandidateSection) -> tuple[ModelDevice, ...] | None:
    """Return the devices that the model has in the fault path; the engine runs elsewhere."""
    try:
        master = resolve_model(str(section.model), reader.folder)
        reader.files.append(master)
        buses = [str(bus) for bus in section.buses]
        return run_alone(model_fault_path, master, buses, deadline_s=_DEADLINE_S)
    except InputError as error:
        reader.problems += [
            Problem(f"{reader.where}: {p.where}", p.message, p.hint) for p in error.problems
        ]
        return None
