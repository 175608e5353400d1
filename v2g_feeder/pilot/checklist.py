"""The five items of a feeder together: what it can answer, the verdict, and the ranking."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from v2g_feeder.calendar import DEFAULT_SEASONS
from v2g_feeder.pilot.agreement import agreement_item
from v2g_feeder.pilot.answers import Answer, together
from v2g_feeder.pilot.load import evening_peak
from v2g_feeder.pilot.plugging import plug_in
from v2g_feeder.pilot.protection import protection_item
from v2g_feeder.pilot.telemetry import telemetry_item

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from v2g_feeder.pilot.agreement import Agreement
    from v2g_feeder.pilot.answers import Item
    from v2g_feeder.pilot.fault_path import ModelDevice
    from v2g_feeder.pilot.load import LoadRecord
    from v2g_feeder.pilot.protection import Device, Finding
    from v2g_feeder.pilot.stays import Stays
    from v2g_feeder.pilot.telemetry import Telemetry
    from v2g_feeder.pilot.thresholds import Thresholds

__all__ = ["QUESTIONS", "Candidate", "Checked", "Verdict", "check_candidate", "rank"]

QUESTIONS: Final = ("load_relief", "voltage_response", "hosting_capacity")
"""What pilot data may answer: the planning questions of the source article."""
_NEEDS: Final = {
    "load_relief": ("evening_peak", "plug_in", "telemetry", "agreement"),
    "voltage_response": ("plug_in", "telemetry", "protection", "agreement"),
    "hosting_capacity": ("telemetry", "protection"),
}
_MEASURED: Final = {
    "load_relief": "a load record",
    "voltage_response": "node voltages",
    "hosting_capacity": "a model",
}


class Verdict(StrEnum):
    """What to do with a candidate."""

    READY = "ready"
    COLLECT = "collect evidence"
    WAIT = "wait"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A candidate feeder with the evidence that there is; what is left out is missing.

    Parameters
    ----------
    name
        Of the feeder.
    questions
        What its pilot is to answer, of :data:`QUESTIONS`.
    window
        Hours of the event; left out, those of the evening peak.
    seasons
        Seasons in which events are wanted; empty for all.
    load, stays, telemetry, voltages, voltages_file, devices, findings, fault_path, agreement
        Evidence.
    protection_files
        Files of the inventory and of the findings.
    vehicles
        Vehicles or ports of the fleet, where the records do not tell them.
    accepted_standards
        In place of the shipped ones, by term of the agreement.
    has_model
        Whether there is a model of the feeder.
    interconnection_points, export_kw
        Points at which the fleet connects, and its rated export, kW.
    relieved_kw
        kW that a study found it to relieve.
    """

    name: str
    questions: tuple[str, ...] = QUESTIONS
    window: tuple[float, float] | None = None
    seasons: tuple[str, ...] = ()
    load: LoadRecord | None = None
    stays: Stays | None = None
    telemetry: Telemetry | None = None
    voltages: pd.DataFrame | None = None
    voltages_file: str = ""
    devices: tuple[Device, ...] | None = None
    findings: tuple[Finding, ...] | None = None
    fault_path: tuple[ModelDevice, ...] | None = None
    protection_files: tuple[str, ...] = ()
    agreement: Agreement | None = None
    accepted_standards: Mapping[str, Sequence[str]] | None = None
    vehicles: int | None = None
    has_model: bool = False
    interconnection_points: int | None = None
    export_kw: float | None = None
    relieved_kw: float | None = None


@dataclass(frozen=True)
class Checked:
    """The answers of a candidate.

    Parameters
    ----------
    name
        Of the feeder.
    items
        The five, in order.
    questions
        Answer of each question that the pilot is to answer: whether the evidence can.
    reasons
        Why the verdict is not ``ready``; empty where it is.
    verdict
        What to do.
    window
        Hours that plug-in was judged by.
    points_per_mw
        Interconnection points per MW of export; NaN where not known.
    relieved_kw
        NaN where not known.
    """

    name: str
    items: tuple[Item, ...]
    questions: Mapping[str, Answer]
    reasons: tuple[str, ...]
    verdict: Verdict
    window: tuple[float, float] | None
    points_per_mw: float
    relieved_kw: float

    @property
    def passed(self) -> int:
        """Number of items passed."""
        return sum(item.answer == Answer.PASS for item in self.items)


