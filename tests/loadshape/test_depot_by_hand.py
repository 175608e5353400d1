"""Eight school buses that share six ports: hours and kW against a calculation by hand.

The timetable is fixed. Every bus runs 06:00 to 09:00 and 14:00 to 16:00, 25 miles each at
1.21 kWh a mile: 30.25 kWh. At each return two buses have missed the port the time before and owe
60.5 kWh; they come first, then four of the others, and two wait.
"""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest
import yaml

from v2g_feeder.calendar import season_calendar
from v2g_feeder.dispatch import LEDGER_ROWS, Aggregator, Event, Programme
from v2g_feeder.fleet import FleetSettings, participation_case
from v2g_feeder.loadshape import ShapeSettings, fleet_shapes

ROUTE_KWH, RATED_KW, ETA = 25 * 1.21, 60.0, 0.93
BATTERY_KWH, TARGET, RESERVE = 196.0, 0.9, 0.3
SURE = participation_case(
    "sure", "expected", {"responds": 1.0, "opt_out": 0.0, "outage": 0.0, "enrolled": 1.0}
)


@pytest.fixture(scope="module")
def archetype(tmp_path_factory):
    """A school bus archetype without chance."""
    text = resources.files("v2g_feeder.fleet").joinpath("data", "school_bus.yaml").read_text()
    tree = yaml.safe_load(text)
    for key in ("kwh_per_mile_low", "kwh_per_mile_high"):
        tree[key]["value"] = 1.21
    tree["cold_factor"]["value"] = 1.0
    tree["taper_soc"]["value"] = 1.0
    duty = tree["duty"]
    duty["holiday_share"]["value"] = 0.0
    duty["same_vehicle"]["value"] = 0.0
    levels = len(tree["quantile_levels"]["value"])
    trips = {"morning": (6.0, 9.0), "afternoon": (14.0, 16.0)}
    for name in set(duty["trips"]) - set(trips):
        del duty["trips"][name]
    for name, (start, end) in trips.items():
        trip = duty["trips"][name]
        back = ("end_h", end) if "end_h" in trip else ("out_h", end - start)
        for key, value in (("start_h", start), back, ("miles", 25.0)):
            trip[key]["value"] = [value] * levels
        shares = {
            "weekday_share": 1.0,
            "weekend_share": 0.0,
            "summer_weekday_share": 0.0,
            "summer_weekend_share": 0.0,
        }
        for key, value in shares.items():
            trip[key]["value"] = value
    path = tmp_path_factory.mktemp("depot") / "buses.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def shapes(archetype):
    """Uncontrolled charging and export, a term and a summer weekday."""
    fleet = FleetSettings(
        "buses", 8, 1.0, archetype=archetype, ports=6, charger_kw=RATED_KW, battery_kwh=BATTERY_KWH,
        reserve_soc=RESERVE, departure_soc=TARGET, efficiency_charge=ETA, efficiency_discharge=ETA,
    )  # fmt: skip
    calendar = season_calendar({"term": [10], "summer": [7]}, ["weekday"])
    at_once = Programme(Aggregator(latency_minutes=0.0, ramp_minutes=0.0, poll_minutes=0.0))
    settings = ShapeSettings(
        (fleet,),
        calendar,
        runs=(("uncontrolled", "sure"), ("managed", "sure"), ("export", "sure")),
        cases={"sure": SURE},
        event=Event(17, 21, 200.0),
        event_seasons=frozenset(["term", "summer"]),
        programme=at_once,
        draws=5,
    )
    return fleet_shapes(settings, np.full(calendar.n_steps, 500.0))


def day(shapes, policy, season):
    """Return kW by hour of each draw, ``[draw, hour]``."""
    start = 24 * ["term", "summer"].index(season)
    return shapes.kw[policy, "sure"].sum(axis=1)[:, start : start + 24]


def test_term_weekday_uncontrolled(shapes):
    one, two = ROUTE_KWH / ETA, 2 * ROUTE_KWH / ETA  # kWh at the meter, one and two routes owed
    by_hand = np.zeros(24)
    for back in (9, 16):
        by_hand[back] = 4 * one + 2 * RATED_KW
        by_hand[back + 1] = 2 * (two - RATED_KW)
    np.testing.assert_allclose(day(shapes, "uncontrolled", "term"), [by_hand] * 5, atol=1e-9)


def test_summer_weekday_is_idle(shapes):
    np.testing.assert_allclose(day(shapes, "uncontrolled", "summer"), 0.0, atol=1e-9)
    book = shapes.ledger["uncontrolled", "sure"][:, :, 24:].mean(axis=-1)
    rows = dict(zip(LEDGER_ROWS, book.T, strict=True))
    np.testing.assert_allclose(rows["no_port"], 2 * RATED_KW)
    # six full buses: 0.6 of 196 kWh above the reserve, sustained for four hours at the meter
    for_4h = 6 * (TARGET - RESERVE) * BATTERY_KWH * ETA / 4
    np.testing.assert_allclose(rows["available_4h"], for_4h)


@pytest.mark.parametrize(
    ("season", "missing_kwh"),
    [
        ("summer", 0.0),
        # back at 16:00, charged until 17:00: the two that owe two routes are not full yet
        ("term", 2 * (2 * ROUTE_KWH - RATED_KW * ETA)),
    ],
)
def test_evening_event(shapes, season, missing_kwh):
    energy = (6 * (TARGET - RESERVE) * BATTERY_KWH - missing_kwh) * ETA
    exported = -day(shapes, "export", season)[:, 17:21]
    by_hand = [200.0, 200.0, 200.0, energy - 600.0]
    if season == "summer":  # the days before: what was exported is charged again overnight
        np.testing.assert_allclose(exported, [by_hand] * 5, atol=1e-6)
    np.testing.assert_allclose(exported.sum(axis=1), energy, atol=1e-6)
    np.testing.assert_allclose(exported[:, :3], 200.0, atol=1e-6)


def test_waiting_buses_are_booked_as_without_port(shapes):
    book = shapes.ledger["uncontrolled", "sure"][:, LEDGER_ROWS.index("no_port"), :24]
    by_hand = np.zeros(24)
    by_hand[:6], by_hand[9:14], by_hand[16:] = 120.0, 120.0, 120.0
    np.testing.assert_allclose(book, [by_hand] * 5, atol=1e-9)
