"""What a process of its own measures of the batch power flow; prints one line of JSON.

``python -m tests.benchmarks.powerflow_run first`` builds the engine of IEEE 13 and solves on it:
seconds to the first block. ``... year N`` streams N times 8,760 hours of ckt5 and prints the peak
memory.
"""

from __future__ import annotations

import json
import sys
import time

BEGIN = time.perf_counter()

from pathlib import Path  # noqa: E402 - imports are part of what is measured

import numpy as np  # noqa: E402

import v2g_feeder  # noqa: E402
from v2g_feeder.feeder.library import resolve_model  # noqa: E402

from ..powerflow.pairs import SHARED, pair  # noqa: E402, TID252
from ..powerflow.places import homes  # noqa: E402, TID252


def first() -> dict:
    """Import, build, solve one locked and one settled block."""
    import_s = time.perf_counter() - BEGIN
    both = pair(resolve_model("ieee13", Path.cwd()))
    begin = time.perf_counter()
    locked = both.run(both.states(np.array([0.4, 0.8])))
    settled = both.run(both.states(np.array([0.4, 0.8])), settle=True)
    assert np.isfinite(locked.v_pu).all()
    assert np.isfinite(settled.v_pu).all()
    return {
        "import_s": import_s,
        "solve_s": time.perf_counter() - begin,
        "all_s": time.perf_counter() - BEGIN,
        "cpu_s": time.process_time(),
    }


def year(times: int) -> dict:
    """Stream states through a reducer; no state is kept."""
    import resource

    path = SHARED / "ckt5" / "Master_ckt5.dss"
    both = pair(path)
    points = homes(both.runner.feeder, 10, 7.2)[0]
    both = pair(path, None, points)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rng = np.random.default_rng(1)
    low, states = np.full(len(both.probe.observed.voltages), np.inf), 0
    begin = time.perf_counter()
    for _ in range(12 * times):
        count = 730
        evs = rng.uniform(-7.2, 7.2, (len(points), count))
        for block in both.solver.run(both.states(rng.uniform(0.3, 1.0, count), evs)):
            low = np.fmin(low, block.v_pu.min(axis=1))
            states += block.v_pu.shape[1]
    return {
        "states": states,
        "seconds": time.perf_counter() - begin,
        "lowest_pu": float(low.min()),
        "before_mb": before / 1024,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    result = first() if sys.argv[1] == "first" else year(int(sys.argv[2]))
    print(json.dumps(result | {"package": str(Path(v2g_feeder.__file__).parent)}))  # noqa: T201 - what it is for
