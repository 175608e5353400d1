"""One step of an event: who exports how much.

Those who take part leave their plans. They charge what departure needs and otherwise export what
the aggregator shares out by slack, as far as it can be charged again by departure after the event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from v2g_feeder.compiled import compiled, lean
from v2g_feeder.dispatch.arrays import EPS, Calls, Cars, Grid, State
from v2g_feeder.dispatch.battery import flat_of, unflat_of
from v2g_feeder.dispatch.steps import put

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["export_step", "share_out"]


@compiled
def export_step(step: int, event: int, cars: Cars, grid: Grid, calls: Calls, state: State) -> None:
    """Replace the plans of those who take part, whose stored energy is up to date."""
    h, end_h = grid.step_h, calls.window[event, 1] * grid.step_h
    vehicles = len(cars.rated_kw)
    member, count = np.empty(vehicles, np.int64), 0
    limit, slack, told = np.zeros((3, vehicles))
    for i in range(vehicles):
        if not calls.takes_part[event, i] or state.plugged[i, step] <= 0.0:
            continue
        put(i, step, _needed(i, step, cars, grid, state), cars, grid, state)
        known = min(step + 1.0 - state.since_h[i] / h, 1.0)  # share of the step, if nobody leaves
        spare = _spare(i, end_h, cars, state)
        power = min(cars.export_kw[i] * known, spare * cars.eta_d[i] / h)
        if calls.premise_kw.shape[0] > 0:
            power = min(power, calls.premise_kw[i, step] * known)
        if power > 0.0:
            member[count], limit[count], slack[count], told[count] = i, power, spare, known
            count += 1
    member, limit, slack, told = member[:count], limit[:count], slack[:count], told[:count]
    if grid.site_kw.shape[1] > 0:
        _limit_sites(member, limit, step, cars, grid)
    request = calls.request_kw[event, step - calls.window[event, 0]]
    power = share_out(request, limit, slack)
    inside = state.plugged[member, step]
    if (inside < told - EPS).any():
        _replace(request, calls.replace_h / h, inside, told, limit, slack, power)
    for n in range(count):
        if power[n] > 0.0:
            put(member[n], step, -power[n], cars, grid, state)


@compiled
def _replace(
    request_kw: float,
    delay: float,
    inside: Floats,
    told: Floats,
    limit: Floats,
    slack: Floats,
    power: Floats,
) -> None:
    """Let the others make up for those who leave without notice, after a delay, in steps."""
    served = 0.0
    for n in range(len(power)):
        if inside[n] < told[n] - EPS:
            rate = power[n] / told[n]
            power[n], limit[n], slack[n] = rate * inside[n], 0.0, 0.0
            served += rate * (inside[n] + min(delay, told[n] - inside[n]))
    others = share_out(max(request_kw - served, 0.0), limit, slack)
    for n in range(len(power)):
        if limit[n] > 0.0:
            power[n] = others[n]


@lean
def _needed(i: int, step: int, cars: Cars, grid: Grid, state: State) -> float:
    """Return the charging of a step without which the target would be out of reach, kW."""
    h, level = grid.step_h, state.level[i]
    left_h = max(state.stated_h[i] - (step + 1) * h, 0.0)
    at = flat_of(i, level, cars)
    missing = cars.target_flat_kwh[i] - cars.eta_c[i] * cars.sure_kw[i] * left_h - at
    if missing <= 0.0:
        return 0.0
    rate = cars.eta_c[i] * h
    after = unflat_of(i, at + min(missing, rate * cars.rated_kw[i] * state.plugged[i, step]), cars)
    power: float = (after - level) / rate
    limit = grid.site_import_kw[cars.site[i]]
    if limit < np.inf:
        others = grid.site_kw[cars.site[i], step] - state.kw[i, step]
        power = min(power, max(limit - others, 0.0))
    return power


@lean
def _spare(i: int, end_h: float, cars: Cars, state: State) -> float:
    """Return what can be taken and charged again after the event, kWh."""
    later = cars.eta_c[i] * cars.sure_kw[i] * max(state.stated_h[i] - end_h, 0.0)
    keep = unflat_of(i, cars.target_flat_kwh[i] - later, cars)
    spare: float = max(state.level[i] - max(cars.reserve_kwh[i], keep), 0.0)
    return spare


@compiled
def _limit_sites(member: Ints, limit: Floats, step: int, cars: Cars, grid: Grid) -> None:
    """Cut the export of each site down to its limit, all its vehicles alike."""
    total = np.zeros(len(grid.site_export_kw))
    for n in range(len(member)):
        total[cars.site[member[n]]] += limit[n]
    for n in range(len(member)):
        site = cars.site[member[n]]
        room = max(grid.site_export_kw[site] + grid.site_kw[site, step], 0.0)
        if total[site] > room:
            limit[n] *= room / total[site]


@compiled
def share_out(request_kw: float, limit_kw: Floats, slack: Floats) -> Floats:
    """Share a request in proportion to slack, no vehicle above its limit, kW.

    The sum is the request, or the sum of the limits where that is less. A vehicle without slack
    has no limit above 0.
    """
    if limit_kw.sum() <= request_kw:
        return limit_kw.copy()
    power, left, weight = np.zeros(len(limit_kw)), request_kw, slack.sum()
    for n in np.argsort(limit_kw / np.maximum(slack, 1e-300)):  # who reaches the limit first
        if weight > 0.0:
            power[n] = min(limit_kw[n], left * slack[n] / weight)
        left = max(left - power[n], 0.0)
        weight -= slack[n]
    return power
