"""Export before and after the hours of stress: by hand, and for homes with one input changed."""

from __future__ import annotations

import numpy as np
import pytest

from v2g_feeder.calendar import season_calendar
from v2g_feeder.dispatch import Event
from v2g_feeder.errors import InputError
from v2g_feeder.fleet import FleetSettings
from v2g_feeder.loadshape import ShapeSettings, fleet_shapes
from v2g_feeder.pilot import export_timing, timing_summary

STRESS = (17.0, 20.0)
EVENT = Event(17, 23, 200.0)
EVENING = np.array([5.0] * 15 + [6, 7, 9, 10, 8, 6] + [5] * 3)


def test_by_hand():
    # draw 0 exports 6 kW at 17 and 18 and 1 kW at 21; draw 1 draws 9 kW at 18 and exports at 22
    kw = np.zeros((2, 2, 24))
    kw[0, 1, 17:19], kw[0, 1, 21] = -6.0, -1.0
    kw[1, 0, 18], kw[1, 1, 22] = 9.0, -4.0
    managed = np.zeros_like(kw)
    managed[:, 0, 17:20] = 3.0
    table = export_timing(kw, managed, EVENT, STRESS, step_hours=1.0).set_index("draw")
    assert list(table["before_kwh"]) == [12.0, 0.0]
    assert list(table["after_kwh"]) == [1.0, 4.0]
    assert list(table["export_kw"]) == [4.0, 0.0]
    assert list(table["relief_kw"]) == [3.0 + 4.0, 3.0 - 3.0]
    assert list(table["load_kw"]) == [0.0, 9.0]
    assert table.loc[1, "load_h"] == 18.0
    assert list(table["in_time"]) == [True, False]
    found = timing_summary(table.reset_index())
    assert (found["event_days"], found["in_time"], found["draws_in_time"]) == (2, 1, 1)
    assert found["before_share"] == pytest.approx(12 / 17)
    assert (found["export_kw_min"], found["export_kw_max"]) == (0.0, 4.0)


def test_nothing_exported_is_not_in_time():
    nothing = np.zeros((3, 2, 24))
    table = export_timing(nothing, nothing, EVENT, STRESS, step_hours=1.0)
    found = timing_summary(table)
    assert found["in_time"] == 0
    assert np.isnan(found["before_share"])


def homes(**changes):
    """Timing of a hundred homes over a fortnight of events."""
    calendar = season_calendar({"winter": [12, 1, 2]}, ["weekday"])
    shape = ShapeSettings(
        fleets=(FleetSettings("homes", 100, 1.0, enrolled=1.0, charger_kw=11.5, **changes),),
        calendar=calendar,
        runs=(("managed", "expected"), ("export", "expected")),
        event=EVENT,
        event_seasons=frozenset({"winter"}),
        draws=4,
        seed=5,
    )
    made = fleet_shapes(shape, 100 * EVENING)
    keys = [(policy, "expected", "winter") for policy in ("export", "managed")]
    table = export_timing(*(made.fortnight[key] for key in keys), EVENT, STRESS, step_hours=1.0)
    return timing_summary(table)


@pytest.fixture(scope="module")
def as_they_are():
    return homes()


def test_late_arrivals_turn_export_before_the_end_into_export_after_it(as_they_are):
    late = homes(plug_in_delay_h=3.0)
    assert as_they_are["draws_in_time"] == as_they_are["draws"]
    assert late["draws_in_time"] <= 1
    assert late["in_time"] < 0.6 * as_they_are["in_time"]
    assert late["before_share"] < as_they_are["before_share"] - 0.1
    assert late["export_kw_mean"] < 0.5 * as_they_are["export_kw_mean"]


def test_batteries_near_the_reserve_leave_little_before_the_end(as_they_are):
    low = homes(reserve_soc=0.75)
    assert low["export_kw_mean"] < 0.3 * as_they_are["export_kw_mean"]
    assert low["load_kw_mean"] > low["export_kw_mean"]  # load comes first, and is more


def test_a_delay_is_0_or_more():
    with pytest.raises(InputError, match="plug_in_delay_h"):
        homes(plug_in_delay_h=-1.0)
