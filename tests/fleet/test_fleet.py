"""The fleet: defaults with sources, settings, vehicles, sessions, participation."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest

from v2g_feeder.dispatch import aggregator_figures, default_tariff
from v2g_feeder.errors import InputError
from v2g_feeder.fleet import (
    FleetSettings,
    Vehicles,
    archetype_names,
    draw_participation,
    draw_vehicles,
    eligibility,
    load_archetype,
    load_participation,
    participation_case,
)


def test_every_figure_has_unit_source_and_mark():
    figures = [figure for name in archetype_names() for figure in load_archetype(name).figures]
    figures += [*aggregator_figures(), *default_tariff().figures]
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
        reserve_soc=20, departure_soc=80, efficiency_charge=0, ports=0, site_export_kw=-1,
    )  # fmt: skip
    found = {problem.where: str(problem) for problem in wrong.validate("fleets[0]")}
    assert len(found) == 11
    assert "did you mean 0.8" in found["fleets[0].departure_soc"]
    assert "did you mean 0.3" in found["fleets[0].export_capable"]
    above = FleetSettings("a", 1, 0.5, reserve_soc=0.95).validate("f")
    assert "above the departure target 0.9" in str(above[0])
    assert FleetSettings("a", 1, 0.5, efficiency_discharge=1.1).validate("f")
    assert FleetSettings("a", 1.5, 0.5).validate("f")
    assert not FleetSettings("a", 0, 0.0).validate("f")
    with pytest.raises(InputError):
        draw_vehicles([wrong], np.random.default_rng(0))


def test_vehicles_follow_their_settings():
    fleets = [
        FleetSettings("a", 100, 0.25, charger_kw=11.5, battery_kwh=50.0, efficiency_charge=0.9),
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
        if item.name != "sites":
            both = getattr(vehicles, item.name)[:100]
            np.testing.assert_array_equal(getattr(alone, item.name), both)
    assert len(draw_vehicles([], np.random.default_rng(0))) == 0


def test_eligibility_counts_each_vehicle_once():
    vehicles = draw_vehicles(
        [
            FleetSettings(
                "a", 400, 0.5, compatible=0.7, permitted=0.5, accepted=0.8, smart_only=0.2
            ),
            FleetSettings("none", 0, 0.5),
        ],
        np.random.default_rng(5),
    )
    table = eligibility(vehicles, load_participation()["expected"], ["a", "none"])
    states = table[["outside", "smart_only", "grid_managed", "v2h", "v2g"]]
    assert states.sum(axis=1).tolist() == [400, 0]
    assert (states.iloc[0] > 0).all()
    funnel = table.loc[0, "vehicles":"enrolled_to_export"].to_numpy()
    assert (np.diff(funnel.astype(int)) < 0).all()
    row = table.iloc[0]
    assert row["v2g_kw"] == pytest.approx(7.2 * row["v2g"])


def test_outage_is_correlated():
    chance = draw_participation(50, np.random.default_rng(0), n_days=400)
    case = replace(load_participation()["expected"], responds=1.0, outage=0.2)
    answers = chance.answers(case)
    assert set(answers.sum(axis=0)) == {0, 50}
    assert (answers.sum(axis=0) == 0).mean() == pytest.approx(0.2, abs=0.06)


def test_a_case_of_ones_own():
    own = participation_case("pilot", "firm", {"enrolled": 0.2, "stated_error": 0})
    firm = load_participation()["firm"]
    assert (own.enrolled, own.stated_error, own.responds) == (0.2, 0, firm.responds)
    sources = {figure.name: figure.source for figure in own.figures}
    assert sources["pilot.enrolled"] == "the study file"
    assert sources["pilot.outage"] == next(
        figure.source for figure in firm.figures if figure.name == "firm.outage"
    )
    with pytest.raises(InputError, match="did you mean 'enrolled'"):
        participation_case("pilot", "firm", {"enroled": 0.2})
    with pytest.raises(InputError, match=r"did you mean 0\.2"):
        participation_case("pilot", "firm", {"enrolled": 20})
    with pytest.raises(InputError, match="unknown case"):
        participation_case("pilot", "form", {})


def test_a_fleet_may_state_its_own_enrolment():
    fleets = [FleetSettings("buses", 8, 1.0, archetype="school_bus", enrolled=1.0)]
    vehicles = draw_vehicles(fleets, np.random.default_rng(0))
    assert all(case.is_enrolled(vehicles).all() for case in load_participation().values())
    assert vehicles.sites[0].ports == 6  # 0.75 a bus


def test_cases_are_nested():
    vehicles = draw_vehicles([FleetSettings("a", 500, 0.5)], np.random.default_rng(0))
    cases = load_participation()
    chance = draw_participation(500, np.random.default_rng(1))
    takes_part = {
        name: case.is_enrolled(vehicles)[:, None] & chance.answers(case) & ~chance.declines(case)
        for name, case in cases.items()
    }
    for inner, outer in (("firm", "expected"), ("low", "expected"), ("expected", "high")):
        assert not (takes_part[inner] & ~takes_part[outer]).any()
