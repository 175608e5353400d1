"""``v2g-feeder checklist``: the example, missing and broken evidence, the printed page."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from v2g_feeder.cli.main import main

EXAMPLE = Path(__file__).parents[2] / "examples" / "checklist"
FAILS = {
    "Depot North": None,
    "Flat Mill": "evening_peak",
    "Scattered Homes": "plug_in",
    "Service Yard": "telemetry",
    "Old Breaker": "protection",
    "Campus East": "agreement",
}


def invoke(*arguments):
    return CliRunner().invoke(main, ["checklist", *(str(argument) for argument in arguments)])


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The result of the example."""
    out = tmp_path_factory.mktemp("example") / "out"
    done = invoke(EXAMPLE / "checklist.yaml", "--out", out)
    assert done.exit_code == 0, done.output
    return out, done.output


@pytest.fixture
def copy(tmp_path):
    """A copy of the example's evidence, with the first feeder and without its model."""
    folder = tmp_path / "evidence"
    shutil.copytree(EXAMPLE, folder)
    content = yaml.safe_load((EXAMPLE / "checklist.yaml").read_text())
    content["feeders"] = content["feeders"][:1]
    for key in ("model", "buses", "events"):
        del content["feeders"][0][key]
    return folder, content


def write(folder, content):
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(content)), sort_keys=False))
    return path


def test_one_passes_all_and_each_other_fails_one(example):
    out, printed = example
    table = pd.read_csv(out / "checklist.csv")
    for feeder, failing in FAILS.items():
        own = table[table["feeder"] == feeder]
        answers = dict(zip(own["item"], own["answer"], strict=True))
        assert list(answers) == list(FAILS.values())[1:]
        passing = {item for item, answer in answers.items() if answer == "pass"}
        assert passing == {*answers} - {failing}
        assert not failing or answers[failing] == "fail"
        assert (out / f"{feeder.lower().replace(' ', '-')}.html").is_file()
    ranking = pd.read_csv(out / "ranking.csv")
    assert ranking["feeder"].iloc[0] == "Depot North"
    assert ranking["verdict"].iloc[0] == "ready"
    assert set(ranking["verdict"].iloc[1:]) == {"wait"}
    later = ranking["points_per_mw"].iloc[1:]
    assert list(later) == sorted(later)
    assert "Depot North" in printed
    assert "fails: Evening peak hours" in printed


def test_figures_stand_beside_their_thresholds(example):
    out, _ = example
    figures = pd.read_csv(out / "figures.csv").set_index(["feeder", "name"])
    flat = figures.loc[("Flat Mill", "summer: daily peak to average")]
    assert flat["value"] < flat["at_least"] == 1.5
    assert flat["answer"] == "fail"
    summary = json.loads((out / "summary.json").read_text())
    assert {row["name"] for row in summary["thresholds"]} >= {"peak_share", "plugged_share"}
    assert all(row["source"] for row in summary["thresholds"])
    names = {Path(row["file"]).name for row in summary["files"]}
    assert {"load_evening.csv", "agreement.yaml", "master.dss"} <= names


def test_an_event_is_checked_against_telemetry_and_model(example):
    out, _ = example
    (event,) = pd.read_csv(out / "events.csv").to_dict("records")
    assert (event["feeder"], event["called_kw"]) == ("Depot North", 60)
    assert 0.8 < event["mean_share"] < 0.95
    table = pd.read_csv(out / "responses.csv").set_index(["edge", "quantity"])
    for edge, sign in (("start", -1), ("end", 1)):
        head = table.loc[(edge, "head_kw")]
        assert np.sign(head["change"]) == np.sign(head["taps_held"]) == sign
        assert head["change"] == pytest.approx(head["taps_held"], rel=0.1)
        node = table.loc[(edge, "13.1")]
        assert node["change"] == pytest.approx(node["taps_held"], rel=0.15)
    page = (out / "depot-north.html").read_text()
    assert "called 60 kW, delivered 51.9 kW on average" in page


def test_events_that_cannot_be_read_are_named(copy):
    folder, content = copy
    whole = yaml.safe_load((EXAMPLE / "checklist.yaml").read_text())
    (event,) = content["feeders"][0]["events"] = whole["feeders"][0]["events"]
    done = invoke(write(folder, content))
    assert "`points` of an event need `model`" in done.output
    del event["points"]
    event |= {"end": "2025-07-15 17:10", "called_kw": 60}
    done = invoke(write(folder, content))
    assert "feeders[0].events[0].end: the event is shorter than the 20 min" in done.output
    event["start"] = "15.7.2025 17:00"
    assert invoke(write(folder, content)).exit_code == 3
    event |= {"start": "2025-07-15 17:00", "end": "2025-07-15 20:12"}
    done = invoke(write(folder, content), "--out", folder / "out", "--json")
    (found,) = json.loads(done.stdout, parse_constant=pytest.fail)["feeders"][0]["events"]
    after = {row["quantity"]: row["change"] for row in found["response"] if row["edge"] == "end"}
    assert set(after.values()) == {None}  # the record ends before the response could be read
    assert "taps_held" not in pd.read_csv(folder / "out" / "responses.csv")


