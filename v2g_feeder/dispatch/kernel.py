"""One draw of a simulation, step by step, compiled.

A stay is planned when it begins, for the departure that the driver states; the plan meets the
departure target whenever full power from plug-in would. Plans see the load and each other. In an
event those who take part leave their plans: they export what the aggregator shares out by slack, or
charge what departure needs; they are planned anew when it ends.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit

from v2g_feeder.dispatch.battery import flat, unflat
from v2g_feeder.dispatch.plans import arbitrage, fill_cheapest, fill_now, fill_valley

__all__ = [
    "ARBITRAGE",
    "CHEAPEST",
    "NOW",
    "VALLEY",
    "Calls",
    "Cars",
    "Grid",
    "State",
    "Stays",
    "run",
]

NOW, VALLEY, CHEAPEST, ARBITRAGE = 0, 1, 2, 3  # rules of charging
_HORIZON_H: Final = 48.0  # plans look this far; what does not fit follows at once
_EPS: Final = 1e-9


class Cars(NamedTuple):
    """Vehicles, ``[vehicle]``; energies in kWh."""

    rated_kw: np.ndarray
    export_kw: np.ndarray
    eta_c: np.ndarray
    eta_d: np.ndarray
    battery_kwh: np.ndarray
    target_kwh: np.ndarray
    reserve_kwh: np.ndarray
    floor_kwh: np.ndarray
    taper_soc: np.ndarray
    taper_floor: np.ndarray
    site: np.ndarray
    rule: np.ndarray
    precharges: np.ndarray
    stagger_h: np.ndarray


class Stays(NamedTuple):
    """Stays of a draw in order of their first step; the last four are written."""

    vehicle: np.ndarray
    start_h: np.ndarray
    departure_h: np.ndarray
    stated_h: np.ndarray
    driven_kwh: np.ndarray
    fresh: np.ndarray
    public_kwh: np.ndarray
    swapped_kwh: np.ndarray
    soe_arrival_kwh: np.ndarray
    reachable: np.ndarray


class Grid(NamedTuple):
    """What the plans see; ``[step]`` reaches one horizon beyond the period."""

    step_h: float
    steps: int
    load_kw: np.ndarray  # with what is planned: written
    price: np.ndarray
    wear: float  # cost per kWh exported
    site_kw: np.ndarray  # [site, step], planned power of the site: written
    site_import_kw: np.ndarray  # [site]
    site_export_kw: np.ndarray


class Calls(NamedTuple):
    """Events of a draw."""

    window: np.ndarray  # first and past-the-last step, [event, 2], in order, disjoint
    request_kw: np.ndarray  # [event, step of the event]; infinite: no common request
    takes_part: np.ndarray  # [event, vehicle]
    replace_h: float  # until the power of a vehicle that left unannounced is made up
    immediate: bool  # charging after an event starts at once (with its stagger)
    premise_kw: np.ndarray  # [vehicle, step]: export never exceeds it; empty: no such limit


class State(NamedTuple):
    """What a draw leaves behind; ``[vehicle, step]``."""

    kw: np.ndarray
    soe_kwh: np.ndarray
    plugged: np.ndarray
    level: np.ndarray  # [vehicle] stored energy at step ``done``
    done: np.ndarray  # [vehicle]
    until_h: np.ndarray  # [vehicle] departure of the stay under way
    stated_h: np.ndarray  # [vehicle]


@njit(cache=True, nogil=True)
def run(
    cars: Cars, stays: Stays, begins: np.ndarray, grid: Grid, calls: Calls, state: State
) -> None:
    """Go through all steps; ``begins[step]`` is the first stay of a step."""
    event = 0
    for step in range(grid.steps):
        if event < len(calls.window) and calls.window[event, 1] == step:
            _resume(step, event, cars, grid, calls, state)
            event += 1
        for stay in range(begins[step], begins[step + 1]):
            _arrive(stay, step, cars, stays, grid, calls, event, state)
        if event < len(calls.window) and calls.window[event, 0] <= step:
            _export(step, event, cars, grid, calls, state)
    for i in range(len(state.level)):
        _advance(i, grid.steps, cars, grid, state)


@njit(cache=True, nogil=True)
def _advance(i: int, step: int, cars: Cars, grid: Grid, state: State) -> None:
    """Bring the stored energy of a vehicle to the beginning of a step."""
    level = state.level[i]
    for k in range(state.done[i], step):
        kw = state.kw[i, k]
        if kw > 0.0:
            level += grid.step_h * kw * cars.eta_c[i]
        elif kw < 0.0:
            level += grid.step_h * kw / cars.eta_d[i]
        state.soe_kwh[i, k + 1] = level
    state.level[i] = level
    state.done[i] = max(step, state.done[i])


@njit(cache=True, nogil=True)
def _flat(i: int, soe_kwh: float, cars: Cars) -> float:
    return flat(soe_kwh, cars.battery_kwh[i], cars.taper_soc[i], cars.taper_floor[i])


@njit(cache=True, nogil=True)
def _unflat(i: int, flat_kwh: float, cars: Cars) -> float:
    return unflat(flat_kwh, cars.battery_kwh[i], cars.taper_soc[i], cars.taper_floor[i])


@njit(cache=True, nogil=True)
def _arrive(
    stay: int,
    step: int,
    cars: Cars,
    stays: Stays,
    grid: Grid,
    calls: Calls,
    event: int,
    state: State,
) -> None:
    """Take out the driving since the stay before, and plan the stay that begins."""
    i = stays.vehicle[stay]
    _advance(i, step, cars, grid, state)
    before = cars.target_kwh[i] if stays.fresh[stay] else state.level[i]
    driven, empty = stays.driven_kwh[stay], before - stays.driven_kwh[stay]
    public = min(max(cars.floor_kwh[i] - empty, 0.0), driven)
    stays.public_kwh[stay] = public
    stays.swapped_kwh[stay] = before - state.level[i]
    stays.soe_arrival_kwh[stay] = empty + public
    state.level[i] = empty + public
    start, departure = stays.start_h[stay], stays.departure_h[stay]
    fastest = cars.eta_c[i] * cars.rated_kw[i] * (departure - start)
    stays.reachable[stay] = (
        _flat(i, state.level[i], cars) + fastest >= _flat(i, cars.target_kwh[i], cars) - _EPS
    )
    state.until_h[i], state.stated_h[i] = departure, stays.stated_h[stay]
    end = min(math.ceil(departure / grid.step_h - _EPS), state.plugged.shape[1])
    for k in range(step, end):
        state.plugged[i, k] = _overlap(k, start, departure, grid.step_h)
    _plan(i, step, start, cars, grid, calls, event, state)


@njit(cache=True, nogil=True)
def _overlap(k: int, start_h: float, end_h: float, step_h: float) -> float:
    """Return the share of step ``k`` that lies between two times."""
    inside = min(end_h, (k + 1) * step_h) - max(start_h, k * step_h)
    return min(max(inside / step_h, 0.0), 1.0)


@njit(cache=True, nogil=True)
def _plan(
    i: int,
    step: int,
    start_h: float,
    cars: Cars,
    grid: Grid,
    calls: Calls,
    event: int,
    state: State,
) -> None:
    """Plan a vehicle's charging from ``start_h``, within ``step``, to its departure."""
    h, until = grid.step_h, state.until_h[i]
    end = min(math.ceil(until / h - _EPS), len(grid.load_kw))
    if end <= step:
        return
    stated = min(max(state.stated_h[i], start_h), until) if cars.rule[i] != NOW else until
    rate = cars.eta_c[i] * h
    need = (_flat(i, cars.target_kwh[i], cars) - _flat(i, state.level[i], cars)) / rate
    cap, power = np.zeros(end - step), np.zeros(end - step)
    if need > 0.0:
        need = _lay(i, step, start_h, stated, need, (cars, grid, calls, event), cap, power)
        if need > _EPS:  # what did not fit: at once, to the end
            for k in range(end - step):
                most = _cap(i, step + k, start_h, until, cars, grid)
                more = min(max(most - power[k], 0.0), need)
                power[k] += more
                need -= more
    _commit(i, step, power, cars, grid, state)
    if cars.rule[i] == ARBITRAGE:
        _trade(i, step, start_h, min(stated, (step * h) + _HORIZON_H), cars, grid, state)


