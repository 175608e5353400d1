"""Errors, the calendar and the store."""

from __future__ import annotations

import io
import json
import pickle
from calendar import monthrange

import numpy as np
import pandas as pd
import pytest

from v2g_feeder import errors
from v2g_feeder.calendar import DEFAULT_SEASONS, Calendar, season_calendar
from v2g_feeder.conventions import Case, DayType, Policy, reference_of
from v2g_feeder.errors import (
    FeederError,
    InputError,
    Problem,
    UnitError,
    V2GFeederError,
    nearest,
)
from v2g_feeder.store import (
    ContentHash,
    claim_folder,
    csv_text,
    load_arrays,
    save_arrays,
    write_json,
    write_text,
)

# -- errors -----------------------------------------------------------------------------------


def test_the_tree_and_its_exit_codes():
    codes = {error.exit_code for error in (V2GFeederError, InputError, FeederError, UnitError)}
    assert codes == {3, 4, 5, 6}
    assert (InputError.exit_code, FeederError.exit_code, UnitError.exit_code) == (3, 4, 5)
    for name in ("InputError", "FeederError", "UnitError"):
        assert issubclass(getattr(errors, name), V2GFeederError)
        assert name in errors.__doc__, "the docstring draws the whole tree"


@pytest.mark.parametrize("error", [FeederError("no nodes"), UnitError("lost")])
def test_plain_errors_survive_pickling(error):
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(again) is type(error)
    assert str(again) == str(error)


def test_an_input_error_survives_pickling_with_all_its_problems():
    problems = [Problem("study.yaml: a.b", "too big", "use 3"), Problem("x.dss:7", "unknown")]
    error = InputError(problem for problem in problems)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert again.problems == tuple(problems)
    assert str(again) == "study.yaml: a.b: too big (use 3)\nx.dss:7: unknown"
    assert InputError(problems[1]).problems == (problems[1],)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("summmer", "did you mean 'Summer'?"),
        ("SUMMER", "did you mean 'Summer'?"),
        ("su", "did you mean 'Summer'?"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_nearest_ignores_case_and_prints_the_name_as_written(name, hint):
    assert nearest(name, ["Winter", "Summer"]) == hint


# -- conventions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "case", "reference"),
    [
        (Policy.NO_EV, Case.EXPECTED, None),
        (Policy.UNCONTROLLED, Case.HIGH, (Policy.NO_EV, Case.EXPECTED)),
        (Policy.MANAGED, Case.HIGH, (Policy.UNCONTROLLED, Case.HIGH)),
        (Policy.EXPORT, Case.FIRM, (Policy.MANAGED, Case.FIRM)),
        (Policy.EXPORT, Case.COINCIDENT_SPLIT, (Policy.NO_EV, Case.EXPECTED)),
    ],
)
def test_what_a_run_is_judged_against(policy, case, reference):
    assert reference_of(policy, case) == reference


# -- calendar ---------------------------------------------------------------------------------


def test_weekdays_and_weekends_weigh_a_year_and_extremes_nothing():
    calendar = season_calendar()
    assert len(calendar.days) == len(DEFAULT_SEASONS) * len(DayType)
    weights = {
        kind: sum(day.weight_days for day in calendar.days if day.day_type == kind)
        for kind in DayType
    }
    assert weights[DayType.WEEKDAY] + weights[DayType.WEEKEND] == pytest.approx(365)
    assert weights[DayType.WEEKDAY] / weights[DayType.WEEKEND] == pytest.approx(5 / 2)
    assert weights[DayType.PEAK_DAY] == weights[DayType.MIN_DAY] == 0
    summer = [d for d in calendar.days if d.season == "summer" and d.day_type == "weekday"]
    days = sum(monthrange(2023, month)[1] for month in (6, 7, 8))
    assert summer[0].weight_days == pytest.approx(days * 5 / 7)
    assert summer[0].month == 7
    assert [day.is_weekend for day in calendar.days[:4]] == [False, True, False, False]


def test_quarter_hours():
    calendar = season_calendar({"july": [7]}, ["weekday", "min_day"], step_minutes=15)
    assert (calendar.steps_per_day, calendar.n_steps, calendar.step_hours) == (96, 192, 0.25)
    assert calendar.day_slice(1) == slice(96, 192)
    assert calendar.hour_of_day[[0, 1, 95]].tolist() == [0, 0.25, 23.75]
    table = calendar.table()
    assert table["step"].tolist() == list(range(192))
    assert table.loc[97, ["day", "hour", "minute", "day_type"]].tolist() == [1, 0, 15, "min_day"]
    assert table.loc[95, ["day", "hour", "minute"]].tolist() == [0, 23, 45]
    assert calendar.days[1].label == "july_min_day"


def test_repeated_day_types_count_once():
    days = season_calendar({"a": [1]}, ["weekday", "weekday"]).days
    assert [day.day_type for day in days] == ["weekday"]


def test_every_calendar_problem_is_reported_at_once():
    with pytest.raises(InputError) as caught:
        season_calendar({"hot": [6, 7, 13], "cold": [7], "none": []}, ["weekdy"])
    found = [str(problem) for problem in caught.value.problems]
    assert len(found) == 4
    assert "unknown day type 'weekdy' (did you mean 'weekday'?)" in found[0]
    assert "calendar.seasons.hot: month 13 is not 1 to 12" in found
    assert "calendar.seasons.cold: month 7 is already in 'hot'" in found
    assert "calendar.seasons.none: a season needs at least one month" in found
    with pytest.raises(InputError, match="at least one day type"):
        season_calendar(day_types=[])


@pytest.mark.parametrize("minutes", [0, 20, 1440])
def test_a_step_is_60_30_or_15_minutes(minutes):
    with pytest.raises(InputError, match="is not 60, 30 or 15"):
        Calendar((), minutes)