def check_candidate(
    candidate: Candidate,
    thresholds: Thresholds,
    seasons: Mapping[str, Sequence[int]] = DEFAULT_SEASONS,
) -> Checked:
    """Answer the five items of a candidate and draw the verdict.

    Parameters
    ----------
    candidate
        Feeder and evidence.
    thresholds
        What is enough.
    seasons
        Months by season.

    Returns
    -------
    Checked
        ``ready`` only if all five items pass and at least one of the candidate's questions can be
        answered. An item that fails, or evidence that no question can be answered with, is
        ``wait``; what is merely unknown is ``collect evidence``.
    """
    first, peak = evening_peak(candidate.load, thresholds, seasons, candidate.seasons)
    window = candidate.window or peak
    months = [month for name in candidate.seasons for month in seasons[name]]
    items = (
        first,
        plug_in(candidate.stays, window, thresholds, units=candidate.vehicles, months=months),
        telemetry_item(
            candidate.telemetry, thresholds, candidate.voltages, candidate.voltages_file
        ),
        protection_item(
            candidate.devices,
            thresholds,
            evidence=candidate.protection_files,
            findings=candidate.findings,
            path=candidate.fault_path,
        ),
        agreement_item(candidate.agreement, candidate.accepted_standards),
    )
    questions = {name: _question(name, items, candidate) for name in candidate.questions}
    reasons = _reasons(items, questions)
    failed = any(item.answer == Answer.FAIL for item in items)
    points, export_kw = candidate.interconnection_points, candidate.export_kw
    known = points is not None and export_kw
    return Checked(
        name=candidate.name,
        items=items,
        questions=questions,
        reasons=reasons,
        verdict=Verdict.READY if not reasons else Verdict.WAIT if failed else Verdict.COLLECT,
        window=window,
        points_per_mw=1000 * (points or 0) / export_kw if known and export_kw else math.nan,
        relieved_kw=math.nan if candidate.relieved_kw is None else candidate.relieved_kw,
    )


def _question(name: str, items: Iterable[Item], candidate: Candidate) -> Answer:
    """Return whether a question can be answered: by its items, and by what measures the answer."""
    answers = [item.answer for item in items if item.key in _NEEDS[name]]
    measured = {
        "load_relief": candidate.load is not None,
        "voltage_response": candidate.voltages is not None,
        "hosting_capacity": candidate.has_model,
    }[name]
    return together([*answers, Answer.PASS if measured else Answer.UNKNOWN])


def _reasons(items: Sequence[Item], questions: Mapping[str, Answer]) -> tuple[str, ...]:
    """Return why a candidate is not ready."""
    reasons = [f"fails: {item.title}" for item in items if item.answer == Answer.FAIL]
    reasons += [f"unknown: {item.title}" for item in items if item.answer == Answer.UNKNOWN]
    if not reasons and Answer.PASS not in questions.values():
        lacking = [f"{name.replace('_', ' ')} needs {_MEASURED[name]}" for name in questions]
        reasons = [f"answers no planning question: {', '.join(lacking)}"]
    return tuple(reasons)


def rank(checked: Iterable[Checked]) -> list[Checked]:
    """Return feeders, the best first.

    By items passed (more first), interconnection points per MW (fewer first), then kW relieved
    (more first); what is not known goes last, and names decide what is left.
    """

    def key(feeder: Checked) -> tuple[float, ...]:
        points = math.inf if math.isnan(feeder.points_per_mw) else feeder.points_per_mw
        relieved = -math.inf if math.isnan(feeder.relieved_kw) else feeder.relieved_kw
        return -feeder.passed, points, -relieved

    return sorted(sorted(checked, key=lambda feeder: feeder.name), key=key)
