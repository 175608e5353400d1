"""Capacity credit: order statistics, properties, and ten vehicles by hand."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from v2g_feeder.calendar import season_calendar
from v2g_feeder.conventions import DayType, Policy
from v2g_feeder.dispatch import Aggregator, Event, Programme, simulate
from v2g_feeder.errors import InputError
from v2g_feeder.fleet import (
    FleetSettings,
    Participation,
    ParticipationDraw,
    Sessions,
    Site,
    Vehicles,
)
from v2g_feeder.loadshape import ShapeSettings, fleet_shapes
from v2g_feeder.pilot import (
    against_contract,
    capacity_credit,
    credit_by_size,
    credit_of_days,
    fleet_credit,
)
from v2g_feeder.pilot.exceedance import exceeded, least_event_days, stress_blocks
from v2g_feeder.pilot.relief import credit_rows, relief, sustained

EVENING = np.array([5.0] * 15 + [6, 7, 9, 10, 8, 6] + [5] * 3)  # peaks at 18, then 17, 19, 16


def flat(kw, count=59, hours=24):
    """Event-days of one point that exports the same from 15:00 to 21:00."""
    values = np.zeros((count, 1, hours))
    values[:, 0, 15:21] = -kw
    return values


@pytest.mark.parametrize(("level", "least"), [(0.95, 59), (0.9, 29), (0.5, 5)])
def test_event_days_that_a_statement_needs(level, least):
    assert least_event_days(level) == least
    assert 1 - level**least >= 0.95 > 1 - level ** (least - 1)
    assert math.isnan(exceeded(np.ones(least - 1), level)[1])
    assert exceeded(np.arange(least) + 7.0, level)[1] == 7.0


def test_the_bound_holds_with_the_confidence_it_states():
    rng = np.random.default_rng(4)
    for level, count in ((0.95, 59), (0.95, 200), (0.9, 40), (0.5, 12)):
        held = [exceeded(rng.random(count), level)[1] <= 1 - level for _ in range(4000)]
        assert np.mean(held) >= 0.94
        exact = binom.sf(np.arange(count), count, 1 - level)  # of the order statistics
        assert np.mean(held) == pytest.approx(exact[exact >= 0.95].min(), abs=0.02)


def test_blocks_are_nested_and_grow_towards_the_load():
    blocks = stress_blocks(EVENING, (1, 2, 4), 1.0)
    assert blocks == {1: slice(18, 19), 2: slice(17, 19), 4: slice(16, 20)}
    given_hours = stress_blocks(EVENING, (1, 2, 4), 1.0, (19.0, 22.0))
    assert given_hours == {1: slice(19, 20), 2: slice(19, 21), 4: None}
    quarter = stress_blocks(np.repeat(EVENING, 4), (1,), 0.25)
    assert quarter[1] == slice(72, 76)


def test_relief_splits_into_charging_put_off_and_export():
    managed = np.array([[[4.0, 4.0], [0.0, 0.0]]])  # one day, two points, two steps
    kw = np.array([[[1.0, -2.0], [-3.0, -9.0]]])
    found = relief(kw, managed)
    assert found.avoided_kw.tolist() == [[3.0, 4.0]]
    assert found.export_kw.tolist() == [[3.0, 11.0]]
    assert found.kw.tolist() == [[6.0, 15.0]]
    assert relief(kw, managed, 5.0).export_kw.tolist() == [[3.0, 5.0]]
    assert relief(kw, managed, np.array([1.0, 99.0])).kw.tolist() == [[4.0, 15.0]]


def test_a_rebound_counts_where_it_makes_a_new_peak():
    kw = flat(3.0)
    kw[:, 0, 22] = 4.0  # 5 + 4 = 9: below the day's peak of 10
    low = sustained(relief(kw, np.zeros_like(kw)), EVENING, slice(17, 19))
    assert (low["kw"].iloc[0], low["rebound_kw"].iloc[0]) == (3.0, 0.0)
    kw[:, 0, 22] = 6.5  # 11.5
    high = sustained(relief(kw, np.zeros_like(kw)), EVENING, slice(17, 19))
    assert (high["kw"].iloc[0], high["rebound_kw"].iloc[0]) == (1.5, 1.5)
    kw[:, 0, 18] = 1.0  # within the block
    inside = sustained(relief(kw, np.zeros_like(kw)), EVENING, slice(17, 19))
    assert inside["kw"].iloc[0] == 0.0


def test_twenty_event_days_are_insufficient():
    kw = flat(3.0, count=20)
    table = credit_rows(relief(kw, 0 * kw), EVENING, step_hours=1.0).set_index(["level", "hours"])
    assert (table.loc["P95", "status"] == "insufficient draws").all()
    assert (table.loc["P90", "status"] == "insufficient draws").all()
    assert (table.loc["P50", "status"] == "ok").all()
    assert table.loc["P95", "kw"].isna().all()
    assert (table.loc["P95", "estimate_kw"] == 3.0).all()
    assert (table.loc["P50", "kw"] == 3.0).all()
    assert set(table["event_days"]) == {20}
    kept = against_contract(table.reset_index(), 3.5).set_index(["level", "hours"])
    assert set(kept.loc["P95", "kept"]) == {"unknown"}
    assert set(kept.loc["P50", "kept"]) == {"no"}
    assert set(kept.loc["P50", "short_kw"]) == {0.5}
    assert set(against_contract(table.loc["P50"], 3.0)["kept"]) == {"yes"}


def test_a_stress_that_is_shorter_is_said_so():
    kw = flat(3.0)
    table = credit_rows(relief(kw, 0 * kw), EVENING, step_hours=1.0, window=(17.0, 19.0)).set_index(
        ["hours", "level"]
    )
    assert set(table.loc[4.0, "status"]) == {"stress is shorter"}
    assert table.loc[4.0, "kw"].isna().all()
    assert table.loc[2.0].loc["P95", ["from_h", "to_h", "kw"]].tolist() == [17.0, 19.0, 3.0]


@st.composite
def days(draw):
    """Event-days of a few points: signed kW, managed charging, a base load."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    count, points = draw(st.integers(59, 80)), draw(st.integers(1, 4))
    managed = np.maximum(rng.normal(2, 3, (count, points, 24)), 0.0)
    kw = managed - rng.gamma(2.0, 3.0, (count, points, 24)) * (rng.random((count, 1, 24)) > 0.1)
    kw[:, :, 21:] += rng.gamma(1.0, 4.0, (count, points, 3))
    return kw, managed, rng.uniform(5, 40, 24)


