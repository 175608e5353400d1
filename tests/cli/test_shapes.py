"""``v2g-feeder shapes``: what it prints, its exit codes, and what it leaves behind."""

import json

import pytest
import yaml
from click.testing import CliRunner

from v2g_feeder.cli.main import main

STUDY = {
    "name": "tiny",
    "feeder": {"model": "ieee13"},
    "calendar": {"seasons": {"summer": [6, 7, 8]}, "day_types": ["weekday"]},
    "fleets": [{"name": "homes", "vehicles": 4, "export_capable": 0.5}],
    "dispatch": {"export": {"window": "17:00-19:00", "request_kw": 20.0}},
    "draws": 3,
}


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY, sort_keys=False))
    return path


def test_shapes_export_and_overwrite(study, tmp_path):
    out = tmp_path / "out"
    done = invoke("shapes", study, "--out", out, "--draws", "2", "--seed", "5", "--quiet")
    assert done.exit_code == 0, done.output
    for text in ("nameplate", "Uncontrolled", "shapes.html", "run.dss"):
        assert text in done.output
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["study"]["draws"], summary["study"]["seed"]) == (2, 5)
    refused = invoke("shapes", study, "--out", out)
    assert refused.exit_code == 3
    assert "--overwrite" in refused.output
    assert invoke("shapes", study, "--out", out, "--overwrite", "--quiet").exit_code == 0
    package = tmp_path / "package"
    done = invoke("export", out, "--case", "high", "--draw", "1", "--out", package)
    assert done.exit_code == 0, done.output
    assert (package / "run.dss").is_file()


def test_bad_input_writes_nothing(study, tmp_path):
    study.write_text(yaml.safe_dump(STUDY | {"drawz": 3}))
    done = invoke("shapes", study, "--out", tmp_path / "out")
    assert done.exit_code == 3
    assert "did you mean 'draws'?" in done.output
    assert invoke("shapes", study, "--draws", "0").exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]
