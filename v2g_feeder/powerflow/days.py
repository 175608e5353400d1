"""Days of signed kW on the batch engine: the same units as the OpenDSS runner's, many at a time.

Units of a day stand side by side as the states of a block, each with its own taps carried from step
to step, as :class:`.opendss.Runner` does with one. Each goes at its own pace: a state whose
controls have come to rest goes on to what its unit is to solve next, or to the next unit, while
others take another round.

Every step begins from the voltages that its day begins with. So a step is the same wherever base
load, power of the points, taps and banks are, bit for bit, and is solved once: managed charging and
export differ around events, not at noon. Where a load's current jumps at a limit there may be two
solutions; there voltages are carried too, as OpenDSS does, and every step is solved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from v2g_feeder.powerflow.batch import BatchSolver
from v2g_feeder.powerflow.chargers import MIN_EXPORT_KW
from v2g_feeder.powerflow.controls import read_controls
from v2g_feeder.powerflow.generation import read_generation
from v2g_feeder.powerflow.loads import injections, load_table
from v2g_feeder.powerflow.network import read_network
from v2g_feeder.powerflow.opendss import EV_NAME, kept_runner
from v2g_feeder.powerflow.readings import hand_out
from v2g_feeder.powerflow.rows import WIDTH
from v2g_feeder.powerflow.solution import Reason, Solution, SuddenKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from v2g_feeder.feeder.engine import Engine
    from v2g_feeder.powerflow.batch import Bench, Block
    from v2g_feeder.powerflow.opendss import Circuit, Runner

__all__ = ["BatchRunner", "kept_batch_runner"]


_READ: Final = (
    "v_pu", "loading_pct", "flow_kw", "taps", "line_unbalance_pct", "sequence_unbalance_pct",
    "head_amps", "closed",
)  # fmt: skip
_READ_WHOLE: Final = ("head_kvar", "losses_kw", "reason", "curtailed_kw")
_FLAGGED: Final = int(Reason.FLAGGED)
_OF_CURVES: Final = ("curtailed_kw", "charger_kw", "charger_kvar")


class _Solve(NamedTuple):
    """What a state solves: a step of a unit, or what can follow it at once, taps as they are.

    A step that is followed is solved even if it is known: what follows needs its voltages.
    """

    unit: int
    step: int
    kw: np.ndarray
    sudden: bool
    followed: bool = False


class _Begins(NamedTuple):
    """What the units of a day begin with, by array of :func:`_volts` and of :func:`_held`."""

    volts: list[np.ndarray]
    held: list[np.ndarray]


_Key = tuple[int, bytes]


class _Day:
    """Units of a day, and what has been found of them.

    Parameters
    ----------
    kw
        ``[unit, point, step]``.
    sudden
        Units of which sudden steps are solved too, ``[unit]``.
    """

    def __init__(self, kw: np.ndarray, sudden: np.ndarray) -> None:
        self._kw = np.ascontiguousarray(kw.transpose(0, 2, 1)) + 0.0  # no sign of a zero
        self.sudden = sudden
        self._exporting = np.asarray((kw < -MIN_EXPORT_KW).any(axis=1))
        self._found: dict[str, np.ndarray] = {}
        self._changes: list[list[tuple[int, SuddenKind, np.ndarray]]] = [[] for _ in kw]
        self._v_pu = np.zeros((0, WIDTH))
        self._asked: dict[int, _Key] = {}
        self._ends: dict[_Key, tuple[int, int, list[np.ndarray]]] = {}
        self._same: list[tuple[int, int, int, int]] = []

    def turns(self, units: Iterator[int], state: int) -> Iterator[_Solve]:
        """Yield what a state is to solve next, once the last has been taken in."""
        for unit in units:
            for step, kw in enumerate(self._kw[unit]):
                followed = bool(self.sudden[unit] and self._exporting[unit, step : step + 2].any())
                yield _Solve(unit, step, kw, sudden=False, followed=followed)
                if not followed or self._found["reason"][unit, step] > _FLAGGED:
                    continue
                before = self._v_pu[:, state].copy()
                for at, kind, power in self._follows(unit, step):
                    yield _Solve(unit, step, power, sudden=True)
                    change = (self._v_pu[:, state] - before).astype(np.float32)
                    self._changes[unit].append((at, kind, change))

    def _follows(self, unit: int, step: int) -> Iterator[tuple[int, SuddenKind, np.ndarray]]:
        """Yield sudden changes from a step: where it is counted, kind, power that remains."""
        kw, exporting = self._kw[unit], self._exporting[unit]
        if exporting[step]:
            yield step, SuddenKind.ALL_EXPORT_LOST, np.maximum(kw[step], 0.0)
        if step + 1 < len(kw) and exporting[step] != exporting[step + 1]:
            starts = exporting[step + 1]
            kind = SuddenKind.EVENT_START if starts else SuddenKind.EVENT_END
            yield step + 1, kind, kw[step + 1]

    def known(self, one: _Solve, held: Sequence[np.ndarray], state: int) -> bool:
        """Whether a step is solved already, with the same power and what a state holds.

        What it held afterwards is put there.
        """
        key = one.step, b"".join([one.kw.tobytes(), *(array[:, state].tobytes() for array in held)])
        if one.followed or key not in self._ends:
            self._asked[state] = key
            return False
        unit, step, ends = self._ends[key]
        self._same.append((one.unit, one.step, unit, step))
        _put(held, state, ends)
        return True

    def take(self, block: Block, bench: Bench, solved: dict[int, _Solve], points: slice) -> None:
        """Take in what states have solved.

        Parameters
        ----------
        block, bench
            As read, and of what.
        solved
            By state.
        points
            Rows of the connection points.
        """
        steps_of = [(s, one.unit, one.step) for s, one in solved.items() if not one.sudden]
        states, units, steps = np.array(steps_of, int).reshape(-1, 3).T
        values = {name: getattr(block, name) for name in _READ}
        values |= {"charger_kw": bench.work.kw[points], "charger_kvar": bench.work.kvar[points]}
        for name, array in values.items():
            hand_out(array, states, units, steps, self._array(name, len(array)))
        for name in _READ_WHOLE:
            self._array(name)[units, steps] = getattr(block, name)[states]
        for state, unit, step in steps_of:
            if state in self._asked:
                ends = [array[:, state].copy() for array in _held(bench)]
                self._ends[self._asked.pop(state)] = unit, step, ends
        self._v_pu = block.v_pu
        self._v_pu[:, bench.off_curve] = np.nan

    def _array(self, name: str, *places: int) -> np.ndarray:
        """Return what is found of all units by step, ``[unit, step, place]``."""
        if name not in self._found:
            units, steps = self._kw.shape[:2]
            kind = np.uint8 if name == "reason" else np.float32
            self._found[name] = np.empty((units, steps, *places), kind)
        return self._found[name]

    def solutions(self, *, curves: bool) -> list[Solution]:
        """Return what was found of each unit; of chargers where they follow curves."""
        if self._same:
            units, steps, of_units, of_steps = np.array(self._same).T
            for array in self._found.values():
                array[units, steps] = array[of_units, of_steps]
        return [self._solution(unit, curves=curves) for unit in range(len(self._kw))]

    def _solution(self, unit: int, *, curves: bool) -> Solution:
        """Return what was found of a unit."""
        values = {name: array[unit] for name, array in self._found.items()}
        closed, changes = values.pop("closed"), self._changes[unit]
        if not curves:
            for name in _OF_CURVES:
                del values[name]
        return Solution(
            **values,
            head_kw=values["flow_kw"][:, 0].copy(),
            capacitor_steps=closed.astype(np.int16),
            sudden_step=np.array([at for at, _, _ in changes], np.int16),
            sudden_kind=np.array([kind for _, kind, _ in changes], np.uint8),
            sudden_pu=np.array([change for _, _, change in changes], np.float32).reshape(
                -1, values["v_pu"].shape[1]
            ),
        )


class BatchRunner:
    """A feeder with connection points, on its own admittance matrix.

    Parameters
    ----------
    runner
        The OpenDSS runner of the same study; its circuit is read and left as it is.

    Raises
    ------
    FeederError
        With everything in the model that the batch engine cannot represent.
    """

    def __init__(self, runner: Runner) -> None:
        circuit, feeder, engine = runner.circuit, runner.feeder, runner.engine
        self.circuit, self.probe = circuit, runner.probe
        self.reverse_limits_kw = runner.reverse_limits_kw
        runner.rewind()
        network = read_network(engine, feeder)
        own = feeder.loads["name"].str.startswith(f"{EV_NAME}_")
        base = feeder.loads[~own & feeder.loads["enabled"]]
        rows = len(circuit.base_load.p)
        day = circuit.steps_per_day
        owned = rows + len(circuit.points)
        self.generation = read_generation(engine, owned, day, circuit.step_hours)
        runner.rewind()
        count = owned + len(self.generation)
        table = load_table(base, circuit.base_load.shape_of, engine.load_multiplier(), count)
        table = table.joined(injections(circuit.points, feeder.node_index, rows))
        table = table.joined(self.generation.table)
        self.solver = BatchSolver(
            network,
            table,
            runner.probe,
            count,
            lambda place: read_controls(engine, feeder, network, place),
            chargers=(circuit.chargers, circuit.export_kw),
        )
        self.solver.start[self.solver.place] = runner.start_volts
        self._base_rows, self._point_rows = slice(rows), slice(rows, owned)
        self._own_rows = slice(owned, count)
        self._bench = self.solver.bench()
        self._settled: dict[int, _Begins] = {}

    def run(
        self, first_step: int, kw: np.ndarray, *, sudden: np.ndarray | None = None
    ) -> list[Solution]:
        """Solve one day of several units, at unity power factor but where chargers follow curves.

        Parameters
        ----------
        first_step
            Step of the calendar at which the day begins; picks the base load.
        kw
            Signed power of each connection point, ``[unit, point, step]``, positive drawing.
        sudden
            Whether to solve the sudden steps too, ``[unit]``.

        Returns
        -------
        list of Solution
            In the order of the units; as of :meth:`.opendss.Runner.run`.
        """
        bench, begins = self._bench, self._begins(first_step)
        day = _Day(kw, np.zeros(len(kw), bool) if sudden is None else sudden)
        units = iter(np.argsort(~day.sudden, kind="stable").tolist())  # the longest first
        turns = [day.turns(units, state) for state in range(WIDTH)]
        now: dict[int, _Solve] = {}
        going, done = np.zeros(WIDTH, bool), np.ones(WIDTH, bool)
        hour, settle = np.zeros(WIDTH), np.ones(WIDTH, bool)
        while True:
            for state in np.flatnonzero(done).tolist():
                one = self._next(turns[state], state, day, begins)
                going[state] = one is not None
                if one is None:
                    continue
                now[state], settle[state], hour[state] = one, not one.sudden, self._hour(one.step)
                self._put(bench, state, first_step + one.step, one.kw)
            if not going.any():
                return day.solutions(curves=self.circuit.chargers.enabled)
            self.solver.begin(bench, done & going)
            done = self.solver.advance(bench, going, settle=settle, hour=hour, enough=WIDTH // 2)
            block = self.solver.read(bench)
            day.take(
                block, bench, {s: now[s] for s in np.flatnonzero(done).tolist()}, self._point_rows
            )

    def _next(
        self, turns: Iterator[_Solve], state: int, day: _Day, begins: _Begins
    ) -> _Solve | None:
        """Return what a state is to solve next, and have it hold what that begins with."""
        bench = self._bench
        for one in turns:
            if one.sudden:
                return one
            if one.step == 0:
                _put(_held(bench), state, begins.held)
            if self.solver.steady and day.known(one, _held(bench), state):
                continue
            if one.step == 0 or self.solver.steady:
                _put(_volts(bench), state, begins.volts)
            return one
        return None

    def _begins(self, first_step: int) -> _Begins:
        """Return what a day's units begin with: its first step settled without EVs."""
        if first_step not in self._settled:
            bench, nothing = self.solver.bench(), np.zeros(len(self.circuit.points))
            for state in range(WIDTH):
                self._put(bench, state, first_step, nothing)
            self.solver.solve(bench, settle=True, hour=np.full(WIDTH, self._hour(0)))
            volts, held = (
                [array[:, 0].copy() for array in arrays] for arrays in (_volts(bench), _held(bench))
            )
            self._settled[first_step] = _Begins(volts, held)
        return self._settled[first_step]

    def _put(self, bench: Bench, state: int, step: int, kw: np.ndarray) -> None:
        """Give a state the base load of a step and the power of the points."""
        work, base, own = bench.work, self.circuit.base_load, self.generation
        at = step % self.circuit.steps_per_day
        for rows, values in (
            (self._base_rows, (base.p[:, step], base.q[:, step])),
            (self._point_rows, (kw, 0.0)),
            (self._own_rows, (own.kw[:, at], own.kvar[:, at])),
        ):
            work.kw[rows, state], work.kvar[rows, state] = values

    def _hour(self, step: int) -> float:
        """Return the time at which OpenDSS solves a step, in hours of the day up to 24."""
        return float(((step + 1) * self.circuit.step_hours - 1e-9) % 24.0 + 1e-9)


