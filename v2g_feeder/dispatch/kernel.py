"""One draw of a simulation, step by step, compiled.

A stay is planned when it begins (:mod:`~v2g_feeder.dispatch.stays`). In an event those who take
part leave their plans and share what is asked for (:mod:`~v2g_feeder.dispatch.sharing`); they are
planned anew when it ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from v2g_feeder.compiled import compiled, lean
from v2g_feeder.dispatch.arrays import EPS, Calls, Cars, Grid, State, Stays
from v2g_feeder.dispatch.battery import flat_of
from v2g_feeder.dispatch.sharing import export_step
from v2g_feeder.dispatch.stays import plan_late, plan_stay
from v2g_feeder.dispatch.steps import past, put_shares, withdraw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["run"]


@compiled
def run(cars: Cars, stays: Stays, begins: Ints, grid: Grid, calls: Calls, state: State) -> None:
    """Go through all steps; ``begins[step]`` is the first stay of a step."""
    event, events = 0, len(calls.window)
    for step in range(grid.steps):
        if event < events and calls.window[event, 1] == step:
            _resume(step, event, cars, grid, calls, state)
            event += 1
        for stay in range(begins[step], begins[step + 1]):
            i = stays.vehicle[stay]
            _advance(i, step, cars, grid, state)
            _arrive(stay, cars, stays, state)
            end = min(past(state.until_h[i], grid), grid.steps)
            inside = state.plugged[i, step:end]
            put_shares(step, state.since_h[i], state.until_h[i], grid.step_h, inside)
            ready = _ready(i, step, event, cars, grid, calls, state)
            plan_stay(i, step, state.since_h[i], ready, cars, grid, state)
        if event < events and calls.window[event, 0] <= step:
            for i in range(len(cars.rated_kw)):
                if calls.takes_part[event, i] and state.plugged[i, step] > 0.0:
                    _advance(i, step, cars, grid, state)
            export_step(step, event, cars, grid, calls, state)
    for i in range(len(state.level)):
        _advance(i, grid.steps, cars, grid, state)


@lean
def _advance(i: int, step: int, cars: Cars, grid: Grid, state: State) -> None:
    """Bring the stored energy of a vehicle to the beginning of a step."""
    level, power, soe_kwh = state.level[i], state.kw[i], state.soe_kwh[i]
    charge, discharge = grid.step_h * cars.eta_c[i], grid.step_h / cars.eta_d[i]
    for k in range(state.done[i], step):
        kw = power[k]
        level += kw * (charge if kw > 0.0 else discharge)
        soe_kwh[k + 1] = level
    state.level[i] = level
    state.done[i] = max(step, state.done[i])


@lean
def _arrive(stay: int, cars: Cars, stays: Stays, state: State) -> None:
    """Take out the driving since the stay before, and note the stay that begins."""
    i, driven = stays.vehicle[stay], stays.driven_kwh[stay]
    before = cars.target_kwh[i] if stays.fresh[stay] else state.level[i]
    public = min(max(cars.floor_kwh[i] - (before - driven), 0.0), driven)
    stays.public_kwh[stay] = public
    stays.swapped_kwh[stay] = before - state.level[i]
    state.level[i] = stays.soe_arrival_kwh[stay] = before - driven + public
    start, departure = stays.start_h[stay], stays.departure_h[stay]
    most = cars.eta_c[i] * cars.rated_kw[i] * (departure - start)
    reach = flat_of(i, state.level[i], cars) + most
    stays.reachable[stay] = reach >= cars.target_flat_kwh[i] - EPS
    state.since_h[i], state.until_h[i] = start, departure
    state.stated_h[i] = stays.stated_h[stay]


@lean
def _ready(
    i: int, step: int, event: int, cars: Cars, grid: Grid, calls: Calls, state: State
) -> int:
    """Return the step by which to charge rather than after it: the next event, or none."""
    if cars.precharges[i]:
        for number in range(event, len(calls.window)):
            first = calls.window[number, 0]
            if first > step:
                return first if first * grid.step_h < state.stated_h[i] else step
    return step


@compiled
def _resume(step: int, event: int, cars: Cars, grid: Grid, calls: Calls, state: State) -> None:
    """Plan anew, after an event, those who took part and are still plugged in."""
    start_h = step * grid.step_h
    plugged = np.flatnonzero(calls.takes_part[event] & (state.until_h > start_h))
    for n in range(len(plugged)):
        _advance(plugged[n], step, cars, grid, state)
        withdraw(plugged[n], step, cars, grid, state)
    order = np.argsort(state.stated_h[plugged])  # who leaves first is planned first
    for n in range(len(plugged)):
        i = plugged[order[n]]
        if calls.immediate:
            plan_late(i, step, start_h, cars, grid, state)
        else:
            ready = _ready(i, step, event + 1, cars, grid, calls, state)
            plan_stay(i, step, start_h, ready, cars, grid, state)
