"""The violation table of one unit of work, and what a run does to each limit.

Values are rounded to float32 before they are compared, and so are the limits, because results are
stored as float32: applying the same limits to ``results.nc`` finds the same rows. A value that
equals its limit meets it.

Signs: ``value`` and ``limit`` carry the signs of the solution: a reverse flow is negative and its
limit is minus the allowed kW; a change is signed and its limit is a magnitude; operations are
those that the run adds to its reference in a day, at the day's last step. ``margin``
is at least 0 where the limit is met and negative where it is broken, in the unit of the value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Criterion
from v2g_feeder.screening.compare import KW_TOLERANCE, float32
from v2g_feeder.screening.criteria import Item, criteria_of, rated
from v2g_feeder.screening.reading import Reading

if TYPE_CHECKING:
    from v2g_feeder.powerflow.solution import Observed, Solution
    from v2g_feeder.screening.limits import Limits

__all__ = ["Screen", "reverse_flow_indicator", "reverse_kw", "screen", "unknowns"]


class Screen:
    """The limits of a study laid over the places of a feeder: made once, applied to every unit.

    Parameters
    ----------
    observed
        The places, in the order of the arrays.
    limits
        What to screen against. Infinite limits switch a criterion off.
    steps_per_day
        Steps of a day, for operations a day; left out, a solution is one day.

    Raises
    ------
    InputError
        For a reverse-flow limit at a place that is not watched, or an unknown voltage class.
    """

    def __init__(
        self, observed: Observed, limits: Limits, *, steps_per_day: int | None = None
    ) -> None:
        self._observed, self._limits, self._steps_per_day = observed, limits, steps_per_day
        self._by_season = {"": criteria_of(observed, limits)}
        kv_class = observed.voltages["kv_class"].to_numpy(dtype=float)
        self._sudden = Item(
            Criterion.SUDDEN_VOLTAGE,
            lambda run: float32(run.sudden_pu),
            limits.sudden_change(kv_class),
            observed.voltages,
        )

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """What is screened: the criteria that have a limit anywhere, in order."""
        found = {item.criterion for item in self.items()}
        if self._sudden.limited:
            found.add(Criterion.SUDDEN_VOLTAGE)
        return tuple(criterion for criterion in Criterion if criterion in found)

    def items(self, season: str = "") -> tuple[Item, ...]:
        """Return the criteria with their limits place by place, with a season's ratings."""
        if season not in self._by_season:
            named = season in self._limits.season_factor
            self._by_season[season] = (
                criteria_of(self._observed, self._limits, season) if named else self._by_season[""]
            )
        return self._by_season[season]

    def unobserved(self, solution: Solution) -> tuple[Criterion, ...]:
        """Return the criteria that have a limit and that this solution holds no values of.

        They are not screened: neither a pass nor a violation is known.
        """
        steps = len(solution.reason)
        return tuple(item.criterion for item in self.items() if len(item.values(solution)) != steps)

    def sudden_limit(self) -> np.ndarray:
        """Return the largest sudden change allowed, pu, ``[node]``."""
        return self._sudden.limit

    def rows(
        self, solution: Solution, reference: Solution | None = None, *, season: str = ""
    ) -> pd.DataFrame:
        """Return every limit that a run breaks, or that its reference broke and it does not.

        Parameters
        ----------
        solution
            The run: one unit, usually a day.
        reference
            The same unit of the reference run on the same draw, or ``None``. Changes against a
            reference, and operations beyond its own, are screened only with one. One of fewer
            steps stands for each so many steps of the run in turn.
        season
            Picks the season's ratings of lines.

        Returns
        -------
        pandas.DataFrame
            Columns :data:`SCREEN_COLUMNS`; one row a (step, criterion, place). ``step`` counts
            within the unit. ``effect`` is an :class:`~v2g_feeder.conventions.Effect`; ``cured``
            rows meet their limit. A step that failed the validity gate, or holds a value that is
            not a number where one is due, is one row of criterion ``invalid`` (``element`` names
            the reason) and is not screened. A sudden change that is not a number is such a row too
            (``event_start_not_finite``), without keeping its step from the other criteria. Where
            the reference step is invalid the effect is ``none`` and ``reference_value`` NaN. A
            sudden change that one of the two runs lacks counts as 0 pu.

        Raises
        ------
        ValueError
            For a reference with other places, or whose steps do not go into those of the run.
        """
        beside = None if reference is None else self.read(reference, season=season)
        return pd.DataFrame(self.read(solution, season=season).against(beside))

    def read(self, solution: Solution, *, season: str = "") -> Reading:
        """Lay the limits of a season over a solution, to set it beside more than one reference."""
        return Reading(solution, self.items(season), self._sudden, self._steps_per_day)


def screen(
    solution: Solution, observed: Observed, limits: Limits, reference: Solution | None = None
) -> pd.DataFrame:
    """Return :meth:`Screen.rows` of one unit: for a single use, where nothing is worth keeping."""
    return Screen(observed, limits).rows(solution, reference)


def unknowns(observed: Observed) -> pd.DataFrame:
    """Return the elements whose rating is unknown, and which are therefore not screened.

    Neither a pass nor a violation is known there: a summary says *thermal unknown at*
    ``len(unknowns(observed))`` *of* ``len(observed.elements)`` *elements*.

    Returns
    -------
    pandas.DataFrame
        Columns ``element, kind, bus, phase``.
    """
    columns = ["element", "kind", "bus", "phase"]
    return observed.elements.loc[~rated(observed), columns].reset_index(drop=True)


def reverse_kw(solution: Solution) -> np.ndarray:
    """Return the reverse flow as a magnitude, kW, ``[step, place]``; 0 up to 0.1 kW or invalid."""
    flow = float32(solution.flow_kw)
    reverse = (flow < -KW_TOLERANCE) & solution.valid[:, None]
    return np.where(reverse, -flow, np.float32(0.0))


def reverse_flow_indicator(
    solution: Solution, observed: Observed, step_hours: float = 1.0
) -> pd.DataFrame:
    """Return the reverse flow at every watched place: an indicator, not a violation.

    Parameters
    ----------
    solution, observed
        One unit, and its places.
    step_hours
        Length of a step in hours.

    Returns
    -------
    pandas.DataFrame
        One row a place, in the order of ``observed.flows``, so that units can be merged place by
        place: ``element, kind, bus, phase``; ``reverse_kw`` the largest reverse flow as a
        magnitude, 0 if none; ``reverse_hours`` of the unit's valid steps with more than 0.1 kW;
        ``first_step`` the first of them within the unit, -1 if none.
    """
    magnitude = reverse_kw(solution)
    reverse = magnitude > 0
    return observed.flows[["element", "kind", "bus", "phase"]].assign(
        reverse_kw=magnitude.max(axis=0, initial=0.0).astype(float),
        reverse_hours=reverse.sum(axis=0) * step_hours,
        first_step=np.where(reverse.any(axis=0), reverse.argmax(axis=0), -1),
    )
