"""Events of a checklist's feeders: telemetry read, and the model asked for the same change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from v2g_feeder.errors import InputError, Problem
from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.pilot.event_check import EventCall, delivered, read_event, response, with_model
from v2g_feeder.pilot.event_model import modelled_response
from v2g_feeder.workers import run_alone

if TYPE_CHECKING:
    from pathlib import Path

    from v2g_feeder.pilot import Thresholds
    from v2g_feeder.study.checklist import CandidateSection, EventEvidence

__all__ = ["read_events"]

_DEADLINE_S: Final = 120.0
_MOVED_KW: Final = 1e-6


def read_events(
    section: CandidateSection, folder: Path, where: str, thresholds: Thresholds
) -> tuple[list[dict[str, Any]], list[Path], list[Problem]]:
    """Check the events of a candidate.

    Parameters
    ----------
    section
        The candidate.
    folder
        Folder that its paths are relative to.
    where
        Place of the section, for messages.
    thresholds
        With the minutes around the edges.

    Returns
    -------
    tuple
        An entry an event: what was delivered, and under ``response`` a row an edge and quantity;
        the files read; every problem.
    """
    found, files, problems = [], [], []
    for number, event in enumerate(section.events):
        place, path = f"{where}.events[{number}]", folder / event.file
        call = EventCall(
            pd.Timestamp(event.start),
            pd.Timestamp(event.end),
            event.called_kw,
            thresholds.event_settle_min,
            thresholds.event_edge_min,
        )
        wrong = call.validate(place)
        if not path.is_file():
            wrong.append(Problem(f"{where}: {event.file}", "there is no such file"))
        problems += wrong
        if wrong:
            continue
        files.append(path)
        try:
            record = read_event(path, columns=event.columns)
            found.append(_checked(record, call, event, section, folder))
        except InputError as error:
            problems += [
                Problem(
                    p.where if path.name in p.where else f"{place}.{p.where}", p.message, p.hint
                )
                for p in error.problems
            ]
    return found, files, problems


def _checked(
    record: pd.DataFrame,
    call: EventCall,
    event: EventEvidence,
    section: CandidateSection,
    folder: Path,
) -> dict[str, Any]:
    """Return an event's figures."""
    measured = response(record, call)
    if event.points:
        master = resolve_model(str(section.model), folder)
        measured = with_model(measured, _modelled(measured, master, event.points))
    return {
        "file": event.file,
        "start": event.start,
        "end": event.end,
        **delivered(record, call),
        "response": measured.to_dict("records"),
    }


def _modelled(
    measured: pd.DataFrame, master: Path, points: dict[str, float]
) -> dict[str, pd.DataFrame]:
    """Return what the model says of each edge at which fleet and head were recorded."""
    found = {}
    for edge, table in measured.groupby("edge"):
        rows = table.set_index("quantity")
        fleet, head_kw = rows.loc["fleet_kw"], float(rows.loc["head_kw", "before"])
        known = pd.notna([fleet["before"], fleet["change"], head_kw]).all()
        if known and abs(fleet["change"]) > _MOVED_KW:
            change = (float(fleet["before"]), float(fleet["change"]))
            found[str(edge)] = run_alone(
                modelled_response, master, points, head_kw, *change, deadline_s=_DEADLINE_S
            )
    return found
