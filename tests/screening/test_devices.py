"""The device inventory, and what a model states about its own devices."""

import numpy as np
import pytest

from v2g_feeder.errors import InputError
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.library import shipped
from v2g_feeder.feeder.model import read_feeder
from v2g_feeder.screening import (
    combine_devices,
    device_zones,
    devices_of_model,
    fault_path,
    read_devices,
)
from v2g_feeder.screening.devices import DEVICE_COLUMNS

CSV = """device,kind,element,pickup_a,ground_pickup_a,rating_a,interrupting_a,directional,reverse_kw
feeder breaker,Breaker,line.650632,600,240,,12000,no,
mid,recloser,Line.671692,280,,,,yes,50
lateral,fuse,Line.684652,,,65,,,
"""


def write(folder, text, name="devices.csv"):
    path = folder / name
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def ieee13():
    master = shipped("feeders") / "ieee13" / "master.dss"
    engine = shared_engine()
    engine.load(master)
    return read_feeder(engine, master)


def test_a_csv(tmp_path, ieee13):
    table = read_devices(write(tmp_path, CSV), ieee13)
    assert tuple(table.columns) == DEVICE_COLUMNS
    assert table["device"].tolist() == ["feeder breaker", "mid", "lateral"]
    assert table["kind"].tolist() == ["breaker", "recloser", "fuse"]
    assert table["element"].tolist()[0] == "Line.650632"
    assert table["pickup_a"].tolist()[:2] == [600, 280]
    assert np.isnan(table["pickup_a"][2])
    assert table["directional"].tolist() == ["no", "yes", ""]
    assert set(table["source"]) == {"devices.csv"}


def test_a_yaml_file_with_settings(tmp_path):
    path = write(
        tmp_path,
        """
devices:
  - name: feeder breaker
    kind: breaker
    element: Line.L115
    change: settings
    settings: {pickup_a: 600, curve: very inverse, directional: no}
  - {device: depot fuse, kind: fuse, settings: {rating_a: 65}}
""",
        "devices.yaml",
    )
    table = read_devices(path)
    assert table.loc[0, ["device", "pickup_a", "directional", "change"]].tolist() == [
        "feeder breaker", 600, "no", "settings",
    ]  # fmt: skip
    assert table.loc[1, ["kind", "rating_a", "element"]].tolist() == ["fuse", 65, ""]


def test_every_problem_at_once(tmp_path, ieee13):
    path = write(
        tmp_path,
        "device,kind,element,pickup_a,grond_pickup_a,directional\n"
        'a,relais,Line.650633,"1,5",1,maybe\n'
        "a,relay,Line.650632,-3,,\n"
        ",fuse,,inf,,\n"
        "b,fuse,,1,2,3,4\n",
    )
    with pytest.raises(InputError) as caught:
        read_devices(path, ieee13)
    found = [
        (problem.where.split("devices.csv: ")[1], problem.message, problem.hint)
        for problem in caught.value.problems
    ]
    assert [(where, hint) for where, _, hint in found] == [
        ("row 1", "did you mean 'ground_pickup_a'?"),
        ("row 5", "quote text with a comma"),
        ("row 2, kind", "did you mean 'relay'?"),
        ("row 2, directional", ""),
        ("row 2, pickup_a", "did you mean 1.5?"),
        ("row 2, element", "did you mean 'Line.650632'?"),
        ("row 3, pickup_a", ""),
        ("row 4, device", ""),
        ("row 4, pickup_a", ""),
        ("device", "give each its own name"),
    ]
    assert "'1,5' is not a number" in found[4][1]


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("", "d.csv", "is empty"),
        ("device,kind\n", "d.csv", "holds no device"),
        ("name,kind\na,fuse\n", "d.csv", "column 'device' is missing"),
        ("device,kind\nr1,rel\ray\n", "d.csv", "line 2: new-line character"),
        ("devices: 5\n", "d.yaml", "is not a list of devices"),
        ("devices: [5]\n", "d.yaml", "is not a mapping"),
        ("devices: [{name: a, kind: fuse, ratng_a: 5}]\n", "d.yaml", "did you mean 'rating_a'"),
    ],
)
def test_files_that_are_no_inventory(tmp_path, text, name, words):
    with pytest.raises(InputError, match=words):
        read_devices(write(tmp_path, text, name))


