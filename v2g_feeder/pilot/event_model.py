"""What a feeder model says that a change of the fleet does to the head and to node voltages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Wiring
from v2g_feeder.errors import FeederError, InputError, Problem, nearest
from v2g_feeder.feeder.engine import LOCKED, shared_engine
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.feeder.scan import scan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from v2g_feeder.feeder.engine import Engine, RawSolution

__all__ = ["modelled_response"]

_LOAD: Final = "v2g_event_"
_HEAD_TOLERANCE_KW: Final = 0.5
_MOST_TRIALS: Final = 20


def modelled_response(
    master: Path,
    points: Mapping[str, float],
    head_kw: float,
    before_kw: float,
    change_kw: float,
) -> pd.DataFrame:
    """Solve the feeder before and after a change of the fleet; call it in a process of its own.

    Parameters
    ----------
    master
        OpenDSS master file.
    points
        Share of the fleet by bus and nodes: ``{"13.1.2.3": 1.0}``. Shares are scaled to 1.
    head_kw
        Head before the change, import positive: all loads of the model are scaled together to it.
    before_kw, change_kw
        Fleet before, and its change; draws from the grid positive; unity power factor.

    Returns
    -------
    pandas.DataFrame
        By ``head_kw`` and node: change with the taps and capacitors held where they settled before
        (``taps_held``) and settled anew (``taps_free``); kW and pu of the line-to-neutral base.

    Raises
    ------
    InputError
        For buses or nodes that the model does not have.
    FeederError
        If it cannot be solved, or no scale of its loads gives the head.
    """
    scan(master)
    engine = shared_engine()
    engine.load(master)
    nodes = engine.node_names()
    wiring = read_feeder(engine, master).buses["wiring"].to_dict()
    engine.load(master, _commands(engine, points, nodes, wiring))
    bases = {bus: 1e3 * kv for bus, kv, _, _ in engine.buses()}
    base_v = np.array([bases[name.rsplit(".", 1)[0]] for name in nodes])
    total = sum(points.values())
    shares = [share / total for share in points.values()]

    def solve(kw: float, controls: int = 0) -> RawSolution:
        edits = [f"Edit Load.{_LOAD}{n} kW={kw * share:.9g}" for n, share in enumerate(shares)]
        engine.run(edits, where=str(master))
        raw = engine.solve(0, 1.0, controls)
        if not raw.converged:
            raise FeederError(f"{master}: the state of the event has no solution")
        return raw

    _scale_to_head(engine, master, head_kw, lambda: solve(before_kw))
    start = solve(before_kw)
    ends = {"taps_held": solve(before_kw + change_kw, LOCKED)}
    ends["taps_free"] = solve(before_kw + change_kw)
    return pd.DataFrame(
        {
            name: np.append(
                raw.source_kva.real - start.source_kva.real,
                (np.abs(raw.volts) - np.abs(start.volts)) / np.where(base_v > 0, base_v, np.nan),
            )
            for name, raw in ends.items()
        },
        index=pd.Index(["head_kw", *nodes], name="quantity"),
    )


def _commands(
    engine: Engine, points: Mapping[str, float], nodes: list[str], wiring: Mapping[str, str]
) -> list[str]:
    """Return the loads that stand for the fleet."""
    kv = {bus: base for bus, base, _, _ in engine.buses()}
    known, problems, commands = set(nodes), [], []
    for number, point in enumerate(points):
        bus, *at = point.lower().split(".")
        wanted = at or ["1", "2", "3"]
        if bus not in kv:
            text = f"{bus!r} is not a bus of the model"
            problems.append(Problem(f"points.{point}", text, nearest(bus, list(kv))))
        elif lacking := [node for node in wanted if f"{bus}.{node}" not in known]:
            text = f"bus {bus!r} has no node {', '.join(lacking)}"
            problems.append(Problem(f"points.{point}", text))
        elif kv[bus] <= 0:
            problems.append(Problem(f"points.{point}", f"bus {bus!r} has no voltage base"))
        elif (delta := wiring[bus] == Wiring.THREE_WIRE) and len(wanted) == 1:
            text = f"bus {bus!r} has three wires: chargers are between two or three nodes"
            problems.append(Problem(f"points.{point}", text))
        else:
            phases = 1 if delta and len(wanted) == 2 else len(wanted)
            rated = kv[bus] * (np.sqrt(3.0) if len(wanted) > 1 else 1.0)
            # Status=Fixed: the scale of the other loads leaves the fleet alone
            commands.append(
                f"New Load.{_LOAD}{number} bus1={bus}.{'.'.join(wanted)} phases={phases} "
                f"conn={'delta' if delta else 'wye'} kV={rated:.6g} kW=0 kvar=0 model=1 "
                "Vminpu=0.7 Vmaxpu=1.3 Status=Fixed"
            )
    if problems:
        raise InputError(problems)
    return commands


def _scale_to_head(
    engine: Engine, master: Path, head_kw: float, solve: Callable[[], RawSolution]
) -> None:
    """Set the multiplier of all loads so that the head is as measured (secant)."""
    tried: list[tuple[float, float]] = []
    scale = 1.0
    for _ in range(_MOST_TRIALS):
        engine.run([f"Set LoadMult={scale:.12g}"], where=str(master))
        off = solve().source_kva.real - head_kw
        if abs(off) <= _HEAD_TOLERANCE_KW:
            return
        tried.append((scale, off))
        if len(tried) == 1:
            scale = 0.9 if off > 0 else 1.1
        else:
            (x0, y0), (x1, y1) = tried[-2:]
            scale = x1 - y1 * (x1 - x0) / (y1 - y0) if y1 != y0 else x1
        if not 0 <= scale <= 10:
            break
    raise FeederError(
        f"{master}: no scale of its loads from 0 to 10 gives {head_kw:g} kW at the head"
    )