@pytest.mark.parametrize(
    ("left_out", "item"),
    [
        ("load", "evening_peak"),
        ("plug_in", "plug_in"),
        ("telemetry", "telemetry"),
        ("protection", "protection"),
        ("agreement", "agreement"),
    ],
)
def test_missing_evidence_is_unknown_and_exits_0(copy, left_out, item):
    folder, content = copy
    feeder = content["feeders"][0]
    del feeder[left_out]
    feeder["window"] = "17:00-20:00"
    done = invoke(write(folder, content), "--json", "--out", folder / "out")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["feeders"][0]
    answers = {row["item"]: row["answer"] for row in found["items"]}
    assert {name for name, answer in answers.items() if answer != "pass"} == {item}
    assert answers[item] == "unknown"
    assert found["verdict"] == "collect evidence"
    (row,) = (row for row in found["items"] if row["item"] == item)
    assert row["missing"]
    page = (folder / "out" / "depot-north.html").read_text()
    assert "<b>Missing:</b>" in page


def test_thresholds_are_the_users_to_set(copy):
    folder, content = copy
    content["thresholds"] = {"plugged_share": 0.99, "telemetry_interval_min": 1}
    done = invoke(write(folder, content), "--json", "--out", folder / "out")
    found = json.loads(done.stdout)
    answers = {row["item"]: row["answer"] for row in found["feeders"][0]["items"]}
    assert (answers["plug_in"], answers["telemetry"]) == ("fail", "fail")
    own = {row["name"] for row in found["thresholds"] if row["mark"] == "study"}
    assert own == {"plugged_share", "telemetry_interval_min"}
    assert "plugged_share 0.99" in (folder / "out" / "depot-north.html").read_text()


def test_a_question_that_nothing_measures_keeps_a_feeder_waiting_for_evidence(copy):
    folder, content = copy
    content["feeders"][0]["questions"] = ["hosting_capacity"]
    found = json.loads(invoke(write(folder, content), "--json", "--out", folder / "o").stdout)
    assert found["feeders"][0]["verdict"] == "collect evidence"
    assert found["feeders"][0]["reasons"] == [
        "answers no planning question: hosting capacity needs a model"
    ]


def test_all_broken_columns_are_named_at_once_and_nothing_is_written(copy):
    folder, content = copy
    for file, row, column, value in (
        ("load_evening.csv", 12, 1, "n/a?"),
        ("telemetry_depot.csv", 40, 4, "ten"),
        ("voltages_depot.csv", 8, 2, "2x7"),
        ("findings.csv", 2, 2, "failed"),
    ):
        lines = (folder / file).read_text().splitlines()
        cells = lines[row - 1].split(",")
        cells[column] = value
        lines[row - 1] = ",".join(cells)
        (folder / file).write_text("\n".join(lines))
    (folder / "agreement.yaml").write_text("may_cal: us\nreserve_soc: 40\n")
    done = invoke(write(folder, content), "--out", folder / "out")
    assert done.exit_code == 3
    for part in (
        "load_evening.csv, line 12, column 'kw': 'n/a?' is not a number",
        "telemetry_depot.csv, line 40, column 'kw': 'ten' is not a number",
        "voltages_depot.csv, line 8, column 'v_b': '2x7' is not a number",
        "findings.csv, line 2, column 'outcome': 'failed' is not known",
        "agreement.yaml: may_cal: unknown key 'may_cal' (did you mean 'may_call'?)",
        "agreement.yaml: reserve_soc: 40",
    ):
        assert part in done.output, done.output
    assert not (folder / "out").exists()


def test_the_file_is_checked_as_a_whole(copy):
    folder, content = copy
    feeder = content["feeders"][0]
    feeder |= {"window": "17-20", "seasons": ["sumer"], "modell": "ieee13"}
    feeder["plug_in"] |= {"kind": "ocpp"}
    del feeder["plug_in"]["timezone"]
    done = invoke(write(folder, content))
    assert done.exit_code == 3
    for part in ("does not read as", "did you mean 'model'?", "`timezone` is needed"):
        assert part in done.output
    for key in ("window", "modell", "plug_in"):
        del feeder[key]
    feeder["load"]["file"] = "nowhere.csv"
    content["feeders"].append(dict(feeder))
    content["thresholds"] = {"peak_share": 80}
    done = invoke(write(folder, content))
    assert "did you mean 0.8?" in done.output
    content["thresholds"] = {}
    done = invoke(write(folder, content))
    for part in ("did you mean 'summer'?", "stands twice"):
        assert part in done.output
    feeder["seasons"] = []
    content["feeders"] = [feeder]
    done = invoke(write(folder, content))
    assert done.exit_code == 3
    assert "feeders[0]: nowhere.csv: there is no such file" in done.output


