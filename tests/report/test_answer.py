"""The sentences of the answer: their numbers, and what they must never say."""

from __future__ import annotations

from typing import Any

import pytest

from v2g_feeder.report.answer import (
    answer,
    binding_limit,
    bounding_sentences,
    caveats,
    confidence_sentences,
    export_sentences,
    firm_sentences,
    harm_sentences,
    headline,
    managed_sentences,
)
from v2g_feeder.report.words import (
    amount,
    hours,
    kw,
    mid_sentence,
    run_name,
    run_order,
    value_text,
)

Summary = dict[str, Any]


def flat(sentences: list[str] | str) -> str:
    text = sentences if isinstance(sentences, str) else " ".join(sentences)
    return text.replace("\N{NO-BREAK SPACE}", " ")


def harmless(summary: Summary) -> Summary:
    for row in summary["harm_and_relief"]:
        row.update(hours_mean=0.0, hours_min=0.0, hours_max=0.0)
    return summary


def test_the_headline_gives_managed_charging_first(summary: Summary) -> None:
    assert flat(headline(summary)) == (
        "Managed charging takes 200 kW off the feeder's peak; export, asked for 200 kW, holds "
        "50 kW in winter and 60 kW in summer through the event window."
    )


def test_managed_charging_is_given_against_uncontrolled(summary: Summary) -> None:
    text = flat(managed_sentences(summary))
    assert "from 1,000 kW to 1,300 kW (1,290 to 1,310), winter peak day 18:00" in text
    assert "to 1,100 kW (1,090 to 1,110): 200 kW less" in text
    assert "cures or eases thermal in 6 h" in text


def test_managed_charging_that_adds_to_the_peak_says_so(summary: Summary) -> None:
    for row in summary["head"]:
        if row["policy"] == "managed":
            row["peak_kw_mean"] = 1350.0
    assert "adds 50 kW to the feeder's peak" in flat(headline(summary))
    assert "50 kW more" in flat(managed_sentences(summary))


def test_export_gives_held_firm_relief_and_rebound(summary: Summary) -> None:
    text = flat(export_sentences(summary))
    assert "holds 50 kW in winter and 60 kW in summer on average" in text
    assert "in 95 % of event-days (8 a season) at least 21 kW (winter) and 0 kW (summer)" in text
    assert "40 kW lower (35 to 45) in winter" in text
    assert "up to 12 kW higher (rebound; 20 kW in the worst draw" in text


def test_export_that_raises_the_head_says_higher(summary: Summary) -> None:
    summary["events"][0].update(relief_kw_mean=-30.0, relief_kw_min=-40.0, relief_kw_max=-20.0)
    assert "30 kW higher (20 to 40) in winter" in flat(export_sentences(summary))


def test_harm_names_criterion_hours_place_and_the_worst_case(summary: Summary) -> None:
    text = flat(harm_sentences(summary, {("export", "expected"): "over-voltage at bus b2"}))
    assert "over-voltage in 3 h (1.5 to 6)" in text
    assert "worst: over-voltage at bus b2" in text
    assert "Most harm: high participation, over-voltage in 9 h" in text


def test_bounds_say_what_they_are(summary: Summary) -> None:
    (text,) = bounding_sentences(summary)
    assert "All export at once (400 kW): head down to \N{MINUS SIGN}250 kW" in flat(text)
    assert "over-voltage in 48 h" in flat(text)
    assert "ignore state of charge" in flat(answer(summary))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"invalid": 7}, "7 of 2,000 solved steps failed"),
        ({"lost_units": [{"unit": "u", "why": "crashed"}]}, "1 units of work were lost"),
    ],
)
def test_no_harm_is_not_a_clean_result_if_steps_failed(
    summary: Summary, change: dict[str, Any], reason: str
) -> None:
    harmless(summary)["validity"].update(change)
    for text in (flat(harm_sentences(summary)), flat(confidence_sentences(summary))):
        assert reason in text
    assert "not a clean result" in flat(harm_sentences(summary))
    assert "every rating is known" not in flat(answer(summary))


def test_no_harm_is_not_a_clean_result_if_ratings_are_unknown(summary: Summary) -> None:
    harmless(summary)["feeder"]["elements_screened"] = 1
    assert "2 of 3 series elements have no known rating" in flat(harm_sentences(summary))
    assert "not a clean result" in flat(harm_sentences(summary))


def test_no_harm_in_a_whole_result(summary: Summary) -> None:
    assert caveats(summary) == []
    text = flat(harm_sentences(harmless(summary)))
    assert text == "Export (expected) newly breaks or worsens no screened limit."
    assert binding_limit(summary) == "None met at the places screened"


