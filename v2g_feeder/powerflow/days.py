"""Days of signed kW on the batch engine: the same units as the OpenDSS runner's, many at a time.

Units of a day stand side by side as the states of a block and go through the steps together, each
with its own taps and its own voltages carried from step to step, as :class:`.opendss.Runner` does
with one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.powerflow.batch import BatchSolver, Bench
from v2g_feeder.powerflow.chargers import MIN_EXPORT_KW
from v2g_feeder.powerflow.controls import read_controls
from v2g_feeder.powerflow.generation import read_generation
from v2g_feeder.powerflow.loads import injections, load_table
from v2g_feeder.powerflow.mixing import CONVERGED
from v2g_feeder.powerflow.network import read_network
from v2g_feeder.powerflow.opendss import EV_NAME
from v2g_feeder.powerflow.rows import WIDTH
from v2g_feeder.powerflow.solution import Reason, Solution, SuddenKind, with_curves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.powerflow.batch import Block
    from v2g_feeder.powerflow.opendss import Runner

__all__ = ["BatchRunner"]


@dataclass(frozen=True)
class _Held:
    """What a bench held at one moment: voltages, taps, banks and regulators' directions."""

    re: np.ndarray
    im: np.ndarray
    taps: np.ndarray
    closed: np.ndarray
    mode: np.ndarray

    @classmethod
    def of(cls, bench: Bench, state: int) -> _Held:
        """Keep one state of a bench."""
        work, own = bench.work, bench.controls
        arrays = (work.re, work.im, own.taps, own.closed, own.mode)
        return cls(*(array[:, [state]].copy() for array in arrays))

    def into(self, bench: Bench) -> None:
        """Put what was held into every state of a bench."""
        work, own = bench.work, bench.controls
        work.re[:], work.im[:] = self.re, self.im
        own.taps[:], own.closed[:], own.mode[:] = self.taps, self.closed, self.mode


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
        self._settled: dict[int, _Held] = {}

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
        sudden = np.zeros(len(kw), bool) if sudden is None else sudden
        found = []
        for first in range(0, len(kw), WIDTH):
            part = slice(first, first + WIDTH)
            found += self._units(first_step, kw[part], sudden[part])
        return found

    def _units(self, first_step: int, kw: np.ndarray, sudden: np.ndarray) -> list[Solution]:
        """Solve one day of up to ``WIDTH`` units."""
        bench, count, steps = self._bench, len(kw), self.circuit.steps_per_day
        filled = kw[np.minimum(np.arange(WIDTH), count - 1)].transpose(2, 1, 0)
        exporting = np.asarray((filled < -MIN_EXPORT_KW).any(axis=1))
        wants = np.append(sudden, np.zeros(WIDTH - count, bool))
        self._day(first_step).into(bench)
        blocks: list[Block] = []
        given: list[np.ndarray] = []
        changes: list[list[tuple[int, SuddenKind, np.ndarray]]] = [[] for _ in range(count)]
        for step in range(steps):
            self._put(first_step + step, filled[step])
            self.solver.solve(bench, settle=True, hour=self._hour(step))
            block = self.solver.read(bench)
            blocks.append(block)
            given.append(np.stack([bench.work.kw[self._point_rows, :count],
                                   bench.work.kvar[self._point_rows, :count]]))  # fmt: skip
            ready = np.asarray(wants & (block.reason <= Reason.FLAGGED))
            if ready.any():
                self._sudden(first_step, step, filled, exporting, ready, block, changes)
        found = _solutions(blocks, changes)
        if not self.circuit.chargers.enabled:
            return found
        curtailed = np.array([block.curtailed_kw for block in blocks])
        power = np.array(given)  # [step, 2, point, unit]
        return [
            with_curves(one, curtailed[:, unit], power[..., unit]) for unit, one in enumerate(found)
        ]

    def _day(self, first_step: int) -> _Held:
        """Return the state in which a day's units begin: its first step settled without EVs."""
        if first_step not in self._settled:
            bench = self.solver.bench()
            self._put(first_step, np.zeros((len(self.circuit.points), WIDTH)), bench)
            self.solver.solve(bench, settle=True, hour=self._hour(0))
            self._settled[first_step] = _Held.of(bench, 0)
        return self._settled[first_step]

    def _put(self, step: int, kw: np.ndarray, bench: Bench | None = None) -> None:
        """Give a bench the base load of a step and the power of the points, ``[point, state]``."""
        work = (bench or self._bench).work
        base, own, at = self.circuit.base_load, self.generation, step % self.circuit.steps_per_day
        for rows, values in (
            (self._base_rows, (base.p[:, step, None], base.q[:, step, None])),
            (self._point_rows, (kw, 0.0)),
            (self._own_rows, (own.kw[:, at, None], own.kvar[:, at, None])),
        ):
            work.kw[rows], work.kvar[rows] = values

    def _hour(self, step: int) -> np.ndarray:
        """Return the time at which OpenDSS solves a step, in hours of the day up to 24."""
        return np.full(WIDTH, ((step + 1) * self.circuit.step_hours - 1e-9) % 24.0 + 1e-9)

    def _sudden(
        self,
        first_step: int,
        step: int,
        kw: np.ndarray,
        exporting: np.ndarray,
        ready: np.ndarray,
        before: Block,
        changes: list[list[tuple[int, SuddenKind, np.ndarray]]],
    ) -> None:
        """Solve what can follow a step at once, taps as they are, for the units that are ready."""
        lost = ready & exporting[step]
        wanted = [(lost, step, np.maximum(kw[step], 0.0), SuddenKind.ALL_EXPORT_LOST)]
        if step + 1 < len(kw):
            turned = ready & (exporting[step] != exporting[step + 1])
            for mine, kind in (
                (turned & exporting[step + 1], SuddenKind.EVENT_START),
                (turned & ~exporting[step + 1], SuddenKind.EVENT_END),
            ):
                wanted.append((mine, step + 1, kw[step + 1], kind))
        for mine, at, power, kind in wanted:
            if not mine.any():
                continue
            self._put(first_step + step, power)
            self.solver.solve(self._bench, settle=False, hour=self._hour(step), idle=~mine)
            after = self.solver.voltages(self._bench)
            lost = (self._bench.work.status != CONVERGED) | self._bench.off_curve
            after[:, lost] = np.nan
            for unit in np.flatnonzero(mine[: len(changes)]):
                change = (after[:, unit] - before.v_pu[:, unit]).astype(np.float32)
                changes[unit].append((at, kind, change))


