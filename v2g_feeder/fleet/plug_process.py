"""The plugging process, drawn: every vehicle steps through bins of half an hour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from v2g_feeder.compiled import compiled, lean
from v2g_feeder.fleet.plug_tables import GAP_STEP_H, SCORE_END, SCORE_STEP, cars_of, law_of
from v2g_feeder.fleet.plugging import (
    BIN_H,
    BINS_A_DAY,
    DAY_START_H,
    MIN_GAP_H,
    ends_as_weekend,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.fleet.archetypes import Archetype
    from v2g_feeder.fleet.plugging import Plugging

__all__ = ["WARM_UP_DAYS", "Plugs", "draw_plugs"]

WARM_UP_DAYS: Final = 7
_CHUNK: Final = 2000  # vehicles at once: bounds the memory of their random numbers
_SHORTEST_H: Final = 1 / 60  # a stay
_SAME_STAY_H: Final = 1.0  # beside what a later arrival takes off it
_ends_as_weekend = compiled(ends_as_weekend)


@dataclass(frozen=True)
class Plugs:
    """Plugged intervals of a fleet, sorted by vehicle and arrival; arrays ``[session]``.

    Parameters
    ----------
    vehicle
        Number in the fleet.
    arrival_h, departure_h
        Hours from the midnight that begins the first Monday.
    driven_kwh
        Energy taken from the battery since the session before.
    gap_h
        Hours since the vehicle was unplugged.
    expected_by_bin, expected_by_vehicle
        Starts that the rates of ``records`` give in the free time, ``[2, bin of the day]``
        (weekdays, weekend) and ``[vehicle]``; empty without records.
    """

    vehicle: np.ndarray
    arrival_h: np.ndarray
    departure_h: np.ndarray
    driven_kwh: np.ndarray
    gap_h: np.ndarray
    expected_by_bin: np.ndarray
    expected_by_vehicle: np.ndarray


def draw_plugs(
    archetype: Archetype,
    vehicles: dict[str, np.ndarray],
    season_factor: float,
    rng: np.random.Generator,
    *,
    n_days: int,
    plug_ins: Sequence[float] = (1.0,),
    records: Plugging | None = None,
) -> list[Plugs]:
    """Draw when the vehicles of a fleet are plugged in, by factor on the rate of plugging in.

    Parameters
    ----------
    archetype
        With a ``plugging`` section.
    vehicles
        Arrays ``[vehicle]``: ``habit_rank``, ``battery_kwh``, ``departure_soc``, ``eta_c`` and
        ``kwh_per_mile``.
    season_factor
        On the energy.
    rng
        Its numbers are used bin by bin, the same ones at every factor.
    n_days
        Days from the first Monday; a week of warm-up goes before.
    plug_ins
        Factors on the rate of plugging in.
    records
        Whose rates, without need, give the expected starts.

    Notes
    -----
    *Energy.* As in the records: a quantile of ``energy_kwh`` at a normal score that depends on the
    gap, on the hour and on the vehicle's own rate (a Gaussian copula), times the charging
    efficiency and the season's factor. In the records those who plug in more often take less each
    time; ``rank_energy_rate`` carries that over. With ``driving`` the energy is the miles driven
    since the session before, each day's drawn once, so it does not depend on how often the vehicle
    is plugged in; it plugs in only once it has been driven.

    *Need* follows from the SOC that the vehicle would have if it plugged in now, after leaving the
    session before at its target: without a plug-in on Monday there is less on Tuesday.

    *Stay.* A quantile of its arrival window's row, at a score correlated with that of the energy
    (of the part that the hour does not explain, so that the rows hold). The energy of the records
    is cut at what ``highest_kw`` gives in the stay.
    """
    plugging = archetype.plugging
    assert plugging is not None  # noqa: S101 - for the type checker: the caller has looked
    law = law_of(plugging, archetype.quantile_levels)
    bins = BINS_A_DAY * (WARM_UP_DAYS + n_days)
    parts: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = [[] for _ in plug_ins]
    for first in range(0, max(len(vehicles["habit_rank"]), 1), _CHUNK):
        some = {name: column[first : first + _CHUNK] for name, column in vehicles.items()}
        uniform = rng.random((2, len(some["habit_rank"]), bins), dtype=np.float32)
        normal = rng.standard_normal(uniform.shape, dtype=np.float32)
        cars = cars_of(archetype, plugging, some, season_factor, law.mean_rate, bins, rng)
        for plug_in, chunks in zip(plug_ins, parts, strict=True):
            rows = _step(uniform, normal, cars, law, plug_in)
            by_bin, by_car = np.zeros((2, BINS_A_DAY)), np.empty(0)
            if records is not None:
                own = np.interp(some["habit_rank"], archetype.quantile_levels, records.user_rate)
                by_bin, by_car = _expected(rows, cars.idle_h, records.rates, own, bins)
            rows[0] += first
            rows[1:3] -= 24.0 * WARM_UP_DAYS
            chunks.append((rows, by_bin, by_car))
    return [_joined(chunks) for chunks in parts]


def _joined(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Plugs:
    """Return the chunks of a fleet, each with its expected starts, as one."""
    rows = np.concatenate([part[0] for part in parts], axis=1)
    return Plugs(
        vehicle=rows[0].astype(int),
        arrival_h=rows[1],
        departure_h=rows[2],
        driven_kwh=rows[3],
        gap_h=rows[4],
        expected_by_bin=np.sum([part[1] for part in parts], axis=0),
        expected_by_vehicle=np.concatenate([part[2] for part in parts]),
    )


@lean
def _at_score(row: np.ndarray, score: float) -> float:  # pragma: no cover - compiled
    """Return the value of a row over ``_SCORES``."""
    place = (min(max(score, -SCORE_END), SCORE_END) + SCORE_END) / SCORE_STEP
    below = min(int(place), len(row) - 2)
    return float(row[below] + (place - below) * (row[below + 1] - row[below]))


@lean
def _energy(
    cars: Any, law: Any, car: int, kind: int, now_h: float, free_h: float, luck: float
) -> tuple[float, float]:  # pragma: no cover - compiled
    """Return the energy by now as the records have it, kWh, and its score without the hour."""
    gap = min(int((now_h - free_h) / GAP_STEP_H), len(law.gap_score) - 1)
    weight = law.weights
    rest = weight[0] * law.gap_score[gap] + weight[2] * cars.rate_score[car] + weight[3] * luck
    hour = weight[1] * law.hour_score[kind, int(now_h % 24 / BIN_H)]
    kwh = _at_score(law.energy_kwh[kind], rest + hour) * cars.kwh_factor[car]
    return kwh, rest / np.sqrt(1 - weight[1] ** 2)


@lean
def _stay(law: Any, kind: int, hour: float, score: float) -> float:  # pragma: no cover - compiled
    """Return the stay, interpolated between the rows of the windows next to the arrival.

    So a stay that ends in the morning is shorter by the hour that its vehicle came later. Where the
    rows are further apart than that, one stays for the evening and the other for the night, and the
    nearer holds: hardly anybody leaves in between.
    """
    middles = law.stay_at_h[kind]
    if hour < DAY_START_H:
        hour += 24
    after = 0
    while after < len(middles) and middles[after] <= hour:
        after += 1
    if after == 0:
        return _at_score(law.stay_h[kind, 0], score)
    before_h = _at_score(law.stay_h[kind, after - 1], score)
    if after == len(middles) or np.isinf(middles[after]):
        return before_h
    after_h = _at_score(law.stay_h[kind, after], score)
    later_h = middles[after] - middles[after - 1]
    share = (hour - middles[after - 1]) / later_h
    if abs(after_h - before_h + later_h / 2) > later_h + _SAME_STAY_H:
        return after_h if share > 0.5 else before_h
    return float(before_h + share * (after_h - before_h))


@lean
def _by_now(
    cars: Any, law: Any, car: int, now_h: float, since: tuple[float, float, float]
) -> tuple[float, float]:  # pragma: no cover - compiled
    """Return the energy since the session before, kWh, and its score (0 where it is driven).

    ``since`` has the hour of unplugging, the chance in this session's energy, and the energy driven
    by the session before.
    """
    if not law.by_driving:
        kind = 1 if int(now_h / 24) % 7 >= 5 else 0
        return _energy(cars, law, car, kind, now_h, since[0], since[1])
    place = now_h / BIN_H
    below = int(place)
    row = cars.driven_kwh[car]
    kwh = row[below] + (place - below) * (row[below + 1] - row[below]) - since[2]
    return max(kwh, 0.0), 0.0


@lean
def _chance(cars: Any, law: Any, car: int, rate: float, kwh: float) -> float:  # pragma: no cover
    """Return the chance of plugging in where ``rate`` starts are expected at rate 1."""
    if law.by_driving and kwh <= 0:
        return 0.0
    own = cars.own_rate[car]
    if law.has_need and own < law.highest_rate:
        soc = cars.full_soc[car] - kwh / cars.battery_kwh[car]
        need = 1 / (1 + np.exp(law.need_slope * (soc - law.need_middle)))
        own += need * (law.highest_rate - own)
    return float(1 - np.exp(-rate * own))


@compiled
def _step(
    uniform: np.ndarray,
    normal: np.ndarray,
    cars: Any,
    law: Any,
    plug_in: float,
) -> np.ndarray:  # pragma: no cover - compiled
    """Walk every vehicle through its bins; hours count from the first bin.

    ``uniform`` and ``normal`` have shape ``[2, vehicle, bin]``: whether and when in the bin it
    plugs in; the chance in the energy of the *next* session and in the stay.
    """
    count, bins = uniform.shape[1], uniform.shape[2]
    rows = np.empty((5, max(16, count * bins // BINS_A_DAY)))
    found = 0
    highest = np.empty(bins)  # chance in a whole bin, whatever the need
    for b in range(bins):
        highest[b] = law.rate[_slot(b)] * BIN_H * plug_in * law.highest_rate
    for car in range(count):
        since = (-cars.idle_h[car], float(normal[0, car, 0]), 0.0)
        chances = uniform[0, car]
        b = _first_below(highest, chances, 0)
        while b < bins:
            begin = max(b * BIN_H, since[0] + MIN_GAP_H)
            length = (b + 1) * BIN_H - begin
            rate = law.rate[_slot(b)] * max(length, 0.0) * plug_in
            kwh, _ = _by_now(cars, law, car, begin + length / 2, since)
            if chances[b] >= _chance(cars, law, car, rate, kwh):
                b = _first_below(highest, chances, b + 1)
                continue
            arrival_h = begin + length * uniform[1, car, b]
            kwh, rest = _by_now(cars, law, car, arrival_h, since)
            if law.by_driving:
                miles = kwh / cars.kwh_per_mile[car]
                rest = np.interp(miles, law.session_miles, law.level_scores)
            score = law.stay_weight * rest
            score += np.sqrt(max(1 - law.stay_weight**2, 0.0)) * normal[1, car, b]
            ending = 1 if _ends_as_weekend(arrival_h) else 0
            stay_h = max(_stay(law, ending, arrival_h % 24, score), _SHORTEST_H)
            if not law.by_driving:
                kwh = min(kwh, law.highest_kw * stay_h * cars.kwh_factor[car])
            if found == rows.shape[1]:
                rows = np.concatenate((rows, np.empty_like(rows)), axis=1)
            rows[0, found] = car
            rows[1, found] = arrival_h
            rows[2, found] = arrival_h + stay_h
            rows[3, found] = kwh
            rows[4, found] = arrival_h - since[0]
            found += 1
            since = (arrival_h + stay_h, float(normal[0, car, b]), since[2] + kwh)
            b = _first_below(highest, chances, max(b, int((since[0] + MIN_GAP_H) / BIN_H)))
    return rows[:, :found].copy()


@lean
def _first_below(
    highest: np.ndarray, chances: np.ndarray, b: int
) -> int:  # pragma: no cover - compiled
    """Return the first bin from ``b`` on in which a vehicle may plug in, or their number."""
    while b < len(highest) and chances[b] >= highest[b]:
        b += 1
    return b


@lean
def _slot(b: int) -> tuple[int, int]:  # pragma: no cover - compiled
    """Return the kind of day, and the bin of the day, of a bin."""
    return (1 if b // BINS_A_DAY % 7 >= 5 else 0), b % BINS_A_DAY


@compiled
def _expected(
    rows: np.ndarray, idle_h: np.ndarray, rates: np.ndarray, own: np.ndarray, bins: int
) -> tuple[np.ndarray, np.ndarray]:  # pragma: no cover - compiled
    """Return the starts that rates by bin and by vehicle give in the time between ``rows``."""
    by_bin, by_car = np.zeros((2, BINS_A_DAY)), np.zeros(len(idle_h))
    row = 0
    for car in range(len(idle_h)):
        free_h, b = -idle_h[car] + MIN_GAP_H, 0
        while b < bins:
            length = (b + 1) * BIN_H - max(b * BIN_H, free_h)
            if length <= 0:
                b = max(b + 1, int(free_h / BIN_H))
                continue
            starts = rates[_slot(b)] * own[car] * length
            by_bin[_slot(b)] += starts
            by_car[car] += starts
            if row < rows.shape[1] and rows[0, row] == car and rows[1, row] < (b + 1) * BIN_H:
                free_h = rows[2, row] + MIN_GAP_H
                b = max(b, int(free_h / BIN_H))
                row += 1
            else:
                b += 1
    return by_bin, by_car
