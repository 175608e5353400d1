"""The answer of a result without power flow, in sentences: pure functions of ``summary.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from v2g_feeder.conventions import Case, Policy
from v2g_feeder.report.answer import firm_sentences
from v2g_feeder.report.words import amount, is_known, join, kw, kw_range, plain, whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["available_kw", "event_sentences", "shapes_answer", "shapes_headline", "shown_case"]

_FOR_1H: Final = ("available_4h", "available_2h", "available_1h", "exported")


def available_kw(row: Mapping[str, Any]) -> float:
    """Return what a ledger row's vehicles could sustain for an hour, exported included, kW."""
    return float(sum(row[name] for name in _FOR_1H))


def shown_case(summary: Mapping[str, Any]) -> str:
    """Return the case that the answer speaks of: expected, or the first that was run."""
    cases = [run["case"] for run in summary["study"]["runs"]]
    exported = [
        run["case"] for run in summary["study"]["runs"] if run["policy"] == Policy.EXPORT
    ] or cases
    return str(Case.EXPECTED) if Case.EXPECTED in exported else exported[0]


def shapes_answer(summary: Mapping[str, Any]) -> list[str]:
    """Return the whole answer, a statement a line."""
    return [shapes_headline(summary), *event_sentences(summary)]


def shapes_headline(summary: Mapping[str, Any]) -> str:
    """Return nameplate, what is exported of it and what can be counted on, in one sentence."""
    study, case = summary["study"], shown_case(summary)
    start = f"Of {kw(study['nameplate_kw'])} of chargers on the nameplate, "
    rows = _events(summary, case)
    if not rows:
        row = _ledger(summary, Policy.MANAGED, case)
        if row is None:
            return f"{start}no run says what is available."
        return f"{start}{kw(available_kw(row))} could export for an hour ({plain(case)}, mean)."
    exported = [row["exported_kw_mean"] for row in rows]
    text = (
        f"{start}{_range(exported)} are exported in the window ({plain(case)} participation, mean)"
    )
    firm = _events(summary, Case.FIRM)
    if firm:
        held = [row["held_kw_in_95pct_of_days"] for row in firm]
        text += f"; {_range(held)} can be counted on in 95 % of event-days (firm)"
    return f"{text}."


def event_sentences(summary: Mapping[str, Any]) -> list[str]:
    """Return what is available, held, firm, and what comes after the event."""
    study, case = summary["study"], shown_case(summary)
    asked, found = study["export"], []
    managed = _ledger(summary, Policy.MANAGED, case)
    if managed is not None:
        where = "in the event window" if managed["window"] == "event" else "at a step"
        found.append(
            f"With managed charging alone, vehicles {where} could sustain "
            f"{kw(available_kw(managed))} of export for 1 h and "
            f"{kw(managed['available_4h'])} for 4 h ({plain(case)}, mean)."
        )
    if asked is None:
        return [*found, "The study has no export event."]
    rows = _events(summary, case)
    if rows:
        held = join([f"{kw(row['held_kw_mean'])} in {plain(row['season'])}" for row in rows])
        least = join(
            [f"{kw(row['held_kw_in_95pct_of_days'])} ({plain(row['season'])})" for row in rows]
        )
        window = asked["window"].replace("-", "\N{EN DASH}")
        found.append(
            f"Asked for {kw(asked['request_kw'])} at {window}, {plain(case)} participation holds "
            f"{held} on average; in 95 % of event-days ({whole(rows[0]['event_days'])} a season) "
            f"at least {least}."
        )
    found += firm_sentences(summary)
    return [*found, *_rebound(summary)]


def _rebound(summary: Mapping[str, Any]) -> list[str]:
    """Return the fleet's peak after an event, as it is and as it could be."""
    rows = summary.get("rebound", [])
    now = [row["peak_kw_mean"] for row in rows if row["in_force"]]
    others = [row for row in rows if not row["in_force"]]
    if not now:
        return []
    text = f"In the four hours after an event the fleet peaks at {_range(now)} on average"
    at_once = [
        row["peak_kw_mean"]
        for row in others
        if row["rebound"] == "immediate" and not row["stagger_minutes"]
    ]
    if at_once:
        text += f"; charging again at once it would be {_range(at_once)}"
    spread = [row for row in others if row["rebound"] == "immediate" and row["stagger_minutes"]]
    if spread:
        text += (
            f", with starts spread over {amount(spread[0]['stagger_minutes'])} minutes "
            f"{_range([row['peak_kw_mean'] for row in spread])}"
        )
    return [f"{text}."]


def _events(summary: Mapping[str, Any], case: str) -> list[Mapping[str, Any]]:
    """Return the events of a case, a row a season."""
    return [row for row in summary["events"] if row["case"] == case]


def _ledger(summary: Mapping[str, Any], policy: str, case: str) -> Mapping[str, Any] | None:
    """Return the mean ledger of a run."""
    rows = summary["ledger"]
    return next((row for row in rows if row["policy"] == policy and row["case"] == case), None)


def _range(values: Sequence[float]) -> str:
    """Return the range of known values with its unit."""
    known = [value for value in values if is_known(value)]
    return f"{kw_range(min(known), max(known))}\N{NO-BREAK SPACE}kW" if known else kw(None)
