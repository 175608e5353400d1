"""Names in a result stand as the model wrote them, wherever they stand."""

from __future__ import annotations

import base64
import re

import pytest
import xarray as xr
import yaml

from v2g_feeder.study.config import load_study
from v2g_feeder.study.hosting import run_hosting
from v2g_feeder.study.names import as_written
from v2g_feeder.study.run import run_study

MODEL = """\
Clear
New Circuit.Feeder basekv=12.47 pu=1.0 bus1=SubBus
New Line.MainLine bus1=SubBus bus2=MidBus length=2 units=km normamps=400
New Line.Lateral bus1=MidBus.1 bus2=FarEnd.1 phases=1 length=3 units=km
New Load.HouseLoad bus1=FarEnd.1 phases=1 kV=7.2 kW=900 pf=0.95
Set voltagebases=[12.47]
Calcvoltagebases
Solve
"""
STUDY = {
    "name": "names",
    "feeder": {"model": "Master.dss"},
    "base_load": {"source": "standard"},
    "calendar": {"seasons": {"summer": [7]}, "day_types": ["peak_day"]},
    "fleets": [
        {
            "name": "homes", "vehicles": 60, "export_capable": 1.0, "charger_kw": 11.5,
            "place": {"by": "buses", "buses": ["farend"]},
        }
    ],
    "dispatch": {"export": {"window": "17:00-21:00", "request_kw": 600}},
    "participation": ["expected", "coincident_export"],
    "draws": 1,
    "hosting": {
        "buses": ["FAREND"], "check_pairs": 0, "envelope": {"inner_points": 5},
        "mitigation": [{"name": "curves", "volt_var": True}],
    },
}  # fmt: skip
NAMES = ("SubBus", "MidBus", "FarEnd", "MainLine", "Lateral", "HouseLoad")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    (folder / "Master.dss").write_text(MODEL)
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    return load_study(folder / "study.yaml")


def drawn(match: re.Match[str]) -> str:
    return base64.b64decode(match[1]).decode()


def as_read(folder):
    """Text of a result's files, and of the drawings in its pages, by name."""
    found = {}
    for path in folder.iterdir():
        if path.suffix in {".json", ".csv", ".html", ".geojson"}:
            text = path.read_text("utf-8")
            found[path.name] = re.sub(r"data:image/svg\+xml;base64,([\w+/=]+)", drawn, text)
    return found


def assert_as_written(files):
    for name, text in files.items():
        for word in NAMES:
            assert not re.search(rf"\b{word.lower()}\b", text), f"{name}: {word.lower()}"


def test_of_a_study(study, tmp_path):
    run_study(study, tmp_path / "out", workers=1)
    files = as_read(tmp_path / "out")
    assert_as_written({name: text for name, text in files.items() if name != "manifest.json"})
    assert "FarEnd" in files["report.html"]
    assert "Line.Lateral" in files["summary.json"]  # a finding: it states no rating
    with xr.open_dataset(tmp_path / "out" / "results.nc", engine="h5netcdf") as data:
        assert "FarEnd.1" in data["node"].values
        assert set(data["point"].values) == {"FarEnd"}
        for name in ("bus", "bus_parent", "node_bus", "element_bus1", "element_bus2"):
            assert set(data[name].values) <= {"", "SubBus", "MidBus", "FarEnd"}, name
        assert set(data["element"].values) == {"Line.MainLine", "Line.Lateral"}
        assert set(data["bus_phase"].values) == {"ABC", "A"}


def test_of_hosting_capacity(study, tmp_path):
    summary = run_hosting(study, tmp_path / "out", workers=1)
    files = as_read(tmp_path / "out")
    assert_as_written({name: text for name, text in files.items() if name != "manifest.json"})
    assert {row["bus_of_min"] for row in summary["capacity"]} == {"FarEnd"}
    assert summary["unrated"]["answers"] > 0
    assert summary["unrated"]["first_elements"] == ["Line.Lateral"]
    assert "FarEnd" in files["envelopes.csv"]
    assert "FarEnd" in files["hosting_mitigation.csv"]
    assert "FarEnd" in files["hosting_curtailment.csv"]
    assert {row["bus_of_most"] for row in summary["mitigation"]} == {"FarEnd"}


def test_a_name_is_found_in_any_case_and_stays_where_it_is_not_known():
    names = {"b1": "B1", "line.long": "Line.Long", "line": "LINE"}
    assert as_written("b1.2", names) == "B1.2"
    assert as_written("LINE.long", names) == "Line.Long"
    assert as_written("Line.other", names) == "LINE.other"  # node `other` of a bus `LINE`
    assert as_written("b2.1", names) == "b2.1"
    assert as_written("", names) == ""
