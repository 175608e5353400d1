"""The command line: exit codes, messages, and that nothing is written when the input is bad."""

import json
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner

from v2g_feeder.cli.main import main
from v2g_feeder.cli.shown import shown_run
from v2g_feeder.feeder.library import shipped

HOMES = {"name": "homes", "vehicles": 4, "export_capable": 0.5}
STUDY = {
    "name": "tiny",
    "feeder": {"model": "ieee13"},
    "calendar": {"seasons": {"summer": [6, 7, 8]}, "day_types": ["weekday"]},
    "fleets": [HOMES],
    "dispatch": {"export": {"window": "17:00-19:00", "request_kw": 20.0}},
    "draws": 1,
}


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def written(folder, **changes):
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY | changes, sort_keys=False))
    return path


def placed(**place):
    return {"fleets": [HOMES | {"place": place}]}


BAD = {
    "unknown bus": (placed(by="buses", buses=["6711"]), "unknown bus '6711' (did you mean '671'?)"),
    "missing phase": (
        placed(by="buses", buses=["611"], phases="A"),
        "bus '611' has no phase A (it has C)",
    ),
    "wrong kV": (
        placed(by="buses", buses=["675"], phases="A", kv=0.24),
        "a charger of 0.24 kV does not fit bus '675', 2.402 kV as connected",
    ),
    "unknown key": ({"drawz": 3}, "drawz: unknown key 'drawz' (did you mean 'draws'?)"),
    "unknown nested key": (
        {"feeder": {"model": "ieee13", "secondaires": {}}},
        "feeder.secondaires: unknown key 'secondaires' (did you mean 'secondaries'?)",
    ),
    "missing model": (
        {"feeder": {"model": "iee13"}},
        "feeder.model: 'iee13' is neither a shipped feeder nor a file (did you mean 'ieee13'?)",
    ),
    "missing export share": (
        {"fleets": [{"name": "homes", "vehicles": 4}]},
        "fleets[0].export_capable: is required and missing",
    ),
    "percent for a share": (
        {"fleets": [HOMES | {"reserve_soc": 35.0}]},
        "(did you mean 0.35?)",
    ),
    "reserve above target": (
        {"fleets": [HOMES | {"reserve_soc": 0.9, "departure_soc": 0.8}]},
        "reserve 0.9 is above the departure target 0.8",
    ),
    "more vehicles than customers": (
        {"fleets": [HOMES | {"vehicles": 100_000}]},
        "100000 vehicles, but only",
    ),
    "unknown preset": ({"screening": {"limits": "ansi_c84_a"}}, "did you mean 'ansi_c84_1_a'?"),
    "unknown season": (
        {
            "dispatch": {
                "export": {"window": "17:00-19:00", "request_kw": 20.0, "seasons": ["sumer"]}
            }
        },
        "unknown season 'sumer' (did you mean 'summer'?)",
    ),
    "window as a number": (
        {"dispatch": {"export": {"window": 1110, "request_kw": 20.0}}},
        "dispatch.export.window",
    ),
    "a month twice": (
        {"calendar": {"seasons": {"a": [1, 2], "b": [2]}}},
        "month 2 is already in 'a'",
    ),
    "a limit where nothing is watched": (
        {"screening": {"reverse_flow_kw": {"heed": 0.0}}},
        "did you mean 'head'?",
    ),
    "a head peak out of reach": (
        {"base_load": {"head_peak_kw": 90_000.0}},
        "90000 kW cannot be reached",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_message_and_nothing_is_written(tmp_path, name):
    changes, message = BAD[name]
    done = invoke("study", written(tmp_path, **changes), "--out", tmp_path / "out", "--quiet")
    assert done.exit_code == 3, done.output
    assert message in done.output
    assert "Traceback" not in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_all_problems_of_a_file_are_told_at_once(tmp_path):
    path = written(tmp_path, drawz=3, sead=1, base_load={"source": "standrd"})
    done = invoke("check", path)
    assert done.exit_code == 3
    assert "3 problems:" in done.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nname: b\n", ":2: the key 'name' stands twice"),
        ("name: [\n", "study.yaml:"),
        ("- a\n", "a mapping of keys is expected"),
        ("name: !!python/object:os.system x\n", "could not determine a constructor"),
        ("a: &x 1\nb: *x\n", "aliases"),
        ("a: " + "[" * 3000 + "]" * 3000, "nested too deeply"),
    ],
)
def test_bad_yaml_is_named_with_its_line(tmp_path, text, message):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    done = invoke("check", path)
    assert done.exit_code == 3
    assert message in done.output


