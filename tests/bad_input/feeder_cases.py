"""Feeder models that are incomplete, contradict themselves, or want to be more than a model."""

from __future__ import annotations

from typing import Any

from .cases import BASES, HOMES, MODEL, Case

OWN: dict[str, Any] = {"feeder": {"model": "m.dss"}}


def model(text: str = "", **others: str | bytes) -> dict[str, str | bytes]:
    """Return the good model with more lines, and other files by name without ``.dss``."""
    return {"m.dss": MODEL + text + "\n" + BASES} | {f"{k}.dss": v for k, v in others.items()}


def at(**place: object) -> dict[str, Any]:
    """Return a study whose vehicles stand at named buses of the good model."""
    return OWN | {"fleets": [HOMES | {"place": {"by": "buses", **place}}]}


def refused(line: str, *says: str, place: str = "m.dss:6") -> Case:
    """Return a case of one line more."""
    return Case((place, *says), OWN, model(line))


CASES = {
    "no such model": Case(
        ("feeder.model: 'iee13' is neither", "did you mean 'ieee13'?"),
        {"feeder": {"model": "iee13"}},
    ),
    "unknown bus": Case(
        ("fleets[0].place", "unknown bus 'Tial'", "did you mean 'tail'?"),
        at(buses=["Tial"]),
        model(),
    ),
    "a phase that is not there": Case(
        ("bus 'Side' has no phase A (it has B)",),
        at(buses=["Side"], phases="A"),
        model("New Line.b bus1=Tail.2 bus2=Side.2 phases=1 r1=0.1 length=1"),
    ),
    "a charger of another voltage": Case(
        ("a charger of 0.24 kV does not fit bus 'Tail', 7.2 kV",),
        at(buses=["Tail"], phases="A", kv=0.24),
        model(),
    ),
    "vehicles on an island": Case(
        ("fleets[0].place.buses[0]: bus 'Far' is not connected to the source",),
        at(buses=["Far"]),
        model("New Line.i bus1=near bus2=far r1=0.1 length=1\nNew Load.i bus1=far kv=12.47 kw=5"),
    ),
    "a base case that does not converge": Case(
        ("m.dss: no step of the base case is a solution", "lowest voltage", "is at Tail"),
        OWN,
        {"m.dss": MODEL.replace("kw=100", "kw=900000") + BASES},
        exit_code=4,
    ),
    "a peak out of reach": Case(
        ("base_load.head_peak_kw: 9e+06 kW cannot be reached",),
        OWN | {"base_load": {"head_peak_kw": 9e6}},
        model(),
    ),
    "no load": Case(
        ("4 vehicles, but only 0 customers",),
        OWN,
        {"m.dss": "\n".join(MODEL.splitlines()[:3]) + "\n" + BASES},
    ),
    "two circuits": refused("New Circuit.two", "a second circuit: 'two' after 'c'"),
    "no circuit": Case(("m.dss: no circuit is made",), OWN, {"m.dss": "Clear\n"}),
    "leads to itself": refused("Redirect m.dss", "m.dss -> m.dss"),
    "leads to itself by another": Case(
        ("b.dss:1", "a.dss -> b.dss -> a.dss"),
        OWN,
        model("Redirect a.dss", a="Redirect b.dss\n", b="Redirect a.dss\n"),
    ),
    "a missing part": refused("Redirect none.dss", "none.dss does not exist"),
    "an empty part": Case(("m.dss:6", "is empty"), OWN, model("Redirect a.dss", a="")),
    "a binary part": Case(
        ("m.dss:6", "not a text file"), OWN, model("Redirect a.dss", a=b"\0\1\2" * 9)
    ),
    "an empty master": Case(("m.dss", "is empty"), OWN, {"m.dss": ""}),
    "a binary master": Case(("m.dss", "not a text file"), OWN, {"m.dss": b"\0\1\2" * 9}),
    "a master cut in the middle": Case(
        ("m.dss", "no closing"), OWN, {"m.dss": MODEL + "New Line.x bus1=a rmatrix=[0.1 | 0.2"}
    ),
    "a folder": Case(
        ("feeder.model: 'sub' is a folder",), {"feeder": {"model": "sub"}}, {"sub/a.dss": "x"}
    ),
    "an unknown class": refused("New Lode.x bus1=Tail", "no element class 'lode'", "'load'"),
    "an unknown property": refused("New Load.x bus1=Tail kww=3", "kww", "'kW'"),
    "an unknown line code": Case(
        ("OpenDSS refuses it", "nocode"),
        OWN,
        model("New Line.x bus1=Tail bus2=b linecode=nocode length=1"),
    ),
    "a line without impedance": Case(
        ("m.dss", 'Matrix Inversion Error for Line "x"'),
        OWN,
        model("New Line.x bus1=Tail bus2=b r1=0 x1=0 r0=0 x0=0 c1=0 c0=0 length=1"),
    ),
    "points without end": refused("New LoadShape.s npts=2000000000", "npts"),
    "phases without end": refused("New Line.x phases=9999999", "phases"),
    **{
        f"command: {line}": refused(
            line,
            "is not allowed"
            if line[:3] in ("set", "cd ")
            else " loads "
            if "usermodel" in line
            else "starts something",
        )
        for line in (
            "plot circuit",
            "show voltages",
            "export voltages",
            "save circuit",
            "DOScmd touch owned",
            "set editor=/bin/sh",
            "fileedit m.dss",
            "set datapath=/tmp",
            "exp v",
            "New Generator.g bus1=Tail usermodel=x.so",
            "cd /tmp",
        )
    },
}