_KEPT: list[BatchRunner] = []


def kept_batch_runner(
    engine: Engine, circuit: Circuit, reverse_limits_kw: Mapping[str, float]
) -> BatchRunner:
    """Return the batch engine asked for last, if it is of an equal circuit; else a new one.

    Parameters
    ----------
    engine, circuit, reverse_limits_kw
        As of :func:`~.opendss.kept_runner`.

    Raises
    ------
    FeederError
        As of :class:`BatchRunner`.
    """
    for batch in _KEPT:
        if batch.reverse_limits_kw == reverse_limits_kw and batch.circuit.equals(circuit):
            return batch
    _KEPT[:] = [BatchRunner(kept_runner(engine, circuit, reverse_limits_kw))]
    return _KEPT[0]


def _volts(bench: Bench) -> tuple[np.ndarray, ...]:
    """Return the node voltages of states."""
    return bench.work.re, bench.work.im


def _held(bench: Bench) -> tuple[np.ndarray, ...]:
    """Return taps, banks and regulators' directions, which states carry from step to step."""
    return bench.controls.taps, bench.controls.closed, bench.controls.mode


def _put(arrays: Sequence[np.ndarray], state: int, values: Sequence[np.ndarray]) -> None:
    """Put values into the places of a state."""
    for array, value in zip(arrays, values, strict=True):
        array[:, state] = value
