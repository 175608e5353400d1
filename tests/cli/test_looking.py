"""Commands that look and do not solve a study: feeder, report, compare, schema."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from v2g_feeder.cli.main import main
from v2g_feeder.feeder.library import shipped
from v2g_feeder.study.schema import SCHEMA_LINE, file_schema, schema_text

TINY = {
    "name": "tiny",
    "feeder": {"model": "ieee13"},
    "calendar": {"seasons": {"summer": [6, 7, 8]}, "day_types": ["peak_day"]},
    "fleets": [{"name": "homes", "vehicles": 40, "export_capable": 0.5}],
    "dispatch": {"export": {"window": "17:00-19:00", "request_kw": 60.0}},
    "participation": ["expected"],
    "draws": 1,
}


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def two_results(tmp_path_factory) -> tuple[Path, Path]:
    """Results of a study, and of the same with more vehicles."""
    folder = tmp_path_factory.mktemp("two")
    more = TINY | {"fleets": [TINY["fleets"][0] | {"vehicles": 90}]}
    for name, content in (("a", TINY), ("b", more)):
        study = folder / f"{name}.yaml"
        study.write_text(yaml.safe_dump(content))
        out = folder / name
        done = invoke("study", study, "--out", out, "--workers", 1, "--quiet")
        assert done.exit_code == 0, done.output
    return folder / "a", folder / "b"


def test_compare_says_what_went_in_and_what_came_out(two_results):
    a, b = two_results
    done = invoke("compare", a, b, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert not found["same"]
    assert {"input": "fleets[homes].vehicles", "a": 40, "b": 90} in found["inputs"]
    assert [row["input"] for row in found["inputs"]] == ["fleets[homes].vehicles"]
    peaks = {row["figure"]: row for row in found["figures"]}
    peak = peaks["head uncontrolled expected: peak_kw_mean"]
    heads = [json.loads((folder / "summary.json").read_text())["head"] for folder in (a, b)]
    for side, rows in zip("ab", heads, strict=True):
        mine = [row for row in rows if row["policy"] == "uncontrolled"]
        assert peak[side] == mine[0]["peak_kw_mean"]
    row = next(row for row in found["violations"] if row["policy"] == "uncontrolled")
    for side, folder in zip("ab", two_results, strict=True):
        table = pd.read_csv(folder / "hourly.csv")
        keys = ["policy", "case", "criterion"]
        mine = table[(table[keys] == [row[key] for key in keys]).all(axis=1)]
        assert row[f"place_hours_{side}"] == mine["count"].sum()
    shown = invoke("compare", a, b)
    assert "fleets[homes].vehicles" in shown.output
    assert "place-h A" in shown.output


def test_compare_of_a_result_with_itself(two_results):
    done = invoke("compare", two_results[0], two_results[0])
    assert done.exit_code == 0
    assert "the same" in done.output
    found = json.loads(invoke("compare", two_results[0], two_results[0], "--json").stdout)
    assert found["same"]
    assert not any(value for value in found.values() if isinstance(value, list))


def test_compare_of_what_is_no_result(two_results, tmp_path):
    done = invoke("compare", two_results[0], tmp_path)
    assert done.exit_code == 3
    assert "not a result folder" in done.output


def test_capacities_side_by_side(tmp_path):
    columns = {"bus": ["1", "2"], "connection": "A", "direction": "export"}
    for name, kw in (("a", [100.0, 50.0]), ("b", [100.0, 80.0])):
        folder = tmp_path / name
        folder.mkdir()
        rows = pd.DataFrame(columns | {"kw": kw, "limiting_criterion": "thermal"})
        rows.to_csv(folder / "hosting_minima.csv", index=False)
        (folder / "study.yaml").write_text("name: x\n")
        (folder / "summary.json").write_text(json.dumps({"content_sha256": name}))
        manifest = dict.fromkeys(("v2g_feeder", "engine", "python", "seed"), "1")
        (folder / "manifest.json").write_text(json.dumps(manifest | {"packages": {}, "inputs": []}))
    done = invoke("compare", tmp_path / "a", tmp_path / "b", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    (group,), (row,) = found["capacity"], found["capacity_buses"]
    assert (group["median_kw_a"], group["median_kw_b"], group["answers"]) == (75.0, 90.0, 2)
    assert (row["bus"], row["difference_kw"]) == ("2", 30.0)


def test_report_is_built_again_to_the_letter(two_results):
    a, _ = two_results
    page = (a / "report.html").read_text()
    shutil.rmtree(a / "figures")
    (a / "report.html").unlink()
    done = invoke("report", a)
    assert done.exit_code == 0, done.output
    assert "report.html" in done.output
    assert (a / "report.html").read_text() == page
    assert list((a / "figures").glob("*.svg"))


def test_report_of_what_is_no_result(tmp_path):
    assert "no such folder" in invoke("report", tmp_path / "none").output
    done = invoke("report", tmp_path)
    assert done.exit_code == 3
    assert "v2g-feeder study" in done.output


def test_feeder_says_what_a_model_holds(tmp_path):
    drawing = tmp_path / "drawing.svg"
    done = invoke("feeder", "ieee13", "--json", "--draw", drawing)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["buses"], found["nodes"], found["loads"]) == (16, 41, 15)
    assert found["load_kw"] == pytest.approx(3466)
    # the head of the published solution, tests/reference/ieee13/totals.csv
    assert found["head_kw"] == pytest.approx(3567, abs=1)
    assert [row["kind"] for row in found["findings"]] == ["ratings_unknown"]
    assert found["highest_v_node"] in drawing.read_text()


def test_feeder_leaves_a_drawing_and_says_what_comes_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = invoke("feeder", "ieee13")
    assert "ratings_unknown" in shown.output
    assert "load kW" in shown.output
    assert "next: v2g-feeder init mine.yaml --model ieee13" in shown.output
    (drawing,) = (tmp_path / "results").iterdir()
    assert f"drawing: {Path('results') / drawing.name}" in shown.output
    assert "<svg" in drawing.read_text()


def test_a_model_that_is_a_folder_or_mistyped_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shipped("feeders") / "ieee13", tmp_path / "mine")
    assert (
        "'mine' is a folder (name its master file: master.dss)" in invoke("feeder", "mine").output
    )
    said = invoke("feeder", "mine/mastre.dss").output
    assert "did you mean 'master.dss'?" in said
    assert "shipped feeders: ieee123" in invoke("feeder", "nowhere/x.dss").output


def test_feeder_refuses_what_it_cannot_do(tmp_path):
    assert invoke("feeder", "iee13").exit_code == 3
    done = invoke("feeder", "ieee13", "--draw", tmp_path / "drawing.doc")
    assert done.exit_code == 3
    assert "'drawing.doc' is no drawing" in done.output


def test_the_shipped_schema_is_in_step_with_the_code():
    """``v2g-feeder schema > studies/study.schema.json`` brings it there."""
    studies = shipped("studies")
    assert (studies / "study.schema.json").read_text("utf-8") == schema_text()
    assert json.loads(invoke("schema").stdout) == file_schema()
    for study in studies.glob("*.yaml"):
        assert study.read_text("utf-8").startswith(f"{SCHEMA_LINE}\n"), study.name


def test_the_schema_documents_and_refuses():
    schema = file_schema()
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["name", "feeder"]
    sections = {"StudySection": schema, **schema["$defs"]}
    silent = [
        f"{name}.{key}"
        for name, section in sections.items()
        for key, value in section.get("properties", {}).items()
        if "description" not in value and "$ref" not in json.dumps(value)
    ]
    assert silent == []
    fleet = schema["$defs"]["FleetSection"]["properties"]
    assert fleet["export_capable"]["maximum"] == 1
    assert "Required" in fleet["export_capable"]["description"]
    assert file_schema("checklist")["title"] == "v2g-feeder checklist file"


def test_init_leaves_a_file_of_the_schemas_name_that_is_not_ours(tmp_path):
    other = tmp_path / "study.schema.json"
    other.write_text("{}")
    study = tmp_path / "mine.yaml"
    assert invoke("init", study).exit_code == 0
    assert other.read_text() == "{}"
    assert study.read_text().startswith(SCHEMA_LINE)


def test_init_takes_what_a_model_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shipped("feeders") / "ieee37", tmp_path / "mine")
    (tmp_path / "buses.csv").write_text("name,bus\nnorth,724\nsouth,741.1.2\n")
    done = invoke("init", "depot.yaml", "--model", "mine/master.dss", "--buses", "buses.csv")
    assert done.exit_code == 0, done.output
    assert "1 finding on the model: v2g-feeder feeder mine/master.dss" in done.output
    study = yaml.safe_load((tmp_path / "depot.yaml").read_text())
    assert study["name"] == "depot"
    assert study["feeder"] == {"model": "mine/master.dss", "secondaries": {}}
    assert study["base_load"] == {"source": "standard"}  # the model has no load shapes
    assert study["fleets"][0]["place"] == {"by": "buses", "buses": ["724", "741"]}
    assert study["fleets"][0]["vehicles"] == 8
    assert study["dispatch"]["export"]["request_kw"] == 400  # 15 % of 2,457 kW
    assert "then: v2g-feeder study depot.yaml" in done.output
    checked = invoke("check", "depot.yaml")
    assert checked.exit_code == 0
    assert "next: v2g-feeder study depot.yaml" in checked.output


@pytest.mark.parametrize(("hertz", "limits"), [(50, "en_50160"), (60, "ansi_c84_1_a")])
def test_init_takes_the_limits_of_the_models_frequency(tmp_path, hertz, limits):
    model = tmp_path / "master.dss"
    model.write_text(
        f"Clear\nSet DefaultBaseFrequency={hertz}\nNew Circuit.c basekv=11 bus1=a\n"
        "New Line.l bus1=a bus2=b length=1 units=km\nNew Load.d bus1=b kV=11 kW=100\n"
        "Set voltagebases=[11]\nCalcvoltagebases\nSolve\n"
    )
    done = invoke("init", tmp_path / "s.yaml", "--model", model)
    assert done.exit_code == 0, done.output
    study = yaml.safe_load((tmp_path / "s.yaml").read_text())
    assert study["screening"] == {"limits": limits}
    found = json.loads(invoke("feeder", model, "--json").stdout)
    assert found["frequency_hz"] == hertz


def test_init_says_how_a_model_elsewhere_is_read(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    shutil.copytree(shipped("feeders") / "ieee13", tmp_path / "its models")
    said = invoke("init", "s.yaml", "--model", "../its models/master.dss").output
    assert 'next: v2g-feeder check s.yaml --allow-path "../its models"' in said
    assert invoke("check", "s.yaml").exit_code == 3
    assert invoke("check", "s.yaml", "--allow-path", "../its models").exit_code == 0


def test_init_names_every_bus_that_the_model_does_not_have(tmp_path):
    buses = tmp_path / "buses.txt"
    buses.write_text("671\n6711\n# a note\n\n68O\n")
    done = invoke("init", tmp_path / "s.yaml", "--model", "ieee13", "--buses", buses)
    assert done.exit_code == 3
    assert "2 problems" in done.output
    assert "unknown bus '6711' (did you mean '671'?)" in done.output
    assert not (tmp_path / "s.yaml").exists()
    buses.write_text("name;place\n", encoding="utf-8")
    done = invoke("init", tmp_path / "s.yaml", "--buses", buses)
    assert done.exit_code == 3
    assert "none of them is `bus` (its first line: name, place)" in done.output
    done = invoke("init", tmp_path / "s.yaml", "--buses", tmp_path / "none")
    assert done.exit_code == 3
    assert "no such file" in done.output


@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_a_list_of_buses_as_a_spreadsheet_saves_it(tmp_path, between):
    rows = [("Name", "Bus"), ("north", "671.1"), ("", ""), ("south", " 675 ")]
    buses = tmp_path / "buses.csv"
    text = "\r\n".join(between.join(row) for row in rows)
    buses.write_text(text, encoding="utf-8-sig")
    study = tmp_path / "s.yaml"
    done = invoke("init", study, "--model", "ieee13", "--buses", buses)
    assert done.exit_code == 0, done.output
    place = yaml.safe_load(study.read_text())["fleets"][0]["place"]
    assert place == {"by": "buses", "buses": ["671", "675"]}


def test_quiet_says_nothing_where_nothing_is_wrong(two_results, tmp_path):
    study = tmp_path / "tiny.yaml"
    study.write_text(yaml.safe_dump(TINY))
    assert invoke("check", study, "--quiet").output == ""
    package = tmp_path / "package"
    done = invoke("export", two_results[0], "--policy", "managed", "--out", package, "--quiet")
    assert (done.exit_code, done.output) == (0, "")
    assert (package / "run.dss").is_file()
    assert invoke("report", two_results[0], "--quiet").output == ""
