"""What export events deliver, and what comes after them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from v2g_feeder.dispatch import Dispatch, Programme

__all__ = ["event_days", "held_in", "rebound"]

_AFTER_H: Final = 4.0
_FULL: Final = 1 - 1e-9


def event_days(dispatch: Dispatch, programme: Programme) -> pd.DataFrame:
    """Return what each event of each draw delivers.

    Parameters
    ----------
    dispatch
        An export run.
    programme
        With the aggregator's latency and ramp: ``held_kw`` counts from the first step in which the
        whole request is asked for (all steps, where there is none).

    Returns
    -------
    pandas.DataFrame
        ``draw, day, request_kw, held_kw`` (the lowest step) and ``mean_kw`` (over the window),
        magnitudes in kW at the grid side.
    """
    event = dispatch.event
    if event is None:
        return pd.DataFrame()
    days = round(dispatch.kw.shape[2] * dispatch.step_hours / 24)
    windows = event.windows(days, dispatch.step_minutes)
    if not len(windows):
        return pd.DataFrame()
    held, mean = np.empty((2, len(windows), len(dispatch.kw)))
    for number, (first, last) in enumerate(windows):
        asked = programme.aggregator.envelope(last - first, dispatch.step_hours) >= _FULL
        inside = np.maximum(-dispatch.kw[:, :, first:last], 0.0).sum(axis=1)
        held[number] = (inside[:, asked] if asked.any() else inside).min(axis=1)
        mean[number] = inside.mean(axis=1)
    return pd.DataFrame(
        {
            "draw": np.tile(np.arange(held.shape[1]), len(windows)),
            "day": np.repeat(
                (windows[:, 0] * dispatch.step_hours // 24).astype(int), held.shape[1]
            ),
            "request_kw": event.request_kw,
            "held_kw": held.ravel(),
            "mean_kw": mean.ravel(),
        }
    )


def held_in(held_kw: np.ndarray, share: float = 0.95) -> float:
    """Return the kW that are held in at least ``share`` of the event-days, 0 without any."""
    values = np.asarray(held_kw, float)
    return float(np.quantile(values, 1 - share, method="lower")) if len(values) else 0.0


def rebound(dispatch: Dispatch) -> pd.DataFrame:
    """Return the fleet's highest power in the four hours after an event.

    Returns
    -------
    pandas.DataFrame
        One row: ``peak_kw_mean`` and ``peak_kw_p95`` over draws and events, kW.
    """
    event = dispatch.event
    if event is None:
        return pd.DataFrame()
    steps = dispatch.kw.shape[2]
    after = round(_AFTER_H / dispatch.step_hours)
    ends = event.windows(round(steps * dispatch.step_hours / 24), dispatch.step_minutes)[:, 1]
    head = dispatch.head_kw
    peaks = [head[:, end : end + after].max(axis=1) for end in ends if end < steps]
    values = np.concatenate(peaks) if peaks else np.zeros(1)
    return pd.DataFrame(
        {"peak_kw_mean": [values.mean()], "peak_kw_p95": [np.quantile(values, 0.95)]}
    )
