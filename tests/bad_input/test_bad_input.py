"""Bad input: the exit code, a message that names file and place, and nothing written.

One case a row of the tables in this folder. The commands run in this process and the feeder's
stage with them: what a child process adds is tested where workers are.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import v2g_feeder.cli.study
import v2g_feeder.study.run
from v2g_feeder.cli.main import main
from v2g_feeder.study.feeder_stage import prepare_feeder

from . import csv_cases, feeder_cases, fleet_cases, yaml_cases
from .cases import STUDY, Case

CASES = {
    f"{group}: {name}": case
    for group, module in (
        ("yaml", yaml_cases), ("csv", csv_cases), ("fleet", fleet_cases), ("feeder", feeder_cases),
    )
    for name, case in module.CASES.items()
}  # fmt: skip


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Prepare feeders here: a spawned process takes seconds to begin."""
    monkeypatch.setattr(v2g_feeder.cli.study, "_begun", lambda *_: nullcontext({"workers": 1}))
    monkeypatch.setattr(v2g_feeder.study.run, "_prepared", lambda study, *_: prepare_feeder(study))


def laid_out(folder: Path, case) -> Path:
    """Write a case into a folder and return its study file."""
    for name, content in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    study = case.study
    if not isinstance(study, str | bytes):
        study = yaml.safe_dump(STUDY | study, sort_keys=False, allow_unicode=True)
    path = folder / "study.yaml"
    path.write_bytes(study.encode() if isinstance(study, str) else study)
    return path


@pytest.mark.parametrize("name", CASES)
def test_it_is_named_and_nothing_is_written(name, tmp_path, monkeypatch):
    case, folder = CASES[name], tmp_path / "in"
    folder.mkdir()
    path = laid_out(folder, case)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    given = ["fit", str(folder / "s.csv")] if "s.csv" in case.files else ["study", str(path)]
    done = CliRunner().invoke(main, [*given, "--quiet"])
    assert done.exit_code == case.exit_code, done.output
    for words in case.says:
        assert words in done.output
    assert "internal error" not in done.output
    assert len(done.output) < 8000, "one screen"
    assert sorted(tmp_path.rglob("*")) == before
    assert Path.cwd() == tmp_path


ODD = {
    "an island": (
        (
            "New Line.i bus1=near bus2=far r1=0.1 length=1 normamps=300\n"
            "New Load.i bus1=far kv=12.47 kw=5"
        ),
        "2 buses are not connected to the source; they are not screened",
        "5 kW of load (at 1 of the model's loads) are not connected to the source",
    ),
    "no rating": (
        "New Line.x bus1=Tail bus2=b r1=0.1 length=1",
        "1 of 2 series elements state no rating",
    ),
    "a rating of zero": (
        "New Line.x bus1=Tail bus2=b r1=0.1 length=1 normamps=0",
        "1 of 2 series elements",
    ),
    "the default rating": (
        "New Line.x bus1=Tail bus2=b r1=0.1 length=1 normamps=400",
        "exactly 400 A, the engine's default",
    ),
    "a regulator without its control": (
        "New Transformer.reg buses=[Tail b] kvs=[12.47 12.47] kvas=[500 500] xhl=1 taps=[1 1.05]",
        "no_regulator_control",
    ),
    "names that differ in case": ("New Load.other bus1=TAIL kv=12.47 kw=5", "tiny"),
    "accents in names": ("New Load.caf\xe9 bus1=Tail kv=12.47 kw=5", "tiny"),
    "markup in names": ("New Load.<b>x</b> bus1=Tail kv=12.47 kw=5", "tiny"),
    "a formula for a name": ("New 'Load.=1+1' bus1=Tail kv=12.47 kw=5", "tiny"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_said_and_studied(name, tmp_path):
    """`check` goes through; every step has a solution."""
    text, *says = ODD[name]
    case = Case(tuple(says), feeder_cases.OWN, feeder_cases.model(text))
    done = CliRunner().invoke(main, ["check", str(laid_out(tmp_path, case)), "--json"])
    assert done.exit_code == 0, done.output
    for words in says:
        assert words in done.output
