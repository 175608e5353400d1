"""Archetypes: the numbers that describe a kind of vehicle, its driving and its plugging in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Final

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.fleet.figures import Figure, read_figures

__all__ = ["Archetype", "SessionTable", "archetype_names", "load_archetype"]

_NOT_ARCHETYPES: Final = ("participation",)


@dataclass(frozen=True)
class SessionTable:
    """When home sessions begin and how long they last, on one kind of day.

    Parameters
    ----------
    arrival_h
        Quantiles of the plug-in hour, 4 to 28 (28 is 04:00 the next morning), one a level.
    stay_edges_h
        Edges of the arrival windows, hours; one more than the rows of ``stay_h``.
    stay_h
        Quantiles of the stay in hours, a row an arrival window, one value a level.
    rank_energy_arrival, rank_energy_stay
        Spearman rank correlations of the session's energy with arrival and with stay. That of
        arrival with stay follows from ``stay_h``.
    """

    arrival_h: tuple[float, ...]
    stay_edges_h: tuple[float, ...]
    stay_h: tuple[tuple[float, ...], ...]
    rank_energy_arrival: float
    rank_energy_stay: float


@dataclass(frozen=True)
class Archetype:
    """A kind of vehicle; units in the names, SOC and shares 0 to 1.

    The meaning and the source of each number stand in ``data/<name>.yaml`` and in ``figures``.
    """

    name: str
    battery_kwh_low: float
    battery_kwh_high: float
    kwh_per_mile_low: float
    kwh_per_mile_high: float
    cold_factor: float
    cold_months: tuple[float, ...]
    charger_kw: float
    efficiency_one_way: float
    reserve_soc: float
    departure_soc: float
    public_floor_soc: float
    ln_miles_mean: float
    ln_miles_sd: float
    driven_other_days: float
    leave_home_mean_h: float
    leave_home_sd_h: float
    reach_home_mean_h: float
    reach_home_sd_h: float
    night_away: float
    habit_alpha: float
    habit_beta: float
    need_slope: float
    need_middle_soc: float
    ln_session_miles_mean: float
    ln_session_miles_sd: float
    quantile_levels: tuple[float, ...]
    weekday: SessionTable
    weekend: SessionTable
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


@lru_cache
def load_archetype(name: str) -> Archetype:
    """Load an archetype of the package.

    Parameters
    ----------
    name
        Such as ``residential``.

    Raises
    ------
    InputError
        For an unknown name, with the nearest valid one.
    """
    if name not in archetype_names():
        hint = nearest(name, archetype_names()) or f"one of {', '.join(archetype_names())}"
        raise InputError(Problem("archetype", f"unknown archetype {name!r}", hint))
    figures = read_figures(f"{name}.yaml")
    tables: dict[str, dict[str, Any]] = {"weekday": {}, "weekend": {}}
    plain: dict[str, Any] = {}
    for key, figure in figures.items():
        day, _, column = key.rpartition(".")
        (tables[day] if day else plain)[column] = figure.value
    return Archetype(
        name=name,
        **plain,
        weekday=SessionTable(**tables["weekday"]),
        weekend=SessionTable(**tables["weekend"]),
        figures=tuple(figures.values()),
    )
