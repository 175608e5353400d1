"""When export comes: before the hours of stress are over, or after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from v2g_feeder.dispatch import Event

__all__ = ["export_timing", "timing_summary"]

_BEFORE_H: Final = 3.0
_LEAST_KWH: Final = 1e-6


def export_timing(
    kw: np.ndarray,
    managed_kw: np.ndarray,
    event: Event,
    stress: tuple[float, float],
    *,
    step_hours: float,
) -> pd.DataFrame:
    """Return when each event's export comes, against the hours of stress of its day.

    Parameters
    ----------
    kw, managed_kw
        ``[draw, 2, step]`` of a row of days from a Monday: what vehicles draw together and what
        they export together (below 0), with events and with managed charging alone, kW.
    event
        The events.
    stress
        First and last hour of stress of a day, h.
    step_hours
        Length of a step, h.

    Returns
    -------
    pandas.DataFrame
        A row a draw and event: ``draw, day``; ``before_kwh`` and ``after_kwh``, exported until the
        stress is over and later; ``export_kw``, mean over the hours of stress; ``relief_kw``, the
        same of managed charging less export, charging put off included; ``load_kw``, the highest
        net load of the fleet from three hours before the stress until its end, and ``load_h``, its
        hour of the day; ``in_time``, whether at least as much is exported before the end of stress
        as after it, and anything at all.
    """
    days = round(kw.shape[2] * step_hours / 24)
    rows = []
    for first, last in event.windows(days, round(step_hours * 60)):
        day = int(first * step_hours // 24)
        begin, end = (round((24 * day + hour) / step_hours) for hour in stress)
        close = min(max(end, first), last)
        exported = -kw[:, 1]
        before = exported[:, first:close].sum(axis=1) * step_hours
        after = exported[:, close:last].sum(axis=1) * step_hours
        early = max(begin - round(_BEFORE_H / step_hours), 0)
        net = kw[:, :, early:end].sum(axis=1)
        peak = net.argmax(axis=1)
        gain = (managed_kw - kw).sum(axis=1)[:, begin:end].mean(axis=1)
        rows.append(
            pd.DataFrame(
                {
                    "draw": np.arange(len(kw)),
                    "day": day,
                    "before_kwh": before,
                    "after_kwh": after,
                    "export_kw": exported[:, begin:end].mean(axis=1),
                    "relief_kw": gain,
                    "load_kw": net.max(axis=1),
                    "load_h": (early + peak) * step_hours % 24,
                    "in_time": (before >= after) & (before > _LEAST_KWH),
                }
            )
        )
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def timing_summary(table: pd.DataFrame) -> dict[str, Any]:
    """Return what :func:`export_timing` says over all event-days and draws.

    Returns
    -------
    dict
        ``event_days``, ``in_time`` (event-days), ``draws``, ``draws_in_time`` (draws whose export
        comes in time on more than half of their event-days), ``before_share`` of the exported
        energy, NaN without any; ``export_kw`` and ``relief_kw`` as ``_mean``, ``_min`` and ``_max``
        over the draws' means; ``load_kw_mean``, ``load_kw_max`` and ``load_h`` (the commonest).
    """
    by_draw = table.groupby("draw")
    often = by_draw["in_time"].mean() > 0.5
    total = table["before_kwh"].sum() + table["after_kwh"].sum()
    found: dict[str, Any] = {
        "event_days": len(table),
        "in_time": int(table["in_time"].sum()),
        "draws": len(often),
        "draws_in_time": int(often.sum()),
        "before_share": float(table["before_kwh"].sum() / total) if total else float("nan"),
    }
    for name in ("export_kw", "relief_kw"):
        means = by_draw[name].mean()
        found |= {f"{name}_mean": means.mean(), f"{name}_min": means.min()}
        found[f"{name}_max"] = means.max()
    found["load_kw_mean"] = table["load_kw"].mean()
    found["load_kw_max"] = table["load_kw"].max()
    found["load_h"] = table["load_h"].mode().iloc[0]
    return {
        name: value if isinstance(value, int) else float(value) for name, value in found.items()
    }
