"""Fleets as a user states them, and the vehicles drawn from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.errors import InputError, Problem
from v2g_feeder.fleet.archetypes import Archetype, load_archetype

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FleetSettings", "Site", "Vehicles", "draw_vehicles", "first_vehicles"]


_SHARES: Final = (
    *("export_capable", "permitted", "compatible", "accepted", "smart_only", "enrolled"),
    *("reserve_soc", "departure_soc"),
)


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
    compatible
        Share (0 to 1) of the vehicles that could export with the right charger, at least
        ``export_capable``; ``None`` for the same. It fills a line of the funnel.
    accepted
        Share (0 to 1) of the bidirectional vehicles whose warranty allows discharging and whose
        owner is paid for it.
    smart_only
        Share (0 to 1) of the vehicles that follow the tariff by a timer of their own while they
        are not enrolled.
    charger_kw
        Rating at the grid side, both ways, kW; ``None`` takes the archetype's.
    battery_kwh
        Usable battery of every vehicle, kWh; ``None`` draws from the archetype's range.
    reserve_soc
        Export never discharges below this SOC (0 to 1); ``None`` takes the archetype's.
    departure_soc
        Target at departure (0 to 1), also the charge limit; ``None`` takes the archetype's.
    efficiency_charge, efficiency_discharge
        From meter to battery and from battery to meter, above 0 to 1; ``None`` takes the
        archetype's.
    ports
        Chargers of a depot that the vehicles share; ``None`` takes the archetype's.
    enrolled
        Share (0 to 1) of this fleet that is contracted, in every participation case; ``None``
        takes the case's. A depot's operator signs for all of it.
    plug_in_delay_h
        Hours by which drivers plug in after they have come, 0 or more.
    site_import_kw, site_export_kw
        Limits of the fleet's site at the grid side, kW, magnitudes; ``None`` for no limit.
    """

    name: str
    vehicles: int
    export_capable: float
    archetype: str = "residential"
    permitted: float = 1.0
    compatible: float | None = None
    accepted: float = 1.0
    smart_only: float = 0.0
    charger_kw: float | None = None
    battery_kwh: float | None = None
    reserve_soc: float | None = None
    departure_soc: float | None = None
    efficiency_charge: float | None = None
    efficiency_discharge: float | None = None
    ports: int | None = None
    enrolled: float | None = None
    plug_in_delay_h: float = 0.0
    site_import_kw: float | None = None
    site_export_kw: float | None = None

    def validate(self, where: str) -> list[Problem]:  # noqa: C901  # one check a key
        """Return every problem of this fleet; ``where`` is the dotted key of the fleet."""
        problems = []
        if isinstance(self.vehicles, bool) or not isinstance(self.vehicles, int):
            problems.append(
                Problem(f"{where}.vehicles", f"{self.vehicles!r} is not a whole number")
            )
        elif self.vehicles < 0:
            problems.append(Problem(f"{where}.vehicles", f"{self.vehicles} is negative"))
        for key in _SHARES:
            problems += _share_problems(f"{where}.{key}", getattr(self, key))
        for key in ("efficiency_charge", "efficiency_discharge"):
            problems += _share_problems(f"{where}.{key}", getattr(self, key))
            if getattr(self, key) == 0:
                problems.append(Problem(f"{where}.{key}", "0 would lose all energy"))
        for key in ("charger_kw", "battery_kwh", "site_import_kw"):
            problems += _positive_problems(f"{where}.{key}", getattr(self, key))
        if self.site_export_kw is not None and not (
            _is_number(self.site_export_kw) and self.site_export_kw >= 0
        ):
            problems.append(
                Problem(f"{where}.site_export_kw", f"{self.site_export_kw!r} is not 0 or more")
            )
        if not (_is_number(self.plug_in_delay_h) and self.plug_in_delay_h >= 0):
            problems.append(
                Problem(f"{where}.plug_in_delay_h", f"{self.plug_in_delay_h!r} is not 0 or more")
            )
        if self.ports is not None and (
            isinstance(self.ports, bool) or not isinstance(self.ports, int) or self.ports < 1
        ):
            problems.append(Problem(f"{where}.ports", f"{self.ports!r} is not 1 or more"))
        if not problems and self.compatible is not None and self.compatible < self.export_capable:
            message = f"{self.compatible:g} is below export_capable {self.export_capable:g}"
            problems.append(Problem(f"{where}.compatible", message))
        try:
            load_archetype(self.archetype)
        except InputError as error:
            problems += [
                Problem(f"{where}.{problem.where}", problem.message, problem.hint)
                for problem in error.problems
            ]
        else:
            if not problems:
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
class Site:
    """What the vehicles of a fleet share at their site.

    Parameters
    ----------
    ports
        Chargers; ``None`` for one a vehicle.
    import_kw, export_kw
        Limits at the grid side, kW, magnitudes; infinite for none.
    """

    ports: int | None = None
    import_kw: float = math.inf
    export_kw: float = math.inf


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
    taper_soc, taper_floor
        Charging power falls linearly from the rating at ``taper_soc`` to ``taper_floor`` times the
        rating at SOC 1.
    habit_rank
        Uniform 0 to 1; place in the archetype's distribution of rates of plugging in.
    enrol_rank
        Uniform 0 to 1; enrolled in a case if below its enrolled share, so cases are nested. Below
        0 and above 1 in a fleet that states its own share.
    compatible, bidirectional
        Whether the vehicle could export; whether vehicle and charger can.
    permitted, accepted
        Whether the site of a bidirectional vehicle may export; whether warranty and owner agree.
    smart_only
        Whether it follows the tariff by itself while it is not enrolled.
    sites
        One a fleet.
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
    taper_soc: np.ndarray
    taper_floor: np.ndarray
    habit_rank: np.ndarray
    enrol_rank: np.ndarray
    compatible: np.ndarray
    bidirectional: np.ndarray
    permitted: np.ndarray
    accepted: np.ndarray
    smart_only: np.ndarray
    sites: tuple[Site, ...] = (Site(),)

    def __post_init__(self) -> None:
        if len({np.shape(getattr(self, name)) for name in _columns()}) > 1:
            raise InputError(Problem("vehicles", "arrays differ in length"))
        if self.fleet.max(initial=-1) >= len(self.sites):
            raise InputError(Problem("vehicles", "a fleet has no site"))

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
        **{name: np.concatenate([column[name] for column in columns]) for name in _columns()},
        sites=tuple(_site(fleet) for fleet in settings) or (Site(),),
    )