@njit(cache=True, nogil=True)
def _lay(
    i: int,
    step: int,
    start_h: float,
    until_h: float,
    need: float,
    seen: tuple[Cars, Grid, Calls, int],
    cap: np.ndarray,
    power: np.ndarray,
) -> float:
    """Lay a need into the steps to the stated departure by the vehicle's rule."""
    cars, grid, calls, event = seen
    h = grid.step_h
    ready = step
    if cars.precharges[i]:  # charge before the next event rather than after it
        for number in range(event, len(calls.window)):
            first = calls.window[number, 0]
            if first > step:
                if first * h < until_h:
                    ready = first
                break
    last = min(math.ceil(until_h / h - _EPS), step + len(power))
    longest = step + max(round(_HORIZON_H / h), math.ceil(need / cars.rated_kw[i]) + 1)
    for begin, finish in ((step, ready), (ready, min(last, longest))):
        a, b = begin - step, finish - step
        if b <= a or need <= 0.0:
            continue
        for k in range(a, b):
            cap[k] = _cap(i, step + k, start_h, until_h, cars, grid)
        rule = cars.rule[i]
        if rule == NOW:
            need = fill_now(cap[a:b], need, power[a:b])
        elif rule == VALLEY:
            need = fill_valley(cap[a:b], need, grid.load_kw[begin:finish], power[a:b])
        else:
            need = fill_cheapest(cap[a:b], need, grid.price[begin:finish], power[a:b])
    return need


