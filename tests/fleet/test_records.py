"""Readers of records: every shared file without mapping, every way in which a file can be bad."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from v2g_feeder.errors import InputError
from v2g_feeder.fleet.record_times import wall_times
from v2g_feeder.fleet.records import join_records, read_records

REPOSITORY = Path(__file__).parents[2]
SHARED = REPOSITORY.parent / "shared" / "data" / "ev"
EXAMPLES = REPOSITORY / "examples" / "records"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared records are not here")

HEAD = "start,end,kwh,vehicle\n"
ROW = "2024-01-08 18:00,2024-01-09 07:00,9.5,a\n"


def written(folder, text, name="some.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def problems(path, **options):
    with pytest.raises(InputError) as caught:
        read_records(path, **options)
    return [str(problem) for problem in caught.value.problems]


@needs_shared
@pytest.mark.parametrize(
    ("name", "kind", "used", "dropped", "unit"),
    [
        (
            "home_sorensen_half_of_users.csv",
            "sessions",
            2873,
            {"no end": 16, "stay of 0.25 h or less": 78},
            "user",
        ),
        ("depot_nrel_beverage_delivery.csv", "duty", 76, {"off shift": 155}, ""),
        (
            "workplace_acn_caltech_2019-05-01_2019-08-31.csv.gz",
            "sessions",
            3511,
            {"stay of 0.25 h or less": 16},
            "station",
        ),
        (
            "workplace_acn_jpl_2019-09-01_2019-12-31.csv.gz",
            "sessions",
            5799,
            {"stay of 0.25 h or less": 5},
            "station",
        ),
    ],
)
def test_the_shared_files_read_without_a_mapping(name, kind, used, dropped, unit):
    records = read_records(SHARED / name)
    assert (records.kind, len(records), dict(records.dropped)) == (kind, used, dropped)
    assert records.unit == unit
    merged = used + 3 if kind == "duty" else used  # three vehicle-days have two shifts
    assert records.rows == merged + sum(dropped.values())


@needs_shared
def test_facts_of_the_shared_files():
    home = read_records(SHARED / "home_sorensen_half_of_users.csv", where={"User_type": "Private"})
    assert len(home) == 2338
    assert home.table["stay_h"].median() == pytest.approx(12.3, abs=0.2)
    assert home.table["stay_h"].max() == 96.0
    assert "13 stays" in home.notes[0]
    duty = read_records(SHARED / "depot_nrel_beverage_delivery.csv").table
    assert np.quantile(duty["start_h"], 0.5) == pytest.approx(8.4, abs=0.1)
    assert np.quantile(duty["end_h"], 0.5) == pytest.approx(18.2, abs=0.1)
    assert duty["miles"].mean() == pytest.approx(76, abs=1)


def test_the_examples_read(tmp_path):
    home = read_records(EXAMPLES / "home_sessions.csv")
    assert home.dropped == {"no end": 2, "energy missing or not above 0": 1}
    assert home.dates == "2024-01-08 to 2024-02-18"
    office = read_records(EXAMPLES / "workplace_acn_style.json")
    hours = office.table["arrival"].dt.hour
    assert hours.between(4, 11).all(), "GMT is moved to the wall time of Los Angeles"
    assert office.table["stated_h"].notna().sum() == (office.table["user"] != "").sum()
    vans = read_records(EXAMPLES / "van_duties.csv")
    assert (vans.kind, vans.unit, len(vans)) == ("duty", "vehicle", 48)
    zipped = tmp_path / "home.csv.gz"
    zipped.write_bytes(gzip.compress((EXAMPLES / "home_sessions.csv").read_bytes()))
    pd.testing.assert_frame_equal(read_records(zipped).table, home.table)


def test_an_offset_is_dropped_and_the_wall_time_stays(tmp_path):
    text = HEAD + "2019-05-01 07:00:00-07:00,2019-05-01 15:30:00-07:00,5,a\n"
    table = read_records(written(tmp_path, text)).table
    assert table["arrival"][0] == pd.Timestamp("2019-05-01 07:00")
    assert table["stay_h"][0] == 8.5


def test_wall_time_across_the_end_of_summer_time(tmp_path):
    text = HEAD + "2019-11-02 20:00:00-07:00,2019-11-03 07:00:00-08:00,5,a\n"
    assert read_records(written(tmp_path, text)).table["stay_h"][0] == 11.0


@pytest.mark.parametrize(
    ("text", "arrival"),
    [
        ("21.12.2018 10:20", "2018-12-21 10:20"),
        ("1.2.2018 10:20", "2018-02-01 10:20"),
        ("21/12/2018 10:20", "2018-12-21 10:20"),
        ("12/21/2018 10:20", "2018-12-21 10:20"),
        ("2018-12-21T10:20:00Z", "2018-12-21 10:20"),
        ("2018-12-21 10:20:00.25+01:00", "2018-12-21 10:20:00.25"),
    ],
)
def test_ways_to_write_a_time(tmp_path, text, arrival):
    rows = f"start;end;El_kWh\n{text};{text.replace('10:20', '12:50')};7,25\n"
    table = read_records(written(tmp_path, rows)).table
    assert table["arrival"][0] == pd.Timestamp(arrival)
    assert table["stay_h"][0] == pytest.approx(2.5)
    assert table["energy_kwh"][0] == 7.25


def test_an_ambiguous_date_is_asked_for(tmp_path):
    path = written(tmp_path, HEAD + "03/04/2021 10:00,03/04/2021 12:00,5,a\n")
    assert "--dates day-first" in problems(path)[0]
    assert read_records(path, dates="day-first").table["arrival"][0].month == 4
    assert read_records(path, dates="month-first").table["arrival"][0].month == 3


def test_what_is_dropped_is_counted_under_its_first_reason(tmp_path):
    rows = [
        "2024-01-08 18:00,,9,a",
        "2024-01-08 18:00,2024-01-08 18:15,9,a",
        "2024-01-08 18:00,2024-01-08 17:00,9,a",
        "2024-01-08 18:00,2024-01-08 20:00,,a",
        "2024-01-08 18:00,2024-01-08 20:00,-1,a",
        *[f"2024-01-{day:02d} 18:00,2024-01-{day + 1:02d} 07:00,9,a" for day in range(9, 19)],
        "2024-01-18 18:00,2024-01-19 07:00,9,a",
        "2024-01-21 18:00,2024-01-30 07:00,9,a",
    ]
    records = read_records(written(tmp_path, HEAD + "\n".join(rows)))
    assert records.dropped == {
        "no end": 1,
        "end before start": 1,
        "stay of 0.25 h or less": 1,
        "energy missing or not above 0": 2,
        "the same row again": 1,
    }
    assert len(records) == 11
    assert records.table["stay_h"].max() == 96.0


def test_all_problems_at_once_with_line_and_column(tmp_path):
    path = written(
        tmp_path, HEAD + ROW + "2024-13-40 18:00,soon,much,a\n2024-01-09 1,2024-01-09 9:00,inf,a\n"
    )
    found = problems(path)
    assert any("some.csv, line 3: start: '2024-13-40 18:00' is not a time" in one for one in found)
    assert any("line 3: end: 'soon' is not a time" in one for one in found)
    assert any("line 3: kwh: 'much' is not a number" in one for one in found)
    assert any("line 4: kwh: 'inf' is not a number" in one for one in found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("start,end,kwh\n", "has no rows"),
        ("began,end,kwh\n1,2,3\n", "no column for arrival"),
        ("start,end,enregy\n2024-01-01 1:00,2024-01-01 5:00,3\n", "did you mean 'enregy'?"),
        (HEAD + "2024-01-09 07:00,2024-01-08 18:00,9,a\n", "swap 'start' and 'end'"),
        (HEAD + "2024-01-08 18:00,2024-01-09 07:00,9500,a\n", "it looks like Wh"),
        (HEAD + "2024-01-08 18:00,,9,a\n", "no row can be used (1 no end)"),
    ],
)
def test_bad_files(tmp_path, text, words):
    assert any(words in problem for problem in problems(written(tmp_path, text)))


def test_bad_files_that_are_no_table(tmp_path):
    assert "cannot be read" in problems(tmp_path / "none.csv")[0]
    assert "is not JSON" in problems(written(tmp_path, "{", "a.json"))[0]
    assert "'_items'" in problems(written(tmp_path, '{"items": []}', "a.json"))[0]
    assert "has no sessions" in problems(written(tmp_path, '{"_items": []}', "a.json"))[0]
    binary = tmp_path / "b.csv"
    binary.write_bytes(b"start,end\n\xff\xfe\n")
    assert "not UTF-8" in problems(binary)[0]
    ragged = written(tmp_path, HEAD + ROW + "1,2,3,4,5,6,7\n", "r.csv")
    assert "is not a table" in problems(ragged)[0]
    zone = [{"connectionTime": "Mon, 04 Mar 2024 17:28:21 GMT", "timezone": "Mars/Base"}]
    zone[0] |= {"disconnectTime": "Mon, 04 Mar 2024 19:28:21 GMT", "kWhDelivered": 3}
    assert (
        "'Mars/Base' is no time zone" in problems(written(tmp_path, json.dumps(zone), "z.json"))[0]
    )


def test_mapping_and_filter(tmp_path):
    path = written(tmp_path, "von,bis,menge (Wh),art\n2024-01-08 18:00,2024-01-09 07:00,9500,x\n")
    mapped = {"start": "von", "end": "bis", "energy": "menge (Wh)"}
    records = read_records(path, columns=mapped, where={"art": "X"})
    assert records.table["energy_kwh"][0] == pytest.approx(9.5)
    assert records.source == "some.csv, art=X"
    found = problems(path, columns={"arival": "von", "end": "biss"})
    assert any("did you mean 'arrival'?" in one for one in found)
    assert any("did you mean 'bis'?" in one for one in found)
    assert "no row has 'y'" in problems(path, columns=mapped, where={"art": "y"})[0]
    assert "did you mean 'art'?" in problems(path, columns=mapped, where={"arte": "y"})[0]


def test_duties_are_merged_by_vehicle_and_day(tmp_path):
    text = (
        "vehicle,start,end,distance_km\n"
        "a,2024-01-08 06:00,2024-01-08 09:00,16.09344\n"
        "a,2024-01-08 13:00,2024-01-08 16:00,16.09344\n"
        "b,2024-01-08 22:00,2024-01-09 05:00,32.18688\n"
    )
    records = read_records(written(tmp_path, text))
    assert records.table[["start_h", "end_h", "miles"]].to_numpy().tolist() == [
        [6.0, 16.0, pytest.approx(20.0)],
        [22.0, 29.0, pytest.approx(20.0)],
    ]
    assert records.notes == ("1 more shifts of a vehicle-day merged into its first",)


def test_sessions_and_duties_do_not_mix():
    home = read_records(EXAMPLES / "home_sessions.csv")
    vans = read_records(EXAMPLES / "van_duties.csv")
    assert len(join_records([home, home])) == 2 * len(home)
    with pytest.raises(InputError, match="two kinds"):
        join_records([home, vans])


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2021-01-02T10:00+01", "2021-01-02 10:00"),
        ("2021-01-02 10:00:00 +0100", "2021-01-02 10:00"),
        ("2021-01-02T10:00:05.5-08:00", "2021-01-02 10:00:05.5"),
        ("03-04-2021", "2021-04-03"),
        ("2021-01-02T10:00+01:", None),
        ("2021-01-02T10:00+0", None),
    ],
)
@pytest.mark.parametrize("others", [[], ["2021-01-03 11:00"], ["2021-01-03T11:00+02:"]])
def test_offsets_are_cut_and_those_cut_off_are_no_time(text, time, others):
    found, problems = wall_times(
        pd.Series([text, *others], name="start"), "s.csv", dates="day-first"
    )
    bad = [entry for entry in (text, *others) if entry.endswith((":", "+0"))]
    assert [problem.message for problem in problems] == [
        f"start: {entry!r} is not a time" for entry in bad
    ]
    assert found.iloc[0] == pd.Timestamp(time) if time else pd.isna(found.iloc[0])
