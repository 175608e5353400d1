"""The second item: stays made by hand, and each reader."""

import json

import numpy as np
import pandas as pd
import pytest

from v2g_feeder.errors import InputError
from v2g_feeder.pilot import Answer, default_thresholds
from v2g_feeder.pilot.plugging import plug_in, plugged_share
from v2g_feeder.pilot.stays import Stays, read_ocpp, read_sessions, read_timetable, read_trips

THRESHOLDS = default_thresholds()
DAYS = pd.date_range("2025-06-02", periods=28, freq="D")  # a Monday


def stays(rows, **changes):
    table = pd.DataFrame(rows, columns=["unit", "start", "end"])
    day = pd.Timedelta(days=1)
    values = {
        "file": "s.csv", "kind": "sessions", "table": table, "noun": "vehicles",
        "first": table["start"].min().normalize() + day,
        "last": table["start"].max().normalize() - day,
    } | changes  # fmt: skip
    return Stays(**values)


def evenings(skip=(), units=("a",), start=16, end=30, weeks=4):
    hour = pd.Timedelta(hours=1)
    return [
        (unit, day + start * hour, day + end * hour)
        for unit in units
        for number, day in enumerate(pd.date_range(DAYS[0], periods=7 * weeks))
        if number not in skip
    ]


def test_share_interval_and_spread_by_hand():
    found = plugged_share(stays(evenings(skip=[7, 8])), (17.0, 20.0))
    # of four weeks without their first and last day; a Monday and a Tuesday are missing
    assert (found.weekdays, found.units) == (19, 1)
    assert found.share == pytest.approx(1 - 2 / found.weekdays)
    assert found.low < found.share < found.high
    assert found.plug_in_h == (16.0, 16.0, 16.0)
    assert found.plug_out_h == (30.0, 30.0, 30.0)


def test_wilson_interval_when_none_is_missing():
    found = plugged_share(stays(evenings()[:16]), (17.0, 20.0))
    n = found.weekdays
    assert found.share == 1.0
    assert found.low == pytest.approx(1 / (1 + 1.959964**2 / n))  # closed form at share 1
    assert found.high == pytest.approx(1.0)


def test_a_stay_must_span_the_window_and_touching_stays_are_one():
    late = plugged_share(stays(evenings(start=17.5)), (17.0, 20.0))
    assert late.share == 0.0
    halves = evenings(end=18) + evenings(start=18)
    assert plugged_share(stays(halves), (17.0, 20.0)).share == 1.0
    across = plugged_share(stays(evenings(start=21, end=27)), (22.0, 26.0))
    assert across.share == 1.0


@pytest.mark.parametrize(
    ("made", "options", "answer", "said"),
    [
        (stays(evenings()), {}, Answer.UNKNOWN, "weekdays of records"),
        (stays(evenings(weeks=8)), {}, Answer.PASS, ""),
        (None, {}, Answer.UNKNOWN, "session records"),
        (stays([("", *row[1:]) for row in evenings()]), {}, Answer.UNKNOWN, "who was plugged in"),
    ],
)  # fmt: skip
def test_answers(made, options, answer, said):
    item = plug_in(made, (17.0, 20.0), THRESHOLDS, **options)
    assert item.answer == answer
    assert said in "; ".join(item.missing)


def test_without_hours_it_is_unknown():
    item = plug_in(stays(evenings()), None, THRESHOLDS)
    assert item.answer == Answer.UNKNOWN
    assert "window" in item.missing[0]


def test_given_vehicles_go_before_those_of_the_record():
    long = stays(evenings(), last=DAYS[-1], first=DAYS[0])
    few = THRESHOLDS.changed({"weekdays": 5})
    assert plug_in(long, (17.0, 20.0), few).answer == Answer.PASS
    assert plug_in(long, (17.0, 20.0), few, units=2).answer == Answer.FAIL
    three = stays([("", *row[1:]) for row in evenings(units=("a", "b", "c"))])
    item = plug_in(three, (17.0, 20.0), few, units=2)
    assert item.answer == Answer.UNKNOWN
    assert "fewer than are plugged in at once" in item.missing[0]