@njit(cache=True, nogil=True)
def _cap(i: int, k: int, start_h: float, end_h: float, cars: Cars, grid: Grid) -> float:
    """Return the highest mean charging power of a step, kW, within the site's limit."""
    most = cars.rated_kw[i] * _overlap(k, start_h, end_h, grid.step_h)
    room = grid.site_import_kw[cars.site[i]]
    if room < np.inf:
        most = min(most, max(room - grid.site_kw[cars.site[i], k], 0.0))
    return most


@njit(cache=True, nogil=True)
def _commit(i: int, step: int, power: np.ndarray, cars: Cars, grid: Grid, state: State) -> None:
    """Write a plan: full-power equivalents become kW, and later plans see them."""
    at = _flat(i, state.level[i], cars)
    soe, rate = state.level[i], cars.eta_c[i] * grid.step_h
    tapers = _flat(i, cars.target_kwh[i], cars) != cars.target_kwh[i]
    for k in range(len(power)):
        kw = power[k]
        if tapers and kw > 0.0:
            at += rate * kw
            after = _unflat(i, at, cars)
            kw, soe = (after - soe) / rate, after
        state.kw[i, step + k] = kw
        _see(i, step + k, kw, cars, grid)


@njit(cache=True, nogil=True)
def _see(i: int, k: int, kw: float, cars: Cars, grid: Grid) -> None:
    """Add a change of planned power to what later plans see."""
    grid.site_kw[cars.site[i], k] += kw
    if cars.rule[i] != NOW:
        grid.load_kw[k] += kw


@njit(cache=True, nogil=True)
def _trade(
    i: int, step: int, start_h: float, until_h: float, cars: Cars, grid: Grid, state: State
) -> None:
    """Add the trades that pay to a vehicle's plan."""
    h = grid.step_h
    end = min(math.ceil(until_h / h - _EPS), len(grid.load_kw))
    steps, site = end - step, cars.site[i]
    charge, export, plan = np.zeros(steps), np.zeros(steps), np.zeros(steps)
    for k in range(steps):
        plan[k] = state.kw[i, step + k] * h
        charge[k] = plan[k] + _cap(i, step + k, start_h, until_h, cars, grid) * h
        inside = _overlap(step + k, start_h, until_h, h)
        charge[k] = min(charge[k], cars.rated_kw[i] * inside * h)
        room = max(grid.site_export_kw[site] + grid.site_kw[site, step + k], 0.0)
        export[k] = min(cars.export_kw[i] * inside, room) * h
    level = state.level[i]
    limit = max(min(cars.target_kwh[i], cars.taper_soc[i] * cars.battery_kwh[i]), level)
    reserve = min(cars.reserve_kwh[i], level)
    costs = (cars.eta_c[i], cars.eta_d[i], grid.wear)
    arbitrage(charge, export, grid.price[step:end], (level, reserve, limit), costs, plan)
    for k in range(steps):
        _see(i, step + k, plan[k] / h - state.kw[i, step + k], cars, grid)
        state.kw[i, step + k] = plan[k] / h


@njit(cache=True, nogil=True)
def _resume(step: int, event: int, cars: Cars, grid: Grid, calls: Calls, state: State) -> None:
    """Plan anew, after an event, those who took part and are still plugged in."""
    for i in range(len(cars.rated_kw)):
        if not calls.takes_part[event, i] or state.until_h[i] <= step * grid.step_h:
            continue
        _advance(i, step, cars, grid, state)
        end = min(math.ceil(state.until_h[i] / grid.step_h - _EPS), len(grid.load_kw))
        for k in range(step, end):
            _see(i, k, -state.kw[i, k], cars, grid)
            state.kw[i, k] = 0.0
        start = step * grid.step_h
        if calls.immediate:
            _start_late(i, step, start, cars, grid, state)
        else:
            _plan(i, step, start, cars, grid, calls, event + 1, state)


@njit(cache=True, nogil=True)
def _start_late(i: int, step: int, start_h: float, cars: Cars, grid: Grid, state: State) -> None:
    """Charge at once after an event, from the vehicle's turn on, or sooner if departure needs it."""
    h, until = grid.step_h, state.until_h[i]
    end = min(math.ceil(until / h - _EPS), len(grid.load_kw))
    gap = _flat(i, cars.target_kwh[i], cars) - _flat(i, state.level[i], cars)
    stated = min(max(state.stated_h[i], start_h), until)
    latest = stated - max(gap, 0.0) / (cars.eta_c[i] * cars.rated_kw[i])
    begin = max(min(start_h + cars.stagger_h[i], latest), start_h)
    cap, power = np.zeros(end - step), np.zeros(end - step)
    for k in range(end - step):
        cap[k] = _cap(i, step + k, begin, until, cars, grid)
    fill_now(cap, max(gap, 0.0) / (cars.eta_c[i] * h), power)
    _commit(i, step, power, cars, grid, state)


