"""What events deliver, against power made by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from v2g_feeder.dispatch import Aggregator, Event, Programme
from v2g_feeder.loadshape import event_days, held_in, rebound

AT_ONCE = Programme(Aggregator(latency_minutes=0.0, ramp_minutes=0.0))


def made(kw, event, step_minutes=60):
    """A dispatch of which only power and event matter here."""
    return SimpleNamespace(
        kw=kw,
        event=event,
        step_minutes=step_minutes,
        step_hours=step_minutes / 60,
        head_kw=kw.sum(axis=1),
    )


def test_held_is_the_lowest_step_and_charging_does_not_offset_it():
    kw = np.zeros((1, 2, 48))
    kw[0, 0, 17:19] = -10.0, -6.0
    kw[0, 1, 17:19] = 50.0  # another vehicle charges: it takes nothing from what is exported
    kw[0, 0, 41:43] = -8.0
    table = event_days(made(kw, Event(17, 19, 20.0)), AT_ONCE)
    assert list(table["held_kw"]) == [6.0, 8.0]
    assert list(table["mean_kw"]) == [8.0, 8.0]
    assert list(table["day"]) == [0, 1]
    assert set(table["request_kw"]) == {20.0}


def test_steps_of_the_ramp_do_not_count_as_held():
    kw = np.zeros((1, 1, 24))
    kw[0, 0, 17:20] = -2.0, -9.0, -9.0
    slow = Programme(Aggregator(latency_minutes=30.0, ramp_minutes=30.0))
    table = event_days(made(kw, Event(17, 20, 9.0)), slow)
    assert table["held_kw"].item() == 9.0
    assert table["mean_kw"].item() == pytest.approx(20 / 3)


def test_without_an_event_there_are_no_days():
    kw = np.zeros((1, 1, 24))
    assert event_days(made(kw, None), AT_ONCE).empty
    assert rebound(made(kw, None)).empty


def test_held_in_95_percent_of_days_is_met_on_at_least_that_many():
    rng = np.random.default_rng(1)
    for count in (1, 5, 20, 33, 140):
        held = rng.gamma(2.0, 10.0, count)
        assert np.mean(held >= held_in(held)) >= 0.95
        assert held_in(held) in held
    assert held_in(np.zeros(0)) == 0.0


def test_rebound_is_the_peak_of_the_four_hours_after():
    kw = np.zeros((2, 1, 48))
    kw[0, 0, [19, 22, 23]] = 5.0, 7.0, 99.0  # 23:00 is the fifth hour
    kw[1, 0, 45] = 3.0
    found = rebound(made(kw, Event(17, 19, 1.0)))
    assert isinstance(found, pd.DataFrame)
    assert found["peak_kw_mean"].item() == pytest.approx((7 + 0 + 0 + 3) / 4)
