"""Sessions: what always holds, and that the process gives back the records it was fitted to."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from v2g_feeder.errors import InputError
from v2g_feeder.fleet import FleetSettings, Sessions, draw_sessions, draw_vehicles, load_archetype
from v2g_feeder.fleet.calibrate import calibrated, simulate
from v2g_feeder.fleet.plug_process import draw_plugs
from v2g_feeder.fleet.plugging import MIN_GAP_H, ends_as_weekend

HOME = load_archetype("residential")
NAMES = ("residential", "apartment", "workplace")
# Means of the records (Sorensen 2021 half of users, private and shared; ACN-Data 2019): sessions a
# vehicle-day, Spearman of arrival and stay, arrival and energy, stay and energy
RECORDS = {
    "apartment": (0.19, 0.25, 0.34, 0.38),
    "workplace": (0.72, -0.63, -0.25, 0.33),
}


def _vehicles(name, count=2000, **changes):
    fleet = FleetSettings(name, count, 0.3, archetype=name, **changes)
    return draw_vehicles([fleet], np.random.default_rng(1))


def _sessions(name, count=2000, seed=2, months=(7,), **options):
    archetype = load_archetype(name)
    rng = np.random.default_rng(seed)
    return draw_sessions(_vehicles(name, count), [archetype], months, rng, **options)


@pytest.fixture(scope="module")
def many():
    """Four weeks of each plugging archetype."""
    return {name: _sessions(name, n_days=28) for name in NAMES}


def _columns(sessions):
    """Arrival hour (4 to 28), stay, energy and weekend or not, of arrivals in the period."""
    inside = sessions.arrival_h >= 0
    hour = (sessions.arrival_h[inside] - 4) % 24 + 4
    stay = (sessions.departure_h - sessions.arrival_h)[inside]
    weekend = sessions.arrival_h[inside] // 24 % 7 >= 5
    return hour, stay, sessions.driven_kwh[inside], weekend


def _distance(values, table, levels):
    """Return the Kolmogorov-Smirnov distance of a sample from a quantile table, at its levels."""
    share = np.searchsorted(np.sort(values), table, side="right") / len(values)
    return np.abs(share - levels)[1:-1].max()


def _share(start, end, hour, count, days=28):
    at = np.array([day * 24 + hour for day in range(days) if day % 7 < 5])[:, None]
    return ((start <= at) & (end > at)).sum() / len(at) / count


@pytest.mark.parametrize("name", NAMES)
def test_own_tables_come_back(many, name):
    archetype = load_archetype(name)
    hour, stay, kwh, weekend = _columns(many[name])
    ends = ends_as_weekend(many[name].arrival_h[many[name].arrival_h >= 0])
    for table, arrives, day in (
        (archetype.plugging.weekday, ~weekend, ~ends),
        (archetype.plugging.weekend, weekend, ends),
    ):
        assert _distance(hour[arrives], table.arrival_h, archetype.quantile_levels) < 0.05
        window = np.searchsorted(table.stay_edges_h[1:-1], hour[day], side="right")
        near = [
            _distance(stay[day][window == number], row, archetype.quantile_levels)
            for number, row in enumerate(table.stay_h)
        ]
        # a row holds at its window's median arrival; the wider the windows the less for the rest
        assert np.average(near, weights=np.bincount(window, minlength=len(near))) < 0.13
        rows = np.array([np.interp(np.linspace(0, 1, 501), archetype.quantile_levels, row)
                         for row in table.stay_h])  # fmt: skip
        mixed = np.quantile(rows, archetype.quantile_levels)  # windows hold equal counts
        # five windows of 40 weekend records each: stays between their medians are interpolated
        limit = 0.08 if name == "apartment" else 0.05
        assert _distance(stay[day], mixed, archetype.quantile_levels) < limit
    if name in RECORDS:
        rank = spearmanr(np.c_[hour, stay, kwh]).statistic
        wanted = RECORDS[name]
        inside = (many[name].arrival_h >= 0).sum()
        assert inside / 2000 / 28 == pytest.approx(wanted[0], abs=0.02)
        assert rank[0, 1] == pytest.approx(wanted[1], abs=0.06)
        assert rank[0, 2] == pytest.approx(wanted[2], abs=0.06)
        assert rank[1, 2] == pytest.approx(wanted[3], abs=0.06)


def test_energy_of_the_records_comes_back(many):
    """Quantiles of the energy in kWh at the grid side, computed from the records."""
    for name, wanted in (("workplace", (1.82, 9.49, 28.08)), ("apartment", (4.23, 10.18, 26.28))):
        kwh = _columns(many[name])[2] / load_archetype(name).efficiency_charge
        found = np.quantile(kwh, (0.1, 0.5, 0.9))
        for value, record in zip(found, wanted, strict=True):
            assert value == pytest.approx(record, rel=0.12)


def test_plug_in_and_presence_of_homes_match_the_facts(many):
    sessions = many["residential"]
    assert (sessions.arrival_h >= 0).sum() / 2000 / 28 == pytest.approx(0.48, abs=0.025)
    # the half of the users in the records: weekdays
    for hour, plugged in ((3, 0.379), (8, 0.169), (12, 0.106), (18, 0.233), (21, 0.340)):
        share = _share(sessions.arrival_h, sessions.departure_h, hour + 0.5, 2000)
        assert share == pytest.approx(plugged, abs=0.05)
    for hour, home in ((3, 0.94), (18, 0.65)):  # NHTS 2009 Tennessee
        away = _share(sessions.away_start_h, sessions.away_end_h, hour, 2000)
        assert 1 - away == pytest.approx(home, abs=0.05)


def test_homes_drive_the_miles_of_the_survey_however_often_they_plug_in():
    vehicles = _vehicles("residential", 3000)
    energy = []
    for plug_in in (1.0, 1.5):
        rng = np.random.default_rng(3)
        sessions = draw_sessions(vehicles, [HOME], (7,), rng, n_days=56, plug_in=plug_in)
        inside = sessions.arrival_h >= 0
        kwh = np.bincount(sessions.vehicle[inside], sessions.driven_kwh[inside], 3000) / 56
        miles = kwh / vehicles.kwh_per_mile
        assert miles.mean() == pytest.approx(39.7 * 0.78, rel=0.03)
        often = vehicles.habit_rank > 0.5
        assert miles[often].mean() == pytest.approx(miles[~often].mean(), rel=0.06)
        energy.append(kwh.mean())
    assert energy[1] == pytest.approx(energy[0], rel=0.02)


@pytest.mark.parametrize("name", [*NAMES, "school_bus", "transit"])
def test_sessions_absences_and_waits_never_overlap(name):
    sessions = _sessions(name, 300)
    vehicle = np.concatenate([sessions.vehicle, sessions.away_vehicle, sessions.waiting_vehicle])
    start = np.concatenate([sessions.arrival_h, sessions.away_start_h, sessions.waiting_start_h])
    end = np.concatenate([sessions.departure_h, sessions.away_end_h, sessions.waiting_end_h])
    order = np.lexsort((start, vehicle))
    same = np.diff(vehicle[order]) == 0
    assert ((start[order][1:] - end[order][:-1])[same] >= -1e-6).all()
    if name != "workplace":  # where nobody is on a Sunday night
        assert (sessions.arrival_h < 0).any()  # plugged in when the first day begins
    assert (sessions.arrival_h < 14 * 24).all()
    assert (sessions.departure_h > 0).all()


def test_a_depot_stay_is_plugged_in_away_or_waiting():
    """Every hour of the period is one of the three."""
    archetype = load_archetype("school_bus")
    sessions = draw_sessions(
        _vehicles("school_bus", 40), [archetype], (10,), np.random.default_rng(4)
    )
    assert len(sessions.waiting_vehicle)  # 30 ports for 40 buses
    hours = 0.0
    for start, end in (
        (sessions.arrival_h, sessions.departure_h),
        (sessions.away_start_h, sessions.away_end_h),
        (sessions.waiting_start_h, sessions.waiting_end_h),
    ):
        hours += (np.minimum(end, 14 * 24) - np.maximum(start, 0)).sum()
    assert hours == pytest.approx(40 * 14 * 24, rel=1e-9)
    miles = sessions.driven_kwh.sum() / archetype.kwh_per_mile_low / 40 / 14
    assert 10 < miles < 60


@settings(max_examples=15, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    seed=st.integers(0, 2**32 - 1),
    plug_in=st.floats(0, 3),
    n_days=st.integers(1, 10),
)
def test_sessions_are_sorted_apart_and_finite(name, seed, plug_in, n_days):
    sessions = _sessions(name, 30, seed, plug_in=plug_in, n_days=n_days)
    same = np.diff(sessions.vehicle) == 0
    gap = sessions.arrival_h[1:] - sessions.departure_h[:-1]
    assert (gap[same] >= MIN_GAP_H - 1e-9).all()
    for item in fields(sessions):
        assert np.isfinite(getattr(sessions, item.name)).all()
    if plug_in == 0:
        assert len(sessions) == 0


def test_no_plug_in_on_monday_lowers_the_soc_of_tuesday():
    """Both kinds of energy grow with the time since the session before."""
    for name in ("residential", "apartment"):
        hour, _, _, _ = _columns(sessions := _sessions(name, 4000, n_days=28))
        inside = sessions.arrival_h >= 0
        previous = np.r_[np.nan, sessions.departure_h[:-1]]
        previous[np.r_[True, np.diff(sessions.vehicle) != 0]] = np.nan
        gap = (sessions.arrival_h - previous)[inside]
        evening = (hour > 16) & (hour < 22)
        one_day = evening & (gap > 6) & (gap < 16)
        two_days = evening & (gap > 28) & (gap < 40)
        kwh = sessions.driven_kwh[inside]
        assert kwh[two_days].mean() > 1.1 * kwh[one_day].mean()


def _need_columns(battery):
    count = 2000
    return {
        "habit_rank": np.full(count, 0.3),
        "battery_kwh": np.full(count, battery),
        "departure_soc": np.full(count, 0.9),
        "eta_c": np.full(count, 0.93),
        "kwh_per_mile": np.full(count, 0.28),
    }


def test_who_has_less_plugs_in_more():
    """The same miles empty a small battery further."""
    starts = [
        len(
            draw_plugs(HOME, _need_columns(battery), 1.0, np.random.default_rng(5), n_days=28)[
                0
            ].vehicle
        )
        for battery in (30.0, 60.0, 120.0)
    ]
    assert starts[0] > 1.2 * starts[1] > 1.2 * 1.2 * starts[2]


def test_without_need_the_factor_only_adds_sessions():
    """A start at 1.0 also happens at 1.2 unless the vehicle is then plugged in or just left."""
    never = replace(HOME, plugging=replace(load_archetype("apartment").plugging, fresh=True))
    vehicles = _vehicles("residential", 500)
    few, more = (
        draw_sessions(vehicles, [never], (7,), np.random.default_rng(6), plug_in=factor)
        for factor in (1.0, 1.2)
    )
    assert len(more) > len(few)
    bins = {
        (int(vehicle), int(hour * 2))
        for vehicle, hour in zip(more.vehicle, np.floor(more.arrival_h * 2) / 2, strict=True)
    }
    for vehicle, hour in zip(few.vehicle, few.arrival_h, strict=True):
        mine = more.vehicle == vehicle
        busy = (more.arrival_h[mine] <= hour + 0.5) & (more.departure_h[mine] + 1.5 > hour)
        assert (int(vehicle), int(np.floor(hour * 2))) in bins or busy.any() or hour < 24


def test_an_operator_plugs_in_whatever_the_factor():
    few, more = (_sessions("transit", 50, plug_in=factor) for factor in (0.5, 1.2))
    np.testing.assert_array_equal(few.arrival_h, more.arrival_h)


def test_cold_months_need_more_energy():
    mild, cold = (_sessions("residential", 1500, months=months) for months in ((7,), (12, 1, 2)))
    assert cold.driven_kwh.sum() == pytest.approx(1.25 * mild.driven_kwh.sum(), rel=0.06)
    assert HOME.season_factor((11, 12)) == pytest.approx(1.125)


def test_same_seed_same_sessions_and_fleets_are_independent():
    fleets = [FleetSettings("a", 30, 0.3), FleetSettings("b", 20, 0.3, archetype="workplace")]
    kinds = [HOME, load_archetype("workplace")]
    both = draw_vehicles(fleets, np.random.default_rng(1))
    one = draw_vehicles(fleets[:1], np.random.default_rng(1))
    first = draw_sessions(both, kinds, (7,), np.random.default_rng(2))
    again = draw_sessions(both, kinds, (7,), np.random.default_rng(2))
    alone = draw_sessions(one, kinds[:1], (7,), np.random.default_rng(2))
    for item in fields(Sessions)[1:]:
        np.testing.assert_array_equal(getattr(first, item.name), getattr(again, item.name))
    np.testing.assert_array_equal(first.arrival_h[first.vehicle < 30], alone.arrival_h)
    assert first.fresh[first.vehicle >= 30].all()
    assert not first.fresh[first.vehicle < 30].any()


def test_stated_departures_err_and_depots_do_not(many):
    sessions = many["workplace"]
    early = sessions.stated_h - sessions.departure_h
    assert (early > 0.25).mean() == pytest.approx(0.274, abs=0.02)
    assert (early > 1).mean() == pytest.approx(0.181, abs=0.02)
    stay = sessions.departure_h - sessions.arrival_h
    assert spearmanr(early, stay).statistic == pytest.approx(-0.55, abs=0.05)
    bus = _sessions("school_bus", 20)
    np.testing.assert_array_equal(bus.stated_h, bus.departure_h)


def test_calibration_gives_back_what_it_is_given():
    """A made-up record: the process does not yield its own figures until it is calibrated."""
    wanted = load_archetype("apartment")
    table = wanted.plugging
    made_up = replace(
        wanted,
        plugging=replace(
            table,
            user_rate=tuple(np.interp(wanted.quantile_levels, (0, 0.5, 1), (0.3, 0.9, 3.0))),
            rank_energy_gap=0.4,
            weekday=replace(
                table.weekday,
                starts_per_free_h=tuple(3 * np.array(table.weekday.starts_per_free_h)),
            ),
        ),
    )
    aim = made_up.plugging
    settled = calibrated(made_up, vehicles=1500, n_days=28, rounds=2)
    drawn = simulate(settled, vehicles=1500, n_days=28, seed=9, records=aim)
    assert len(drawn.vehicle) == pytest.approx(drawn.expected_by_vehicle.sum(), rel=0.06)
    weekday = drawn.arrival_h // 24 % 7 < 5
    kwh = drawn.driven_kwh[weekday] / settled.efficiency_charge
    assert _distance(kwh, aim.weekday.energy_kwh, settled.quantile_levels) < 0.04
    rank = spearmanr(drawn.gap_h, drawn.driven_kwh).statistic
    assert rank == pytest.approx(0.4, abs=0.06)
    by_key = {figure.name: figure for figure in settled.figures}
    moved = by_key["plugging.user_rate"]
    assert moved.value == pytest.approx(settled.plugging.user_rate, rel=1e-3, abs=1e-6)
    assert "moved so that" in moved.source


def test_stays_end_as_on_the_day_they_end():
    friday, saturday, sunday = 96.0, 120.0, 144.0
    assert not ends_as_weekend(np.array([friday + 8, friday + 13.9, sunday + 20])).any()
    assert ends_as_weekend(
        np.array([friday + 18, saturday + 1, saturday + 9, saturday + 20, sunday + 9])
    ).all()
    # 01:00 on a Monday is still Sunday's evening
    assert not ends_as_weekend(np.array([1.0])).any()


def test_nobody_leaves_between_a_visit_and_a_night():
    """Plugged in at 18 h, half stay 2 h and half 14 h; at 22 h, a quarter 2 h and the rest 10 h.

    In between, visits last 2 h, and nights end at 08 h whenever they began, but for those that only
    one of the two hours knows.
    """
    home = load_archetype("residential")
    levels = np.array(home.quantile_levels)
    at_18, at_22 = np.where(levels < 0.5, 2.0, 14.0), np.where(levels < 0.25, 2.0, 10.0)
    day = replace(
        home.plugging.weekday,
        arrival_h=tuple(16 + 8 * levels),
        stay_edges_h=(4.0, 20.0, 28.0),
        stay_h=(tuple(at_18), tuple(at_22)),
        starts_per_free_h=tuple(np.where(np.arange(48) >= 36, 0.02, 0.0)),
    )
    plugging = replace(home.plugging, weekday=day, weekend=day, rank_energy_stay=0.0)
    drawn = simulate(replace(home, plugging=plugging), vehicles=1000, n_days=28, seed=3)
    hour, stay = drawn.arrival_h % 24, drawn.departure_h - drawn.arrival_h
    night = stay > 6
    assert ((stay > 2.01) & (stay < 9.9)).mean() < 0.03  # but for a step of the table's levels
    ends = (hour + stay)[(hour > 18) & (hour < 22) & night]
    assert (np.abs(ends - 32) < 0.01).mean() > 0.75
    assert ((ends > 29.9) & (ends < 32.1)).mean() > 0.97  # the nearer window's, not between
    early, late = (night[np.abs(hour - middle) < 1].mean() for middle in (19, 21))
    assert early == pytest.approx(0.5, abs=0.05)
    assert late == pytest.approx(0.75, abs=0.05)


GOOD = {
    "vehicle": np.array([0, 0]), "arrival_h": np.array([18.0, 42]),
    "departure_h": np.array([30.0, 60]), "stated_h": np.array([31.0, 59]),
    "driven_kwh": np.ones(2), "fresh": np.zeros(2, dtype=bool),
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"departure_h": np.array([18.0, 60])},
        {"departure_h": np.array([41.5, 60])},
        {"stated_h": np.array([18.0, 60])},
        {"driven_kwh": np.array([-1.0, 1])},
        {"vehicle": np.array([1, 0])},
        {"fresh": np.zeros(3, dtype=bool)},
        {"away_vehicle": np.array([0])},
    ],
)
def test_impossible_sessions_are_refused(change):
    Sessions(14, **GOOD)
    with pytest.raises(InputError):
        Sessions(14, **(GOOD | change))


def test_no_vehicles():
    vehicles = draw_vehicles([FleetSettings("a", 0, 0.5)], np.random.default_rng(0))
    assert len(draw_sessions(vehicles, [HOME], (7,), np.random.default_rng(0))) == 0
    assert len(draw_sessions(vehicles, [], (7,), np.random.default_rng(0))) == 0
    bus = load_archetype("school_bus")
    none = draw_vehicles(
        [FleetSettings("a", 0, 0.5, archetype="school_bus")], np.random.default_rng(0)
    )
    assert len(draw_sessions(none, [bus], (7,), np.random.default_rng(0))) == 0
