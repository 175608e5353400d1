"""The batch engine beside OpenDSS: the same circuit, the same states, the same start."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from v2g_feeder.feeder.base_load import BaseLoad
from v2g_feeder.feeder.engine import CONTROL_STATIC, LOCKED, ControlState, shared_engine
from v2g_feeder.powerflow.batch import States
from v2g_feeder.powerflow.chargers import ChargerControl
from v2g_feeder.powerflow.days import BatchRunner
from v2g_feeder.powerflow.kernels import fill
from v2g_feeder.powerflow.opendss import Circuit, Runner
from v2g_feeder.powerflow.rows import WIDTH

from .feeders import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from v2g_feeder.feeder.engine import RawSolution
    from v2g_feeder.powerflow.batch import Block

SHARED = Path(__file__).parents[2].parent / "shared" / "feeders"
VOLTS_PU = 1e-6  # what the engines may differ by
RATING_PCT = 0.01
FIELDS = (
    *("v_pu", "loading_pct", "flow_kw", "head_kvar", "losses_kw", "line_unbalance_pct"),
    *("sequence_unbalance_pct", "head_amps", "taps", "closed", "reason", "iterations"),
    "curtailed_kw",
)


def pair(
    source: Path | str,
    folder: Path | None = None,
    points: Sequence[Mapping[str, object]] = (),
    *,
    shape_of: Mapping[str, int] | None = None,
    chargers: ChargerControl | None = None,
) -> Pair:
    """Load a master file or the text of one; without ``shape_of`` all loads follow row 0.

    ``points`` whose chargers follow curves have an ``export_kw``.
    """
    if isinstance(source, str):
        master = folder / "master.dss"
        master.write_text(source, encoding="utf-8")
    else:
        master = source
    engine = shared_engine()
    engine.load(master)
    names = [row["name"] for row in engine.loads() if row["enabled"]]
    shape_of = dict.fromkeys(names, 0) if shape_of is None else shape_of
    rows = max(shape_of.values(), default=0) + 1
    blank = np.zeros((rows, 1))
    circuit = Circuit(
        master=master,
        commands=(),
        base_load=BaseLoad("native", blank, blank, shape_of, (), season_claim=False),
        points=pd.DataFrame(points, columns=[*COLUMNS, "export_kw"]),
        step_hours=1.0,
        steps_per_day=1,
        chargers=chargers or ChargerControl(),
    )
    runner = Runner(engine, circuit)
    return Pair(runner, BatchRunner(runner), rows)


@dataclass(frozen=True)
class Pair:
    """Either engine with one circuit.

    Rows of states are base loads' multipliers, EV kW, and the model's own generation at hour 0.
    """

    runner: Runner
    batch: BatchRunner
    base_rows: int

    @property
    def rows(self) -> int:
        return self.base_rows + len(self.runner.circuit.points)

    @property
    def solver(self):
        return self.batch.solver

    @property
    def probe(self):
        return self.runner.probe

    def states(self, base, ev=None, kvar=None, **other) -> States:
        """States of one multiplier of all base loads, ``[state]``, and EV kW, ``[point, state]``.

        ``base`` may also be ``[base row, state]``; ``kvar`` are the points', zero if not given.
        """
        base = np.broadcast_to(base, (self.base_rows, np.shape(base)[-1]))
        count = len(self.runner.circuit.points), base.shape[1]
        ev = np.zeros(count) if ev is None else np.asarray(ev, float)
        kvar = np.zeros(count) if kvar is None else np.asarray(kvar, float)
        own = [np.repeat(rows[:, :1], base.shape[1], axis=1)
               for rows in (self.batch.generation.kw, self.batch.generation.kvar)]  # fmt: skip
        rows = [base, ev, own[0]], [base, kvar, own[1]]
        return States(*(np.concatenate(parts) for parts in rows), **other)

    def run(self, states: States, threads: int = 1, *, settle: bool = False) -> Block:
        """Solve states on the batch engine, as one block."""
        return joined(list(self.solver.run(states, threads, settle=settle)))

    def give(self, states: States) -> None:
        """Give OpenDSS all states as the points of its shapes, and a last one without load."""
        p, q = (
            np.pad(kw, ((0, 0), (0, 1)))
            for kw in map(np.ascontiguousarray, (states.kw, states.kvar))
        )
        for row in range(self.base_rows):
            self.runner.engine.set_shape(f"base_{row}", p[row], q[row])
        points = slice(self.base_rows, self.rows)
        self.runner._asked = p[points], q[points]
        for point in range(self.rows - self.base_rows):
            row = self.base_rows + point
            self.runner.engine.set_shape(f"v2g_{point}", p[row], q[row])

    def start(self, states: States, number: int) -> ControlState:
        """The taps, banks and voltages from which a state begins, as the batch engine has them."""
        own = self.runner._start
        taps = own.taps
        if states.taps is not None:
            keys = [(name, winding) for name, winding, _ in taps]
            taps = tuple((*key, tap) for key, tap in zip(keys, states.taps[number], strict=True))
        banks = dict(own.capacitors)
        if states.closed is not None:
            for bank, closed in zip(self.solver.network.banks, states.closed[number], strict=True):
                banks[bank.name] = (int(closed),)
        volts = np.append(0, self.solver.start[self.solver.place])
        return ControlState(taps, tuple(banks.items()), volts)

    def locked(self, states: States):
        """Yield OpenDSS's solution of every state, regulators and banks locked."""
        engine = self.runner.engine
        self.give(states)
        engine.start_series(1.0)
        for number in range(len(states)):
            engine.restore(self.start(states, number), len(states), 1.0)
            yield self.runner.solve_at(number, LOCKED)

    def settled(self, states: States, only: Sequence[int] | None = None):
        """Yield (solution, taps, banks) of OpenDSS's static solve of states."""
        engine = self.runner.engine
        self.give(states)
        engine.start_series(1.0)
        windings = self.runner._windings
        for number in range(len(states)) if only is None else only:
            engine.restore(self.start(states, number), len(states), 1.0)
            raw = self.runner.solve_at(number, CONTROL_STATIC)
            held = engine.control_state(windings)
            banks = dict(held.capacitors)
            closed = [banks[bank.name][0] for bank in self.solver.network.banks]
            yield raw, np.array([tap for *_, tap in held.taps]), np.array(closed, float)

    def apart(self, block: Block, number: int, raw: RawSolution) -> tuple[float, float]:
        """How far a state of the batch engine is from OpenDSS: per unit, percent of a rating."""
        volts = np.abs(self.probe.voltages(raw) - block.v_pu[:, number])
        load = np.abs(self.probe.loadings(raw) - block.loading_pct[:, number])
        known = load[np.isfinite(self.probe.loadings(raw))]
        return float(volts.max()), float(known.max(initial=0.0))

    def agrees(self, states: States) -> Block:
        """Solve locked states on both engines and compare all that is read."""
        block = self.run(states)
        for number, raw in enumerate(self.locked(states)):
            assert raw.converged, f"state {number} on OpenDSS"
            volts, load = self.apart(block, number, raw)
            assert volts < VOLTS_PU, (number, self.worst(block, number, raw))
            assert load < RATING_PCT, number
            same = {
                "flow_kw": self.probe.flows(raw),
                "head_kvar": raw.source_kva.imag,
                "losses_kw": self.probe.losses_kw(raw),
                "head_amps": self.probe.balance.head_amps(raw),
            }
            for name, value in same.items():
                mine = getattr(block, name)[..., number]
                scale = max(1.0, np.abs(block.flow_kw[0, number]))
                assert np.abs(mine - value).max() < 1e-5 * scale, (number, name, mine, value)
            for name, value in zip(FIELDS[5:7], self.probe.balance.unbalance(raw), strict=True):
                mine = getattr(block, name)[:, number]
                assert np.abs(mine - value).max(initial=0.0) < 1e-4, (number, name)
        return block

    def stays(self, states: States, number: int, raw: RawSolution) -> bool:
        """Whether the batch engine, begun from OpenDSS's solution of a state, stays with it."""
        bench = self.solver.bench()
        self.solver._block(chosen(states, [number]), 0, bench, settle=False)
        volts = np.zeros(len(raw.volts) + 1, complex)
        volts[self.solver.place] = raw.volts
        fill(bench.work, volts)
        self.solver.solve(bench, settle=False, hour=np.zeros(WIDTH))
        volts, load = self.apart(self.solver.read(bench), 0, raw)
        return volts < VOLTS_PU and load < RATING_PCT

    def sides(self, states: States, number: int, raw: RawSolution) -> list[float]:
        """Of the load phases on another side of a limit in either engine, how far from it: pu."""
        bench, loads = self.solver.bench(), self.solver.loads
        self.solver._block(chosen(states, [number]), 0, bench, settle=False)
        mine, theirs = (np.append(v, 0) for v in (self.solver.volts(bench)[:, 0], raw.volts))
        found = []
        for limit in (loads.vlow, loads.vmin, loads.vmax):
            past = [
                np.abs(v[loads.one] - v[loads.other]) / loads.volts - limit for v in (mine, theirs)
            ]
            other = (past[0] > 0) != (past[1] > 0)
            found += np.abs(past).max(axis=0)[other].tolist()
        return found

    def worst(self, block: Block, number: int, raw: RawSolution) -> str:
        """The service voltage that differs most, for a message."""
        own = self.probe.voltages(raw)
        at = int(np.abs(own - block.v_pu[:, number]).argmax())
        node = self.probe.observed.voltages["node"].iloc[at]
        return f"{node}: {own[at]:.9f} on OpenDSS, {block.v_pu[at, number]:.9f}"


def joined(blocks: Sequence[Block]) -> Block:
    """Several blocks as one."""
    return replace(
        blocks[0],
        **{
            name: np.concatenate([getattr(block, name) for block in blocks], axis=-1)
            for name in FIELDS
        },
    )


def chosen(states: States, at: Sequence[int]) -> States:
    """Some of the states, in another order."""
    return States(
        states.kw[:, at],
        states.kvar[:, at],
        None if states.taps is None else states.taps[at],
        None if states.closed is None else states.closed[at],
        None if states.hour is None else states.hour[at],
    )


def same_bits(one: Block, other: Block) -> bool:
    """Whether two blocks hold the same numbers to the last bit."""
    return all(getattr(one, n).tobytes() == getattr(other, n).tobytes() for n in FIELDS)
