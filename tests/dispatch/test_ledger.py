"""The ledger adds up to the nameplate, whatever happens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from v2g_feeder.dispatch import LEDGER_ROWS, Event, day_steps, fortnight, ledger, pick_day, simulate
from v2g_feeder.fleet import (
    FleetSettings,
    Participation,
    ParticipationDraw,
    Sessions,
    Vehicles,
    draw_participation,
    draw_sessions,
    draw_vehicles,
    load_archetype,
)

share = st.floats(0, 1)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    vehicles=st.integers(0, 25),
    shares=st.tuples(share, share),
    rates=st.tuples(share, share, share, share, share),
    event=st.tuples(st.integers(0, 23), st.integers(1, 6), st.floats(0, 200)),
    policy=st.sampled_from(["uncontrolled", "managed", "export"]),
    reserve=st.floats(0, 0.9),
    step_minutes=st.sampled_from([60, 30]),
)
def test_rows_sum_to_the_nameplate(
    seed, vehicles, shares, rates, event, policy, reserve, step_minutes
):
    rng = np.random.default_rng(seed)
    fleet = FleetSettings("a", vehicles, shares[0], permitted=shares[1], reserve_soc=reserve)
    drawn = draw_vehicles([fleet], rng)
    sessions = [draw_sessions(drawn, [load_archetype("residential")], (7,), rng)]
    chance = [draw_participation(vehicles, rng)]
    case = Participation("any", *rates)
    start, length, request = event
    called = Event(start, min(start + length, 24), request) if policy == "export" else None
    signal = np.zeros(14 * 1440 // step_minutes)
    result = simulate(
        drawn, sessions, policy, case, chance, signal, called, step_minutes=step_minutes
    )
    book = ledger(result)
    assert book.kw.min(initial=0.0) >= -1e-9
    np.testing.assert_allclose(book.kw.sum(axis=1), drawn.nameplate_kw, rtol=1e-9, atol=1e-9)
    exported = np.maximum(-result.kw, 0).sum(axis=1)
    np.testing.assert_allclose(book.row("exported"), exported, atol=1e-9)


def car(battery_kwh=60.0, export_kw=10.0):
    one = {
        "fleet": 0, "battery_kwh": battery_kwh, "rated_kw": 10.0, "export_kw": export_kw,
        "eta_c": 1.0, "eta_d": 1.0, "reserve_soc": 0.2, "departure_soc": 0.8, "floor_soc": 0.0,
        "kwh_per_mile": 0.3, "habit": 0.5, "enrol_rank": 0.0, "bidirectional": True,
        "permitted": True,
    }  # fmt: skip
    return Vehicles(**{key: np.array([value]) for key, value in one.items()})


def book_of(vehicles, arrival_h, departure_h, answer=0.5):
    half = np.full((1, 14), 0.5)
    stay = Sessions(
        14, np.array([0]), np.array([arrival_h]), np.array([departure_h]), np.zeros(1), np.zeros(1),
        np.array([0]), np.array([departure_h]), np.array([departure_h + 5]),
    )  # fmt: skip
    case = Participation("all", 1.0, 1.0, 0.0, 0.0, 1.0)
    chance = ParticipationDraw(half + answer, half, half[0])
    return ledger(simulate(vehicles, [stay], "managed", case, [chance], np.zeros(336)))


def at(book, step):
    line = book.kw[0, :, step]
    return {name: line[i] for i, name in enumerate(LEDGER_ROWS) if line[i] > 1e-9}


def test_by_hand():
    # 36 kWh above the reserve: 9 kW for 4 h, 10 kW for 2 h
    book = book_of(car(), 10.0, 80.0, answer=0.0)
    assert at(book, 12) == pytest.approx({"available_4h": 9.0, "available_2h": 1.0})
    assert at(book, 9) == pytest.approx({"unplugged": 10.0})
    assert at(book, 82) == pytest.approx({"away": 10.0})
    # leaves at 14: at 12 it could give 5 kW for one hour and charge again in the other
    leaving = at(book_of(car(), 10.0, 14.0, answer=0.0), 12)
    assert leaving == pytest.approx({"available_1h": 10.0})
    assert at(book_of(car(), 10.0, 14.0, answer=0.0), 13) == pytest.approx(
        {"needed_for_departure": 10.0}
    )
    small = at(book_of(car(export_kw=4.0), 10.0, 80.0, answer=0.0), 12)
    assert small == pytest.approx({"charger_limit": 6.0, "available_4h": 4.0})
    silent = at(book_of(car(), 10.0, 80.0, answer=0.5), 12)
    assert silent == pytest.approx({"no_communication": 10.0})
    low = at(book_of(car(battery_kwh=10.0), 10.0, 80.0, answer=0.0), 12)
    assert low == pytest.approx(
        {"below_reserve": 4.0, "available_1h": 3.0, "available_2h": 1.5, "available_4h": 1.5}
    )


def test_table_has_a_column_a_row():
    table = book_of(car(), 10.0, 80.0).table()
    assert list(table.columns) == ["draw", "step", *LEDGER_ROWS]
    assert len(table) == 336


def test_days():
    assert [pick_day(draw, weekend=False) for draw in range(6)] == [7, 8, 9, 10, 11, 7]
    assert [pick_day(draw, weekend=True) for draw in range(3)] == [12, 13, 12]
    assert day_steps(7, 30) == slice(336, 384)
    signal = fortnight(np.ones(24), np.zeros(24))
    assert (
        signal.reshape(14, 24).mean(axis=1).tolist()
        == [1.0] * 5 + [0.0] * 2 + [1.0] * 5 + [0.0] * 2
    )
