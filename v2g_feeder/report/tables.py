"""The tables of the report that stand on ``summary.json`` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from v2g_feeder.conventions import Case, Criterion, Policy, reference_of
from v2g_feeder.report.answer import measures
from v2g_feeder.report.shapes_answer import available_kw
from v2g_feeder.report.words import (
    amount,
    criterion_name,
    hours,
    is_bounding,
    is_known,
    kw,
    kw_range,
    plain,
    run_name,
    run_order,
    value_text,
)
from v2g_feeder.screening import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from v2g_feeder.report.reading import Run

__all__ = ["ladder", "ledger_table", "panel", "weighed"]

_ORDER: Final = [str(name) for name in Criterion]


def panel(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return relief beside harm, one row a run: kW at the head and hours of the modelled days.

    Of managed charging only the main case is shown. It is judged against uncontrolled charging by
    the fall of the head's peak, export against managed charging by the fall in the event window,
    bounds against no EVs.
    """
    heads = {(row["policy"], row["case"]): row for row in summary["head"]}
    managed = [run["case"] for run in summary["study"]["runs"] if run["policy"] == Policy.MANAGED]
    expected = str(Case.EXPECTED)
    main = (str(Policy.MANAGED), expected if expected in managed else next(iter(managed), ""))
    rows = []
    runs = [(run["policy"], run["case"]) for run in summary["study"]["runs"]]
    for policy, case in sorted(runs, key=lambda run: run_order(*run)):
        references = policy in (Policy.NO_EV, Policy.UNCONTROLLED, Policy.MANAGED)
        if references and (policy, case) != main:
            continue
        row: dict[str, Any] = {
            "run": run_name(policy, case),
            "bounding": is_bounding(case),
            "relief_hours": _hours_cell(summary, policy, case, Outcome.RELIEF),
            "harm_hours": _hours_cell(summary, policy, case, Outcome.HARM),
            "relief_kw": "",
            "harm_kw": "",
        }
        if is_bounding(case):
            row |= _bounding_kw(heads.get((policy, case)), heads.get((Policy.NO_EV, Case.EXPECTED)))
        elif policy == Policy.MANAGED:
            row |= _managed_kw(heads, case)
        else:
            row |= _export_kw([event for event in summary["events"] if event["case"] == case])
        rows.append(row)
    return rows


def _hours_cell(summary: Mapping[str, Any], policy: str, case: str, outcome: str) -> list[str]:
    """Return hours by criterion, most first."""
    return [
        f"{criterion_name(row['criterion'])} {hours(row['hours_mean'])}"
        for row in measures(summary, policy, case, outcome)
    ]


def _managed_kw(heads: Mapping[Run, Mapping[str, Any]], case: str) -> dict[str, str]:
    """Return the fall or rise of the head's peak against uncontrolled charging."""
    mine, other = heads.get((Policy.MANAGED, case)), heads.get((Policy.UNCONTROLLED, case))
    if mine is None or other is None:
        return {}
    fall = other["peak_kw_mean"] - mine["peak_kw_mean"]
    return (
        {"relief_kw": f"{kw(fall)} at peak"} if fall >= 0 else {"harm_kw": f"{kw(-fall)} at peak"}
    )