def test_parked_is_no_proof_of_plugged_in(tmp_path):
    path = tmp_path / "trips.csv"
    rows = ["vehicle,start,end,end_location"]
    for day in DAYS:
        rows += [f"v,{day:%Y-%m-%d} 07:00,{day:%Y-%m-%d} 08:00,work"]
        rows += [f"v,{day:%Y-%m-%d} 15:00,{day:%Y-%m-%d} 16:00,base"]
    path.write_text("\n".join(rows))
    few = THRESHOLDS.changed({"weekdays": 5})
    parked = plug_in(read_trips(path), (17.0, 20.0), few)
    assert parked.answer == Answer.UNKNOWN
    assert "plugged_in" in parked.missing[0]
    assert plug_in(read_trips(path), (10.0, 14.0), few).answer == Answer.FAIL
    told = [
        rows[0] + ",plugged_in",
        *(f"{row},{'no' if 'work' in row else 'yes'}" for row in rows[1:]),
    ]
    path.write_text("\n".join(told))
    assert plug_in(read_trips(path), (17.0, 20.0), few).answer == Answer.PASS
    path.write_text("\n".join(row.replace("yes", "maybe") for row in told))
    with pytest.raises(InputError, match="line 3, column 'plugged_in': 'maybe' is not known"):
        read_trips(path)
    path.write_text("\n".join(rows))
    with pytest.raises(InputError, match="no trip ends at 'depot'"):
        read_trips(path, base="depot")


def test_a_timetable_is_a_week_without_interval(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(
        "vehicle,day,plug_in,plug_out\na,weekday,16:00,06:00\nb,mon,16:00,06:00\nb,sun,18:00,23:00\n"
    )
    table = read_timetable(path)
    found = plugged_share(table, (17.0, 20.0))
    assert (found.share, found.weekdays, found.units) == (0.6, 5, 2)
    assert np.isnan(found.low)
    assert plugged_share(table, (1.0, 5.0)).share == pytest.approx(5 / 10)  # Tue-Fri a, Tue b
    path.write_text("vehicle,day,plug_in,plug_out\na,weekdy,16:00,06:00\na,mon,4pm,06:00\n")
    with pytest.raises(InputError) as caught:
        read_timetable(path)
    assert "did you mean 'weekday'" in str(caught.value)
    assert "line 3, column 'plug_in': '4pm'" in str(caught.value)


def _value(stamp):
    return {"timestamp": stamp, "sampledValue": [{"value": "1"}]}


def test_ocpp_of_both_versions_and_csv_give_the_same_stays(tmp_path):
    old = [
        {"chargePointId": "cp", "connectorId": 1, "transactionId": 7, "meterValue": [_value(stamp)]}
        for stamp in ("2025-07-01T22:00:00Z", "2025-07-02T01:00:00Z", "2025-07-02T11:00:00Z")
    ]
    new = [
        {
            "stationId": "cp",
            "payload": {
                "eventType": kind,
                "timestamp": stamp,
                "transactionInfo": {"transactionId": "x7"},
                "evse": {"id": 1, "connectorId": 1},
            },
        }
        for kind, stamp in (("Started", "2025-07-01T22:00:00Z"), ("Ended", "2025-07-02T11:00:00Z"))
    ]
    (tmp_path / "old.json").write_text(json.dumps(old))
    (tmp_path / "new.jsonl").write_text("\n".join(json.dumps(message) for message in new))
    (tmp_path / "v.csv").write_text(
        "station,connector,transaction,timestamp\n"
        "cp,1,7,2025-07-01T18:00:00-04:00\ncp,1,7,2025-07-02T11:00:00Z\n"
    )
    for name in ("old.json", "new.jsonl", "v.csv"):
        table = read_ocpp(tmp_path / name, timezone="America/Chicago").table
        assert list(table["start"]) == [pd.Timestamp("2025-07-01 16:00")]  # CST: 6 h behind
        assert list(table["end"]) == [pd.Timestamp("2025-07-02 05:00")]
    (tmp_path / "old.json").write_text(json.dumps([{"foo": 1}, *old]))
    with pytest.raises(InputError, match="message 1"):
        read_ocpp(tmp_path / "old.json", timezone="America/Chicago")


def test_wall_times_move_to_standard_time(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text(
        "vehicle,plug_in,plug_out,energy_kwh\n"
        "a,2025-01-10 16:00,2025-01-10 20:00,5\na,2025-07-10 16:00,2025-07-10 20:00,5\n"
    )
    assert list(read_sessions(path).table["start"].dt.hour) == [16, 16]
    moved = read_sessions(path, timezone="Europe/Berlin").table
    assert list(moved["start"].dt.hour) == [16, 15]
