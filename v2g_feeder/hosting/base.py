"""Base states: every step without the charger, taps and banks as they then stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.hosting.bounds import read_values
from v2g_feeder.powerflow.batch import BatchSolver
from v2g_feeder.powerflow.controls import read_controls
from v2g_feeder.powerflow.generation import read_generation
from v2g_feeder.powerflow.loads import load_table
from v2g_feeder.powerflow.network import read_network
from v2g_feeder.powerflow.opendss import EV_NAME
from v2g_feeder.powerflow.rows import WIDTH
from v2g_feeder.powerflow.solution import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.hosting.conditions import Conditions
    from v2g_feeder.powerflow.batch import Bench
    from v2g_feeder.powerflow.opendss import Runner

__all__ = ["SEARCH_TOLERANCE", "BaseState", "FeederInConditions"]

_BASE_TOLERANCE: Final = 1e-9
_ALL: Final = slice(None)
SEARCH_TOLERANCE: Final = 1e-7
"""Largest error of a voltage across a load in a search, per unit."""


@dataclass(frozen=True)
class BaseState:
    """A step without the charger.

    Parameters
    ----------
    step
        Step of the calendar.
    hour
        Time of day at which OpenDSS solves it.
    re, im
        Node voltages in elimination order, ground last, V.
    taps, closed, mode
        Of regulators and banks; direction in which each regulator looks.
    values
        What limits are set on, by name, ``[place]``.
    reason
        A :class:`~v2g_feeder.powerflow.solution.Reason`.
    """

    step: int
    hour: float
    re: np.ndarray
    im: np.ndarray
    taps: np.ndarray
    closed: np.ndarray
    mode: np.ndarray
    values: dict[str, np.ndarray]
    reason: int

    @property
    def valid(self) -> bool:
        """Whether a search may start from it."""
        return self.reason <= Reason.FLAGGED


class FeederInConditions:
    """A feeder on its own matrix, under the conditions of a search.

    Parameters
    ----------
    runner
        With the circuit loaded, the conditions' commands in it; it is read and left as it is.
    conditions
        What regulators and banks do.

    Raises
    ------
    FeederError
        With everything in the model that the batch engine cannot represent.
    """

    def __init__(self, runner: Runner, conditions: Conditions) -> None:
        circuit, feeder, engine = runner.circuit, runner.feeder, runner.engine
        self.circuit, self.feeder, self.probe = circuit, feeder, runner.probe
        self.conditions = conditions
        runner.rewind()
        network = read_network(engine, feeder)
        own = feeder.loads["name"].str.startswith(f"{EV_NAME}_")
        base = feeder.loads[~own & feeder.loads["enabled"]]
        shapes = len(circuit.base_load.p)
        day = circuit.steps_per_day
        self._generation = read_generation(engine, shapes, day, circuit.step_hours)
        runner.rewind()
        rows = shapes + len(self._generation)
        table = load_table(base, circuit.base_load.shape_of, engine.load_multiplier(), rows)
        self.solver = BatchSolver(
            network,
            table.joined(self._generation.table),
            runner.probe,
            rows,
            lambda place: conditions.controls(read_controls(engine, feeder, network, place)),
            chargers=(circuit.chargers, np.zeros(0)),
        )
        self.solver.start[self.solver.place] = runner.start_volts

    def day(self, first_step: int, wanted: Sequence[str], floor_a: float) -> list[BaseState]:
        """Return the base states of a day, one after the other as a study solves them.

        Parameters
        ----------
        first_step
            Step of the calendar at which the day begins.
        wanted, floor_a
            As of :func:`~v2g_feeder.hosting.bounds.read_values`.
        """
        solver, bench = self.solver, self.solver.bench()
        solver.tolerance = _BASE_TOLERANCE
        found = []
        for number in range(self.circuit.steps_per_day):
            step = first_step + number
            hours = (number + 1) * self.circuit.step_hours
            hour = (hours - 1e-9) % 24.0 + 1e-9
            self.put(bench, step)
            for _ in range(1 if number else 2):  # a study's day begins from its settled first step
                solver.solve(bench, settle=True, hour=np.full(WIDTH, hour))
            gauge = solver.gauge(bench)
            values = read_values(solver, bench, gauge, wanted, floor_a)
            work, own = bench.work, bench.controls
            found.append(
                BaseState(
                    step=step,
                    hour=hour,
                    re=work.re[:, 0].copy(),
                    im=work.im[:, 0].copy(),
                    taps=own.taps[:, 0].copy(),
                    closed=own.closed[:, 0].copy(),
                    mode=own.mode[:, 0].copy(),
                    values={name: array[:, 0].copy() for name, array in values.items()},
                    reason=int(gauge.reason[0]),
                )
            )
        return found

    @staticmethod
    def stand(bench: Bench, base: BaseState, states: np.ndarray | slice = _ALL) -> None:
        """Put the regulators and banks of states of a bench where they stand in a base state."""
        own = bench.controls
        own.taps[:, states], own.closed[:, states] = base.taps[:, None], base.closed[:, None]
        own.mode[:, states] = base.mode[:, None]

    def put(self, bench: Bench, step: int) -> None:
        """Give a bench the base load and the own generation of a step."""
        base, own, at = self.circuit.base_load, self._generation, step % self.circuit.steps_per_day
        bench.work.kw[:-1, :] = np.append(base.p[:, step], own.kw[:, at])[:, None]
        bench.work.kvar[:-1, :] = np.append(base.q[:, step], own.kvar[:, at])[:, None]