@settings(deadline=None, max_examples=60)
@given(days(), st.floats(0, 30))
def test_properties(sample, limit):
    kw, managed, base = sample
    table = credit_rows(relief(kw, managed, limit), base, step_hours=1.0)
    for name in ("kw", "estimate_kw", "avoided_kw", "export_kw"):
        by = table.pivot_table(index="hours", columns="level", values=name)
        assert (by.loc[4.0] <= by.loc[2.0] + 1e-9).all(), name  # longer is never more
        assert (by.loc[2.0] <= by.loc[1.0] + 1e-9).all(), name
        assert (by["P95"] <= by["P90"] + 1e-9).all(), name  # surer is never more
        assert (by["P90"] <= by["P50"] + 1e-9).all(), name
    assert (table["export_kw"] <= limit + 1e-9).all()  # never above what the feeder takes
    assert (table["kw"] >= 0).all()
    none = credit_rows(relief(np.minimum(kw, 0.0), 0 * managed, limit), base, step_hours=1.0)
    assert (none[["kw", "estimate_kw"]] <= limit + 1e-9).all().all()


@settings(deadline=None, max_examples=40)
@given(days(), st.integers(0, 2**16))
def test_firm_is_at_most_expected(sample, seed):
    kw, managed, _ = sample
    kw = np.minimum(kw, managed)  # no rebound
    firm = np.random.default_rng(seed).random(kw.shape[:2]) < 0.5  # vehicles that take part
    less = np.where(firm[..., None], kw, managed)
    expected = credit_rows(relief(kw, managed), EVENING, step_hours=1.0)
    smaller = credit_rows(relief(less, managed), EVENING, step_hours=1.0)
    assert (smaller["kw"] <= expected["kw"] + 1e-9).all()
    assert (smaller["estimate_kw"] <= expected["estimate_kw"] + 1e-9).all()


