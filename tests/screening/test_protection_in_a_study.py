"""The protection screen from the study file to its table, the summary and the report."""

import json

import pandas as pd
import pytest

from v2g_feeder.errors import InputError
from v2g_feeder.study.config import load_study
from v2g_feeder.study.run import run_study

STUDY = """
name: protected
feeder: {model: ieee13}
base_load: {source: standard}
calendar: {seasons: {summer: [7]}, day_types: [weekday]}
fleets:
  - {name: depot, vehicles: 20, export_capable: 1.0, charger_kw: 60,
     place: {by: buses, buses: [675]}}
dispatch: {export: {request_kw: 150}}
participation: [expected]
draws: 1
"""
PROTECTION = """
protection:
  devices: devices.csv
  head: {three_phase_mva: 150, ground_mva: 130, bus: "650"}
  figures: {reach_factor: 2.0}
"""
DEVICES = """device,kind,element,pickup_a,ground_pickup_a,interrupting_a,directional,reverse_kw
feeder breaker,breaker,Line.650632,800,300,8000,yes,50
mid recloser,recloser,Line.670671,560,200,6000,no,
"""


def write(folder, protection=PROTECTION, devices=DEVICES):
    (folder / "devices.csv").write_text(devices)
    (folder / "study.yaml").write_text(STUDY + protection)
    return folder / "study.yaml"


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("protected")
    summary = run_study(load_study(write(folder)), folder / "out", workers=1)
    return folder / "out", summary


def test_table_and_summary(result):
    folder, summary = result
    table = pd.read_csv(folder / "protection.csv").set_index(["device", "check"])
    breaker = table.loc["feeder breaker"]
    assert breaker.loc["phase_reach", "status"] == "pass"
    assert breaker.loc["phase_reach", "limit"] == 2.0
    load = float(breaker.loc["islanding", "note"].split(", ")[1].split(" ")[0])
    assert load > 500, "the least load of the event's steps, solved"
    assert breaker.loc["islanding", "value"] == pytest.approx(1200 / load, rel=0.01)
    assert breaker.loc["residual_pickup", "reference_value"] > 1, "the load is unbalanced"
    found = summary["protection"]
    assert found["checks"] == len(table)
    assert found["head"]["three_phase_mva"] == 150
    assert found["violations"] == int((table["status"] == "violation").sum())
    assert {row["name"] for row in found["figures"]} >= {"charger_factor", "reach_factor"}
    stored = json.loads((folder / "summary.json").read_text())
    statuses = [row["status"] for row in stored["protection"]["rows"]]
    assert statuses == sorted(statuses, key=["violation", "unknown", "pass"].index)
    assert len(statuses) == len(table)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert "devices.csv" in [entry["file"].rsplit("/", 1)[-1] for entry in manifest["inputs"]]


def test_the_report_shows_it(result):
    page = (result[0] / "report.html").read_text()
    assert 'id="protection"' in page
    for words in ("feeder breaker", "mid recloser", "fuse saving", "EPRI DRIVE, breaker reach"):
        assert words in page


def test_a_broken_inventory_stops_the_study_before_it_solves(tmp_path):
    path = write(tmp_path, devices=DEVICES.replace("Line.670671", "Line.670672"))
    with pytest.raises(InputError, match=r"row 3, element.*did you mean 'Line\.670671'"):
        run_study(load_study(path), tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("protection: {figures: {reach: 2}}", "did you mean 'reach_factor'"),
        ("protection: {head: {three_phase_mva: 0}}", "head"),
        ("protection: {head: grid}", "head"),
        ("protection: {device: x.csv}", "did you mean 'devices'"),
    ],
)
def test_a_section_that_is_wrong(tmp_path, section, words):
    with pytest.raises(InputError, match=words):
        load_study(write(tmp_path, section))
