"""Hand-made homes, their sessions and cases, from the same parts as :mod:`factories`."""

from dataclasses import replace

from v2g_feeder.fleet import Site, load_participation

from .factories import cars, stays

SURE = replace(
    load_participation()["expected"], enrolled=1.0, responds=1.0, opt_out=0.0, outage=0.0
)
HOME = {
    "rated_kw": 7.2, "export_kw": 7.2, "eta_c": 0.93, "eta_d": 0.93, "reserve_soc": 0.3,
    "departure_soc": 0.9, "floor_soc": 0.1, "taper_floor": 0.1,
}  # fmt: skip


def make_vehicles(count, site=None, **changes):
    """Return vehicles of 60 kWh with chargers of 7.2 kW; ``changes`` by name."""
    return cars(count, sites=(site or Site(),), **(HOME | changes))


def make_sessions(rows, n_days=14):
    """Return sessions from (vehicle, arrival, departure, driven kWh, stated or None)."""
    known = [(*row[:4], row[2] if row[4] is None else row[4]) for row in rows]
    return stays(*known, n_days=n_days)


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