def _export_kw(events: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return relief in the window over the seasons, and what harms: a rise there, and rebound."""
    falls = [event["relief_kw_mean"] for event in events if is_known(event["relief_kw_mean"])]
    rebound = [event["rebound_kw_mean"] for event in events if is_known(event["rebound_kw_mean"])]
    if not falls or not rebound:
        return {}
    found = {"harm_kw": f"{kw_range(min(rebound), max(rebound))} kW rebound"}
    if max(falls) >= 0:
        found["relief_kw"] = f"{kw_range(max(0.0, min(falls)), max(falls))} kW in window"
    if min(falls) < 0:
        rises = [-fall for fall in falls if fall < 0]
        found["harm_kw"] = f"{kw_range(min(rises), max(rises))} kW in window; {found['harm_kw']}"
    return found


def _bounding_kw(mine: Mapping[str, Any] | None, none: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the change of the head's peak against no EVs, and reverse flow."""
    if mine is None or none is None:
        return {}
    rise = mine["peak_kw_mean"] - none["peak_kw_mean"]
    found = (
        {"relief_kw": f"{kw(-rise)} at peak"} if rise < 0 else {"harm_kw": f"{kw(rise)} at peak"}
    )
    if mine["lowest_kw"] < 0:
        found["harm_kw"] = f"head down to {kw(mine['lowest_kw'])}"
    return found


def weighed(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return harm and relief of every run and criterion that has any, with what it was against."""
    rows: list[dict[str, Any]] = []
    for row in summary["harm_and_relief"]:
        if not row["hours_max"]:
            continue
        reference = reference_of(row["policy"], row["case"])
        rows.append(
            {
                "order": (*run_order(row["policy"], row["case"]), _ORDER.index(row["criterion"])),
                "run": run_name(row["policy"], row["case"]),
                "against": run_name(*reference) if reference else "",
                "criterion": criterion_name(row["criterion"]),
                "outcome": str(row["outcome"]),
                "hours": amount(row["hours_mean"]),
                "range": kw_range(row["hours_min"], row["hours_max"]),
                "place_hours": amount(row["place_hours_mean"]),
                "peak": value_text(row["peak_mean"], None, row["unit"]),
            }
        )
    rows.sort(key=lambda row: row["order"])
    return rows


def ladder(summary: Mapping[str, Any], case: str) -> list[dict[str, Any]]:
    """Return the steps from nameplate to what is firm, kW with a share of nameplate and a word.

    Parameters
    ----------
    summary
        Contents of ``summary.json``.
    case
        Participation case of the steps before the last; that is ``firm`` where it was run.
    """
    study, events = summary["study"], summary["events"]
    nameplate = study["nameplate_kw"]
    steps = [
        ("chargers on the nameplate", nameplate, nameplate),
        ("can export", study["export_capable_kw"], study["export_capable_kw"]),
    ]
    managed = [
        available_kw(row)
        for row in summary["ledger"]
        if (row["policy"], row["case"]) == (Policy.MANAGED, case)
    ]
    if managed or any(row["case"] == case for row in events):
        enrolled = sum(row["v2g_kw"] for row in summary["funnel"] if row["case"] == case)
        steps.append((f"enrolled to export, {plain(case)} case", enrolled, enrolled))
    if managed:
        steps.append(("available for 1 h, managed charging", managed[0], managed[0]))
    last = str(Case.FIRM) if any(row["case"] == Case.FIRM for row in events) else case
    for label, of, name in (
        ("exported in the window, mean", case, "exported_kw_mean"),
        ("held through the window, mean", case, "held_kw_mean"),
        (f"{plain(last)}: held in 95 % of event-days", last, "held_kw_in_95pct_of_days"),
    ):
        found = [row[name] for row in events if row["case"] == of and is_known(row[name])]
        if found:
            by_season = ", by season" if len(found) > 1 else ""
            steps.append((f"{label}{by_season}", min(found), max(found)))
    return [
        {
            "label": label,
            "kw": f"{kw_range(low, high)} kW",
            "share": high / nameplate if nameplate else 0.0,
        }
        for label, low, high in steps
    ]


def ledger_table(summary: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the ledger of the export runs, rows from nameplate to exported, kW."""
    runs = [row for row in summary["ledger"] if row["policy"] == Policy.EXPORT]
    runs = runs or [row for row in summary["ledger"] if row["policy"] == Policy.MANAGED]
    runs = sorted(runs, key=lambda row: run_order(row["policy"], row["case"]))
    rows = [
        {"label": label, "cells": [amount(run[name]) for run in runs], "last": name == "exported"}
        for name, label in names.items()
        if any(run.get(name, 0.0) > 1e-9 for run in runs) or name == "exported"
    ]
    return {
        "head": [run_name(run["policy"], run["case"]) for run in runs],
        "rows": rows if runs else [],
        "total": [amount(sum(run[name] for name in names)) for run in runs],
        "window": plain(runs[0]["window"]) if runs else "",
        "runs": runs,
    }
