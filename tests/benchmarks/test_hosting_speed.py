"""Nodal capacity beside a plain OpenDSS bisection: solves an answer, answers a second.

``python -m pytest -m benchmark -s tests/benchmarks/test_hosting_speed.py``

EPRI ckt5, every bus with its own connection, export and import, all criteria of California's ICA.
The bisection looks for the same size to the same tolerance from the same base taps, controls off,
solutions to 1e-6, and screens the same places: once from the maximum, where the first sizes have no
solution and take all iterations, and once from twice the answer, as if it had been guessed. A
sample of the same answers is drawn for it; both run on one core in one process.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

from v2g_feeder.feeder.engine import LOCKED, shared_engine
from v2g_feeder.hosting import Conditions, Search
from v2g_feeder.hosting.bounds import Bounds
from v2g_feeder.hosting.recheck import Recheck
from v2g_feeder.screening import load_limits

from ..hosting.cases import search  # noqa: TID252
from ..powerflow.pairs import SHARED  # noqa: TID252

pytestmark = pytest.mark.benchmark
MASTER = SHARED / "ckt5" / "Master_ckt5.dss"
STEPS, SAMPLE = 4, 60
MOST_ITERATIONS = 40  # of a solution of the bisection; sizes far beyond a limit have none
RULES, CONDITIONS = Search(), Conditions()


@pytest.fixture(scope="module")
def searched():
    if not MASTER.exists():
        pytest.skip("ckt5 is not beside the repository (shared/feeders)")
    limit = load_limits("ica")
    found = search(
        MASTER, limit, p=None, steps=STEPS, conditions=CONDITIONS, rules=RULES, connections="own",
        season="winter",
    )  # fmt: skip
    began = time.process_time()
    again = found.nodal.day(0, "winter")  # without the compilation
    return found, again, time.process_time() - began, limit


class Bisection:
    """The plain way, on a circuit with a load at each sampled bus."""

    def __init__(self, check: Recheck, bounds: Bounds):
        self.check, self.bounds = check, bounds
        self.engine, self.probe = shared_engine(), check._runner.probe
        self.solves = 0
        self.engine.restore(check._base.control, STEPS, 1.0)  # taps stay: one matrix for all
        self.engine._dss.Solution.Convergence(1e-6)
        self.engine._dss.Solution.MaxIterations(MOST_ITERATIONS)

    def move(self, row, kw: float) -> None:
        """Give the load another power: by its shape, since an edited load costs a new matrix."""
        power = np.zeros(2 * STEPS)
        power[:STEPS] = -kw if row["direction"] == "export" else kw
        number = self.check._number[row["bus"], row["connection"]]
        self.engine.set_shape(f"v2g_{number}", power, np.zeros(2 * STEPS))

    def passes(self, row, kw: float) -> bool:
        """Move the load, solve, read all voltages, loadings and the head, compare."""
        self.solves += 1
        self.move(row, kw)
        raw = self.engine.solve(0, 1.0, LOCKED)
        if not raw.converged:  # the next solution would begin from what is left of this one
            self.engine._volts()[:] = self.check._base.control.voltages
            return False
        values = {
            "v_pu": self.probe.voltages(raw),
            "loading_pct": self.probe.loadings(raw),
            "flow_kw": self.probe.flows(raw),
        }
        for part, bound in zip(self.bounds.parts, self.bounds.bounds, strict=True):
            if part.criterion == "sudden_voltage" and row["direction"] == "import":
                continue
            moved = values[part.source][bound.rows] - bound.base
            moved = np.abs(moved) if part.change else moved
            if (moved * bound.weight > 1.0).any():
                return False
        return True

    def size(self, row, high: float = RULES.maximum_kw) -> tuple[float, float]:
        """Halve between 0 and a size that fails until the tolerance is met."""
        self.engine._volts()[:] = self.check._base.control.voltages
        low = 0.0
        while high - low > max(RULES.tolerance_kw, RULES.tolerance_share * low):
            middle = (low + high) / 2
            low, high = (middle, high) if self.passes(row, middle) else (low, middle)
        self.move(row, 0.0)
        return low, high


def test_answers_a_second(searched):
    found, again, seconds, limit = searched
    nodal, table = found.nodal, found.table
    pairs = again.kw.size
    ours = seconds / pairs
    first = table[(table["step"] == 0) & table["fails_at_kw"].notna()]
    sample = first.sample(SAMPLE, random_state=3)
    points = nodal.points.merge(sample[["bus", "connection"]].drop_duplicates())
    check = Recheck(shared_engine(), nodal.grid.circuit, points, CONDITIONS, limit)
    parts = nodal.parts("winter")
    bases = nodal.grid.day(0, sorted({part.source for part in parts}), 0.0)
    check.settle(bases[0], nodal.grid.solver.place)
    plain = Bisection(check, Bounds(parts, check._base.read))
    rows = [row for _, row in sample.iterrows()]
    plain.size(rows[0])
    plain.solves = 0
    began = time.process_time()
    sizes = [plain.size(row) for row in rows]
    theirs = (time.process_time() - began) / len(rows)
    solves, plain.solves = plain.solves, 0
    began = time.process_time()
    for row in rows:
        plain.size(row, 2 * row["fails_at_kw"])
    guessed = (time.process_time() - began) / len(rows)
    apart = [
        abs(low - row["kw"]) / max(RULES.tolerance_kw, RULES.tolerance_share * row["kw"])
        for (low, _), row in zip(sizes, rows, strict=True)
    ]
    print(  # noqa: T201
        f"\nckt5, {len(nodal.points)} buses, {STEPS} hours, both directions: {pairs} answers in "
        f"{seconds:.1f} s"
        f"\nours: {1e3 * ours:.2f} ms an answer ({1 / ours:.0f} a second), "
        f"{again.solves.mean():.2f} solves an answer, of the last step "
        f"{again.solves[-1].mean():.2f}, {1e3 * seconds / again.solves.sum():.3f} ms a solve"
        f"\nplain OpenDSS bisection, {len(rows)} of them: {1e3 * theirs:.1f} ms an answer, "
        f"{solves / len(rows):.1f} solves; ratio {theirs / ours:.0f}"
        f"\nthe same from twice the answer: {1e3 * guessed:.1f} ms an answer, "
        f"{plain.solves / len(rows):.1f} solves; ratio {guessed / ours:.0f}"
        f"\n576 hours at this rate: {ours * len(nodal.points) * 2 * 576 / 60:.0f} core-minutes"
        f"\nlargest difference of the sizes: {max(apart):.2f} tolerances"
    )
    assert np.isfinite(again.kw).all()
    wrong = [
        (size, row.to_dict())
        for size, row, far in zip(sizes, rows, apart, strict=True)
        if far > 1.01
    ]
    assert not wrong
