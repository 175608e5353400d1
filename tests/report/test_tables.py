"""Tables of the report against hand-made rows."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from v2g_feeder.report.places import (
    broken_counts,
    place_text,
    reverse_table,
    worst_by_hour,
    worst_in_words,
    worst_places,
)
from v2g_feeder.report.tables import ladder, ledger_table, panel, weighed
from v2g_feeder.report.words import LEDGER

EXPORT = ("export", "expected")


def flat(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_worst_places_are_buses_deepest_first(violations: pd.DataFrame) -> None:
    worst = worst_places(violations, EXPORT, 4, 1.0)
    assert list(worst["bus"]) == ["b2", "b3", "b1"]
    assert list(worst["criterion"]) == ["over_voltage", "over_voltage", "thermal"]
    assert worst["value"].iloc[0] == pytest.approx(1.06)
    # two draws at one step: the two phases of draw 0 are one hour
    assert list(worst["hours"]) == [0.5, 0.25, 0.25]


def test_harm_only_leaves_out_what_was_broken_before(violations: pd.DataFrame) -> None:
    worst = worst_places(violations, EXPORT, 4, 1.0, harm_only=True)
    assert list(worst["bus"]) == ["b2"]


def test_at_most_so_many_places_of_a_criterion(violations: pd.DataFrame) -> None:
    worst = worst_places(violations, EXPORT, 4, 1.0, per_criterion=1)
    assert list(worst["criterion"]) == ["over_voltage", "thermal"]


def test_the_worst_place_in_words(violations: pd.DataFrame) -> None:
    worst = worst_places(violations, EXPORT, 4, 1.0, harm_only=True)
    assert flat(worst_in_words(worst)) == (
        "over-voltage at bus b2 phase A, winter weekday 17:00, 1.0600 pu against 1.05 pu"
    )
    assert worst_in_words(worst.iloc[:0]) == ""


def test_an_invalid_step_has_a_row_and_no_value(violations: pd.DataFrame) -> None:
    worst = worst_places(violations, ("export", "high"), 4, 1.0)
    (row,) = worst.to_dict("records")
    cells = place_text({str(key): value for key, value in row.items()})
    assert cells["criterion"] == "step not valid"
    assert cells["element"] == "not converged"
    assert cells["value"] == "\N{EN DASH}"
    assert worst_in_words(worst) == ""


def test_a_run_without_rows(violations: pd.DataFrame) -> None:
    assert worst_places(violations, ("managed", "low"), 4, 1.0).empty


def test_counts_are_means_of_draws_in_the_calendars_order(
    hourly: pd.DataFrame, steps: pd.DataFrame
) -> None:
    counts = broken_counts(hourly, steps, {EXPORT: 4})[(*EXPORT, "over_voltage")]
    assert list(counts.index) == [
        ("winter", "weekday"),
        ("winter", "weekend"),
        ("summer", "weekday"),
        ("summer", "weekend"),
    ]
    assert counts.loc[("winter", "weekday"), 17] == pytest.approx(1.5)
    assert counts.loc[("winter", "weekday"), 18] == pytest.approx(0.25)
    assert counts.to_numpy().sum() == pytest.approx(1.75)


def test_counts_of_a_criterion_that_never_breaks(hourly: pd.DataFrame, steps: pd.DataFrame) -> None:
    assert set(broken_counts(hourly, steps, {})) == {(*EXPORT, "over_voltage")}


def test_the_worst_place_of_each_hour_in_words(hourly: pd.DataFrame, steps: pd.DataFrame) -> None:
    worse = hourly.assign(worst_value=1.07, worst_element="b3.1").iloc[[0]]
    rows = pd.concat([hourly, worse], ignore_index=True)
    found = worst_by_hour(rows, steps, {"over_voltage": "pu"})[(*EXPORT, "over_voltage")]
    assert list(found) == [17, 18]
    assert flat(found[17]) == "1.0700 pu at b3.1, limit 1.05 pu"
    assert flat(found[18]) == "1.0600 pu at b2.1, limit 1.05 pu"


def test_the_panel_puts_relief_beside_harm(summary: dict[str, Any]) -> None:
    rows = panel(summary)
    assert [row["run"] for row in rows] == [
        "Managed, expected",
        "Export, expected",
        "Export, high",
        "All export at once",
    ]
    assert flat(rows[0]["relief_kw"]) == "200 kW at peak"
    assert flat(rows[1]["relief_kw"]) == "40 to 44 kW in window"
    assert [flat(text) for text in rows[1]["harm_hours"]] == ["over-voltage 3 h"]
    assert flat(rows[3]["harm_kw"]) == "head down to \N{MINUS SIGN}250 kW"
    assert rows[3]["bounding"]


def test_a_rise_in_the_window_stands_under_harm(summary: dict[str, Any]) -> None:
    for row in summary["events"][:2]:
        row["relief_kw_mean"] = -30.0
    row = panel(summary)[1]
    assert row["relief_kw"] == ""
    assert flat(row["harm_kw"]).startswith("30 kW in window")


def test_the_ladder_falls_from_nameplate_to_firm(summary: dict[str, Any]) -> None:
    steps = [flat(step["kw"]) for step in ladder(summary, "expected")]
    assert steps == ["1,000 kW", "400 kW", "200 kW", "60 to 70 kW", "50 to 60 kW", "0 to 21 kW"]


def test_the_ladder_ends_with_firm_where_it_was_run(summary: dict[str, Any]) -> None:
    firm = {"case": "firm", "held_kw_in_95pct_of_days": 3.0}
    summary["events"].append(summary["events"][0] | firm)
    last = ladder(summary, "expected")[-1]
    assert flat(last["kw"]) == "3 kW"
    assert last["label"] == "firm: held in 95 % of event-days"


def test_the_ladder_without_events_or_vehicles(summary: dict[str, Any]) -> None:
    summary["events"] = []
    summary["study"]["nameplate_kw"] = 0.0
    assert [step["share"] for step in ladder(summary, "expected")] == [0.0, 0.0]


def test_the_ledger_adds_up_to_nameplate(summary: dict[str, Any]) -> None:
    table = ledger_table(summary, LEDGER)
    assert table["total"] == ["1,000"]
    assert [row["label"] for row in table["rows"]][-1] == "Exported"
    assert ledger_table(summary | {"ledger": []}, LEDGER)["rows"] == []


def test_harm_and_relief_say_what_they_are_held_against(summary: dict[str, Any]) -> None:
    rows = {(row["run"], row["outcome"]): row for row in weighed(summary)}
    assert rows["Managed, expected", "relief"]["against"] == "Uncontrolled, expected"
    assert rows["Export, high", "harm"]["against"] == "Managed, high"
    assert ("Managed, expected", "harm") not in rows


def test_reverse_flow_by_kind(summary: dict[str, Any], steps: pd.DataFrame) -> None:
    (row,) = reverse_table(summary["reverse_flow"], steps)
    assert flat(row["kw"]) == "33 kW"
    assert row["first"] == "winter weekend 17:00"
    assert reverse_table([], steps) == []
