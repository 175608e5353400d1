"""Small hand-made feeders and solutions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from v2g_feeder.powerflow.solution import Observed, Solution
from v2g_feeder.screening import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMITS = Limits(
    name="test",
    voltage=((0.6, 0.95, 1.05), (np.inf, 0.975, 1.05)),
    sudden=((0.6, 0.05), (np.inf, 0.03)),
)


def observed(
    kv: Sequence[float] = (0.24, 12.47),
    ratings: Sequence[float] = (100.0, 50.0),
    limit_kw: Sequence[float] = (np.nan, 100.0),
) -> Observed:
    """One node a kV, one line a rating in kVA (NaN: unknown), one flow a limit."""
    node = np.arange(len(kv))
    line = np.arange(len(ratings))
    flow = np.arange(len(limit_kw))
    rating = np.asarray(ratings, dtype=float)
    return Observed(
        voltages=pd.DataFrame(
            {
                "node": [f"b{i}.1" for i in node],
                "bus": [f"b{i}" for i in node],
                "phase": [("A", "B", "C")[i % 3] for i in node],
                "wiring": "four_wire",
                "kv_class": np.asarray(kv, dtype=float),
            }
        ),
        elements=pd.DataFrame(
            {
                "element": [f"Line.l{i}" for i in line],
                "kind": "line",
                "bus": [f"b{i}" for i in line],
                "phase": "ABC",
                "basis": "norm_amps",
                "rating_a": np.nan,
                "rating_kva": rating,
                "rating_source": np.where(np.isnan(rating), "unknown", "stated"),
            }
        ),
        flows=pd.DataFrame(
            {
                "element": [f"Line.head{i}" for i in flow],
                "kind": "head",
                "bus": "b0",
                "phase": "ABC",
                "limit_kw": np.asarray(limit_kw, dtype=float),
            }
        ),
        regulators=(),
    )


def solution(places: Observed, steps: int = 2, **arrays: Any) -> Solution:
    """A day without violations: 1 pu, 10 %, 500 kW; ``arrays`` replace any of the fields."""
    nodes, lines, flows = len(places.voltages), len(places.elements), len(places.flows)
    fields: dict[str, Any] = {
        "v_pu": np.ones((steps, nodes), dtype=np.float32),
        "loading_pct": np.full((steps, lines), 10.0),
        "flow_kw": np.full((steps, flows), 500.0),
        "head_kw": np.full(steps, 500.0),
        "head_kvar": np.zeros(steps),
        "losses_kw": np.zeros(steps),
        "taps": np.ones((steps, 0)),
        "reason": np.zeros(steps, dtype=int),
        "sudden_step": np.zeros(0, dtype=int),
        "sudden_kind": np.zeros(0, dtype=int),
        "sudden_pu": np.zeros((0, nodes)),
    }
    unknown = places.elements["rating_source"].to_numpy() == "unknown"
    fields["loading_pct"][:, unknown] = np.nan
    fields.update(arrays)
    return Solution(**fields)


def at(shape: tuple[int, int], fill: float, *points: tuple[int, int, float]) -> np.ndarray:
    """An array of ``fill`` with some ``(row, place, value)``."""
    array = np.full(shape, fill)
    for row, place, value in points:
        array[row, place] = value
    return array
