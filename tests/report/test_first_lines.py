"""The first lines answer what a study asks, with numbers and their range."""

from __future__ import annotations

from typing import Any

import pytest

from v2g_feeder.report.answer import answer
from v2g_feeder.report.first_lines import credit_sentences, first_lines

Summary = dict[str, Any]


def credit(hours: float, **changes: Any) -> dict[str, Any]:
    row = {
        "season": "summer", "case": "expected", "hours": hours, "level": "P95", "from_h": 17.0,
        "to_h": 17.0 + hours, "kw": 50.0 - 5 * hours, "estimate_kw": 52.0 - 5 * hours,
        "avoided_kw": 0.0, "export_kw": 50.0 - 5 * hours, "rebound_kw": 0.0, "event_days": 60,
        "status": "ok", "enrolled": 10, "kw_per_enrolled": 4.0, "nameplate_kw": 1000.0,
        "evidence": "untested",
    }  # fmt: skip
    return row | changes


def few(hours: float, **changes: Any) -> dict[str, Any]:
    return credit(hours, kw=None, status="insufficient draws", event_days=20, **changes)


def ramp(mode: str, fails: float | None, **changes: Any) -> dict[str, Any]:
    row = {
        "season": "spring", "day_type": "min_day", "from_h": 17.0, "to_h": 21.0,
        "reverse_mode": mode, "change": "as studied", "rating_kw": 900.0, "asked": "over_voltage",
        "kw": 0.99 * (fails or 900.0), "fails_at_kw": fails, "criterion": "over_voltage",
        "element": "890", "bus": "890", "phase": "A", "value": 1.0512, "limit": 1.05, "step": 0,
        "broken_before": 0, "hour": 17.0,
    }  # fmt: skip
    return row | changes


def test_a_study_that_asks_nothing_special_has_none(summary: Summary) -> None:
    assert first_lines(summary) == []
    assert credit_sentences(summary) == []


def test_a_contract_that_is_short(summary: Summary) -> None:
    summary["study"]["contract_kw"] = 46.0
    rows = [credit(hours, kept="yes" if hours == 1 else "no") for hours in (1.0, 2.0, 4.0)]
    low = credit(4.0, case="low", kw=3.0, kept="no")
    delivered = {
        "case": "expected", "season": "summer", "event_days": 600, "kept": 580,
        "kept_share": 0.99, "request_kw": 46.0,
        "held_kw_mean": 45.0, "held_kw_min": 0.0, "held_kw_max": 46.0,
    }  # fmt: skip
    summary["pilot"] = {"capacity_credit": [*rows, low], "delivered": [delivered]}
    first, second = (line.replace("\N{NO-BREAK SPACE}", " ") for line in first_lines(summary))
    assert first.startswith("In part: of 46 kW contracted, 45 kW for 1 h, 40 kW for 2 h and 30 kW")
    assert "from 3 kW (low) to 30 kW (expected)" in first
    assert "(to 99 %) through the window on 580 of 600 event-days" in second
    assert answer(summary)[0] == first_lines(summary)[0]


def test_twenty_event_days_are_insufficient_draws(summary: Summary) -> None:
    summary["study"]["contract_kw"] = 46.0
    summary["pilot"] = {"capacity_credit": [few(hours, kept="unknown") for hours in (1.0, 4.0)]}
    (line,) = first_lines(summary)
    assert line.startswith("Not known whether")
    assert "insufficient draws, 20 event-days of the 59" in line
    said = " ".join(credit_sentences(summary))
    assert "Insufficient draws, 20 of the 59 event-days" in said
    assert "nameplate 1,000" in said
    assert "untested" in said


def test_a_rebound_is_named_where_it_takes_the_credit(summary: Summary) -> None:
    summary["pilot"] = {"capacity_credit": [credit(1.0, kw=0.0, rebound_kw=600.0)]}
    said = credit_sentences(summary)[0].replace("\N{NO-BREAK SPACE}", " ")
    assert "0 kW for 1 h" in said
    assert "new peak by charging before and after, 600 kW, taken off" in said


