"""The fourth and the fifth item: inventories, findings, the model's fault path, and registers."""

import pytest

from v2g_feeder.errors import InputError
from v2g_feeder.feeder.library import shipped
from v2g_feeder.pilot import Agreement, Answer, agreement_terms, default_thresholds
from v2g_feeder.pilot.agreement import agreement_item
from v2g_feeder.pilot.fault_path import ModelDevice, model_fault_path
from v2g_feeder.pilot.protection import (
    Device,
    Finding,
    protection_item,
    read_findings,
    read_inventory,
)
from v2g_feeder.screening import PROTECTION_COLUMNS

THRESHOLDS = default_thresholds()
RELAY = {"pickup_a": "600", "curve": "VI", "directional": "no"}
BREAKER = Device("cb", "breaker", RELAY, "settings", "line.l1")
FUSE = Device("f1", "fuse", {"rating_a": "65", "curve": "T"}, "part")
BARE = Device("cb", "breaker", {"curve": "VI"})
NOT_TOLD = Finding("reach", "", Answer.UNKNOWN, "no impedance")
REVERSE = Finding("reverse power", "cb", Answer.FAIL, "80 kW")


def item(devices=(BREAKER, FUSE), findings=(), path=None):
    return protection_item(
        devices, THRESHOLDS, evidence=["d.csv"], findings=findings, path=path
    )  # fmt: skip


def test_settings_known_and_a_clean_screen_pass():
    assert item().answer == Answer.PASS


@pytest.mark.parametrize(
    ("changes", "answer", "said"),
    [
        ({"devices": None}, Answer.UNKNOWN, "inventory"),
        ({"findings": None}, Answer.UNKNOWN, "protection screen not run"),
        ({"devices": [BARE]}, Answer.UNKNOWN, "cb: pickup_a, directional, change"),
        ({"devices": [Device("cb", "breaker", RELAY, "rebuild")]}, Answer.FAIL, ""),
        ({"findings": [REVERSE]}, Answer.PASS, ""),
        ({"findings": [Finding("reach", "r9", Answer.FAIL)]}, Answer.UNKNOWN, "reach fails at r9"),
        ({"findings": [NOT_TOLD]}, Answer.UNKNOWN, "no impedance"),
        ({"path": [ModelDevice("recloser.r1", "recloser", "l9")]}, Answer.UNKNOWN, "recloser.r1"),
        ({"path": [ModelDevice("relay.x", "relay", "line.l1")]}, Answer.PASS, ""),
        ({"path": [ModelDevice("fuse.f1", "fuse", "line.l2")]}, Answer.PASS, ""),
    ],
)  # fmt: skip
def test_answers(changes, answer, said):
    found = item(**changes)
    assert found.answer == answer
    assert said in "; ".join(found.missing)


def test_findings_to_review_are_named():
    shown = [m.note for m in item(findings=[REVERSE]).measures]
    assert "reverse power at cb (80 kW)" in shown


def test_inventory(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("device,kind,change,pickup_a,curve,directional\nCB,Relay,Settings,600,VI,no\n")
    (device,) = read_inventory(path)
    assert (device.kind, device.change, device.unknown) == ("relay", "settings", ())
    path.write_text("device,kind,change\nCB,relay,setting\nX,fuse,parts\n")
    with pytest.raises(InputError) as caught:
        read_inventory(path)
    text = str(caught.value)
    assert "d.csv: CB, change: 'setting' is not known (did you mean 'settings'?)" in text
    assert "d.csv: X, change: 'parts'" in str(caught.value)
    path.write_text("device,kind,pickup_a\nCB,relais,6oo\n")
    with pytest.raises(InputError) as caught:
        read_inventory(path)
    assert "row 2, kind: 'relais'" in str(caught.value)
    assert "row 2, pickup_a: '6oo'" in str(caught.value)
    yaml = tmp_path / "d.yaml"
    yaml.write_text(
        "devices:\n  - {name: F, kind: fuse, change: part, settings: {rating_a: 65, curve: T}}\n"
    )
    assert [device.unknown for device in read_inventory(yaml)] == [()]


def test_findings_of_ones_own_and_of_a_screen(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("check,device,outcome\nreach,CB,passed\n")
    with pytest.raises(InputError, match="line 2, column 'outcome': 'passed'"):
        read_findings(path)
    path.write_text("check,device,outcome,note\nreach,CB,fail,2.1 of 2.3\n")
    assert read_findings(path) == (Finding("reach", "CB", Answer.FAIL, "2.1 of 2.3"),)
    head = ",".join(PROTECTION_COLUMNS)
    path.write_text(
        f"{head}\nCB,b1,phase_reach,LL,2.1,2.3,-,2.4,new,violation,,\n"
        ",,r0_x1,,,,,,none,unknown,fault level at the head,\n"
    )
    assert read_findings(path) == (
        Finding("phase_reach", "CB", Answer.FAIL),
        Finding("r0_x1", "", Answer.UNKNOWN, "fault level at the head"),
    )


def test_devices_of_the_model_between_site_and_source(tmp_path):
    source = shipped("feeders") / "ieee13"
    for file in source.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    master = tmp_path / "master.dss"
    text = master.read_text()
    added = (
        "New Recloser.R1 MonitoredObj=Line.670671 MonitoredTerm=1\n"
        "New Fuse.Side MonitoredObj=Line.632645 MonitoredTerm=1\n"
    )
    lines = text.splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if line.lower().startswith("set voltagebases"))
    master.write_text("".join([*lines[:at], added, *lines[at:]]))
    found = model_fault_path(master, ["680"])
    assert found[0].name == "recloser.r1"
    assert {device.kind for device in found} == {"recloser", "regulator"}
    assert [d.name for d in found if d.kind == "regulator"] == [
        f"regcontrol.reg{n}" for n in (1, 2, 3)
    ]
    assert "fuse.side" in [device.name for device in model_fault_path(master, ["646"])]
    with pytest.raises(InputError, match="did you mean '680'"):
        model_fault_path(master, ["6800"])


WHOLE = {term.name: "yes" for term in agreement_terms()} | {
    "vehicle_standard": "iso15118-20",
    "backend_standard": ("OCPP 2.0.1", "OpenADR"),
}


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({}, Answer.PASS),
        ({"notice_minutes": None}, Answer.UNKNOWN),
        ({"may_call": "none"}, Answer.FAIL),
        ({"backend_standard": "OCPP 1.6"}, Answer.FAIL),
        ({"reserve_soc": 0.0}, Answer.PASS),
    ],
)
def test_register(changes, answer):
    terms = {name: value for name, value in (WHOLE | changes).items() if value is not None}
    found = agreement_item(Agreement("a.yaml", terms))
    assert found.answer == answer
    assert all(
        name in "; ".join([*found.missing, *found.failed]) for name in changes if answer != "pass"
    )


@pytest.mark.parametrize("term", [term.name for term in agreement_terms()])
def test_each_missing_term_is_unknown_and_named(term):
    found = agreement_item(Agreement("a.yaml", {k: v for k, v in WHOLE.items() if k != term}))
    assert found.answer == Answer.UNKNOWN
    assert [line.split(":")[0] for line in found.missing] == [term]


def test_other_standards_will_do_where_the_user_says_so():
    register = Agreement("a.yaml", WHOLE | {"vehicle_standard": "CHAdeMO 2.0"})
    assert agreement_item(register).answer == Answer.FAIL
    allowed = {"vehicle_standard": ["CHAdeMO 2.0"]}
    assert agreement_item(register, allowed).answer == Answer.PASS
    assert agreement_item(None).answer == Answer.UNKNOWN
