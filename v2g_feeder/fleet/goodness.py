"""How well a fitted archetype reproduces records that it was not fitted to.

One half of the records is fitted, the other is scored, over several random halves. Beside each
distance stands that of the records' own halves to each other: no generator can be asked to be
nearer to the second half than the first half is, but for luck.

References
----------
Kolmogorov-Smirnov distance: Massey, F. J., "The Kolmogorov-Smirnov Test for Goodness of Fit",
Journal of the American Statistical Association 46, 1951, 68-78.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp

from v2g_feeder.errors import InputError, Problem
from v2g_feeder.fleet.calibrate import simulate
from v2g_feeder.fleet.duty import draw_trips
from v2g_feeder.fleet.fit import MIN_RECORDS, fit_archetype
from v2g_feeder.fleet.fit_plugging import follow, spearman
from v2g_feeder.fleet.fit_rates import hours_by_bin
from v2g_feeder.fleet.plugging import DAY_START_H

if TYPE_CHECKING:
    from v2g_feeder.fleet.archetypes import Archetype
    from v2g_feeder.fleet.records import Records

__all__ = [
    "LIMITS",
    "Sample",
    "differences",
    "generated",
    "halves",
    "ks_distance",
    "observed",
    "score",
]

LIMITS: Final = {"KS": 0.08, "rank correlation": 0.1, "plugged-in share": 0.05}
_ROUNDS: Final = 5  # a half is fitted with less simulation
_VEHICLES: Final = 1000
_FITS: Final = 5
OWN_FACTOR: Final = 1.25  # of the records' own distance, where few units decide it
_BY_OWN: Final = ("user", "vehicle")


@dataclass(frozen=True, eq=False)
class Sample:
    """Sessions or duties to compare, of records or generated.

    Parameters
    ----------
    columns
        By quantity, ``[session]``: ``arrival`` (h, 4 to 28), ``stay`` (h), ``energy`` (kWh at the
        meter); or ``start`` (h), ``end`` (h), ``miles``.
    share
        Plugged-in share of the units, ``[2, 24]``: weekday and weekend, mean of the hour. Empty
        for duties.
    """

    columns: dict[str, np.ndarray]
    share: np.ndarray


def ks_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the Kolmogorov-Smirnov distance of two samples, 0 to 1.

    The largest difference between their cumulative distributions; 0 for equal samples, 1 where
    they do not overlap. Neither may be empty.
    """
    return float(ks_2samp(one, other, method="asymp").statistic)


def observed(records: Records) -> Sample:
    """Return the records as a sample."""
    table = records.table
    if records.kind == "duty":
        columns = {"start": "start_h", "end": "end_h", "miles": "miles"}
        return Sample(
            {name: table[column].to_numpy() for name, column in columns.items()}, np.empty((0, 24))
        )
    sessions = follow(records)
    known = sessions.unit >= 0
    first, last = sessions.arrival_h[known], (sessions.arrival_h + sessions.stay_h)[known]
    watched = (sessions.begin_h, sessions.end_h)
    last = np.minimum(last, sessions.end_h[sessions.unit[known]])
    return Sample(
        {
            "arrival": sessions.clock_h,
            "stay": sessions.stay_h,
            "energy": sessions.energy_kwh,
        },
        _share(first, last, *watched),
    )


def generated(
    archetype: Archetype, *, vehicles: int = 1000, n_days: int = 28, seed: int = 1
) -> Sample:
    """Return what the archetype yields.

    Parameters
    ----------
    archetype
        With ``plugging`` or ``duty``.
    vehicles, n_days
        Size of the draw; whole weeks.
    seed
        Seed of the random numbers.
    """
    if archetype.duty is not None:
        rng = np.random.default_rng(seed)
        trips = draw_trips(archetype.duty, vehicles, (5,), n_days, rng)
        begin = np.floor(trips.start_h / 24) * 24
        columns = {"start": trips.start_h - begin, "end": trips.end_h - begin, "miles": trips.miles}
        return Sample(columns, np.empty((0, 24)))
    plugs = simulate(archetype, vehicles=vehicles, n_days=n_days, seed=seed)
    end_h = 24.0 * n_days
    inside = (plugs.arrival_h >= 0) & (plugs.arrival_h < end_h)
    columns = {
        "arrival": (plugs.arrival_h[inside] - DAY_START_H) % 24 + DAY_START_H,
        "stay": (plugs.departure_h - plugs.arrival_h)[inside],
        "energy": plugs.driven_kwh[inside] / archetype.efficiency_charge,
    }
    begin, end = np.maximum(plugs.arrival_h, 0), np.minimum(plugs.departure_h, end_h)
    share = _share(begin, end, np.zeros(vehicles), np.full(vehicles, end_h))
    return Sample(columns, share)


def differences(one: Sample, other: Sample) -> pd.DataFrame:
    """Return how far two samples are apart: columns ``quantity``, ``measure``, ``distance``.

    KS distance of each quantity, absolute difference of the Spearman correlation of each pair, and
    the largest absolute difference of the plugged-in share in any hour of a weekday or weekend.
    """
    rows = [
        (name, "KS", ks_distance(one.columns[name], other.columns[name])) for name in one.columns
    ]
    for pair in combinations(one.columns, 2):
        ranks = [spearman(*(sample.columns[name] for name in pair)) for sample in (one, other)]
        rows.append((" and ".join(pair), "rank correlation", abs(ranks[0] - ranks[1])))
    if one.share.size and other.share.size:
        for day, apart in zip(("weekday", "weekend"), np.abs(one.share - other.share), strict=True):
            rows.append((f"by hour, {day}", "plugged-in share", float(np.max(apart))))
    return pd.DataFrame(rows, columns=["quantity", "measure", "distance"])


