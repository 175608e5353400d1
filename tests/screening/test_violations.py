import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from v2g_feeder.errors import InputError
from v2g_feeder.powerflow.solution import Reason, SuddenKind
from v2g_feeder.screening import (
    SCREEN_COLUMNS,
    load_limits,
    reverse_flow_indicator,
    screen,
    unknowns,
)

from .factories import LIMITS, at, observed, solution

PLACES = observed()
SHAPE = (2, 2)


def voltages(*points):
    return solution(PLACES, v_pu=at(SHAPE, 1.0, *points))


def sudden(*changes):
    """One row a (step, kind, node, pu)."""
    table = np.zeros((len(changes), 2))
    for row, (_, _, node, pu) in enumerate(changes):
        table[row, node] = pu
    return solution(
        PLACES,
        sudden_step=np.array([change[0] for change in changes], dtype=int),
        sudden_kind=np.array([change[1] for change in changes], dtype=int),
        sudden_pu=table,
    )


def test_a_clean_run_has_no_rows_but_all_columns():
    table = screen(solution(PLACES), PLACES, LIMITS)
    assert tuple(table.columns) == SCREEN_COLUMNS
    assert table.empty


def test_voltages_by_class():
    table = screen(voltages((0, 1, 1.06), (1, 0, 0.96), (1, 1, 0.96)), PLACES, LIMITS)
    assert table["criterion"].tolist() == ["over_voltage", "under_voltage"]
    assert table[["step", "node", "bus", "phase", "element"]].to_numpy().tolist() == [
        [0, "b1.1", "b1", "B", ""],
        [1, "b1.1", "b1", "B", ""],
    ]
    assert table["value"].tolist() == pytest.approx([1.06, 0.96])
    assert table["limit"].tolist() == [1.05, 0.975]
    assert table["margin"].tolist() == pytest.approx([-0.01, -0.015], abs=1e-6)
    assert set(table["unit"]) == {"pu"}
    assert set(table["effect"]) == {"none"}
    assert table["reference_value"].isna().all()


def test_thermal():
    run = solution(PLACES, loading_pct=at(SHAPE, 10.0, (1, 0, 130.0)))
    row = screen(run, PLACES, LIMITS).iloc[0]
    assert (row["criterion"], row["element"], row["node"], row["unit"]) == (
        "thermal",
        "Line.l0",
        "",
        "%",
    )
    assert (row["value"], row["limit"], row["margin"]) == (130, 100, -30)
    assert screen(run, PLACES, LIMITS.replaced(thermal_pct=130.0)).empty


def test_reverse_flow_binds_only_where_a_limit_was_given():
    run = solution(PLACES, flow_kw=at(SHAPE, -200.0))
    table = screen(run, PLACES, LIMITS)
    assert table["element"].tolist() == ["Line.head1"] * 2
    assert table[["value", "limit", "margin"]].iloc[0].tolist() == [-200, -100, -100]
    stricter = LIMITS.replaced(reverse_flow_kw={"LINE.HEAD0": 0.0, "line.head1": 250})
    table = screen(run, PLACES, stricter)
    assert table["element"].tolist() == ["Line.head0"] * 2
    assert not np.signbit(table["limit"]).any()


@pytest.mark.parametrize(("kw", "rows"), [(-100.05, 0), (-100.2, 1), (500, 0)])
def test_reverse_flow_tolerance(kw, rows):
    assert len(screen(solution(PLACES, flow_kw=at(SHAPE, 0.0, (0, 1, kw))), PLACES, LIMITS)) == rows


def test_a_reverse_limit_at_a_place_that_is_not_watched_is_refused():
    limits = LIMITS.replaced(reverse_flow_kw={"Line.hed0": 10.0})
    with pytest.raises(InputError, match=r"Line\.head0"):
        screen(solution(PLACES), PLACES, limits)