def test_a_missing_study_and_a_foreign_folder(tmp_path):
    done = invoke("study", tmp_path / "none.yaml")
    assert done.exit_code == 3
    assert "no such file" in done.output
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.doc").write_text("years of work")
    done = invoke("study", written(tmp_path), "--out", tmp_path / "mine", "--overwrite")
    assert done.exit_code == 3
    assert "holds no earlier result" in done.output
    assert (tmp_path / "mine" / "thesis.doc").read_text() == "years of work"


def test_usage_is_exit_2(tmp_path):
    assert invoke("study").exit_code == 2
    assert invoke("study", written(tmp_path), "--workers", "0").exit_code == 2
    assert invoke("studdy").exit_code == 2


def test_init_check_study_export(tmp_path):
    path = tmp_path / "first.yaml"
    assert invoke("init", path, "--model", "ieee13").exit_code == 0
    again = invoke("init", path)
    assert again.exit_code == 3
    assert "exists" in again.output
    checked = invoke("check", path, "--json")
    assert checked.exit_code == 0, checked.output
    assert json.loads(checked.stdout)["units_solved"] > 0
    names = {entry.name for entry in tmp_path.iterdir()}
    assert names == {"first.yaml", "study.schema.json"}

    out = tmp_path / "out"
    done = invoke("study", written(tmp_path), "--out", out, "--json", "--workers", "1")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert (
        summary["content_sha256"]
        == json.loads((out / "summary.json").read_text())["content_sha256"]
    )
    refused = invoke("study", written(tmp_path), "--out", out)
    assert refused.exit_code == 3
    assert "--overwrite" in refused.output
    package = tmp_path / "package"
    done = invoke("export", out, "--case", "high", "--draw", "0", "--out", package)
    assert done.exit_code == 0, done.output
    assert (package / "run.dss").is_file()
    assert (
        invoke("export", out, "--case", "high", "--draw", "9", "--out", tmp_path / "x").exit_code
        == 3
    )
    assert invoke("export", tmp_path / "nothing").exit_code == 3


def test_invalid_steps_make_a_partial_result(tmp_path):
    master = tmp_path / "heavy.dss"
    model = (shipped("feeders") / "ieee34" / "master.dss").as_posix()
    master.write_text(f'Redirect "{model}"\nSet LoadMult=3\n')
    path = written(
        tmp_path,
        feeder={"model": str(master)},
        base_load={"source": "standard"},
        calendar={"seasons": {"summer": [6, 7, 8]}, "day_types": ["peak_day"]},
    )
    done = invoke("study", path, "--out", tmp_path / "out")
    assert done.exit_code == 5, done.output
    assert "no limit" not in done.output.lower()
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["validity"]["invalid"] > 0


def test_every_command_has_help_and_the_module_runs():
    done = subprocess.run(
        [sys.executable, "-m", "v2g_feeder", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for command in main.commands:
        assert command in done.stdout
        assert invoke(command, "--help").exit_code == 0


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    """`v2g-feeder check FILE | head -1` ends quietly."""
    command = [sys.executable, "-m", "v2g_feeder", "check", str(written(tmp_path))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        said = process.stderr.read().decode().splitlines()
    assert [line for line in said if not line.startswith("feeder and")] == []  # the progress


def test_an_interrupt_that_python_cannot_raise_is_raised_at_the_next_step():
    class Loud:
        def __del__(self):
            raise KeyboardInterrupt

    with shown_run(hidden=True) as given:
        given["progress"]("fleet", 0, 1)
        Loud()
        with pytest.raises(KeyboardInterrupt):
            given["progress"]("fleet", 1, 1)
