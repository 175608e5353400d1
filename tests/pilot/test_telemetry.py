"""The third item: samples made by hand, one thing wrong at a time."""

import numpy as np
import pandas as pd
import pytest

from v2g_feeder.errors import InputError
from v2g_feeder.pilot import Answer, default_thresholds
from v2g_feeder.pilot.phase_match import match_phases
from v2g_feeder.pilot.telemetry import read_telemetry, read_voltages, telemetry_item

THRESHOLDS = default_thresholds()
TIMES = pd.date_range("2025-07-01", periods=300, freq="5min")


def sample():
    """Two chargers over 25 h: discharging in the evening, charging at night."""
    rows = []
    for charger, phase in (("c1", "A"), ("c2", "L2")):
        for time in TIMES:
            hour = time.hour
            kw, status = {True: (-10.0, "Discharging")}.get(17 <= hour < 20, (0.0, "Available"))
            kw, status = (11.0, "Charging") if hour < 5 else (kw, status)
            rows.append((time, time + pd.Timedelta(seconds=5), charger, phase, kw, status))
    names = ["timestamp", "received_at", "charger", "phase", "kw", "status"]
    return pd.DataFrame(rows, columns=names)


def answer(tmp_path, table, **options):
    path = tmp_path / "t.csv"
    table.to_csv(path, index=False)
    return telemetry_item(read_telemetry(path, **options), THRESHOLDS)


def test_a_good_sample_passes(tmp_path):
    item = answer(tmp_path, sample())
    assert item.answer == Answer.PASS
    values = {measure.name: measure.value for measure in item.measures}
    assert values["intervals with phase, kW and status"] == 1.0
    assert values["interval"] == 5.0
    assert values["clock skew"] == 5.0
    assert values["highest power of a charger"] == 11.0


def later(table, by):
    return table.assign(received_at=table["received_at"] + pd.Timedelta(by))


def gaps_in_phase(table):
    return table.assign(phase=table["phase"].where(table.index % 10 > 0, ""))


FAILS = {
    "no column `phase`": lambda t: t.drop(columns="phase"),
    "did you mean 'statuses'": lambda t: t.rename(columns={"status": "statuses"}),
    "intervals with phase, kW": gaps_in_phase,
    "intervals with phase": lambda t: t[t.index % 12 != 3],
    "interval ": lambda t: t[t["timestamp"].dt.minute == 0],
    "clock": lambda t: later(t, "5min"),
    "clock skew": lambda t: later(t, "-3min"),
    "the sign looks reversed": lambda t: t.assign(kw=-t["kw"]),
    "looks like W": lambda t: t.assign(kw=1000 * t["kw"]),
    "highest power": lambda t: t.assign(kw=t["kw"] / 1000),
}
UNKNOWN = {
    "received_at": lambda t: t.drop(columns="received_at"),
    "24 h are needed": lambda t: t[t["timestamp"] < "2025-07-01 12:00"],
    "charge or discharge": lambda t: t.assign(kw=0.0, status="Available"),
}


@pytest.mark.parametrize(
    ("said", "expected"),
    [*((said, Answer.FAIL) for said in FAILS), *((said, Answer.UNKNOWN) for said in UNKNOWN)],
)
def test_one_thing_wrong(tmp_path, said, expected):
    item = answer(tmp_path, (FAILS | UNKNOWN)[said](sample()))
    assert item.answer == expected
    failed = [f"{m.name} {m.note}" for m in item.measures if m.answer == Answer.FAIL]
    assert said in "; ".join([*failed, *item.failed, *item.missing])


def test_watts_are_read_where_said_so(tmp_path):
    table = sample().assign(kw=1000 * sample()["kw"]).rename(columns={"kw": "power"})
    assert answer(tmp_path, table, columns={"kw": "power"}, unit="w").answer == Answer.PASS


def test_no_sample_is_unknown():
    assert telemetry_item(None, THRESHOLDS).answer == Answer.UNKNOWN


