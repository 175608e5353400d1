"""The step axis: which hours of which days of which seasons a study looks at.

A :class:`Calendar` is a list of days, each cut into equal steps. Steps begin their interval
(hour-beginning) and are local standard time.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import DayType
from v2g_feeder.errors import InputError, Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["DEFAULT_SEASONS", "Calendar", "Day", "season_calendar"]

DEFAULT_SEASONS: Final[dict[str, tuple[int, ...]]] = {
    "winter": (12, 1, 2),
    "spring": (3, 4, 5),
    "summer": (6, 7, 8),
    "autumn": (9, 10, 11),
}
_COMMON_YEAR: Final = 2023  # month lengths only; 29 February is not modelled
_MINUTES_A_DAY: Final = 24 * 60


@dataclass(frozen=True)
class Day:
    """One day of the calendar.

    Parameters
    ----------
    season, day_type
        Names; ``day_type`` is a :class:`~v2g_feeder.conventions.DayType`.
    month
        Representative month, 1 to 12: the middle one of the season.
    months
        All months of the season.
    weight_days
        Days a year that this day stands for; 0 for the extremes.
    """

    season: str
    day_type: str
    month: int
    months: tuple[int, ...]
    weight_days: float

    @property
    def is_weekend(self) -> bool:
        """Whether the EV days are drawn as on a weekend."""
        return self.day_type == DayType.WEEKEND

    @property
    def label(self) -> str:
        """Season and day type, as in file names: ``summer_peak_day``."""
        return f"{self.season}_{self.day_type}"


@dataclass(frozen=True)
class Calendar:
    """Days, each of ``24 x 60 / step_minutes`` steps.

    Parameters
    ----------
    days
        The days, in order; day ``i`` holds steps ``i * steps_per_day`` onwards.
    step_minutes
        Length of a step; 60, 30 or 15.
    """

    days: tuple[Day, ...]
    step_minutes: int = 60
    steps_per_day: int = field(init=False)

    def __post_init__(self) -> None:
        if self.step_minutes not in (60, 30, 15):
            raise InputError(
                Problem("calendar.step_minutes", f"{self.step_minutes} is not 60, 30 or 15")
            )
        object.__setattr__(self, "steps_per_day", _MINUTES_A_DAY // self.step_minutes)

    @property
    def n_steps(self) -> int:
        """Number of steps over all days."""
        return len(self.days) * self.steps_per_day

    @property
    def step_hours(self) -> float:
        """Length of a step in hours."""
        return self.step_minutes / 60

    @property
    def hour_of_day(self) -> np.ndarray:
        """Beginning of each step of a day, in hours; shape ``[steps_per_day]``."""
        return np.arange(self.steps_per_day) * self.step_hours

    def day_slice(self, day: int) -> slice:
        """Return the steps of day number ``day``."""
        return slice(day * self.steps_per_day, (day + 1) * self.steps_per_day)

    def table(self) -> pd.DataFrame:
        """Return one row a step: ``step, day, season, month, day_type, hour, minute, weight_days``.

        ``weight_days`` is a day's weight, repeated at each of its steps.
        """
        minutes = np.arange(self.steps_per_day) * self.step_minutes
        frames = [
            pd.DataFrame(
                {
                    "day": number,
                    "season": day.season,
                    "month": day.month,
                    "day_type": day.day_type,
                    "hour": minutes // 60,
                    "minute": minutes % 60,
                    "weight_days": day.weight_days,
                }
            )
            for number, day in enumerate(self.days)
        ]
        table = pd.concat(frames, ignore_index=True)
        table.insert(0, "step", np.arange(len(table)))
        return table


def season_calendar(
    seasons: Mapping[str, Sequence[int]] | None = None,
    day_types: Sequence[str] = tuple(DayType),
    step_minutes: int = 60,
) -> Calendar:
    """Build a calendar of seasons x day types.

    Parameters
    ----------
    seasons
        Months (1 to 12) by season name; default: meteorological seasons of the north.
    day_types
        Names from :class:`~v2g_feeder.conventions.DayType`.
    step_minutes
        60, 30 or 15.

    Returns
    -------
    Calendar
        Weekdays weigh 5/7 and weekends 2/7 of the season's days, extremes nothing.

    Raises
    ------
    InputError
        For an unknown day type, an empty or repeated month or one outside 1 to 12.
    """
    chosen = {name: tuple(months) for name, months in (seasons or DEFAULT_SEASONS).items()}
    problems = [
        Problem("calendar.day_types", f"unknown day type {kind!r}", nearest(kind, list(DayType)))
        for kind in day_types
        if kind not in set(DayType)
    ]
    if not day_types:
        problems.append(Problem("calendar.day_types", "at least one day type is needed"))
    if not chosen:
        problems.append(Problem("calendar.seasons", "at least one season is needed"))
    problems += _month_problems(chosen)
    if problems:
        raise InputError(problems)
    share = {DayType.WEEKDAY: 5 / 7, DayType.WEEKEND: 2 / 7}
    days = tuple(
        Day(
            season=season,
            day_type=DayType(kind),
            month=months[len(months) // 2],
            months=months,
            weight_days=share.get(DayType(kind), 0.0)
            * sum(monthrange(_COMMON_YEAR, month)[1] for month in months),
        )
        for season, months in chosen.items()
        for kind in dict.fromkeys(day_types)
    )
    return Calendar(days, step_minutes)


def _month_problems(seasons: Mapping[str, tuple[int, ...]]) -> list[Problem]:
    """Return the months that are missing, outside 1 to 12 or in two seasons."""
    problems = []
    seen: dict[int, str] = {}
    for name, months in seasons.items():
        where = f"calendar.seasons.{name}"
        if not months:
            problems.append(Problem(where, "a season needs at least one month"))
        for month in months:
            if not 1 <= month <= 12:
                problems.append(Problem(where, f"month {month} is not 1 to 12"))
            elif month in seen:
                problems.append(Problem(where, f"month {month} is already in {seen[month]!r}"))
            seen.setdefault(month, name)
    return problems
