"""Limits as a share of the way to them: one number for all places and criteria of a state.

A charger moves every screened value away from its base state. The *rise* of a value is that move
over the room that the value had (to its limit; where the base state breaks it already, what "no
worse than the reference" allows). A state passes where no rise is above 1, and a value that grows
in proportion to the size meets its limit at the size over its rise: the largest rise says both
whether a size passes and where the limit is to be looked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from v2g_feeder.compiled import compiled
from v2g_feeder.conventions import Criterion
from v2g_feeder.hosting.events import NO_EVENT
from v2g_feeder.powerflow.rows import WIDTH, chosen, larger, put_row, row_at, row_of, within
from v2g_feeder.powerflow.unbalance import current_unbalance_pct
from v2g_feeder.screening import Against, criteria_of, excess, room

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from v2g_feeder.hosting.events import EventSteps
    from v2g_feeder.powerflow.batch import BatchSolver, Bench, Gauge
    from v2g_feeder.powerflow.solution import Observed, SuddenKind
    from v2g_feeder.screening import Item, Limits

__all__ = ["SEARCHED", "Bound", "Bounds", "Part", "parts_of", "read_values"]

SEARCHED: Final = (
    Criterion.OVER_VOLTAGE,
    Criterion.UNDER_VOLTAGE,
    Criterion.SUDDEN_VOLTAGE,
    Criterion.THERMAL,
    Criterion.EMERGENCY,
    Criterion.REVERSE_FLOW,
    Criterion.LINE_UNBALANCE,
    Criterion.SEQUENCE_UNBALANCE,
    Criterion.HEAD_UNBALANCE,
    Criterion.SLOW_VOLTAGE,
    Criterion.REGULATOR_VOLTAGE,
)
"""Criteria of a single state; operations of taps and capacitors belong to whole days."""
_SOURCE: Final = {
    Criterion.THERMAL: "loading_pct",
    Criterion.EMERGENCY: "loading_pct",
    Criterion.REVERSE_FLOW: "flow_kw",
    Criterion.LINE_UNBALANCE: "line_unbalance_pct",
    Criterion.SEQUENCE_UNBALANCE: "sequence_unbalance_pct",
    Criterion.HEAD_UNBALANCE: "head_unbalance_pct",
}
_FALLING: Final = (Criterion.UNDER_VOLTAGE, Criterion.REVERSE_FLOW)
_LEAST_ROOM: Final = 1e-9


@dataclass(frozen=True)
class Part:
    """One criterion at the places where it has a limit.

    Parameters
    ----------
    criterion
        Which.
    source
        Name of the values that it is read from.
    rows
        Positions in those values, ``[place]``.
    limit
        As in the violation table, ``[place]``.
    labels
        What a limiting place is called, ``[place]``.
    buses
        Bus of each place, ``[place]``.
    change
        Whether the change is limited, and not the value.
    sudden
        Of a sudden change, which it is.
    """

    criterion: Criterion
    source: str
    rows: np.ndarray
    limit: np.ndarray
    labels: np.ndarray
    buses: np.ndarray
    change: bool
    sudden: SuddenKind | None = None

    @property
    def sudden_step(self) -> str:
        """Name of the sudden change; empty for others."""
        return "" if self.sudden is None else self.sudden.name.lower()


def parts_of(
    observed: Observed, limits: Limits, season: str = "", events: EventSteps = NO_EVENT
) -> tuple[Part, ...]:
    """Return the criteria that bind a search; those without a limit anywhere are left out."""
    found = [
        _part(item, observed)
        for item in criteria_of(observed, limits, season)
        if item.against != Against.DAILY
    ]
    volts = observed.voltages
    sudden = limits.sudden_change(volts["kv_class"].to_numpy(float))
    rows = np.flatnonzero(np.isfinite(sudden))
    labels, buses = (volts[name].to_numpy(object)[rows] for name in ("node", "bus"))
    name, limit = Criterion.SUDDEN_VOLTAGE, sudden[rows]
    found += [
        Part(name, "v_pu", rows, limit, labels, buses, change=True, sudden=kind)
        for kind in events.kinds
    ]
    return tuple(part for part in found if len(part.rows))


def _part(item: Item, observed: Observed) -> Part:
    """Return a criterion of the screening at its limited places."""
    keep = np.flatnonzero(np.isfinite(item.limit))
    places = item.places.iloc[keep]
    name = next(name for name in ("element", "node", "bus") if name in places)
    rows = keep
    if item.criterion == Criterion.REGULATOR_VOLTAGE:
        rows = observed.bands["row"].to_numpy(int)[keep]
    return Part(
        item.criterion,
        _SOURCE.get(item.criterion, "v_pu"),
        rows,
        item.limit[keep],
        places[name].to_numpy(object),
        places["bus"].to_numpy(object),
        change=item.against == Against.CHANGE,
    )


def read_values(
    solver: BatchSolver, bench: Bench, gauge: Gauge, wanted: Sequence[str], floor_a: float
) -> dict[str, np.ndarray]:
    """Return the values that limits are set on, each ``[place, state]``, of a solved bench.

    Parameters
    ----------
    solver, bench, gauge
        The block, and what is read off every one.
    wanted
        Names of further values; unbalance costs as much as a solution.
    floor_a
        Mean current from which the head's unbalance counts in full, A.
    """
    found = {name: getattr(gauge, name) for name in ("v_pu", "loading_pct", "flow_kw")}
    pair = ("line_unbalance_pct", "sequence_unbalance_pct")
    if set(pair) & set(wanted):
        found |= dict(zip(pair, solver.unbalance(bench), strict=True))
    if "head_unbalance_pct" in wanted:
        amps = solver.head_amps(bench)
        found["head_unbalance_pct"] = current_unbalance_pct(amps.T, floor_a)[None]
    return {name: np.ascontiguousarray(values) for name, values in found.items()}


class Bound(NamedTuple):
    """A part over one base state, for compiled code.

    Parameters
    ----------
    rows
        Positions in the values.
    base, weight
        Value of the base state, and signed 1 / room, ``[place]``.
    """

    rows: np.ndarray
    base: np.ndarray
    weight: np.ndarray


class Bounds:
    """The parts over one base state.

    Parameters
    ----------
    parts
        From :func:`parts_of`.
    base
        Values of the base state by name, ``[place]``.
    """

    def __init__(self, parts: Sequence[Part], base: Mapping[str, np.ndarray]) -> None:
        self.parts = tuple(parts)
        self.sources = sorted({part.source for part in parts})
        self.bounds: list[Bound] = []
        already = []
        for part in parts:
            values = base[part.source][part.rows]
            own = np.zeros(len(values)) if part.change else values
            left = room(part.criterion, own, part.limit)
            already.append(
                np.zeros(len(values), bool) | (excess(part.criterion, own, part.limit) > left)
            )
            sign = -1.0 if part.criterion in _FALLING else 1.0
            self.bounds.append(Bound(part.rows, values, sign / np.maximum(left, _LEAST_ROOM)))
        self.already = np.concatenate([*already, np.zeros(0, bool)])
        """Whether the base state breaks the limit of each place, parts one after the other."""
        buses = np.concatenate([*(part.buses for part in parts), np.zeros(0, object)])
        self.broken_buses = frozenset(buses[self.already])
        """Buses with such a place."""

    @property
    def room(self) -> np.ndarray:
        """How far the value of each place may move, parts one after the other."""
        parts = [1.0 / np.abs(bound.weight) for bound in self.bounds]
        return np.concatenate([*parts, np.zeros(0)])

    def overload(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the largest loading as a share of what it may be, ``[state]``."""
        most = np.zeros(WIDTH)
        for part, bound in zip(self.parts, self.bounds, strict=True):
            if part.source == "loading_pct":
                share = values[part.source][bound.rows] / (bound.base + 1.0 / bound.weight)[:, None]
                most = np.fmax(most, share.max(axis=0))
        return most

    def worst(
        self,
        values: Mapping[str, np.ndarray],
        moved: Mapping[SuddenKind, np.ndarray],
        exporting: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the largest rise of each state, and the number of its place; -1 if none rises.

        Parameters
        ----------
        values
            From :func:`read_values`.
        moved
            Sudden changes of voltage, ``[node, state]``; left out, those against the base state.
        exporting
            1 for states that export, 0 for others, ``[state]``; only they change suddenly.
        """
        best, where = np.zeros((1, WIDTH)), np.full((1, WIDTH), -1.0)
        everywhere, lane = np.ones((1, WIDTH)), exporting.reshape(1, WIDTH).astype(float)
        first = 0
        for part, bound in zip(self.parts, self.bounds, strict=True):
            source = values[part.source]
            if part.sudden is not None and part.sudden in moved:
                still = Bound(bound.rows, np.zeros_like(bound.base), bound.weight)
                change = np.ascontiguousarray(moved[part.sudden])
                _changes(change, still, lane, first, best, where)
            elif part.change:
                mine = everywhere if part.sudden is None else lane
                _changes(source, bound, mine, first, best, where)
            else:
                _rises(source, bound, first, best, where)
            first += len(part.rows)
        return best[0], where[0].astype(np.int64)


@compiled
def _rises(
    values: np.ndarray, bound: Bound, first: int, best: np.ndarray, where: np.ndarray
) -> None:
    """Take the rises of a part into the largest so far."""
    top, at, ever = row_at(best, 0), row_at(where, 0), row_of(np.inf)
    for i in range(len(bound.rows)):
        rise = (row_at(values, bound.rows[i]) - bound.base[i]) * bound.weight[i]
        more = within(top, rise, ever)
        top, at = chosen(more, rise, top), chosen(more, row_of(first + i), at)
    put_row(best, 0, top)
    put_row(where, 0, at)


@compiled
def _changes(
    values: np.ndarray,
    bound: Bound,
    lane: np.ndarray,
    first: int,
    best: np.ndarray,
    where: np.ndarray,
) -> None:
    """Take changes of either sign of a part into the largest so far, in the states of ``lane``."""
    top, at, ever = row_at(best, 0), row_at(where, 0), row_of(np.inf)
    zero, mine = row_of(0.0), row_at(lane, 0)
    for i in range(len(bound.rows)):
        change = row_at(values, bound.rows[i]) - bound.base[i]
        rise = larger(change, zero - change) * bound.weight[i] * mine
        more = within(top, rise, ever)
        top, at = chosen(more, rise, top), chosen(more, row_of(first + i), at)
    put_row(best, 0, top)
    put_row(where, 0, at)
