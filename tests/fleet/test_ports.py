"""Ports that vehicles share: a depot by hand, and what must hold for any stays."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from v2g_feeder.fleet.ports import MIN_GAP_H, MIN_PLUGGED_H, assign_ports


def use(stays, ports):
    """Plugged and waiting intervals of stays (vehicle, arrival, departure, driven kWh)."""
    vehicle, arrival, departure, driven = (np.array(column) for column in zip(*stays, strict=True))
    result = assign_ports(vehicle, arrival.astype(float), departure.astype(float), driven, ports)
    plugged = [
        (int(vehicle[stay]), start, end, kwh)
        for stay, start, end, kwh in zip(
            result.plugged_stay, result.plugged_start_h, result.plugged_end_h, result.driven_kwh,
            strict=True,
        )
    ]  # fmt: skip
    waiting = [
        (int(vehicle[stay]), start, end)
        for stay, start, end in zip(
            result.waiting_stay, result.waiting_start_h, result.waiting_end_h, strict=True
        )
    ]
    return plugged, waiting


def who(rows, time):
    """Vehicles with an interval at a time."""
    return {row[0] for row in rows if row[1] <= time < row[2]}


# --- Cajon Valley: 8 buses, 6 ports


def school_days(n_days, route_kwh=30.25):
    """Out 06:00-09:00 and 14:00-16:00 every day; 25 miles at 1.21 kWh a mile each."""
    edges = [-15.0] + [24 * day + hour for day in range(n_days) for hour in (6, 9, 14, 16)]
    edges.append(24.0 * n_days + 6)
    return [
        (bus, edges[stay], edges[stay + 1], route_kwh if stay else 0.0)
        for bus in range(8)
        for stay in range(0, len(edges), 2)
    ]


def test_eight_buses_share_six_ports_on_term_weekdays():
    plugged, waiting = use(school_days(2), 6)
    for time in (3, 10, 20, 24 + 3, 24 + 10, 24 + 20):
        assert len(who(plugged, time)) == 6
        assert who(plugged, time) | who(waiting, time) == set(range(8))
    assert not who(plugged, 7) | who(waiting, 7)
    # night before: equal need, so the lower numbers. Morning: all have driven one route since
    # (6 and 7 had nothing to make up for), so again the lower numbers.
    assert who(waiting, 3) == {6, 7}
    assert who(waiting, 10) == {6, 7}
    # afternoon: 6 and 7 have two routes to make up for and come first, then 0 to 3
    assert who(waiting, 20) == {4, 5}
    # next morning: 4 and 5 come first, then 0 to 3; in the afternoon 6 and 7 again
    assert who(waiting, 24 + 10) == {6, 7}
    assert who(waiting, 24 + 20) == {4, 5}
    energy = {(bus, start): kwh for bus, start, _, kwh in plugged}
    assert energy[0, 9] == 30.25
    assert energy[6, 16] == energy[7, 16] == 60.5
    assert energy[4, 24 + 9] == 60.5  # the afternoon of the first day and the next morning
    assert energy[0, 24 + 9] == 30.25


def test_a_port_that_comes_free_goes_to_the_greatest_need():
    stays = [
        (0, 0, 5, 10),
        (1, 0, 9, 20),
        (2, 1, 12, 5),
        (3, 2, 12, 7),  # comes later than 2, needs more
        (4, 3, 5, 99),  # leaves when the port comes free
    ]
    plugged, waiting = use(stays, 2)
    assert plugged == [(0, 0, 5, 10), (1, 0, 9, 20), (2, 9, 12, 5), (3, 5, 12, 7)]
    assert waiting == [(2, 1, 9), (3, 2, 5), (4, 3, 5)]


def test_need_adds_up_over_stays_without_a_port():
    stays = [(0, 0, 30, 0), (1, 1, 5, 10), (1, 8, 12, 20), (1, 14, 40, 5)]
    plugged, waiting = use(stays, 1)
    assert plugged == [(0, 0, 30, 0), (1, 30, 40, 35)]
    assert waiting == [(1, 1, 5), (1, 8, 12), (1, 14, 30)]


@pytest.mark.parametrize(("leaves_h", "plugs"), [(10.25, True), (10.2, False)])
def test_nobody_plugs_in_for_less_than_a_quarter_of_an_hour(leaves_h, plugs):
    plugged, waiting = use([(0, 0, 10, 5), (1, 2, leaves_h, 5)], 1)
    assert ((1, 10, leaves_h, 5) in plugged) == plugs
    assert waiting == [(1, 2, 10 if plugs else leaves_h)]


def test_without_a_limit_everybody_is_plugged():
    stays = [(0, 0, 5, 10), (0, 7, 9, 3), (1, 0, 9, 20)]
    expected = [(0, 0, 5, 10), (0, 7, 9, 3), (1, 0, 9, 20)]
    assert use(stays, None) == use(stays, 2) == (expected, [])
    short = [(0, 0, 0.1, 10), (0, 7, 9, 3), (1, 0, 9, 20)]
    assert use(short, None) == ([(0, 7, 9, 13), (1, 0, 9, 20)], [(0, 0, 0.1)])


def test_no_port_and_no_stay():
    assert use([(0, 0, 5, 10)], 0) == ([], [(0, 0, 5)])
    nothing = np.empty(0)
    assert len(assign_ports(nothing.astype(int), nothing, nothing, nothing, 3).plugged_stay) == 0
    assert len(assign_ports(nothing.astype(int), nothing, nothing, nothing, 0).plugged_stay) == 0


# --- summer: parked buses


def test_a_bus_that_runs_in_summer_takes_the_port_of_a_parked_one():
    """Three buses, two ports; 0 and 1 are parked, 2 goes out every day 06:00-09:00."""
    stays = [
        (0, -20, 200, 0),
        (1, -19, 200, 0),
        (2, -18, 6, 0),
        (2, 9, 30, 40),
        (2, 33, 54, 40),
    ]
    plugged, waiting = use(stays, 2)
    assert plugged == [
        (0, -20, 9, 0),  # plugged in longest, for 29 h: makes room at 09:00
        (0, 30, 200, 0),  # and has a port again as soon as 2 has left
        (1, -19, 33, 0),  # on the second day it is the one plugged in longest
        (1, 54, 200, 0),
        (2, 9, 30, 40),
        (2, 33, 54, 40),
    ]
    assert waiting == [(0, 9, 30), (1, 33, 54), (2, -18, 6)]


def test_a_full_bus_keeps_its_port_for_the_night():
    """Plugged in for less than 24 h, so nobody takes it out."""
    plugged, waiting = use([(0, 16, 30, 40), (1, 20, 30, 90)], 1)
    assert plugged == [(0, 16, 30, 40)]
    assert waiting == [(1, 20, 30)]


def test_parked_buses_make_room_only_when_somebody_comes():
    """A weekend: 1 waits from Friday 16:00; on Saturday at 18:00 a third bus comes in."""
    quiet = [(0, 16, 78, 40), (1, 16.5, 78, 50)]
    assert use(quiet, 1)[0] == [(0, 16, 78, 40)]
    assert use([*quiet, (2, 42, 78, 10)], 1)[0] == [(0, 16, 42, 40), (1, 42, 78, 50)]


def test_a_vehicle_that_made_room_plugs_in_again_after_an_hour():
    stays = [(0, 0, 90, 0), (1, 30, 30.5, 5), (2, 60, 90, 0)]
    plugged, waiting = use(stays, 1)
    assert plugged == [(0, 0, 30, 0), (0, 31, 90, 0), (1, 30, 30.5, 5)]
    assert waiting == [(0, 30, 31), (2, 60, 90)]


# --- properties


@st.composite
def any_stays(draw):
    stays = []
    quarter = st.integers(0, 120).map(lambda number: number / 4)
    for vehicle in range(draw(st.integers(1, 6))):
        time = draw(quarter)
        for _ in range(draw(st.integers(0, 4))):
            length, away = draw(quarter) + 0.05, draw(quarter) + 1
            stays.append((vehicle, time, time + length, float(draw(st.integers(0, 3)))))
            time += length + away
    return stays


@given(any_stays(), st.integers(0, 6))
@settings(max_examples=300, deadline=None)
def test_ports_are_never_overused_nor_left_idle(stays, ports):
    if not stays:
        return
    plugged, waiting = use(stays, ports)
    edges = sorted({edge for row in [*plugged, *waiting] for edge in row[1:3]})
    departure = {vehicle: [] for vehicle, *_ in stays}
    for vehicle, start, end, _ in stays:
        departure[vehicle].append((start, end))
    for left, right in pairwise(edges):
        time = (left + right) / 2
        here = {vehicle for vehicle, start, end, _ in stays if start <= time < end}
        has, waits = who(plugged, time), who(waiting, time)
        assert len(has) <= ports
        assert not has & waits
        assert has | waits == here  # and nobody else is at the depot
        if len(has) < ports:
            for vehicle in waits:
                end = next(end for start, end in departure[vehicle] if start <= time < end)
                began = next(
                    row[1] for row in waiting if row[0] == vehicle and row[1] <= time < row[2]
                )
                gave_up = any(row[0] == vehicle and row[2] == began for row in plugged)
                last_free = max(edge for edge in edges if edge <= time)
                assert end - last_free < MIN_PLUGGED_H or (gave_up and time < began + MIN_GAP_H)


@given(any_stays(), st.integers(0, 6))
@settings(max_examples=200, deadline=None)
def test_intervals_fill_the_stays_and_energy_is_kept(stays, ports):
    if not stays:
        return
    plugged, waiting = use(stays, ports)
    for vehicle in {stay[0] for stay in stays}:
        hours = sum(row[2] - row[1] for row in [*plugged, *waiting] if row[0] == vehicle)
        own = [stay for stay in stays if stay[0] == vehicle]
        assert hours == pytest.approx(sum(stay[2] - stay[1] for stay in own))
        sessions = [row for row in plugged if row[0] == vehicle]
        assert all(row[2] - row[1] >= MIN_PLUGGED_H - 1e-9 for row in sessions)
        assert all(after[1] - before[2] >= MIN_GAP_H - 1e-9 for before, after in pairwise(sessions))
        last = max((row[1] for row in sessions), default=-np.inf)
        driven = sum(stay[3] for stay in own if stay[1] <= last)
        assert sum(row[3] for row in sessions) == pytest.approx(driven)
