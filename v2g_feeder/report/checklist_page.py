"""The printed pages of a checklist: one page a feeder, from the folder's summary alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from v2g_feeder.errors import InputError, Problem
from v2g_feeder.report.page import MARKS, environment
from v2g_feeder.store import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["write_checklist_pages"]

_MOST_RANKED: Final = 5
_MOST_EVENTS: Final = 2
_MOST_LETTERS: Final = {"lacking": 360, "notes": 240, "evidence": 90, "note": 130}
"""What a page holds; the rest is in checklist.csv."""
_ELLIPSIS: Final = "\N{HORIZONTAL ELLIPSIS}"
_QUESTIONS: Final = {
    "load_relief": "Load relief",
    "voltage_response": "Voltage response",
    "hosting_capacity": "Hosting capacity",
}
_VERDICTS: Final = {
    "ready": "Ready for field work",
    "collect evidence": "Collect evidence first",
    "wait": "Should wait",
}


def write_checklist_pages(folder: Path) -> list[Path]:
    """Build a page for every feeder of a checklist's folder.

    Parameters
    ----------
    folder
        With ``summary.json``.

    Returns
    -------
    list of Path
        One HTML file a feeder, in the order of the ranking.

    Raises
    ------
    InputError
        If the summary is missing or is not that of a checklist.
    """
    path = folder / "summary.json"
    if not path.is_file():
        raise InputError(Problem(str(path), "is missing", "run the checklist again"))
    summary = json.loads(path.read_text(encoding="utf-8"))
    if summary.get("kind") != "checklist":
        raise InputError(Problem(str(path), "is not the summary of a checklist"))
    template = environment().get_template("checklist.html.j2")
    pages = []
    for feeder in summary["feeders"]:
        page = folder / feeder["page"]
        write_text(page, template.render(_context(summary, feeder)))
        pages.append(page)
    return pages


def _context(summary: Mapping[str, Any], feeder: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template shows of one feeder."""
    own = [row for row in summary["thresholds"] if row["mark"] == "study"]
    marks = sorted({row["mark"] for row in summary["thresholds"]})
    return {
        "summary": summary,
        "feeder": feeder,
        "verdict": _VERDICTS[feeder["verdict"]],
        "questions": [(_QUESTIONS[name], a) for name, a in feeder["questions"].items()],
        "items": [_item(item) for item in feeder["items"]],
        "ranking": _around(summary["feeders"], feeder),
        "events": [_event(event) for event in feeder["events"][-_MOST_EVENTS:]],
        "own": own,
        "sources": "; ".join(MARKS[mark] for mark in marks),
    }


def _item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item with its lists as texts of a length that a page holds."""
    return {
        **item,
        "figures": [
            figure | {"note": _joined([figure["note"]], "note")} for figure in item["figures"]
        ],
        "lacking": _joined([*item["failed"], *item["missing"]], "lacking"),
        "notes": _joined(item["notes"], "notes"),
        "evidence": _joined(item["evidence"], "evidence", ", "),
    }


def _event(event: Mapping[str, Any]) -> str:
    """Return an event in a sentence: called, delivered, and the response at its start."""
    rows = {row["quantity"]: row for row in event["response"] if row["edge"] == "start"}
    kw = {name: _figure(event[name]) for name in ("called_kw", "mean_kw", "lowest_kw")}
    told = f"called {kw['called_kw']} kW, delivered {kw['mean_kw']} kW on average"
    told += f", {kw['lowest_kw']} kW at the lowest"
    parts = [f"{event['start']} to {event['end'][-5:]}: {told}"]
    volts = [name for name in rows if name not in ("fleet_kw", "head_kw")]
    most = max(volts, key=lambda name: abs(rows[name]["change"] or 0.0), default=None)
    for name, unit in (("head_kw", "kW"), (most, "pu")):
        if name is None:
            continue
        what = "head" if name == "head_kw" else name
        told = f"{what} moved by {_figure(rows[name]['change'])} {unit}"
        if rows[name].get("taps_held") is not None:
            told += f" (model {_figure(rows[name]['taps_held'])})"
        parts.append(told)
    return "; ".join(parts)


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}".replace("-", "\N{MINUS SIGN}")


def _joined(parts: Sequence[str], kind: str, between: str = "; ") -> str:
    """Return the first parts as one text, and how many more there are."""
    most = _MOST_LETTERS[kind]
    shown: list[str] = []
    length = 0
    for part in parts:
        cut = part if len(part) <= most else part[: most - 1].rstrip() + _ELLIPSIS
        length += len(cut) + len(between)
        if shown and length > most:
            break
        shown.append(cut)
    rest = len(parts) - len(shown)
    return between.join([*shown, *([f"and {rest} more, in checklist.csv"] if rest else [])])


def _around(
    feeders: Sequence[Mapping[str, Any]], feeder: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """Return the first of the ranking, and the feeder itself if it is not among them."""
    first = list(feeders[:_MOST_RANKED])
    return first if feeder in first else [*first[:-1], feeder]
