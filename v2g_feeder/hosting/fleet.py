"""Fleet capacity: how many vehicles until the probability of a violation passes a threshold.

Each draw adds vehicles in an order of its own: its placement of one size holds that of every
smaller size. What comes out is no size of one placement but, at each size, in how many of the draws
a limit broke, with the interval that so few or so many draws allow.

References
----------
Clopper, C. J. and Pearson, E. S., "The use of confidence or fiducial limits illustrated in the case
of the binomial", Biometrika 26 (1934), 404-413.
Barlow, R. E. et al., "Statistical inference under order restrictions", Wiley, 1972 (isotonic
regression).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from scipy.special import betaincinv

from v2g_feeder.conventions import ANY, WHOLE_DAY, Case, Criterion, Policy, Status, reference_of
from v2g_feeder.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

__all__ = [
    "CURVE_COLUMNS",
    "SIZE_COLUMNS",
    "FleetCapacity",
    "clopper_pearson",
    "draws_needed",
    "judged_against",
    "nested_counts",
    "sizes_at",
    "violation_curve",
]

CURVE_COLUMNS: Final = (
    "policy", "case", "criterion", "season", "hour", "size", "draws", "violating", "unknown",
    "probability", "low", "high",
)  # fmt: skip
SIZE_COLUMNS: Final = (
    "policy", "case", "criterion", "season", "hour", "threshold", "size", "passes_at", "low",
    "high", "status",
)  # fmt: skip
_KEY: Final = ["policy", "case", "criterion", "season", "hour"]
_WHOLE_DAYS: Final = (Criterion.TAP_OPERATIONS, Criterion.CAPACITOR_OPERATIONS)
_SHARES: Final = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)


@dataclass(frozen=True)
class FleetCapacity:
    """How fleet capacity is asked for.

    Parameters
    ----------
    sizes
        Numbers of vehicles of all fleets together; ``None``: a quarter, half, 1, 1.5, 2 and 3 times
        the study's, as far as there are customers.
    draws
        Placements, each with vehicles and days of its own. An assumption: 20 are few, and the
        interval says so.
    confidence
        Of the two-sided interval; at 0.9 each bound holds with 95 %.
    thresholds
        Probabilities of a violation whose sizes are reported.
    cases
        Participation cases; of the bounding ones ``coincident_export`` and ``coincident_charge``.
    request
        Of export events: ``per_vehicle`` grows with the fleet, ``fixed`` stays the study's.
    count_worse
        Whether making a violation of the reference worse counts as one, or new ones alone do.
    """

    sizes: tuple[int, ...] | None = None
    draws: int = 20
    confidence: float = 0.9
    thresholds: tuple[float, ...] = (0.05, 0.5)
    cases: tuple[str, ...] = (Case.EXPECTED, Case.HIGH)
    request: str = "per_vehicle"
    count_worse: bool = True

    def __post_init__(self) -> None:
        given = self.sizes if self.sizes is not None else (1,)
        checks = {
            "sizes": bool(given) and all(b > a for a, b in zip((0, *given), given, strict=False)),
            "draws": self.draws >= 1,
            "confidence": 0 < self.confidence < 1,
            "thresholds": all(0 < one < 1 for one in self.thresholds),
            "cases": bool(self.cases) and Case.COINCIDENT_SPLIT not in self.cases,
            "request": self.request in ("per_vehicle", "fixed"),
        }
        hints = dict.fromkeys(checks, "") | {
            "sizes": "numbers of vehicles above 0, each above the one before",
            "cases": "coincident_split is a question for the operating envelope",
        }
        problems = [
            Problem(f"hosting.fleet.{name}", f"{getattr(self, name)} is not possible", hints[name])
            for name, fine in checks.items()
            if not fine
        ]
        if problems:
            raise InputError(problems)

    def grid(self, vehicles: Sequence[int], room: Sequence[int | None]) -> tuple[int, ...]:
        """Return the sizes to be solved.

        Parameters
        ----------
        vehicles
            Of each of the study's fleets.
        room
            Most that each may have, ``None`` for any number.
        """
        if self.sizes is not None:
            return self.sizes
        whole = sum(vehicles)
        sizes = [round(share * whole) for share in _SHARES]
        return tuple(
            size
            for size in dict.fromkeys(sizes)
            if size > 0
            and all(
                most is None or count <= most
                for count, most in zip(nested_counts(size, vehicles), room, strict=True)
            )
        )


def nested_counts(size: int, vehicles: Sequence[int]) -> list[int]:
    """Return how many vehicles of each fleet a size has: the study's mix, none ever fewer.

    Parameters
    ----------
    size
        Vehicles of all fleets together.
    vehicles
        Of each fleet in the study.
    """
    whole = sum(vehicles)
    if not whole:
        return [0] * len(vehicles)
    turns = -(-size // whole)
    fleet = np.repeat(np.arange(len(vehicles)), np.multiply(vehicles, turns))
    rank = np.concatenate([(np.arange(turns * count) + 0.5) / count for count in vehicles if count])
    chosen = fleet[np.argsort(rank, kind="stable")[:size]]
    return [int(n) for n in np.bincount(chosen, minlength=len(vehicles))]


def judged_against(policy: str, case: str) -> tuple[str, str]:
    """Return the run that the violations of a run are counted against.

    Charging is held against the feeder without vehicles, whatever its policy; export against
    managed charging of the same case and draw.
    """
    if policy in (Policy.UNCONTROLLED, Policy.MANAGED, Policy.TIME_OF_USE):
        return (str(Policy.NO_EV), str(Case.EXPECTED))
    found = reference_of(policy, case)
    if found is None:
        raise ValueError(f"{policy} is judged against nothing")
    return (str(found[0]), str(found[1]))


def clopper_pearson(
    violating: ArrayLike, draws: ArrayLike, confidence: float = 0.9
) -> tuple[np.ndarray, np.ndarray]:
    """Return the exact interval of a probability, from draws that are independent.

    Parameters
    ----------
    violating, draws
        Numbers, of shapes that broadcast.
    confidence
        Two-sided; the interval holds the true probability at least that often.

    Returns
    -------
    tuple of numpy.ndarray
        Lower and upper bound: 0 of 20 at 0.9 gives 0 to 0.139. Without a draw 0 to 1.

    References
    ----------
    Clopper and Pearson, Biometrika 26 (1934), 404-413; as quantiles of beta distributions.
    """
    count, whole = np.broadcast_arrays(np.asarray(violating), np.asarray(draws))
    tail = (1.0 - confidence) / 2.0
    rest = whole - count
    low = np.where(count > 0, betaincinv(np.maximum(count, 1), rest + 1, tail), 0.0)
    high = np.where(rest > 0, betaincinv(count + 1, np.maximum(rest, 1), 1.0 - tail), 1.0)
    return low, high


def draws_needed(threshold: float, confidence: float = 0.9) -> int:
    """Return the fewest draws of which none violating shows a probability below a threshold."""
    return int(np.ceil(np.log((1.0 - confidence) / 2.0) / np.log(1.0 - threshold)))


def violation_curve(
    violated: Mapping[str, np.ndarray],
    unknown: np.ndarray,
    axis: pd.DataFrame,
    confidence: float = 0.9,
) -> pd.DataFrame:
    """Count the draws with a violation, at one size of one run.

    Parameters
    ----------
    violated
        By criterion: whether the draw breaks a limit at the step, ``[draw, step]``.
    unknown
        Whether the draw or its reference has no valid solution at the step, ``[draw, step]``.
    axis
        ``season`` and ``hour`` of each step.
    confidence
        Of the interval.

    Returns
    -------
    pandas.DataFrame
        ``criterion, season, hour, draws, violating, unknown, probability, low, high``. A draw that
        violates nothing known but has a step without a solution is ``unknown``: it is left out of
        ``probability``, counts as kept in ``low`` and as violating in ``high``. Operations of taps
        and capacitors belong to whole days and have no hours.
    """
    season, hour = axis["season"].to_numpy(object), axis["hour"].to_numpy(int)
    whole = np.ones(len(axis), bool)
    seasons = [(ANY, whole), *((str(one), season == one) for one in dict.fromkeys(season))]
    hours = [(WHOLE_DAY, whole), *((int(one), hour == one) for one in dict.fromkeys(hour))]
    either = np.zeros_like(unknown)
    for array in violated.values():
        either |= array
    rows = []
    for criterion, array in {ANY: either, **violated}.items():
        for name, in_season in seasons:
            for at, in_hour in hours[:1] if criterion in _WHOLE_DAYS else hours:
                here = in_season & in_hour
                breaks = array[:, here].any(axis=1)
                open_ = ~breaks & unknown[:, here].any(axis=1)
                rows.append((str(criterion), name, at, int(breaks.sum()), int(open_.sum())))
    table = pd.DataFrame(rows, columns=["criterion", "season", "hour", "violating", "unknown"])
    count, open_ = table["violating"].to_numpy(), table["unknown"].to_numpy()
    draws = len(unknown)
    table["draws"] = draws
    with np.errstate(invalid="ignore"):
        table["probability"] = count / np.where(open_ < draws, draws - open_, np.nan)
    table["low"] = clopper_pearson(count, draws, confidence)[0]
    table["high"] = clopper_pearson(count + open_, draws, confidence)[1]
    return table


def sizes_at(curve: pd.DataFrame, thresholds: Sequence[float] = (0.05, 0.5)) -> pd.DataFrame:
    """Return the sizes at which the probability of a violation passes thresholds.

    Parameters
    ----------
    curve
        Columns :data:`CURVE_COLUMNS`, every key at the same sizes.
    thresholds
        Probabilities.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`SIZE_COLUMNS`. ``size`` is the largest size solved, 0 included, up to which
        the curve stays at or below the threshold, ``passes_at`` the size after it; the curve is the
        isotonic regression of the probabilities, since more vehicles break no fewer limits. ``low``
        is the largest size up to which every interval lies at or below the threshold, ``high`` the
        smallest from which on every interval lies above it; empty where the draws do not show it.
        ``status`` is ``limited``, ``censored`` (not passed up to the largest size) or ``unknown``
        (no valid solution at a size).
    """
    from scipy.optimize import isotonic_regression  # noqa: PLC0415  # most runs do without

    rows: list[tuple[object, ...]] = []
    for key, mine in curve.sort_values("size", kind="stable").groupby(_KEY, sort=False):
        sizes = np.array([0, *mine["size"]], float)
        low, high = (np.array([0.0, *mine[name]]) for name in ("low", "high"))
        known = (mine["draws"] - mine["unknown"]).to_numpy(float)
        fitted = np.array([0.0])
        if (known > 0).all():
            fitted = np.append(
                fitted, isotonic_regression(mine["probability"].to_numpy(), weights=known).x
            )
        for threshold in thresholds:
            keeps = _first(high > threshold)
            shown = len(low) - _first((low <= threshold)[::-1])
            bounds = (sizes[keeps - 1], sizes[shown] if shown < len(low) else np.nan)
            if len(fitted) < len(sizes):
                rows.append((*key, threshold, np.nan, np.nan, *bounds, str(Status.UNKNOWN)))
                continue
            at = _first(fitted > threshold + 1e-12)
            passed = at < len(sizes)
            status = Status.LIMITED if passed else Status.CENSORED
            found = (sizes[at - 1], sizes[at] if passed else np.nan)
            rows.append((*key, threshold, *found, *bounds, str(status)))
    return pd.DataFrame(rows, columns=list(SIZE_COLUMNS))


def _first(mask: np.ndarray) -> int:
    """Return the position of the first true entry; the length where there is none."""
    return int(mask.argmax()) if mask.any() else len(mask)
