"""A sample of answers on shipped feeders, solved again by plain OpenDSS."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from v2g_feeder.conventions import Status
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.hosting import Conditions, EventSteps, Regulators, Search, annual_minima
from v2g_feeder.hosting.recheck import Recheck
from v2g_feeder.screening import load_limits

from .cases import search

RULES = Search()


def checked(name, regulators, count, steps, events=RULES.events):
    """Search a day and solve its minima and a random sample again; return rows and verdicts."""
    limit, conditions = load_limits("ansi_c84_1_a"), Conditions(regulators=regulators)
    found = search(
        resolve_model(name, Path.cwd()), limit, p=None, steps=steps, conditions=conditions,
        rules=replace(RULES, events=events), connections="default", season="winter",
    )  # fmt: skip
    nodal, table = found.nodal, found.table[found.table["kw"].notna()]
    sample = table.sample(min(count, len(table)), random_state=5)
    minima = annual_minima(table).sample(frac=min(1.0, count / 100), random_state=5)
    parts = nodal.parts("winter")
    sources = sorted({part.source for part in parts})
    days = nodal.grid.day(0, sources, limit.head_unbalance_floor_a)
    check = Recheck(shared_engine(), nodal.grid.circuit, nodal.points, conditions, limit, events)
    verdicts = []
    for rows in (minima, sample):
        for _, row in rows.sort_values("step", kind="stable").iterrows():
            base = days[row["step"]]
            verdicts.append((row, check.verdict(row, base, parts, nodal.grid.solver.place)))
    return verdicts


def agree(verdicts, two_solutions=0.0):
    """Every size passes or fails as said, up to the edge of a limit; the place is the same.

    ``two_solutions``: share of answers that may come out otherwise because a load changes its model
    at a voltage, so that a size has two solutions and the two engines find one each.
    """
    wrong = [(row, v) for row, v in verdicts if not (v.passes and v.fails)]
    # a size may lie on the very edge of its limit: within a thousandth of the room
    far = [(row.to_dict(), v) for row, v in wrong if abs(v.nearest - 1) > 1e-3]
    elsewhere = [(row.to_dict(), v) for row, v in verdicts if not v.same_place]
    print(  # noqa: T201
        f"\n{len(verdicts)} answers: {len(wrong)} otherwise, {len(far)} of them not at the edge, "
        f"{len(elsewhere)} at another place"
    )
    assert len(far) <= two_solutions * len(verdicts), far[:3]
    assert len(wrong) <= 0.01 * len(verdicts), wrong[:3]
    assert len(elsewhere) <= two_solutions * len(verdicts), elsewhere[:3]


@pytest.mark.parametrize("regulators", [Regulators.LOCKED, Regulators.TOP])
@pytest.mark.parametrize("name", ["ieee13", "ieee34", "ieee123"])
def test_locked(name, regulators):
    verdicts = checked(name, regulators, 40, 3)
    assert any(row["status"] == Status.LIMITED for row, _ in verdicts)
    agree(verdicts)


def test_free():
    agree(checked("ieee13", Regulators.FREE, 30, 2))


@pytest.mark.parametrize("regulators", [Regulators.LOCKED, Regulators.FREE])
def test_ends_of_an_event(regulators):
    events = EventSteps(start=True, end=True, charging_share=0.7)
    verdicts = checked("ieee13", regulators, 15, 1, events)
    steps = {row["sudden_step"] for row, _ in verdicts} - {""}
    assert steps
    assert steps <= ({"event_start", "event_end"} if regulators == Regulators.FREE
                     else {"event_start"})  # fmt: skip
    agree(verdicts)


@pytest.mark.long
@pytest.mark.parametrize("regulators", Regulators)
@pytest.mark.parametrize("name", ["ieee13", "ieee34", "ieee123"])
def test_a_thousand(name, regulators):
    steps = 24 if regulators != Regulators.FREE else 6
    verdicts = checked(name, regulators, 1000, steps)
    agree(verdicts, two_solutions=0.005 if name == "ieee34" else 0.0)
