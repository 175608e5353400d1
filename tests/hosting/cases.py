"""Searches on small feeders, from a model's text to the table."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from v2g_feeder.calendar import season_calendar
from v2g_feeder.feeder.base_load import BaseLoad, standard
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.hosting import Conditions, Nodal, Search, candidates, capacity_table
from v2g_feeder.hosting.base import FeederInConditions
from v2g_feeder.hosting.table import unrated_buses
from v2g_feeder.loadshape import no_points
from v2g_feeder.powerflow.chargers import ChargerControl
from v2g_feeder.powerflow.opendss import Circuit, Runner
from v2g_feeder.screening import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from v2g_feeder.hosting.nodal import Found

KV = 12.47
VOLTS = KV * 1e3 / math.sqrt(3.0)
SELF, MUTUAL = complex(0.46, 1.08), complex(0.16, 0.50)  # ohm/km of an overhead 1/0 line
FINE = Search(maximum_kw=20_000.0, tolerance_kw=1.0, tolerance_share=0.0)
HEAD = f"Clear\nNew Circuit.hand bus1=src basekv={KV} pu={{pu}} MVAsc3=1e8 MVAsc1=1e8\n"
BASES = f"Set VoltageBases=[{KV}]\nCalcVoltageBases\n"


def source(pu: float = 1.0) -> str:
    """A source of next to no impedance."""
    return HEAD.format(pu=pu)


def line(name: str, one: str, two: str, km: float, phases: int = 3, extra: str = "") -> str:
    """A symmetric four-wire line without capacitance, of some phases."""

    def rows(own: float, other: float) -> str:
        return " | ".join(
            " ".join(f"{own if i == j else other:g}" for j in range(i + 1)) for i in range(phases)
        )

    return (
        f"New Line.{name} bus1={one} bus2={two} phases={phases} length={km:g} units=km "
        f"rmatrix=[{rows(SELF.real, MUTUAL.real)}] xmatrix=[{rows(SELF.imag, MUTUAL.imag)}] "
        f"cmatrix=[{rows(0.0, 0.0)}] {extra}\n"
    )


def limits(
    vmin: float = 0.5,
    vmax: float = 1.5,
    sudden: float = math.inf,
    thermal: float = math.inf,
    reverse: dict[str, float] | None = None,
) -> Limits:
    """Limits of which only the given bind."""
    return Limits("hand", ((math.inf, vmin, vmax),), ((math.inf, sudden),), thermal, reverse or {})


@dataclass(frozen=True)
class Searched:
    """A search and all that it was made from."""

    runner: Runner
    nodal: Nodal
    found: Found
    table: pd.DataFrame

    def row(self, bus: str, connection: str, direction: str, step: int = 0) -> pd.Series:
        """The only row of a key."""
        table = self.table
        mine = (table["bus"] == bus) & (table["connection"] == connection)
        (row,) = (
            row
            for _, row in table[mine & (table["direction"] == direction)].iterrows()
            if row["step"] == step
        )
        return row


def write(folder: Path, text: str) -> Path:
    """Write a model."""
    master = folder / "master.dss"
    master.write_text(text, encoding="utf-8")
    return master


def search(
    master: Path,
    limit: Limits,
    *,
    p: Sequence[float] | None = (1.0,),
    steps: int = 1,
    conditions: Conditions | None = None,
    rules: Search = FINE,
    connections: str | Sequence[str] = ("A", "B", "C", "AB", "BC", "CA", "ABC"),
    buses: Sequence[str] | None = None,
    commands: Sequence[str] = (),
    season: str = "",
    chargers: ChargerControl | None = None,
) -> Searched:
    """Search the first day of a model; ``p`` is the load of its steps, None the standard one."""
    conditions = conditions or Conditions()
    engine = shared_engine()
    engine.load(master, commands)
    feeder = read_feeder(engine, master)
    calendar = season_calendar()
    if p is None:
        base = standard(feeder.loads, calendar)
    else:
        shape = np.atleast_2d(np.asarray(p, float))
        names = list(feeder.loads["name"]) if len(feeder.loads) else []
        base = BaseLoad("native", shape, shape, dict.fromkeys(names, 0), (), season_claim=False)
    all_commands = (*commands, *conditions.commands(feeder))
    control = chargers or ChargerControl()
    circuit = Circuit(master, all_commands, base, no_points(), 1.0, steps, control)
    runner = Runner(engine, circuit, limit.reverse_flow_kw)
    grid = FeederInConditions(runner, conditions)
    screened = list(runner.probe.observed.voltages["bus"])
    points = candidates(runner.feeder, screened, buses, connections)
    nodal = Nodal(grid, points, limit, rules)
    found = nodal.day(0, season)
    axis = calendar.table().iloc[:steps]
    unrated = unrated_buses(runner.feeder, runner.probe.observed, limit)
    table = capacity_table(found, points, nodal.parts(season), axis, rules, unrated)
    return Searched(runner, nodal, found, table)


def wider(limit: Limits, **changes: object) -> Limits:
    """Limits with some replaced."""
    return replace(limit, **changes)