def test_sudden_change_by_class_is_signed_and_named():
    run = sudden(
        (1, SuddenKind.EVENT_END, 1, -0.04),
        (0, SuddenKind.ALL_EXPORT_LOST, 0, -0.06),
        (0, SuddenKind.EVENT_START, 0, 0.04),
    )
    table = screen(run, PLACES, LIMITS, solution(PLACES))
    assert table[["step", "element", "node", "effect"]].to_numpy().tolist() == [
        [0, "all_export_lost", "b0.1", "new"],
        [1, "event_end", "b1.1", "new"],
    ]
    assert table["value"].tolist() == pytest.approx([-0.06, -0.04])
    assert table["limit"].tolist() == [0.05, 0.03]
    assert table["margin"].tolist() == pytest.approx([-0.01, -0.01], abs=1e-6)
    assert table["reference_value"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("ours", "theirs", "effect"),
    [(-0.06, 0.06, "same"), (0.07, 0.06, "worse"), (0.06, 0.07, "improved"), (0.02, 0.06, "cured")],
)
def test_sudden_changes_are_compared_by_step_and_kind(ours, theirs, effect):
    run, reference = sudden((1, 1, 0, ours)), sudden((0, 1, 0, 0.01), (1, 1, 0, theirs))
    assert screen(run, PLACES, LIMITS, reference)["effect"].tolist() == [effect]


def test_a_sudden_change_that_no_longer_happens_is_cured():
    row = screen(solution(PLACES), PLACES, LIMITS, sudden((1, 1, 0, 0.06))).iloc[0]
    assert (row["effect"], row["value"], row["margin"]) == ("cured", 0, pytest.approx(0.05))


def test_a_sudden_change_that_is_not_a_number_is_a_row():
    table = screen(sudden((1, 1, 0, np.nan)), PLACES, LIMITS)
    assert table[["step", "criterion", "element"]].to_numpy().tolist() == [
        [1, "invalid", "event_start_not_finite"]
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "effect"),
    [
        (1.06, 1.04, "new"),
        (1.06, 1.055, "worse"),
        (1.06, 1.065, "improved"),
        (1.06, 1.06, "same"),
        (1.060004, 1.06, "same"),
        (1.05999, 1.060005, "improved"),
        (1.04, 1.06, "cured"),
        (1.05, 1.06, "cured"),
    ],
)
def test_effects(ours, theirs, effect):
    table = screen(voltages((0, 0, ours)), PLACES, LIMITS, voltages((0, 0, theirs)))
    row = table.iloc[0]
    assert len(table) == 1
    assert row["effect"] == effect
    assert row["value"] == pytest.approx(ours)
    assert row["reference_value"] == pytest.approx(theirs)
    assert (row["margin"] >= 0) == (effect == "cured")


@pytest.mark.parametrize(("theirs", "effect"), [(120.005, "same"), (119.9, "worse"), (99, "new")])
def test_thermal_tolerance(theirs, effect):
    run, reference = (
        solution(PLACES, loading_pct=at(SHAPE, 10.0, (0, 0, pct))) for pct in (120.0, theirs)
    )
    assert screen(run, PLACES, LIMITS, reference)["effect"].tolist() == [effect]


@pytest.mark.parametrize(
    ("ours", "theirs", "effect"),
    [
        (-200, -200.05, "same"),
        (-200, -300, "improved"),
        (-200, 50, "new"),
        (-100.05, -300, "cured"),
    ],
)
def test_reverse_flow_effects(ours, theirs, effect):
    run, reference = (solution(PLACES, flow_kw=at(SHAPE, 0.0, (0, 1, kw))) for kw in (ours, theirs))
    table = screen(run, PLACES, LIMITS, reference)
    assert table["effect"].tolist() == [effect]
    assert (table["margin"].iloc[0] >= 0) == (effect == "cured")


