"""Plugging in: when a vehicle that is free plugs in, how long it stays and how much it needs.

The section ``plugging:`` of an archetype's file (each entry a figure; *Q* stands for one value a
``quantile_levels`` entry, the levels from 0 to 1)::

    weekday, weekend:                Monday to Friday, Saturday and Sunday, by calendar day (stays
                                     by the day on which they end: :func:`ends_as_weekend`)
      starts_per_free_h   [48]       plug-in starts per free hour of a vehicle with rate 1, by half
                                     hour from 00:00
      arrival_h           Q          plug-in hour, 4 to 28 (27.5 is 03:30 of the same calendar day)
      stay_edges_h        [n + 1]    edges of the arrival windows, hours 4 to 28, first 4, last 28
      stay_h              n rows Q   stay in hours; a row holds at its window's median arrival and
                                     is interpolated to the next window's where both are of one
                                     kind, as a later arrival takes hours off a night
      energy_kwh          Q          energy of a session, kWh at the grid side
    user_rate             Q          a vehicle's own rate, relative to starts_per_free_h
    gap_h                 Q          hours from unplugging to the next plug-in, over sessions
    rank_energy_gap                  Spearman of a session's energy with the gap before it
    rank_energy_arrival              ... with the plug-in hour (4 to 28)
    rank_energy_rate                 ... with the vehicle's own rate
    rank_gap_rate                    Spearman of the gap with the vehicle's own rate, over sessions
    rank_energy_stay                 ... of the energy with the stay's rank *in its arrival window*
    need_slope, need_middle_soc      need = 1 - 1 / (1 + exp(-slope (SOC - middle))), 0 to 1
    highest_kw                       greatest power of a session, its energy over its stay, kW at
                                     the grid side. Optional: no limit
    fresh                            1: each session is another car (records know the port only);
                                     a port has no need. Optional

Instead of ``energy_kwh``, ``gap_h``, ``highest_kw``, ``rank_energy_gap``, ``_arrival``, ``_rate``
and ``rank_gap_rate`` a file may have the section ``driving`` (:class:`Driving`): the energy is then
what was driven since the session before, so a vehicle that plugs in more often drives no more.

A vehicle is free when it has been unplugged for an hour (``MIN_GAP_H``): a record's rate counts all
starts, and as free only the time beyond that hour. A rate in bin *b* is ``starts_per_free_h[b] x
(r + need (r_max - r))`` with the vehicle's own *r* and the last value of ``user_rate`` as *r_max*.
After filling in the figures of records, pass the archetype through
:func:`v2g_feeder.fleet.calibrate.calibrated`: it moves those that act on each other until the
process yields the records' own (a vehicle in need plugs in more often than its own rate says).
Hours of the day from 0 to 4 count as 24 to 28 wherever 4 to 28 is written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from v2g_feeder.fleet.figures import FigureReader

__all__ = [
    "BINS_A_DAY",
    "BIN_H",
    "DAY_START_H",
    "MIN_GAP_H",
    "DayTable",
    "Driving",
    "Plugging",
    "ends_as_weekend",
    "read_plugging",
]

MIN_GAP_H: Final = 1.0  # no vehicle has two sessions in one step of an hour or less
BIN_H: Final = 0.5
DAY_START_H: Final = 4.0  # an arrival after midnight belongs to its evening
BINS_A_DAY: Final = 48
_NEXT_DAY_FROM_H: Final = 14.0


@dataclass(frozen=True)
class DayTable:
    """Plugging in on one kind of day; see the head of this module.

    Parameters
    ----------
    starts_per_free_h
        ``[48]``, plug-in starts per free vehicle-hour.
    arrival_h
        Quantiles of the plug-in hour, 4 to 28.
    stay_edges_h
        Edges of the arrival windows; one more than the rows of ``stay_h``.
    stay_h
        Quantiles of the stay, a row a window.
    energy_kwh
        Quantiles of the energy at the grid side; empty with ``driving``.
    """

    starts_per_free_h: tuple[float, ...]
    arrival_h: tuple[float, ...]
    stay_edges_h: tuple[float, ...]
    stay_h: tuple[tuple[float, ...], ...]
    energy_kwh: tuple[float, ...] = ()


@dataclass(frozen=True)
class Driving:
    """Driving from a travel survey, where the energy of the records is not to be used.

    Parameters
    ----------
    miles_per_driven_day
        Mean over driven days; lognormal.
    ln_miles_sd
        Standard deviation of the logarithm.
    driven_days
        Share (0 to 1) of all days on which the vehicle is driven.
    start_h, end_h
        A day's miles are driven evenly between these hours.
    session_miles
        Quantiles of the miles since the session before, over sessions, as the process yields them;
        places a session in its rank correlation with the stay.
    """

    miles_per_driven_day: float
    ln_miles_sd: float
    driven_days: float
    start_h: float
    end_h: float
    session_miles: tuple[float, ...]


@dataclass(frozen=True)
class Plugging:
    """How vehicles of an archetype plug in; see the head of this module for each key."""

    weekday: DayTable
    weekend: DayTable
    user_rate: tuple[float, ...]
    rank_energy_stay: float
    need_slope: float
    need_middle_soc: float
    fresh: bool = False
    gap_h: tuple[float, ...] = ()
    rank_energy_gap: float = 0.0
    rank_energy_arrival: float = 0.0
    rank_energy_rate: float = 0.0
    rank_gap_rate: float = 0.0
    highest_kw: float = math.inf
    driving: Driving | None = None

    @property
    def rates(self) -> np.ndarray:
        """Starts per free hour at rate 1, ``[2, 48]``: weekdays, weekend."""
        return np.array([self.weekday.starts_per_free_h, self.weekend.starts_per_free_h])


def ends_as_weekend(arrival_h: np.ndarray) -> np.ndarray:
    """Return whether a stay takes its row from ``weekend``: by the day on which it is to end.

    That is the day of arrival (from 04:00) before 14:00 and the next morning's after it: a car
    plugged in on Friday night leaves on a Saturday morning, one on Sunday night on a workday.

    Parameters
    ----------
    arrival_h
        Hours from a Monday's midnight; a number or an array (compiled too).
    """
    day = (arrival_h - DAY_START_H) // 24 % 7
    early = (arrival_h - DAY_START_H) % 24 < _NEXT_DAY_FROM_H - DAY_START_H
    return (early & (day >= 5)) | (~early & (day >= 4) & (day < 6))


def read_plugging(reader: FigureReader, levels: int) -> Plugging:
    """Read the section ``plugging:``; problems stay in ``reader``.

    Parameters
    ----------
    reader
        Figures of the section, keys relative to it.
    levels
        Number of quantile levels.
    """
    common: dict[str, Any] = {
        "user_rate": reader.row("user_rate", levels, 0, rising=True),
        "rank_energy_stay": reader.number("rank_energy_stay", -1, 1),
        "need_slope": reader.number("need_slope", 0, 100),
        "need_middle_soc": reader.number("need_middle_soc", 0, 1),
        "fresh": reader.number("fresh", 0, 1, default=0.0) > 0,
    }
    driven = "driving.miles_per_driven_day" in reader
    days: dict[str, Any] = {
        day: _read_day(reader, day, levels, driven=driven) for day in ("weekday", "weekend")
    }
    if driven:
        return Plugging(**days, **common, driving=_read_driving(reader, levels))
    return Plugging(
        **days,
        **common,
        gap_h=reader.row("gap_h", levels, 0, rising=True),
        rank_energy_gap=reader.number("rank_energy_gap", -1, 1),
        rank_energy_arrival=reader.number("rank_energy_arrival", -1, 1),
        rank_energy_rate=reader.number("rank_energy_rate", -1, 1),
        rank_gap_rate=reader.number("rank_gap_rate", -1, 1),
        highest_kw=reader.number("highest_kw", 0.1, default=math.inf),
    )


def _read_driving(reader: FigureReader, levels: int) -> Driving:
    """Read the section ``driving:``."""
    return Driving(
        miles_per_driven_day=reader.number("driving.miles_per_driven_day", 0.1, 1000),
        ln_miles_sd=reader.number("driving.ln_miles_sd", 0, 3),
        driven_days=reader.number("driving.driven_days", 0.01, 1),
        start_h=reader.number("driving.start_h", 0, 24),
        end_h=reader.number("driving.end_h", 0, 24),
        session_miles=reader.row("driving.session_miles", levels, 0, rising=True),
    )


def _read_day(reader: FigureReader, day: str, levels: int, *, driven: bool) -> DayTable:
    """Read the table of one kind of day."""
    edges = reader.row(f"{day}.stay_edges_h", None, 4, 28, rising=True)
    if len(edges) < 2:
        edges = (4.0, 28.0)
    table: dict[str, Any] = {
        "starts_per_free_h": reader.row(f"{day}.starts_per_free_h", BINS_A_DAY, 0),
        "arrival_h": reader.row(f"{day}.arrival_h", levels, 4, 28, rising=True),
        "stay_edges_h": edges,
        "stay_h": reader.rows(f"{day}.stay_h", len(edges) - 1, levels, 0),
    }
    if not driven:
        table["energy_kwh"] = reader.row(f"{day}.energy_kwh", levels, 0, rising=True)
    return DayTable(**table)
