"""The criteria one by one: what is compared, with which limit, at which places.

Each criterion is a function of arrays ``[step or state, place]``; :func:`criteria_of` lays the
limits of a study over the places of a feeder, once. A study applies them through
:class:`~v2g_feeder.screening.Screen`, a search over thousands of states through
:func:`~v2g_feeder.screening.binding`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Criterion
from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.powerflow.unbalance import current_unbalance_pct
from v2g_feeder.screening.compare import float32

if TYPE_CHECKING:
    from collections.abc import Callable

    from v2g_feeder.powerflow.solution import Observed, Solution
    from v2g_feeder.screening.limits import Limits

__all__ = ["Against", "Item", "criteria_of", "labels_of", "operations", "rated"]


class Against(Enum):
    """What a criterion does with the reference."""

    EFFECT = "effect"  # the value itself is limited; the reference says what is to blame
    CHANGE = "change"  # the change against the reference is limited
    DAILY = "daily"  # so is the count of a day, less the reference's


@dataclass(frozen=True)
class Item:
    """One criterion laid over a feeder.

    Parameters
    ----------
    criterion
        Which.
    values
        From a solution to ``[step, place]``, for ``DAILY`` the positions that are counted; empty
        where the engine does not observe it.
    limit
        Limit of each place, in the sign and unit of the violation table; not finite: none here.
    places
        Labels of the places: some of ``element, bus, node, phase``.
    against
        What is done with the reference.
    size
        For ``DAILY``: the size of one operation, ``[place]``.
    """

    criterion: Criterion
    values: Callable[[Solution], np.ndarray]
    limit: np.ndarray
    places: pd.DataFrame
    against: Against = Against.EFFECT
    size: np.ndarray | None = None

    @property
    def limited(self) -> bool:
        """Whether any place has a limit."""
        return bool(np.isfinite(self.limit).any())

    @cached_property
    def labels(self) -> dict[str, np.ndarray]:
        """Labels of the places by column."""
        return labels_of(self.places)


def labels_of(places: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return what is there of ``element, bus, node, phase`` as columns."""
    return {
        name: places[name].to_numpy(dtype=object)
        for name in ("element", "bus", "node", "phase")
        if name in places
    }


def criteria_of(observed: Observed, limits: Limits, season: str = "") -> tuple[Item, ...]:
    """Return the criteria that a feeder is screened by.

    Parameters
    ----------
    observed
        The places, in the order of the arrays.
    limits
        What to screen against. Infinite limits switch a criterion off.
    season
        Picks the season's ratings of lines.

    Returns
    -------
    tuple of Item
        Only those with a limit anywhere; sudden changes are screened beside them.

    Raises
    ------
    InputError
        For a reverse-flow limit at a place that is not watched, or an unknown voltage class.
    """
    items = (
        *_by_step(observed, limits, season),
        *_unbalance(observed, limits),
        *_by_reference(observed, limits),
        *_duty(observed, limits),
    )
    return tuple(item for item in items if item.limited)


def rated(observed: Observed) -> np.ndarray:
    """Return whether each element has a stated rating, ``[element]``."""
    elements = observed.elements
    known: np.ndarray = (
        (elements["rating_source"] != "unknown")
        & elements[["rating_a", "rating_kva"]].notna().any(axis=1)
    ).to_numpy(dtype=bool)
    return known


def operations(position: np.ndarray, size: np.ndarray, steps_per_day: int) -> np.ndarray:
    """Return how often regulators or capacitors moved, ``[day, place]``.

    Parameters
    ----------
    position
        Tap in per unit, or capacitor steps in service, ``[step, place]``, whole days.
    size
        Size of one operation, ``[place]``.
    steps_per_day
        Steps of a day; what moves between two days is not counted.

    Returns
    -------
    numpy.ndarray
        A lower bound: what moves and returns within a step is not seen.
    """
    days = position.astype(float).reshape(-1, steps_per_day, position.shape[1])
    moved: np.ndarray = np.rint(np.abs(np.diff(days, axis=1)) / size).sum(axis=1)
    return moved


