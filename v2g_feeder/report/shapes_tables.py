"""Tables of a result without power flow, and the rows that both kinds of report share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from v2g_feeder.report.shape_figures import STATES
from v2g_feeder.report.shapes_answer import available_kw
from v2g_feeder.report.words import (
    FILTERS,
    amount,
    plain,
    policy_name,
    run_order,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

__all__ = [
    "funnel_counts",
    "rebound_rows",
    "run_rows",
    "shortfall_rows",
    "way_name",
]


def way_name(row: Mapping[str, Any]) -> str:
    """Return a way of charging after an event in words."""
    if row["rebound"] == "managed":
        return "managed"
    minutes = row["stagger_minutes"]
    return f"starts spread over {amount(minutes)} min" if minutes else "all at once"


def rebound_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the rebound with its way in words, what is in force first."""
    named = [{**row, "way": way_name(row)} for row in rows]
    ways = list(dict.fromkeys(row["way"] for row in named))
    return sorted(named, key=lambda row: (not row["in_force"], ways.index(row["way"])))


def run_rows(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]], str]:
    """Return head, rows and note of the table of runs, mean kW over the window and draws."""
    firm: dict[tuple[str, str], float] = {}
    for event in summary["events"]:
        key = (event["policy"], event["case"])
        held = event["held_kw_in_95pct_of_days"]
        firm[key] = min(firm.get(key, held), held)
    runs = sorted(summary["ledger"], key=lambda row: run_order(row["policy"], row["case"]))
    rows = []
    for row in runs:
        enrolled = summary["study"]["nameplate_kw"] - row["not_bidirectional"] - row["not_enrolled"]
        held_kw = firm.get((row["policy"], row["case"]))
        rows.append(
            [
                policy_name(row["policy"]),
                plain(row["case"]),
                *(amount(value) for value in (enrolled, available_kw(row), row["exported"])),
                amount(held_kw) if held_kw is not None else "",
            ]
        )
    window = "event window" if runs and runs[0]["window"] == "event" else "all steps"
    head = ["policy", "case", "enrolled", "for 1 h", "exported", "in 95 %"]
    note = (
        f"kW, mean of the {window} and of draws. Enrolled: chargers that can export;\n"
        "for 1 h: what they could sustain, exported included; in 95 %: held in 95 % of event-days."
    )
    return head, rows, note


def funnel_counts(
    rows: Sequence[Mapping[str, Any]], cases: Sequence[str]
) -> tuple[dict[str, float], dict[str, float], dict[str, dict[str, float]]]:
    """Return what the funnel draws, added over fleets.

    Parameters
    ----------
    rows
        Rows of the funnel, by fleet and case.
    cases
        Cases to show, in order.

    Returns
    -------
    tuple
        Vehicles by filter; enrolled to export by case; exclusive states by case. Filters and states
        that the rows do not have are left out.
    """
    of = {case: [row for row in rows if row["case"] == case] for case in cases}
    of = {case: found for case, found in of.items() if found}
    first = next(iter(of.values()), [])
    passed = {
        label: float(sum(row[name] for row in first))
        for name, label in FILTERS.items()
        if all(name in row for row in first)
    }
    enrolled = {
        plain(case): float(sum(row["enrolled_to_export"] for row in found))
        for case, found in of.items()
    }
    states = {
        plain(case): {state: float(sum(row.get(state, 0) for row in found)) for state in STATES}
        for case, found in of.items()
    }
    return passed, enrolled, states


def shortfall_rows(shortfall: pd.DataFrame, summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the sessions below their target by run, and how many could have reached it."""
    rows = []
    for row in summary["shortfall"]:
        mine = shortfall[
            (shortfall["policy"] == row["policy"]) & (shortfall["case"] == row["case"])
        ]
        rows.append({**row, "reachable": int(mine["reachable"].astype(bool).sum())})
    return sorted(rows, key=lambda row: run_order(row["policy"], row["case"]))
