"""Many studies in one command: a table of all, and one that fails stops none."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from v2g_feeder.cli.main import main
from v2g_feeder.study import many

TINY = {
    "feeder": {"model": "ieee13"},
    "calendar": {"seasons": {"summer": [7]}, "day_types": ["weekday"]},
    "fleets": [{"name": "homes", "vehicles": 4, "export_capable": 0.5}],
    "dispatch": {"export": {"window": "17:00-19:00", "request_kw": 20.0}},
    "participation": ["expected"],
    "draws": 1,
}


def written(folder, stem, **changes):
    path = folder / f"{stem}.yaml"
    path.write_text(yaml.safe_dump({"name": stem} | TINY | changes, sort_keys=False))
    return path


def study(*arguments):
    return CliRunner().invoke(main, ["study", *(str(item) for item in arguments)])


@pytest.fixture
def four(tmp_path):
    """Four studies: two good ones, a name that stands twice, and a model that is broken."""
    written(tmp_path, "a")
    written(tmp_path, "b", feeder={"model": "ieee37"})
    written(tmp_path, "c", name="A")
    (tmp_path / "broken.dss").write_text("Clear\nNew Circuit.x\nNew Lode.y\n")
    written(tmp_path, "d", feeder={"model": "broken.dss"})
    return tmp_path


def test_good_ones_have_results_and_bad_ones_are_named(four):
    done = study(four / "*.yaml", "--out", four / "out", "--json", "--workers", 1)
    assert done.exit_code == 3, done.output
    rows = json.loads(done.stdout)["studies"]
    assert [(row["study"], row["status"], row["exit_code"]) for row in rows] == [
        ("a", "done", 0), ("b", "done", 0), ("A", "failed", 3), ("d", "failed", 3),
    ]  # fmt: skip
    assert "'A' is the name of" in rows[2]["problem"]
    assert "broken.dss:3" in rows[3]["problem"]
    table = pd.read_csv(four / "out" / "summary.csv")
    assert list(table["file"]) == [str(four / f"{name}.yaml") for name in "abcd"]
    assert sorted(path.name for path in (four / "out").iterdir()) == ["a", "b", "summary.csv"]
    for row in table[:2].itertuples():
        summary = json.loads((Path(row.result) / "summary.json").read_text())
        assert row.content_sha256 == summary["content_sha256"]
        (peak,) = (
            item
            for item in summary["head"]
            if (item["policy"], item["case"]) == ("managed", "expected")
        )
        assert row.peak_kw_managed == pytest.approx(peak["peak_kw_mean"], rel=1e-5)
        assert row.customers == summary["feeder"]["customers"]
    again = study(four / "a.yaml", four / "b.yaml", "--out", four / "out")
    assert again.exit_code == 3
    assert "summary.csv: exists (--overwrite replaces it)" in again.output


def test_the_worst_kind_is_the_exit_code_and_crashes_are_rows(four, monkeypatch):
    def crash(*_, **__):
        raise ZeroDivisionError("of nothing")

    monkeypatch.setattr(many, "run_study", crash)
    done = study(four / "a.yaml", four / "d.yaml", "--out", four / "out")
    assert done.exit_code == 6
    assert "internal error: ZeroDivisionError: of nothing" in done.output
    table = pd.read_csv(four / "out" / "summary.csv")
    assert list(table["exit_code"]) == [6, 6]
    row = many.Row("x")
    for codes, expected in (((0, 5), 5), ((5, 3), 3), ((3, 4, 0), 4), ((4, 6), 6), ((), 0)):
        assert many.worst([replace(row, exit_code=code) for code in codes]) == expected


def test_an_interrupt_leaves_the_table_of_those_that_are_finished(four, monkeypatch):
    def interrupted(study, *_, **__):
        if study.content.name == "a":
            raise ZeroDivisionError
        raise KeyboardInterrupt

    monkeypatch.setattr(many, "run_study", interrupted)
    done = study(four / "a.yaml", four / "b.yaml", "--out", four / "out")
    assert done.exit_code == 130
    assert list(pd.read_csv(four / "out" / "summary.csv")["study"]) == ["a"]


def test_resume_takes_the_finished_goes_on_with_the_rest_and_refuses_what_has_changed(
    four, monkeypatch
):
    out, real = four / "out", many.run_study

    def interrupted(study, *arguments, **options):
        if study.content.name == "b":
            raise KeyboardInterrupt
        return real(study, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(many, "run_study", interrupted)
        both = four / "a.yaml", four / "b.yaml", "--out", out, "--resume", "--workers", 1
        assert study(*both).exit_code == 130
    (row,) = pd.read_csv(out / "summary.csv").to_dict("records")
    assert (row["study"], row["status"]) == ("a", "done")
    made = (out / "a" / "summary.json").stat().st_mtime_ns
    done = study(*both)
    assert done.exit_code == 0, done.output
    table = pd.read_csv(out / "summary.csv")
    assert list(table["study"]) == ["a", "b"]
    assert set(table["status"]) == {"done"}
    assert table.loc[0].to_dict() == pytest.approx(row, nan_ok=True)
    assert (out / "a" / "summary.json").stat().st_mtime_ns == made
    written(four, "a", seed=7)
    done = study(*both)
    assert done.exit_code == 3
    assert "cannot go on: its inputs have changed" in done.output
    table = pd.read_csv(out / "summary.csv")
    assert list(table["status"]) == ["failed", "done"]
    assert (out / "a" / "summary.json").stat().st_mtime_ns == made


def test_a_pattern_without_a_match_is_named(tmp_path):
    done = study(tmp_path / "no*.yaml")
    assert done.exit_code == 3
    assert "no file is named like this" in done.output
    assert many.named_files([tmp_path / "x.yaml"]) == [tmp_path / "x.yaml"]


RSS = """
import resource, sys
from v2g_feeder.study import many
seen = []
def run(number, file):
    with open("/proc/self/statm") as statm:
        seen.append(int(statm.read().split()[1]) * resource.getpagesize() / 1e6)
    return {"workers": 2}
from dataclasses import replace
from pathlib import Path
files = many.named_files([Path(sys.argv[1]) / "s*.yaml"])
rows = many.run_many(files, Path(sys.argv[1]) / "out", run=run)
print(" ".join(f"{size:.1f}" for size in seen))
print(sum(row.status == "done" for row in rows), [row.study for row in rows if row.exit_code])
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat_over_fifty_studies(tmp_path, capsys):
    models = ["ieee13", "ieee34", "ieee37", "ieee123"]
    for number in range(49):
        written(
            tmp_path,
            f"s{number:02d}",
            feeder={"model": models[number % 4]},
            fleets=[{"name": "homes", "vehicles": 2 + number % 7, "export_capable": 0.5}],
            seed=number,
        )
    (tmp_path / "broken.dss").write_text("Clear\nNew Circuit.x\nNew Lode.y\n")
    written(tmp_path, "s49", feeder={"model": "broken.dss"})
    done = subprocess.run(
        [sys.executable, "-c", RSS, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    sizes, counts = done.stdout.strip().splitlines()[-2:]
    assert counts == "49 ['s49']"
    resident = [float(size) for size in sizes.split()]
    with capsys.disabled():
        print(f"\nresident before each study, MB: {sizes}")  # noqa: T201
    assert len(pd.read_csv(tmp_path / "out" / "summary.csv")) == 50
    # once every model has been seen (and matplotlib's fonts), nothing more is kept
    assert max(resident[25:]) < 1.1 * max(resident[4:25]), resident