def _by_step(observed: Observed, limits: Limits, season: str) -> list[Item]:
    """Return voltages, loadings and reverse flow."""
    vmin, vmax = limits.voltage_band(observed.voltages["kv_class"].to_numpy(dtype=float))
    normal, emergency = limits.loading(observed.elements, season)
    reverse = 0.0 - _reverse_limits(observed, limits)
    voltages, elements, flows = observed.voltages, observed.elements, observed.flows
    return [
        Item(Criterion.OVER_VOLTAGE, lambda run: float32(run.v_pu), vmax, voltages),
        Item(Criterion.UNDER_VOLTAGE, lambda run: float32(run.v_pu), vmin, voltages),
        Item(Criterion.THERMAL, lambda run: float32(run.loading_pct), normal, elements),
        Item(Criterion.EMERGENCY, lambda run: float32(run.loading_pct), emergency, elements),
        Item(Criterion.REVERSE_FLOW, lambda run: float32(run.flow_kw), reverse, flows),
    ]


def _unbalance(observed: Observed, limits: Limits) -> list[Item]:
    """Return unbalance of voltages, by two definitions, and of the head current."""
    buses = observed.balanced
    head = pd.DataFrame({"element": ["head"], "bus": [observed.head_bus], "phase": ["ABC"]})
    floor = limits.head_unbalance_floor_a

    def of_head(run: Solution) -> np.ndarray:
        if not run.head_amps.size:
            return run.head_amps
        return float32(current_unbalance_pct(run.head_amps, floor))[:, None]

    return [
        Item(
            Criterion.LINE_UNBALANCE,
            lambda run: float32(run.line_unbalance_pct),
            np.full(len(buses), limits.line_unbalance_pct),
            buses,
        ),
        Item(
            Criterion.SEQUENCE_UNBALANCE,
            lambda run: float32(run.sequence_unbalance_pct),
            np.full(len(buses), limits.sequence_unbalance_pct),
            buses,
        ),
        Item(Criterion.HEAD_UNBALANCE, of_head, np.array([limits.head_unbalance_pct]), head),
    ]


def _by_reference(observed: Observed, limits: Limits) -> list[Item]:
    """Return slow changes: at every service voltage, and at the two sides of regulators."""
    voltages, bands = observed.voltages, observed.bands
    row = bands["row"].to_numpy(dtype=int)
    at_regulators = voltages.iloc[row][["bus", "node", "phase"]].reset_index(drop=True)
    at_regulators.insert(0, "element", bands["element"].to_numpy(dtype=object))
    return [
        Item(
            Criterion.SLOW_VOLTAGE,
            lambda run: float32(run.v_pu),
            limits.slow_change(voltages["kv_class"].to_numpy(dtype=float)),
            voltages,
            Against.CHANGE,
        ),
        Item(
            Criterion.REGULATOR_VOLTAGE,
            lambda run: float32(run.v_pu)[:, row],
            limits.band_share * bands["band_pu"].to_numpy(dtype=float),
            at_regulators,
            Against.CHANGE,
        ),
    ]


def _duty(observed: Observed, limits: Limits) -> list[Item]:
    """Return operations of regulators and capacitors."""
    taps = [f"Transformer.{name}" for name in observed.regulators]
    banks = [f"Capacitor.{name}" for name in observed.capacitors]
    steps = np.array(observed.tap_steps or [np.nan] * len(taps), dtype=float)
    return [
        Item(
            Criterion.TAP_OPERATIONS,
            lambda run: float32(run.taps),
            np.where(steps > 0, limits.tap_operations_a_day, np.nan),
            pd.DataFrame({"element": np.array(taps, dtype=object)}),
            Against.DAILY,
            steps,
        ),
        Item(
            Criterion.CAPACITOR_OPERATIONS,
            lambda run: run.capacitor_steps,
            np.full(len(banks), limits.capacitor_operations_a_day),
            pd.DataFrame({"element": np.array(banks, dtype=object)}),
            Against.DAILY,
            np.ones(len(banks)),
        ),
    ]


def _reverse_limits(observed: Observed, limits: Limits) -> np.ndarray:
    """Return the allowed reverse flow of each watched place, kW, NaN where there is none."""
    limit: np.ndarray = observed.flows["limit_kw"].to_numpy(dtype=float, copy=True)
    if not limits.reverse_flow_kw:
        return limit
    watched = observed.flows["element"].str.lower().to_numpy()
    problems = []
    for name, kw in limits.reverse_flow_kw.items():
        here = watched == name.lower()
        limit[here] = kw
        if not here.any():
            known = list(observed.flows["element"].unique())
            message = "no reverse flow is watched at this element"
            problems.append(
                Problem(f"limits.reverse_flow_kw.{name}", message, nearest(name, known))
            )
    if problems:
        raise InputError(problems)
    return limit