_READ: Final = (
    "v_pu",
    "loading_pct",
    "flow_kw",
    "head_kvar",
    "losses_kw",
    "taps",
    "line_unbalance_pct",
    "sequence_unbalance_pct",
    "head_amps",
    "closed",
    "reason",
)


def _solutions(
    blocks: Sequence[Block], changes: Sequence[Sequence[tuple[int, SuddenKind, np.ndarray]]]
) -> list[Solution]:
    """Return the steps of each unit, from blocks with a state a unit."""
    by_unit = {name: _by_unit([getattr(block, name) for block in blocks]) for name in _READ}
    nodes = by_unit["v_pu"].shape[-1]
    found = []
    for unit, mine in enumerate(changes):
        values = {name: array[unit] for name, array in by_unit.items()}
        closed = values.pop("closed")
        found.append(
            Solution(
                **values | {"reason": values["reason"].astype(np.uint8)},
                head_kw=values["flow_kw"][:, 0].copy(),
                capacitor_steps=closed.astype(np.int16),
                sudden_step=np.array([at for at, _, _ in mine], np.int16),
                sudden_kind=np.array([kind for _, kind, _ in mine], np.uint8),
                sudden_pu=np.array([change for _, _, change in mine], np.float32).reshape(
                    -1, nodes
                ),
            )
        )
    return found


def _by_unit(steps: Sequence[np.ndarray]) -> np.ndarray:
    """Return values ``[..., state]`` of each step as ``[state, step, ...]`` in single precision."""
    values = np.empty((steps[0].shape[-1], len(steps), *steps[0].shape[:-1]), np.float32)
    for number, step in enumerate(steps):
        values[:, number] = np.moveaxis(step, -1, 0)
    return values
