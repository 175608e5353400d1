"""Event export against the optimum of a linear programme (HiGHS).

The programme knows all days beforehand. It maximises what those who take part deliver in the event
hours, export less charging, at most the request in each step. Stored energy stays between the
reserve (or the level on arrival, where that is lower) and the target, and is at the target at each
departure for which that is reachable.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.sparse import lil_matrix

from v2g_feeder.dispatch import Event, simulate

from .factories import AT_ONCE, sure
from .fleets import SURE, make_sessions, make_vehicles

VEHICLES, HOURS, START, END = 20, 48, 17, 21


def random_fleet(seed):
    """Return vehicles and one session each over two days, the event in the first."""
    rng = np.random.default_rng(seed)
    rated = rng.choice([3.6, 7.2, 11.5], VEHICLES)
    vehicles = make_vehicles(
        VEHICLES,
        battery_kwh=rng.uniform(40, 80, VEHICLES),
        rated_kw=rated,
        export_kw=rated,
        reserve_soc=rng.uniform(0.2, 0.5, VEHICLES),
    )
    rows = []
    for vehicle in range(VEHICLES):
        arrival = float(rng.integers(6, 21))
        departure = arrival + float(rng.integers(2, 20))
        rows.append((vehicle, arrival, departure, rng.uniform(0, 25), None))
    return vehicles, make_sessions(rows, 2), rng.choice([15.0, 40.0, 80.0, 200.0])


def optimum(vehicles, sessions, request):
    """Return the highest energy delivered in the event, kWh."""
    n = VEHICLES * HOURS
    cost = np.zeros(2 * n)
    upper = np.zeros(2 * n)
    rows, bound = lil_matrix((4 * n, 2 * n)), []
    row = 0
    for i in range(VEHICLES):
        arrival, departure = int(sessions.arrival_h[i]), int(sessions.departure_h[i])
        target = 0.9 * vehicles.battery_kwh[i]
        start = target - sessions.driven_kwh[i]
        reserve = min(vehicles.reserve_soc[i] * vehicles.battery_kwh[i], start)
        full = start + 0.93 * vehicles.rated_kw[i] * (departure - arrival)
        for t in range(arrival, min(departure, HOURS)):
            upper[i * HOURS + t] = upper[n + i * HOURS + t] = vehicles.rated_kw[i]
            if START <= t < END:
                cost[i * HOURS + t], cost[n + i * HOURS + t] = 1.0, -1.0
            else:
                upper[n + i * HOURS + t] = 0.0  # exports in the event only
            last = t + 1 == departure
            least = min(target, full) if last else reserve
            for sign, limit in ((1.0, target - start), (-1.0, start - least)):
                charged = slice(i * HOURS + arrival, i * HOURS + t + 1)
                exported = slice(n + i * HOURS + arrival, n + i * HOURS + t + 1)
                rows[row, charged] = sign * 0.93
                rows[row, exported] = -sign / 0.93
                bound.append(limit + 1e-9)
                row += 1
    for t in range(START, END):
        rows[row, n + t : 2 * n : HOURS] = 1.0
        bound.append(request)
        row += 1
    solved = linprog(
        cost, rows[:row].tocsr(), bound, bounds=np.stack([np.zeros(2 * n), upper], axis=1)
    )
    assert solved.status == 0, solved.message
    return -solved.fun


@pytest.mark.parametrize("seed", range(50))
def test_export_is_within_three_percent_of_the_optimum(seed):
    vehicles, sessions, request = random_fleet(seed)
    done = simulate(
        vehicles, [sessions], "export", SURE, [sure(VEHICLES, 2)],
        np.full(HOURS, 500.0), Event(START, END, request), programme=AT_ONCE,
    )  # fmt: skip
    event = done.kw[0][:, START:END]
    assert np.maximum(-event, 0).sum(axis=0).max() <= request + 1e-9
    delivered, best = -event.sum(), optimum(vehicles, sessions, request)
    assert delivered <= best + 1e-6
    assert delivered >= best - 0.03 * abs(best) - 1e-6
