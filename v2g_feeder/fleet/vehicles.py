"""Fleets as a user states them, and the vehicles drawn from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.fleet.archetypes import Archetype, archetype_names, load_archetype

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FleetSettings", "Vehicles", "draw_vehicles"]


@dataclass(frozen=True)
class FleetSettings:
    """A fleet of one archetype.

    Parameters
    ----------
    name
        Name in tables and figures.
    vehicles
        Number of vehicles, 0 or more.
    export_capable
        Share (0 to 1) of the vehicles with a bidirectional vehicle *and* charger. There is no
        default: under 1.5 % of EV models could export in 2026 (IEA Global EV Outlook 2026).
    archetype
        Such as ``residential``.
    permitted
        Share (0 to 1) of the bidirectional vehicles whose site may export.
    charger_kw
        Rating at the grid side, both ways, kW; ``None`` takes the archetype's.
    battery_kwh
        Usable battery of every vehicle, kWh; ``None`` draws from the archetype's range.
    reserve_soc
        Export never discharges below this SOC (0 to 1); ``None`` takes the archetype's.
    departure_soc
        Target at departure (0 to 1), also the charge limit; ``None`` takes the archetype's.
    efficiency_one_way
        Between meter and battery, each way, above 0 to 1; ``None`` takes the archetype's.
    """

    name: str
    vehicles: int
    export_capable: float
    archetype: str = "residential"
    permitted: float = 1.0
    charger_kw: float | None = None
    battery_kwh: float | None = None
    reserve_soc: float | None = None
    departure_soc: float | None = None
    efficiency_one_way: float | None = None

    def validate(self, where: str) -> list[Problem]:
        """Return every problem of this fleet; ``where`` is the dotted key of the fleet."""
        problems = []
        if isinstance(self.vehicles, bool) or not isinstance(self.vehicles, int):
            problems.append(
                Problem(f"{where}.vehicles", f"{self.vehicles!r} is not a whole number")
            )
        elif self.vehicles < 0:
            problems.append(Problem(f"{where}.vehicles", f"{self.vehicles} is negative"))
        for key in ("export_capable", "permitted", "reserve_soc", "departure_soc"):
            problems += _share_problems(f"{where}.{key}", getattr(self, key))
        problems += _share_problems(f"{where}.efficiency_one_way", self.efficiency_one_way)
        if self.efficiency_one_way == 0:
            problems.append(Problem(f"{where}.efficiency_one_way", "0 would lose all energy"))
        for key in ("charger_kw", "battery_kwh"):
            problems += _positive_problems(f"{where}.{key}", getattr(self, key))
        if self.archetype not in archetype_names():
            hint = nearest(str(self.archetype), archetype_names())
            message = f"unknown archetype {self.archetype!r}"
            problems.append(Problem(f"{where}.archetype", message, hint))
        elif not problems:
            problems += self._order_problems(where)
        return problems

    def _order_problems(self, where: str) -> list[Problem]:
        """Return a problem if the reserve lies above the departure target."""
        archetype = load_archetype(self.archetype)
        reserve = _or(self.reserve_soc, archetype.reserve_soc)
        target = _or(self.departure_soc, archetype.departure_soc)
        if reserve <= target:
            return []
        message = f"reserve {reserve:g} is above the departure target {target:g}"
        return [Problem(f"{where}.reserve_soc", message, "lower it, or raise departure_soc")]


@dataclass(frozen=True)
class Vehicles:
    """Vehicles of all fleets, one after the other; every array has shape ``[vehicle]``.

    Parameters
    ----------
    fleet
        Index of the vehicle's fleet.
    battery_kwh
        Usable battery, kWh.
    rated_kw
        Charger rating at the grid side, kW. Their sum over *all* vehicles, bidirectional or not,
        is the nameplate.
    export_kw
        Rated export at the grid side, kW, a magnitude; 0 where not bidirectional.
    eta_c, eta_d
        Efficiency from meter to battery when charging, from battery to meter when exporting.
    reserve_soc, departure_soc, floor_soc
        Export limit, departure target, and the SOC under which the driver tops up in public.
    kwh_per_mile
        Energy per mile from the battery in mild weather, kWh/mile.
    habit
        Daily probability (0 to 1) of plugging in without need.
    enrol_rank
        Uniform 0 to 1; enrolled in a case if below its enrolled share, so cases are nested.
    bidirectional, permitted
        Whether vehicle and charger can export; whether the site may.
    """

    fleet: np.ndarray
    battery_kwh: np.ndarray
    rated_kw: np.ndarray
    export_kw: np.ndarray
    eta_c: np.ndarray
    eta_d: np.ndarray
    reserve_soc: np.ndarray
    departure_soc: np.ndarray
    floor_soc: np.ndarray
    kwh_per_mile: np.ndarray
    habit: np.ndarray
    enrol_rank: np.ndarray
    bidirectional: np.ndarray
    permitted: np.ndarray

    def __post_init__(self) -> None:
        if len({np.shape(getattr(self, item.name)) for item in fields(self)}) > 1:
            raise InputError(Problem("vehicles", "arrays differ in length"))

    def __len__(self) -> int:
        """Return the number of vehicles."""
        return len(self.fleet)

    @property
    def nameplate_kw(self) -> float:
        """Sum of the ratings of all vehicles, kW."""
        return float(self.rated_kw.sum())


def draw_vehicles(settings: Sequence[FleetSettings], rng: np.random.Generator) -> Vehicles:
    """Draw the vehicles of all fleets.

    Parameters
    ----------
    settings
        One entry a fleet.
    rng
        Spawned once a fleet, so that a fleet's vehicles do not depend on the other fleets.

    Returns
    -------
    Vehicles
        Fleets in the order given. The number of bidirectional vehicles is
        ``export_capable x vehicles`` rounded to the nearest whole vehicle; which ones is drawn.

    Raises
    ------
    InputError
        With every problem of every fleet.
    """
    problems = [
        problem
        for number, fleet in enumerate(settings)
        for problem in fleet.validate(f"fleets[{number}]")
    ]
    if problems:
        raise InputError(problems)
    columns = [
        _draw_fleet(number, fleet, load_archetype(fleet.archetype), child)
        for number, (fleet, child) in enumerate(
            zip(settings, rng.spawn(len(settings)), strict=True)
        )
    ]
    if not columns:
        nothing = FleetSettings("none", 0, 0.0)
        columns = [_draw_fleet(0, nothing, load_archetype(nothing.archetype), rng)]
    return Vehicles(
        **{
            item.name: np.concatenate([column[item.name] for column in columns])
            for item in fields(Vehicles)
        }
    )


def _draw_fleet(
    number: int, fleet: FleetSettings, archetype: Archetype, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draw one fleet, by column of :class:`Vehicles`."""
    count = fleet.vehicles
    uniform = rng.random((5, count))
    bidirectional = _lowest(uniform[0], fleet.export_capable)
    permitted = bidirectional & (uniform[1] < fleet.permitted)
    span = archetype.battery_kwh_high - archetype.battery_kwh_low
    drawn_kwh = archetype.battery_kwh_low + span * uniform[2]
    mile_span = archetype.kwh_per_mile_high - archetype.kwh_per_mile_low
    rated = _or(fleet.charger_kw, archetype.charger_kw)
    efficiency = np.full(count, _or(fleet.efficiency_one_way, archetype.efficiency_one_way))
    battery = np.full(count, fleet.battery_kwh) if fleet.battery_kwh else drawn_kwh
    return {
        "fleet": np.full(count, number),
        "battery_kwh": battery,
        "rated_kw": np.full(count, rated),
        "export_kw": rated * bidirectional,
        "eta_c": efficiency,
        "eta_d": efficiency,
        "reserve_soc": np.full(count, _or(fleet.reserve_soc, archetype.reserve_soc)),
        "departure_soc": np.full(count, _or(fleet.departure_soc, archetype.departure_soc)),
        "floor_soc": np.full(count, archetype.public_floor_soc),
        "kwh_per_mile": archetype.kwh_per_mile_low + mile_span * uniform[3],
        "habit": rng.beta(archetype.habit_alpha, archetype.habit_beta, count),
        "enrol_rank": uniform[4],
        "bidirectional": bidirectional,
        "permitted": permitted,
    }


def _lowest(values: np.ndarray, share: float) -> np.ndarray:
    """Return a mask of the ``share`` of entries with the lowest values."""
    return np.asarray(np.argsort(np.argsort(values)) < round(share * len(values)))


def _or(value: float | None, default: float) -> float:
    """Return ``value``, or the default where none is given."""
    return default if value is None else value


def _is_number(value: object) -> bool:
    """Return whether ``value`` is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _share_problems(where: str, value: float | None) -> list[Problem]:
    """Return a problem if ``value`` is given and is not 0 to 1."""
    if value is None:
        return []
    if not _is_number(value):
        return [Problem(where, f"{value!r} is not a number")]
    if 0 <= value <= 1:
        return []
    hint = f"did you mean {value / 100:g}?" if 1 < value <= 100 else ""
    return [Problem(where, f"{value:g} is not 0 to 1", hint)]


def _positive_problems(where: str, value: float | None) -> list[Problem]:
    """Return a problem if ``value`` is given and is not above 0."""
    if value is None:
        return []
    if not _is_number(value):
        return [Problem(where, f"{value!r} is not a number")]
    return [] if value > 0 else [Problem(where, f"{value:g} is not above 0")]
