"""Tables of a result that figures are drawn from, for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.report.network_figures import Duration
from v2g_feeder.report.styles import policy_style
from v2g_feeder.report.words import run_name

if TYPE_CHECKING:
    from v2g_feeder.report.reading import Result, Run

__all__ = ["head_durations", "heat_table", "voltage_profile"]


def voltage_profile(result: Result, run: Run, step: int, *, draw: int = 0) -> pd.DataFrame:
    """Return the voltages of a step along the feeder.

    Parameters
    ----------
    result
        From :func:`~v2g_feeder.report.read_result`.
    run
        Policy and case.
    step
        Step of the calendar.
    draw
        A stored draw: 0, or any with ``store: all``.

    Returns
    -------
    pandas.DataFrame
        One row a service voltage: ``node``, ``bus``, ``phase``, ``kv_class``, ``km`` from the
        source, ``v_pu``, and ``km_from``, ``v_from`` of the same phase one bus towards the source
        (NaN where there is none, or on another voltage class).

    Raises
    ------
    InputError
        For a run that the result does not hold.
    """
    _check_run(result, run)
    arrays = result.arrays
    v_pu = arrays["v_pu"].sel(policy=run[0], case=run[1]).isel(draw=draw, step=step)
    names = [str(name) for name in arrays["bus"].to_numpy()]
    buses = pd.DataFrame(
        {
            "km": arrays["bus_km"].to_numpy(),
            "parent": [str(name).lower() for name in arrays["bus_parent"].to_numpy()],
        },
        index=[name.lower() for name in names],
    )
    table = pd.DataFrame(
        {
            "node": [str(name) for name in arrays["node"].to_numpy()],
            "bus": [str(name) for name in arrays["node_bus"].to_numpy()],
            "phase": [str(name) for name in arrays["node_phase"].to_numpy()],
            "kv_class": arrays["node_kv_class"].to_numpy(),
            "v_pu": v_pu.to_numpy(),
        }
    )
    own = table["bus"].str.lower()
    table.insert(4, "km", buses["km"].reindex(own).to_numpy())
    at = pd.MultiIndex.from_arrays([own, table["phase"], table["kv_class"]])
    first = table.set_index(at)[["km", "v_pu"]]
    first = first[~first.index.duplicated()]
    above = buses["parent"].reindex(own).to_numpy()
    wanted = pd.MultiIndex.from_arrays([above, table["phase"], table["kv_class"]])
    table[["km_from", "v_from"]] = first.reindex(wanted).to_numpy()
    return table


def head_durations(result: Result, case: str = "expected") -> list[Duration]:
    """Return the feeder head's kW of every policy in a case, weighted by days a year, draw 0."""
    arrays = result.arrays
    weights = np.asarray(arrays["weight_days"].to_numpy(), float)
    return [
        Duration(
            run_name(*run),
            arrays["head_kw"].sel(policy=run[0], case=run[1]).to_numpy()[0],
            weights,
            *policy_style(run[0]),
        )
        for run in result.runs
        if run[1] == case
    ]


def heat_table(result: Result, values: np.ndarray) -> pd.DataFrame:
    """Return a value of each step as days by hours; of several steps in an hour the highest.

    The index is ``(season, day_type)`` in the order of the calendar, the columns hours 0 to 23.
    """
    steps = result.steps.assign(value=np.asarray(values, float))
    days = pd.MultiIndex.from_frame(steps[["season", "day_type"]].drop_duplicates())
    table = steps.pivot_table(
        index=["season", "day_type"], columns="hour", values="value", aggfunc="max", dropna=False
    )
    return table.reindex(index=days, columns=range(24))


def _check_run(result: Result, run: Run) -> None:
    """Raise for a run that the result does not hold."""
    if run not in result.runs:
        known = ["/".join(pair) for pair in result.runs]
        hint = nearest("/".join(run), known) or f"it holds {', '.join(known)}"
        raise InputError(Problem(str(result.folder), f"holds no run {'/'.join(run)}", hint))
