"""Each criterion alone: a run that breaks it and nothing else."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g_feeder.conventions import Criterion
from v2g_feeder.powerflow.solution import SuddenKind
from v2g_feeder.screening import (
    Limits,
    Screen,
    binding,
    criteria_of,
    excess,
    harm_and_relief,
    operations,
    screen,
)

from .factories import at, observed, solution

ALL = np.inf
STEPS = 4
EVERY = Limits(
    name="every",
    voltage=((0.6, 0.95, 1.05), (ALL, 0.975, 1.05)),
    sudden=((0.6, 0.05), (ALL, 0.03)),
    slow=((0.6, 0.03), (ALL, 0.02)),
    emergency_pct=100,
    season_factor={"winter": 1.2},
    band_share=0.5,
    tap_operations_a_day=2,
    capacitor_operations_a_day=1,
    line_unbalance_pct=3,
    sequence_unbalance_pct=2,
    head_unbalance_pct=20,
    head_unbalance_floor_a=10,
)


def places():
    """Two nodes, two lines, two flows, a regulator at node 1, a capacitor, a balanced bus."""
    bare = observed()
    return dataclasses.replace(
        bare,
        elements=bare.elements.assign(emergency_ratio=[1.3, np.nan]),
        regulators=("reg",),
        tap_steps=(0.00625,),
        capacitors=("cap",),
        bands=pd.DataFrame({"element": ["Transformer.reg"], "row": [1], "band_pu": [0.02]}),
        balanced=pd.DataFrame({"bus": ["b1"], "phase": ["ABC"], "kv_class": [12.47]}),
        head_bus="b0",
    )


PLACES = places()


def day(**arrays):
    full = {
        "taps": np.ones((STEPS, 1)),
        "capacitor_steps": np.ones((STEPS, 1), int),
        "line_unbalance_pct": np.full((STEPS, 1), 0.5),
        "sequence_unbalance_pct": np.full((STEPS, 1), 0.5),
        "head_amps": np.full((STEPS, 3), 100.0),
    }
    return solution(PLACES, STEPS, **(full | arrays))


def nodes(*points):
    return at((STEPS, 2), 1.0, *points)


CASES = {
    "over_voltage": {"v_pu": nodes((1, 0, 1.0505))},
    "under_voltage": {"v_pu": nodes((1, 1, 0.974))},
    "sudden_voltage": {
        "sudden_step": np.array([1]),
        "sudden_kind": np.array([SuddenKind.ALL_EXPORT_LOST]),
        "sudden_pu": np.array([[0.01, -0.031]]),
    },
    "thermal": {"loading_pct": at((STEPS, 2), 10.0, (1, 0, 101.0))},
    "emergency": {"loading_pct": at((STEPS, 2), 10.0, (1, 0, 131.0))},
    "reverse_flow": {"flow_kw": at((STEPS, 2), 500.0, (1, 1, -101.0))},
    "slow_voltage": {"v_pu": nodes((1, 0, 1.031))},
    "regulator_voltage": {"v_pu": nodes((1, 1, 0.989))},
    "line_unbalance": {"line_unbalance_pct": at((STEPS, 1), 0.5, (1, 0, 3.1))},
    "sequence_unbalance": {"sequence_unbalance_pct": at((STEPS, 1), 0.5, (1, 0, 2.1))},
    "head_unbalance": {"head_amps": np.array([[100.0] * 3] * 3 + [[100.0, 100.0, 60.0]])},
    "tap_operations": {"taps": np.array([[1.0], [1.00625], [1.0125], [1.00625]])},
    "capacitor_operations": {"capacitor_steps": np.array([[1], [0], [1], [1]])},
}
OWN = {  # beside thermal, the emergency rating is broken only together with it
    "over_voltage": {"slow": ()},
    "under_voltage": {"slow": (), "band_share": ALL},
    "emergency": {"thermal_pct": 200.0},
}


@pytest.mark.parametrize("criterion", [item for item in Criterion if item != Criterion.INVALID])
def test_each_criterion_binds_alone(criterion):
    limits = dataclasses.replace(EVERY, **OWN.get(criterion, {}))
    table = screen(day(**CASES[criterion]), PLACES, limits, day())
    assert table["criterion"].tolist() == [str(criterion)]
    row = table.iloc[0]
    assert row["effect"] == "new"
    assert row["margin"] < 0
    assert row["margin"] == pytest.approx(
        -float(excess(criterion, row["value"], row["limit"])), abs=1e-6
    )
    last_step = {"head_unbalance", "tap_operations", "capacitor_operations"}
    assert row["step"] == (3 if criterion in last_step else 1)
    assert screen(day(), PLACES, limits, day()).empty


def test_values_limits_and_units_by_hand():
    found = {
        name: screen(day(**CASES[name]), PLACES, EVERY, day()).set_index("criterion").loc[name]
        for name in CASES
    }
    columns = ["value", "limit", "unit", "element", "node"]
    hand = {
        "emergency": (131, 130, "%", "Line.l0", ""),
        "slow_voltage": (0.031, 0.03, "pu", "", "b0.1"),
        "regulator_voltage": (-0.011, 0.01, "pu", "Transformer.reg", "b1.1"),
        "line_unbalance": (3.1, 3, "%", "", ""),
        "sequence_unbalance": (2.1, 2, "%", "", ""),
        "head_unbalance": (100 * (86.667 - 60) / 86.667, 20, "%", "head", ""),
        "tap_operations": (3, 2, "a day", "Transformer.reg", ""),
        "capacitor_operations": (2, 1, "a day", "Capacitor.cap", ""),
    }
    for name, (value, limit, *labels) in hand.items():
        row = found[name][columns].tolist()
        assert row[:2] == pytest.approx([value, limit], rel=1e-4), name
        assert row[2:] == labels, name


def test_operations_are_those_added_to_the_references_own():
    busy = {"taps": np.array([[1.0], [1.00625], [1.0], [1.00625]])}
    assert screen(day(**busy), PLACES, EVERY, day(**busy)).empty
    assert screen(day(**busy), PLACES, EVERY).empty, "nothing to compare with"
    assert screen(day(), PLACES, EVERY, day(**busy)).empty


def test_a_day_is_counted_for_itself():
    moved = np.array([[1.0], [1.0], [1.0125], [1.0125]])
    two_days = operations(moved, np.array([0.00625]), 2)
    assert two_days.tolist() == [[0], [0]]
    assert operations(moved, np.array([0.00625]), 4).tolist() == [[2]]
    run = day(taps=np.array([[1.0], [1.01875], [1.0], [1.01875]]))
    table = Screen(PLACES, EVERY, steps_per_day=2).rows(run, day())
    assert table[["step", "criterion", "value"]].to_numpy().tolist() == [
        [1, "tap_operations", 3],
        [3, "tap_operations", 3],
    ]


def test_changes_are_not_screened_against_an_invalid_reference():
    reasons = np.array([0, 4, 0, 0])
    run = day(v_pu=nodes((1, 0, 1.04), (2, 0, 1.04)), taps=CASES["tap_operations"]["taps"])
    table = screen(run, PLACES, EVERY, day(reason=reasons))
    assert table[["step", "criterion"]].to_numpy().tolist() == [[2, "slow_voltage"]]


def test_seasons_have_their_own_ampacity():
    laid = Screen(PLACES, EVERY)
    run = day(loading_pct=at((STEPS, 2), 10.0, (1, 0, 115.0)))
    assert laid.rows(run)["criterion"].tolist() == ["thermal"]
    assert laid.rows(run, season="summer")["criterion"].tolist() == ["thermal"]
    assert laid.rows(run, season="winter").empty
    hot = day(loading_pct=at((STEPS, 2), 10.0, (1, 0, 125.0)))
    assert laid.rows(hot, season="winter")["limit"].tolist() == [pytest.approx(120)]


def test_what_an_engine_does_not_observe_is_not_screened():
    bare = solution(PLACES, STEPS, taps=np.ones((STEPS, 1)))
    assert screen(bare, PLACES, EVERY, bare).empty
    laid = Screen(PLACES, EVERY)
    assert [str(item) for item in laid.unobserved(bare)] == [
        "line_unbalance", "sequence_unbalance", "head_unbalance", "capacitor_operations",
    ]  # fmt: skip
    assert laid.unobserved(day()) == ()
    assert {str(item) for item in laid.criteria} == set(CASES)
    quiet = Screen(PLACES, Limits("v", EVERY.voltage, ((ALL, ALL),), thermal_pct=ALL))
    assert [str(item) for item in quiet.criteria] == [
        "over_voltage",
        "under_voltage",
        "reverse_flow",
    ]


def test_unknown_ratings_have_no_emergency_limit():
    items = {item.criterion: item for item in criteria_of(PLACES, EVERY)}
    assert items[Criterion.EMERGENCY].limit.tolist() == [
        pytest.approx(130),
        pytest.approx(np.nan, nan_ok=True),
    ]


def test_harm_of_every_screened_criterion_has_its_row():
    table = harm_and_relief(
        pd.DataFrame(columns=list(harm_columns())), {("export", "firm"): 1}, {}, 1.0,
        ["thermal", "line_unbalance"],
    )  # fmt: skip
    assert table["criterion"].tolist() == ["line_unbalance"] * 2 + ["thermal"] * 2


def harm_columns():
    return (
        "policy", "case", "draw", "step", "criterion", "element", "bus", "node", "value", "limit",
        "reference_value", "effect",
    )  # fmt: skip


def test_binding_over_many_states():
    limit = np.array([1.05, np.nan, np.inf])
    values = np.array([[1.06, 1.2, 1.2], [1.05, 1.0, 1.0], [np.nan, 1.0, 1.0]])
    assert binding("over_voltage", values, limit).tolist() == [
        [True, False, False],
        [False] * 3,
        [False] * 3,
    ]


@pytest.mark.parametrize(
    ("value", "reference", "binds"),
    [(1.06, 1.0, True), (1.06, 1.06, False), (1.06, 1.055, True), (1.06, 1.07, False)],
)
def test_what_was_broken_before_binds_only_if_worse(value, reference, binds):
    args = np.array([value]), np.array([1.05]), np.array([reference])
    assert binding("over_voltage", *args).tolist() == [binds]


@given(
    criterion=st.sampled_from([item for item in Criterion if item != Criterion.INVALID]),
    seed=st.integers(0, 999),
)
def test_binding_is_what_the_table_says(criterion, seed):
    """The search over states and the violation table of a study apply the same rule."""
    rng = np.random.default_rng(seed)
    laid = Screen(PLACES, EVERY)
    item = next((one for one in laid.items() if one.criterion == criterion), None)
    if item is None or item.against.value != "effect":
        return
    arrays = {
        "v_pu": rng.uniform(0.9, 1.1, (STEPS, 2)),
        "loading_pct": rng.uniform(0, 200, (STEPS, 2)),
        "flow_kw": rng.uniform(-300, 300, (STEPS, 2)),
        "line_unbalance_pct": rng.uniform(0, 6, (STEPS, 1)),
        "sequence_unbalance_pct": rng.uniform(0, 4, (STEPS, 1)),
        "head_amps": rng.uniform(0, 100, (STEPS, 3)),
    }
    run = day(**arrays)
    table = laid.rows(run)
    rows = table[table["criterion"] == str(criterion)]
    limit = item.limit.astype(np.float32)
    assert len(rows) == int(binding(criterion, item.values(run), limit).sum())
