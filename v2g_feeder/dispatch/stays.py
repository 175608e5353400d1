"""The plan of one stay.

It is laid when the stay begins, for the departure that the driver states, and again when an event
is over. It meets the departure target whenever full power would. A driver who leaves sooner takes
what is stored by then; other plans see of it only what takes place.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.compiled import compiled, lean
from v2g_feeder.dispatch.arrays import ARBITRAGE, CHEAPEST, EPS, NOW, VALLEY, Cars, Grid, State
from v2g_feeder.dispatch.battery import flat_of, share_of, unflat_of
from v2g_feeder.dispatch.plans import fill_cheapest, fill_now, fill_valley
from v2g_feeder.dispatch.steps import past, put, put_room, put_shares
from v2g_feeder.dispatch.trades import Battery, trade

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["plan_late", "plan_stay"]

_HORIZON_H: Final = 48.0  # charging is planned this far; what does not fit follows at once
_EARLIEST, _LATEST = False, True


@lean
def plan_stay(
    i: int, step: int, start_h: float, ready: int, cars: Cars, grid: Grid, state: State
) -> None:
    """Plan a vehicle from ``start_h``, within ``step``, to its departure.

    Charging is laid into the steps before ``ready`` as far as it fits there.
    """
    until, rule = state.until_h[i], cars.rule[i]
    stated = until if rule == NOW else max(state.stated_h[i], start_h)
    count = max(past(max(until, stated), grid) - step, 0)
    cap, power = state.cap[:count], state.power[:count]
    power[:] = 0.0
    put_room(i, step, start_h, stated, cars, grid, cap)
    need = _gap(i, cars, state) / (cars.eta_c[i] * grid.step_h)
    direct = 0
    if rule == ARBITRAGE:
        direct = _lay_trades(i, step, cars, grid, state, cap, power)
    if direct == 0 and need > 0.0:
        hours = max(_HORIZON_H, math.ceil(need * grid.step_h / cars.rated_kw[i]) + 1.0)
        last = min(int((math.floor(start_h) + hours) * grid.per_hour) - step, count)
        first = min(max(ready - step, 0), last)
        need = _lay(rule, step, need, grid, cap[:first], power[:first])
        need = _lay(rule, step + first, need, grid, cap[first:last], power[first:last])
        if need > EPS:
            put_room(i, step, start_h, until, cars, grid, cap)
            for k in range(count):
                more = min(max(cap[k] - power[k], 0.0), need)
                power[k] += more
                need -= more
    if until < stated:
        most = cars.rated_kw[i] if rule == CHEAPEST else np.inf
        _end_at(until, step, start_h, stated, grid.step_h, most, power)
    _commit(i, step, direct, power, cars, grid, state)


@lean
def plan_late(i: int, step: int, start_h: float, cars: Cars, grid: Grid, state: State) -> None:
    """Charge at once from the vehicle's turn on, or sooner if departure needs it."""
    until, gap = state.until_h[i], _gap(i, cars, state)
    latest = state.stated_h[i] - gap / (cars.eta_c[i] * cars.rated_kw[i])
    begin = max(min(start_h + cars.stagger_h[i], latest), start_h)
    count = max(past(until, grid) - step, 0)
    cap, power = state.cap[:count], state.power[:count]
    power[:] = 0.0
    put_room(i, step, begin, until, cars, grid, cap)
    fill_now(cap, gap / (cars.eta_c[i] * grid.step_h), power)
    _commit(i, step, 0, power, cars, grid, state)


@lean
def _gap(i: int, cars: Cars, state: State) -> float:
    """Return what is missing to the target in the flat coordinate, kWh, 0 or more."""
    gap: float = max(cars.target_flat_kwh[i] - flat_of(i, state.level[i], cars), 0.0)
    return gap


