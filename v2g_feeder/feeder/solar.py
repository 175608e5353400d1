"""Generation of photovoltaic arrays on the step axis, by pvlib, from a clear sky.

Sun and clear sky are those of the 21st of each day's month. A clear sky is the most that an array
gives; ``clear_share`` takes off what clouds do on the day that is meant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import yaml

from v2g_feeder.errors import Problem

if TYPE_CHECKING:
    from v2g_feeder.calendar import Calendar

__all__ = ["SolarArray", "solar_figures", "solar_shape"]

_DAY_OF_MONTH: Final = 21
_YEAR: Final = 2023  # any common year: the sun differs by minutes from year to year
_MINUTES: Final = 5


@lru_cache(maxsize=1)
def solar_figures() -> dict[str, dict[str, Any]]:
    """Return the default figures with unit, mark and source, from ``data/solar.yaml``."""
    text = files("v2g_feeder.feeder").joinpath("data/solar.yaml").read_text(encoding="utf-8")
    figures: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return figures


def _default(name: str) -> float:
    return float(solar_figures()[name]["value"])


@dataclass(frozen=True)
class SolarArray:
    """An array and its inverter.

    Parameters
    ----------
    kw
        Rating of the inverter at the grid side, kW.
    latitude, longitude
        Degrees, north and east above 0.
    tilt, azimuth
        Degrees from horizontal, and from north by way of east (180 faces south); defaults as of
        :func:`solar_figures`.
    clear_share
        Generation over that of a clear sky, 0 to 1.
    utc_offset_h
        Local standard time less UTC, h; ``None`` for the nearest hour of the longitude.
    """

    kw: float
    latitude: float
    longitude: float
    tilt: float = field(default_factory=partial(_default, "tilt"))
    azimuth: float = field(default_factory=partial(_default, "azimuth"))
    clear_share: float = 1.0
    utc_offset_h: float | None = None

    def validate(self, where: str) -> list[Problem]:
        """Return every problem of this array."""
        bounds = {
            "kw": (1e-3, np.inf), "latitude": (-90, 90), "longitude": (-180, 180),
            "tilt": (0, 90), "azimuth": (0, 360), "clear_share": (0, 1),
        }  # fmt: skip
        return [
            Problem(f"{where}.{name}", f"{getattr(self, name):g} is not {low:g} to {high:g}")
            for name, (low, high) in bounds.items()
            if not low <= getattr(self, name) <= high
        ]


def solar_shape(array: SolarArray, calendar: Calendar) -> np.ndarray:
    """Return the generation of an array in per unit of its rating, ``[step]``, 0 to 1.

    Parameters
    ----------
    array
        The array.
    calendar
        Step axis, local standard time; each day takes the sun of the 21st of its month.

    Notes
    -----
    Ineichen's clear sky with the climatological turbidity of the place, Hay and Davies's sky on
    the tilted plane, cell temperature by Faiman, direct current and inverter as in PVWatts; means
    over each step of values five minutes apart.

    References
    ----------
    Anderson, K. et al., "pvlib python: 2023 project update", J. Open Source Software 8(92), 5994.
    Dobos, A., "PVWatts Version 5 Manual", NREL/TP-6A20-62641 (2014).
    """
    by_month: dict[int, np.ndarray] = {}
    for day in calendar.days:
        if day.month not in by_month:
            fine = _clear_day(array, day.month)
            by_month[day.month] = fine.reshape(calendar.steps_per_day, -1).mean(axis=1)
    shape = np.concatenate([by_month[day.month] for day in calendar.days])
    return np.asarray(shape * array.clear_share)


def _clear_day(array: SolarArray, month: int) -> np.ndarray:
    """Return the generation of a clear day in per unit of the rating, every five minutes."""
    import pvlib  # noqa: PLC0415  # takes a second to load, and few studies have generation

    offset = array.utc_offset_h
    offset_h = round(array.longitude / 15) if offset is None else offset
    begin = pd.Timestamp(_YEAR, month, _DAY_OF_MONTH, tz="UTC")
    local = pd.date_range(begin, periods=24 * 60 // _MINUTES, freq=f"{_MINUTES}min")
    times = local + pd.Timedelta(minutes=_MINUTES / 2) - pd.Timedelta(hours=offset_h)
    place = pvlib.location.Location(array.latitude, array.longitude)
    sun, sky = place.get_solarposition(times), place.get_clearsky(times)
    plane = pvlib.irradiance.get_total_irradiance(
        array.tilt,
        array.azimuth,
        sun["apparent_zenith"],
        sun["azimuth"],
        sky["dni"],
        sky["ghi"],
        sky["dhi"],
        dni_extra=pvlib.irradiance.get_extra_radiation(times),
        model="haydavies",
        albedo=_default("albedo"),
    )["poa_global"].fillna(0.0)
    cell = pvlib.temperature.faiman(plane, _default("air_c"), _default("wind_m_s"))
    rated_dc = _default("dc_ac_ratio")
    dc = pvlib.pvsystem.pvwatts_dc(plane, cell, rated_dc, _default("gamma_per_c"))
    dc = dc * (1 - _default("losses"))
    efficiency = _default("inverter")
    ac = pvlib.inverter.pvwatts(dc, 1.0 / efficiency, efficiency)
    return np.asarray(np.clip(np.nan_to_num(ac), 0.0, 1.0), dtype=float)
