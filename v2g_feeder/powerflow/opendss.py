"""The reference engine: days of signed kW solved one after the other by OpenDSS.

A unit of work is a day of one (policy, case, draw). It begins from the model's own taps and
voltages and a settled solve of its first step without EVs; the control state is carried from step
to step inside the unit and never out of it. The same inputs give the same bits in any order.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from v2g_feeder.conventions import Connection
from v2g_feeder.feeder.engine import CONTROL_STATIC, LOCKED, ControlState, Engine
from v2g_feeder.feeder.model import Feeder, read_feeder
from v2g_feeder.powerflow.chargers import MIN_EXPORT_KW, MOST_ROUNDS, ChargerControl, Follow
from v2g_feeder.powerflow.probe import DEAD_PU, LoadGate, Probe, make_gate, make_probe
from v2g_feeder.powerflow.solution import Reason, Solution, SuddenKind, with_curves

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from v2g_feeder.feeder.base_load import BaseLoad
    from v2g_feeder.feeder.engine import RawSolution

__all__ = ["EV_NAME", "Circuit", "Runner", "base_commands", "ev_commands", "kept_runner"]

EV_NAME: Final = "v2g"
"""Prefix of the loads and load shapes that stand for connection points."""
_EV_VMIN, _EV_VMAX = 0.5, 1.5
_MOST_CONTROL_ROUNDS: Final = 200
_NEXT, _LOST, _NONE = 1, 2, 3  # which copy of the day: next step's EVs, exports lost, no EVs
_COPIES: Final = 4


@dataclass(frozen=True)
class Circuit:
    """Everything that OpenDSS needs to build the feeder of a study.

    Parameters
    ----------
    master
        The model.
    commands
        What is added to it: secondaries.
    base_load
        Multipliers of the loads by step of the whole calendar.
    points
        Connection points: ``point``, ``bus``, ``connection``, ``kv``, ``nodes`` (``1.2``),
        ``phases``, ``delta``; and ``export_kw``, the rating, where chargers follow curves.
    step_hours
        Length of a step.
    steps_per_day
        Steps of a unit.
    chargers
        What chargers do with their voltage.
    """

    master: Path
    commands: tuple[str, ...]
    base_load: BaseLoad
    points: pd.DataFrame
    step_hours: float
    steps_per_day: int
    chargers: ChargerControl = field(default_factory=ChargerControl)

    def equals(self, other: Circuit) -> bool:
        """Whether another circuit is built and driven alike."""
        plain = ("master", "commands", "step_hours", "steps_per_day", "chargers")
        one, two = self.base_load, other.base_load
        return (
            all(getattr(self, name) == getattr(other, name) for name in plain)
            and self.points.equals(other.points)
            and one.shape_of == two.shape_of
            and np.array_equal(one.p, two.p)
            and np.array_equal(one.q, two.q)
        )

    @property
    def export_kw(self) -> np.ndarray:
        """Export rating of each point's charger, ``[point]``; 0 where none is stated."""
        stated = self.points.get("export_kw", np.zeros(len(self.points)))
        return np.asarray(stated, float)


def base_commands(circuit: Circuit, steps: int) -> list[str]:
    """Return the commands that make every load follow its base-load shape of ``steps`` points.

    The shapes are zero until a day is set. The engine keeps the loads' admittance at the time it
    first builds the system matrix; with none in it the fixed point takes 9 iterations a step on
    IEEE 123 where the nominal loads take 12, since a constant power answers to voltage the other
    way round.
    """
    blank = " ".join(["0"] * steps)
    commands = [
        f"New LoadShape.base_{row} npts={steps} interval={circuit.step_hours:g} mult=[{blank}]"
        for row in range(len(circuit.base_load.p))
    ]
    commands += [
        f'Edit "Load.{name}" daily=base_{row}' for name, row in circuit.base_load.shape_of.items()
    ]
    return commands


def ev_commands(circuit: Circuit, steps: int) -> list[str]:
    """Return the commands that put a load with a shape of ``steps`` points at every point.

    Its limits are wide (0.5 to 1.5 pu), so that it stays a constant power where base loads would
    have switched to an impedance; its kW and kvar are 1, so that the shape holds the signed power.
    It is exempt from the model's load multiplier, which is not the chargers'.
    """
    commands = []
    zeros = " ".join(["0"] * steps)
    for point in circuit.points.itertuples():
        name = f"{EV_NAME}_{point.Index}"
        commands.append(
            f"New LoadShape.{name} npts={steps} "
            f"interval={circuit.step_hours:g} mult=[{zeros}] qmult=[{zeros}]"
        )
        commands.append(
            f'New Load.{name} bus1="{point.bus}.{point.nodes}" phases={point.phases} '
            f"conn={'delta' if point.delta else 'wye'} kv={point.kv:.8g} kw=1 kvar=1 model=1 "
            f"vminpu={_EV_VMIN:g} vmaxpu={_EV_VMAX:g} status=exempt daily={name}"
        )
    return commands