def test_an_invalid_step_is_one_row_and_nothing_else():
    run = solution(
        PLACES,
        v_pu=at(SHAPE, 1.2),
        loading_pct=at(SHAPE, np.nan),
        reason=np.array([Reason.NOT_CONVERGED, Reason.CRASHED]),
        sudden_step=np.array([0]),
        sudden_kind=np.array([0]),
        sudden_pu=np.full((1, 2), 0.5),
    )
    table = screen(run, PLACES, LIMITS, voltages((0, 0, 1.06)))
    assert table["criterion"].tolist() == ["invalid", "invalid"]
    assert table["element"].tolist() == ["not_converged", "crashed"]
    assert table["effect"].tolist() == ["none", "none"]
    assert table[["value", "limit", "margin"]].isna().all(axis=None)


def test_a_flagged_step_is_screened():
    run = dataclasses.replace(
        voltages((0, 0, 1.06)), reason=np.full(2, int(Reason.HIGH_VOLTAGE_SWITCHED))
    )
    assert screen(run, PLACES, LIMITS)["criterion"].tolist() == ["over_voltage"]


@pytest.mark.parametrize(
    "broken",
    [
        {"v_pu": at(SHAPE, 1.0, (1, 0, np.nan))},
        {"loading_pct": at(SHAPE, 10.0, (1, 0, np.nan))},
        {"flow_kw": at(SHAPE, 10.0, (1, 1, np.inf))},
    ],
)
def test_a_number_that_is_missing_where_one_is_due_makes_the_step_invalid(broken):
    table = screen(solution(PLACES, **broken), PLACES, LIMITS)
    assert table[["step", "criterion", "element"]].to_numpy().tolist() == [
        [1, "invalid", "not_finite"]
    ]


def test_an_invalid_reference_step_is_not_compared():
    reference = dataclasses.replace(
        voltages((0, 0, 1.06), (1, 1, 1.07)), reason=np.array([Reason.LOAD_SHED, 0])
    )
    table = screen(voltages((0, 0, 1.06), (1, 0, 1.06)), PLACES, LIMITS, reference)
    assert table[["step", "node", "effect"]].to_numpy().tolist() == [
        [0, "b0.1", "none"],
        [1, "b0.1", "new"],
        [1, "b1.1", "cured"],
    ]
    assert np.isnan(table["reference_value"].iloc[0])


def test_a_reference_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="v_pu of the reference"):
        screen(solution(PLACES), PLACES, LIMITS, solution(PLACES, steps=3))


def test_unknown_ratings_are_listed_and_never_screened():
    places = observed(ratings=(100.0, np.nan, np.nan))
    run = solution(places, loading_pct=np.array([[90, 500, np.nan], [90, np.nan, np.nan]]))
    assert screen(run, places, LIMITS).empty
    table = unknowns(places)
    assert table["element"].tolist() == ["Line.l1", "Line.l2"]
    assert table.columns.tolist() == ["element", "kind", "bus", "phase"]
    made_up = dataclasses.replace(
        places, elements=places.elements.assign(rating_kva=1.0, rating_source="unknown")
    )
    assert len(unknowns(made_up)) == 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [1.05, 0.95, np.float32(1.05), np.float32(0.95)])
def test_a_value_at_its_limit_meets_it(value, dtype):
    run = solution(PLACES, v_pu=at(SHAPE, 1.0, (0, 0, value)).astype(dtype))
    assert screen(run, PLACES, LIMITS).empty
    reference = voltages((0, 0, 1.06))
    margin = screen(run, PLACES, LIMITS, reference)["margin"].iloc[0]
    assert margin >= 0


@pytest.mark.parametrize("name", ["ansi_c84_1_a", "ansi_c84_1_b", "en_50160", "ica"])
def test_the_rows_are_those_of_the_stored_float32(name):
    limits = load_limits(name)
    kv = np.full(7, 0.24)
    vmin, vmax = (limit[0] for limit in limits.voltage_band(kv))
    near = [
        np.nextafter(np.float32(edge), np.float32(to)) for edge in (vmin, vmax) for to in (0, 2)
    ]
    v_pu = np.array([[vmin, vmax, *near, vmax + 1e-9]])
    places = observed(kv=kv)
    table = screen(solution(places, steps=1, v_pu=v_pu), places, limits)
    stored = v_pu.astype(np.float32)
    assert len(table) == ((stored < float(vmin)) | (stored > float(vmax))).sum() == 2
    pd.testing.assert_frame_equal(
        table, screen(solution(places, steps=1, v_pu=stored), places, limits)
    )


