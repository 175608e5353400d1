"""Duty: the trips of a fleet that an operator sends out and plugs in, such as buses and vans.

The ``duty:`` section of an archetype's file holds these figures, each ``{value, unit, mark,
source}``. A row has one value a level of the file's ``quantile_levels``; values between the
levels are interpolated::

    duty:
      holiday_share: 0.12           share of the weekdays outside summer_months on which no vehicle
                                    of the fleet goes out: one draw a day for the whole fleet
      summer_months: [6, 7, 8]      months with the summer_ shares below; [] for none
      same_vehicle: 0.7             0 to 1; share of the variance of the normal scores that is the
                                    vehicle's own: 0 draws every day anew, 1 repeats its route
      trips:                        made in the order of their mean start
        morning:
          weekday_share: 0.95       share of the vehicles that make the trip on a weekday
          weekend_share: 0.0        ... on a Saturday or Sunday
          summer_weekday_share: 0.1 these two if and only if there are summer_months
          summer_weekend_share: 0.0
          start_h: [row]            leaves the depot, hour of the day; 24 to 36 is the next morning
          out_h: [row]              hours away; or instead of it
          end_h: [row]              comes back, hour of the day it left; 25 is 01:00 the next day
          miles: [row]
          rank_start_out: 0.0       Spearman rank correlations (Gaussian copula); with end_h they
          rank_start_miles: 0.0     are rank_start_end, rank_start_miles and rank_end_miles
          rank_out_miles: 0.0
          start_edges_h: [...]      optional: edges of the start windows; out_h or end_h is then a
                                    list of rows, one a window, and rank_start_out and
                                    rank_out_miles hold inside a window

Which vehicles go on a day is one score a vehicle and day: a vehicle that makes a rarer trip (a
field trip) also makes the more frequent ones (the routes) of that day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import ndtr

from v2g_feeder.errors import Problem
from v2g_feeder.fleet.figures import FigureReader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from v2g_feeder.fleet.figures import Figure

__all__ = ["Duty", "Trip", "Trips", "draw_trips", "read_duty"]

MIN_OUT_H: Final = 1.0  # no vehicle has two sessions in one step of an hour or less
MIN_DWELL_H: Final = 1.0  # a vehicle that leaves again sooner is not plugged in
MAX_DELAY_H: Final = 4.0  # a vehicle that comes back later than that misses its next trip
_DAYS_AFTER: Final = 7  # drawn beyond the period: the last stays need their departure


@dataclass(frozen=True)
class Trip:
    """One trip that vehicles of the fleet make on some days.

    Parameters
    ----------
    name
        Key in the file.
    weekday_share, weekend_share
        Share (0 to 1) of the vehicles that make it on such a day.
    summer_weekday_share, summer_weekend_share
        The same in the summer months.
    start_h
        Quantiles of the hour of leaving the depot.
    start_edges_h
        Edges of the start windows, one more than the rows of ``back_h``. A start outside takes the
        first or the last window.
    back_h
        Quantiles of the hours away, or of the hour of return, a row a start window.
    back_is_end
        Whether ``back_h`` is the hour of return.
    miles
        Quantiles of the miles.
    rank_start_back, rank_start_miles, rank_back_miles
        Spearman rank correlations.
    """

    name: str
    weekday_share: float
    weekend_share: float
    summer_weekday_share: float
    summer_weekend_share: float
    start_h: tuple[float, ...]
    start_edges_h: tuple[float, ...]
    back_h: tuple[tuple[float, ...], ...]
    back_is_end: bool
    miles: tuple[float, ...]
    rank_start_back: float
    rank_start_miles: float
    rank_back_miles: float


@dataclass(frozen=True)
class Duty:
    """The trips of a fleet, in the order of the day.

    Parameters
    ----------
    trips
        In the order in which a vehicle makes them.
    levels
        Levels (0 to 1) of every row of quantiles.
    holiday_share
        Share (0 to 1) of the weekdays outside the summer months without any trip.
    summer_months
        Months (1 to 12) with the summer shares.
    same_vehicle
        Share (0 to 1) of the variance of the normal scores that is the vehicle's own.
    """

    trips: tuple[Trip, ...]
    levels: tuple[float, ...]
    holiday_share: float = 0.0
    summer_months: tuple[int, ...] = ()
    same_vehicle: float = 0.0


@dataclass(frozen=True)
class Trips:
    """Trips of one draw, sorted by vehicle and then by start; arrays ``[trip]``.

    At least one hour lies between two trips of a vehicle, and a trip takes at least one hour.

    Parameters
    ----------
    vehicle
        Number in the fleet, from 0. A vehicle that never goes out is not in it.
    start_h, end_h
        Hours from the midnight that begins the first Monday, from the warm-up (negative) until
        the seventh day after the period: a stay in the period so knows its departure.
    miles
        Miles driven.
    """

    vehicle: np.ndarray
    start_h: np.ndarray
    end_h: np.ndarray
    miles: np.ndarray

    def __len__(self) -> int:
        """Return the number of trips."""
        return len(self.vehicle)


def read_duty(figures: Mapping[str, Figure], levels: Sequence[float], where: str = "duty") -> Duty:
    """Build the duty of an archetype from its figures.

    Parameters
    ----------
    figures
        Figures of the ``duty`` section; keys relative to it, such as ``trips.morning.start_h``.
    levels
        The file's ``quantile_levels``.
    where
        File name and section for the messages, such as ``van.yaml: duty``.

    Raises
    ------
    InputError
        With every problem.
    """
    reader = FigureReader(figures, where)
    names = dict.fromkeys(key.split(".")[1] for key in figures if key.startswith("trips."))
    if not names:
        reader.problems.append(Problem(f"{where}: trips", "no trip", "name at least one"))
    months = tuple(int(month) for month in reader.row("summer_months", None, 1, 12))
    trips = [_read_trip(reader, name, len(levels), summer=bool(months)) for name in names]
    trips.sort(key=lambda trip: float(np.mean(trip.start_h)) if trip.start_h else 0.0)
    duty = Duty(
        tuple(trips),
        levels=tuple(levels),
        holiday_share=reader.number("holiday_share", 0, 1),
        summer_months=months,
        same_vehicle=reader.number("same_vehicle", 0, 1),
    )
    reader.finish()
    return duty


def _read_trip(reader: FigureReader, name: str, n_levels: int, *, summer: bool) -> Trip:
    """Return one trip of the file; problems stay in ``reader``."""
    at = f"trips.{name}."
    is_end = f"{at}end_h" in reader
    back = "end" if is_end else "out"  # out_h beside end_h is left over as an unknown key
    shares = [reader.number(f"{at}{day}_share", 0, 1) for day in ("weekday", "weekend")]
    summers = shares
    if summer:
        days = ("summer_weekday", "summer_weekend")
        summers = [reader.number(f"{at}{day}_share", 0, 1) for day in days]
    edges: tuple[float, ...] = ()
    if f"{at}start_edges_h" in reader:
        edges = reader.row(f"{at}start_edges_h", None, rising=True)
        rows = reader.rows(f"{at}{back}_h", len(edges) - 1, n_levels, 0)
    else:
        rows = (reader.row(f"{at}{back}_h", n_levels, 0, 72, rising=True),)
    ranks = [
        reader.number(f"{at}rank_{pair}", -1, 1)
        for pair in (f"start_{back}", "start_miles", f"{back}_miles")
    ]
    if np.linalg.eigvalsh(_normal_correlation(*ranks))[0] < 1e-6:
        place = f"{reader.where}: {at}rank_start_miles"
        reader.problems.append(Problem(place, "the three ranks of the trip contradict each other"))
    return Trip(
        name,
        weekday_share=shares[0],
        weekend_share=shares[1],
        summer_weekday_share=summers[0],
        summer_weekend_share=summers[1],
        start_h=reader.row(f"{at}start_h", n_levels, 0, 36, rising=True),
        start_edges_h=edges,
        back_h=rows,
        back_is_end=is_end,
        miles=reader.row(f"{at}miles", n_levels, 0, rising=True),
        rank_start_back=ranks[0],
        rank_start_miles=ranks[1],
        rank_back_miles=ranks[2],
    )


def draw_trips(
    duty: Duty,
    count: int,
    months: tuple[int, ...],
    n_days: int,
    rng: np.random.Generator,
    *,
    warm_up_days: int = 7,
) -> Trips:
    """Draw the trips of a fleet on consecutive days.

    A trip whose vehicle is not back yet starts when it is, up to 4 h late; later than that it is
    not made. A vehicle that leaves again within 1 h does not plug in: the two trips become one row,
    from the first start to the last end, with the miles of both.

    Parameters
    ----------
    duty
        What the fleet does.
    count
        Number of vehicles, 0 or more.
    months
        Months (1 to 12) of the season. Where only some of them are summer months, the whole
        period lies in summer with their share as probability.
    n_days
        Days from the first Monday; ``day % 7 >= 5`` is a weekend.
    rng
        Generator of this fleet and draw.
    warm_up_days
        Days drawn before hour 0.

    Returns
    -------
    Trips
        Start, return and miles of a trip are drawn jointly (a Gaussian copula); different trips
        and, but for ``same_vehicle``, different days are independent.
    """
    days = np.arange(-warm_up_days, n_days + _DAYS_AFTER)
    shares = _shares(duty, months, days, rng)
    scores = _scores(duty.same_vehicle, (len(days), count, 1 + 3 * len(duty.trips)), rng)
    going = ndtr(scores[:, :, 0])
    columns: list[list[np.ndarray]] = [[], [], [], [], []]
    free_h = np.full(count, -np.inf)  # when each vehicle is back from the trip before
    planned = [
        _planned(trip, duty.levels, scores[:, :, 1 + 3 * number : 4 + 3 * number])
        for number, trip in enumerate(duty.trips)
    ]
    for row, day in enumerate(days):
        for number, (start_h, out_h, miles) in enumerate(planned):
            wanted_h = start_h[row] + 24.0 * day
            made = (going[row] < shares[row, number]) & (free_h <= wanted_h + MAX_DELAY_H)
            joined = made & (wanted_h < free_h + MIN_DWELL_H)
            start = np.maximum(wanted_h, free_h)
            end = start + out_h[row]
            free_h = np.where(made, end, free_h)
            who = np.flatnonzero(made)
            values = (who, start[who], end[who], miles[row][who], joined[who])
            for column, value in zip(columns, values, strict=True):
                column.append(value)
    return _trips(*(np.concatenate(column) for column in columns))


def _shares(
    duty: Duty, months: tuple[int, ...], days: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return the share of vehicles that make each trip, ``[day, trip]``."""
    part = sum(month in duty.summer_months for month in months) / max(len(months), 1)
    summer = rng.random() < part
    holiday = rng.random(len(days)) < duty.holiday_share
    table = np.array(
        [
            (trip.summer_weekday_share, trip.summer_weekend_share)
            if summer
            else (trip.weekday_share, trip.weekend_share)
            for trip in duty.trips
        ]
    )
    weekend = days % 7 >= 5
    shares = np.where(weekend[:, None], table[:, 1], table[:, 0])
    return np.asarray(np.where((holiday & ~weekend & (not summer))[:, None], 0.0, shares))


