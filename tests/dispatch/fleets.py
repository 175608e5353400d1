"""Hand-made vehicles, sessions and cases."""

from dataclasses import replace

import numpy as np

from v2g_feeder.dispatch import Aggregator, Programme
from v2g_feeder.fleet import (
    ParticipationDraw,
    Sessions,
    Site,
    Vehicles,
    load_participation,
)

SURE = replace(
    load_participation()["expected"], enrolled=1.0, responds=1.0, opt_out=0.0, outage=0.0
)
AT_ONCE = Programme(Aggregator(latency_minutes=0.0, poll_minutes=0.0, ramp_minutes=0.0))


def make_vehicles(count, site=None, **changes):
    """Return vehicles of 60 kWh with chargers of 7.2 kW; ``changes`` by name."""
    values = {
        "battery_kwh": 60.0, "rated_kw": 7.2, "export_kw": 7.2, "eta_c": 0.93, "eta_d": 0.93,
        "reserve_soc": 0.3, "departure_soc": 0.9, "floor_soc": 0.1, "kwh_per_mile": 0.3,
        "taper_soc": 1.0, "taper_floor": 0.1, "habit_rank": 0.5, "enrol_rank": 0.0,
    } | changes  # fmt: skip
    flags = dict.fromkeys(("compatible", "bidirectional", "permitted", "accepted"), True)
    flags |= {"smart_only": False}
    flags = {name: changes.get(name, value) for name, value in flags.items()}
    arrays = {
        name: np.broadcast_to(np.asarray(value, float), count).copy()
        for name, value in values.items()
        if name not in flags
    }
    arrays |= {
        name: np.broadcast_to(np.asarray(value, bool), count).copy()
        for name, value in flags.items()
    }
    return Vehicles(fleet=np.zeros(count, int), **arrays, sites=(site or Site(),))


def make_sessions(rows, n_days=14):
    """Return sessions from (vehicle, arrival, departure, driven kWh, stated or None)."""
    rows = sorted(rows, key=lambda row: (row[0], row[1]))
    vehicle, arrival, departure, driven, stated = map(list, zip(*rows, strict=True))
    stated = [b if a is None else a for a, b in zip(stated, departure, strict=True)]
    return Sessions(
        n_days,
        vehicle=np.array(vehicle, int),
        arrival_h=np.array(arrival, float),
        departure_h=np.array(departure, float),
        stated_h=np.array(stated, float),
        driven_kwh=np.array(driven, float),
        fresh=np.zeros(len(rows), bool),
    )


def random_sessions(count, rng, n_days=14, chance=0.7):
    """Return evening and some daytime sessions of a fleet, with stated departures."""
    rows = []
    for vehicle in range(count):
        free = 0.0
        for day in range(n_days - 2):  # all stays end within the period
            for middle in (10.0, 18.0):
                arrival = 24 * day + rng.normal(middle, 2.0)
                if rng.random() > chance or arrival < free + 1 or arrival > 24 * n_days - 1:
                    continue
                departure = arrival + max(1.0, rng.normal(3.0 if middle < 12 else 12.0, 2.0))
                stated = max(departure + rng.normal(0, 1.5), arrival + 0.5)
                rows.append((vehicle, arrival, departure, rng.exponential(12), stated))
                free = departure
    return make_sessions(rows, n_days)


def sure_chance(count, n_days=14):
    """Return random numbers with which everybody answers and nobody declines."""
    answers = np.zeros((count, n_days))
    return ParticipationDraw(answers, np.ones((count, n_days)), np.ones(n_days))
