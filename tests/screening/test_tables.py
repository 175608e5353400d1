import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from v2g_feeder.calendar import season_calendar
from v2g_feeder.conventions import Case, Policy
from v2g_feeder.screening import (
    HOURLY_COLUMNS,
    RELIEF_COLUMNS,
    VIOLATION_COLUMNS,
    Reducer,
    cap_rows,
    harm_and_relief,
    hourly,
    keyed,
    screen,
)

from .factories import LIMITS, at, observed, solution

CALENDAR = season_calendar(day_types=("weekday", "peak_day"), step_minutes=30)
PLACES = observed()
RATING_KVA = {"Line.l0": 100.0, "Line.l1": 50.0}
LIMIT = {
    "over_voltage": 1.05,
    "under_voltage": 0.95,
    "thermal": 100.0,
    "reverse_flow": -100.0,
    "invalid": np.nan,
}


def row(draw, step, criterion, place, value, effect="new", reference=np.nan, **keys):
    """A violation of the table; places of voltages are nodes."""
    limit = LIMIT[criterion]
    side = -1 if criterion in {"under_voltage", "reverse_flow"} else 1
    is_node = criterion.endswith("voltage")
    return {
        "policy": "export",
        "case": "firm",
        "draw": draw,
        "step": step,
        "season": "summer",
        "month": 7,
        "day_type": "weekday",
        "hour": step // 2,
        "minute": step % 2 * 30,
        "criterion": criterion,
        "element": "" if is_node else place,
        "bus": "b1",
        "node": place if is_node else "",
        "phase": "A",
        "value": value,
        "limit": limit,
        "margin": side * (limit - value),
        "unit": "pu",
        "reference_value": reference,
        "effect": effect,
        **keys,
    }


def table(*rows):
    return pd.DataFrame(list(rows), columns=list(VIOLATION_COLUMNS))


HAND = table(
    row(0, 34, "over_voltage", "b1.1", 1.06, reference=1.04),
    row(0, 34, "over_voltage", "b2.1", 1.07, "worse", 1.06),
    row(1, 34, "over_voltage", "b1.1", 1.08, reference=1.05),
    row(1, 34, "over_voltage", "b2.1", 1.04, "cured", 1.06),
    row(1, 35, "over_voltage", "b2.1", 1.04, "cured", 1.09),
    row(0, 35, "thermal", "Line.l0", 130.0, reference=90.0),
    row(0, 35, "thermal", "Line.l1", 140.0, "improved", 160.0),
    row(2, 35, "reverse_flow", "Line.head", -250.0, "worse", -220.0),
    row(2, 36, "invalid", "not_converged", np.nan, "none"),
    row(2, 36, "under_voltage", "b9.1", 0.9, "same", 0.9),
)


def test_keys_of_a_unit():
    run = solution(PLACES, steps=48, v_pu=at((48, 2), 1.0, (35, 0, 1.06)))
    violations = screen(run, PLACES, LIMITS)
    unit = pd.DataFrame(
        keyed(
            violations, policy=Policy.EXPORT, case=Case.FIRM, draw=3, calendar=CALENDAR, step=3 * 48
        )
    )
    assert tuple(unit.columns) == VIOLATION_COLUMNS
    assert unit.iloc[0][:9].tolist() == [
        "export", "firm", 3, 179, "spring", 4, "peak_day", 17, 30,
    ]  # fmt: skip
    assert type(unit["policy"].iloc[0]) is str
    axis = CALENDAR.table().set_index("step").loc[179]
    assert axis[["season", "month", "day_type", "hour", "minute"]].tolist() == (
        unit.iloc[0][4:9].tolist()
    )


def test_hourly_by_hand():
    counted = hourly(HAND)
    assert tuple(counted.columns) == HOURLY_COLUMNS
    columns = ["step", "criterion", "count", "draws_with", "worst_value", "worst_element"]
    assert counted[columns].astype(object).fillna("nan").to_numpy().tolist() == [
        [34, "over_voltage", 3, 2, 1.08, "b1.1"],
        [35, "reverse_flow", 1, 1, -250.0, "Line.head"],
        [35, "thermal", 2, 1, 140.0, "Line.l1"],
        [36, "invalid", 1, 1, "nan", "not_converged"],
        [36, "under_voltage", 1, 1, 0.9, "b9.1"],
    ]
    assert counted["hour"].tolist() == [17, 17, 17, 18, 18]
    assert counted["minute"].tolist() == [0, 30, 30, 0, 0]


def test_ties_go_to_the_lowest_draw_and_the_first_label():
    tied = table(
        row(1, 0, "over_voltage", "a.1", 1.06),
        row(0, 0, "over_voltage", "c.1", 1.06),
        row(0, 0, "over_voltage", "b.1", 1.06),
    )
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        assert hourly(tied.iloc[order])["worst_element"].tolist() == ["b.1"]


def test_no_violations_at_all():
    empty = table()
    assert hourly(empty).empty
    assert cap_rows(empty)[1] == ""
    relief = harm_and_relief(empty, {("export", "firm"): 3}, RATING_KVA)
    assert len(relief) == 10
    assert (relief.filter(regex="mean|min|max") == 0).all(axis=None)


def relief_of(violations, draws=3):
    found = harm_and_relief(violations, {("export", "firm"): draws}, RATING_KVA, step_hours=0.5)
    assert tuple(found.columns) == RELIEF_COLUMNS
    return found.set_index(["criterion", "outcome"])


