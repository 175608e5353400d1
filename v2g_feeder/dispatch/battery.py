"""Charging power near a full battery, made flat.

A charger runs at its rating up to ``taper_soc``; from there its power falls linearly to
``taper_floor`` times the rating at SOC 1. :func:`flat` maps stored energy to a coordinate in which
charging at full power advances at the rating everywhere, so that "how long does it take" and "how
much fits into this step" are subtractions, exact at any step length. Without taper it is the
stored energy itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from v2g_feeder.compiled import lean

if TYPE_CHECKING:
    from v2g_feeder.dispatch.arrays import Cars

__all__ = ["flat", "flat_of", "power_share", "share_of", "unflat", "unflat_of"]


@lean
def flat(soe_kwh: float, battery_kwh: float, taper_soc: float, taper_floor: float) -> float:
    """Return the stored energy in the flat coordinate, kWh.

    With ``s`` the SOC, ``s0`` = ``taper_soc`` and ``f`` = ``taper_floor``, ``ds/dt`` is in
    proportion to ``1 - (1 - f) (s - s0) / (1 - s0)`` above ``s0``; its time integral is the
    logarithm below.
    """
    over = soe_kwh / battery_kwh - taper_soc
    if over <= 0.0 or taper_soc >= 1.0 or taper_floor >= 1.0:
        return soe_kwh
    span = (1.0 - taper_soc) / (1.0 - taper_floor)
    return battery_kwh * (taper_soc - span * math.log1p(-over / span))


@lean
def unflat(flat_kwh: float, battery_kwh: float, taper_soc: float, taper_floor: float) -> float:
    """Return the stored energy at a point of the flat coordinate, kWh; inverse of :func:`flat`."""
    over = flat_kwh / battery_kwh - taper_soc
    if over <= 0.0 or taper_soc >= 1.0 or taper_floor >= 1.0:
        return flat_kwh
    span = (1.0 - taper_soc) / (1.0 - taper_floor)
    return battery_kwh * (taper_soc - span * math.expm1(-over / span))


@lean
def power_share(soe_kwh: float, battery_kwh: float, taper_soc: float, taper_floor: float) -> float:
    """Return the highest charging power at a stored energy, as a share of the rating."""
    over = soe_kwh / battery_kwh - taper_soc
    if over <= 0.0 or taper_soc >= 1.0:
        return 1.0
    return 1.0 - (1.0 - taper_floor) * over / (1.0 - taper_soc)


@lean
def flat_of(i: int, soe_kwh: float, cars: Cars) -> float:
    """Return :func:`flat` of a vehicle."""
    return flat(soe_kwh, cars.battery_kwh[i], cars.taper_soc[i], cars.taper_floor[i])


@lean
def unflat_of(i: int, flat_kwh: float, cars: Cars) -> float:
    """Return :func:`unflat` of a vehicle."""
    return unflat(flat_kwh, cars.battery_kwh[i], cars.taper_soc[i], cars.taper_floor[i])


@lean
def share_of(i: int, soe_kwh: float, cars: Cars) -> float:
    """Return :func:`power_share` of a vehicle."""
    return power_share(soe_kwh, cars.battery_kwh[i], cars.taper_soc[i], cars.taper_floor[i])