@pytest.mark.parametrize("count", [0, 7, 2000])
def test_the_answer_never_says_no_violations(summary: Summary, count: int) -> None:
    harmless(summary)["validity"]["invalid"] = count
    assert "no violation" not in flat(answer(summary)).lower()


def test_all_steps_invalid_is_no_answer(summary: Summary) -> None:
    summary["validity"]["invalid"] = summary["validity"]["steps"]
    summary["head"] = []
    summary["events"] = []
    assert "gives no answer" in headline(summary)
    assert answer(summary)


def test_no_vehicles(summary: Summary) -> None:
    summary["study"].update(vehicles=0, export=None, runs=[{"policy": "no_ev", "case": "expected"}])
    summary["events"] = []
    summary["harm_and_relief"] = []
    summary["head"] = summary["head"][:1]
    assert "no vehicles" in headline(summary)
    assert "draws" not in headline(summary)
    assert flat(answer(summary))


def test_the_binding_limit_comes_from_the_run_that_shows_one(summary: Summary) -> None:
    assert binding_limit(summary).startswith("Over-voltage, with the most hours of harm in export")
    for row in summary["harm_and_relief"]:
        if row["case"] != "coincident_export":
            row["hours_max"] = 0.0
    assert "all export at once" in binding_limit(summary)


def test_confidence_states_what_few_draws_leave_open(summary: Summary) -> None:
    text = flat(confidence_sentences(summary))
    assert "4 draws" in text
    assert "up to 53 % of draws" in text
    assert "96 modelled" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"),
        (0.0, "0"),
        (0.04, "0"),
        (8.14, "8.1"),
        (-81.4, "\N{MINUS SIGN}81"),
        (2760.0, "2,760"),
    ],
)
def test_amounts(value: float | None, text: str) -> None:
    assert amount(value) == text
    assert flat(kw(value)) == f"{text} kW"


def test_values_are_told_from_their_limits() -> None:
    assert flat(value_text(1.05003, 1.05, "pu")) == "1.05003 pu"
    assert flat(value_text(106.44, 100.0, "%")) == "106.4 %"
    assert value_text(float("nan"), 1.05, "pu") == "\N{EN DASH}"


def test_small_hours_are_not_printed_as_none() -> None:
    assert flat(hours(0.01)) == "under 0.1 h"
    assert flat(hours(0.0)) == "0 h"


def test_runs_in_words() -> None:
    assert run_name("no_ev", "expected") == "No EVs"
    assert run_name("export", "firm") == "Export, firm"
    assert run_name("export", "coincident_export") == "All export at once"


def firm_row(stated: float, known: float) -> dict[str, Any]:
    return {
        "case": "firm", "season": "winter", "event_days": 8, "request_kw": 200.0,
        "held_kw_mean": stated + 10, "held_kw_mean_departures_known": known + 10,
        "held_kw_in_95pct_of_days": stated, "departures": "stated",
        "held_kw_in_95pct_of_days_departures_known": known,
    }  # fmt: skip


def test_firm_falls_where_drivers_state_early_departures() -> None:
    text = flat(firm_sentences({"events": [firm_row(12.0, 20.0)]}))
    assert "falls from 20 kW to 12 kW in winter" in text
    assert "on average it falls from 30 kW to 22 kW: who states an earlier departure" in text


def test_firm_that_does_not_fall_is_not_said_to() -> None:
    same = flat(firm_sentences({"events": [firm_row(12.0, 12.0)]}))
    assert "12 kW in 95 % of event-days in winter, whether departures are known or" in same
    more = flat(firm_sentences({"events": [firm_row(14.0, 12.0)]}))
    assert "rises from 12 kW to 14 kW" in more
    assert "who leaves before the stated departure is drawn on and leaves short" in more


def test_firm_of_an_older_summary_gives_its_figure_alone(summary: Summary) -> None:
    summary["events"].append(summary["events"][0] | {"case": "firm"})
    assert "Firm participation holds 21 kW in 95 % of event-days in winter." in flat(
        export_sentences(summary)
    )


def test_names_of_policies_and_own_cases() -> None:
    assert run_name("v2h", "mine_too") == "V2H, mine too"
    assert run_name("time_of_use", "expected") == "Time of use, expected"
    assert mid_sentence("V2H, Mine") == "V2H, Mine"
    assert mid_sentence("Export, Mine") == "export, Mine"
    runs = [("export", case) for case in ("mine", "high", "low")]
    assert [case for _, case in sorted(runs, key=lambda run: run_order(*run))] == [
        "low",
        "high",
        "mine",
    ]
