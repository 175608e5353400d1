"""What holds in every policy, whatever the fleet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from v2g_feeder.conventions import Policy
from v2g_feeder.dispatch import Aggregator, Programme
from v2g_feeder.dispatch.battery import flat
from v2g_feeder.fleet import Site

from .factories import (
    ALL_IN,
    AS_STATED,
    POLICIES,
    cars,
    of_cars,
    options_for,
    random_cars,
    random_stays,
    run,
    stays,
)

PROGRAMMES = {
    "default": Programme(),
    "price signal": Programme(signal="price"),
    "immediate": Programme(Aggregator(precharge=False, rebound="immediate", stagger_minutes=60.0)),
}
CASES = {"known": ALL_IN, "stated": AS_STATED, "half": replace(ALL_IN, enrolled=0.5)}
any_run = st.fixed_dictionaries(
    {
        "policy": st.sampled_from(POLICIES),
        "seed": st.integers(0, 2**31),
        "step_minutes": st.sampled_from([60, 30, 15]),
        "case": st.sampled_from(sorted(CASES)),
        "request_kw": st.sampled_from([0.0, 20.0, 1e9]),
        "programme": st.sampled_from(sorted(PROGRAMMES)),
        "limits": st.sampled_from([(np.inf, np.inf), (15.0, 10.0), (np.inf, 0.0)]),
    }
)


def drawn(policy, seed, step_minutes, case, request_kw, programme, limits):
    """Return a run of ten cars over five days."""
    rng = np.random.default_rng(seed)
    vehicles = random_cars(
        rng, 10, sites=(Site(None, *limits),), enrol_rank=rng.random(10),
        bidirectional=rng.random(10) < 0.8, permitted=rng.random(10) < 0.8,
        smart_only=rng.random(10) < 0.3,
    )  # fmt: skip
    sessions = random_stays(rng, 10, n_days=5, stated=True)
    given_too = options_for(policy, vehicles, step_minutes, 5, request_kw, rng)
    load = np.repeat(rng.uniform(50, 150, 120), 60 // step_minutes)
    return run(
        policy, sessions, vehicles, case=CASES[case], programme=PROGRAMMES[programme],
        step_minutes=step_minutes, signal_kw=load, **given_too,
    ), given_too  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(any_run)
def test_energy_closes_within_every_limit(choice):
    result, given_too = drawn(**choice)
    vehicles, h = result.vehicles, result.step_hours
    kw, soe = result.kw[0], result.soe_kwh[0]
    # energy: what the meters show, driving, and public charging make up the change
    gained = np.where(kw > 0, kw * vehicles.eta_c[:, None], kw / vehicles.eta_d[:, None]) * h
    driven, public = of_cars(result, "driven_kwh", "public_kwh")
    closes = soe[:, -1] - soe[:, 0] - gained.sum(axis=1) + driven - public
    assert np.abs(closes / (np.abs(gained).sum(axis=1) + driven + 1)).max() < 1e-9
    # stored energy: between what it arrived with or the reserve, and the charge limit
    battery, target = vehicles.battery_kwh, vehicles.departure_soc * vehicles.battery_kwh
    assert soe.min() >= -1e-9
    assert (soe <= target[:, None] + 1e-9).all()
    reserve = np.broadcast_to((vehicles.reserve_soc * battery)[:, None], kw.shape)
    exports = kw < 0
    assert (soe[:, 1:][exports] >= reserve[exports] - 1e-9).all()
    # power: within the ratings for as long as it is plugged in
    most = np.where(exports, vehicles.export_kw[:, None], vehicles.rated_kw[:, None])
    assert (np.abs(kw) <= most * result.plugged[0] + 1e-9).all()
    able = case_able(result)
    assert not exports[~able].any()
    # the site's limits
    site = vehicles.sites[0]
    assert result.head_kw.max() <= site.import_kw + 1e-9
    assert result.head_kw.min() >= -site.export_kw - 1e-9
    if result.policy == Policy.EXPORT:
        assert np.maximum(-kw, 0).sum(axis=0).max() <= result.event.request_kw * (1 + 1e-12)
    if result.policy == Policy.V2H:
        assert (-kw <= given_too["premise_kw"] * result.plugged[0] + 1e-9).all()


def case_able(result):
    """Return which vehicles may export under the policy."""
    vehicles = result.vehicles
    able = result.case.is_enrolled(vehicles) & vehicles.bidirectional
    if result.policy == Policy.V2H:
        return able
    trades = result.policy in (Policy.EXPORT, Policy.PRICE)
    return able & vehicles.permitted & trades


@settings(max_examples=300, deadline=None)
@given(any_run)
def test_the_target_is_met_by_the_departure_that_was_stated(choice):
    """Nobody loses a target by what the policy does: only by leaving earlier than they said."""
    choice = choice | {"limits": (np.inf, np.inf)}
    result, _ = drawn(**choice)
    table = result.stays
    assert len(table) == len(result.sessions[0])
    listed = result.shortfall
    if result.case.stated_error:
        listed = listed[listed["departure_h"] > listed["stated_h"] - 1e-9]
    assert not listed["reachable"].any()
    # what could not be reached was charged at full power
    late = listed[~listed["reachable"]]
    for row in late.itertuples():
        car = result.vehicles.battery_kwh[row.vehicle]
        taper = (result.vehicles.taper_soc[row.vehicle], result.vehicles.taper_floor[row.vehicle])
        hours = row.departure_h - row.arrival_h
        most = hours * result.vehicles.rated_kw[row.vehicle] * result.vehicles.eta_c[row.vehicle]
        gained = flat(row.soe_departure_kwh, car, *taper) - flat(row.soe_arrival_kwh, car, *taper)
        assert gained == pytest.approx(most, rel=1e-6)


@settings(max_examples=300, deadline=None)
@given(any_run)
def test_charging_never_beats_the_taper(choice):
    result, _ = drawn(**choice)
    vehicles, kw, soe = result.vehicles, result.kw[0], result.soe_kwh[0]
    for car, step in zip(*np.nonzero(kw > 1e-9), strict=True):
        shape = (vehicles.battery_kwh[car], vehicles.taper_soc[car], vehicles.taper_floor[car])
        after = soe[car, step + 1]
        before = after - kw[car, step] * vehicles.eta_c[car] * result.step_hours
        inside = result.plugged[0, car, step] * result.step_hours
        most = inside * vehicles.rated_kw[car] * vehicles.eta_c[car]
        assert flat(after, *shape) - flat(before, *shape) <= most + 1e-6


@pytest.mark.parametrize("policy", POLICIES)
def test_a_cycle_returns_the_product_of_the_efficiencies(policy):
    """A meter that multiplies where it should divide would report a full return."""
    vehicles = cars(export_kw=6.0)
    result = run(policy, stays((0, 15.0, 40.0, 0.0)), vehicles, **options_for(policy, vehicles))
    day = result.kw[0, 0, :48]
    out, back = -day[day < 0].sum(), day[day > 0].sum()
    if policy in (Policy.EXPORT, Policy.PRICE, Policy.V2H):
        assert out > 5
        assert out / back == pytest.approx(0.9 * 0.9, abs=1e-12)
    else:
        assert out == back == 0
