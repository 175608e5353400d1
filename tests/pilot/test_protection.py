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
    read_devices,
    read_findings,
)

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
        ({"findings": None}, Answer.UNKNOWN, "protection screen was not run"),
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


def test_csv_inventory_and_findings(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("device,kind,change,pickup_a,curve,directional\nCB,Relay,settings,600,VI,no\n")
    (device,) = read_devices(path)
    assert (device.kind, device.unknown) == ("relay", ())
    path.write_text("device,kind,change\nCB,relais,settings\nX,fuse,parts\n")
    with pytest.raises(InputError) as caught:
        read_devices(path)
    assert "line 2, column 'kind': 'relais' is not known (did you mean 'relay'?)" in str(
        caught.value
    )
    assert "line 3, column 'change': 'parts'" in str(caught.value)
    path.write_text("device,kind\nCB,relay\ncb,fuse\n")
    with pytest.raises(InputError, match="'cb' stands 2 times"):
        read_devices(path)
    path.write_text("check,device,outcome\nreach,CB,passed\n")
    with pytest.raises(InputError, match="line 2, column 'outcome': 'passed'"):
        read_findings(path)


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
