"""Base load from measurements: what is read, and what is refused by line and column."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from v2g_feeder.calendar import season_calendar
from v2g_feeder.errors import InputError
from v2g_feeder.feeder import base_load_table
from v2g_feeder.feeder.base_load_csv import CsvColumns, from_csv

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOADS = pd.DataFrame({"name": ["Home", "shop"], "kw": [60.0, 40.0], "kvar": [20.0, 5.0]})
JANUARY = {"january": [1]}


def readings(start="2023-01-02", days=14, minutes=60, kw=50.0, **columns) -> pd.DataFrame:
    """Readings from a Monday on."""
    times = pd.date_range(start, periods=days * 24 * 60 // minutes, freq=f"{minutes}min")
    return pd.DataFrame({"timestamp": times.strftime("%Y-%m-%d %H:%M"), "kw": kw, **columns})


def save(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(path, index=False)
    return path


def test_two_weeks_by_hand(tmp_path):
    hours = np.arange(14 * 24)
    frame = readings(kw=hours * 1.0, kvar=hours * 0.1)
    calendar = season_calendar(JANUARY)
    base = from_csv(save(tmp_path / "head.csv", frame), LOADS, calendar)
    day = np.arange(24)
    starts = 24 * np.array([0, 1, 2, 3, 4, 7, 8, 9, 10, 11])
    weekday = starts.mean() + day
    weekend = 24 * np.mean([5, 6, 12, 13]) + day
    wanted = np.concatenate([weekday, weekend, 13 * 24 + day, day])
    np.testing.assert_allclose(base.p[0] * LOADS["kw"].sum(), wanted)
    np.testing.assert_allclose(base.q[0] * LOADS["kvar"].sum(), wanted * 0.1)
    np.testing.assert_allclose(base.measured["head_kw"], wanted)
    np.testing.assert_allclose(base.measured["head_kvar"], wanted * 0.1)
    assert base.measured.index.name == "step"
    assert base.shape_of == {"home": 0, "shop": 0}
    assert base.season_claim
    assert "In january, peak_day is 2023-01-15 and min_day is 2023-01-02." in base.notes


def test_without_kvar_power_factors_are_kept(tmp_path):
    base = from_csv(save(tmp_path / "head.csv", readings()), LOADS, season_calendar(JANUARY))
    np.testing.assert_allclose(base.q, base.p)
    assert base.measured["head_kvar"].isna().all()
    assert any("power factors are kept" in note for note in base.notes)


@pytest.mark.parametrize("minutes", [15, 30, 60])
@pytest.mark.parametrize("step", [15, 30, 60])
def test_intervals_and_steps(tmp_path, minutes, step):
    frame = readings(minutes=minutes)
    frame["kw"] = pd.to_datetime(frame["timestamp"]).dt.hour.astype(float)
    calendar = season_calendar(JANUARY, step_minutes=step)
    base = from_csv(save(tmp_path / "head.csv", frame), LOADS, calendar)
    wanted = np.tile(np.repeat(np.arange(24), 60 // step), 4) / 100
    np.testing.assert_allclose(base.p[0], wanted)


def test_hour_ending_shifts_by_one_interval(tmp_path):
    beginning = readings(kw=np.arange(14 * 24) % 24)
    ending = readings("2023-01-02 01:00", kw=beginning["kw"])
    calendar = season_calendar(JANUARY)
    one = from_csv(save(tmp_path / "b.csv", beginning), LOADS, calendar)
    two = from_csv(save(tmp_path / "e.csv", ending), LOADS, calendar, hour_ending=True)
    np.testing.assert_allclose(one.p, two.p)
    with pytest.raises(InputError, match=r"the stamps end their hour \(set hour_ending\)"):
        from_csv(tmp_path / "e.csv", LOADS, calendar)


def test_incomplete_days_at_the_ends_are_left_out(tmp_path):
    frame = readings().iloc[5:-3]
    frame.loc[frame.index[:19], "kw"] = 90.0
    base = from_csv(save(tmp_path / "head.csv", frame), LOADS, season_calendar(JANUARY))
    np.testing.assert_allclose(base.p, 0.5)
    assert any("40 rows of incomplete days" in note for note in base.notes)


@pytest.mark.parametrize("present", [True, False])
def test_29_february_is_left_out(tmp_path, present):
    frame = readings("2024-02-26", 14)
    leap = frame["timestamp"].str.startswith("2024-02-29")
    frame.loc[leap, "kw"] = 99.0
    frame = frame if present else frame[~leap]
    calendar = season_calendar({"early": [2, 3]})
    base = from_csv(save(tmp_path / "head.csv", frame), LOADS, calendar)
    np.testing.assert_allclose(base.p, 0.5)
    assert ("29 February is left out." in base.notes) == present


def test_names_of_columns_format_and_bom(tmp_path):
    frame = readings(extra="x").rename(columns={"timestamp": "When", "kw": "Head kW"})
    frame["When"] = pd.to_datetime(frame["When"]).dt.strftime("%m/%d/%Y %H:%M")
    frame.to_csv(tmp_path / "head.csv", index=False, encoding="utf-8-sig")
    base = from_csv(
        tmp_path / "head.csv",
        LOADS,
        season_calendar(JANUARY),
        columns=CsvColumns("when", "head kw"),
        timestamp_format="%m/%d/%Y %H:%M",
    )
    np.testing.assert_allclose(base.p, 0.5)
    assert "Columns not read: extra." in base.notes


def test_export_at_the_head_is_noted(tmp_path):
    base = from_csv(save(tmp_path / "h.csv", readings(kw=-5.0)), LOADS, season_calendar(JANUARY))
    assert any("exports at 96 steps" in note for note in base.notes)


def test_ami_gives_each_customer_its_own_shape(tmp_path):
    rng = np.random.default_rng(1)
    frame = readings()[["timestamp"]].assign(HOME=rng.random(336) * 5, shop=rng.random(336) * 9)
    base = from_csv(save(tmp_path / "a.csv", frame), LOADS, season_calendar(JANUARY), kind="ami")
    total = frame["HOME"] + frame["shop"]
    peak = int(total.to_numpy().reshape(14, 24).max(axis=1).argmax())
    rows = slice(24 * peak, 24 * peak + 24)
    np.testing.assert_allclose(base.p[base.shape_of["home"], 48:72] * 60, frame["HOME"][rows])
    np.testing.assert_allclose(base.p[base.shape_of["shop"], 48:72] * 40, frame["shop"][rows])
    np.testing.assert_array_equal(base.p, base.q)
    assert base.measured is None


def test_loads_without_a_meter_follow_the_metered_ones(tmp_path):
    frame = readings()[["timestamp"]].assign(home=30.0)
    base = from_csv(save(tmp_path / "a.csv", frame), LOADS, season_calendar(JANUARY), kind="ami")
    np.testing.assert_allclose(base.p[base.shape_of["shop"]], 0.5)
    assert any("(40% of nominal kW)" in note for note in base.notes)


def test_1400_customers_over_a_year_take_seconds(tmp_path):
    names = [f"load{number}" for number in range(1400)]
    loads = pd.DataFrame({"name": names, "kw": 5.0, "kvar": 1.0})
    lines = [
        ",".join(f"{value:.3f}" for value in row)
        for row in np.random.default_rng(1).random((24, 1400))
    ]
    times = pd.date_range("2023-01-01", periods=8760, freq="h").strftime("%Y-%m-%d %H:%M")
    with (tmp_path / "ami.csv").open("w") as stream:
        stream.write("timestamp," + ",".join(names) + "\n")
        stream.writelines(f"{stamp},{lines[n % 24]}\n" for n, stamp in enumerate(times))
    began = time.perf_counter()
    base = from_csv(tmp_path / "ami.csv", loads, season_calendar(), kind="ami")
    assert time.perf_counter() - began < 60  # about 3 s alone; colleagues share the cores
    assert base.p.shape == (1400, 384)


def cell(row: int, column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.astype(object)
        frame.loc[row, column] = value
        return frame

    return change


def spring(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(index=[13 * 24 + 2])


def autumn(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[[*range(13 * 24 + 2), 13 * 24 + 1, *range(13 * 24 + 2, len(frame))]]


def swapped(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[[0, 1, 3, 2, *range(4, len(frame))]]


def repeated(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[[*range(13), 12, *range(13, len(frame))]]


def hole(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(index=range(30, 36))


BAD = {
    "decimal comma": (cell(3, "kw", "1,5"), ["line 5", "column 'kw'", "'1,5'", "write 1.5"]),
    "thousands": (cell(3, "kw", "1,234"), ["line 5, column 'kw'", "nothing between thousands"]),
    "missing": (cell(3, "kw", None), ["line 5, column 'kw'", "missing value"]),
    "not a number": (cell(3, "kw", "off"), ["line 5, column 'kw'", "'off' is not a number"]),
    "truth": (lambda f: f.assign(kw=True), ["line 2, column 'kw'", "'True' is not a number"]),
    "infinite": (cell(3, "kw", "inf"), ["line 5, column 'kw'", "infinite"]),
    "no time": (cell(3, "timestamp", None), ["line 5", "missing time stamp"]),
    "not a time": (cell(3, "timestamp", "3/1/2023"), ["line 5", "'3/1/2023'", "timestamp_format"]),
    "24:00": (cell(3, "timestamp", "2023-01-02 24:00"), ["line 5", "24:00", "hour_ending"]),
    "zone": (cell(3, "timestamp", "2023-01-02 03:00+02:00"), ["line 5", "carries a zone"]),
    "off grid": (cell(3, "timestamp", "2023-01-02 03:07"), ["line 5", "not on a step of 60 min"]),
    "duplicate": (repeated, ["line 15", "2023-01-02 12:00 comes twice"]),
    "unsorted": (swapped, ["line 5", "2023-01-02 02:00 is earlier", "sort by time"]),
    "gap": (hole, ["line 32", "6 rows are missing after 2023-01-03 05:00"]),
    "no kw": (lambda f: f.rename(columns={"kw": "kwh"}), ["line 1", "no column 'kw'", "'kwh'"]),
    "two kw": (lambda f: f.assign(KW=1.0), ["line 1", "two columns 'kw'"]),
    "W": (lambda f: f.assign(kw=50_000.0), ["column 'kw'", "100 kW", "did you mean W?"]),
    "one row": (lambda f: f.iloc[:1], ["one time only"]),
    "no rows": (lambda f: f.iloc[:0], ["a header and no row"]),
    "part of a day": (lambda f: f.iloc[3:20], ["no whole day"]),
    "no weekend": (lambda f: f.iloc[:48], ["no weekend in january"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(tmp_path, name):
    change, expected = BAD[name]
    path = save(tmp_path / "head.csv", change(readings()))
    with pytest.raises(InputError) as caught:
        from_csv(path, LOADS, season_calendar(JANUARY))
    text = str(caught.value)
    assert len(caught.value.problems) <= 7
    for part in ["head.csv", *expected]:
        assert part in text


@pytest.mark.parametrize("minutes", [1, 5, 10, 120, 1440])
def test_wrong_interval_is_named(tmp_path, minutes):
    path = save(tmp_path / "head.csv", readings(minutes=minutes))
    with pytest.raises(InputError, match=f"the interval is {minutes} min; expected 15, 30 or 60"):
        from_csv(path, LOADS, season_calendar(JANUARY))


@pytest.mark.parametrize("minutes", [15, 60])
@pytest.mark.parametrize(
    ("start", "kind", "expected"),
    [
        ("2023-02-27", "spring", ["2023-03-12 has 23 hours", "spring", "standard time"]),
        ("2023-10-23", "autumn", ["2023-11-05 has 25 hours", "autumn", "standard time"]),
    ],
)
def test_changes_of_clocks_are_named_by_date(tmp_path, minutes, start, kind, expected):
    frame = readings(start, 20, minutes)
    hour = 60 // minutes
    at = 13 * 24 * hour
    if kind == "spring":
        frame = frame.drop(index=range(at + 2 * hour, at + 3 * hour))
    else:
        frame = pd.concat([frame[: at + 2 * hour], frame[at + hour :]])
    with pytest.raises(InputError) as caught:
        from_csv(save(tmp_path / "h.csv", frame), LOADS, season_calendar({"s": [3, 11]}))
    assert len(caught.value.problems) == 1
    for part in expected:
        assert part in str(caught.value)


def test_all_problems_come_at_once(tmp_path):
    frame = readings().astype(object)
    frame.loc[3, "kw"] = "1,5"
    frame.loc[5, "kw"] = None
    frame = hole(frame)
    with pytest.raises(InputError) as caught:
        from_csv(save(tmp_path / "head.csv", frame), LOADS, season_calendar(JANUARY))
    assert len(caught.value.problems) == 3


def test_long_lists_of_problems_are_cut_and_counted(tmp_path):
    frame = readings().astype(object)
    frame.loc[10:200, "kw"] = "x"
    with pytest.raises(InputError) as caught:
        from_csv(save(tmp_path / "head.csv", frame), LOADS, season_calendar(JANUARY))
    assert len(caught.value.problems) == 6
    assert "186 more values that are not numbers" in str(caught.value)


def test_a_customer_without_readings_is_told_once(tmp_path):
    frame = readings()[["timestamp"]].assign(home=1.0, shop=np.nan)
    with pytest.raises(InputError) as caught:
        from_csv(save(tmp_path / "a.csv", frame), LOADS, season_calendar(JANUARY), kind="ami")
    assert len(caught.value.problems) == 6
    assert "331 more missing values" in str(caught.value)


@pytest.mark.parametrize("hour_ending", [False, True])
def test_leap_year_of_8760_rows_and_two_years_pooled(tmp_path, hour_ending):
    frame = readings("2023-01-01", 731)
    begins = pd.to_datetime(frame["timestamp"])
    frame["kw"] = np.where(begins.dt.year == 2023, 40.0, 60.0)
    if hour_ending:
        frame["timestamp"] = (begins + pd.Timedelta("1h")).dt.strftime("%Y-%m-%dT%H:%M:%S")
    frame = frame[~((begins.dt.month == 2) & (begins.dt.day == 29))]
    calendar = season_calendar({"february": [2]})
    path = save(tmp_path / "head.csv", frame)
    base = from_csv(path, LOADS, calendar, hour_ending=hour_ending)
    np.testing.assert_allclose(base.p[0, 48:72], 0.6)
    np.testing.assert_allclose(base.p[0, 72:], 0.4)
    in_2024 = sum(day.weekday() < 5 for day in pd.date_range("2024-02-01", "2024-02-28"))
    np.testing.assert_allclose(base.p[0, :24], (20 * 0.4 + in_2024 * 0.6) / (20 + in_2024))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"home": 1.0, "shpo": 1.0}, ["'shpo' is not a load", "did you mean 'shop'"]),
        ({"home": -1.0}, ["column 'home'", "negative load, -1 kW"]),
        ({"home": 30_000.0}, ["column 'home'", "did you mean W?"]),
        ({"home": 13_000.0}, ["column 'home'", "beside a nominal load of 60 kW"]),
        ({}, ["no column of a load"]),
    ],
)
def test_bad_ami_is_named(tmp_path, columns, expected):
    path = save(tmp_path / "ami.csv", readings()[["timestamp"]].assign(**columns))
    with pytest.raises(InputError) as caught:
        from_csv(path, LOADS, season_calendar(JANUARY), kind="ami")
    for part in expected:
        assert part in str(caught.value)


def test_reading_on_a_load_of_zero_is_named(tmp_path):
    path = save(tmp_path / "ami.csv", readings()[["timestamp"]].assign(home=1.0))
    with pytest.raises(InputError, match="nominal kW is 0"):
        from_csv(path, LOADS.assign(kw=[0.0, 5.0]), season_calendar(JANUARY), kind="ami")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf\n", "the file is empty"),
        ("timestamp,kw\n".encode("utf-16"), "the file is UTF-16"),
        (b"\x00\x01\x02", "binary or UTF-16"),
        (b"timestamp,kw\xe9\n", "line 1: the file is not UTF-8"),
        (b"timestamp;kw\n2023-01-01;1,5\n", "split by semicolons"),
        (b"timestamp\tkw\n", "split by tabs"),
        (b"timestamp,kw\n2023-01-01 00:00,1,5\n", "line 2: 3 fields; expected 2 (a decimal comma?"),
        (
            b"timestamp,kw\n2023-01-01 00:00,1\n2023-01-01 01:00,1,5\n",
            "line 3: 3 fields; expected 2 (a decimal comma?",
        ),
    ],
)
def test_file_that_is_no_table_is_named(tmp_path, content, expected):
    path = tmp_path / "head.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        from_csv(path, LOADS, season_calendar(JANUARY))
    assert expected in str(caught.value)


def test_missing_and_too_big_files(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no such file"):
        from_csv(tmp_path / "none.csv", LOADS, season_calendar())
    path = save(tmp_path / "head.csv", readings())
    monkeypatch.setattr(base_load_table, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match="is read"):
        from_csv(path, LOADS, season_calendar())


def test_unknown_kind_and_no_nominal(tmp_path):
    path = save(tmp_path / "head.csv", readings())
    with pytest.raises(InputError, match="did you mean 'scada'"):
        from_csv(path, LOADS, season_calendar(), kind="skada")
    with pytest.raises(InputError, match="expected above 0"):
        from_csv(path, LOADS.assign(kw=0.0), season_calendar(JANUARY))
