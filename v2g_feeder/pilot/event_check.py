"""An event that took place: called against delivered, and the feeder's response against a model.

The response is read at the edges of the event. Load drifts by as much in half an hour as a small
fleet moves it, so a slope common to the minutes before and after an edge is fitted together with
the step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.errors import InputError, Problem
from v2g_feeder.feeder.base_load_table import first_few
from v2g_feeder.pilot.tables import numbers, read_text_table, times

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["EventCall", "delivered", "read_event", "response", "with_model"]

_PLAUSIBLE_PU: Final = (0.5, 1.5)
_LEAST_READINGS: Final = 2
_REACHED: Final = 0.9  # of what was called


@dataclass(frozen=True)
class EventCall:
    """What was called.

    Parameters
    ----------
    start, end
        Local standard time.
    called_kw
        Magnitude of the change asked for at the grid side of the chargers, kW.
    settle_min, edge_min
        Minutes from an edge until its response is read, and length of the means around it.
    """

    start: pd.Timestamp
    end: pd.Timestamp
    called_kw: float
    settle_min: float
    edge_min: float

    def validate(self, where: str) -> list[Problem]:
        """Return what is wrong with it."""
        problems = []
        if not self.called_kw > 0:
            problems.append(Problem(f"{where}.called_kw", f"{self.called_kw:g} is not above 0"))
        least = pd.Timedelta(minutes=self.settle_min + self.edge_min)
        if self.end - self.start < least:
            text = f"the event is shorter than the {least.total_seconds() / 60:g} min that are read"
            problems.append(Problem(f"{where}.end", text))
        return problems


def read_event(path: Path, *, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Read the telemetry of an event.

    Parameters
    ----------
    path
        CSV: ``timestamp`` (local standard time), ``fleet_kw`` and ``head_kw`` (import positive),
        and a column of pu a node, named by the node: ``13.1``. Empty entries are missing.
    columns
        Your names of the first three.

    Returns
    -------
    pandas.DataFrame
        By time: ``fleet_kw``, ``head_kw`` and the nodes, NaN where missing.
    """
    given = dict(columns or {})
    table = read_text_table(path, ("timestamp", "fleet_kw", "head_kw"), given, others=True)
    stamps, problems = times(table["timestamp"], path, given.get("timestamp"))
    found = {}
    for name in table.columns.drop("timestamp"):
        values, wrong = numbers(table[name], path, given.get(name))
        problems += wrong
        low, high = _PLAUSIBLE_PU
        odd = (values < low) | (values > high)
        if name not in ("fleet_kw", "head_kw") and odd.any():
            where = f"{path}, line {table.index[odd][0]}, column {name!r}"
            text = f"{values[odd][0]:g} is no voltage in pu"
            problems.append(Problem(where, text, "divide by the base"))
        found[name] = values
    twice = [
        Problem(f"{path}, line {line}", f"{stamp} comes twice")
        for line, stamp in stamps[stamps.duplicated() & stamps.notna()].items()
    ]
    problems += first_few(twice, path, "rows like these")
    if problems:
        raise InputError(problems)
    return pd.DataFrame(found, index=pd.DatetimeIndex(stamps)).sort_index()


def delivered(record: pd.DataFrame, call: EventCall) -> dict[str, float]:
    """Return what the fleet delivered of what was called.

    Parameters
    ----------
    record
        As :func:`read_event` returns it.
    call
        The event.

    Returns
    -------
    dict
        ``called_kw``; ``baseline_kw`` (mean of the fleet just before the start); ``mean_kw``,
        ``lowest_kw`` (below the baseline, the lowest from ``settle_min`` on) and ``mean_share`` of
        what was called; ``reached_s`` (from the start until 90 % of it was delivered);
        ``rebound_kw`` (highest above the baseline in the hour after). NaN where nothing was
        recorded.
    """
    kw = record["fleet_kw"]
    before = _between(kw, call.start - _minutes(call.edge_min), call.start)
    baseline = float(before.mean())
    inside = baseline - _between(kw, call.start, call.end)
    held = inside[inside.index >= call.start + _minutes(call.settle_min)]
    reached = inside.index[inside >= _REACHED * call.called_kw]
    after = _between(kw, call.end, call.end + _minutes(60)) - baseline
    mean = float(inside.mean())
    return {
        "called_kw": call.called_kw,
        "baseline_kw": baseline,
        "mean_kw": mean,
        "lowest_kw": float(held.min()),
        "mean_share": mean / call.called_kw,
        "reached_s": float((reached[0] - call.start).total_seconds()) if len(reached) else np.nan,
        "rebound_kw": float(after.max()),
    }


def response(record: pd.DataFrame, call: EventCall) -> pd.DataFrame:
    """Return how fleet, head and node voltages changed at both edges of the event.

    Returns
    -------
    pandas.DataFrame
        ``edge`` (``start``, ``end``), ``quantity`` (``fleet_kw``, ``head_kw`` or a node),
        ``before`` (level at the edge) and ``change`` (the step, without the drift), kW or pu; NaN
        with fewer than two readings on a side.
    """
    rows = []
    for edge, moment in (("start", call.start), ("end", call.end)):
        before = _between(record, moment - _minutes(call.edge_min), moment)
        settled = moment + _minutes(call.settle_min)
        after = _between(record, settled, settled + _minutes(call.edge_min))
        both = pd.concat([before, after])
        hours = np.asarray((both.index - moment).total_seconds()) / 3600
        step = np.arange(len(both)) >= len(before)
        rows += [(edge, str(name), *_step(hours, step, both[name].to_numpy())) for name in both]
    return pd.DataFrame(rows, columns=["edge", "quantity", "before", "change"])


def _step(hours: np.ndarray, step: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Return the level before an edge and the change at it, with the slope taken out.

    NaN where one side has fewer than two readings.
    """
    known = np.isfinite(values)
    if min((known & step).sum(), (known & ~step).sum()) < _LEAST_READINGS:
        return float("nan"), float("nan")
    terms = np.column_stack([np.ones(len(hours)), step, hours])[known]
    (level, change, _), *_ = np.linalg.lstsq(terms, values[known], rcond=None)
    return float(level), float(change)


def with_model(measured: pd.DataFrame, modelled: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the measured response beside the modelled one.

    Parameters
    ----------
    measured
        As :func:`response` returns it.
    modelled
        By edge, a table by quantity with ``taps_held`` and ``taps_free``: the change that a model
        gives for the change of the fleet that was measured
        (:func:`v2g_feeder.pilot.event_model.modelled_response`).

    Returns
    -------
    pandas.DataFrame
        With the columns ``taps_held`` and ``taps_free``, NaN for the fleet and for nodes that the
        model does not have.
    """
    if not modelled:
        return measured.assign(taps_held=np.nan, taps_free=np.nan)
    every = pd.concat(dict(modelled), names=["edge", "quantity"])
    return measured.join(every, on=["edge", "quantity"])


def _between(table: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    """Return the rows from ``start`` to before ``end``."""
    return table[(table.index >= start) & (table.index < end)]


def _minutes(count: float) -> pd.Timedelta:
    return pd.Timedelta(minutes=count)
