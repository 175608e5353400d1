"""Shapes from Python, without a feeder and without a study."""

from dataclasses import replace

import numpy as np
import pytest

from v2g_feeder.calendar import season_calendar
from v2g_feeder.conventions import Policy
from v2g_feeder.dispatch import LEDGER_ROWS, Event
from v2g_feeder.errors import InputError
from v2g_feeder.fleet import FleetSettings
from v2g_feeder.loadshape import ShapeSettings, fleet_shapes

CALENDAR = season_calendar({"winter": [1]}, ["weekday", "weekend"])
RUNS = tuple(
    (str(policy), case)
    for policy in (Policy.UNCONTROLLED, Policy.MANAGED, Policy.EXPORT)
    for case in ("expected", "firm")
)
SETTINGS = ShapeSettings(
    fleets=(
        FleetSettings("homes", 30, 0.8, charger_kw=11.5),
        FleetSettings("buses", 5, 1.0, archetype="school_bus"),
    ),
    calendar=CALENDAR,
    runs=RUNS,
    event=Event(17, 20, 60.0),
    event_seasons=frozenset({"winter"}),
    draws=2,
)
LOAD = 100 + 50 * np.sin(np.arange(48) / 4)


@pytest.fixture(scope="module")
def shapes():
    return fleet_shapes(SETTINGS, LOAD)


def test_every_run_has_a_shape_a_fleet(shapes):
    assert set(shapes.kw) == set(RUNS)
    assert all(kw.shape == (2, 2, 48) for kw in shapes.kw.values())
    assert all(np.isfinite(kw).all() for kw in shapes.kw.values())


def test_without_the_tables_beside_everything_else_is_the_same(shapes):
    found = fleet_shapes(SETTINGS, LOAD, beside=False)
    for run in RUNS:
        assert (found.kw[run] == shapes.kw[run]).all()
    assert found.events.equals(shapes.events)
    for name in ("rebound", "diversity", "traces"):
        assert getattr(found, name).empty
        assert not getattr(shapes, name).empty


def test_points_only_split_what_the_fleets_draw(shapes):
    where = np.arange(len(shapes.vehicles)) % 7
    split = fleet_shapes(SETTINGS, LOAD, of_vehicle=where, points=7)
    for run in RUNS:
        np.testing.assert_allclose(split.kw[run].sum(axis=1), shapes.kw[run].sum(axis=1))


def test_the_ledger_adds_up_and_holds_what_is_exported(shapes):
    exported = LEDGER_ROWS.index("exported")
    for run in RUNS:
        book = shapes.ledger[run]
        np.testing.assert_allclose(book.sum(axis=1), shapes.vehicles.nameplate_kw)
        net = -shapes.kw[run].sum(axis=1)
        assert (book[:, exported] >= net - 1e-6).all()


def test_firm_events_are_told_with_and_without_the_stated_error(shapes):
    told = shapes.events.groupby("case")["departures"].unique()
    assert set(told["firm"]) == {"stated", "known"}
    assert set(told["expected"]) == {"known"}
    assert len(shapes.events) == 3 * 2 * 14
    assert (shapes.events["held_kw"] <= 60 + 1e-6).all()
    assert shapes.rebound["in_force"].sum() == 1


def test_the_same_seed_gives_the_same_and_another_does_not(shapes):
    again = fleet_shapes(SETTINGS, LOAD)
    other = fleet_shapes(replace(SETTINGS, seed=2), LOAD)
    run = RUNS[0]
    np.testing.assert_array_equal(again.kw[run], shapes.kw[run])
    assert not np.array_equal(other.kw[run], shapes.kw[run])


def test_without_an_event_export_is_managed_charging():
    quiet = replace(SETTINGS, event_seasons=frozenset())
    found = fleet_shapes(quiet, LOAD)
    np.testing.assert_array_equal(found.kw["export", "firm"], found.kw["managed", "firm"])
    assert found.events.empty


def test_the_dataset_has_units_and_no_value_where_nothing_ran(shapes):
    partial = fleet_shapes(replace(SETTINGS, runs=RUNS[:3]), LOAD)
    data = partial.dataset()
    assert data["kw"].attrs["units"] == "kW"
    assert data["kw"].dims == ("policy", "case", "draw", "step", "point")
    assert data["kw"].sel(policy="managed", case="firm").isnull().all()
    np.testing.assert_allclose(
        data["kw"].sel(policy="managed", case="expected").to_numpy(),
        np.moveaxis(shapes.kw["managed", "expected"], 1, 2),
    )


def test_settings_that_do_not_fit_are_all_named():
    wrong = replace(SETTINGS, runs=(*RUNS, ("v2h", "nobody")), event=None, draws=0)
    with pytest.raises(InputError) as caught:
        fleet_shapes(wrong, LOAD[:-1])
    named = {problem.where for problem in caught.value.problems}
    assert {"load_kw", "event", "premise_kw", "runs", "draws"} <= named