def _scores(own: float, shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Return standard normal scores ``[day, vehicle, quantity]``; ``own`` is the vehicle's part."""
    vehicle = rng.standard_normal(shape[1:])
    return np.asarray(np.sqrt(own) * vehicle + np.sqrt(1 - own) * rng.standard_normal(shape))


def _planned(
    trip: Trip, levels: tuple[float, ...], scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return start (hour of the day), hours away and miles, ``[day, vehicle]`` each."""
    root = np.linalg.cholesky(
        _normal_correlation(trip.rank_start_back, trip.rank_start_miles, trip.rank_back_miles)
    )
    uniform = ndtr(scores @ root.T)
    start_h = np.interp(uniform[..., 0], levels, trip.start_h)
    window = np.searchsorted(trip.start_edges_h[1:-1], start_h, side="right")
    back_h = np.empty_like(start_h)
    for number, row in enumerate(trip.back_h):
        inside = window == number
        back_h[inside] = np.interp(uniform[..., 1][inside], levels, row)
    out_h = back_h - start_h if trip.back_is_end else back_h
    miles = np.interp(uniform[..., 2], levels, trip.miles)
    return start_h, np.maximum(out_h, MIN_OUT_H), miles


def _normal_correlation(start_back: float, start_miles: float, back_miles: float) -> np.ndarray:
    """Return the correlation matrix of normal scores with these Spearman correlations."""
    ranks = np.array(
        [[1, start_back, start_miles], [start_back, 1, back_miles], [start_miles, back_miles, 1]]
    )
    return np.asarray(2 * np.sin(np.pi / 6 * ranks))  # on the diagonal too: 2 sin(pi / 6) = 1


def _trips(
    vehicle: np.ndarray,
    start_h: np.ndarray,
    end_h: np.ndarray,
    miles: np.ndarray,
    joined: np.ndarray,
) -> Trips:
    """Sort the trips and merge those that follow another without a stay."""
    order = np.lexsort((start_h, vehicle))
    first = np.flatnonzero(~joined[order])
    last = np.append(first[1:], len(order))[: len(first)] - 1
    total = np.add.reduceat(miles[order], first) if len(first) else miles
    return Trips(vehicle[order][first], start_h[order][first], end_h[order][last], total)