@njit(cache=True, nogil=True)
def _export(step: int, event: int, cars: Cars, grid: Grid, calls: Calls, state: State) -> None:
    """Replace the plans of those who take part by export, or by what departure needs."""
    h = grid.step_h
    now, end_h = step * h, calls.window[event, 1] * h
    count = 0
    member = np.empty(len(cars.rated_kw), np.int64)
    limit, slack = np.zeros(len(cars.rated_kw)), np.zeros(len(cars.rated_kw))
    site_limit = np.zeros(len(grid.site_export_kw))
    for i in range(len(cars.rated_kw)):
        inside = state.plugged[i, step]
        if not calls.takes_part[event, i] or inside <= 0.0:
            continue
        _advance(i, step, cars, grid, state)
        stated, target = state.stated_h[i], _flat(i, cars.target_kwh[i], cars)
        fastest = cars.eta_c[i] * cars.rated_kw[i]
        # with less than this at the end of the step, the target is out of reach
        needed = _unflat(i, target - fastest * max(stated - now - h, 0.0), cars)
        full = min(fastest * h * inside, target - _flat(i, state.level[i], cars))
        most = _unflat(i, _flat(i, state.level[i], cars) + max(full, 0.0), cars)
        charge = min(max(needed - state.level[i], 0.0), most - state.level[i])
        charge = min(charge / (cars.eta_c[i] * h), _room(i, step, cars, grid, state))
        _set(i, step, charge, cars, grid, state)
        # what is exported must be charged again after the event, not in it
        keep = _unflat(i, target - fastest * max(stated - end_h, 0.0), cars)
        spare = max(state.level[i] - max(cars.reserve_kwh[i], keep), 0.0)
        power = min(cars.export_kw[i] * inside, spare * cars.eta_d[i] / h)
        if calls.premise_kw.shape[0] > 0:
            power = min(power, calls.premise_kw[i, step])
        if power <= 0.0:
            continue
        member[count], limit[count] = i, power
        # who leaves early gives early
        slack[count] = spare / max(min(stated, end_h) - now, 1e-6)
        site_limit[cars.site[i]] += power
        count += 1
    for n in range(count):
        most = grid.site_export_kw[cars.site[member[n]]]
        if site_limit[cars.site[member[n]]] > most:
            limit[n] *= most / site_limit[cars.site[member[n]]]
    request = calls.request_kw[event, step - calls.window[event, 0]]
    power = _share(request, limit[:count], slack[:count])
    if request < np.inf:
        lost = 0.0
        for n in range(count):
            i = member[n]
            inside = state.plugged[i, step]
            if state.until_h[i] < min(now + h, state.stated_h[i]) - _EPS:
                lost += power[n] / inside * min(calls.replace_h / h, 1.0 - inside)
        if lost > 0.0:
            power = _share(max(request - lost, 0.0), limit[:count], slack[:count])
    for n in range(count):
        if power[n] > 0.0:
            _set(member[n], step, -power[n], cars, grid, state)


@njit(cache=True, nogil=True)
def _room(i: int, step: int, cars: Cars, grid: Grid, state: State) -> float:
    """Return the import left at a vehicle's site, its own plan taken out, kW."""
    others = grid.site_kw[cars.site[i], step] - state.kw[i, step]
    return max(grid.site_import_kw[cars.site[i]] - others, 0.0)


@njit(cache=True, nogil=True)
def _set(i: int, step: int, kw: float, cars: Cars, grid: Grid, state: State) -> None:
    """Replace a vehicle's planned power of a step."""
    _see(i, step, kw - state.kw[i, step], cars, grid)
    state.kw[i, step] = kw


@njit(cache=True, nogil=True)
def _share(request_kw: float, limit_kw: np.ndarray, slack: np.ndarray) -> np.ndarray:
    """Share a request in proportion to slack, no vehicle above its limit, kW.

    The sum is the request, or the sum of the limits where that is less.
    """
    total = limit_kw.sum()
    if total <= request_kw:
        return limit_kw.copy()
    order = np.argsort(limit_kw / slack)  # who reaches the limit first
    power = np.zeros(len(limit_kw))
    left, weight = request_kw, slack.sum()
    for n in order:
        power[n] = min(limit_kw[n], left * slack[n] / weight) if weight > 0.0 else 0.0
        left = max(left - power[n], 0.0)
        weight -= slack[n]
    return power
