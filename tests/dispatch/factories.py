"""Small fleets for the tests of the dispatch."""

from __future__ import annotations

import numpy as np

from v2g_feeder.conventions import Policy
from v2g_feeder.dispatch import Aggregator, Event, Programme, simulate
from v2g_feeder.fleet import Participation, ParticipationDraw, Sessions, Site, Vehicles

POLICIES = [str(policy) for policy in Policy if policy != Policy.NO_EV]
ALL_IN = Participation("all", 1.0, 1.0, 0.0, 0.0, 1.0, 0.0)
AS_STATED = Participation("stated", 1.0, 1.0, 0.0, 0.0, 1.0, 1.0)
AT_ONCE = Programme(Aggregator(latency_minutes=0.0, ramp_minutes=0.0))
DAYS = 14


def cars(count=1, *, sites=(Site(),), **changes):  # noqa: B008
    """Bidirectional cars: 60 kWh, 10 kW, 0.9 each way, reserve 0.2, target 0.8, no taper."""
    values = {
        "fleet": 0, "battery_kwh": 60.0, "rated_kw": 10.0, "export_kw": 10.0, "eta_c": 0.9,
        "eta_d": 0.9, "reserve_soc": 0.2, "departure_soc": 0.8, "floor_soc": 0.0,
        "kwh_per_mile": 0.3, "taper_soc": 1.0, "taper_floor": 1.0, "habit_rank": 0.5,
        "enrol_rank": 0.0, "compatible": True, "bidirectional": True, "permitted": True,
        "accepted": True, "smart_only": False,
    } | changes  # fmt: skip
    columns = {key: np.broadcast_to(value, (count,)).copy() for key, value in values.items()}
    return Vehicles(**columns, sites=tuple(sites))


def stays(*rows, n_days=DAYS, fresh=None):
    """Sessions from rows of vehicle, arrival, departure, driven kWh, and the stated departure."""
    table = np.array([(*row, row[2])[:5] for row in rows], float).reshape(-1, 5)
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    vehicle, arrival, departure, driven, stated = table.T
    fresh = np.zeros(len(table), bool) if fresh is None else np.array(fresh)
    return Sessions(n_days, vehicle.astype(int), arrival, departure, stated, driven, fresh)


def sure(count=1, n_days=DAYS):
    """Return a draw in which everybody is reached and nobody declines."""
    half = np.full((count, n_days), 0.5)
    return ParticipationDraw(half, half, half[0] if count else np.full(n_days, 0.5))


def level(step_minutes=60, kw=0.0, n_days=DAYS):
    """Return a base load without a valley."""
    return np.full(n_days * 1440 // step_minutes, kw)


def run(policy, sessions, vehicles=None, event=None, *, case=ALL_IN, programme=AT_ONCE, **options):
    """Simulate one draw in which everybody takes part."""
    vehicles = cars() if vehicles is None else vehicles
    minutes = options.get("step_minutes", 60)
    options = {"signal_kw": level(minutes, n_days=sessions.n_days)} | options
    chance = options.pop("chance", sure(len(vehicles), sessions.n_days))
    return simulate(
        vehicles, [sessions], policy, case, [chance], options.pop("signal_kw"), event,
        programme=programme, **options,
    )  # fmt: skip


def random_cars(rng, count, *, taper=True, **changes):
    """Return cars that differ in everything."""
    reserve = rng.uniform(0.1, 0.5, count)
    return cars(
        count,
        **{
            "battery_kwh": rng.uniform(20, 100, count),
            "rated_kw": (rated := rng.choice([3.6, 7.2, 11.5, 19.2], count)),
            "export_kw": rated * rng.choice([0.5, 1.0], count),
            "eta_c": rng.uniform(0.85, 0.97, count),
            "eta_d": rng.uniform(0.85, 0.97, count),
            "reserve_soc": reserve,
            "departure_soc": rng.uniform(reserve, 1.0),
            "floor_soc": rng.uniform(0.0, 0.1, count),
            "taper_soc": rng.uniform(0.6, 1.0, count) if taper else 1.0,
            "taper_floor": rng.uniform(0.05, 1.0, count) if taper else 1.0,
        }
        | changes,
    )


def random_stays(rng, count, *, n_days=DAYS, stated=False, brief=False):
    """Return sessions of one hour to days, from before the period to after it.

    With ``brief``, every other one lasts minutes, and every other statement is minutes off.
    """
    rows = []
    for car in range(count):
        hour = rng.uniform(-12, 30)
        while hour < 24 * n_days:
            stay = (
                rng.exponential(1) + 0.05
                if brief and rng.random() < 0.5
                else 1 + rng.exponential(12)
            )
            off = rng.normal(0, 0.3 if brief and rng.random() < 0.5 else 3)
            said = hour + max(stay + stated * off, 0.05 if brief else 0.25)
            if hour + stay > 0:
                rows.append((car, hour, hour + stay, rng.exponential(12), said))
            hour += stay + 1 + rng.exponential(10)
    return stays(*rows, n_days=n_days)


def options_for(policy, vehicles, step_minutes=60, n_days=DAYS, request_kw=1e9, rng=None):
    """Return what a policy must be given: an event, or the premises' load."""
    if policy == Policy.EXPORT:
        return {"event": Event(17, 20, request_kw)}
    if policy == Policy.V2H:
        shape = (len(vehicles), n_days * 1440 // step_minutes)
        load = np.full(shape, 1.5) if rng is None else rng.exponential(1.5, shape)
        return {"premise_kw": load}
    return {}


def of_cars(result, *columns):
    """Return sums over the sessions of each vehicle of the first draw, ``[column, vehicle]``."""
    table = result.stays[result.stays["draw"] == 0]
    sums = table.groupby("vehicle")[list(columns)].sum()
    return sums.reindex(range(len(result.vehicles)), fill_value=0.0).to_numpy().T
