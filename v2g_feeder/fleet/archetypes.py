"""Archetypes: the numbers that describe a kind of vehicle, its driving and its plugging in.

An archetype is a YAML file of figures, shipped in ``data/`` or a user's own (``fit`` writes one).
It has the figures of :class:`Archetype` at the top level and one of two sections: ``plugging:`` for
vehicles whose drivers decide when to plug in (:mod:`v2g_feeder.fleet.plugging`), ``duty:`` for
vehicles of a depot, that plug in whenever they are back (:mod:`v2g_feeder.fleet.duty`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.fleet.duty import Duty, read_duty
from v2g_feeder.fleet.figures import Figure, FigureReader, parse_figures
from v2g_feeder.fleet.plugging import Plugging, read_plugging

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Archetype", "AtHome", "archetype_from_figures", "archetype_names", "load_archetype"]

_NOT_ARCHETYPES: Final = ("participation",)
_SECTIONS: Final = ("plugging", "duty", "at_home")


@dataclass(frozen=True)
class AtHome:
    """When a vehicle that is not plugged in is away (section ``at_home:``, optional).

    Parameters
    ----------
    driven_days
        Share (0 to 1) of the days without unplugging on which the vehicle is driven.
    leave_mean_h, leave_sd_h
        First departure of a driven day, normal, hour of day.
    reach_mean_h, reach_sd_h
        Last return of a driven day, normal, hour of day.
    night_away
        Share (0 to 1) of driven days without plug-in that end away from the site.
    """

    driven_days: float
    leave_mean_h: float
    leave_sd_h: float
    reach_mean_h: float
    reach_sd_h: float
    night_away: float


@dataclass(frozen=True)
class Archetype:
    """A kind of vehicle; units in the names, SOC and shares 0 to 1.

    The meaning and the source of each number stand in its file and in ``figures``.

    Parameters
    ----------
    battery_kwh_low, battery_kwh_high, kwh_per_mile_low, kwh_per_mile_high
        Ranges, uniform over vehicles; kWh, and kWh a mile from the battery in mild weather.
    cold_factor, cold_months
        Factor on the energy per mile in these months (1 to 12).
    charger_kw
        Rating at the grid side, kW.
    efficiency_charge, efficiency_discharge
        From meter to battery and from battery to meter.
    taper_soc, taper_floor
        Charging power falls linearly from the rating at ``taper_soc`` to ``taper_floor`` times the
        rating at SOC 1; ``taper_soc`` 1 for no taper.
    reserve_soc, departure_soc, public_floor_soc
        Export limit, departure target, and the SOC under which the driver tops up in public.
    ports_per_vehicle
        Chargers of the site per vehicle.
    quantile_levels
        Levels of every quantile table, 0 to 1.
    stated_error_h
        Quantiles of the departure stated at plug-in minus the one that happens, hours, over
        sessions; empty where departures are known.
    rank_error_stay
        Spearman of that error with the stay.
    plugging, duty
        One of them, the other ``None``.
    at_home
        ``None``: a vehicle that is not plugged in is away.
    """

    name: str
    battery_kwh_low: float
    battery_kwh_high: float
    kwh_per_mile_low: float
    kwh_per_mile_high: float
    cold_factor: float
    cold_months: tuple[float, ...]
    charger_kw: float
    efficiency_charge: float
    efficiency_discharge: float
    taper_soc: float
    taper_floor: float
    reserve_soc: float
    departure_soc: float
    public_floor_soc: float
    ports_per_vehicle: float
    quantile_levels: tuple[float, ...]
    stated_error_h: tuple[float, ...]
    rank_error_stay: float
    plugging: Plugging | None
    duty: Duty | None
    at_home: AtHome | None
    figures: tuple[Figure, ...]

    def season_factor(self, months: tuple[int, ...]) -> float:
        """Return the factor on energy per mile over ``months`` (1 to 12): 1 or more."""
        cold = sum(month in self.cold_months for month in months) / max(len(months), 1)
        return 1.0 + cold * (self.cold_factor - 1.0)


def archetype_names() -> tuple[str, ...]:
    """Return the names of the archetypes in the package, sorted."""
    folder = resources.files("v2g_feeder.fleet").joinpath("data")
    names = (item.name.removesuffix(".yaml") for item in folder.iterdir())
    return tuple(sorted(name for name in names if name not in _NOT_ARCHETYPES))


def load_archetype(archetype: str | Path) -> Archetype:
    """Load an archetype of the package, or of a file.

    Parameters
    ----------
    archetype
        A name such as ``residential``, or the path of a YAML file (it ends in ``.yaml`` or
        ``.yml``, or is a ``Path``).

    Raises
    ------
    InputError
        For an unknown name, with the nearest valid one; for a file, with everything that is wrong
        in it.
    """
    if isinstance(archetype, Path) or archetype.endswith((".yaml", ".yml")):
        path = Path(archetype)
        if not path.is_file():
            raise InputError(Problem("archetype", f"no file {str(archetype)!r}"))
        stamp = path.stat()
        return _load_path(path.resolve(), stamp.st_mtime_ns, stamp.st_size)
    if archetype not in archetype_names():
        hint = nearest(archetype, archetype_names()) or f"one of {', '.join(archetype_names())}"
        hint += "; or the path of a .yaml file"
        raise InputError(Problem("archetype", f"unknown archetype {archetype!r}", hint))
    return _load_name(archetype)


@lru_cache
def _load_name(name: str) -> Archetype:
    folder = resources.files("v2g_feeder.fleet").joinpath("data")
    text = folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return archetype_from_figures(name, parse_figures(text, f"{name}.yaml"), f"{name}.yaml")


@lru_cache
def _load_path(path: Path, _changed: int, _size: int) -> Archetype:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Problem(path.name, f"cannot be read: {error}")) from error
    return archetype_from_figures(path.stem, parse_figures(text, path.name), path.name)


def archetype_from_figures(name: str, figures: Mapping[str, Figure], where: str) -> Archetype:
    """Build an archetype of its figures.

    Parameters
    ----------
    name
        Name in tables and reports.
    figures
        By dotted key, such as ``plugging.weekday.arrival_h``.
    where
        File name for the messages.

    Raises
    ------
    InputError
        With every missing or unknown key and every value that cannot be.
    """
    sections: dict[str, dict[str, Figure]] = {section: {} for section in ("", *_SECTIONS)}
    for key, figure in figures.items():
        section, _, rest = key.partition(".")
        if section in _SECTIONS and rest:
            sections[section][rest] = figure
        else:
            sections[""][key] = figure
    top = FigureReader(sections[""], where)
    plain = _read_top(top)
    if bool(sections["plugging"]) == bool(sections["duty"]):
        top.problems.append(Problem(where, "needs one of the sections plugging and duty"))
    levels = len(plain["quantile_levels"])
    plugging = duty = at_home = None
    problems: list[Problem] = []
    if sections["plugging"]:
        reader = FigureReader(sections["plugging"], f"{where}: plugging")
        plugging = read_plugging(reader, levels)
        problems += _found(reader)
    if sections["duty"]:
        try:
            duty = read_duty(sections["duty"], plain["quantile_levels"])
        except InputError as error:
            problems += [
                Problem(f"{where}: {item.where}", item.message, item.hint)
                for item in error.problems
            ]
    if sections["at_home"]:
        reader = FigureReader(sections["at_home"], f"{where}: at_home")
        at_home = _read_at_home(reader)
        problems += _found(reader)
    problems = [*_found(top), *problems]
    if problems:
        raise InputError(problems)
    return Archetype(
        name=name,
        **plain,
        plugging=plugging,
        duty=duty,
        at_home=at_home,
        figures=tuple(figures.values()),
    )


def _found(reader: FigureReader) -> list[Problem]:
    """Return everything that is wrong with what ``reader`` read."""
    try:
        reader.finish()
    except InputError as error:
        return list(error.problems)
    return []


def _read_top(reader: FigureReader) -> dict[str, Any]:
    """Read the figures that all archetypes have; problems stay in ``reader``."""
    number, row = reader.number, reader.row
    levels = row("quantile_levels", None, 0, 1, rising=True)
    if len(levels) < 2 or levels[0] != 0 or levels[-1] != 1:
        reader.problems.append(
            Problem(f"{reader.where}: quantile_levels", "must run from 0 to 1", "first 0, last 1")
        )
    plain: dict[str, Any] = {
        "battery_kwh_low": number("battery_kwh_low", 1, 2000),
        "battery_kwh_high": number("battery_kwh_high", 1, 2000),
        "kwh_per_mile_low": number("kwh_per_mile_low", 0.01, 20),
        "kwh_per_mile_high": number("kwh_per_mile_high", 0.01, 20),
        "cold_factor": number("cold_factor", 1, 10),
        "cold_months": row("cold_months", None, 1, 12),
        "charger_kw": number("charger_kw", 0.1, 2000),
        "efficiency_charge": number("efficiency_charge", 0.1, 1),
        "efficiency_discharge": number("efficiency_discharge", 0.1, 1),
        "taper_soc": number("taper_soc", 0, 1),
        "taper_floor": number("taper_floor", 0.001, 1),
        "reserve_soc": number("reserve_soc", 0, 1),
        "departure_soc": number("departure_soc", 0, 1),
        "public_floor_soc": number("public_floor_soc", 0, 1),
        "ports_per_vehicle": number("ports_per_vehicle", 0.01, 1),
        "quantile_levels": levels,
        "stated_error_h": row("stated_error_h", None, rising=True),
        "rank_error_stay": number("rank_error_stay", -1, 1),
    }
    if len(plain["stated_error_h"]) not in (0, len(levels)):
        message = f"expected {len(levels)} values or none, found {len(plain['stated_error_h'])}"
        reader.problems.append(Problem(f"{reader.where}: stated_error_h", message))
    for first, second in (
        ("battery_kwh_low", "battery_kwh_high"),
        ("kwh_per_mile_low", "kwh_per_mile_high"),
        ("reserve_soc", "departure_soc"),
        ("public_floor_soc", "departure_soc"),
    ):
        if first in reader and second in reader and plain[first] > plain[second]:
            message = f"{plain[first]:g} is above {second} {plain[second]:g}"
            reader.problems.append(Problem(f"{reader.where}: {first}", message))
    return plain


def _read_at_home(reader: FigureReader) -> AtHome:
    """Read the section ``at_home:``; problems stay in ``reader``."""
    return AtHome(
        driven_days=reader.number("driven_days", 0, 1),
        leave_mean_h=reader.number("leave_mean_h", 0, 24),
        leave_sd_h=reader.number("leave_sd_h", 0, 24),
        reach_mean_h=reader.number("reach_mean_h", 0, 28),
        reach_sd_h=reader.number("reach_sd_h", 0, 24),
        night_away=reader.number("night_away", 0, 1),
    )
