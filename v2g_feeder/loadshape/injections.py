"""From vehicles to signed kW at each connection point."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from v2g_feeder.conventions import Case

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

__all__ = ["adder", "at_points", "by_point", "coincident"]


def adder(of_vehicle: np.ndarray, points: int) -> csr_array:
    """Return the matrix that adds vehicles up by connection point, ``[point, vehicle]``."""
    vehicles = len(of_vehicle)
    one_each = (np.ones(vehicles), (of_vehicle, np.arange(vehicles)))
    return csr_array(one_each, (points, vehicles))


def at_points(kw: np.ndarray, of_vehicle: np.ndarray, points: int) -> np.ndarray:
    """Add vehicles up by connection point.

    Parameters
    ----------
    kw
        Signed kW, ``[vehicle, step]``.
    of_vehicle
        Point of each vehicle, ``[vehicle]``.
    points
        Number of points.

    Returns
    -------
    np.ndarray
        Signed kW, ``[point, step]``.
    """
    return np.asarray(adder(of_vehicle, points) @ kw)


def coincident(
    case: str,
    points: pd.DataFrame,
    charge_kw: np.ndarray,
    export_kw: np.ndarray,
    steps: int,
    exporting_phase: str = "A",
) -> np.ndarray:
    """Return the injections of a bounding case, the same at every step.

    Parameters
    ----------
    case
        ``coincident_export`` (every export-capable vehicle exports at its rating, the others
        idle), ``coincident_charge`` (all charge) or ``coincident_split`` (export-capable vehicles
        of ``exporting_phase`` export while all vehicles of the other phases charge).
    points
        With ``phase``; a line-to-line point belongs to its first phase.
    charge_kw, export_kw
        Rated power by point, magnitudes, ``[point]``.
    steps
        Number of steps.
    exporting_phase
        For ``coincident_split``.

    Returns
    -------
    np.ndarray
        Signed kW, ``[point, step]``. State of charge is ignored on purpose: these are bounds.
        A three-phase point exports a third of what its phases would, so it stays idle in a split.
    """
    if case == Case.COINCIDENT_EXPORT:
        signed = -export_kw
    elif case == Case.COINCIDENT_CHARGE:
        signed = charge_kw
    else:
        first = np.array([str(phase)[:1] for phase in points["phase"]], dtype=object)
        three = np.array([len(str(phase)) == 3 for phase in points["phase"]], dtype=bool)
        signed = np.where(first == exporting_phase, -export_kw, charge_kw)
        signed = np.where(three, 0.0, signed)
    return np.repeat(np.asarray(signed, float)[:, None], steps, axis=1)


def by_point(of_vehicle: np.ndarray, kw: Sequence[float] | np.ndarray, points: int) -> np.ndarray:
    """Return a rating in kW added up by point, ``[point]``."""
    return np.bincount(of_vehicle, weights=np.asarray(kw, float), minlength=points)[:points]