class Runner:
    """A loaded feeder that solves units.

    Parameters
    ----------
    engine
        This process's engine; whatever it held is cleared, and runners of that are of no more use.
    circuit
        What to build.
    reverse_limits_kw
        Largest reverse flow allowed, by element name or ``head``.

    Attributes
    ----------
    curtailed_kw, given, off_curve
        Of the state solved last, where chargers follow curves: export that these cut, the power of
        each connection point, kW and kvar, ``[2, point]``, and whether one did not come to rest.
    """

    def __init__(
        self,
        engine: Engine,
        circuit: Circuit,
        reverse_limits_kw: Mapping[str, float] | None = None,
    ) -> None:
        self.circuit, self.engine = circuit, engine
        self.reverse_limits_kw = reverse_limits_kw
        steps = circuit.steps_per_day
        engine.load(
            circuit.master,
            [*circuit.commands, *base_commands(circuit, steps), *ev_commands(circuit, steps)],
        )
        self._loaded = engine.times_loaded
        self.feeder: Feeder = read_feeder(engine, circuit.master)
        self.probe: Probe = make_probe(self.feeder, engine, reverse_limits_kw)
        self._gate: LoadGate = _base_gate(self.feeder, circuit)
        self._ev_pairs = _ev_terminals(self.feeder, circuit.points)
        none = np.zeros((len(circuit.points), _COPIES * steps))
        self._asked: tuple[np.ndarray, ...] = (none, none)
        self._rated_kw = circuit.export_kw.copy()
        self.given = np.zeros((2, 0))
        self.off_curve, self.curtailed_kw = False, 0.0
        self._windings = list(
            zip(
                self.feeder.regulators["transformer"],
                self.feeder.regulators["winding"],
                strict=True,
            )
        )
        self._start = self._first_start()
        self._held_base = (-1, 0)
        self._settled = self._start

    def _first_start(self) -> ControlState:
        """Return the model's own taps with the voltages of one solve, the same every time."""
        own = self.engine.control_state(self._windings)
        self.engine.start_series(self.circuit.step_hours)
        self.engine.solve(0, self.circuit.step_hours)
        first = self.engine.control_state(self._windings)
        return ControlState(own.taps, own.capacitors, first.voltages)

    @property
    def is_held(self) -> bool:
        """Whether the engine holds the circuit still."""
        return self.engine.times_loaded == self._loaded

    def _check_held(self) -> None:
        """Raise if the engine no longer holds the circuit: it would solve another one."""
        if not self.is_held:
            raise RuntimeError("the engine holds another circuit by now: make a runner anew")

    def rewind(self) -> None:
        """Put the circuit into the state that it was loaded in: the model's own taps, no base load.

        Whatever was done to it in the meantime, units then give the same bits as after loading:
        the loads' admittances in the system matrix are those without base load again.
        """
        self._check_held()
        nothing = np.zeros(_COPIES * self.circuit.steps_per_day)
        for row in range(len(self.circuit.base_load.p)):
            self.engine.set_shape(f"base_{row}", nothing, nothing)
        self._held_base = (-1, 0)
        self._restore(self._start)
        self.engine.move()  # nothing has changed: the whole matrix is built, loads and all

    @property
    def start_volts(self) -> np.ndarray:
        """Complex node voltages from which every day is settled, ``[node]``."""
        return self._start.voltages[1:]

    def set_base_load(self, base_load: BaseLoad) -> None:
        """Take other multipliers of the same loads and shapes."""
        self.circuit = replace(self.circuit, base_load=base_load)
        self._held_base = (-1, 0)

    def run(
        self,
        first_step: int,
        kw: np.ndarray,
        kvar: np.ndarray | None = None,
        *,
        sudden: bool = False,
        begin: int = 0,
    ) -> Solution:
        """Solve one day, or some steps of it.

        Parameters
        ----------
        first_step
            Step of the calendar at which the day begins; picks the base load.
        kw, kvar
            Signed power of each connection point, ``[point, step]``, positive drawing; ``kvar``
            defaults to zero (unity power factor). Chargers that follow curves take ``kw`` for what
            they are asked for and find their own kvar.
        sudden
            Whether to solve the sudden steps too, regulators locked: all export lost at every
            step with export, event start and event end.
        begin
            Step of the day that ``kw`` begins with; as many are solved as it has.

        Returns
        -------
        Solution
            Invalid steps hold whatever was found and a ``reason`` that says so.

        Raises
        ------
        RuntimeError
            If the engine has loaded another circuit since.
        """
        self._check_held()
        kvar = np.zeros_like(kw) if kvar is None else kvar
        exporting = np.asarray((kw < -MIN_EXPORT_KW).any(axis=0))
        self._set_evs(kw, kvar, begin, sudden=sudden and bool(exporting.any()))
        self._set_base(first_step, begin)
        self._restore(self._settled)
        rows, curtailed, given = [], [], []
        changes: list[tuple[int, SuddenKind, np.ndarray]] = []
        for step in range(kw.shape[1]):
            raw = self.solve_at(begin + step)
            row = self._measure(raw, first_step + begin + step, kw[:, step])
            rows.append(row)
            curtailed.append(self.curtailed_kw)
            given.append(self.given)
            if sudden and row[-1] <= Reason.FLAGGED:
                changes += self._sudden(step, begin, exporting, row[0])
        found = _collect(rows, changes, len(self.probe.observed.voltages))
        if not self.circuit.chargers.enabled:
            return found
        return with_curves(found, np.array(curtailed), np.array(given))

    def _sudden(
        self, step: int, begin: int, exporting: np.ndarray, before: np.ndarray
    ) -> list[tuple[int, SuddenKind, np.ndarray]]:
        """Solve what can follow this step at once, taps as they are."""
        wanted: list[tuple[int, int, SuddenKind]] = []
        if exporting[step]:
            wanted.append((_LOST, step, SuddenKind.ALL_EXPORT_LOST))
        if step + 1 < len(exporting) and exporting[step] != exporting[step + 1]:
            kind = SuddenKind.EVENT_START if exporting[step + 1] else SuddenKind.EVENT_END
            wanted.append((_NEXT, step + 1, kind))
        found = []
        for copy, at, kind in wanted:
            raw = self.solve_at(copy * self.circuit.steps_per_day + begin + step, LOCKED)
            rests = raw.converged and not self.off_curve
            after = self.probe.voltages(raw) if rests else np.full_like(before, np.nan)
            found.append((at, kind, (after - before).astype(np.float32)))
        return found

    def _restore(self, state: ControlState) -> None:
        """Go back to a state, at a step of the shapes that has no EVs."""
        self.engine.start_series(self.circuit.step_hours)
        none = _NONE * self.circuit.steps_per_day
        self.engine.restore(state, none, self.circuit.step_hours)

    def ask(self, number: int, kw: np.ndarray, kvar: np.ndarray, rated_kw: float) -> None:
        """Ask a connection point for signed power, by position of its shape.

        ``rated_kw`` is the export rating of its charger, of use where chargers follow curves.
        """
        if self._asked[0].shape != (len(self._rated_kw), len(kw)):
            self._asked = tuple(np.zeros((len(self._rated_kw), len(kw))) for _ in range(2))
        self._asked[0][number], self._asked[1][number] = kw, kvar
        self._rated_kw[number] = rated_kw
        self.engine.set_shape(f"{EV_NAME}_{number}", kw, kvar)

    def solve_at(self, position: int, controls: int = CONTROL_STATIC) -> RawSolution:
        """Solve a position of the shapes, chargers following their curves."""
        self.off_curve, self.curtailed_kw = False, 0.0
        asked = self._asked[0][:, position : position + 1]
        self.given = np.stack([shape[:, position] for shape in self._asked])
        if not self.circuit.chargers.acting(asked).any():
            return self.engine.solve(position, self.circuit.step_hours, controls)
        follow = Follow(self.circuit.chargers, asked, self._rated_kw[:, None])
        self._give(position, follow.given, np.flatnonzero(asked))
        for _ in range(_MOST_CONTROL_ROUNDS):
            raw = self._respond(position, follow)
            if not raw.converged or controls == LOCKED or not self.engine.act():
                return raw
        return replace(raw, controls_done=False)

    def _respond(self, position: int, follow: Follow) -> RawSolution:
        """Solve a position, taps as they are, until its chargers rest on their curves."""
        follow.restart()
        left = np.array([True])
        raw = self.engine.solve(position, self.circuit.step_hours, LOCKED)
        for _ in range(MOST_ROUNDS):
            if not raw.converged:
                break
            before = follow.given.copy()
            left = follow.move(self._ev_pu(raw)[:, None], left)
            if not left.any():
                break
            self._give(position, follow.given, np.flatnonzero((follow.given != before).any(axis=0)))
            raw = self.engine.solve(position, self.circuit.step_hours, LOCKED)
        self.off_curve = bool(left.any())
        self.curtailed_kw, self.given = float(follow.curtailed_kw[0]), follow.given[..., 0].copy()
        return raw

    def _ev_pu(self, raw: RawSolution) -> np.ndarray:
        """Return the mean voltage over the phases of each connection point, ``[point]``."""
        volts = np.append(raw.volts, 0.0)
        one, other, rated, owner = self._ev_pairs
        v = np.abs(volts[one] - volts[other]) / rated
        return np.bincount(owner, v) / np.bincount(owner)

    def _give(self, position: int, given: np.ndarray, numbers: np.ndarray) -> None:
        """Set the power of some connection points at a position of their shapes."""
        for number in numbers.tolist():
            power = [shape[number].copy() for shape in self._asked]
            for shape, value in zip(power, given[:, number, 0], strict=True):
                shape[position] = value
            self.engine.set_shape(f"{EV_NAME}_{number}", *power)

    def _set_base(self, first_step: int, begin: int) -> None:
        """Give the base-load shapes the day that begins at ``first_step``, if they hold another.

        The first step that is solved is settled without EVs from the model's own taps; every unit
        of the day then begins from that state, to the bit.
        """
        if (first_step, begin) == self._held_base:
            return
        base, steps = self.circuit.base_load, self.circuit.steps_per_day
        for row in range(len(base.p)):
            day = slice(first_step, first_step + steps)
            self.engine.set_shape(
                f"base_{row}",
                np.tile(base.p[row, day], _COPIES),
                np.tile(base.q[row, day], _COPIES),
            )
        self._held_base = first_step, begin
        self._restore(self._start)
        self.solve_at(_NONE * steps + begin)
        self._settled = self.engine.control_state(self._windings)

    def _set_evs(self, kw: np.ndarray, kvar: np.ndarray, begin: int, *, sudden: bool) -> None:
        """Give every connection point its day, and the copies that the sudden steps read."""
        after = self.circuit.steps_per_day - begin - kw.shape[1]
        kw, kvar = (np.pad(power, ((0, 0), (begin, after))) for power in (kw, kvar))
        none = np.zeros_like(kw)
        following = [np.append(power[:, 1:], power[:, -1:], axis=1) for power in (kw, kvar)]
        lost = [np.maximum(kw, 0.0), np.where(kw < 0, 0.0, kvar)]
        middle = [following, lost] if sudden else [[none, none], [none, none]]
        copies = [[kw, kvar], *middle, [none, none]]
        p, q = (np.concatenate([copy[axis] for copy in copies], axis=1) for axis in (0, 1))
        self._asked = (p, q)
        for number in range(len(kw)):
            self.engine.set_shape(f"{EV_NAME}_{number}", p[number], q[number])

    @np.errstate(over="ignore", invalid="ignore")  # of a solution that ran away
    def _measure(self, raw: RawSolution, step: int, kw: np.ndarray) -> tuple[Any, ...]:
        """Return what is observed of one solved step, with the reason that it is valid or not."""
        v_pu = self.probe.voltages(raw)
        return (
            v_pu,
            self.probe.loadings(raw),
            self.probe.flows(raw),
            raw.source_kva,
            self.probe.losses_kw(raw),
            self.engine.taps(self._windings),
            *self.probe.balance.unbalance(raw),
            self.probe.balance.head_amps(raw),
            self._capacitor_steps(),
            self.judge(raw, v_pu, step, kw),
        )

    def _capacitor_steps(self) -> list[int]:
        """Return the steps in service of each controlled capacitor."""
        watched = self.probe.observed.capacitors
        if not watched:
            return []
        states = {name.lower(): on for name, on in self.engine.control_state([]).capacitors}
        return [sum(states[name]) for name in watched]

    def judge(self, raw: RawSolution, v_pu: np.ndarray, step: int, kw: np.ndarray) -> Reason:
        """Apply the validity gate to one solved step."""
        if not raw.converged:
            return Reason.NOT_CONVERGED
        if not raw.controls_done:
            return Reason.CONTROLS_UNFINISHED
        if not np.isfinite(v_pu).all():
            return Reason.NOT_FINITE
        if len(v_pu) and v_pu.min() < DEAD_PU:
            return Reason.NOT_ENERGISED
        volts = np.append(raw.volts, 0.0)
        one, other, rated, owner = self._ev_pairs
        if len(one):
            v = np.abs(volts[one] - volts[other]) / rated
            out = (v < _EV_VMIN) | (v > _EV_VMAX)
            if (out & (np.abs(kw[owner]) > 0)).any() or self.off_curve:
                return Reason.EV_NOT_DELIVERED
        return self._gate.judge(volts, self.circuit.base_load.p[:, step])


