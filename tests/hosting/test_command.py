"""``v2g-feeder hosting`` from a YAML file to its result folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from v2g_feeder.cli.main import main
from v2g_feeder.conventions import Connection, Direction, Status
from v2g_feeder.errors import InputError
from v2g_feeder.hosting import CAPACITY_COLUMNS
from v2g_feeder.study import power_flow
from v2g_feeder.study.config import load_study
from v2g_feeder.study.hosting import run_hosting

from .cases import limits

STUDY = {
    "name": "capacity",
    "feeder": {"model": "ieee13"},
    "base_load": {"source": "standard"},
    "calendar": {"seasons": {"summer": [7]}, "day_types": ["peak_day", "min_day"]},
    "screening": {"limits": "ica"},
    "hosting": {"buses": ["671", "675", "611"], "check_pairs": 20},
}


def study(folder, **hosting):
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY | {"hosting": STUDY["hosting"] | hosting}), "utf-8")
    return path


def test_the_command_prints_and_writes_all(tmp_path):
    out = tmp_path / "out"
    command = ["hosting", str(study(tmp_path)), "--out", str(out), "--workers", "1", "--quiet"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    for line in summary["conditions"]:
        assert line in result.output
    table = pd.read_csv(out / "hosting_capacity.csv", dtype={"bus": str})
    assert tuple(table.columns) == (*CAPACITY_COLUMNS, "conditions")
    assert len(table) == summary["effort"]["pairs"] == 48 * 2 * (4 + 4 + 1)
    assert set(table["status"]) <= {str(status) for status in Status}
    assert set(table["direction"]) == {str(one) for one in Direction}
    assert set(table["connection"]) == {"A", "B", "C", "ABC"}
    limited = table[table["fails_at_kw"].notna()]
    step = (0.01 * limited["kw"]).clip(lower=1.0)
    assert (limited["fails_at_kw"] - limited["kw"] <= step + 0.02).all()  # written with six digits
    check = summary["check"]
    assert check["annual_minima"] == 18
    assert check["passes_at_kw"] == check["fails_at_fails_at_kw"] == check["checked"] >= 30
    minima = pd.read_csv(out / "hosting_minima.csv", dtype={"bus": str})
    least = table.groupby(["bus", "connection", "direction"])["kw"].min()
    for row in minima.itertuples():
        assert least[row.bus, row.connection, row.direction] == row.kw
    assert "power flows an answer" in result.output
    assert summary["unrated"]["elements"] > 0  # the switch 671-692 states none
    assert "they are upper bounds" in result.output
    assert not (out / ".units").exists()


def test_workers_do_not_matter_and_conditions_do(tmp_path):
    path = study(tmp_path, check_pairs=0, check_minima=False, connections=["AB", "ABC"])
    one = run_hosting(load_study(path), tmp_path / "one", workers=1)
    two = run_hosting(load_study(path), tmp_path / "two", workers=2)
    assert one["content_sha256"] == two["content_sha256"]
    table = pd.read_csv(tmp_path / "one" / "hosting_capacity.csv")
    assert set(table["connection"]) == {str(Connection.AB), str(Connection.ABC)}
    path = study(
        tmp_path, check_pairs=10, check_minima=False, connections=["ABC"],
        conditions={"regulators": "top", "capacitors": "off", "source_pu": 1.01},
    )  # fmt: skip
    other = run_hosting(load_study(path), tmp_path / "three", workers=1)
    assert other["conditions"][0] == (
        "feeder: regulators top, reverse mode as_model, capacitors off, source 1.01 pu, "
        "generation as stated"
    )
    assert other["check"]["passes_at_kw"] == other["check"]["fails_at_fails_at_kw"] == 10
    median = {
        name: next(
            row["kw_median"]
            for row in summary["capacity"]
            if (row["direction"], row["connection"]) == ("export", "ABC")
        )
        for name, summary in (("locked", one), ("top", other))
    }
    assert median["top"] != pytest.approx(median["locked"], rel=0.05)


@pytest.mark.parametrize(
    ("hosting", "words"),
    [
        ({"maximum": 5}, "maximum_kw"),
        ({"connections": "D"}, "connections"),
        ({"conditions": {"regulators": "loose"}}, "'loose'"),
        ({"conditions": {"reverse_delay_s": 5.0}}, "no delay to set"),
        ({"maximum_kw": -1.0}, "maximum_kw"),
        ({"event_steps": {"start": False, "end": False}}, "neither start nor end"),
        ({"event_steps": {"charging_share": 0.0}}, "charging_share"),
    ],
)
def test_settings_that_cannot_be_are_named(tmp_path, hosting, words):
    with pytest.raises(InputError, match=words):
        load_study(study(tmp_path, **hosting))


def test_ends_of_an_event_need_a_limit_and_leave_less(tmp_path):
    quick = {"buses": ["675"], "connections": ["A", "ABC"], "check_pairs": 10}
    asked = load_study(study(tmp_path, **quick, event_steps={"charging_share": 1.5}))
    with_steps = run_hosting(asked, tmp_path / "steps", workers=1)
    line = "all export lost, event start, event end (charging 1.5 x the size beside the event"
    assert any(line in words for words in with_steps["conditions"])
    check = with_steps["check"]
    assert check["passes_at_kw"] == check["fails_at_fails_at_kw"] == check["checked"]
    table = pd.read_csv(tmp_path / "steps" / "hosting_capacity.csv")
    sudden = table["limiting_criterion"] == "sudden_voltage"
    assert sudden.any()
    assert (table["sudden_step"].notna() == sudden).all()
    assert set(table.loc[sudden, "sudden_step"]) == {"event_start"}  # locked: the end is the same
    run_hosting(load_study(study(tmp_path, **quick)), tmp_path / "plain", workers=1)
    plain = pd.read_csv(tmp_path / "plain" / "hosting_capacity.csv")
    less = plain["kw"] - table["kw"]
    assert (less > -0.02 * plain["kw"] - 1).all()
    assert less[sudden].max() > 10
    assert less[table["direction"] == "import"].abs().max() == 0
    with pytest.raises(InputError, match="hand does not limit sudden changes"):
        asked.content.hosting.check(limits())


def test_existing_generation_is_a_condition(tmp_path):
    hosting = {
        "buses": ["675"], "connections": ["ABC"], "check_pairs": 10,
        "conditions": {"generation": 0.0}, "further_conditions": [{"generation": 1.5}],
    }  # fmt: skip
    path = study(tmp_path, **hosting)
    with pytest.raises(InputError, match="the feeder has no generator"):
        run_hosting(load_study(path), tmp_path / "none", workers=1)
    assert not list(tmp_path.glob("none/*"))
    array = {"name": "s", "bus": "675", "kw": 400.0, "latitude": 34.0, "longitude": -118.0}
    solar = yaml.safe_load(path.read_text("utf-8")) | {"solar": [array]}
    solar["calendar"]["day_types"] = ["min_day"]
    path.write_text(yaml.safe_dump(solar), "utf-8")
    summary = run_hosting(load_study(path), tmp_path / "out", workers=1)
    check = summary["check"]
    assert check["passes_at_kw"] == check["fails_at_fails_at_kw"] == check["checked"]
    table = pd.read_csv(tmp_path / "out" / "hosting_capacity.csv")
    exports = table[table["direction"] == "export"].set_index("hour")
    none, more = (
        exports[exports["conditions"].str.endswith(f"generation {level} x what is stated")]["kw"]
        for level in ("0", "1.5")
    )
    assert none[2] == pytest.approx(more[2], rel=0.01)
    assert none[12] - more[12] > 300


def killed(path, out, *, after=0, seconds=np.inf):
    """Run the command until so many days have files or so long, and kill it and its workers."""
    command = [sys.executable, "-m", "v2g_feeder", "hosting", str(path), "--out", str(out)]
    run = subprocess.Popen(  # our own command
        [*command, "--workers", "1", "--quiet", "--resume"], start_new_session=True
    )
    end = time.monotonic() + seconds
    while run.poll() is None and time.monotonic() < end:
        if after and len(list(out.glob(".units/c*/found-*.pickle"))) >= after:
            break
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGKILL)
    return run.wait()


def test_a_killed_run_goes_on_to_the_same_result(tmp_path):
    hosting = {"check_pairs": 5, "buses": ["671"], "connections": ["ABC"]}
    hosting["further_conditions"] = [{"regulators": "top"}]
    path, out = study(tmp_path, **hosting), tmp_path / "out"
    whole = run_hosting(load_study(path), tmp_path / "whole", workers=1)
    assert killed(path, out, after=2) == -signal.SIGKILL
    assert not (out / "summary.json").exists()
    other = study(tmp_path, **(hosting | {"maximum_kw": 400.0}))
    with pytest.raises(InputError, match=r"maximum_kw: was 5000\.0, is 400\.0"):
        run_hosting(load_study(other), out, resume=True)
    seen = []
    again = run_hosting(
        load_study(study(tmp_path, **hosting)), out, workers=1, resume=True,
        progress=lambda *told: seen.append(told),
    )  # fmt: skip
    assert again["effort"]["units_of_an_earlier_run"] >= 2
    assert ("capacity", again["effort"]["units_of_an_earlier_run"], 4) in seen
    assert again["content_sha256"] == whole["content_sha256"]
    assert again["effort"]["solves"] == whole["effort"]["solves"]
    assert not (out / ".units").exists()


class StoppedError(Exception):
    """What ends a run in the middle."""


def with_all_answers(folder, **hosting):
    """Write a small study that asks for fleet capacity and envelopes as well."""
    hosting |= {
        "buses": ["671"], "connections": ["ABC"],
        "fleet": {"sizes": [4, 8], "draws": 2, "cases": ["expected"]},
        "envelope": {"inner_points": 5, "check_steps": 2},
    }  # fmt: skip
    path = study(folder, **hosting)
    fleets = [{"name": "homes", "vehicles": 8, "export_capable": 0.5, "charger_kw": 11.5}]
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text("utf-8")) | {"fleets": fleets}))
    return path


@pytest.mark.long
def test_killed_at_twenty_moments(tmp_path):
    path = with_all_answers(tmp_path, check_pairs=5)
    began = time.monotonic()
    assert killed(path, tmp_path / "whole") == 0
    seconds = time.monotonic() - began
    whole = json.loads((tmp_path / "whole" / "summary.json").read_text("utf-8"))["content_sha256"]
    ended = []
    for number, share in enumerate(np.random.default_rng(1).uniform(0.05, 1.0, 20)):
        out = tmp_path / f"out{number}"
        ended.append(killed(path, out, seconds=share * seconds))
        if ended[-1] == -signal.SIGKILL:
            summary = out / "summary.json"
            if summary.exists() and not (out / ".units").exists():  # it was on its way out
                again = json.loads(summary.read_text("utf-8"))
            else:
                again = run_hosting(load_study(path), out, workers=2, resume=True)
            assert again["content_sha256"] == whole, (number, share)
    assert ended.count(-signal.SIGKILL) > 10


def test_fleet_capacity_and_envelopes_go_on_too(tmp_path, monkeypatch):
    path = with_all_answers(tmp_path, check_pairs=0, check_minima=False)
    out, solved = tmp_path / "out", []
    run = power_flow.run_units

    def counted(function, jobs, **given):
        solved[-1] += len(jobs)
        return run(function, jobs, **given)

    def go(folder, *, until=None, resume=True):
        """Run to the end, or to the progress of a stage; return it and the summary."""
        seen = []

        def progress(stage, done, total):
            seen.append((stage, done, total))
            if until and (stage, done > 0) == (until, True):
                raise StoppedError

        solved.append(0)
        study_ = load_study(path)
        try:
            return seen, run_hosting(study_, folder, workers=1, resume=resume, progress=progress)
        except StoppedError:
            return seen, None

    monkeypatch.setattr(power_flow, "run_units", counted)
    _, whole = go(tmp_path / "whole", resume=False)
    assert go(out, until="fleet capacity")[1] is None
    kept = list(out.glob(".units/f0/0/d*.pickle"))
    assert kept
    seen, none = go(out, until="envelope")
    assert none is None
    assert solved == [solved[0], solved[0], solved[0] - len(kept)]
    assert [one.name for one in out.glob(".units/f0/*")] == ["0.pickle"]
    seen, again = go(out)
    assert solved[-1] == 0
    told = [done for stage, done, _ in seen if stage == "envelope"]
    assert told in ([1, 2], [2]), "the worker may have ended the second day before it was stopped"
    assert again["content_sha256"] == whole["content_sha256"]
    for name in ("fleet_capacity", "envelopes"):
        assert json.dumps(again[name], default=str) == json.dumps(whole[name], default=str)
    assert not (out / ".units").exists()


def test_conditions_stand_beside_every_number(tmp_path):
    hosting = {
        "check_pairs": 0, "check_minima": False, "buses": ["671"], "connections": ["ABC"],
        "conditions": {"reverse_mode": "unknown", "reverse_delay_s": 30.0},
        "further_conditions": [{"regulators": "top", "source_pu": 1.0}],
    }  # fmt: skip
    out = tmp_path / "out"
    command = ["hosting", str(study(tmp_path, **hosting)), "--out", str(out), "--quiet"]
    result = CliRunner().invoke(main, [*command, "--workers", "1"])
    assert result.exit_code == 0, result.output
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    words = [line.removeprefix("feeder: ") for line in summary["conditions"][:5]]
    assert sum("reverse mode" in line for line in words) == 5
    assert sum("delay 30 s" in line for line in words) == 3
    table = pd.read_csv(out / "hosting_capacity.csv")
    minima = pd.read_csv(out / "hosting_minima.csv")
    for rows in (table, minima, pd.DataFrame(summary["capacity"])):
        assert list(rows["conditions"].unique()) == words
    least = table.groupby(["conditions", "direction"])["kw"].min()
    spread = pd.read_csv(out / "hosting_range.csv")
    assert set(spread["asked"]) == {
        words[0].replace("locked_forward", "unknown, delay 30 s"),
        "all",
    }
    for row in spread[spread["asked"] == "all"].itertuples():
        of_all = least.xs(row.direction, level="direction")
        assert (row.kw_lowest, row.kw_highest) == (of_all.min(), of_all.max())
        assert least[row.conditions_highest, row.direction] == row.kw_highest
    plain_text = " ".join(result.output.split())
    assert "Range of the least capacity" in plain_text
    for line in words:
        assert line in plain_text