def first_vehicles(
    vehicles: Vehicles, counts: Sequence[int], fleets: Sequence[FleetSettings]
) -> tuple[Vehicles, np.ndarray]:
    """Return the first vehicles of each fleet, as a smaller fleet of the same kind.

    Parameters
    ----------
    vehicles
        As drawn from ``fleets``.
    counts
        How many of each fleet are kept.
    fleets
        Settings; what vehicles of a site share (ports) is that of a fleet of ``counts``.

    Returns
    -------
    Vehicles
        Fleets in their order; of a smaller count always a subset.
    numpy.ndarray
        Positions in ``vehicles``, ``[kept vehicle]``.
    """
    kept = np.concatenate(
        [np.flatnonzero(vehicles.fleet == number)[:count] for number, count in enumerate(counts)]
    )
    sites = tuple(
        _site(replace(fleet, vehicles=count)) for fleet, count in zip(fleets, counts, strict=True)
    )
    arrays = {name: getattr(vehicles, name)[kept] for name in _columns()}
    return Vehicles(**arrays, sites=sites), kept


def _columns() -> list[str]:
    """Return the names of the arrays of :class:`Vehicles`."""
    return [item.name for item in fields(Vehicles) if item.name != "sites"]


def _site(fleet: FleetSettings) -> Site:
    """Return the site of a fleet."""
    share = load_archetype(fleet.archetype).ports_per_vehicle
    ports = fleet.ports
    if ports is None and share < 1:
        ports = math.ceil(share * fleet.vehicles)
    return Site(
        ports=ports,
        import_kw=_or(fleet.site_import_kw, math.inf),
        export_kw=_or(fleet.site_export_kw, math.inf),
    )


def _draw_fleet(
    number: int, fleet: FleetSettings, archetype: Archetype, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draw one fleet, by column of :class:`Vehicles`."""
    count = fleet.vehicles
    uniform = rng.random((8, count))
    bidirectional = _lowest(uniform[0], fleet.export_capable)
    permitted = bidirectional & (uniform[1] < fleet.permitted)
    span = archetype.battery_kwh_high - archetype.battery_kwh_low
    drawn_kwh = archetype.battery_kwh_low + span * uniform[2]
    mile_span = archetype.kwh_per_mile_high - archetype.kwh_per_mile_low
    rated = _or(fleet.charger_kw, archetype.charger_kw)
    battery = np.full(count, fleet.battery_kwh) if fleet.battery_kwh else drawn_kwh
    return {
        "fleet": np.full(count, number),
        "battery_kwh": battery,
        "rated_kw": np.full(count, rated),
        "export_kw": rated * bidirectional,
        "eta_c": np.full(count, _or(fleet.efficiency_charge, archetype.efficiency_charge)),
        "eta_d": np.full(count, _or(fleet.efficiency_discharge, archetype.efficiency_discharge)),
        "reserve_soc": np.full(count, _or(fleet.reserve_soc, archetype.reserve_soc)),
        "departure_soc": np.full(count, _or(fleet.departure_soc, archetype.departure_soc)),
        "floor_soc": np.full(count, archetype.public_floor_soc),
        "kwh_per_mile": archetype.kwh_per_mile_low + mile_span * uniform[3],
        "taper_soc": np.full(count, archetype.taper_soc),
        "taper_floor": np.full(count, archetype.taper_floor),
        "habit_rank": uniform[5],
        "enrol_rank": _enrol_rank(uniform[4], fleet.enrolled),
        "compatible": _lowest(uniform[0], _or(fleet.compatible, fleet.export_capable)),
        "bidirectional": bidirectional,
        "permitted": permitted,
        "accepted": bidirectional & (uniform[6] < fleet.accepted),
        "smart_only": uniform[7] < fleet.smart_only,
    }


def _enrol_rank(uniform: np.ndarray, enrolled: float | None) -> np.ndarray:
    """Return the ranks that cases are compared with; beyond them all for a share of its own."""
    if enrolled is None:
        return uniform
    return np.where(_lowest(uniform, enrolled), -1.0, 2.0)


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
