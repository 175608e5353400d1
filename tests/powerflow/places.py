"""Connection points, base loads and EV powers for feeders of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from v2g_feeder.conventions import Wiring

if TYPE_CHECKING:
    from v2g_feeder.feeder.model import Feeder

DAY = np.array(
    [0.45, 0.41, 0.39, 0.38, 0.39, 0.44, 0.52, 0.58, 0.60, 0.61, 0.62, 0.64,
     0.66, 0.67, 0.69, 0.73, 0.80, 0.90, 0.98, 1.00, 0.95, 0.83, 0.68, 0.54]
)  # fmt: skip
SEASONS = {"winter": 0.75, "spring": 0.5, "summer": 1.0, "autumn": 0.55}
YEAR = np.concatenate([peak * DAY for peak in SEASONS.values()])  # a day of each season


def homes(feeder: Feeder, every: int, kw: float) -> tuple[list[dict], np.ndarray]:
    """A point beside every so-manyth load, on its own terminals, and its power."""
    points = []
    for load in feeder.loads.iloc[::every].itertuples():
        nodes = [feeder.nodes[node].rsplit(".", 1)[1] for node in load.nodes if node >= 0]
        split = load.phases == 2 and load.kv < 0.25
        kv = 0.24 if split else load.kv
        points.append(
            {
                "bus": load.bus,
                "connection": "ABC" if load.phases == 3 else "A",
                "kv": kv,
                "nodes": ".".join(nodes),
                "phases": 1 if split else load.phases,
                "delta": load.delta,
                "phase": "A",
            }
        )
    return points, np.full(len(points), kw)


def depots(feeder: Feeder, count: int, kw: float) -> tuple[list[dict], np.ndarray]:
    """Three-phase points on primary buses, evenly spread over the feeder."""
    table = feeder.buses
    table = table[table["energised"] & (table["kv_base_ln"] > 1) & (table["kv_base_ln"] < 20)]
    three = [bus for bus in table.index if {1, 2, 3} <= set(feeder.bus_nodes.get(bus, ()))]
    chosen = [three[int(at)] for at in np.linspace(len(three) // 4, len(three) - 1, count)]
    points = [
        {
            "bus": bus,
            "connection": "ABC",
            "kv": float(table.loc[bus, "kv_base_ln"] * np.sqrt(3.0)),
            "nodes": "1.2.3",
            "phases": 3,
            "delta": table.loc[bus, "wiring"] == Wiring.THREE_WIRE,
            "phase": "ABC",
        }
        for bus in chosen
    ]
    return points, np.full(count, kw)


def ev_days(rating: np.ndarray, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Signed kW, ``[point, step]``: export from 16 to 21 o'clock, charging at night, idle else."""
    hour = np.arange(steps) % 24
    mean = np.select([(hour >= 16) & (hour < 21), (hour >= 22) | (hour < 6)], [-0.9, 0.5], 0.0)
    spread = rng.uniform(0.3, 1.1, (len(rating), steps))
    plugged = rng.random((len(rating), steps)) < 0.9
    return rating[:, None] * np.clip(mean * spread, -1, 1) * plugged
