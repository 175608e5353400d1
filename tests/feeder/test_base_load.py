"""Base load from the model's own shapes and from the standard table."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from v2g_feeder.calendar import season_calendar
from v2g_feeder.errors import InputError
from v2g_feeder.feeder.base_load import customer_classes, native, standard
from v2g_feeder.feeder.base_load_days import resample, weekly_pattern

SHARED = Path(__file__).parents[2].parent / "shared"
WINTER = {"winter": [12, 1, 2]}


def make_loads(*rows: tuple[str, float, float, str]) -> pd.DataFrame:
    """Loads of (name, kw, kvar, yearly shape)."""
    frame = pd.DataFrame(rows, columns=["name", "kw", "kvar", "yearly"])
    return frame.assign(daily="")


def hourly(points, **stated) -> dict:
    return {"PMult": list(points), "Interval": 1.0, **stated}


def year_days() -> pd.DatetimeIndex:
    return pd.date_range("2023-01-01", periods=365)


def test_constant_shape_gives_constant_profiles():
    loads = make_loads(("A", 10, 2, "s"))
    base = native(loads, {"S": hourly(np.full(8760, 0.4))}, season_calendar())
    assert base.p.shape == (1, 16 * 24)
    np.testing.assert_allclose(base.p, 0.4)
    np.testing.assert_allclose(base.q, 0.4)
    assert base.season_claim
    assert base.shape_of == {"a": 0}
    assert any("no clear weekly pattern" in note for note in base.notes)


def test_weekdays_and_weekends_are_means_by_hour():
    values = np.arange(365.0)[:, None] + np.arange(24) / 100
    loads = make_loads(("a", 1, 0, "s"))
    calendar = season_calendar({"january": [1]}, ["weekday", "weekend"])
    base = native(loads, {"s": hourly(values.ravel())}, calendar, first_weekday="friday")
    dow = (np.arange(31) + 4) % 7
    number = np.arange(31)
    hours = np.arange(24) / 100
    np.testing.assert_allclose(base.p[0, :24], number[dow < 5].mean() + hours)
    np.testing.assert_allclose(base.p[0, 24:], number[dow >= 5].mean() + hours)
    assert "1 January is taken for a Friday, as set." in base.notes


def test_extreme_days_are_those_of_the_total_and_shared_by_all_shapes():
    big, small = np.ones((365, 24)), np.ones((365, 24))
    big[20, 18] = 3.0  # 21 January: the total's peak
    small[10, 18] = 9.0  # 11 January: the small customer's own peak
    big[40, 10:16] = 0.2  # 10 February
    small[21, :10] = 0.0  # outside the daytime: never a min day
    loads = make_loads(("big", 1000, 0, "b"), ("small", 1, 0, "s"))
    calendar = season_calendar(WINTER, ["peak_day", "min_day"])
    base = native(loads, {"b": hourly(big.ravel()), "s": hourly(small.ravel())}, calendar)
    b, s = base.p[base.shape_of["big"]], base.p[base.shape_of["small"]]
    np.testing.assert_allclose(b[:24], big[20])
    np.testing.assert_allclose(s[:24], small[20])
    np.testing.assert_allclose(b[24:], big[40])
    assert "In winter, peak_day is 21 January and min_day is 10 February." in base.notes


def test_weekly_pattern_is_read_and_overrules_nothing_that_is_set():
    dow = (np.arange(365) + 2) % 7
    values = np.where(dow >= 5, 0.5, 1.0)[:, None] * np.ones(24)
    loads = make_loads(("a", 1, 0, "shop"))
    shapes = {"shop": hourly(values.ravel())}
    calendar = season_calendar(day_types=["weekday", "weekend"])
    base = native(loads, shapes, calendar)
    assert any("Wednesday" in note and "'shop'" in note for note in base.notes)
    np.testing.assert_allclose(base.p[0].reshape(-1, 24)[::2], 1.0)
    np.testing.assert_allclose(base.p[0].reshape(-1, 24)[1::2], 0.5)
    assert native(loads, shapes, calendar, first_weekday=4).p[0, 0] < 1.0


def test_weekly_pattern_of_noise_is_not_claimed():
    assert weekly_pattern(np.ones((365, 24))) is None
    assert weekly_pattern(np.ones((7, 24))) is None


def test_weekday_that_is_none_names_the_nearest():
    loads = make_loads(("a", 1, 0, "s"))
    with pytest.raises(InputError, match="did you mean 'Friday'"):
        native(loads, {"s": hourly(np.ones(8760))}, season_calendar(), first_weekday="firday")


def test_finer_data_are_averaged_and_coarser_repeated():
    minute = np.repeat(np.arange(96.0), 15)
    loads = make_loads(("fine", 1, 1, "m"), ("coarse", 1, 1, "h"))
    shapes = {
        "m": {"PMult": minute.tolist(), "MInterval": 1.0},
        "h": {"PMult": list(range(24)), "SInterval": 3600},
    }
    base = native(loads, shapes, season_calendar(WINTER, ["weekday"], 15))
    np.testing.assert_allclose(base.p[base.shape_of["fine"]], np.arange(96))
    np.testing.assert_allclose(base.p[base.shape_of["coarse"]], np.repeat(np.arange(24), 4))
    hour = native(loads, shapes, season_calendar(WINTER, ["weekday"], 60))
    np.testing.assert_allclose(hour.p[0], np.arange(24) * 4 + 1.5)


def test_day_shape_makes_no_season_claim():
    loads = make_loads(("a", 1, 0, "d")).assign(daily="d", yearly="")
    base = native(loads, {"d": hourly(range(1, 25))}, season_calendar())
    np.testing.assert_allclose(base.p[0].reshape(16, 24), np.tile(np.arange(1, 25), (16, 1)))
    assert not base.season_claim


@pytest.mark.parametrize("name", ["", "default", "DEFAULT", None])
def test_model_without_shapes_is_flat_and_says_so(name):
    loads = make_loads(("a", 5, 1, ""), ("b", 5, 1, "")).assign(yearly=name, daily=name)
    base = native(loads, {}, season_calendar(WINTER))
    np.testing.assert_array_equal(base.p, np.ones((1, 96)))
    assert base.shape_of == {"a": 0, "b": 0}
    assert not base.season_claim
    assert "2 loads have no load shape" in base.notes[0]


def test_no_loads_at_all():
    base = native(make_loads(), {}, season_calendar(WINTER))
    assert base.p.shape == (0, 96)
    assert standard(make_loads(), season_calendar(WINTER)).p.shape == (0, 96)


def test_yearly_goes_before_daily():
    loads = make_loads(("a", 1, 0, "y")).assign(daily="d")
    base = native(
        loads, {"y": hourly(np.full(8760, 2)), "d": hourly(np.ones(24))}, season_calendar()
    )
    assert base.season_claim
    np.testing.assert_allclose(base.p, 2)


def test_leap_year_keeps_its_weekdays_and_loses_29_february():
    values = np.ones((366, 24))
    values[59] = 50.0
    loads = make_loads(("a", 1, 0, "s"))
    base = native(loads, {"s": hourly(values.ravel())}, season_calendar(WINTER), first_weekday=0)
    np.testing.assert_allclose(base.p, 1.0)
    assert "29 February is left out." in base.notes
    values = np.arange(366.0)[:, None] * np.ones(24)
    march = season_calendar({"march": [3]}, ["weekend"])
    base = native(loads, {"s": hourly(values.ravel())}, march, first_weekday="Monday")
    weekends = [day for day in range(60, 91) if day % 7 >= 5]
    np.testing.assert_allclose(base.p, np.mean(weekends))


def test_shape_in_kw_becomes_a_multiple_of_each_nominal():
    loads = make_loads(("a", 10, 4, "s"), ("b", 20, 0, "s"), ("zero", 0, 0, "off"))
    shapes = {
        "s": hourly(np.full(24, 5.0), UseActual=True),
        "off": hourly(np.zeros(24), UseActual=True),
    }
    base = native(loads, shapes, season_calendar(WINTER, ["weekday"]))
    np.testing.assert_array_equal(base.p[base.shape_of["zero"]], 0.0)
    np.testing.assert_allclose(base.p[base.shape_of["a"]], 0.5)
    np.testing.assert_allclose(base.q[base.shape_of["a"]], 0.5)
    np.testing.assert_allclose(base.p[base.shape_of["b"]], 0.25)


def test_shape_in_kw_on_a_load_of_zero_is_an_error_naming_both():
    loads = make_loads(("p0", 0, 1, "s"), ("q0", 10, 0, "s"))
    shapes = {"s": hourly(np.full(24, 5.0), UseActual=True, QMult=[1.0] * 24)}
    with pytest.raises(InputError) as caught:
        native(loads, shapes, season_calendar())
    assert [problem.where for problem in caught.value.problems] == ["load.p0", "load.q0"]
    assert "kW of load shape 's'" in str(caught.value)
    assert "kvar of load shape 's'" in str(caught.value)


def test_own_kvar_points():
    shapes = {"s": hourly(np.ones(24), QMult=[0.5] * 24)}
    base = native(make_loads(("a", 1, 1, "s")), shapes, season_calendar())
    np.testing.assert_allclose(base.q, 0.5)


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        (hourly(np.ones(168)), "168 points of 60 min span 168 hours; expected 24"),
        (hourly(np.ones(1440)), "span 1440 hours"),
        ({"PMult": [1.0] * 7, "Interval": 24 / 7}, "expected 24|7 points"),
        (hourly([1, 2, 3, 4, *[0] * 8756]), "its last 8756 of 8760 points are 0"),
        ({"CSVFile": "year.csv", "Interval": 1.0}, "its points are in 'year.csv'"),
        ({"Interval": 1.0}, "it has no points"),
        ({"PMult": [1.0, 2.0], "Hour": [1.0, 5.0]}, "not at a fixed interval"),
        (hourly([np.nan] * 24), "not a finite number"),
        (hourly(np.ones(24), QMult=[1.0]), "1 points of kvar beside 24 of kW"),
    ],
)
def test_shape_that_cannot_be_used_is_named(shape, found):
    loads = make_loads(("a", 1, 0, "week"), ("b", 1, 0, "wek"))
    with pytest.raises(InputError) as caught:
        native(loads, {"Week": shape}, season_calendar())
    text = str(caught.value)
    if not found.startswith("expected 24|"):
        assert "loadshape.week" in text
        assert found in text
    assert "loadshape.wek: the model has no such shape (did you mean 'week'?)" in text


def test_years_of_different_length_are_refused():
    loads = make_loads(("a", 1, 0, "x"), ("b", 1, 0, "y"))
    shapes = {"x": hourly(np.ones(8760)), "y": hourly(np.ones(8784))}
    with pytest.raises(InputError, match="not of the same year"):
        native(loads, shapes, season_calendar())


def test_long_zero_tail_is_noted():
    values = np.ones(8760)
    values[-24 * 10 :] = 0
    base = native(make_loads(("a", 1, 0, "s")), {"s": hourly(values)}, season_calendar())
    assert "Load shape 's' is 0 over its last 10 days." in base.notes


def test_standard_values_by_hand():
    table = standard_table()
    loads = make_loads(("home", 100, 30, ""), ("Shop", 10, 3, ""))
    base = standard(loads, season_calendar(), {"SHOP": "Commercial_SM"})
    steps = season_calendar().table()
    home, shop = base.p[base.shape_of["home"]], base.p[base.shape_of["shop"]]
    at = steps.query("season == 'summer' and day_type == 'weekday' and hour == 18").index[0]
    wanted = [table["residential", month, "weekday", 18] for month in (6, 7, 8)]
    assert home[at] == pytest.approx(np.dot(wanted, [30, 31, 31]) / 92)
    peak = steps.query("season == 'summer' and day_type == 'peak_day'").index
    august = [table["residential", 8, "peak_day", hour] for hour in range(24)]
    np.testing.assert_allclose(home[peak], august)
    assert home[peak].max() == 1.0
    assert shop[peak].max() == pytest.approx(0.8666)
    np.testing.assert_array_equal(base.p, base.q)
    assert any("United States" in note for note in base.notes)
    daytime = {
        name: sum(
            100 * table["residential", month, "min_day", hour]
            + 10 * table["commercial_sm", month, "min_day", hour]
            for hour in range(10, 16)
        )
        for month, name in ((6, "June"), (7, "July"), (8, "August"))
    }
    lowest = min(daytime, key=daytime.__getitem__)
    assert f"In summer, peak_day is that of August and min_day is that of {lowest}." in base.notes
    assert base.season_claim


def test_standard_cools_in_summer_and_heats_in_winter():
    table = standard_table()
    day = {
        month: np.array([table["residential", month, "weekday", hour] for hour in range(24)])
        for month in (1, 8)
    }
    assert day[8].argmax() == 18
    assert day[8][15] > 1.5 * day[8][6]  # afternoon above morning
    assert day[1][8] > 1.1 * day[1][15]  # two humps and a dip between them
    assert day[1][20] > 1.1 * day[1][15]
    assert day[8].max() > 1.5 * day[1].max()


def standard_table() -> dict:
    path = Path(__file__).parents[2] / "v2g_feeder/feeder/data/base_load_ckt5.csv"
    table = pd.read_csv(path, comment="#")
    keys = table[["class", "month", "day_type", "hour"]].itertuples(index=False, name=None)
    return dict(zip(keys, table["pu_of_annual_peak"], strict=True))


def test_standard_extremes_follow_the_class_that_weighs_most():
    loads = make_loads(("home", 1, 0, ""), ("plant", 1000, 0, ""))
    calendar = season_calendar({"year": range(1, 13)}, ["peak_day"])
    base = standard(loads, calendar, {"plant": "commercial_md"})
    table = standard_table()
    month = max(
        range(1, 13),
        key=lambda m: max(table["commercial_md", m, "peak_day", hour] for hour in range(24)),
    )
    np.testing.assert_allclose(
        base.p[base.shape_of["home"]],
        [table["residential", month, "peak_day", hour] for hour in range(24)],
    )


def test_standard_repeats_the_hour_on_shorter_steps():
    loads = make_loads(("a", 1, 0, ""))
    hours = standard(loads, season_calendar(WINTER)).p
    quarters = standard(loads, season_calendar(WINTER, step_minutes=15)).p
    np.testing.assert_array_equal(quarters, np.repeat(hours, 4, axis=1))


def test_standard_names_every_unknown_load_and_class():
    loads = make_loads(("home", 1, 0, ""))
    with pytest.raises(InputError) as caught:
        standard(loads, season_calendar(), {"hone": "residental"}, default_class="zzz")
    text = str(caught.value)
    assert "there is no load 'hone' (did you mean 'home'?)" in text
    assert "'residental' (did you mean 'residential'?)" in text
    assert "base_load.default_class" in text
    assert all(name in text for name in customer_classes())


def test_scaled_takes_p_and_q_together():
    base = standard(make_loads(("a", 1, 0, "")), season_calendar())
    double = base.scaled(2.0)
    np.testing.assert_allclose(double.p, 2 * base.p)
    np.testing.assert_allclose(double.q, 2 * base.q)
    assert double.notes == base.notes
    for factor in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError):
            base.scaled(factor)


def test_base_load_reaches_a_worker_whole():
    base = standard(make_loads(("a", 1, 0, "")), season_calendar())
    again = pickle.loads(pickle.dumps(base))  # noqa: S301
    np.testing.assert_array_equal(again.p, base.p)
    assert again.shape_of == base.shape_of


@settings(deadline=None)
@given(
    st.sampled_from([24, 48, 96, 144, 288, 1440, 32]),
    st.sampled_from([24, 48, 96]),
    st.integers(0, 2**32 - 1),
)
def test_resampling_keeps_the_energy_of_the_day(given_steps, wanted, seed):
    values = np.random.default_rng(seed).random((3, given_steps))
    again = resample(values, wanted)
    assert again.shape == (3, wanted)
    np.testing.assert_allclose(again.mean(axis=1), values.mean(axis=1))


@settings(deadline=None)
@given(st.permutations(range(3)), st.floats(0.01, 100))
def test_row_order_and_unit_of_nominal_change_no_load(order, unit):
    rng = np.random.default_rng(3)
    shapes = {name: hourly(rng.random(8760)) for name in "xyz"}
    loads = make_loads(("a", 1, 1, "x"), ("b", 2, 1, "y"), ("c", 3, 1, "z"))
    calendar = season_calendar(WINTER)
    base = native(loads, shapes, calendar, first_weekday=4)
    moved = loads.iloc[list(order)].assign(kw=loads["kw"] * unit)
    other = native(moved, shapes, calendar, first_weekday=4)
    for name in "abc":
        np.testing.assert_allclose(other.p[other.shape_of[name]], base.p[base.shape_of[name]])


def engine_model(master: str) -> tuple[pd.DataFrame, dict]:
    path = SHARED / "feeders" / master
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    dss = pytest.importorskip("opendssdirect").dss.NewContext()
    dss.Text.Command(f'redirect "{path}"')
    rows = []
    more = dss.Loads.First()
    while more:
        load = dss.Loads
        rows.append((load.Name(), load.kW(), load.kvar(), load.Daily(), load.Yearly()))
        more = load.Next()
    shapes = json.loads(dss.Circuit.ToJSON(0)).get("LoadShape", [])
    loads = pd.DataFrame(rows, columns=["name", "kw", "kvar", "daily", "yearly"])
    return loads, {shape["Name"]: shape for shape in shapes}


def test_ckt5_by_month_is_the_standard_table():
    loads, shapes = engine_model("ckt5/Master_ckt5.dss")
    months = season_calendar({str(month): [month] for month in range(1, 13)})
    base = native(loads, shapes, months, first_month=7)
    of_class = dict(zip(loads["name"].str.lower(), loads["yearly"].str.lower(), strict=True))
    table = standard(loads, months, of_class)
    for name in {kind: load for load, kind in of_class.items()}.values():
        np.testing.assert_allclose(
            base.p[base.shape_of[name]], table.p[table.shape_of[name]], atol=6e-5
        )
    assert any("begin on 1 July, a Friday" in note for note in base.notes)


def test_eu_lv_day_shapes_are_averaged():
    loads, shapes = engine_model("ieee_eu_lv/Master.dss")
    base = native(loads, shapes, season_calendar(WINTER, step_minutes=15))
    points = np.array(shapes["shape_1"]["PMult"])
    row = base.p[base.shape_of["load1"]].reshape(4, 96)
    np.testing.assert_allclose(row, np.tile(points.reshape(96, 15).mean(axis=1), (4, 1)))
    assert not base.season_claim
