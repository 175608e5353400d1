"""Answers solved again by plain OpenDSS, from the same base taps under the same conditions.

What is compared is the outcome, by the rules of the screening and not by those of the search: the
size that passes must pass, the one above it must fail, at the place that was named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from v2g_feeder.conventions import Criterion, Direction
from v2g_feeder.feeder.engine import CONTROL_STATIC, LOCKED, ControlState
from v2g_feeder.hosting.events import NO_EVENT, EventSteps
from v2g_feeder.powerflow.opendss import EV_NAME, Runner
from v2g_feeder.powerflow.solution import Reason, SuddenKind
from v2g_feeder.powerflow.unbalance import current_unbalance_pct
from v2g_feeder.screening import binding, excess, room

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pandas as pd

    from v2g_feeder.feeder.engine import Engine, RawSolution
    from v2g_feeder.hosting.base import BaseState
    from v2g_feeder.hosting.bounds import Part
    from v2g_feeder.hosting.conditions import Conditions
    from v2g_feeder.powerflow.opendss import Circuit
    from v2g_feeder.screening import Limits

__all__ = ["Outcome", "Recheck", "Verdict"]

_CHARGER, _WITHOUT, _CHARGING = range(3)  # copies of the day: with the size, none, as it charges
_COPIES: Final = 3
_TIE: Final = 0.02  # of the room: places whose rises are this near are limiting together


class Outcome(NamedTuple):
    """A size solved by OpenDSS.

    Parameters
    ----------
    valid, passes
        Whether the solution may be screened, and whether it breaks no limit.
    broken
        (criterion, place) of what it breaks, or comes within the tolerance of a tie of breaking.
    nearest
        Largest rise: 1 is a limit.
    curtailed_kw
        Export that the charger's curves cut.
    """

    valid: bool
    passes: bool
    broken: frozenset[tuple[str, str]]
    nearest: float
    curtailed_kw: float


class Verdict(NamedTuple):
    """A row of the table solved again.

    Parameters
    ----------
    passes, fails
        Whether the size that passes does, and whether the one above it fails (so they do where
        there is no such size).
    same_place
        Whether the limiting criterion and element is one that OpenDSS breaks.
    nearest
        Largest rise of either size that came out otherwise, NaN where none did.
    base_apart
        Largest difference of a node's voltage without the charger, OpenDSS against the search, as a
        share of it. Far above 1e-6 the state has two solutions: a load stands where it leaves its
        model, and each side holds itself up.
    """

    passes: bool
    fails: bool
    same_place: bool
    nearest: float
    base_apart: float


@dataclass(frozen=True)
class _Base:
    """A step without the charger, by OpenDSS."""

    step: int
    control: ControlState
    read: dict[str, np.ndarray]
    apart: float = 0.0


class Recheck:
    """OpenDSS with a load at each candidate.

    Parameters
    ----------
    engine
        This process's engine; whatever it held is cleared.
    circuit
        The feeder with the conditions' commands; its points are replaced.
    points
        Candidates to be solved again.
    conditions, limits, events
        Those of the search.
    """

    def __init__(
        self,
        engine: Engine,
        circuit: Circuit,
        points: pd.DataFrame,
        conditions: Conditions,
        limits: Limits,
        events: EventSteps = NO_EVENT,
    ) -> None:
        points = points.reset_index(drop=True)
        circuit = replace(circuit, points=points)
        self._runner = Runner(engine, circuit, limits.reverse_flow_kw)
        self._number = {
            (row.bus, row.connection): number for number, row in enumerate(points.itertuples())
        }
        self._conditions, self._limits, self._events = conditions, limits, events
        self._base: _Base | None = None
        self._blank = np.zeros(_COPIES * circuit.steps_per_day)
        for number in range(len(points)):
            engine.set_shape(f"{EV_NAME}_{number}", self._blank, self._blank)

    def verdict(
        self, row: pd.Series, base: BaseState, parts: Sequence[Part], place: np.ndarray
    ) -> Verdict:
        """Solve a row of the table again.

        Parameters
        ----------
        row
            Of a :func:`~v2g_feeder.hosting.table.capacity_table`, its step known.
        base
            The step's base state; OpenDSS starts from its taps, banks and voltages.
        parts
            The criteria of its season.
        place
            Place in elimination order of every node.
        """
        self.settle(base, place)
        assert self._base is not None  # noqa: S101  # settled
        apart = self._base.apart
        low = self.solve(row["bus"], row["connection"], row["direction"], row["kw"], parts)
        if not np.isfinite(row["fails_at_kw"]):
            nearest = np.nan if low.passes else low.nearest
            return Verdict(low.passes, True, True, nearest, apart)
        high = self.solve(
            row["bus"], row["connection"], row["direction"], row["fails_at_kw"], parts
        )
        named = (row["limiting_criterion"], row["limiting_element"])
        same = named in high.broken or (named[0] == Criterion.INVALID and not high.valid)
        wrong = [
            one.nearest for one, fine in ((low, low.passes), (high, not high.passes)) if not fine
        ]
        return Verdict(low.passes, not high.passes, same, max(wrong, default=np.nan), apart)

    def settle(self, base: BaseState, place: np.ndarray) -> None:
        """Solve a step without any charger, from the taps of the search's base state."""
        if self._base is not None and self._base.step == base.step:
            return
        runner, circuit = self._runner, self._runner.circuit
        load = circuit.base_load
        for number in range(len(load.p)):
            p, q = (np.full(len(self._blank), one[number, base.step]) for one in (load.p, load.q))
            runner.engine.set_shape(f"base_{number}", p, q)
        table = runner.feeder.regulators
        taps = zip(table["transformer"], table["winding"], base.taps.tolist(), strict=True)
        banks = dict(runner.engine.control_state([]).capacitors)
        watched = runner.probe.observed.capacitors
        lower = {name.lower(): name for name in banks}
        for name, closed in zip(watched, base.closed.tolist(), strict=True):
            banks[lower[name]] = (int(closed),)
        volts = np.append(0.0, (base.re + 1j * base.im)[place])
        control = ControlState(tuple(taps), tuple(banks.items()), volts)
        self._base = _Base(base.step, control, {})
        raw = self._at(np.zeros(0), LOCKED)
        size = np.maximum(np.abs(volts[1:]), 1.0)
        apart = float(np.max(np.abs(np.abs(raw.volts[: len(size)]) - size) / size, initial=0.0))
        self._base = replace(self._base, read=self._values(raw), apart=apart)

    def _at(self, kw: np.ndarray, controls: int) -> RawSolution:
        """Solve the step with signed kW of the points from the base taps."""
        runner, steps = self._runner, self._runner.circuit.steps_per_day
        for number in np.flatnonzero(kw).tolist():
            power = self._blank.copy()
            power[:steps] = kw[number]
            power[_WITHOUT * steps : _CHARGING * steps] = max(kw[number], 0.0)  # what charges stays
            power[_CHARGING * steps :] = -self._events.charging_share * kw[number]
            runner.ask(number, power, self._blank, abs(kw[number]))
        self._rewind()
        return runner.solve_at(self._position(_CHARGER), controls)

    def _rewind(self) -> None:
        """Go back to the base state."""
        assert self._base is not None  # noqa: S101  # settled first
        engine, hours = self._runner.engine, self._runner.circuit.step_hours
        engine.start_series(hours)
        engine.restore(self._base.control, self._position(_WITHOUT), hours)

    def _position(self, copy: int) -> int:
        """Return the position of the step in a copy of the day."""
        assert self._base is not None  # noqa: S101  # settled first
        steps = self._runner.circuit.steps_per_day
        return self._base.step % steps + copy * steps

    def solve(
        self, bus: str, connection: str, direction: str, kw: float, parts: Sequence[Part]
    ) -> Outcome:
        """Solve a size at the step last settled, and screen it."""
        signed = np.zeros(len(self._runner.circuit.points))
        signed[self._number[bus, connection]] = -kw if direction == Direction.EXPORT else kw
        return self.outcome(signed, parts)

    def outcome(self, kw: np.ndarray, parts: Sequence[Part]) -> Outcome:
        """Solve signed kW of all points at the step last settled, and screen it."""
        assert self._base is not None  # noqa: S101  # settled first
        runner = self._runner
        raw = self._at(kw, self._controls)
        values = self._values(raw)
        reason = runner.judge(raw, values["v_pu"], self._base.step, kw)
        moved: dict[SuddenKind, np.ndarray] = {}
        curtailed_kw = runner.curtailed_kw
        if (kw < 0).any() and reason <= Reason.FLAGGED:
            kinds = {part.sudden for part in parts} | {SuddenKind.ALL_EXPORT_LOST}
            moved = self._sudden(values["v_pu"], kinds)
            if not all(np.isfinite(change).all() for change in moved.values()):
                reason = Reason.NOT_CONVERGED
        for number in np.flatnonzero(kw).tolist():
            runner.ask(number, self._blank, self._blank, 0.0)
        valid = reason <= Reason.FLAGGED
        return Outcome(valid, *self._screened(values, moved, parts, valid=valid), curtailed_kw)

    @property
    def _controls(self) -> int:
        """How the controls of a step with a charger are solved."""
        return CONTROL_STATIC if self._conditions.settles else LOCKED

    def _sudden(
        self, v_pu: np.ndarray, kinds: Collection[SuddenKind | None]
    ) -> dict[SuddenKind, np.ndarray]:
        """Return the sudden changes around an export just solved, NaN where one has no solution."""
        moved = {SuddenKind.ALL_EXPORT_LOST: v_pu - self._then(_WITHOUT, LOCKED)}
        if SuddenKind.EVENT_END in kinds:
            moved[SuddenKind.EVENT_END] = v_pu - self._then(_CHARGING, LOCKED)
        if SuddenKind.EVENT_START in kinds:
            self._rewind()
            before = self._then(_CHARGING, self._controls)
            moved[SuddenKind.EVENT_START] = self._then(_CHARGER, LOCKED) - before
        return moved

    def _then(self, copy: int, controls: int) -> np.ndarray:
        """Return the voltages of the step in a copy of the day, solved from where things stand."""
        raw = self._runner.solve_at(self._position(copy), controls)
        volts = self._runner.probe.voltages(raw)
        rests = raw.converged and raw.controls_done and not self._runner.off_curve
        return volts if rests else np.full_like(volts, np.nan)

    def _screened(
        self,
        values: dict[str, np.ndarray],
        moved: Mapping[SuddenKind, np.ndarray],
        parts: Sequence[Part],
        *,
        valid: bool,
    ) -> tuple[bool, frozenset[tuple[str, str]], float]:
        """Apply the screening's rule to a solution; return the next three of an outcome."""
        assert self._base is not None  # noqa: S101  # settled first
        broken: set[tuple[str, str]] = set()
        passes, nearest = valid, 0.0
        for part in parts:
            own, before = (one[part.source][part.rows] for one in (values, self._base.read))
            reference = before
            if part.change:
                reference = np.zeros_like(before)
                own = own - before if part.sudden is None else reference
                if part.sudden is not None and part.sudden in moved:
                    own = moved[part.sudden][part.rows]
            bad = binding(part.criterion, own, part.limit, reference)
            left = np.maximum(room(part.criterion, reference, part.limit), 1e-9)
            rise = excess(part.criterion, own, part.limit) - excess(
                part.criterion, reference, part.limit
            )
            rise /= left
            near = bad | (rise > 1 - _TIE)
            broken |= {(str(part.criterion), str(part.labels[at])) for at in np.flatnonzero(near)}
            passes &= not bad.any()
            nearest = max(nearest, float(np.nanmax(rise, initial=0.0)))
        return passes, frozenset(broken), nearest

    def _values(self, raw: RawSolution) -> dict[str, np.ndarray]:
        """Return what limits are set on, by name, ``[place]``."""
        probe = self._runner.probe
        line, sequence = probe.balance.unbalance(raw)
        amps = probe.balance.head_amps(raw)[None]
        floor = self._limits.head_unbalance_floor_a
        return {
            "v_pu": probe.voltages(raw),
            "loading_pct": probe.loadings(raw),
            "flow_kw": probe.flows(raw),
            "line_unbalance_pct": line,
            "sequence_unbalance_pct": sequence,
            "head_unbalance_pct": current_unbalance_pct(amps, floor),
        }