# -- store ------------------------------------------------------------------------------------


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "old\n")

    def disk_full(self, target):
        raise OSError(28, "No space left on device", str(self), None, str(target))

    monkeypatch.setattr("pathlib.Path.replace", disk_full)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new\n")
    with pytest.raises(OSError, match="No space"):
        write_text(tmp_path / "deep" / "b.txt", "new\n")
    monkeypatch.undo()
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "deep" / "c.txt", "\ud800")
    assert [item.name for item in path.parent.iterdir()] == ["a.txt"]
    assert path.read_bytes() == b"old\n"


def test_json_has_null_for_not_a_number_and_plain_lists_for_arrays(tmp_path):
    content = {"a": np.float64("nan"), "b": np.arange(2), "c": (1.5, np.inf), "d": tmp_path / "x"}
    write_json(tmp_path / "s.json", content)
    text = (tmp_path / "s.json").read_text(encoding="utf-8")
    again = json.loads(text, parse_constant=pytest.fail)
    assert again == {"a": None, "b": [0, 1], "c": [1.5, None], "d": (tmp_path / "x").as_posix()}


def test_csv_floats_have_six_digits_and_text_is_no_formula():
    table = pd.DataFrame(
        {
            "name": ["=1+1", "+a", "-a", "@sum", "\tx", "plain", None],
            "value": [1 / 3, 1e-9, -2.0, 123456.7, 0, np.nan, 1e20],
            "count": range(7),
        }
    )
    before = table.copy()
    text = csv_text(table)
    assert "\r" not in text
    rows = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    assert rows["name"].tolist() == ["'=1+1", "'+a", "'-a", "'@sum", "'\tx", "plain", ""]
    assert rows["value"].tolist() == ["0.333333", "1e-09", "-2", "123457", "0", "", "1e+20"]
    assert rows["count"].tolist() == [str(number) for number in range(7)]
    pd.testing.assert_frame_equal(table, before)


def test_csv_is_what_pandas_reads_back():
    table = pd.DataFrame(
        {
            "a, b": ["one, two", 'said "so"', "two\nlines", "one\rtwo", ""],
            "mixed": pd.Series([1, True, 2.5, "-x", None], dtype=object),
            "whole": pd.array([1, None, 3, 4, 5], dtype="Int64"),
            "sure": [True, False, True, True, False],
            "kind": pd.Categorical(["x", "y", "x", None, "x"]),
        }
    )
    text = csv_text(table)
    again = pd.read_csv(io.StringIO(text, newline=""), dtype=str, keep_default_na=False)
    assert again["a, b"].tolist() == table["a, b"].tolist()
    assert again["mixed"].tolist() == ["1", "True", "2.5", "'-x", ""]
    assert again["whole"].tolist() == ["1", "", "3", "4", "5"]
    assert again["sure"].tolist() == ["True", "False", "True", "True", "False"]
    assert again["kind"].tolist() == ["x", "y", "x", "", "x"]
    assert csv_text(table[:0]) == '"a, b",mixed,whole,sure,kind\n'
    assert csv_text(pd.DataFrame()) == pd.DataFrame().to_csv(index=False, lineterminator="\n")


def digest(*parts):
    content = ContentHash()
    for key, value in parts:
        (content.add_text if isinstance(value, str) else content.add_array)(key, value)
    return content.hexdigest()


def test_the_content_hash_ignores_the_order_of_the_work():
    a, b, c = ("a", np.arange(4.0)), ("b", np.ones((2, 2))), ("c", "text")
    assert digest(a, b, c) == digest(c, b, a)
    assert digest(("a", np.array([0.0, np.nan]))) == digest(("a", np.array([-0.0, -np.nan])))
    assert digest(("a", np.ones((3, 4)).T)) == digest(("a", np.ones((4, 3))))


@pytest.mark.parametrize(
    "other",
    [
        ("a", np.nextafter(np.arange(4.0), 9)),
        ("a", np.arange(4.0)[::-1]),
        ("a", np.arange(4.0).reshape(2, 2)),
        ("a", np.arange(4.0, dtype=np.float32)),
        ("b", np.arange(4.0)),
        ("a", "0 1 2 3"),
    ],
)
def test_the_content_hash_feels_every_bit_the_shape_and_the_key(other):
    assert digest(other) != digest(("a", np.arange(4.0)))
    assert digest(("a", np.arange(4.0)), ("z", "")) != digest(("a", np.arange(4.0)))


def test_arrays_come_back_as_saved(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.zeros(0, np.int16)}
    save_arrays(tmp_path / "a.npz", arrays)
    again = load_arrays(tmp_path / "a.npz")
    assert {name: (v.dtype, v.shape) for name, v in again.items()} == {
        name: (v.dtype, v.shape) for name, v in arrays.items()
    }
    assert (again["a"] == arrays["a"]).all()


def test_claiming_a_folder(tmp_path):
    new = tmp_path / "new"
    assert claim_folder(new) == new
    (tmp_path / "empty").mkdir()
    assert claim_folder(tmp_path / "empty")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        claim_folder(tmp_path / "file", overwrite=True)


@pytest.mark.parametrize("mark", ["summary.json", ".units"])
def test_an_earlier_result_is_replaced_only_on_request(tmp_path, mark):
    (tmp_path / mark).mkdir()
    with pytest.raises(InputError, match="--overwrite replaces it"):
        claim_folder(tmp_path)
    assert claim_folder(tmp_path, overwrite=True) == tmp_path


def test_a_folder_with_something_else_is_never_taken(tmp_path):
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(InputError, match="holds no earlier result"):
        claim_folder(tmp_path, overwrite=True)
