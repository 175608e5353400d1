"""Sharing a requested export among vehicles by their slack."""

from __future__ import annotations

import numpy as np

__all__ = ["share_by_slack"]


def share_by_slack(
    request_kw: float, limit_kw: np.ndarray, slack: np.ndarray, draw: np.ndarray, n_draws: int
) -> np.ndarray:
    """Share a request in proportion to slack, no vehicle above its limit.

    Parameters
    ----------
    request_kw
        Export asked of each draw, kW, a magnitude.
    limit_kw
        Highest export of each vehicle, ``[vehicle]``, kW.
    slack
        Weight of each vehicle, ``[vehicle]``; above 0 wherever ``limit_kw`` is.
    draw
        Draw of each vehicle, ``[vehicle]``.
    n_draws
        Number of draws.

    Returns
    -------
    numpy.ndarray
        Export, ``[vehicle]``, kW. By draw its sum is the request, or the sum of the limits where
        that is less; never above the request.
    """
    full = limit_kw <= 0
    while True:
        left = request_kw - np.bincount(draw, limit_kw * full, n_draws)
        weight = np.bincount(draw, slack * ~full, n_draws)
        rate = np.divide(left, weight, out=np.zeros(n_draws), where=weight > 0)
        newly = ~full & (np.maximum(rate, 0.0)[draw] * slack >= limit_kw)
        if not newly.any():
            break
        full |= newly
    export = np.where(full, limit_kw, np.maximum(rate, 0.0)[draw] * slack)
    total = np.bincount(draw, export, n_draws)
    scale = np.divide(request_kw, total, out=np.ones(n_draws), where=total > request_kw)
    return np.asarray(export * scale[draw])
