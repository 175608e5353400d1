"""Days cut out of a simulated fortnight, and a fortnight built from days."""

from __future__ import annotations

import numpy as np

__all__ = ["day_steps", "fortnight", "pick_day"]


def pick_day(draw: int, *, weekend: bool) -> int:
    """Return the day (counted from 0, the first Monday) that stands for a draw's day type.

    Draws go through the second week in turn (days 7 to 11 on weekdays, 12 and 13 on weekends): the
    day depends on the draw alone, so it is the same across policies and cases.
    """
    return 12 + draw % 2 if weekend else 7 + draw % 5


def day_steps(day: int, step_minutes: int = 60) -> slice:
    """Return the steps of a day, midnight to midnight."""
    steps = 24 * 60 // step_minutes
    return slice(day * steps, (day + 1) * steps)


def fortnight(weekday_kw: np.ndarray, weekend_kw: np.ndarray, *, n_days: int = 14) -> np.ndarray:
    """Return a signal over ``n_days`` from Monday from two days; the last axis is the step."""
    days = [weekend_kw if day % 7 >= 5 else weekday_kw for day in range(n_days)]
    return np.concatenate(days, axis=-1)