def measures(found, criterion, outcome, name):
    return found.loc[
        (criterion, outcome), [f"{name}_{over}" for over in ("mean", "min", "max")]
    ].tolist()


def test_harm_and_relief_by_hand():
    found = relief_of(HAND)
    assert measures(found, "over_voltage", "harm", "hours") == pytest.approx([1 / 3, 0, 0.5])
    # two nodes of one bus are one place
    assert measures(found, "over_voltage", "harm", "place_hours") == pytest.approx([1 / 3, 0, 0.5])
    assert measures(found, "over_voltage", "harm", "peak") == pytest.approx([0.04 / 3, 0, 0.03])
    assert measures(found, "over_voltage", "relief", "hours") == pytest.approx([1 / 3, 0, 1])
    assert measures(found, "over_voltage", "relief", "peak") == pytest.approx([0.04 / 3, 0, 0.04])
    assert measures(found, "thermal", "harm", "peak") == pytest.approx([10, 0, 30])
    assert measures(found, "thermal", "relief", "peak") == pytest.approx([10 / 3, 0, 10])
    assert measures(found, "reverse_flow", "harm", "peak") == pytest.approx([10, 0, 30])
    assert measures(found, "reverse_flow", "relief", "hours") == [0, 0, 0]
    assert measures(found, "under_voltage", "unchanged", "peak") == pytest.approx(
        [0.05 / 3, 0, 0.05]
    )
    assert measures(found, "invalid", "uncompared", "hours") == pytest.approx([0.5 / 3, 0, 0.5])
    assert np.isnan(found.loc[("invalid", "uncompared"), "peak_max"])
    assert found.loc[("thermal", "harm"), "unit"] == "kVA"


def test_a_draw_without_rows_counts_as_zero():
    everywhere = table(*(row(draw, 0, "over_voltage", "b1.1", 1.06) for draw in range(3)))
    assert measures(relief_of(everywhere), "over_voltage", "harm", "hours") == [0.5, 0.5, 0.5]
    assert measures(relief_of(everywhere, 6), "over_voltage", "harm", "hours") == [0.25, 0, 0.5]
    with pytest.raises(ValueError, match="3 draws with rows, 2 announced"):
        relief_of(everywhere, 2)


def test_a_thermal_peak_without_a_rating_in_kva_is_not_known():
    found = relief_of(table(row(0, 0, "thermal", "Line.other", 150.0)))
    assert np.isnan(found.loc[("thermal", "harm"), ["peak_mean", "peak_max"]].tolist()).all()
    assert measures(found, "thermal", "harm", "hours") == pytest.approx([0.5 / 3, 0, 0.5])


def test_the_cap_keeps_the_worst_of_each_key():
    rows, note = cap_rows(HAND, most=9)
    assert len(rows) == 7
    assert note.startswith("10 rows: only the worst per")
    kept = rows[rows["criterion"] == "over_voltage"]
    assert kept[["node", "value", "draw"]].to_numpy().tolist() == [
        ["b2.1", 1.07, 0],
        ["b1.1", 1.08, 1],
    ]
    rows, note = cap_rows(HAND, most=10)
    assert (len(rows), note) == (10, "")
    assert rows["draw"].is_monotonic_increasing


def test_the_cap_is_hard():
    rows, note = cap_rows(HAND, most=5)
    assert rows["criterion"].value_counts().to_dict() == dict.fromkeys(LIMIT, 1)
    assert rows.loc[rows["criterion"] == "over_voltage", "value"].tolist() == [1.08]
    assert note.endswith("an equal share of the worst of each criterion")


@settings(max_examples=40, deadline=None)
@given(data=st.data(), most=st.integers(1, 60), seed=st.integers(0, 99))
def test_the_reducer_is_the_same_as_all_rows_at_once(data, most, seed):
    rng = np.random.default_rng(seed)
    units = [
        table(
            *(
                row(draw, step, criterion, place, round(LIMIT[criterion] * size, 2), day_type=day)
                for step in (number, number + 1)
                for criterion, size in (("over_voltage", 1.1), ("thermal", 1 + rng.random()))
                for place in ("p", "q", "r")
                if rng.random() < 0.6
            )
        )
        for draw in range(3)
        for number, day in ((0, "weekday"), (10, "weekend"))
    ]
    reducer = Reducer(RATING_KVA, most=most)
    for number in data.draw(st.permutations(range(len(units)))):
        reducer.add(units[number])
        if rng.random() < 0.5:
            reducer.hourly()
    everything = pd.concat(units, ignore_index=True)
    draws = {("export", "firm"): 3}
    rows, note = cap_rows(everything, most)
    got, got_note = reducer.violations()
    pd.testing.assert_frame_equal(got.astype(rows.dtypes), rows)
    assert got_note == note
    pd.testing.assert_frame_equal(reducer.hourly(), hourly(everything), check_dtype=False)
    pd.testing.assert_frame_equal(
        reducer.harm_and_relief(draws), harm_and_relief(everything, draws, RATING_KVA)
    )


def test_a_reducer_without_units():
    reducer = Reducer(RATING_KVA)
    reducer.add(table())
    assert reducer.hourly().empty
    assert reducer.violations()[0].columns.tolist() == list(VIOLATION_COLUMNS)
    assert (reducer.harm_and_relief({("export", "firm"): 2})["hours_mean"] == 0).all()
