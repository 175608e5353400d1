"""Charging alone: at once, by tariff, and managed; by hand and against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from v2g_feeder.dispatch import Programme, Tariff, fortnight
from v2g_feeder.dispatch.battery import flat, power_share, unflat
from v2g_feeder.dispatch.plans import fill_valley
from v2g_feeder.fleet import Site

from .factories import ALL_IN, AS_STATED, cars, level, random_cars, random_stays, run, stays

CHARGES = ["uncontrolled", "time_of_use", "managed"]
NIGHT = Tariff((0.1,) * 7 + (0.3,) * 16 + (0.1,), (0.1,) * 24, 0.05)


# --- at once


def test_uncontrolled_charges_at_once_and_in_partial_steps():
    # arrives 17.5 h after 18 kWh: needs 20 kWh at the meter, 2 h at 10 kW, until 19.5
    result = run("uncontrolled", stays((0, 17.5, 32.0, 18.0)))
    np.testing.assert_allclose(result.kw[0, 0, 16:21], [0, 5, 10, 5, 0], atol=1e-12)
    assert result.stays["soe_departure_kwh"].item() == pytest.approx(48.0, abs=1e-12)
    assert result.plugged[0, 0, 17] == pytest.approx(0.5)


@pytest.mark.parametrize("step_minutes", [60, 30, 15])
def test_the_taper_follows_its_closed_form_at_any_step(step_minutes):
    """60 kWh, 9 kW at the battery to SOC 0.8, then linearly down to a tenth of it at SOC 1."""
    vehicles = cars(departure_soc=1.0, taper_soc=0.8, taper_floor=0.1)
    result = run("uncontrolled", stays((0, 10.3, 40.0, 42.0)), vehicles, step_minutes=step_minutes)
    to_taper = (48 - 18) / 9
    tau = 0.2 * 60 / (0.9 * 9)  # h: what is missing falls by 1/e of the way to the pole
    full = 10.3 + to_taper + tau * math.log(10)
    hours = np.arange(result.soe_kwh.shape[2]) * step_minutes / 60
    pole = 48 + 12 / 0.9  # where the power would reach 0
    taper = pole - (pole - 48) * np.exp(-(hours - 10.3 - to_taper) / tau)
    expected = np.where(hours < 10.3 + to_taper, 18 + 9 * (hours - 10.3), taper)
    expected = np.where(hours > full, 60.0, np.where(hours < 10.3, 60.0, expected))
    np.testing.assert_allclose(result.soe_kwh[0, 0], expected, atol=1e-9)


@given(
    st.floats(0, 1), st.floats(1, 500), st.floats(0, 1), st.floats(0.001, 1), st.floats(0.01, 0.99)
)
def test_flat_energy_advances_at_the_rating(soc, battery, taper_soc, taper_floor, part):
    shape = (battery, taper_soc, taper_floor)
    energy = soc * battery
    assert unflat(flat(energy, *shape), *shape) == pytest.approx(energy, abs=1e-9 * battery)
    # the derivative of the flat coordinate is one over the share of the rating that is left
    low, high = energy, energy + part * (battery - energy) * 1e-3
    slope = (flat(high, *shape) - flat(low, *shape)) / (high - low) if high > low else 1.0
    steepest, flattest = 1 / power_share(high, *shape), 1 / power_share(low, *shape)
    assert flattest * (1 - 1e-6) <= slope <= steepest * (1 + 1e-6) or high - low < 1e-6 * battery


# --- by tariff


def test_time_of_use_charges_off_peak_first_and_earliest_first():
    # needs 60 kWh at the meter in 10 h at the cap: cheap from 23 to 7 takes 80
    rows = [(car, 18.0 + 0.1 * car, 40.0, 36.0) for car in range(3)]
    vehicles = cars(3, departure_soc=0.9)
    result = run("time_of_use", stays(*rows), vehicles, programme=Programme(tariff=NIGHT))
    np.testing.assert_allclose(result.kw[0, :, 23:27], 10.0)
    np.testing.assert_allclose(result.kw[0, :, :23], 0.0)
    assert result.head_kw[0].max() == pytest.approx(30.0)  # they herd
    # 100 kWh at the meter: 8 cheap hours, then the first of the dear ones
    result = run("time_of_use", stays((0, 18.0, 40.0, 90.0)), cars(battery_kwh=200, rated_kw=10.0),
                 programme=Programme(tariff=NIGHT))  # fmt: skip
    assert result.kw[0, 0, 18:20].tolist() == [10.0, 10.0]
    assert result.kw[0, 0, 20:23].tolist() == [0.0] * 3
    assert result.kw[0, 0, 23:31].tolist() == [10.0] * 8


def test_managed_on_a_price_signal_follows_the_price():
    programme = Programme(tariff=NIGHT, signal="price")
    valley = level(kw=100.0)
    valley[19:21] = 0.0
    sessions = stays((0, 18.0, 40.0, 18.0))
    result = run("managed", sessions, programme=programme, signal_kw=valley)
    np.testing.assert_allclose(result.kw[0, 0, 18:26], [0, 0, 0, 0, 0, 10, 10, 0], atol=1e-12)


def test_smart_only_follows_the_tariff_without_being_enrolled():
    vehicles = cars(2, enrol_rank=1.0, smart_only=[True, False])
    rows = stays((0, 18.0, 40.0, 18.0), (1, 18.0, 40.0, 18.0))
    managed = run("managed", rows, vehicles, programme=Programme(tariff=NIGHT))
    assert managed.kw[0, 0, 18:25].tolist() == [0, 0, 0, 0, 0, 10, 10]
    assert managed.kw[0, 1, 18:25].tolist() == [10, 10, 0, 0, 0, 0, 0]
    uncontrolled = run("uncontrolled", rows, vehicles, programme=Programme(tariff=NIGHT))
    np.testing.assert_array_equal(uncontrolled.kw[0, 0], managed.kw[0, 1])


# --- managed


def test_managed_fills_the_valley():
    signal = level(kw=100.0)
    signal[26:28] = 50  # 02:00 to 04:00
    result = run("managed", stays((0, 18.0, 32.0, 18.0)), signal_kw=signal)
    np.testing.assert_allclose(result.kw[0, 0, 24:30], [0, 0, 10, 10, 0, 0], atol=1e-9)
    # a valley of different depths: 20 kWh into 90 and 95 below 100 is level at 102.5
    signal[26:28] = 90, 95
    signal[28:] = signal[:26] = 1000
    result = run("managed", stays((0, 18.0, 32.0, 13.5)), signal_kw=signal)
    np.testing.assert_allclose(result.kw[0, 0, 26:28], [10, 5], atol=1e-9)


def test_managed_cars_do_not_herd():
    # one lowest hour, gentle slope: 20 equal cars must spread over the night
    hours = np.arange(24)
    day = 20 * np.abs((hours - 3 + 12) % 24 - 12.0)
    count = 20
    rows = [(car, 18.0, 32.0, 18.0) for car in range(count)]
    result = run("managed", stays(*rows), cars(count), signal_kw=fortnight(day, day))
    total = result.head_kw[0, 18:32] + np.tile(day, 2)[18:32]
    used = result.head_kw[0, 18:32] > 1e-6
    assert np.ptp(total[used]) < 1e-3 * total.max()
    assert result.head_kw[0].sum() == pytest.approx(20 * count)


def test_managed_does_not_know_who_is_not_enrolled():
    vehicles = cars(2, enrol_rank=[1.0, 0.0])
    signal = level(kw=100.0)
    signal[20:23] = 90.0
    rows = stays((0, 20.0, 32.0, 9.0), (1, 19.0, 32.0, 9.0))
    result = run("managed", rows, vehicles, case=AS_STATED, signal_kw=signal)
    np.testing.assert_allclose(result.kw[0, 1, 20:23], 10 / 3, atol=1e-9)


@given(
    cap=st.lists(st.floats(0, 20), min_size=1, max_size=40),
    part=st.floats(0, 1.2),
    per_hour=st.sampled_from([1, 2, 4]),
    first=st.integers(0, 7),
    seed=st.integers(0, 1000),
    height=st.sampled_from([1.0, 1e3, 1e6]),
)
@example(cap=[5e-324], part=0.0, per_hour=2, first=0, seed=0, height=1.0)
def test_a_valley_is_filled_to_one_level(cap, part, per_hour, first, seed, height):
    cap = np.array(cap)
    load = height * np.random.default_rng(seed).random(60)
    need, out = part * cap.sum(), np.zeros(len(cap))
    rest = fill_valley(cap, need, load, first, per_hour, out)
    assert out.sum() + rest == pytest.approx(need, abs=1e-9)
    assert (out >= 0).all()
    assert (out <= cap + 1e-12).all()
    hour = (first + np.arange(len(cap))) // per_hour
    room, power = np.bincount(hour, cap) / per_hour, np.bincount(hour, out) / per_hour
    total = load[: len(room)] + power
    open_, used = (power < room - 1e-6) & (room > 0), power > 1e-6
    if open_.any() and used.any():  # nowhere is power where the load with it is higher
        assert total[used].max() <= load[: len(room)][used].max() + power.max() + 1e-9
        lowest = total[open_].min()
        assert (total[used & open_] <= lowest + 1e-6 + 1e-9 * height).all()
        assert (load[: len(room)][used] <= lowest + 1e-6 + 1e-9 * height).all()


# --- the same at any step


@pytest.mark.parametrize("policy", CHARGES)
@pytest.mark.parametrize("case", [ALL_IN, AS_STATED], ids=lambda case: case.name)
@pytest.mark.parametrize("seed", range(8))
def test_daily_energy_does_not_depend_on_the_step(policy, case, seed):
    """Midnight to midnight and vehicle by vehicle, though the cars see each other's plans.

    Stays begin, end and are said to end inside steps, several of them inside one. It is claimed
    for sites without an import limit: what a limit leaves to the others is known by step, so there
    the means over a step decide.
    """
    rng = np.random.default_rng(seed)
    vehicles = random_cars(rng, 60, enrol_rank=rng.random(60))
    sessions = random_stays(rng, 60, stated=True, brief=True)
    signal = 100 + 30 * rng.random(14 * 24)
    tariff = Tariff(tuple(rng.choice([0.1, 0.2, 0.3], 24)), (0.1,) * 24, 0.05)
    daily = []
    for minutes in (60, 30, 15):
        load = np.repeat(signal, 60 // minutes)
        result = run(
            *(policy, sessions, vehicles),
            case=case,
            step_minutes=minutes,
            signal_kw=load,
            programme=Programme(tariff=tariff),
        )
        daily.append(result.kw[0].reshape(60, 14, -1).sum(axis=2) * minutes / 60)
    assert daily[0].max() > 20
    for other in daily[1:]:
        np.testing.assert_allclose(other, daily[0], atol=1e-9)


def test_an_import_limit_is_shared_by_who_comes_first():
    rows = stays((0, 10.0, 40.0, 18.0), (1, 11.0, 40.0, 18.0))
    result = run("uncontrolled", rows, cars(2, sites=(Site(import_kw=12.0),)))
    np.testing.assert_allclose(result.kw[0, 0, 10:13], [10, 10, 0])
    np.testing.assert_allclose(result.kw[0, 1, 10:15], [0, 2, 10, 8, 0], atol=1e-12)


def test_a_depot_meets_its_targets_at_half_its_rating():
    """Four buses, 40 kW of chargers, 20 kW of supply, and just enough night."""
    rows = [(bus, 18.0, 30.0, 0.9 * 58) for bus in range(4)]
    vehicles = cars(4, battery_kwh=100.0, sites=(Site(import_kw=20.0),))
    for policy in CHARGES:
        result = run(policy, stays(*rows), vehicles)
        assert result.shortfall.empty, policy
        assert result.head_kw.max() <= 20 + 1e-9
