"""Study files that do not say what their author thinks they say."""

from __future__ import annotations

import itertools

import yaml

from .cases import HOMES, STUDY, Case

GOOD = yaml.safe_dump(STUDY, sort_keys=False)
BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}]\n" for a, b in itertools.pairwise("abcdefgh")
)


def fleet(**changes: object) -> dict[str, object]:
    """Return the sections of a study with a changed fleet."""
    return {"fleets": [HOMES | changes]}


def line(text: str) -> str:
    """Return a study file with one line more."""
    return GOOD + text + "\n"


CASES = {
    "duplicate key": Case((":19: the key 'draws' stands twice",), line("draws: 2")),
    "duplicate key deep inside": Case(
        ("the key 'kind' stands twice",), line("base_load: {kind: scada, kind: ami}")
    ),
    "18:30 unquoted": Case(
        ("dispatch.export: ", "'18:30' does not read as \"17:00-21:00\""),
        GOOD.replace("17:00-19:00", "18:30"),
    ),
    "1110 for 18:30": Case(
        ("dispatch.export.window: 1110", 'write "1110", in quotes'),
        GOOD.replace("17:00-19:00", "1110"),
    ),
    "no for a name": Case(
        ("base_load.hour_ending: 'no': input should be a valid boolean", "write false"),
        line("base_load: {hour_ending: no}"),
    ),
    "octal": Case(("draws: '0777'",), GOOD.replace("draws: 1", "draws: 0777")),
    "octal for kW": Case(
        ("fleets[0].charger_kw: '011'",),
        GOOD.replace("vehicles: 4", "vehicles: 4\n  charger_kw: 011"),
    ),
    "decimal comma": Case(
        ("fleets[0].charger_kw: '11,5'", "write 11.5"),
        GOOD.replace("vehicles: 4", "vehicles: 4\n  charger_kw: 11,5"),
    ),
    "nan": Case(("fleets[0].export_capable: nan",), fleet(export_capable=float("nan"))),
    "inf": Case(("fleets[0].charger_kw: inf",), fleet(charger_kw=float("inf"))),
    "text for a number": Case(("seed: 'seven'",), {"seed": "seven"}),
    "a true number": Case(("draws: True",), {"draws": True}),
    "unknown key": Case(("drawz: unknown key 'drawz'", "did you mean 'draws'?"), {"drawz": 3}),
    "unknown nested key": Case(
        ("fleets[0].reserve_sok", "did you mean 'reserve_soc'?"), fleet(reserve_sok=0.3)
    ),
    "a required key missing": Case(
        ("fleets[0].export_capable: is required and missing",),
        {"fleets": [{"name": "homes", "vehicles": 4}]},
    ),
    "unknown choice": Case(
        ("base_load.source: 'standart' is not one of native, standard, csv", "'standard'?"),
        {"base_load": {"source": "standart"}},
    ),
    "unknown archetype": Case(
        ("'residental'", "did you mean 'residential'?"), fleet(archetype="residental")
    ),
    "unknown season": Case(
        ("dispatch.export.seasons: unknown season 'wintr'", "did you mean 'winter'?"),
        {"dispatch": {"export": {"request_kw": 20.0, "seasons": ["wintr"]}}},
    ),
    "unknown case": Case(
        ("participation: unknown case 'hihg'", "'high'"), {"participation": ["hihg"]}
    ),
    "unknown preset": Case(
        ("'ansi_c84_a'", "did you mean 'ansi_c84_1_a'?"), {"screening": {"limits": "ansi_c84_a"}}
    ),
    "a month twice": Case(
        ("month 2 is already in 'a'",), {"calendar": {"seasons": {"a": [1, 2], "b": [2]}}}
    ),
    "a key of the limits that is no name": Case(
        ("limits.yaml:2: a key is a name",),
        {"screening": {"limits": "limits.yaml"}},
        {"limits.yaml": "preset: ica\nvoltage: [{kv_max: 0.6}: {pct: 90}]\n"},
    ),
    "python object": Case(
        (":1: could not determine a constructor",), "name: !!python/object:os.system x\n"
    ),
    "python call": Case(
        (":1: could not determine a constructor",),
        "name: !!python/object/apply:os.system [touch owned]\n",
    ),
    "alias bomb": Case((":2: aliases (*name) are not used",), BOMB),
    "merge of itself": Case((":1: ",), "a: &a {<<: *a}\n"),
    "3,000 levels deep": Case(("nested too deeply",), "a: " + "[" * 3000 + "]" * 3000),
    "3,000 levels of blocks": Case(
        ("nested too deeply",), "\n".join(" " * level + "a:" for level in range(900))
    ),
    "5 MB": Case(("bytes; a study file is one page",), "# " + "x" * 5_000_000),
    "UTF-16": Case(("is not UTF-8 text", "save it as UTF-8"), GOOD.encode("utf-16")),
    "Latin-1": Case(("is not UTF-8 text",), "name: caf\xe9\n".encode("latin-1")),
    "control characters": Case(("study.yaml",), b"name: a\x00b\n"),
    "empty": Case(("a mapping of keys is expected",), ""),
    "a list": Case(("a mapping of keys is expected",), "- a\n- b\n"),
    "cut in the middle": Case(("study.yaml:",), "name: tiny\nfleets: [{name: x,"),
    "tab for blanks": Case((":2: ",), "feeder:\n\tmodel: ieee13\n"),
    "a name that leads away": Case(("name: '../../x'",), {"name": "../../x"}),
    "a name that is a folder": Case(("name: '..'",), {"name": ".."}),
    "a model outside the folder": Case(
        ("feeder.model", "outside the study's folder", "--allow-path"),
        {"feeder": {"model": "../elsewhere/master.dss"}},
    ),
    "a table outside the folder": Case(
        ("base_load.file", "outside the study's folder", "--allow-path"),
        {"base_load": {"source": "csv", "file": "/etc/hostname"}},
    ),
    "limits outside the folder": Case(
        ("screening.limits", "outside the study's folder", "--allow-path"),
        {"screening": {"limits": "../limits.yaml"}},
    ),
    "an archetype outside the folder": Case(
        ("fleets[0].archetype", "outside the study's folder", "--allow-path"),
        fleet(archetype="../mine.yaml"),
    ),
    "devices outside the folder": Case(
        ("protection.devices", "outside the study's folder", "--allow-path"),
        {"protection": {"devices": "../devices.yaml"}},
    ),
    "all at once": Case(
        ("3 problems:", "drawz", "sead", "base_load.source"),
        {"drawz": 3, "sead": 1, "base_load": {"source": "standrd"}},
    ),
    "names in Cyrillic": Case(("unknown key 'имя'",), {"имя": 3}),
}