def test_small_fleets_deliver_less_per_vehicle():
    rng = np.random.default_rng(2)
    kw = np.zeros((400, 300, 24))
    kw[:, :, 17:21] = -10.0 * (rng.random((400, 300, 1)) < 0.8)
    table = credit_by_size(kw, 0 * kw, np.arange(300) < 250, slice(17, 19), rng, sizes=(1, 10, 100))
    by = table.set_index(["size", "level"])["kw_per_enrolled"]
    assert by[1, "P95"] == 0.0
    assert by[1, "P95"] < by[10, "P95"] < by[100, "P95"] < by[250, "P95"] < 8.0
    sure = int(binom.ppf(0.05, 10, 0.8))
    assert by[10, "P95"] in (sure - 1.0, float(sure))
    few = credit_by_size(kw[:20], 0 * kw[:20], np.ones(300, bool), slice(17, 19), rng, sizes=(1,))
    assert set(few[few["level"] == "P95"]["status"]) == {"insufficient draws"}


def test_the_second_and_third_day_of_a_heat_wave():
    kw = np.zeros((60, 1, 24 * 10))
    event = np.isin(np.arange(10), [1, 2, 5, 6, 7])
    for day, held in ((1, 99.0), (2, 99.0), (5, 9.0), (6, 6.0), (7, 4.0)):
        kw[:, 0, day * 24 + 15 : day * 24 + 21] = -held
    table = credit_of_days(kw, 0 * kw, event, EVENING, step_hours=1.0)
    by = table.set_index(["day_of_run", "hours", "level"])["kw"]
    assert [by[day, 4.0, "P95"] for day in (1, 2, 3)] == [9.0, 6.0, 4.0]
    with pytest.raises(InputError, match="no 4 days in a row"):
        credit_of_days(kw, 0 * kw, event, EVENING, step_hours=1.0, days=4)


CARS = 10
BASE_OF_TEN = np.where(np.arange(24) == 17, 300.0, 200.0)


def ten_vehicles(opt_out, latency_minutes, draws=1500):
    """Ten buses of 10 kW, plugged in for two days, asked for all they have from 17:00 to 21:00."""
    values = {
        "fleet": 0, "battery_kwh": 400.0, "rated_kw": 10.0, "export_kw": 10.0, "eta_c": 0.9,
        "eta_d": 0.9, "reserve_soc": 0.2, "departure_soc": 0.8, "floor_soc": 0.0,
        "kwh_per_mile": 0.3, "taper_soc": 1.0, "taper_floor": 1.0, "habit_rank": 0.5,
        "enrol_rank": 0.0, "compatible": True, "bidirectional": True, "permitted": True,
        "accepted": True, "smart_only": False,
    }  # fmt: skip
    columns = {key: np.broadcast_to(value, (CARS,)).copy() for key, value in values.items()}
    vehicles = Vehicles(**columns, sites=(Site(),))
    zero = np.zeros(CARS)
    plugged = Sessions(2, np.arange(CARS), zero, zero + 48, zero + 48, zero, zero.astype(bool))
    rng = np.random.default_rng(8)
    chance = [
        ParticipationDraw(np.zeros((CARS, 2)), rng.random((CARS, 2)), np.ones(2))
        for _ in range(draws)
    ]
    case = Participation("own", 1.0, 1.0, opt_out, 0.0, 1.0, 0.0)
    programme = Programme(
        Aggregator(latency_minutes=latency_minutes, poll_minutes=0.0, ramp_minutes=0.0)
    )
    hourly = []
    for policy, event in ((Policy.EXPORT, Event(17, 21, 100.0)), (Policy.MANAGED, None)):
        run = simulate(
            vehicles, [plugged] * draws, policy, case, chance, np.zeros(192), event,
            step_minutes=15, programme=programme,
        )  # fmt: skip
        hourly.append(run.kw[..., :96].reshape(draws, CARS, 24, 4).mean(axis=-1))
    found = credit_rows(relief(*hourly), BASE_OF_TEN, step_hours=1.0, window=(17.0, 21.0))
    return found.set_index(["level", "hours"])