def test_reverse_flow_indicator():
    run = solution(
        PLACES,
        steps=4,
        flow_kw=np.array([[5.0, -0.05], [-20, 3], [-30, 3], [-900, 3]]),
        reason=np.array([0, 0, 0, int(Reason.NOT_CONVERGED)]),
    )
    table = reverse_flow_indicator(run, PLACES, step_hours=0.5)
    assert table["reverse_kw"].tolist() == [30, 0]
    assert table["reverse_hours"].tolist() == [1.0, 0]
    assert table["first_step"].tolist() == [1, -1]
    assert table["element"].tolist() == ["Line.head0", "Line.head1"]


values = st.floats(0.90625, 1.09375, width=32)


@st.composite
def days(draw):
    """A day at PLACES, three steps."""
    shape = (3, 2)
    return solution(
        PLACES,
        steps=3,
        v_pu=draw(arrays(np.float32, shape, elements=values)),
        loading_pct=draw(arrays(float, shape, elements=st.floats(0, 200))),
        flow_kw=draw(arrays(float, shape, elements=st.floats(-500, 500))),
        sudden_step=np.array([0, 2]),
        sudden_kind=np.array([1, 2]),
        sudden_pu=draw(arrays(float, (2, 2), elements=st.floats(-0.1, 0.1))),
    )


def keys(table):
    kept = table[table["effect"] != "cured"]
    return set(kept[["step", "criterion", "element", "node"]].itertuples(index=False, name=None))


@settings(max_examples=50, deadline=None)
@given(run=days(), reference=days(), wider=st.sampled_from(["voltage", "sudden", "thermal_pct"]))
def test_a_wider_limit_never_adds_a_row(run, reference, wider):
    wide = {
        "voltage": ((np.inf, 0.92, 1.08),),
        "sudden": ((np.inf, np.inf),),
        "thermal_pct": np.inf,
    }
    narrow = screen(run, PLACES, LIMITS, reference)
    wide_rows = screen(run, PLACES, LIMITS.replaced(**{wider: wide[wider]}), reference)
    assert keys(wide_rows) <= keys(narrow)
    assert len(wide_rows) <= len(narrow)
    assert keys(narrow) == keys(screen(run, PLACES, LIMITS))


@settings(max_examples=50, deadline=None)
@given(run=days(), reference=days())
def test_margin_and_effect_agree(run, reference):
    table = screen(run, PLACES, LIMITS, reference)
    assert ((table["margin"] >= 0) == (table["effect"] == "cured")).all()
    assert (table["effect"] != "none").all()


@settings(max_examples=50, deadline=None)
@given(run=days())
def test_a_run_against_itself_changes_nothing(run):
    assert set(screen(run, PLACES, LIMITS, run)["effect"]) <= {"same"}


@settings(max_examples=50, deadline=None)
@given(run=days(), reference=days())
def test_swapping_places_swaps_rows(run, reference):
    swap = [1, 0]
    places = dataclasses.replace(
        PLACES, **{
            name: getattr(PLACES, name).iloc[swap].reset_index(drop=True)
            for name in ("voltages", "elements", "flows")
        }
    )  # fmt: skip
    names = ("v_pu", "loading_pct", "flow_kw", "sudden_pu")
    swapped = [
        dataclasses.replace(item, **{name: getattr(item, name)[:, swap] for name in names})
        for item in (run, reference)
    ]
    order = ["criterion", "step", "element", "node"]
    ours, theirs = (
        table.sort_values(order, ignore_index=True)
        for table in (
            screen(run, PLACES, LIMITS, reference),
            screen(swapped[0], places, LIMITS, swapped[1]),
        )
    )
    pd.testing.assert_frame_equal(ours, theirs)
