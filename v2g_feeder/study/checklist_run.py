"""Run a checklist and write its folder: a page a feeder, tables of all, and the summary."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

import v2g_feeder
from v2g_feeder.errors import InputError
from v2g_feeder.pilot import check_candidate, rank, threshold_figures
from v2g_feeder.pilot.clock import window_text
from v2g_feeder.report.checklist_page import write_checklist_pages
from v2g_feeder.store import (
    SCHEMA_VERSION,
    ContentHash,
    claim_folder,
    csv_text,
    file_sha256,
    write_json,
    write_text,
)
from v2g_feeder.study.checklist import page_name
from v2g_feeder.study.checklist_events import read_events
from v2g_feeder.study.checklist_evidence import read_evidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from v2g_feeder.pilot import Checked, Item, Measure
    from v2g_feeder.study.checklist import Checklist

__all__ = ["checklist_summary", "run_checklist"]


def run_checklist(checklist: Checklist, out: Path, *, overwrite: bool = False) -> dict[str, Any]:
    """Answer a checklist and write its folder.

    Parameters
    ----------
    checklist
        The file.
    out
        Folder for ``<feeder>.html``, ``checklist.csv`` (a row a feeder and item), ``figures.csv``
        (a row a figure), ``ranking.csv`` and ``summary.json``; with events ``events.csv`` and
        ``responses.csv``.
    overwrite
        Whether an earlier result is replaced.

    Returns
    -------
    dict
        The summary.

    Raises
    ------
    InputError
        With every problem of every file of evidence; nothing is written then.
    """
    claim_folder(out, overwrite=overwrite)
    summary = checklist_summary(checklist)
    content = ContentHash()
    for name, table in _tables(summary).items():
        text = csv_text(table)
        content.add_text(name, text)
        write_text(out / name, text)
    summary["content_sha256"] = content.hexdigest()
    write_json(out / "summary.json", summary)
    write_checklist_pages(out)
    return summary


def checklist_summary(checklist: Checklist) -> dict[str, Any]:
    """Read the evidence and return all answers, the best feeder first; writes nothing."""
    candidates, files, problems = [], [], []
    events = {}
    for number, section in enumerate(checklist.content.feeders):
        where = f"{checklist.path}: feeders[{number}]"
        candidate, read, wrong = read_evidence(section, checklist.path.parent, where)
        candidates.append(candidate)
        checked, more, broken = read_events(
            section, checklist.path.parent, where, checklist.thresholds
        )
        events[section.name] = checked
        files += [*read, *more]
        problems += [*wrong, *broken]
    if problems:
        raise InputError(dict.fromkeys(problems))
    seasons = checklist.content.seasons
    ranked = rank(
        check_candidate(candidate, checklist.thresholds, seasons)
        for candidate in candidates
        if candidate is not None
    )
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "checklist",
        "name": checklist.content.name,
        "v2g_feeder": v2g_feeder.__version__,
        "feeders": [
            {"rank": number, **_feeder(feeder), "events": events[feeder.name]}
            for number, feeder in enumerate(ranked, start=1)
        ],
        "thresholds": _thresholds(checklist),
        "files": [
            {"file": path.as_posix(), "sha256": file_sha256(path)} for path in dict.fromkeys(files)
        ],
    }


def _feeder(checked: Checked) -> dict[str, Any]:
    """Return a feeder's answers as plain values."""
    return {
        "name": checked.name,
        "page": f"{page_name(checked.name)}.html",
        "verdict": str(checked.verdict),
        "reasons": list(checked.reasons),
        "passed": checked.passed,
        "window": window_text(*checked.window) if checked.window else "",
        "questions": {name: str(answer) for name, answer in checked.questions.items()},
        "points_per_mw": _number(checked.points_per_mw),
        "relieved_kw": _number(checked.relieved_kw),
        "items": [_item(item) for item in checked.items],
    }


def _item(item: Item) -> dict[str, Any]:
    return {
        "item": item.key,
        "title": item.title,
        "answer": str(item.answer),
        "figures": [_measure(measure) for measure in item.measures],
        "evidence": list(item.evidence),
        "missing": list(item.missing),
        "failed": list(item.failed),
        "notes": list(item.notes),
    }


def _measure(measure: Measure) -> dict[str, Any]:
    return {
        "name": measure.name,
        "value": _number(measure.value),
        "unit": measure.unit,
        "at_least": measure.at_least,
        "at_most": measure.at_most,
        "shown": measure.shown,
        "threshold": measure.threshold,
        "answer": str(measure.answer) if measure.judged else "",
        "note": measure.note,
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _thresholds(checklist: Checklist) -> list[dict[str, Any]]:
    """Return every threshold in force with its source; a user's own is marked so."""
    own = checklist.content.thresholds
    return [
        {
            "name": name,
            "value": getattr(checklist.thresholds, name),
            "unit": figure.unit,
            "mark": "study" if name in own else figure.mark,
            "source": "the checklist file" if name in own else figure.source,
        }
        for name, figure in threshold_figures().items()
    ]


def _tables(summary: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Return the CSV tables of all feeders."""
    items, figures, ranking = [], [], []
    events, responses = [], []
    for feeder in summary["feeders"]:
        key = {"rank": feeder["rank"], "feeder": feeder["name"]}
        answers = {item["item"]: item["answer"] for item in feeder["items"]}
        ranking.append(
            key
            | {"verdict": feeder["verdict"], "items_passed": feeder["passed"]}
            | {name: feeder[name] for name in ("points_per_mw", "relieved_kw")}
            | answers
            | feeder["questions"]
            | {"why": "; ".join(feeder["reasons"])}
        )
        for event in feeder["events"]:
            own = {name: value for name, value in event.items() if name != "response"}
            events.append(key | own)
            which = key | {"event_start": event["start"]}
            responses += [which | row for row in event["response"]]
        for item in feeder["items"]:
            mine = key | {"item": item["item"]}
            figures += [mine | figure for figure in item["figures"]]
            items.append(
                mine
                | {
                    "answer": item["answer"],
                    "figure": _joined(
                        f"{figure['name']}: {figure['shown']}" for figure in item["figures"]
                    ),
                    "threshold": _joined(figure["threshold"] for figure in item["figures"]),
                    "evidence": _joined(item["evidence"]),
                    "missing": _joined([*item["failed"], *item["missing"]]),
                    "notes": _joined(item["notes"]),
                }
            )
    tables = {
        "checklist.csv": items,
        "figures.csv": figures,
        "ranking.csv": ranking,
        "events.csv": events,
        "responses.csv": responses,
    }
    return {name: pd.DataFrame(rows) for name, rows in tables.items() if rows}


def _joined(parts: Iterable[str]) -> str:
    return "; ".join(part for part in parts if part)
