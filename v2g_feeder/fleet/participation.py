"""Participation cases, and the random numbers that all cases and policies share."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.fleet.figures import Figure, read_figures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from v2g_feeder.fleet.vehicles import Vehicles

__all__ = [
    "Participation",
    "ParticipationDraw",
    "draw_participation",
    "load_participation",
    "participation_case",
]

_SHARES: Final = ("enrolled", "responds", "opt_out", "outage", "plug_in")


@dataclass(frozen=True)
class Participation:
    """One participation case; every number but ``plug_in`` is a share or a probability, 0 to 1.

    Parameters
    ----------
    name
        ``low``, ``expected``, ``firm`` or ``high``, or a user's own.
    enrolled
        Share of all vehicles in the programme; only these are managed or export.
    responds
        Probability that an enrolled vehicle answers an event.
    opt_out
        Probability that an enrolled vehicle's driver declines an event.
    outage
        Probability that nobody answers on an event-day (correlated failure).
    plug_in
        Factor on the rate at which vehicles plug in, 1 as in the records; 0 or more. Depots plug in
        whenever they can.
    stated_error
        1: departures are known as drivers state them, with the archetype's error; 0: as they are.
    figures
        Sources of the numbers above.
    """

    name: str
    enrolled: float
    responds: float
    opt_out: float
    outage: float
    plug_in: float
    stated_error: float
    figures: tuple[Figure, ...] = ()

    def __post_init__(self) -> None:
        problems = []
        for key in _SHARES:
            value = getattr(self, key)
            if not 0 <= value <= (math.inf if key == "plug_in" else 1):
                hint = f"did you mean {value / 100:g}?" if 1 < value <= 100 else ""
                problems.append(Problem(f"{self.name}.{key}", f"{value:g} is not 0 to 1", hint))
        if self.stated_error not in (0, 1):
            problems.append(Problem(f"{self.name}.stated_error", "is not 0 or 1"))
        if problems:
            raise InputError(problems)

    def is_enrolled(self, vehicles: Vehicles) -> np.ndarray:
        """Return which vehicles are enrolled, ``[vehicle]``."""
        return np.asarray(vehicles.enrol_rank < self.enrolled)


@dataclass(frozen=True)
class ParticipationDraw:
    """Uniform random numbers (0 to 1) of one draw, shared by all cases and policies.

    A case compares them with its probabilities, so whoever takes part in ``firm`` also does in
    ``expected``.

    Parameters
    ----------
    responds, opt_out
        Shape ``[vehicle, day]``.
    outage
        Shape ``[day]``.
    """

    responds: np.ndarray
    opt_out: np.ndarray
    outage: np.ndarray

    def answers(self, case: Participation) -> np.ndarray:
        """Return which vehicles can be reached on each day, ``[vehicle, day]``."""
        up = self.outage >= case.outage
        return np.asarray((self.responds < case.responds) & up)

    def declines(self, case: Participation) -> np.ndarray:
        """Return which drivers decline that day's event, ``[vehicle, day]``."""
        return np.asarray(self.opt_out < case.opt_out)


def draw_participation(
    n_vehicles: int, rng: np.random.Generator, *, n_days: int = 14
) -> ParticipationDraw:
    """Draw the random numbers of one draw."""
    outage = rng.random(n_days)
    uniform = rng.random((2, n_vehicles, n_days))
    return ParticipationDraw(uniform[0], uniform[1], outage)


def participation_case(name: str, like: str, changes: Mapping[str, float]) -> Participation:
    """Return a user's own case.

    Parameters
    ----------
    name
        Its name.
    like
        The shipped case that gives what ``changes`` does not.
    changes
        Numbers of :class:`Participation` by name; marked as the study's own in ``figures``.

    Raises
    ------
    InputError
        For an unknown case or key, or a number out of its range.
    """
    cases = load_participation()
    problems = []
    if like not in cases:
        hint = nearest(like, list(cases))
        problems.append(Problem(f"{name}.like", f"unknown case {like!r}", hint))
    problems += [
        Problem(f"{name}.{key}", f"unknown key {key!r}", nearest(key, _SHARES))
        for key in changes
        if key not in (*_SHARES, "stated_error")
    ]
    if problems:
        raise InputError(problems)
    own = {
        key: Figure(f"{name}.{key}", value, "1", "the study file", "A")
        for key, value in changes.items()
    }
    kept = [
        replace(figure, name=f"{name}.{key}")
        for figure in cases[like].figures
        if (key := figure.name.partition(".")[2]) not in changes
    ]
    return replace(cases[like], name=name, figures=(*kept, *own.values()), **changes)


@lru_cache
def load_participation() -> dict[str, Participation]:
    """Return the cases ``low``, ``expected``, ``firm`` and ``high``, by name."""
    by_case: dict[str, dict[str, Figure]] = {}
    for key, figure in read_figures("participation.yaml").items():
        case, _, column = key.partition(".")
        by_case.setdefault(case, {})[column] = figure
    return {
        case: Participation(
            name=case,
            **{column: figure.value for column, figure in figures.items()},
            figures=tuple(figures.values()),
        )
        for case, figures in by_case.items()
    }
