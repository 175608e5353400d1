"""Which phase a charger is on, told from its power and the voltages of a node near it."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

__all__ = ["match_phases"]

_LEAST_CHANGES: Final = 10
_LEAST_KW: Final = 0.5  # a change smaller than this moves no node voltage that is measured


def match_phases(
    table: pd.DataFrame, voltages: pd.DataFrame, least_correlation: float
) -> pd.DataFrame:
    """Compare the phases that chargers state with those whose voltage falls as they draw more.

    Changes from one reading to the next are correlated, not the readings: load and taps move the
    voltage of all phases together over hours, a charger moves its own at once.

    Parameters
    ----------
    table
        ``timestamp``, ``charger``, ``phase`` and ``kw`` (above 0 draws).
    voltages
        By time, columns of ``A``, ``B``, ``C``, any unit.
    least_correlation
        A phase counts as told if the correlation is this far below 0.

    Returns
    -------
    pandas.DataFrame
        A row a charger: ``charger``, ``phase`` (stated most often), ``follows`` (phases by
        voltage), ``correlation`` (of the phase followed most) and ``verdict``: ``confirmed``,
        ``contradicted``, ``not clear``, or ``not tested`` (three phases, a phase without voltage,
        fewer than ten changes of power).

    References
    ----------
    Phase identification by correlation of meter and node voltage: Pezeshki, H. and Wolfs, P. J.,
    "Consumer phase identification in a three phase unbalanced LV distribution network", ISGT
    Europe 2012; here with the charger's power, which is known, for its voltage.
    """
    rows = []
    dv = voltages.diff()
    for charger, own in table.groupby("charger"):
        stated = own.loc[own["phase"] != "", "phase"].mode()
        phase = str(stated.iloc[0]) if len(stated) else ""
        dkw = own.set_index("timestamp")["kw"].diff()
        both = dv.join(dkw.rename("kw"), how="inner").dropna()
        moving = int((both["kw"].abs() > _LEAST_KW).sum())
        count = len(phase)
        r = _correlations(both)
        if moving < _LEAST_CHANGES or count not in (1, 2) or not set(phase) <= set(voltages):
            rows.append((charger, phase, "", np.nan, "not tested"))
            continue
        order = r.sort_values().index
        follows = "".join(sorted(order[:count]))
        told = r[order[:count]].max() <= -least_correlation
        if not told:
            verdict = "not clear"
        else:
            verdict = "confirmed" if set(follows) == set(phase) else "contradicted"
        follows = "CA" if follows == "AC" else follows
        rows.append((charger, phase, follows if told else "", float(r.min()), verdict))
    return pd.DataFrame(rows, columns=["charger", "phase", "follows", "correlation", "verdict"])


def _correlations(both: pd.DataFrame) -> pd.Series:
    """Return the correlation of changes of kW with those of each phase; 0 without any."""
    centred = both - both.mean()
    norm = np.sqrt((centred**2).sum())
    dot = centred.drop(columns="kw").mul(centred["kw"], axis=0).sum()
    scale = norm.drop("kw") * norm["kw"]
    return dot.where(scale > 0, 0.0) / scale.where(scale > 0, 1.0)
