"""The fleet: defaults with sources, settings, vehicles, sessions, participation."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from v2g_feeder.errors import InputError
from v2g_feeder.fleet import (
    FleetSettings,
    Sessions,
    Vehicles,
    archetype_names,
    draw_participation,
    draw_sessions,
    draw_vehicles,
    eligibility,
    load_archetype,
    load_participation,
)

HOME = load_archetype("residential")


@pytest.fixture(scope="module")
def many():
    """Vehicles and one draw of their sessions."""
    vehicles = draw_vehicles([FleetSettings("homes", 4000, 0.3)], np.random.default_rng(1))
    return vehicles, draw_sessions(vehicles, [HOME], (6, 7, 8), np.random.default_rng(2))


def test_every_figure_has_unit_source_and_mark():
    figures = [*HOME.figures]
    for case in load_participation().values():
        figures += case.figures
    assert len(figures) > 40
    for figure in figures:
        assert figure.unit
        assert len(figure.source) > 5, figure
        assert figure.mark in {"P", "D", "A"}


def test_unknown_archetype_names_the_nearest():
    assert "residential" in archetype_names()
    with pytest.raises(InputError, match="did you mean 'residential'"):
        load_archetype("residental")


def test_settings_report_every_problem_at_once():
    wrong = FleetSettings(
        "a", -3, 30, archetype="residental", permitted=math.nan, charger_kw=0, battery_kwh=-60,
        reserve_soc=20, departure_soc=80, efficiency_one_way=0,
    )  # fmt: skip
    found = {problem.where: str(problem) for problem in wrong.validate("fleets[0]")}
    assert len(found) == 9
    assert "did you mean 0.8" in found["fleets[0].departure_soc"]
    assert "did you mean 0.3" in found["fleets[0].export_capable"]
    above = FleetSettings("a", 1, 0.5, reserve_soc=0.95).validate("f")
    assert "above the departure target 0.9" in str(above[0])
    assert FleetSettings("a", 1, 0.5, efficiency_one_way=1.1).validate("f")
    assert FleetSettings("a", 1.5, 0.5).validate("f")
    assert not FleetSettings("a", 0, 0.0).validate("f")
    with pytest.raises(InputError):
        draw_vehicles([wrong], np.random.default_rng(0))


def test_vehicles_follow_their_settings():
    fleets = [
        FleetSettings("a", 100, 0.25, charger_kw=11.5, battery_kwh=50.0, efficiency_one_way=0.9),
        FleetSettings("b", 10, 1.0, permitted=0.0),
    ]
    vehicles = draw_vehicles(fleets, np.random.default_rng(3))
    assert len(vehicles) == 110
    assert vehicles.bidirectional.sum() == 35
    assert vehicles.permitted[100:].sum() == 0
    assert vehicles.nameplate_kw == pytest.approx(100 * 11.5 + 10 * 7.2)
    assert set(vehicles.export_kw[:100]) == {0.0, 11.5}
    assert set(vehicles.battery_kwh[:100]) == {50.0}
    alone = draw_vehicles(fleets[:1], np.random.default_rng(3))
    for item in fields(Vehicles):
        np.testing.assert_array_equal(getattr(alone, item.name), getattr(vehicles, item.name)[:100])
    assert len(draw_vehicles([], np.random.default_rng(0))) == 0


def test_eligibility_counts_each_vehicle_once():
    vehicles = draw_vehicles(
        [FleetSettings("a", 200, 0.5, permitted=0.5), FleetSettings("none", 0, 0.5)],
        np.random.default_rng(5),
    )
    table = eligibility(vehicles, load_participation()["expected"], ["a", "none"])
    assert (table["outside"] + table["grid_managed"] + table["v2g"]).tolist() == [200, 0]
    row = table.iloc[0]
    assert row["vehicles"] > row["bidirectional"] > row["permitted"] > row["enrolled_to_export"] > 0
    assert row["v2g_kw"] == pytest.approx(7.2 * row["v2g"])


def test_sessions_are_joint_as_in_the_records(many):
    _, sessions = many
    stay = sessions.departure_h - sessions.arrival_h
    inside = sessions.arrival_h >= 4
    day = np.floor((sessions.arrival_h - 4) / 24) % 7
    hour = (sessions.arrival_h - 4) % 24
    for table, chosen in ((HOME.weekday, inside & (day < 5)), (HOME.weekend, inside & (day >= 5))):
        columns = np.c_[hour, stay, sessions.driven_kwh][chosen]
        rank = spearmanr(columns).statistic
        assert rank[0, 1] == pytest.approx(0.10, abs=0.05)  # arrival and stay in the records
        assert rank[0, 2] == pytest.approx(table.rank_energy_arrival, abs=0.06)
        assert rank[1, 2] == pytest.approx(table.rank_energy_stay, abs=0.06)
        median = np.interp(0.5, HOME.quantile_levels, table.arrival_h)
        assert np.median(hour[chosen]) + 4 == pytest.approx(median, abs=0.4)


def test_plug_in_and_presence_match_the_facts(many):
    vehicles, sessions = many
    kept = sessions.kept(load_participation()["expected"].plug_in)
    assert len(kept) / len(vehicles) / 14 == pytest.approx(0.45, abs=0.02)

    def share(start, end, hour):
        at = np.arange(7, 12)[:, None] * 24 + hour
        return ((start <= at) & (end > at)).sum() / 5 / len(vehicles)

    # the half of the users in the records: weekdays
    for hour, plugged in ((3, 0.379), (8, 0.169), (12, 0.106), (18, 0.233), (21, 0.340)):
        at = share(kept.arrival_h, kept.departure_h, hour + 0.5)
        assert at == pytest.approx(plugged, abs=0.06)
    for hour, home in ((3, 0.94), (18, 0.65)):
        away = share(sessions.away_start_h, sessions.away_end_h, hour)
        assert 1 - away == pytest.approx(home, abs=0.06)


def test_absences_and_sessions_never_overlap(many):
    _, sessions = many
    vehicle = np.concatenate([sessions.vehicle, sessions.away_vehicle])
    start = np.concatenate([sessions.arrival_h, sessions.away_start_h])
    end = np.concatenate([sessions.departure_h, sessions.away_end_h])
    order = np.lexsort((start, vehicle))
    same = np.diff(vehicle[order]) == 0
    assert ((start[order][1:] - end[order][:-1])[same] >= -1e-9).all()
    assert (sessions.arrival_h < 0).sum() > 0  # some are plugged in when the first day begins


def test_cold_months_need_more_energy():
    vehicles = draw_vehicles([FleetSettings("a", 300, 0.3)], np.random.default_rng(1))
    drawn = [
        draw_sessions(vehicles, [replace(HOME, habit_alpha=1.0)], months, np.random.default_rng(4))
        for months in ((7,), (12, 1, 2))
    ]
    assert drawn[1].driven_kwh.sum() > 1.15 * drawn[0].driven_kwh.sum()
    assert HOME.season_factor((11, 12)) == pytest.approx(1.125)


def test_same_seed_same_sessions_and_fleets_are_independent():
    fleets = [FleetSettings("a", 30, 0.3), FleetSettings("b", 20, 0.3)]
    both = draw_vehicles(fleets, np.random.default_rng(1))
    one = draw_vehicles(fleets[:1], np.random.default_rng(1))
    first = draw_sessions(both, [HOME, HOME], (7,), np.random.default_rng(2))
    again = draw_sessions(both, [HOME, HOME], (7,), np.random.default_rng(2))
    alone = draw_sessions(one, [HOME], (7,), np.random.default_rng(2))
    np.testing.assert_array_equal(first.arrival_h, again.arrival_h)
    np.testing.assert_array_equal(first.arrival_h[first.vehicle < 30], alone.arrival_h)


def test_a_session_that_does_not_take_place_passes_its_driving_on():
    sessions = Sessions(
        14,
        vehicle=np.array([0, 0, 0, 1, 1]),
        arrival_h=np.array([18.0, 42, 66, 18, 42]),
        departure_h=np.array([30.0, 54, 78, 30, 54]),
        driven_kwh=np.array([1.0, 2, 4, 8, 16]),
        plug_rank=np.array([0.9, 0.1, 0.2, 0.1, 0.9]),
    )
    kept = sessions.kept(0.5)
    assert kept.vehicle.tolist() == [0, 0, 1]
    assert kept.driven_kwh.tolist() == [3, 4, 8]
    assert sessions.kept(1.0) is sessions
    assert len(sessions.kept(0.0)) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"departure_h": np.array([18.0, 60])},
        {"departure_h": np.array([41.5, 60])},
        {"driven_kwh": np.array([-1.0, 1])},
        {"vehicle": np.array([1, 0])},
    ],
)
def test_impossible_sessions_are_refused(change):
    good = {
        "vehicle": np.array([0, 0]), "arrival_h": np.array([18.0, 42]),
        "departure_h": np.array([30.0, 60]), "driven_kwh": np.ones(2), "plug_rank": np.ones(2),
    }  # fmt: skip
    Sessions(14, **good)
    with pytest.raises(InputError):
        Sessions(14, **(good | change))


def test_outage_is_correlated():
    chance = draw_participation(50, np.random.default_rng(0), n_days=400)
    case = replace(load_participation()["expected"], responds=1.0, outage=0.2)
    answers = chance.answers(case)
    assert set(answers.sum(axis=0)) == {0, 50}
    assert (answers.sum(axis=0) == 0).mean() == pytest.approx(0.2, abs=0.06)


def test_no_vehicles():
    vehicles = draw_vehicles([FleetSettings("a", 0, 0.5)], np.random.default_rng(0))
    sessions = draw_sessions(vehicles, [HOME], (7,), np.random.default_rng(0))
    assert len(sessions) == 0
    assert len(sessions.kept(0.5)) == 0
    assert vehicles.nameplate_kw == 0
