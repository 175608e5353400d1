"""Dispatch: hand calculations, guarantees and invariants."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from v2g_feeder.dispatch import Event, fortnight, simulate
from v2g_feeder.errors import InputError
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
    load_participation,
)

ALL_IN = Participation("all", enrolled=1.0, responds=1.0, opt_out=0.0, outage=0.0, plug_in=1.0)


def cars(count=1, **changes):
    """Identical bidirectional cars: 60 kWh, 10 kW, 0.9 each way, reserve 0.2, target 0.8."""
    values = {
        "fleet": 0, "battery_kwh": 60.0, "rated_kw": 10.0, "export_kw": 10.0, "eta_c": 0.9,
        "eta_d": 0.9, "reserve_soc": 0.2, "departure_soc": 0.8, "floor_soc": 0.0,
        "kwh_per_mile": 0.3, "habit": 0.5, "enrol_rank": 0.0, "bidirectional": True,
        "permitted": True,
    } | changes  # fmt: skip
    return Vehicles(**{key: np.full(count, value) for key, value in values.items()})


def stays(*rows, n_days=14):
    """Sessions from rows of vehicle, arrival, departure, driven kWh."""
    vehicle, arrival, departure, driven = (
        np.array(rows, dtype=float).reshape(-1, 4).T if rows else np.empty((4, 0))
    )
    none = np.zeros(len(vehicle))
    return Sessions(n_days, vehicle.astype(int), arrival, departure, driven, none)


def sure(count=1, n_days=14):
    return ParticipationDraw(
        np.full((count, n_days), 0.5), np.full((count, n_days), 0.5), np.full(n_days, 0.5)
    )


def flat(step_minutes=60):
    return np.zeros(14 * 1440 // step_minutes)


def one(policy, sessions, event=None, *, vehicles=None, signal=None, step_minutes=60):
    vehicles = cars() if vehicles is None else vehicles
    signal = flat(step_minutes) if signal is None else signal
    return simulate(
        vehicles, [sessions], policy, ALL_IN, [sure(len(vehicles))], signal, event,
        step_minutes=step_minutes,
    )  # fmt: skip


def fleet(vehicles=60, draws=3, share=0.5, seed=1, **settings):
    drawn = draw_vehicles(
        [FleetSettings("homes", vehicles, share, **settings)], np.random.default_rng(seed)
    )
    rngs = np.random.default_rng(seed + 1).spawn(draws)
    archetype = load_archetype("residential")
    sessions = [draw_sessions(drawn, [archetype], (1,), rng) for rng in rngs]
    return drawn, sessions, [draw_participation(vehicles, rng) for rng in rngs]


def evening(step_minutes=60, kw=100.0):
    hours = np.arange(0, 24, step_minutes / 60)
    return fortnight(*[kw * (1 + 0.4 * np.cos((hours - 18) / 12 * np.pi))] * 2)


# --- hand calculations


def test_uncontrolled_charges_at_once_and_in_partial_steps():
    # arrives 17.5 h after 18 kWh: needs 20 kWh at the meter, 2 h at 10 kW, until 19.5
    result = one("uncontrolled", stays((0, 17.5, 32.0, 18.0)))
    np.testing.assert_allclose(result.kw[0, 0, 16:21], [0, 5, 10, 5, 0], atol=1e-12)
    assert result.stays["soe_departure_kwh"].item() == pytest.approx(48.0, abs=1e-12)
    assert result.plugged[0, 0, 17] == pytest.approx(0.5)


def test_cycle_returns_the_product_of_the_efficiencies():
    """A meter that multiplies where it should divide would report a full return."""
    event = Event(18, 20, 6.0, "weekdays")
    result = one("export", stays((0, 15.0, 40.0, 0.0)), event)
    day = result.kw[0, 0, :48]
    out, back = -day[day < 0].sum(), day[day > 0].sum()
    assert out == pytest.approx(12.0)
    assert out / back == pytest.approx(0.9 * 0.9, abs=1e-12)
    assert result.soe_kwh[0, 0, 20] == pytest.approx(48 - 12 / 0.9)


def test_a_late_arrival_or_an_empty_battery_shows_no_export_before_the_window_ends():
    late = one("export", stays((0, 20.25, 40.0, 5.0)), Event(17, 20, 10.0))
    low = one("export", stays((0, 12.0, 40.0, 40.0)), Event(12, 15, 10.0))
    assert (late.kw[0, 0, :24] >= 0).all()
    assert (low.kw[0, 0, :16] >= 0).all()  # 8 kWh stored, the reserve is 12


def test_the_reserve_stops_the_export():
    result = one("export", stays((0, 12.0, 60.0, 0.0)), Event(14, 20, 10.0, "weekdays"))
    assert result.soe_kwh[0, 0, :24].min() == pytest.approx(12.0)
    assert -result.kw[0, 0, 14:20].sum() == pytest.approx(36 * 0.9)


def test_departure_limits_export_to_what_can_be_recharged():
    # leaves at 21: at 20 it must hold 48 - 9 kWh, so 9 kWh leave the battery by then
    result = one("export", stays((0, 12.0, 21.0, 0.0)), Event(17, 20, 10.0, "weekdays"))
    assert -result.kw[0, 0, 17:20].sum() == pytest.approx(9 * 0.9)
    assert result.kw[0, 0, 20] == pytest.approx(10.0)
    assert result.shortfall.empty


def test_managed_fills_the_valley():
    signal = flat() + 100
    signal[26:28] = 50  # 02:00 to 04:00
    result = one("managed", stays((0, 18.0, 32.0, 18.0)), signal=signal)
    np.testing.assert_allclose(result.kw[0, 0, 24:30], [0, 0, 10, 10, 0, 0], atol=1e-9)


def test_managed_batch_does_not_herd():
    # one lowest hour, gentle slope: 20 equal cars must spread over the night
    hours = np.arange(24)
    day = 20 * np.abs((hours - 3 + 12) % 24 - 12.0)
    count = 20
    rows = [(car, 18.0, 32.0, 18.0) for car in range(count)]
    result = one("managed", stays(*rows), vehicles=cars(count), signal=fortnight(day, day))
    total = result.head_kw[0, 18:32] + np.tile(day, 2)[18:32]
    used = result.head_kw[0, 18:32] > 1e-6
    assert np.ptp(total[used]) < 1e-3 * total.max()
    assert result.head_kw[0].sum() == pytest.approx(20 * count)


def test_unreachable_target_is_listed_with_its_shortfall():
    result = one("managed", stays((0, 18.0, 19.0, 18.0), (0, 30.0, 60.0, 0.0)))
    assert len(result.shortfall) == 1
    row = result.shortfall.iloc[0]
    assert (row["arrival_h"], row["shortfall_kwh"]) == (18.0, pytest.approx(9.0))
    assert not row["reachable"]


def test_driving_beyond_the_battery_is_topped_up_in_public():
    result = one("uncontrolled", stays((0, 18.0, 40.0, 70.0)))
    assert result.stays["public_kwh"].item() == pytest.approx(22.0)
    assert result.soe_kwh.min() >= 0


def test_who_leaves_early_gives_early():
    rows = stays((0, 10.0, 42.0, 0.0), (1, 10.0, 42.0, 0.0))
    same = one("export", rows, Event(17, 20, 10.0, "weekdays"), vehicles=cars(2))
    np.testing.assert_allclose(same.kw[0, :, 17], [-5.0, -5.0])
    np.testing.assert_allclose(same.kw[0, :, 17:20].sum(axis=0), -10.0)


# --- guarantees on drawn fleets


@pytest.mark.parametrize("policy", ["uncontrolled", "managed", "export"])
@pytest.mark.parametrize("step_minutes", [60, 15])
def test_energy_closes_and_soc_stays_inside(policy, step_minutes):
    vehicles, sessions, chance = fleet()
    event = Event(17, 20, 60.0) if policy == "export" else None
    case = load_participation()["high"]
    signal = evening(step_minutes)
    result = simulate(
        vehicles, sessions, policy, case, chance, signal, event, step_minutes=step_minutes
    )
    h = result.step_hours
    charged = np.maximum(result.kw, 0).sum(axis=2) * h
    exported = np.maximum(-result.kw, 0).sum(axis=2) * h
    keys = [result.stays["draw"], result.stays["vehicle"]]
    moved = np.zeros_like(charged)
    np.add.at(moved, tuple(keys), result.stays["public_kwh"] - result.stays["driven_kwh"])
    change = result.soe_kwh[:, :, -1] - result.soe_kwh[:, :, 0]
    battery = charged * vehicles.eta_c - exported / vehicles.eta_d + moved
    throughput = charged + exported + np.abs(moved) + 1
    assert np.abs((change - battery) / throughput).max() < 1e-9
    soc = result.soe_kwh / vehicles.battery_kwh[:, None]
    assert soc.min() >= -1e-12
    assert soc.max() <= 1 + 1e-12
    limit = vehicles.rated_kw[:, None] * result.plugged
    assert (np.abs(result.kw) <= limit + 1e-9).all()


@pytest.mark.parametrize("policy", ["uncontrolled", "managed", "export"])
def test_target_is_met_whenever_reachable(policy):
    vehicles, sessions, chance = fleet(draws=4)
    event = Event(17, 21, 150.0) if policy == "export" else None
    result = simulate(vehicles, sessions, policy, ALL_IN, chance, evening(), event, step_minutes=60)
    assert not result.shortfall["reachable"].any()
    assert len(result.stays) == sum(len(one_draw) for one_draw in result.sessions)


@pytest.mark.parametrize("request_kw", [0.0, 20.0, 1e6])
def test_export_respects_request_and_reserve(request_kw):
    vehicles, sessions, chance = fleet(share=1.0)
    event = Event(17, 20, request_kw, "weekdays")
    result = simulate(vehicles, sessions, "export", ALL_IN, chance, evening(), event)
    exported = np.maximum(-result.kw, 0)
    assert exported.sum(axis=1).max() <= request_kw * (1 + 1e-12)
    reserve = (vehicles.reserve_soc * vehicles.battery_kwh)[:, None]
    after = result.soe_kwh[:, :, 1:]
    assert (
        after[exported > 1e-9] >= np.broadcast_to(reserve, after.shape)[exported > 1e-9] - 1e-9
    ).all()
    in_window = np.zeros(result.kw.shape[2], dtype=bool)
    for start, end in event.windows(14, 60):
        in_window[start:end] = True
    assert not (exported[:, :, ~in_window] > 0).any()
    assert in_window.sum() == 30


def test_rebound_follows_the_event():
    vehicles, sessions, chance = fleet(vehicles=200, share=1.0)
    signal = evening(kw=300.0)
    managed = simulate(vehicles, sessions, "managed", ALL_IN, chance, signal)
    export = simulate(vehicles, sessions, "export", ALL_IN, chance, signal, Event(17, 20, 100.0))
    extra = (export.head_kw - managed.head_kw).mean(axis=0).reshape(14, 24)[7:].mean(axis=0)
    assert extra[17:20].max() < 0
    assert extra[20:].sum() + extra[:9].sum() > 0


@pytest.mark.parametrize("policy", ["uncontrolled", "managed"])
def test_daily_energy_does_not_depend_on_the_step(policy):
    # cars with flexible stays may shift energy over midnight, so managed is compared by stay
    vehicles, sessions, chance = fleet(draws=1)
    results = [
        simulate(vehicles, sessions, policy, ALL_IN, chance, evening(minutes), step_minutes=minutes)
        for minutes in (60, 30, 15)
    ]
    for other in results[1:]:
        for column in ("soe_arrival_kwh", "soe_departure_kwh"):
            np.testing.assert_allclose(
                results[0].stays[column], other.stays[column], atol=1e-9, equal_nan=True
            )
    if policy == "uncontrolled":
        daily = [(r.kw * r.step_hours).reshape(*r.kw.shape[:2], 14, -1).sum(-1) for r in results]
        np.testing.assert_allclose(daily[0], daily[1], atol=1e-9)
        np.testing.assert_allclose(daily[0], daily[2], atol=1e-9)


def test_cases_are_nested_and_draws_do_not_depend_on_their_number():
    vehicles, sessions, chance = fleet(vehicles=120, draws=3)
    cases = load_participation()
    parts = {
        name: case.is_enrolled(vehicles)[:, None]
        & chance[0].answers(case)
        & ~chance[0].declines(case)
        for name, case in cases.items()
    }
    for inner, outer in (("firm", "expected"), ("low", "expected"), ("expected", "high")):
        assert (parts[inner] <= parts[outer]).all()
        assert parts[inner].sum() < parts[outer].sum()
    event = Event(17, 20, 50.0)
    args = ("export", cases["expected"])
    three = simulate(vehicles, sessions, *args, chance, evening(), event)
    alone = simulate(vehicles, sessions[:1], *args, chance[:1], evening(), event)
    np.testing.assert_array_equal(three.kw[:1], alone.kw)


@pytest.mark.parametrize("policy", ["uncontrolled", "managed", "export"])
def test_no_vehicles_and_no_draws(policy):
    event = Event(17, 20, 50.0) if policy == "export" else None
    vehicles, sessions, chance = fleet(vehicles=0)
    result = simulate(vehicles, sessions, policy, ALL_IN, chance, evening(), event)
    assert result.kw.shape == (3, 0, 336)
    assert result.shortfall.empty
    assert simulate(vehicles, [], policy, ALL_IN, [], evening(), event).kw.shape == (0, 0, 336)


def test_a_session_that_outlasts_the_fortnight_and_one_under_way():
    result = one("managed", stays((0, -5.0, 10.0, 20.0), (0, 330.0, 360.0, 20.0)))
    assert result.stays["soe_departure_kwh"].notna().tolist() == [True, False]
    assert result.stays["soe_departure_kwh"].iloc[0] == pytest.approx(48.0)


def test_wrong_arguments_are_named():
    with pytest.raises(InputError, match="managed") as caught:
        simulate(cars(), [stays()], "manged", ALL_IN, [], np.zeros(10), Event(17, 20, 1.0))
    assert len(caught.value.problems) == 4
    with pytest.raises(InputError, match="15 minutes"):
        one("export", stays(), Event(17.1, 20, 1.0), step_minutes=15)
    assert len(Event(30, 20, float("nan"), "weekday").validate("event")) == 3
    assert "over midnight" in str(Event(22, 2, 1.0).validate("event")[0])


@pytest.mark.parametrize("seed", range(4))
def test_export_reaches_the_linear_programmes_optimum(seed):
    """Never above the optimum of the vehicles at hand, and at least 97 % of it."""
    rng = np.random.default_rng(seed)
    count, start, end = 12, 17, 20
    arrival, soc = rng.uniform(8, 19, count), rng.uniform(0.2, 0.8, count)
    departure = rng.uniform(21, 36, count)
    vehicles = cars(count)
    rows = stays(*zip(range(count), arrival, departure, 48 - 60 * soc, strict=True))
    signal = flat()
    signal[8:21] = 1000.0  # managed waits for the night
    request = 45.0
    result = one(
        "export", rows, Event(start, end, request, "weekdays"), vehicles=vehicles, signal=signal
    )
    exported = np.maximum(-result.kw[0, :, start:end], 0)
    stored = result.soe_kwh[0, :, start].copy()
    late = arrival >= start
    stored[late] = (60 * soc)[late]
    keep = np.maximum(12.0, 48 - 9 * np.maximum(departure - end, 0))
    energy = np.maximum(stored - keep, 0) * 0.9
    # a vehicle's export over the window is bounded by its energy, each step by its charger
    bound = 10.0 * result.plugged[0, :, start:end]
    steps = end - start
    cells = count * steps
    per_step = np.tile(np.eye(steps), count)
    per_car = np.kron(np.eye(count), np.ones(steps))
    best = linprog(
        -np.ones(cells),
        A_ub=np.vstack([per_step, per_car]),
        b_ub=np.r_[np.full(steps, request), energy],
        bounds=np.c_[np.zeros(cells), bound.ravel()],
    )
    assert exported.sum() <= -best.fun + 1e-6
    assert exported.sum() >= 0.97 * -best.fun
