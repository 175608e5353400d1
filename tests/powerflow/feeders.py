"""Two- and three-bus feeders that can be solved by hand, and runners of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from v2g_feeder.feeder.base_load import BaseLoad
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.powerflow.opendss import Circuit, Runner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

KV = 12.47
VOLTS = KV * 1e3 / np.sqrt(3.0)
SELF, MUTUAL = complex(0.46, 1.08), complex(0.16, 0.50)  # ohm/km of an overhead 1/0 line
TURN = np.exp(-2j * np.pi / 3 * np.arange(3))  # A, B, C
COLUMNS = ["bus", "connection", "kv", "nodes", "phases", "delta", "phase"]


def source(pu: float = 1.0, kv: float = KV) -> str:
    """A source of next to no impedance."""
    return f"Clear\nNew Circuit.hand bus1=src basekv={kv:g} pu={pu:g} MVAsc3=1e8 MVAsc1=1e8\n"


def line(name: str, one: str, two: str, km: float, extra: str = "") -> str:
    """A symmetric four-wire line of the impedances above, without capacitance."""
    rows = [
        " | ".join(
            " ".join(f"{SELF.real if i == j else MUTUAL.real:g}" for j in range(i + 1))
            for i in range(3)
        ),
        " | ".join(
            " ".join(f"{SELF.imag if i == j else MUTUAL.imag:g}" for j in range(i + 1))
            for i in range(3)
        ),
    ]
    return (
        f"New Line.{name} bus1={one} bus2={two} phases=3 length={km:g} units=km "
        f"rmatrix=[{rows[0]}] xmatrix=[{rows[1]}] cmatrix=[0 | 0 0 | 0 0 0] {extra}\n"
    )


def bases(*kvs: float) -> str:
    """The voltage bases, at the end of a model."""
    return f"Set VoltageBases=[{' '.join(f'{kv:g}' for kv in kvs or (KV,))}]\nCalcVoltageBases\n"


def point(bus: str, connection: str = "A", kv: float | None = None, **other: object) -> dict:
    """A connection point."""
    single = len(connection) == 1
    row = {
        "bus": bus,
        "connection": connection,
        "kv": kv or (KV / np.sqrt(3.0) if single else KV),
        "nodes": ".".join(str("ABC".index(letter) + 1) for letter in connection)
        if connection != "split"
        else "1.2",
        "phases": 3 if connection == "ABC" else 1,
        "delta": False,
        "phase": connection,
    }
    return row | other


def base_load(loads: Sequence[str], p: Sequence[float] | np.ndarray) -> BaseLoad:
    """All loads on one shape, kvar following kW."""
    shape = np.atleast_2d(np.asarray(p, float))
    return BaseLoad("native", shape, shape.copy(), dict.fromkeys(loads, 0), (), season_claim=False)


def runner(
    folder: Path,
    text: str,
    points: Sequence[Mapping[str, object]] = (),
    *,
    loads: Sequence[str] = (),
    p: Sequence[float] = (1.0,),
    steps: int | None = None,
    step_hours: float = 1.0,
    limits: Mapping[str, float] | None = None,
) -> Runner:
    """A runner of a model text; ``p`` is the base load of the whole calendar."""
    master = folder / "master.dss"
    master.write_text(text, encoding="utf-8")
    return master_runner(
        master, points, loads=loads, p=p, steps=steps, step_hours=step_hours, limits=limits
    )


def master_runner(
    master: Path,
    points: Sequence[Mapping[str, object]] = (),
    *,
    loads: Sequence[str] = (),
    p: Sequence[float] = (1.0,),
    steps: int | None = None,
    step_hours: float = 1.0,
    limits: Mapping[str, float] | None = None,
) -> Runner:
    """A runner of a master file."""
    circuit = Circuit(
        master=master,
        commands=(),
        base_load=base_load(loads, p),
        points=pd.DataFrame(points, columns=COLUMNS),
        step_hours=step_hours,
        steps_per_day=steps or len(p),
    )
    return Runner(shared_engine(), circuit, limits)


def voltages(solver: Runner, solution: object, step: int = 0) -> dict[str, float]:
    """Voltages of one step by node label."""
    labels = solver.probe.observed.voltages["node"]
    return dict(zip(labels, np.asarray(solution.v_pu[step], float), strict=True))


def load_powers(name: str) -> tuple[float, float]:
    """kW and kvar that a load of the engine's circuit draws now."""
    dss = shared_engine()._dss
    dss.Circuit.SetActiveElement(f"Load.{name}")
    powers = np.asarray(dss.CktElement.Powers())
    return float(powers[::2].sum()), float(powers[1::2].sum())


def far_volts(z: complex, watts: float, var: float, volts: float = VOLTS) -> float:
    """Volts at a constant power behind ``z``, by the quadratic in the square of the voltage.

    ``u^2 + (2(RP + XQ) - E^2) u + |Z|^2 |S|^2 = 0`` with ``u = |V|^2``, the upper root.
    """
    b = 2 * (z.real * watts + z.imag * var) - volts**2
    c = abs(z) ** 2 * (watts**2 + var**2)
    return float(np.sqrt((-b + np.sqrt(b * b - 4 * c)) / 2))


def three_phase(km: float, watts: np.ndarray) -> np.ndarray:
    """Volts of the three phases behind a line, each a constant power, by plain iteration."""
    z = np.full((3, 3), MUTUAL) + np.eye(3) * (SELF - MUTUAL)
    volts = VOLTS * TURN
    for _ in range(200):
        volts = VOLTS * TURN - km * z @ (watts / volts).conj()
    return np.abs(volts)
