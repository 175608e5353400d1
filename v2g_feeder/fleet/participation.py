"""Participation cases, and the random numbers that all cases and policies share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from v2g_feeder.fleet.figures import Figure, read_figures

if TYPE_CHECKING:
    from v2g_feeder.fleet.vehicles import Vehicles

__all__ = ["Participation", "ParticipationDraw", "draw_participation", "load_participation"]


@dataclass(frozen=True)
class Participation:
    """One participation case; every number is a share or a probability, 0 to 1.

    Parameters
    ----------
    name
        ``low``, ``expected``, ``firm`` or ``high``.
    enrolled
        Share of all vehicles in the programme; only these are managed or export.
    responds
        Probability that an enrolled vehicle answers an event.
    opt_out
        Probability that an enrolled vehicle's driver declines an event.
    outage
        Probability that nobody answers on an event-day (correlated failure).
    plug_in
        Share of the sessions that take place; sessions are drawn at their high-side rate. The
        energy of one that does not is carried to the next.
    figures
        Sources of the numbers above.
    """

    name: str
    enrolled: float
    responds: float
    opt_out: float
    outage: float
    plug_in: float
    figures: tuple[Figure, ...] = ()

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
