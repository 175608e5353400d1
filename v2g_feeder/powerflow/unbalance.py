"""How far three phases are from equal: two definitions for voltages, one for currents."""

from __future__ import annotations

import numpy as np

__all__ = ["current_unbalance_pct", "line_unbalance_pct", "sequence_unbalance_pct"]

_TURN = np.exp(2j * np.pi / 3)
_TINY = 1e-12


def line_unbalance_pct(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Return the largest deviation of the line voltages from their mean, percent of the mean.

    Parameters
    ----------
    a, b, c
        Complex phase voltages of one shape, V or per unit, to any common reference. 0 where all
        three are dead.

    References
    ----------
    ANSI C84.1-2020, annex C; NEMA MG-1 14.36.
    """
    line = np.abs(np.stack([a - b, b - c, c - a]))
    mean = line.mean(axis=0)
    found: np.ndarray = 100.0 * np.abs(line - mean).max(axis=0) / np.maximum(mean, _TINY)
    return found


def sequence_unbalance_pct(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Return negative over positive sequence of the voltages, percent.

    Parameters
    ----------
    a, b, c
        Complex phase voltages of one shape, V or per unit; the positive sequence is A-B-C. A
        common offset (of a neutral) does not change the result. 0 where all three are dead.

    References
    ----------
    EN 50160; IEC 61000-4-30, clause 5.7.
    """
    positive = np.abs(a + _TURN * b + _TURN**2 * c)
    negative = np.abs(a + _TURN**2 * b + _TURN * c)
    found: np.ndarray = 100.0 * negative / np.maximum(positive, _TINY)
    return found


def current_unbalance_pct(amps: np.ndarray, floor_a: float = 0.0) -> np.ndarray:
    """Return the largest deviation of three currents from their mean, percent of the mean.

    Parameters
    ----------
    amps
        Magnitudes in A, the last axis the three phases.
    floor_a
        Mean below which the deviation is taken in percent of this current instead, A: a feeder
        whose flow is about to turn carries little, and percent of little says nothing.
    """
    mean = amps.mean(axis=-1)
    base = np.maximum(np.maximum(mean, floor_a), _TINY)
    found: np.ndarray = 100.0 * np.abs(amps - mean[..., None]).max(axis=-1) / base
    return found