_KEPT: list[Runner] = []


def kept_runner(engine: Engine, circuit: Circuit, reverse_limits_kw: Mapping[str, float]) -> Runner:
    """Return the runner that was asked for last, if it is of an equal circuit; else a new one.

    Parameters
    ----------
    engine, circuit, reverse_limits_kw
        As of :class:`Runner`.
    """
    for runner in _KEPT:
        alike = runner.reverse_limits_kw == reverse_limits_kw and runner.circuit.equals(circuit)
        if alike and runner.engine is engine and runner.is_held:
            return runner
    _KEPT[:] = [Runner(engine, circuit, reverse_limits_kw)]
    return _KEPT[0]


def _base_gate(feeder: Feeder, circuit: Circuit) -> LoadGate:
    """Return the gate of the base loads, connection points left out."""
    own = feeder.loads["name"].str.startswith(f"{EV_NAME}_")
    shape_of = dict(circuit.base_load.shape_of)
    kept = feeder.loads[~own & feeder.loads["name"].isin(shape_of.keys())]
    return make_gate(replace(feeder, loads=kept), shape_of)


def _ev_terminals(
    feeder: Feeder, points: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the node pairs, rated volts and point of each phase of the connection points."""
    one, other, rated, owner = [], [], [], []
    for row, point in enumerate(points.itertuples()):
        numbers = [int(number) for number in str(point.nodes).split(".")]
        at = [feeder.node_index[f"{point.bus}.{number}"] for number in numbers]
        three_wye = point.connection == Connection.ABC and not point.delta
        if three_wye or len(at) == 1:
            pairs = [(node, -1) for node in at]
        elif len(at) == 2:
            pairs = [(at[0], at[1])]
        else:
            pairs = [(node, at[(k + 1) % len(at)]) for k, node in enumerate(at)]
        one += [pair[0] for pair in pairs]
        other += [pair[1] for pair in pairs]
        rated += [point.kv * 1e3 / (np.sqrt(3.0) if three_wye else 1.0)] * len(pairs)
        owner += [row] * len(pairs)
    return np.array(one, int), np.array(other, int), np.array(rated), np.array(owner, int)


@np.errstate(over="ignore", invalid="ignore")  # of a solution that ran away
def _collect(
    rows: Sequence[tuple[Any, ...]],
    changes: Sequence[tuple[int, SuddenKind, np.ndarray]],
    voltages: int,
) -> Solution:
    """Stack the steps of a unit."""
    v_pu, loading, flow, source, losses, taps, *balance, capacitors, reason = zip(
        *rows, strict=True
    )
    line_unbalance, sequence_unbalance, head_amps = balance
    kva = np.array(source)
    return Solution(
        v_pu=np.array(v_pu, np.float32),
        loading_pct=np.array(loading, np.float32),
        flow_kw=np.array(flow, np.float32),
        head_kw=kva.real.astype(np.float32),
        head_kvar=kva.imag.astype(np.float32),
        losses_kw=np.array(losses, np.float32),
        taps=np.array(taps, np.float32),
        reason=np.array(reason, np.uint8),
        sudden_step=np.array([at for at, _, _ in changes], np.int16),
        sudden_kind=np.array([kind for _, kind, _ in changes], np.uint8),
        sudden_pu=np.array([change for _, _, change in changes], np.float32).reshape(-1, voltages),
        line_unbalance_pct=np.array(line_unbalance, np.float32),
        sequence_unbalance_pct=np.array(sequence_unbalance, np.float32),
        head_amps=np.array(head_amps, np.float32),
        capacitor_steps=np.array(capacitors, np.int16),
    )
