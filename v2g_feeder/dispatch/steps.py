"""Steps of a stay: what lies in them, what room they have, what is planned in them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from v2g_feeder.compiled import lean
from v2g_feeder.dispatch.arrays import EPS, Cars, Grid, State

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["past", "put", "put_room", "put_shares", "withdraw"]


@lean
def past(hour: float, grid: Grid) -> int:
    """Return the first step that begins at or after an hour."""
    return min(math.ceil(hour / grid.step_h - EPS), grid.ahead)


@lean
def put_shares(first: int, start_h: float, end_h: float, step_h: float, out: Floats) -> None:
    """Write the share of each step, from step ``first`` on, that lies between two times."""
    for k in range(len(out)):
        inside = min(end_h, (first + k + 1) * step_h) - max(start_h, (first + k) * step_h)
        out[k] = min(max(inside / step_h, 0.0), 1.0)


@lean
def put_room(
    i: int, step: int, start_h: float, end_h: float, cars: Cars, grid: Grid, cap: Floats
) -> None:
    """Write the highest mean charging power by step, kW, within the site's limit."""
    put_shares(step, start_h, end_h, grid.step_h, cap)
    cap *= cars.rated_kw[i]
    limit = grid.site_import_kw[cars.site[i]]
    if limit < np.inf:
        for k in range(len(cap)):
            room = limit - grid.site_kw[cars.site[i], step + k]
            cap[k] = min(cap[k], max(room, 0.0))


@lean
def put(i: int, step: int, kw: float, cars: Cars, grid: Grid, state: State) -> None:
    """Replace the planned power of a step, also where later plans see it."""
    change = kw - state.kw[i, step]
    state.kw[i, step] = kw
    if cars.known[i]:
        grid.load_kw[step // grid.per_hour] += change / grid.per_hour
    if grid.site_kw.shape[1] > 0:
        grid.site_kw[cars.site[i], step] += change


@lean
def withdraw(i: int, step: int, cars: Cars, grid: Grid, state: State) -> None:
    """Take back what is planned from a step on."""
    for k in range(step, past(state.until_h[i], grid)):
        put(i, k, 0.0, cars, grid, state)