OWN = """
New TCC_Curve.mine npts=3 C_array=[1.1 2 10] T_array=[100 10 0.1]
New Relay.head MonitoredObj=Line.650632 MonitoredTerm=1 type=current
~ PhaseCurve=mine PhaseTrip=600 GroundTrip=200
New Relay.volts MonitoredObj=Line.650632 type=voltage kvbase=2.4
New Recloser.r1 MonitoredObj=Line.671692 PhaseTrip=280
New Fuse.f1 MonitoredObj=Line.684652 RatedCurrent=65
New Fuse.f2 MonitoredObj=Line.684611 RatedCurrent=40 enabled=no
New Fuse.f3 MonitoredObj=Line.684611
"""


@pytest.fixture
def with_devices(tmp_path):
    master = shipped("feeders") / "ieee13" / "master.dss"
    engine = shared_engine()
    engine.load(write(tmp_path, f"Redirect {master.as_posix()}\n{OWN}", "master.dss"))
    return devices_of_model(engine)


def test_devices_of_a_model(with_devices):
    table = with_devices.set_index("device")
    assert list(table.index) == [
        "relay.head", "relay.volts", "recloser.r1", "fuse.f1", "fuse.f3",
    ]  # fmt: skip
    assert table["pickup_a"].tolist() == pytest.approx([660, np.nan, 280, 130, np.nan], nan_ok=True)
    assert table.loc["relay.head", "ground_pickup_a"] == 200
    assert np.isnan(table.loc["recloser.r1", "ground_pickup_a"])
    assert table.loc["fuse.f1", ["rating_a", "curve", "element"]].tolist() == [
        65, "tlink", "Line.684652",
    ]  # fmt: skip
    assert set(table["source"]) == {"model"}


def test_an_inventory_completes_the_model(tmp_path, with_devices):
    text = "device,kind,element,pickup_a\nhead,relay,,500\nlateral,fuse,Line.684652,\n"
    both = combine_devices(read_devices(write(tmp_path, text)), with_devices).set_index("device")
    assert list(both.index) == ["head", "lateral", "relay.volts", "recloser.r1", "fuse.f3"]
    assert both.loc["head", ["pickup_a", "ground_pickup_a", "element"]].tolist() == [
        500, 200, "Line.650632",
    ]  # fmt: skip
    assert both.loc["lateral", "pickup_a"] == 130


# -- zones ------------------------------------------------------------------------------------


def test_zones_end_at_the_next_device(tmp_path, ieee13):
    text = CSV.replace("Line.671692", "Line.670671")
    zones = device_zones(ieee13, read_devices(write(tmp_path, text), ieee13))
    breaker, mid, fuse = (zones[name] for name in ("feeder breaker", "mid", "lateral"))
    assert (breaker.near, breaker.far) == ("rg60", "632")
    assert breaker.own == {"632", "670", "633", "645", "646"}, (
        "634 is behind a transformer to 480 V"
    )
    assert "634" in breaker.behind
    assert mid.own == {"671", "680", "692", "675", "684", "611"}
    assert fuse.own == {"652"}
    assert mid.behind == {*mid.own, "652"}


def test_a_switch_ends_no_zone(tmp_path, ieee13):
    text = CSV.replace("mid,recloser", "mid,switch")
    zones = device_zones(ieee13, read_devices(write(tmp_path, text), ieee13))
    assert {"675", "692"} <= zones["feeder breaker"].own


def test_fault_path(tmp_path, ieee13):
    devices = read_devices(write(tmp_path, CSV.replace("Line.671692", "Line.670671")), ieee13)
    assert fault_path(ieee13, devices, "652") == ["lateral", "mid", "feeder breaker"]
    assert fault_path(ieee13, devices, "646") == ["feeder breaker"]
    assert fault_path(ieee13, devices, "650") == []


def test_devices_on_elements_that_are_not_there(tmp_path, ieee13):
    devices = read_devices(write(tmp_path, CSV.replace("line.650632", "line.650633")))
    with pytest.raises(InputError, match=r"feeder breaker\.element.*did you mean 'Line\.650632'"):
        device_zones(ieee13, devices)
