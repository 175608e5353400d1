"""What the shapes of a fleet depend on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from v2g_feeder.conventions import Case, Policy
from v2g_feeder.dispatch import Programme
from v2g_feeder.errors import InputError, Problem
from v2g_feeder.fleet import load_participation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from v2g_feeder.calendar import Calendar
    from v2g_feeder.dispatch import Event
    from v2g_feeder.fleet import FleetSettings, Participation

__all__ = ["Run", "ShapeSettings", "check_settings"]

Run = tuple[str, str]
"""Policy and participation case."""


@dataclass(frozen=True)
class ShapeSettings:
    """What the shapes of a fleet depend on.

    Parameters
    ----------
    fleets
        One entry a fleet.
    calendar
        Step axis.
    runs
        (policy, case) pairs to simulate; not ``no_ev`` and not the bounding cases.
    cases
        Participation cases by name; every case of ``runs`` is one of them.
    event
        Export events, for policy ``export``.
    event_seasons
        Seasons with events; in the others export is managed charging.
    programme
        Aggregator and prices.
    draws, seed
        Random realisations of the fleet's days.
    first_draw
        Number of the first of them; a draw's random numbers depend on its number alone.
    """

    fleets: tuple[FleetSettings, ...]
    calendar: Calendar
    runs: tuple[Run, ...] = ((Policy.UNCONTROLLED, Case.EXPECTED), (Policy.MANAGED, Case.EXPECTED))
    cases: Mapping[str, Participation] = field(default_factory=load_participation)
    event: Event | None = None
    event_seasons: frozenset[str] = frozenset()
    programme: Programme = field(default_factory=Programme)
    draws: int = 10
    seed: int = 1
    first_draw: int = 0

    @property
    def draw_numbers(self) -> range:
        """Numbers of the draws."""
        return range(self.first_draw, self.first_draw + self.draws)

    def has_event(self, season: str) -> bool:
        """Whether a season has export events."""
        return self.event is not None and season in self.event_seasons


def check_settings(
    settings: ShapeSettings, load_kw: np.ndarray, premise_kw: np.ndarray | None
) -> None:
    """Raise all problems of the arguments of :func:`fleet_shapes`."""
    steps, problems = settings.calendar.n_steps, settings.programme.validate("programme")
    if np.shape(load_kw) != (steps,):
        problems.append(Problem("load_kw", f"has shape {np.shape(load_kw)}, not ({steps},)"))
    policies = {policy for policy, _ in settings.runs}
    if Policy.EXPORT in policies and settings.event is None:
        problems.append(Problem("event", "is needed for policy export"))
    if Policy.V2H in policies and premise_kw is None:
        problems.append(Problem("premise_kw", "is needed for policy v2h"))
    problems += [
        Problem("runs", f"unknown case {case!r}")
        for case in dict.fromkeys(case for _, case in settings.runs)
        if case not in settings.cases
    ]
    if settings.draws < 1:
        problems.append(Problem("draws", f"{settings.draws} is not 1 or more"))
    if problems:
        raise InputError(problems)
