"""What the compiled functions read and write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

__all__ = [
    "ARBITRAGE",
    "CHEAPEST",
    "EPS",
    "NOW",
    "VALLEY",
    "Calls",
    "Cars",
    "Grid",
    "State",
    "Stays",
]

NOW, VALLEY, CHEAPEST, ARBITRAGE = 0, 1, 2, 3  # rules of charging
EPS: Final = 1e-9  # hours and kWh


class Cars(NamedTuple):
    """Vehicles, ``[vehicle]``; energies in kWh."""

    rated_kw: Floats
    export_kw: Floats
    eta_c: Floats
    eta_d: Floats
    battery_kwh: Floats
    target_kwh: Floats
    target_flat_kwh: Floats  # in the flat coordinate
    reserve_kwh: Floats
    floor_kwh: Floats
    taper_soc: Floats
    taper_floor: Floats
    sure_kw: Floats  # charging that the site's import limit leaves to each of its vehicles
    site: Ints
    rule: Ints
    known: Bools  # whether plans see the vehicle's load
    precharges: Bools
    stagger_h: Floats


class Stays(NamedTuple):
    """Stays of a draw in order of their first step; the last four are written."""

    vehicle: Ints
    start_h: Floats
    departure_h: Floats
    stated_h: Floats
    driven_kwh: Floats
    fresh: Bools
    public_kwh: Floats
    swapped_kwh: Floats
    soe_arrival_kwh: Floats
    reachable: Bools


class Grid(NamedTuple):
    """What the plans see; it reaches beyond the period."""

    step_h: float
    per_hour: int  # steps
    steps: int  # of the period
    ahead: int  # steps with what lies beyond
    load_kw: Floats  # [hour] with what is planned: written
    price: Floats  # [step]
    prices: Floats  # its values in order
    wear: float  # cost per kWh exported
    site_kw: Floats  # [site, step] planned power of sites with a limit: written
    site_import_kw: Floats  # [site]
    site_export_kw: Floats  # [site]


class Calls(NamedTuple):
    """Events of a draw."""

    window: Ints  # first and past-the-last step, [event, 2], in order, disjoint
    request_kw: Floats  # [event, step of the event]; infinite: no common request
    takes_part: Bools  # [event, vehicle]
    replace_h: float  # until the power of a vehicle that left unannounced is made up
    immediate: bool  # charging after an event starts at once (with its stagger)
    premise_kw: Floats  # [vehicle, step]: export never exceeds it; empty: no such limit


class State(NamedTuple):
    """What a draw leaves behind, and where it stands; ``[vehicle]`` where nothing else is said."""

    kw: Floats  # [vehicle, step], zero where nothing is planned
    soe_kwh: Floats  # [vehicle, step + 1]
    plugged: Floats  # [vehicle, step]
    level: Floats  # stored energy at the beginning of step ``done``
    done: Ints
    since_h: Floats  # of the stay under way
    until_h: Floats
    stated_h: Floats
    cap: Floats  # [step] room for the plan at hand
    power: Floats  # [step]
