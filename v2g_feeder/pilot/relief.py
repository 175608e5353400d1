"""Relief of event-days: charging put off and export, what each day delivers, and its exceedance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.pilot.exceedance import INSUFFICIENT, exceeded, least_event_days, stress_blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CREDIT_COLUMNS", "HOURS", "LEVELS", "Relief", "credit_rows", "relief", "sustained"]

LEVELS: Final = (0.95, 0.9, 0.5)
HOURS: Final = (1.0, 2.0, 4.0)
CREDIT_COLUMNS: Final = [
    "hours", "level", "from_h", "to_h", "kw", "estimate_kw", "avoided_kw", "export_kw",
    "rebound_kw", "event_days", "status",
]  # fmt: skip


@dataclass(frozen=True)
class Relief:
    """Relief of event-days.

    Parameters
    ----------
    avoided_kw, export_kw
        Charging put off and export, ``[event-day, step]``, kW; below 0 where charging is made up
        for. Export is at most what the feeder takes.
    managed_kw
        Managed charging, ``[event-day, step]``, kW.
    """

    avoided_kw: np.ndarray
    export_kw: np.ndarray
    managed_kw: np.ndarray

    @property
    def kw(self) -> np.ndarray:
        """Both together, ``[event-day, step]``, kW."""
        return np.asarray(self.avoided_kw + self.export_kw)


def relief(
    kw: np.ndarray, managed_kw: np.ndarray, export_limit_kw: float | np.ndarray | None = None
) -> Relief:
    """Return what export relieves against managed charging.

    Parameters
    ----------
    kw, managed_kw
        Power of the same event-days with and without the event, ``[event-day, point, step]``, kW;
        above 0 draws. A point is a vehicle or a connection point.
    export_limit_kw
        Export of the whole fleet that the feeder takes, kW, or ``[step]``; no limit where left
        out.
    """
    avoided = (np.maximum(managed_kw, 0.0) - np.maximum(kw, 0.0)).sum(axis=-2)
    export = (np.maximum(-kw, 0.0) - np.maximum(-managed_kw, 0.0)).sum(axis=-2)
    if export_limit_kw is not None:
        export = np.minimum(export, export_limit_kw)
    return Relief(avoided, export, managed_kw.sum(axis=-2))


def sustained(found: Relief, base_kw: np.ndarray, block: slice) -> pd.DataFrame:
    """Return what each event-day delivers over a block of hours.

    Parameters
    ----------
    found
        Relief of the event-days.
    base_kw
        Load without the fleet, ``[step]`` of the day, kW.
    block
        Steps of the day.

    Returns
    -------
    pandas.DataFrame
        A row an event-day: ``avoided_kw`` and ``export_kw``, each the least of any step;
        ``rebound_kw``, by how much the day's load outside the block comes to exceed its peak under
        managed charging; ``kw``, the least relief less the rebound, 0 or more. A rebound after
        midnight is not seen.
    """
    before = (base_kw + found.managed_kw).max(axis=-1)
    outside = np.ones(base_kw.shape[-1], dtype=bool)
    outside[block] = False
    load = base_kw + found.managed_kw - found.kw
    after = np.where(outside, load, -np.inf).max(axis=-1)
    rebound = np.maximum(after - before, 0.0)
    least = found.kw[:, block].min(axis=-1)
    return pd.DataFrame(
        {
            "kw": np.maximum(least - rebound, 0.0),
            "avoided_kw": np.maximum(found.avoided_kw[:, block].min(axis=-1), 0.0),
            "export_kw": np.maximum(found.export_kw[:, block].min(axis=-1), 0.0),
            "rebound_kw": rebound,
        }
    )


def credit_rows(
    found: Relief,
    base_kw: np.ndarray,
    *,
    step_hours: float,
    window: tuple[float, float] | None = None,
    hours: Sequence[float] = HOURS,
    levels: Sequence[float] = LEVELS,
) -> pd.DataFrame:
    """Return the credit of a set of independent event-days.

    Parameters
    ----------
    found
        Relief of the event-days.
    base_kw
        Load without the fleet, ``[step]`` of the day, kW.
    step_hours
        Length of a step, h.
    window
        Hours of system stress; left out, the hours round the peak of ``base_kw``.
    hours, levels
        What to report.

    Returns
    -------
    pandas.DataFrame
        A row a length and level: ``hours``, ``level`` (P95), ``from_h``, ``to_h``, ``kw`` (lower
        bound with 95 % confidence, NaN with too few event-days), ``estimate_kw`` (of the sample),
        ``avoided_kw`` and ``export_kw`` (bounds of each part in its own right: they do not add
        up), ``rebound_kw`` (mean over event-days, taken off), ``event_days`` and ``status``
        (``ok``, ``insufficient draws``, ``stress is shorter``).
    """
    rows = []
    for length, block in stress_blocks(base_kw, hours, step_hours, window).items():
        days = None if block is None else sustained(found, base_kw, block)
        for level in levels:
            row: dict[str, object] = {"hours": length, "level": f"P{100 * level:g}"}
            if days is None or block is None:
                rows.append(row | {"status": "stress is shorter", "event_days": len(found.kw)})
                continue
            estimate, bound = exceeded(days["kw"].to_numpy(), level)
            parts = {
                name: exceeded(days[name].to_numpy(), level)[1]
                for name in ("avoided_kw", "export_kw")
            }
            enough = len(days) >= least_event_days(level)
            rows.append(
                row
                | {"from_h": block.start * step_hours, "to_h": block.stop * step_hours}
                | {"kw": bound, "estimate_kw": estimate, **parts}
                | {"rebound_kw": float(days["rebound_kw"].mean()), "event_days": len(days)}
                | {"status": "ok" if enough else INSUFFICIENT}
            )
    return pd.DataFrame(rows, columns=CREDIT_COLUMNS)