def test_an_earlier_result_is_kept_unless_told_otherwise(copy):
    folder, content = copy
    path = write(folder, content)
    assert invoke(path, "--out", folder / "out", "--quiet").output == ""
    before = json.loads((folder / "out" / "summary.json").read_text())
    assert invoke(path, "--out", folder / "out").exit_code == 3
    assert invoke(path, "--out", folder / "out", "--overwrite").exit_code == 0
    after = json.loads((folder / "out" / "summary.json").read_text())
    assert before["content_sha256"] == after["content_sha256"]


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(not CHROMIUM, reason="needs a browser that prints")
@pytest.mark.parametrize("size", ["letter", "A4"])
def test_every_page_prints_on_one_sheet(example, copy, tmp_path, size):
    folder, content = copy
    feeder = content["feeders"][0]
    name = "A feeder with a name that is as long as a planner may well think it ought to be"
    long = feeder | {"name": name, "seasons": []}
    hours = pd.date_range("2025-01-01", periods=8760, freq="h")
    year = pd.DataFrame({"timestamp": hours, "kw": 1000 + 900 * (hours.hour == 18)})
    year.to_csv(folder / "load_evening.csv", index=False)
    lines = (folder / "devices_rebuild.csv").read_text().splitlines()
    more = [f"device {n} of a long list,relay,,,,,,,," for n in range(40)]
    (folder / "devices_rebuild.csv").write_text("\n".join([*lines, *more]))
    long["protection"] = {"devices": "devices_rebuild.csv"}
    (folder / "agreement.yaml").write_text("cybersecurity: none\n")
    content["feeders"] = [feeder | {"name": f"Feeder {n}"} for n in range(9)] + [long]
    assert invoke(write(folder, content), "--out", folder / "out").exit_code == 0
    pages = [example[0] / "campus-east.html", *sorted((folder / "out").glob("a-feeder*.html"))]
    assert len(pages) == 2
    for page in pages:
        sized = tmp_path / f"{page.stem}.html"
        sized.write_text(page.read_text().replace("@page {", f"@page {{ size: {size};"))
        pdf = tmp_path / f"{page.stem}.pdf"
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--print-to-pdf={pdf}"]
        subprocess.run([*command, sized.as_uri()], check=True, capture_output=True, timeout=120)
        assert len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes())) == 1
    assert "5 of 6 feeders, the others in ranking.csv" in pages[0].read_text()


def protection_of(folder, content, **changes):
    """Answer the first feeder on its model with other evidence of protection."""
    feeder = content["feeders"][0]
    feeder |= {"model": "ieee123", "buses": ["13"], "export_kw": 480}
    feeder["protection"] = {"devices": "devices.yaml"} | changes
    out = folder / "screened"
    done = invoke(write(folder, content), "--out", out, "--overwrite")
    assert done.exit_code == 0, done.output
    (found,) = json.loads((out / "summary.json").read_text())["feeders"]
    return next(item for item in found["items"] if item["item"] == "protection")


def test_the_screen_is_run_where_model_and_inventory_are_given(copy):
    folder, content = copy
    bare = protection_of(folder, content)
    assert bare["answer"] == "unknown"  # without the fault level at the head nothing passes
    assert not any("protection screen not run" in text for text in bare["missing"])
    assert any("phase_reach" in text for text in bare["missing"])
    head = protection_of(folder, content, head={"three_phase_mva": 150, "ground_mva": 120})
    assert len(head["missing"]) < len(bare["missing"])
    assert not any("fault level" in text for text in head["missing"])


def test_relief_comes_from_a_result_folder(copy):
    folder, content = copy
    content["feeders"][0].pop("relieved_kw", None)
    content["feeders"][0]["results"] = "study"
    (folder / "study").mkdir()
    rows = [
        {"case": "expected", "season": "winter", "relief_kw_mean": 44.0},
        {"case": "expected", "season": "summer", "relief_kw_mean": 31.0},
        {"case": "high", "season": "summer", "relief_kw_mean": 3.0},
    ]
    summary = folder / "study" / "summary.json"
    summary.write_text(json.dumps({"events": rows}))
    done = invoke(write(folder, content), "--out", folder / "out")
    assert done.exit_code == 0, done.output
    assert pd.read_csv(folder / "out" / "ranking.csv")["relieved_kw"].tolist() == [31.0]
    summary.write_text(json.dumps({"events": []}))
    done = invoke(write(folder, content), "--out", folder / "out2")
    assert done.exit_code != 0
    assert "no event with expected participation" in done.output
    content["feeders"][0]["relieved_kw"] = 3
    done = invoke(write(folder, content), "--out", folder / "out3")
    assert "either `results` or `relieved_kw`" in done.output
