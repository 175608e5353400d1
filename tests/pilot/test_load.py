"""The first item: evening peaks made by hand."""

import numpy as np
import pandas as pd
import pytest

from v2g_feeder.calendar import DEFAULT_SEASONS
from v2g_feeder.errors import InputError
from v2g_feeder.pilot import Answer, default_thresholds
from v2g_feeder.pilot.load import LoadRecord, evening_peak, read_load, season_peaks

THRESHOLDS = default_thresholds()


def record(peak_hours, *, start="2025-06-01", peak=2.0, minutes=60):
    """A load of 1 kW with one higher step a day, at the hours given."""
    per_day = 24 * 60 // minutes
    kw = np.ones((len(peak_hours), per_day))
    kw[np.arange(len(peak_hours)), (np.array(peak_hours) * 60 / minutes).astype(int)] = peak
    index = pd.date_range(start, periods=kw.size, freq=f"{minutes}min")
    return LoadRecord("load.csv", pd.Series(kw.ravel(), index=index), minutes)


def test_share_and_window_by_hand():
    hours = [17] * 40 + [18] * 30 + [19] * 10 + [8] * 20
    (peak,) = season_peaks(record(hours, peak=3.0), {"all": range(1, 13)}, 3.0, 15.0)
    assert (peak.start_h, peak.end_h, peak.days) == (17.0, 20.0, 100)
    assert peak.share == pytest.approx(0.8)
    assert peak.peak_to_average == pytest.approx(3.0 / (26 / 24))


def test_a_quarter_hour_peak_must_lie_in_the_window_whole():
    inside = season_peaks(record([19.75], minutes=15), {"all": [6]}, 3.0, 17.0)[0]
    assert (inside.share, inside.end_h >= 20.0) == (1.0, True)
    before = season_peaks(record([14.75] * 3, minutes=15), {"all": [6]}, 3.0, 15.0)[0]
    assert before.share == 0.0


@pytest.mark.parametrize(
    ("hours", "peak", "answer"),
    [
        ([18] * 70, 3.0, Answer.PASS),
        ([12] * 70, 3.0, Answer.FAIL),  # a peak at noon is no evening peak
        ([18] * 70, 1.2, Answer.FAIL),  # flat
        ([18] * 50, 3.0, Answer.UNKNOWN),  # less than a season
        ([18] * 30 + [8] * 40, 3.0, Answer.FAIL),
    ],
)
def test_answers(hours, peak, answer):
    item, _ = evening_peak(record(hours, peak=peak), THRESHOLDS, {"all": range(1, 13)})
    assert item.answer == answer
    assert bool(item.missing) == (answer == Answer.UNKNOWN)


def test_seasons_are_judged_each_and_a_wanted_one_must_be_there():
    hours = [18] * 92 + [8] * 91  # June to August in the evening, autumn in the morning
    load = record(hours, peak=3.0)
    item, window = evening_peak(load, THRESHOLDS, DEFAULT_SEASONS)
    assert item.answer == Answer.FAIL
    summer, window = evening_peak(load, THRESHOLDS, DEFAULT_SEASONS, ["summer"])
    assert (summer.answer, window) == (Answer.PASS, (17.0, 20.0))
    winter, window = evening_peak(load, THRESHOLDS, DEFAULT_SEASONS, ["winter"])
    assert (winter.answer, window) == (Answer.UNKNOWN, None)
    assert "winter: 0 whole days" in winter.missing[0]


def test_without_a_record_it_is_unknown():
    item, window = evening_peak(None, THRESHOLDS, DEFAULT_SEASONS)
    assert (item.answer, window) == (Answer.UNKNOWN, None)


def test_net_generation_gives_unknown_and_not_pass():
    load = record([18] * 70, peak=3.0)
    load = LoadRecord(load.file, load.kw - 2.0, 60)
    item, _ = evening_peak(load, THRESHOLDS, {"all": range(1, 13)})
    assert item.answer == Answer.UNKNOWN
    assert "generation" in item.missing[0]


def write(tmp_path, rows, head="timestamp,kw"):
    path = tmp_path / "load.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def stamps(count):
    return [
        f"{stamp:%Y-%m-%d %H:%M}" for stamp in pd.date_range("2025-06-01", periods=count, freq="h")
    ]


def test_missing_values_cost_their_days(tmp_path):
    rows = [f"{stamp},{number % 24}" for number, stamp in enumerate(stamps(72))]
    rows[30] = rows[30].split(",")[0] + ","
    del rows[60]
    dates, kw = read_load(write(tmp_path, rows)).days()
    assert [str(date.date()) for date in dates] == ["2025-06-01"]
    assert kw.shape == (1, 24)


def test_meters_are_summed(tmp_path):
    rows = [f"{stamp},1.5,2" for stamp in stamps(24)]
    load = read_load(write(tmp_path, rows, "timestamp,m1,m2"), kind="ami")
    assert set(load.kw) == {3.5}


def test_hour_ending(tmp_path):
    rows = [f"{stamp},1" for stamp in stamps(25)[1:]]
    assert read_load(write(tmp_path, rows), hour_ending=True).kw.index[0].hour == 0
    with pytest.raises(InputError, match="hour_ending"):
        read_load(write(tmp_path, rows))


def test_broken_entries_are_named_by_line_column_and_value(tmp_path):
    rows = [f"{stamp},1" for stamp in stamps(48)]
    rows[3] = f"{stamps(4)[3]},lots"
    rows[5] = "yesterday,1"
    rows[7] = f'{stamps(8)[7]},"1,5"'
    with pytest.raises(InputError) as caught:
        read_load(write(tmp_path, rows, "when,kw"), columns={"timestamp": "when"})
    text = str(caught.value)
    for part in (
        "load.csv, line 5, column 'kw': 'lots'",
        "line 7, column 'when'",
        "yesterday",
        "write 1.5",
    ):
        assert part in text
    with pytest.raises(InputError, match="did you mean 'kW total'"):
        read_load(write(tmp_path, rows, "timestamp,kW total"), columns={"kw": "kw totl"})


def test_watts_are_not_taken_for_kilowatts(tmp_path):
    with pytest.raises(InputError, match="did you mean W"):
        read_load(write(tmp_path, [f"{stamp},3000000" for stamp in stamps(48)]))


def test_a_zone_cut_short_is_named(tmp_path):
    rows = [f"{stamp},1" for stamp in stamps(48)]
    rows[4] = f"{stamps(5)[4]}-1,1"
    with pytest.raises(InputError, match=r"line 6, column 'timestamp'.*carries a zone"):
        read_load(write(tmp_path, rows))
