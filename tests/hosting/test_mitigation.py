"""What measures buy: by hand, and asked of a study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from v2g_feeder.cli.main import main
from v2g_feeder.errors import InputError
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.hosting import Search
from v2g_feeder.hosting.mitigation import (
    LOST_COLUMNS,
    Measure,
    best_hours,
    bought,
    lost,
    other_phase,
)
from v2g_feeder.study.config import load_study
from v2g_feeder.study.hosting_mitigation import mitigation_summary

LOCKED = "regulators locked"
LOST = list(LOST_COLUMNS)


def minima(rows):
    names = ["bus", "connection", "direction", "kw"]
    return pd.DataFrame(rows, columns=names).assign(status="limited", conditions=LOCKED)


def test_the_best_phase_of_a_bus_takes_the_place_of_each():
    before = minima(
        [
            ("b", "A", "import", 10.0), ("b", "B", "import", 40.0), ("b", "ABC", "import", 90.0),
            ("b", "A", "export", 7.0), ("b", "B", "export", 5.0), ("lone", "C", "import", 3.0),
        ]
    )  # fmt: skip
    table = bought(before, other_phase(before), "best phase")
    found = table.set_index(["bus", "connection", "direction"])
    assert found["bought_kw"].to_dict() == {
        ("b", "A", "import"): 30.0, ("b", "B", "import"): 0.0,
        ("b", "A", "export"): 0.0, ("b", "B", "export"): 2.0,
    }  # fmt: skip
    assert found.loc[("b", "A", "import"), "with_it"] == "B"


@pytest.mark.parametrize(("hours", "kw"), [(0.5, 40.0), (1.0, 30.0), (2.0, 10.0)])
def test_managed_charging_takes_the_best_hours_of_the_worst_day(hours, kw):
    sizes = {0: [10.0, 50.0, 20.0, 60.0], 1: [30.0, 10.0, 40.0, 20.0]}
    rows = [
        {"bus": "b", "connection": "A", "direction": way, "kw": size, "day": day,
         "status": "censored" if size == kw else "limited"}
        for way in ("import", "export")
        for day, of_day in sizes.items()
        for size in of_day
    ]  # fmt: skip
    found = best_hours(pd.DataFrame(rows), hours, step_hours=0.5)
    assert found["status"].tolist() == ["censored"]
    assert found["direction"].tolist() == ["import"]
    assert found["kw"].tolist() == [kw]


def test_a_day_with_an_unknown_step_has_no_best_hours():
    rows = {"bus": "b", "connection": "A", "direction": "import", "kw": [1.0, np.nan], "day": 0,
            "status": ["limited", "unknown"]}  # fmt: skip
    assert best_hours(pd.DataFrame(rows), 1.0, 1.0)["kw"].isna().all()


def test_what_lies_within_the_tolerance_is_not_bought():
    before = minima([("a", "A", "import", 500.0), ("b", "A", "import", 100.0)])
    after = before.assign(kw=[504.0, 80.0], with_it="")
    (row,) = mitigation_summary(bought(before, after, "x"), Search()).to_dict("records")
    assert (row["buses_more"], row["buses_less"]) == (0, 1)
    assert (row["bus_of_most"], row["most_bought_kw"]) == ("a", 4.0)
    assert row["bought_kw_median"] == -8.0


def test_what_is_curtailed_is_added_up_over_the_calendar():
    rows = [
        ("b", "A", 0, 100.0, 0.0), ("b", "A", 1, 100.0, 30.0), ("b", "A", 2, 100.0, 10.0),
        ("b", "A", 3, 100.0, np.nan), ("c", "A", 0, 0.0, 0.0),
    ]  # fmt: skip
    columns = ["bus", "connection", "step", "kw", "curtailed_kw"]
    found = lost(pd.DataFrame(rows, columns=columns), step_hours=0.5).set_index("bus")
    assert found.loc["b", LOST].tolist() == [150.0, 20.0, 30.0, 1.0]
    assert found.loc["c", LOST].tolist() == [0.0, 0.0, 0.0, 0.0]
    before = minima([("b", "A", "export", 60.0), ("b", "A", "import", 60.0)])
    after = before.assign(kw=100.0, status="censored", with_it="")
    after = after.merge(found.reset_index(), how="left")
    (row, *_) = mitigation_summary(bought(before, after, "x"), Search()).to_dict("records")
    assert (row["buses_censored"], row["bought_kw_median"]) == (1, 40.0)
    assert row["curtailed_share_median"] == row["curtailed_share_most"] == pytest.approx(2 / 15)


@pytest.mark.parametrize(
    ("measure", "words"),
    [
        ({"regulator": "reg9", "vreg_v": 120.0}, "no regulator control 'reg9'"),
        ({"transformer": "xfm2", "kva": 900.0}, "no transformer 'xfm2'.*xfm1"),
        ({"transformer": "XFM1", "kva": 500.0}, "500 kVA is no larger than the 500 kVA it has"),
    ],
)
def test_what_the_feeder_does_not_have_is_named(measure, words):
    master = resolve_model("ieee13", Path.cwd())
    engine = shared_engine()
    engine.load(master)
    with pytest.raises(InputError, match=words):
        Measure("m", **measure).commands(read_feeder(engine, master))


STUDY = {
    "name": "measures",
    "feeder": {"model": "ieee13"},
    "base_load": {"source": "standard"},
    "calendar": {"seasons": {"summer": [7]}, "day_types": ["peak_day"]},
    "screening": {"limits": "ansi_c84_1_b"},
    "hosting": {
        "buses": ["634", "680"], "check_pairs": 0, "check_minima": False,
        "mitigation": [
            {"name": "larger", "transformer": "xfm1", "kva": 1000},
            {"name": "set-point", "regulator": "all", "vreg_v": 119.0},
            {"name": "phase", "other_phase": True},
            {"name": "managed", "charging_hours": 6.0},
            {"name": "vars", "volt_var": True},
            {"name": "watts", "volt_watt": True},
        ],
    },
}  # fmt: skip


def written(folder, **changes):
    path = folder / "study.yaml"
    hosting = STUDY["hosting"] | changes
    path.write_text(yaml.safe_dump(STUDY | {"hosting": hosting}), "utf-8")
    return path


def test_one_table_of_all_measures(tmp_path):
    command = ["hosting", str(written(tmp_path)), "--out", str(tmp_path / "out"), "--quiet"]
    result = CliRunner().invoke(main, [*command, "--workers", "1"])
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "out" / "hosting_mitigation.csv", dtype={"bus": str})
    assert list(table["measure"].unique()) == [
        "larger", "set-point", "phase", "managed", "vars", "watts",
    ]  # fmt: skip
    least = pd.read_csv(tmp_path / "out" / "hosting_minima.csv", dtype={"bus": str})
    key = ["bus", "connection", "direction"]
    before = least.set_index(key)["kw"]
    for row in table.itertuples():
        assert row.kw == before[row.bus, row.connection, row.direction]
        assert row.bought_kw == pytest.approx(row.kw_with - row.kw, abs=0.1)
    found = table.set_index(["measure", *key])["bought_kw"]
    assert found["larger", "634", "ABC", "export"] > 300  # behind the transformer of 500 kVA
    assert (found["managed"] >= -1e-9).all()
    assert (found["phase"] >= -1e-9).all()
    assert found["set-point"].abs().max() > 1
    assert (
        found["vars"].xs("import", level="direction").abs().max() < 1e-9
    )  # charging is left alone
    assert found["vars"].xs("export", level="direction").abs().max() > 1
    by_step = pd.read_csv(tmp_path / "out" / "hosting_curtailment.csv", dtype={"bus": str})
    assert set(by_step["measure"]) == {"vars", "watts"}
    assert by_step.groupby(["measure", "bus", "connection"]).size().eq(24).all()
    energy = by_step.groupby(["measure", "bus", "connection"])["curtailed_kw"].sum()
    for row in table[table["curtailed_kwh"].notna()].itertuples():
        assert row.direction == "export"
        assert row.asked_kwh == pytest.approx(24 * row.kw_with, rel=1e-4)
        total = energy[row.measure, row.bus, row.connection]
        assert row.curtailed_kwh == pytest.approx(total, rel=1e-4, abs=1e-4)
    assert energy["vars"].max() > 1.0
    assert "1.06 pu, and ansi_c84_1_b allows no more than 1.058 pu" in result.output
    page = (tmp_path / "out" / "hosting.html").read_text("utf-8")
    for text in (result.output, page):
        for name in ("Mitigation", "larger", "set-point", "phase", "managed"):
            assert name in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mitigation": [{"name": "x"}]}, "give one of regulator"),
        ({"mitigation": [{"name": "x", "regulator": "all"}]}, "goes with vreg_v"),
        ({"mitigation": [{"name": "x", "other_phase": True, "kva": 5}]}, "transformer goes with"),
        ({"mitigation": [{"name": "x", "charging_hours": 30}]}, "charging_hours"),
        ({"mitigation": [{"name": "x", "charging_hours": n} for n in (3, 6)]}, "x is there twice"),
        (
            {"mitigation": [{"name": "x", "other_phase": True}], "connections": ["ABC"]},
            "other_phase needs connections",
        ),
    ],
)
def test_measures_that_cannot_be_are_named(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        load_study(written(tmp_path, **changes))
