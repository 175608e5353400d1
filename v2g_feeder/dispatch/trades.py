"""Buying low and selling high with one battery, at the least cost.

The cheapest way to hold a certain energy at a certain time is a convex, piecewise linear function
of that energy. A step adds what can be sold and what can be bought in it, each a piece of one
slope, at its place in the order of slopes; reserve and limit cut the ends off. Going back from the
energy wanted at the end, the pieces used give the plan. It is the optimum of the linear programme.

References
----------
The method is a case of the min-plus (infimal) convolution of convex piecewise linear functions:
Rockafellar 1970, Convex Analysis, section 5 and theorem 16.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from v2g_feeder.compiled import compiled, lean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Battery", "trade"]


class Battery(NamedTuple):
    """Battery of a trade; energies in kWh."""

    start_kwh: float  # between reserve and limit
    end_kwh: float  # wanted at the end, between reserve and limit
    reserve_kwh: float
    limit_kwh: float
    eta_c: float
    eta_d: float
    wear: float  # cost per kWh exported, 0 or more


@compiled
def trade(
    charge_cap: Floats, export_cap: Floats, price: Floats, battery: Battery, out: Floats
) -> None:
    """Write the plan that costs least, kWh at the grid side by step, exports negative.

    No step both charges and exports. A step whose price does not pay for the wear exports nothing:
    losing energy for money, which a negative price invites, is no use of a battery.

    Parameters
    ----------
    charge_cap, export_cap
        Highest energy by step, kWh, at the grid side.
    price
        Price per kWh by step, for both directions.
    battery
        Where the end is out of reach, the plan comes as near as it can.
    out
        The plan.
    """
    steps = len(price)
    slope, length = np.empty(2 * steps), np.empty(2 * steps)
    count, left = 0, battery.start_kwh
    sale, sale_at, purchase, purchase_at = np.zeros((4, steps))
    edge = np.empty(steps)  # left end of the function before reserve and limit cut it
    for k in range(steps):
        if price[k] > battery.wear:
            sale[k] = export_cap[k] / battery.eta_d
            worth = (price[k] - battery.wear) * battery.eta_d
            at = np.searchsorted(slope[:count], worth, side="left")
            sale_at[k] = length[:at].sum()
            count = _insert(slope, length, count, at, worth, sale[k])
        left -= sale[k]
        edge[k] = left
        purchase[k] = charge_cap[k] * battery.eta_c
        cost = price[k] / battery.eta_c
        at = np.searchsorted(slope[:count], cost, side="right")
        purchase_at[k] = length[:at].sum()
        count = _insert(slope, length, count, at, cost, purchase[k])
        count = _cut_left(slope, length, count, battery.reserve_kwh - left)
        left = max(left, battery.reserve_kwh)
        count = _cut_right(length, count, left + length[:count].sum() - battery.limit_kwh)
    soe = min(max(battery.end_kwh, left), left + length[:count].sum())
    for k in range(steps - 1, -1, -1):
        within = soe - edge[k]
        sold = sale[k] - min(max(within - sale_at[k], 0.0), sale[k])
        bought = min(max(within - purchase_at[k], 0.0), purchase[k])
        out[k] = bought / battery.eta_c - sold * battery.eta_d
        soe += sold - bought


@lean
def _insert(slope: Floats, length: Floats, count: int, at: int, value: float, kwh: float) -> int:
    """Put a piece at its place; return the number of pieces."""
    if kwh <= 0.0:
        return count
    for k in range(count, at, -1):
        slope[k], length[k] = slope[k - 1], length[k - 1]
    slope[at], length[at] = value, kwh
    return count + 1


@lean
def _cut_left(slope: Floats, length: Floats, count: int, kwh: float) -> int:
    """Cut the first ``kwh`` off; return the number of pieces."""
    if kwh <= 0.0:
        return count
    gone = 0
    while gone < count and length[gone] <= kwh:
        kwh -= length[gone]
        gone += 1
    for k in range(gone, count):
        slope[k - gone], length[k - gone] = slope[k], length[k]
    if gone < count:
        length[0] -= kwh
    return count - gone


@lean
def _cut_right(length: Floats, count: int, kwh: float) -> int:
    """Cut the last ``kwh`` off; return the number of pieces."""
    while kwh > 0.0 and count > 0:
        piece = min(length[count - 1], kwh)
        length[count - 1] -= piece
        kwh -= piece
        count -= length[count - 1] <= 0.0
    return count