@pytest.mark.parametrize("latency_minutes", [0.0, 15.0, 30.0])
@pytest.mark.parametrize(("opt_out", "vehicles"), [(0.0, 10), (0.1, 7), (0.25, 5), (0.35, 4)])
def test_contract_by_hand(opt_out, vehicles, latency_minutes):
    # on 95 % of days at least that many of ten stay in; the first hour lacks the latency
    assert vehicles == binom.ppf(0.05, CARS, 1 - opt_out)
    table = ten_vehicles(opt_out, latency_minutes)
    expected = 10.0 * vehicles * (1 - latency_minutes / 60)
    for hours in (1.0, 2.0, 4.0):
        assert table.loc[("P95", hours), "kw"] == pytest.approx(expected)
        assert table.loc[("P95", hours), "export_kw"] == pytest.approx(expected)
    assert table.loc[("P50", 1.0), "kw"] >= expected


def test_from_the_shapes_of_a_fleet():
    calendar = season_calendar({"summer": [6, 7, 8], "winter": [12, 1, 2]}, list(DayType))
    cases = ("firm", "expected")
    runs = tuple((policy, case) for case in cases for policy in ("managed", "export"))
    shape = ShapeSettings(
        fleets=(FleetSettings("buses", 12, 1.0, archetype="school_bus", enrolled=1.0),),
        calendar=calendar,
        runs=runs,
        event=Event(17, 21, 400.0),
        event_seasons=frozenset({"summer"}),
        draws=60,
    )
    load = np.tile(300 + 100 * EVENING, len(calendar.days))
    made = fleet_shapes(shape, load)
    table = fleet_credit(made, shape.cases, load, evidence="lab")
    plate = made.vehicles.nameplate_kw
    assert set(table["nameplate_kw"]) == {plate}
    assert set(table["enrolled"]) == {12}
    shapes = made.dataset()
    options = {"nameplate_kw": plate, "enrolled": {"firm": 12, "expected": 12}}
    pd.testing.assert_frame_equal(table, capacity_credit(shapes, load, evidence="lab", **options))
    assert set(table["season"]) == {"summer"}  # winter has no events
    assert set(table["evidence"]) == {"lab"}
    assert set(table["event_days"]) == {60}
    assert set(table["status"]) == {"ok"}
    keys = ["hours", "level"]
    firm, expected = (table[table["case"] == case].set_index(keys)["kw"] for case in cases)
    assert (firm <= expected + 1e-6).all()
    assert 0 < expected[1.0, "P50"] < plate
    np.testing.assert_allclose(table["kw_per_enrolled"], table["kw"] / 12)
    capped = capacity_credit(shapes, load, export_limit_kw={"summer": 50.0}, **options)
    assert (capped["export_kw"] <= 50.0 + 1e-9).all()
    assert (capped["kw"] <= table["kw"] + 1e-9).all()
    with pytest.raises(InputError, match="policy managed is not there"):
        capacity_credit(shapes.sel(policy=["export"]), load, **options)
    with pytest.raises(InputError, match="has shape"):
        capacity_credit(shapes, load[:24], **options)


def test_a_run_that_was_not_simulated_gives_no_row():
    calendar = season_calendar({"summer": [6, 7, 8]}, ["weekday"])
    shape = ShapeSettings(
        fleets=(FleetSettings("homes", 4, 1.0),),
        calendar=calendar,
        runs=(("managed", "expected"), ("export", "expected"), ("export", "firm")),
        event=Event(17, 19, 10.0),
        event_seasons=frozenset({"summer"}),
        draws=2,
    )
    shapes = fleet_shapes(replace(shape, seed=3), EVENING).dataset()
    table = capacity_credit(shapes, EVENING, nameplate_kw=40.0, enrolled={})
    assert "firm" not in set(table["case"])
    assert table["kw_per_enrolled"].isna().all()
    assert isinstance(table, pd.DataFrame)