@pytest.mark.parametrize(("in_time", "word"), [(100, "Yes"), (60, "Not dependably"), (2, "No")])
def test_timing(summary: Summary, in_time: int, word: str) -> None:
    summary["study"]["stress_window"] = "17:00-20:00"
    timing = {
        "case": "expected", "season": "winter", "from_h": 17.0, "to_h": 20.0, "event_days": 100,
        "in_time": in_time, "draws": 4, "draws_in_time": 3, "before_share": 0.6,
        "export_kw_mean": 30.0, "export_kw_min": 20.0, "export_kw_max": 41.0,
        "relief_kw_mean": 40.0, "relief_kw_min": 30.0, "relief_kw_max": 50.0,
        "load_kw_mean": 210.0, "load_kw_max": 300.0, "load_h": 16.0,
    }  # fmt: skip
    summary["pilot"] = {"timing": [timing]}
    first, load, *rest = first_lines(summary)
    assert first.startswith(f"{word}: in winter")
    assert f"on {in_time} of 100 event-days (3 of 4 draws on most days)" in first
    assert "(20 to 41 by draw)" in first
    assert "210" in load
    assert "most often at 16:00" in load
    assert any("afterwards it rises" in line for line in rest)


def test_the_first_voltage_by_reverse_mode_and_what_a_change_buys(summary: Summary) -> None:
    rows = [
        ramp("neutral", 208.0),
        ramp("neutral", 320.0, day_type="weekday"),
        ramp("cogeneration", 298.0, bus="814"),
        ramp("neutral", 629.0, change="phases balanced"),
        ramp("neutral", None, change="regulators 2 V lower"),
        ramp("neutral", 65.0, asked="any", criterion="sudden_voltage"),
    ]
    summary["pilot"] = {"ramp": rows}
    lines = [line.replace("\N{NO-BREAK SPACE}", " ") for line in first_lines(summary)]
    assert lines[0].startswith(
        "Voltage rise appears first at bus 890, phase A, from 208 kW of simultaneous export on "
        "(208 to 298 over the reverse modes)"
    )
    assert "neutral 208 kW, bus 890 phase A; cogeneration 298 kW, bus 814 phase A" in lines[1]
    assert lines[2] == "Phases balanced: neutral 208 kW to 629 kW."
    assert lines[3] == "Regulators 2 V lower: neutral 208 kW to none up to 900 kW."
    assert "sudden voltage change" in lines[4]


def test_a_depot_says_whether_every_vehicle_leaves_full(summary: Summary) -> None:
    again = {
        "case": "expected", "hours_mean": 0.0, "hours_max": 0.0, "sessions": 900, "short": 0,
        "short_uncontrolled": 0, "short_kwh_max": 0.0, "depots": True,
    }  # fmt: skip
    summary["pilot"] = {"capacity_credit": [credit(1.0), few(4.0)], "recharging": [again]}
    lines = first_lines(summary)
    assert "event-days drawn" in lines[0]
    assert "breaks no screened limit that holds without EVs" in lines[2]
    assert lines[3] == "Every vehicle leaves full: none of 900 departures is below its target."
    again |= {"short": 3, "short_kwh_max": 9.0, "hours_mean": 1.5, "hours_max": 3.0}
    lines = first_lines(summary)
    assert "breaks limits in 1.5" in lines[2]
    assert lines[3].startswith("Not every vehicle leaves full: 3 of 900 departures")
    again["short_uncontrolled"] = 3
    assert first_lines(summary)[3].startswith("Export costs no departure its target: 3 of 900")


def test_solar_names_absorbed_kwh_late_export_and_reverse_hours(summary: Summary) -> None:
    row = {
        "policy": "managed", "case": "expected", "season": "summer", "day_type": "weekday",
        "surplus_kwh": 500.0, "absorbed_kwh_mean": 300.0, "absorbed_kwh_min": 250.0,
        "absorbed_kwh_max": 350.0, "reverse_hours_none": 8.0, "reverse_hours_mean": 6.0,
    }  # fmt: skip
    other = row | {"policy": "uncontrolled", "absorbed_kwh_mean": 200.0}
    hours = [{"policy": name, "reverse_hours": h} for name, h in (("no_ev", 9.0), ("managed", 5.0))]
    summary["solar"] = {"arrays": [], "absorbed": [row, other], "head": hours}
    lines = [line.replace("\N{NO-BREAK SPACE}", " ") for line in first_lines(summary)]
    assert "300 (250 to 350 by draw; uncontrolled 200) of 500 kWh in summer" in lines[0]
    assert "6 instead of 8 h (summer)" in lines[0]
    assert lines[1].startswith("Export left for 17:00\N{EN DASH}21:00")
    assert "in 9 h of the modelled days without EVs and in 5 h" in lines[2]