def halves(records: Records, split: str, rng: np.random.Generator) -> tuple[Records, Records]:
    """Return two halves of the records.

    Parameters
    ----------
    records
        Sessions or duties.
    split
        ``half``: random rows; ``user``: random users (for duties, vehicles), all rows of each;
        ``time``: before and after the middle of the rows.
    rng
        Random numbers; ``time`` needs none.
    """
    count = len(records)
    if split == "time":
        first = np.arange(count) < count // 2
    elif split == "half":
        first = rng.permutation(count) < count // 2
    else:
        if records.unit not in _BY_OWN:
            message = "split by user needs a user or vehicle in the records"
            raise InputError(Problem(records.source, message, "--split half"))
        names = records.table[records.unit].to_numpy()
        people = rng.permutation(np.unique(names))
        first = np.isin(names, people[: len(people) // 2])
    return records.part(first), records.part(~first)


def score(
    records: Records,
    *,
    like: str | None = None,
    split: str = "half",
    fits: int | None = None,
    pairs: int = 20,
    seed: int = 1,
) -> pd.DataFrame:
    """Fit one half of the records and compare what the fit yields with the other half.

    Parameters
    ----------
    records
        Sessions or duties, at least 60.
    like
        As in :func:`v2g_feeder.fleet.fit.fit_archetype`.
    split
        As in :func:`halves`.
    fits
        Random halves that are fitted; by default all ``pairs`` where the limit is the records' own
        distance (users, duties), else 5.
    pairs
        Random halves whose own distance is taken.
    seed
        Seed of the halves and of the generator.

    Returns
    -------
    pandas.DataFrame
        One row a quantity: ``measure``, ``distance`` (median over the fits), ``worst``,
        ``half_to_half`` (median over the pairs), ``limit`` and ``holds`` (of ``distance``).

    Notes
    -----
    Half the sessions of a car plug in half as often: with ``split="half"`` the differences of the
    plugged-in share are doubled. With a split by user and for duties the limit of the KS distance
    is 1.25 times that of the records' own halves. For correlations and shares it is that too, if
    it is more than the fixed limit.
    """
    rng = np.random.default_rng(seed)
    by_own = split == "user" or records.kind == "duty"
    if split == "time":
        fits = pairs = 1
    elif fits is None:  # beside the records' own distance, the same halves are to be fitted
        fits = pairs if by_own else _FITS
    chosen = [halves(records, split, rng) for _ in range(max(fits, pairs))]
    own = [differences(observed(one), observed(other)) for one, other in chosen[:pairs]]
    fitted = []
    for number, (one, other) in enumerate(chosen[:fits]):
        if min(len(one), len(other)) < MIN_RECORDS:
            message = f"{len(records)} {records.kind} in halves leave fewer than {MIN_RECORDS}"
            raise InputError(Problem(records.source, message, "--split none"))
        archetype = fit_archetype(one, like=like, settle=_ROUNDS, vehicles=_VEHICLES)
        fitted.append(differences(generated(archetype, seed=seed + number), observed(other)))
    table = fitted[0][["quantity", "measure"]].copy()
    apart = np.stack([each["distance"] for each in fitted])
    own_apart = np.stack([each["distance"] for each in own])
    double = np.where((table["measure"] == "plugged-in share") & (split == "half"), 2.0, 1.0)
    table["distance"] = np.median(apart, axis=0) * double
    table["worst"] = np.max(apart, axis=0) * double
    table["half_to_half"] = np.median(own_apart, axis=0) * double
    table["limit"] = _limits(table, by_own=by_own)
    table["holds"] = table["distance"] <= table["limit"]
    return table


def _limits(table: pd.DataFrame, *, by_own: bool) -> np.ndarray:
    """Return the limit of each row; ``by_own`` takes that of KS from the records' own halves."""
    fixed = table["measure"].map(LIMITS).to_numpy(dtype=float)
    own = OWN_FACTOR * table["half_to_half"].to_numpy()
    ks = (table["measure"] == "KS").to_numpy()
    return np.asarray(np.where(ks, own, np.maximum(fixed, own)) if by_own else fixed)


def _share(
    begin: np.ndarray, end: np.ndarray, watched_from: np.ndarray, watched_to: np.ndarray
) -> np.ndarray:
    """Return the plugged-in share of the watched time, ``[2, 24]``."""
    nobody = np.zeros(len(begin), dtype=int)
    plugged = hours_by_bin(nobody, begin, end, 1)[0]
    watched = hours_by_bin(np.zeros(len(watched_from), dtype=int), watched_from, watched_to, 1)[0]
    return np.asarray(_hourly(plugged) / np.maximum(_hourly(watched), 1e-9))


def _hourly(bins: np.ndarray) -> np.ndarray:
    """Return half hours summed to hours."""
    return np.asarray(bins.reshape(2, 24, 2).sum(axis=2))
