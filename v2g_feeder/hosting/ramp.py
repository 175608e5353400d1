"""The first limit that a fleet meets as all its chargers export more and more at once.

Every size is solved by OpenDSS from the model's own taps with the regulators free, so that what
they do in reverse flow counts. State of charge is not looked at: this is what the feeder takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from v2g_feeder.conventions import Effect

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import pandas as pd

    from v2g_feeder.powerflow.solution import Solution
    from v2g_feeder.screening import Screen

__all__ = ["FirstLimit", "first_limit"]

_LADDER: Final = 8
_TOLERANCE: Final = 0.005


class FirstLimit(NamedTuple):
    """The first limit on the way up.

    Parameters
    ----------
    kw
        Largest size found to pass below the first that fails, all chargers together, kW.
    fails_at_kw
        The least size found to fail; NaN where the whole rating passes.
    criterion, element, bus, phase
        What fails there, the place furthest beyond its limit first; empty where nothing does.
    value, limit
        Of that place.
    step
        In which it does, counted from the first step solved; -1 where nothing fails.
    broken_before
        Places that break a limit that counts without any export.
    """

    kw: float
    fails_at_kw: float
    criterion: str = ""
    element: str = ""
    bus: str = ""
    phase: str = ""
    value: float = np.nan
    limit: float = np.nan
    step: int = -1
    broken_before: int = 0


def first_limit(
    run: Callable[[np.ndarray], Solution],
    screen: Screen,
    rating_kw: np.ndarray,
    steps: int,
    *,
    season: str = "",
    criteria: Collection[str] = (),
) -> FirstLimit:
    """Return the first limit that a growing export breaks and that holds without it.

    Sizes are tried from below on a ladder of eighths of the rating; the rung below the first that
    fails is then halved until 0.5 % of the rating is left.

    Parameters
    ----------
    run
        Solves ``[point, step]`` of signed kW.
    screen
        The limits.
    rating_kw
        Export rating of each connection point, kW, magnitudes.
    steps
        Number of steps that ``run`` solves; all hold the same export.
    season
        Picks the season's ratings.
    criteria
        Criteria that count; all where left out. A step that is not valid always counts.
    """
    none = run(np.zeros((len(rating_kw), steps)))
    counted = {*criteria, "invalid"} if criteria else set()
    before = screen.rows(none, season=season)
    before = before[before["criterion"].astype(str).isin(counted)] if counted else before
    broken_before = len(before.drop_duplicates(["criterion", "element", "node"]))
    total = float(rating_kw.sum())

    def broken(share: float) -> pd.DataFrame:
        kw = np.repeat(-share * rating_kw[:, None], steps, axis=1)
        rows = screen.rows(run(kw), none, season=season)
        rows = rows[rows["effect"].astype(str).eq(Effect.NEW) | (rows["criterion"] == "invalid")]
        return rows[rows["criterion"].astype(str).isin(counted)] if counted else rows

    low, high, found = 0.0, 1.0, None
    for rung in range(1, _LADDER + 1):
        rows = broken(rung / _LADDER)
        if len(rows):
            high, found = rung / _LADDER, rows
            break
        low = rung / _LADDER
    if found is None:
        return FirstLimit(total, np.nan, broken_before=broken_before)
    while high - low > _TOLERANCE:
        middle = (low + high) / 2
        rows = broken(middle)
        if len(rows):
            high, found = middle, rows
        else:
            low = middle
    share = found["margin"] / found["limit"].abs()
    worst = found.loc[share.idxmin() if share.notna().any() else found.index[0]]
    return FirstLimit(
        low * total,
        high * total,
        criterion=str(worst["criterion"]),
        element=str(worst["element"]),
        bus=str(worst["bus"]),
        phase=str(worst["phase"]),
        value=float(worst["value"]),
        limit=float(worst["limit"]),
        step=int(worst["step"]),
        broken_before=broken_before,
    )