@lean
def _lay(rule: int, first: int, need: float, grid: Grid, cap: Floats, power: Floats) -> float:
    """Lay a need into steps by a rule; return what does not fit."""
    if len(cap) == 0 or need <= 0.0:
        return need
    if rule == NOW:
        return fill_now(cap, need, power)
    if rule == VALLEY:
        return fill_valley(cap, need, grid.load_kw, first, grid.per_hour, power)
    price = grid.price[first : first + len(cap)]
    return fill_cheapest(cap, need, price, grid.prices, _EARLIEST, power)


@compiled
def _lay_trades(
    i: int, step: int, cars: Cars, grid: Grid, state: State, cap: Floats, power: Floats
) -> int:
    """Lay a plan that buys low and sells high from plug-in on, if the target leaves time for it.

    Trades end where the charging begins that the taper slows down, in the latest of the cheapest
    steps. Return their number of steps, 0 for no plan.
    """
    h, level, price = grid.step_h, state.level[i], grid.price[step : step + len(cap)]
    rate, reserve = cars.eta_c[i] * h, cars.reserve_kwh[i]
    top = max(min(cars.target_kwh[i], cars.taper_soc[i] * cars.battery_kwh[i]), level)
    slow = cars.target_flat_kwh[i] - flat_of(i, top, cars)
    rest = fill_cheapest(cap, slow / rate, price, grid.prices, _LATEST, power)
    steps = 0
    while steps < len(cap) and power[steps] == 0.0:
        steps += 1
    below = (top - level) / rate
    if rest > 0.0 or steps == 0 or cap[:steps].sum() < below:
        power[:] = 0.0
        return 0
    first = 0
    if level < reserve:  # trades begin when charging has reached the reserve
        fill_cheapest(cap[:steps], below, price, grid.prices, _EARLIEST, power)
        while first < steps and level < reserve:
            level += rate * power[first]
            first += 1
    if first < steps:
        export = np.empty(steps - first)
        put_shares(step + first, state.since_h[i], state.stated_h[i], h, export)
        site, limit = cars.site[i], grid.site_export_kw[cars.site[i]]
        for k in range(steps - first):
            export[k] *= cars.export_kw[i] * h
            if limit < np.inf:
                room = limit + grid.site_kw[site, step + first + k]
                export[k] = min(export[k], max(room, 0.0) * h)
        battery = Battery(level, top, reserve, top, cars.eta_c[i], cars.eta_d[i], grid.wear)
        charge = cap[first:steps] * (h * share_of(i, top, cars))
        trade(charge, export, price[first:steps], battery, power[first:steps])
        power[first:steps] /= h
    return steps


@lean
def _end_at(
    until_h: float,
    step: int,
    start_h: float,
    stated_h: float,
    step_h: float,
    at_once_kw: float,
    power: Floats,
) -> None:
    """Cut off a plan what lies after the real departure.

    In its last step it goes on evenly, or with a given power for as long as it takes.
    """
    last = int(until_h / step_h)
    inside = max(until_h - max(start_h, last * step_h), 0.0)
    planned = min(stated_h, (last + 1) * step_h) - max(start_h, last * step_h)
    if last - step < len(power) and planned > 0.0:
        if at_once_kw < np.inf:
            power[last - step] = min(power[last - step], at_once_kw * inside / step_h)
        else:
            power[last - step] *= inside / planned
    power[last - step + 1 :] = 0.0


@lean
def _commit(
    i: int, step: int, direct: int, power: Floats, cars: Cars, grid: Grid, state: State
) -> None:
    """Write a plan: from step ``direct`` on it is in kW of full charging power."""
    soe, rate = state.level[i], cars.eta_c[i] * grid.step_h
    tapers = cars.target_kwh[i] > cars.taper_soc[i] * cars.battery_kwh[i]
    for k in range(len(power)):
        kw = power[k]
        if kw == 0.0:
            continue
        if tapers and k < direct:
            soe += rate * kw if kw > 0.0 else grid.step_h * kw / cars.eta_d[i]
        elif tapers:
            after = unflat_of(i, flat_of(i, soe, cars) + rate * kw, cars)
            kw, soe = max(after - soe, 0.0) / rate, after
        put(i, step + k, kw, cars, grid, state)