def test_broken_entries_are_named(tmp_path):
    path = tmp_path / "t.csv"
    table = sample().astype(str)
    table.loc[0, "kw"] = "-"
    table.loc[1, "status"] = "chargin"
    table.loc[2, "phase"] = "D"
    table.loc[5] = table.loc[4]
    table.to_csv(path, index=False)
    with pytest.raises(InputError) as caught:
        read_telemetry(path)
    text = str(caught.value)
    assert "line 2, column 'kw': '-' is not a number" in text
    assert "line 3, column 'status': 'chargin' is not known (did you mean 'charging'?)" in text
    assert "line 4, column 'phase': 'D' is not known" in text
    assert "line 7: c1 has two rows at this time" in text
    (tmp_path / "u.csv").write_text("timestamp,kw\n2025-07-01 00:00,1\n")
    with pytest.raises(InputError, match="there is no column 'charger'"):
        read_telemetry(tmp_path / "u.csv")


def switching(phase, stated, seed=1):
    """A charger that switches at random, and voltages that fall on ``phase`` as it draws."""
    rng = np.random.default_rng(seed)
    kw = rng.choice([0.0, 10.0], len(TIMES))
    drift = np.cumsum(rng.normal(0, 0.05, len(TIMES)))  # taps and load: all phases together
    voltages = {
        name: 240 + drift - 0.1 * kw * (name in phase) + rng.normal(0, 0.2, len(TIMES))
        for name in "ABC"
    }
    table = pd.DataFrame({"timestamp": TIMES, "charger": "c", "phase": stated, "kw": kw})
    return table, pd.DataFrame(voltages, index=TIMES)


@pytest.mark.parametrize(
    ("phase", "stated", "verdict", "follows"),
    [
        ("A", "A", "confirmed", "A"),
        ("C", "A", "contradicted", "C"),
        ("AC", "CA", "confirmed", "CA"),
        ("AB", "CA", "contradicted", "AB"),
        ("ABC", "ABC", "not tested", ""),
        ("", "B", "not clear", ""),
    ],
)
def test_phases_follow_the_voltage(phase, stated, verdict, follows):
    row = match_phases(*switching(phase, stated), 0.3).iloc[0]
    assert (row["verdict"], row["follows"]) == (verdict, follows)


def test_a_charger_that_hardly_moves_is_not_tested():
    table, voltages = switching("A", "A")
    table["kw"] = np.where(np.arange(len(table)) > 150, 10.0, 0.0)
    assert match_phases(table, voltages, 0.3)["verdict"].item() == "not tested"


def test_a_contradicted_phase_fails_the_item(tmp_path):
    item = answer(tmp_path, sample())
    assert item.answer == Answer.PASS
    path = tmp_path / "t.csv"
    rng = np.random.default_rng(3)
    table = sample()
    busy = table["kw"] > 0
    table.loc[busy, "kw"] = rng.choice([4.0, 7.0, 11.0], busy.sum())
    table.to_csv(path, index=False)
    wide = table.pivot_table(index="timestamp", columns="charger", values="kw")
    for on_b, expected in (("c2", Answer.PASS), ("c1", Answer.FAIL)):
        on_a = {"c1": "c2", "c2": "c1"}[on_b]
        voltages = pd.DataFrame({"v_a": 240 - 0.1 * wide[on_a], "v_b": 240 - 0.1 * wide[on_b]})
        voltages.to_csv(tmp_path / "v.csv")
        measured = read_voltages(tmp_path / "v.csv")
        item = telemetry_item(read_telemetry(path), THRESHOLDS, measured, "v.csv")
        assert item.answer == expected
        assert item.evidence[-1] == "v.csv"


def test_voltages_of_one_phase_tell_nothing(tmp_path):
    (tmp_path / "v.csv").write_text("timestamp,v_a\n2025-07-01 00:00,x\n2025-07-01 00:00,240\n")
    with pytest.raises(InputError) as caught:
        read_voltages(tmp_path / "v.csv")
    text = str(caught.value)
    assert "line 2, column 'v_a': 'x'" in text
    assert "tell no phases apart" in text
    assert "line 3" in text
