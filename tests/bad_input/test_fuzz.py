"""Random damage to every kind of file that is read: an answer or an input error, nothing else.

The normal run takes the same examples every time; ``-m long`` takes many more.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from v2g_feeder.calendar import season_calendar
from v2g_feeder.errors import InputError
from v2g_feeder.feeder.base_load_csv import from_csv
from v2g_feeder.feeder.library import shipped
from v2g_feeder.fleet.archetypes import load_archetype
from v2g_feeder.fleet.fit import fit_archetype
from v2g_feeder.fleet.records import read_records
from v2g_feeder.screening import load_limits, read_devices
from v2g_feeder.study.checklist import load_checklist
from v2g_feeder.study.config import load_study

from . import csv_cases
from .cases import STUDY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EXAMPLES = shipped("studies").parent / "examples"
RICH = STUDY | {
    "base_load": {"source": "standard", "head_peak_kw": 3000.0, "classes": {"671": "industrial"}},
    "cases": {"mine": {"like": "firm", "enrolled": 0.4}},
    "participation": ["expected", "mine", "coincident_split"],
    "screening": {"limits": "ica", "reverse_flow_kw": {"head": 0.0}},
    "power_flow": {"engine": "auto", "check_units": 2},
    "hosting": {"buses": ["671"]},
    "protection": {"head": {"three_phase_mva": 100.0}},
    "store": "all",
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1, 7, 10**9, 10**40, 1e-300, 1e300, 0.5, float("nan"), float("inf")]),
    st.sampled_from(["", " ", "no", "1e3", "11,5", "0777", "18:30", "../x", "\x00", "é", "=1+1"]),
    st.text(max_size=12),
    st.lists(st.integers(-3, 99), max_size=3),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)
DAMAGE = st.lists(
    st.tuples(
        st.sampled_from(["cut", "put", "swap", "twice"]), st.floats(0, 1), st.text(max_size=6)
    ),
    min_size=1,
    max_size=4,
)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value of a tree."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    found = []
    for key, value in items:
        found.append((*path, key))
        if isinstance(value, dict | list):
            found += places(value, (*path, key))
    return found


def altered(tree: dict[str, Any], changes: list[tuple[float, str, Any]]) -> dict[str, Any]:
    """Return a tree with some values replaced, keys renamed and entries left out."""
    tree = copy.deepcopy(tree)
    for where, kind, value in changes:
        paths = places(tree)
        if not paths:
            break
        *parents, last = paths[min(int(where * len(paths)), len(paths) - 1)]
        node: Any = tree
        for key in parents:
            node = node[key]
        if kind == "replace":
            node[last] = value
        elif isinstance(node, dict):
            kept = node.pop(last)
            if kind == "rename":
                node[str(value)] = kept
        else:
            del node[last]
    return tree


CHANGES = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["replace", "replace", "rename", "drop"]), ODD),
    min_size=1,
    max_size=3,
)


def damaged(content: bytes, damage: list[tuple[str, float, str]]) -> bytes:
    """Return bytes with parts cut out, put in, swapped and doubled."""
    for kind, where, text in damage:
        at = int(where * len(content))
        if kind == "cut":
            content = content[:at] + content[at + 1 + len(text) * 3 :]
        elif kind == "put":
            content = content[:at] + text.encode() + content[at:]
        elif kind == "swap":
            content = content[at : at + 40] + content[:at] + content[at + 40 :]
        else:
            content = content[:at] + content[at // 2 : at] + content[at:]
    return content


def read_study(path: Path) -> None:
    """Read a study and what its stages make of it."""
    study = load_study(path, allowed=())
    study.resolved()
    study.calendar.table()
    study.fleets_for(100)


LOADS = pd.DataFrame({"name": ["671", "634"], "kw": [60.0, 40.0], "kvar": [20.0, 5.0]})
CALENDAR = season_calendar({"winter": [1]})


def read_scada(path: Path) -> None:
    from_csv(path, LOADS, CALENDAR)


def read_ami(path: Path) -> None:
    from_csv(path, LOADS, CALENDAR, kind="ami")


def read_fit(path: Path) -> None:
    fit_archetype(read_records(path), like=None, name="x")


def example(name: str) -> bytes:
    return (EXAMPLES / name).read_bytes()


TABLE = "\n".join(["timestamp,kw", *csv_cases.rows(hours=72), ""]).encode()
FILES: dict[str, tuple[Callable[[Path], object], str, bytes, int]] = {
    "study": (read_study, "study.yaml", yaml.safe_dump(RICH).encode(), 250),
    "checklist": (load_checklist, "list.yaml", example("checklist/checklist.yaml"), 100),
    "limits": (
        lambda path: load_limits(str(path)),
        "limits.yaml",
        b"preset: ica\nthermal: {pct: 90}\nvoltage: [{kv_max: 0.6, low_pu: 0.95, high_pu: 1.05}]\n",
        100,
    ),
    "devices": (read_devices, "devices.yaml", example("checklist/devices.yaml"), 100),
    "devices in a table": (read_devices, "d.csv", example("checklist/devices_rebuild.csv"), 100),
    "archetype": (
        lambda path: load_archetype(str(path)),
        "mine.yaml",
        (shipped("studies").parent / "v2g_feeder/fleet/data/residential.yaml").read_bytes(),
        100,
    ),
    "head": (read_scada, "head.csv", TABLE, 150),
    "meters": (read_ami, "meters.csv", TABLE.replace(b",kw", b",671"), 100),
    "records": (read_records, "s.csv", example("records/home_sessions.csv")[:2000], 150),
    "duties": (read_records, "d.csv", example("records/van_duties.csv")[:1500], 100),
    "records in JSON": (read_records, "s.json", example("records/workplace_acn_style.json"), 100),
}


def answered(read: Callable[[Path], object], path: Path, content: bytes) -> None:
    """Read a file: any error but an input error of words and places fails the test."""
    path.write_bytes(content)
    try:
        read(path)
    except InputError as error:
        problems = error.problems
    else:
        return
    assert problems
    assert all(problem.where and problem.message for problem in problems)


def fuzz(what: st.SearchStrategy[bytes], read: Any, path: Path, *, examples: int, run: int) -> None:
    """Read so many examples, the same in each run of a number; a hang is a failure."""

    @seed(run)
    @settings(
        max_examples=examples,
        deadline=30_000,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(content=what)
    def check(content: bytes) -> None:
        answered(read, path, content)

    check()


def damage_to(content: bytes) -> st.SearchStrategy[bytes]:
    """Return the bytes of a file, damaged."""
    return DAMAGE.map(lambda damage: damaged(content, damage))


STUDIES = CHANGES.map(
    lambda changes: yaml.safe_dump(altered(RICH, changes), allow_unicode=True).encode(
        "utf-8", "surrogatepass"
    )
)


@pytest.mark.parametrize("name", FILES)
def test_any_damage_is_answered(name, tmp_path):
    read, file, content, examples = FILES[name]
    fuzz(damage_to(content), read, tmp_path / file, examples=examples, run=0)


def test_any_value_in_a_study_is_answered(tmp_path):
    fuzz(STUDIES, read_study, tmp_path / "study.yaml", examples=400, run=0)


@pytest.mark.long
@pytest.mark.parametrize("run", range(1, 4))
@pytest.mark.parametrize("name", FILES)
def test_much_damage_is_answered(name, run, tmp_path):
    read, file, content, examples = FILES[name]
    fuzz(damage_to(content), read, tmp_path / file, examples=20 * examples, run=run)


@pytest.mark.long
@pytest.mark.parametrize("run", range(1, 4))
def test_many_values_in_a_study_are_answered(run, tmp_path):
    fuzz(STUDIES, read_study, tmp_path / "study.yaml", examples=5000, run=run)
