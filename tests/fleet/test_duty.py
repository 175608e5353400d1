"""Trips of fleets on duty: against their tables, by hand, and as properties."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_1samp, spearmanr

from v2g_feeder.errors import InputError
from v2g_feeder.fleet.duty import Duty, Trip, draw_trips, read_duty
from v2g_feeder.fleet.figures import Figure, read_figures

SHIPPED = ("school_bus", "transit", "delivery_van", "delivery_truck", "municipal")


def shipped(name):
    figures = read_figures(f"{name}.yaml")
    section = {key[5:]: figure for key, figure in figures.items() if key.startswith("duty.")}
    return read_duty(section, figures["quantile_levels"].value)


def timetable(name, leaves, out, driven, share=1.0, **others):
    """A trip that always runs as planned; levels (0, 1)."""
    shares = {
        f"{day}_share": share for day in ("weekday", "weekend", "summer_weekday", "summer_weekend")
    }
    plan = {
        "start_h": (leaves, leaves), "start_edges_h": (), "back_h": ((out, out),),
        "back_is_end": False, "miles": (driven, driven),
        "rank_start_back": 0.0, "rank_start_miles": 0.0, "rank_back_miles": 0.0,
    }  # fmt: skip
    return Trip(**{"name": name, **shares, **plan, **others})


def one_vehicle(*trips, n_days=1):
    """Trips of one vehicle as rows (start, end, miles), from the first midnight on."""
    duty = Duty(trips, levels=(0.0, 1.0))
    drawn = draw_trips(duty, 1, (1,), n_days, np.random.default_rng(1), warm_up_days=0)
    rows = np.stack([drawn.start_h, drawn.end_h, drawn.miles], axis=1)
    return rows[rows[:, 0] < 24 * n_days].tolist()


# --- the shipped archetypes


@pytest.mark.parametrize("name", ["transit", "delivery_van", "delivery_truck", "municipal"])
def test_trips_follow_their_table(name):
    duty = replace(shipped(name), same_vehicle=0.0)  # days of one vehicle are no sample otherwise
    drawn = draw_trips(duty, 1500, (1,), 14, np.random.default_rng(1))
    trip = duty.trips[0]
    start, end = drawn.start_h % 24, drawn.start_h % 24 + drawn.end_h - drawn.start_h
    back = end if trip.back_is_end else end - start
    for drawn_values, row in (
        (start, trip.start_h), (back, trip.back_h[0]), (drawn.miles, trip.miles)
    ):  # fmt: skip
        distance = ks_1samp(drawn_values, np.interp, args=(row, duty.levels)).statistic
        assert distance < 0.02
    ranks = spearmanr(np.stack([start, back, drawn.miles], axis=1)).statistic
    assert ranks[0, 1] == pytest.approx(trip.rank_start_back, abs=0.03)
    assert ranks[0, 2] == pytest.approx(trip.rank_start_miles, abs=0.03)
    assert ranks[1, 2] == pytest.approx(trip.rank_back_miles, abs=0.03)


def test_delivery_trucks_reproduce_the_published_facts():
    """NREL beverage delivery: start and end at q10/50/90, mean and q90 of the miles."""
    drawn = draw_trips(shipped("delivery_truck"), 1500, (1,), 14, np.random.default_rng(2))
    out_h = drawn.end_h - drawn.start_h
    start = np.quantile(drawn.start_h % 24, (0.1, 0.5, 0.9))
    end = np.quantile(drawn.start_h % 24 + out_h, (0.1, 0.5, 0.9))
    np.testing.assert_allclose(start, (7.4, 8.4, 9.4), atol=0.15)
    np.testing.assert_allclose(end, (16.5, 18.2, 19.6), atol=0.15)
    assert drawn.miles.mean() == pytest.approx(76.3, abs=1)
    assert np.quantile(drawn.miles, 0.9) == pytest.approx(107, abs=1)
    assert 24 - out_h.mean() == pytest.approx(14.4, abs=0.15)  # off shift


def test_a_school_bus_day_and_its_weekend():
    drawn = draw_trips(
        replace(shipped("school_bus"), holiday_share=0.0), 500, (1,), 7, np.random.default_rng(3)
    )
    times = [time + 24 * day for day in range(5) for time in (3, 8, 15, 18)]
    away = [np.sum((drawn.start_h <= time) & (drawn.end_h > time)) / 500 for time in times]
    np.testing.assert_allclose(np.reshape(away, (5, 4)), [[0, 0.95, 0.95, 0]] * 5, atol=0.03)
    weekend = (drawn.start_h >= 120) & (drawn.start_h < 168)
    assert 0.02 < weekend.sum() / 1000 < 0.08
    weekday = (drawn.start_h >= 0) & (drawn.start_h < 120)
    miles = drawn.miles[weekday].sum() / 5 / 500
    assert miles == pytest.approx((0.95 + 0.95 + 0.1) * 25, rel=0.03)


def test_few_school_buses_run_in_summer():
    duty = shipped("school_bus")
    term = draw_trips(duty, 500, (10,), 14, np.random.default_rng(4))
    summer = draw_trips(duty, 500, (7,), 14, np.random.default_rng(4))
    assert len(summer) < 0.25 * len(term)
    assert len(np.unique(summer.vehicle)) < 0.65 * 500  # in four weeks: mostly the same few


@pytest.mark.parametrize("name", SHIPPED)
def test_trips_do_not_touch(name):
    drawn = draw_trips(shipped(name), 400, (1,), 14, np.random.default_rng(5))
    check_disjoint(drawn)
    assert drawn.start_h.min() < -6 * 24
    assert drawn.start_h.max() > 18 * 24  # the Friday after the period


def check_disjoint(drawn):
    same = np.diff(drawn.vehicle) == 0
    assert np.all(np.diff(drawn.vehicle) >= 0)
    assert np.all((drawn.start_h[1:] - drawn.end_h[:-1])[same] >= 1 - 1e-9)
    assert np.all(drawn.end_h - drawn.start_h >= 1 - 1e-9)


# --- by hand


def test_two_trips_a_day():
    am, pm = timetable("am", 6, 3, 25), timetable("pm", 14, 2, 20)
    assert one_vehicle(am, pm, n_days=2) == [
        [6, 9, 25], [14, 16, 20], [30, 33, 25], [38, 40, 20]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("start_h", "expected"),
    [
        (10.0, [[6, 9, 25], [10, 12, 20]]),  # an hour of dwell is enough
        (9.5, [[6, 11.5, 45]]),  # back for half an hour: not plugged in
        (8.0, [[6, 11, 45]]),  # leaves an hour late, as soon as it is back
        (5.0, [[6, 11, 45]]),  # four hours late
        (4.5, [[6, 9, 25]]),  # too late: not made
    ],
)
def test_a_trip_that_collides(start_h, expected):
    assert one_vehicle(timetable("am", 6, 3, 25), timetable("next", start_h, 2, 20)) == expected


def test_a_night_trip_ends_the_next_day():
    late = timetable("late", 18, 26, 60, back_is_end=True)  # until 02:00
    assert one_vehicle(late, n_days=2) == [[18, 26, 60], [42, 50, 60]]
    night = timetable("night", 25, 3, 60)  # leaves at 01:00 of the next morning
    assert one_vehicle(night, n_days=2)[0] == [25, 28, 60]


def test_a_return_before_the_start_becomes_an_hour():
    crossed = timetable("crossed", 10, 9, 5, back_is_end=True)
    assert one_vehicle(crossed) == [[10, 11, 5]]


def test_shares_nest_and_weekends_differ():
    """A vehicle that makes the rarer trip makes the frequent one too."""
    often = timetable("often", 6, 2, 1, share=0.8, weekend_share=0.0)
    rare = timetable("rare", 12, 2, 1, share=0.3, weekend_share=0.0)
    drawn = draw_trips(Duty((often, rare), (0.0, 1.0)), 2000, (1,), 7, np.random.default_rng(6))
    day, hour = drawn.start_h // 24, drawn.start_h % 24
    assert not np.any(day % 7 >= 5)
    first = {*zip(drawn.vehicle[hour == 6], day[hour == 6], strict=True)}
    second = {*zip(drawn.vehicle[hour == 12], day[hour == 12], strict=True)}
    assert second < first
    assert len(first) / 2000 / 15 == pytest.approx(0.8, abs=0.01)  # weekdays of three weeks
    assert len(second) / 2000 / 15 == pytest.approx(0.3, abs=0.01)


def test_holidays_stop_the_whole_fleet_on_weekdays():
    trip = timetable("am", 6, 3, 25)
    duty = Duty((trip,), (0.0, 1.0), holiday_share=0.3, summer_months=(7,))
    drawn = draw_trips(duty, 50, (1,), 350, np.random.default_rng(7), warm_up_days=0)
    out = np.bincount((drawn.start_h // 24).astype(int), minlength=350)[:350]
    weekend = np.arange(350) % 7 >= 5
    assert {*out} == {0, 50}  # all or none
    assert np.all(out[weekend] == 50)
    assert np.mean(out[~weekend] == 0) == pytest.approx(0.3, abs=0.09)
    summer = draw_trips(duty, 50, (7,), 14, np.random.default_rng(7))
    assert len(summer) == 50 * 28  # no school, no school holidays


def test_a_season_with_one_summer_month_of_three_is_summer_in_a_third_of_the_draws():
    trip = timetable("am", 6, 3, 25, summer_weekday_share=0.0, summer_weekend_share=0.0)
    duty = Duty((trip,), (0.0, 1.0), summer_months=(6,))
    draws = [draw_trips(duty, 1, (4, 5, 6), 7, np.random.default_rng(seed)) for seed in range(300)]
    assert {len(drawn) for drawn in draws} == {0, 21}
    assert np.mean([len(drawn) == 0 for drawn in draws]) == pytest.approx(1 / 3, abs=0.08)


def test_a_vehicle_that_keeps_its_route():
    wide = {"start_h": (5.0, 8.0), "back_h": ((2.0, 4.0),), "miles": (10.0, 50.0)}
    trip = timetable("am", 0, 0, 0, share=0.5, **wide)
    own = Duty((trip,), (0.0, 1.0), same_vehicle=1.0)
    drawn = draw_trips(own, 200, (1,), 7, np.random.default_rng(8))
    counts = np.bincount(drawn.vehicle, minlength=200)
    assert {*counts} == {0, 21}  # the same vehicles on every day
    np.testing.assert_allclose(drawn.miles.reshape(-1, 21).std(axis=1), 0, atol=1e-9)
    anew = draw_trips(replace(own, same_vehicle=0.0), 200, (1,), 7, np.random.default_rng(8))
    assert {*np.bincount(anew.vehicle)}.isdisjoint({0, 21})


def test_windows_keep_two_shifts_apart():
    """Half the fleet runs 05:00-14:00 and half 18:00-04:00, and each vehicle keeps its shift."""
    levels = (0.0, 0.5, 0.501, 1.0)
    trip = timetable(
        "shift", 0, 0, 0, start_h=(4.5, 5.5, 17.5, 18.5), start_edges_h=(0.0, 12.0, 24.0),
        back_h=((13.0, 14.0, 14.0, 15.0), (27.0, 28.0, 28.0, 29.0)), back_is_end=True,
        miles=(50.0, 60.0, 60.0, 70.0),
    )  # fmt: skip
    duty = Duty((trip,), levels, same_vehicle=1.0)
    drawn = draw_trips(duty, 500, (1,), 7, np.random.default_rng(9))
    out_h = drawn.end_h - drawn.start_h
    early = drawn.start_h % 24 < 12
    assert early.mean() == pytest.approx(0.5, abs=0.06)
    assert len(drawn) == 500 * 21
    assert np.mean((out_h > 7) & (out_h < 12)) > 0.99  # but for a start between the shifts


def test_strong_ranks_are_met():
    row = tuple(np.linspace(0, 1, 11))
    trip = timetable(
        "am", 0, 0, 0, start_h=tuple(6 + 2 * np.array(row)), back_h=(tuple(4 + np.array(row)),),
        miles=tuple(np.exp(np.array(row) * 3)),
        rank_start_back=-0.6, rank_start_miles=0.3, rank_back_miles=0.5,
    )  # fmt: skip
    drawn = draw_trips(Duty((trip,), row), 1000, (1,), 14, np.random.default_rng(10))
    values = np.stack([drawn.start_h % 24, drawn.end_h - drawn.start_h, drawn.miles], axis=1)
    ranks = spearmanr(values).statistic
    np.testing.assert_allclose(ranks[[0, 0, 1], [1, 2, 2]], (-0.6, 0.3, 0.5), atol=0.02)


def test_no_vehicle_and_the_same_seed():
    duty = shipped("school_bus")
    assert len(draw_trips(duty, 0, (1,), 14, np.random.default_rng(1))) == 0
    one, two = (draw_trips(duty, 20, (1,), 14, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(one.start_h, two.start_h)
    np.testing.assert_array_equal(one.miles, two.miles)


# --- properties


@st.composite
def duties(draw):
    hours = st.floats(0, 30)
    trips = []
    for number in range(draw(st.integers(1, 3))):
        start = sorted((draw(hours), draw(hours)))
        is_end = draw(st.booleans())
        back = sorted((draw(st.floats(0, 40)), draw(st.floats(0, 40))))
        trips.append(
            timetable(
                str(number), 0, 0, 0, share=draw(st.floats(0, 1)), start_h=tuple(start),
                back_h=(tuple(back),), back_is_end=is_end, miles=(0.0, draw(st.floats(0, 100))),
            )
        )  # fmt: skip
    return Duty(
        tuple(trips),
        (0.0, 1.0),
        holiday_share=draw(st.floats(0, 1)),
        same_vehicle=draw(st.floats(0, 1)),
    )


@given(duties(), st.integers(0, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_any_duty_gives_trips_that_do_not_touch(duty, count, seed):
    drawn = draw_trips(duty, count, (3, 4, 5), 7, np.random.default_rng(seed))
    check_disjoint(drawn)
    assert np.all(np.isfinite(drawn.start_h) & np.isfinite(drawn.end_h) & (drawn.miles >= 0))
    assert np.all((drawn.vehicle >= 0) & (drawn.vehicle < count))


# --- reading


def section(**changes):
    values = {
        "holiday_share": 0.1, "summer_months": (), "same_vehicle": 0.0,
        "trips.am.weekday_share": 1.0, "trips.am.weekend_share": 0.0,
        "trips.am.start_h": (6.0, 7.0), "trips.am.out_h": (2.0, 3.0), "trips.am.miles": (5.0, 9.0),
        "trips.am.rank_start_out": 0.0, "trips.am.rank_start_miles": 0.0,
        "trips.am.rank_out_miles": 0.0,
    }  # fmt: skip
    values.update({key.replace("__", "."): value for key, value in changes.items()})
    return {
        key: Figure(key, value, "1", "test", "A")
        for key, value in values.items()
        if value is not None
    }


def problems_of(**changes):
    with pytest.raises(InputError) as caught:
        read_duty(section(**changes), (0.0, 1.0), "van.yaml: duty")
    return {problem.where: str(problem) for problem in caught.value.problems}


def test_a_section_is_read():
    duty = read_duty(section(), (0.0, 1.0))
    assert duty.trips[0].back_h == ((2.0, 3.0),)
    assert not duty.trips[0].back_is_end
    assert duty.trips[0].summer_weekday_share == 1.0  # as on other weekdays
    by_window = section(
        trips__am__start_edges_h=(0.0, 6.5, 24.0), trips__am__out_h=((2.0, 3.0), (4.0, 5.0))
    )
    assert read_duty(by_window, (0.0, 1.0)).trips[0].back_h == ((2.0, 3.0), (4.0, 5.0))


def test_all_problems_are_listed_with_their_place():
    found = problems_of(
        holiday_share=12.0,
        trips__am__weekday_share=None,
        trips__am__start_h=(6.0, 7.0, 8.0),
        trips__am__miles=(9.0, 5.0),
        trips__am__end_h=(8.0, 9.0),
        trips__am__rank_out_mile=0.0,
    )
    am = "van.yaml: duty: trips.am"
    expected = {"weekday_share", "start_h", "miles", "rank_start_end", "rank_end_miles"}
    left_over = {"out_h", "rank_start_out", "rank_out_miles", "rank_out_mile"}
    places = {f"{am}.{key}" for key in expected | left_over}
    assert {*found} == {"van.yaml: duty: holiday_share"} | places


def test_summer_shares_come_with_summer_months():
    assert len(problems_of(summer_months=(6.0, 7.0))) == 2
    assert len(problems_of(trips__am__summer_weekday_share=0.1)) == 1


def test_ranks_that_contradict_each_other():
    ranks = {"rank_start_out": 0.9, "rank_start_miles": 0.9, "rank_out_miles": -0.9}
    found = problems_of(**{f"trips__am__{key}": value for key, value in ranks.items()})
    assert "contradict" in found["van.yaml: duty: trips.am.rank_start_miles"]


def test_a_section_without_trips():
    nothing = {key: figure for key, figure in section().items() if not key.startswith("trips")}
    with pytest.raises(InputError, match="no trip"):
        read_duty(nothing, (0.0, 1.0))
