import contextlib
import sys
import time
from pathlib import Path

import opendssdirect
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from v2g_feeder.errors import InputError
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.scan import ScannedModel, copy_model, scan
from v2g_feeder.feeder.scan_names import COMMANDS, OPTIONS, PROPERTIES, expand
from v2g_feeder.feeder.scan_rules import COMMANDS_ALLOWED, OPTIONS_ALLOWED
from v2g_feeder.feeder.scan_text import Refused, parameters

REPOSITORY = Path(__file__).parents[2]
SHARED = REPOSITORY.parent / "shared" / "feeders"
SHIPPED = sorted((REPOSITORY / "feeders").glob("*/master.dss"))
PUBLIC = [
    SHARED / "ckt5" / "Master_ckt5.dss",
    SHARED / "ieee8500" / "Master.dss",
    SHARED / "ieee8500" / "Master-unbal.dss",
    SHARED / "ieee_eu_lv" / "Master.dss",
]
GOOD = "Clear\nNew Circuit.c bus1=Head\nNew Line.Aa bus1=Head.1.2.3 bus2=Tail\n"


def present(master: Path) -> Path:
    if not master.exists():
        pytest.skip(f"{master} is not on this machine")
    return master


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".dss")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    return folder / "master.dss"


def refused(folder: Path, text: str, **files: str) -> InputError:
    with pytest.raises(InputError) as caught:
        scan(write(folder, master=text, **files))
    return caught.value


# -- what is accepted -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "master", SHIPPED + PUBLIC, ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_public_models_are_accepted_quickly_and_their_copies_give_the_same_nodes(master, tmp_path):
    start = time.perf_counter()
    scanned = scan(present(master))
    assert time.perf_counter() - start < 3  # a tenth of it in practice
    assert scanned.files[0] == scanned.master
    assert scanned.root == scanned.master.parent
    engine = shared_engine()
    engine.load(master)
    nodes = engine.node_names()
    copy = copy_model(scanned, tmp_path)
    engine.load(copy)
    assert engine.node_names() == nodes
    assert {path.relative_to(scanned.root) for path in scanned.files} == {
        path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()
    }
    buses = {node.partition(".")[0] for node in nodes} - {"sourcebus"}
    assert buses <= set(scanned.names)


def test_names_are_kept_as_first_written(tmp_path):
    names = scan(write(tmp_path, master=GOOD + "New Load.L bus1=tail\n")).names
    assert names["head"] == "Head"
    assert names["tail"] == "Tail"
    assert names["line.aa"] == "Line.Aa"


def test_a_second_circuit_is_fine_after_clear(tmp_path):
    assert "line.aa" in scan(write(tmp_path, master=GOOD + GOOD)).names


@pytest.mark.parametrize(
    "line",
    [
        "ne load.x bus1=Head",
        "~ length=3 ! comment",
        "m length=3 // comment",
        "var @b=Head @n=3\nNew Load.x bus1=@b.1 phases=1 kw=@n",
        "/* New nothing\nexport voltages */ export voltages\n",
        "Line.Aa.normamps=3 emergamps=4",
        "Line.Aa.bus=Tail",
        "set volt=[4.16, 0.48]\ncalcv",
        "set demandinterval=false showexport=no",
        "batchedit line..* normamps=3",
        "? Line.Aa.normamps",
        "// show voltages\n! plot circuit",
        "New Monitor.m Line.Aa 1 mode=0",
        "New 'Load.x y' bus1='Head.1'",
        "new 'load.x' kw=(3 4 +)",
        "solve mode=daily number=24",
        "New LoadShape.s npts=3 mult=[1 2 3] action=normalize",
        "Disable Line.Aa\nEnable Line.Aa\nOpen Line.Aa term=1\nClose Line.Aa 1",
    ],
)
def test_what_a_model_may_say(line, tmp_path):
    assert isinstance(scan(write(tmp_path, master=GOOD + line)), ScannedModel)


def test_solve_is_reported(tmp_path):
    assert scan(write(tmp_path, master=GOOD + "solve")).has_solve
    assert not scan(write(tmp_path, master=GOOD)).has_solve


# -- files ------------------------------------------------------------------------------------

FILES = {
    "sub__x": "New LoadShape.s npts=2 interval=1 mult=(file=v.dss)\nRedirect deep/y.dss\n",
    "sub__v": "1\n2\n",
    "sub__deep__y": "New Load.deep bus1=Head\n",
    "last": "New Load.last bus1=Head\n",
}


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("Redirect sub/x.dss\nRedirect last.dss", {"sub/x", "sub/v", "sub/deep/y", "last"}),
        ("redi sub\\deep\\y.dss\nRedirect last.dss", {"sub/deep/y", "last"}),
        ("Compile sub/deep/y.dss\nRedirect ../../last.dss", {"sub/deep/y", "last"}),
        ("New XYCurve.c npts=2 xarray=[file=sub/v.dss] yarray=[1 2]", {"sub/v"}),
        ("New LoadShape.c npts=2 csv=sub/v.dss", {"sub/v"}),
        ("New LoadShape.c npts=2 mult='FILE = \"sub/v.dss\", column=1'", {"sub/v"}),
        ("var @f=sub/v.dss\nNew LoadShape.c npts=2 mult=[file=@f.]", None),
        ("BusCoords sub/v.dss", {"sub/v"}),
    ],
)
def test_files_are_found_where_the_engine_finds_them(lines, found, tmp_path):
    master = write(tmp_path, master=GOOD + lines, **FILES)
    if found is None:  # '@f.' is the variable and a point more
        with pytest.raises(InputError, match="does not exist"):
            scan(master)
        return
    scanned = scan(master)
    expected = {tmp_path / f"{name}.dss" for name in found | {"master"}}
    assert set(scanned.files) == {path.resolve() for path in expected}
    shared_engine().load(master)
    copy = copy_model(scanned, tmp_path / "copy")
    shared_engine().load(copy)


def test_a_missing_file_is_named_with_the_line_that_mentions_it(tmp_path):
    error = refused(tmp_path, GOOD + "Redirect none.dss\n\nBusCoords gone.csv\n")
    assert [problem.where for problem in error.problems] == [
        f"{tmp_path / 'master.dss'}:4",
        f"{tmp_path / 'master.dss'}:6",
    ]
    assert "none.dss does not exist" in error.problems[0].message


@pytest.mark.skipif(sys.platform != "linux", reason="needs names that differ in case")
def test_a_name_that_differs_in_case_is_shown(tmp_path):
    error = refused(tmp_path, GOOD + "Redirect sub/lines.dss", SUB__Lines="New Line.x bus1=a")
    assert str(tmp_path / "SUB" / "Lines.dss") in error.problems[0].hint


@pytest.mark.parametrize(
    "content", [b"", b" \r\n", b"\x00\x01\x02" * 9, "New Load.x".encode("utf-16")]
)
@pytest.mark.parametrize("line", ["Redirect x.dat", "BusCoords x.dat", None])
def test_empty_and_binary_files_are_refused(content, line, tmp_path):
    (tmp_path / ("x.dat" if line else "master.dss")).write_bytes(content)
    if line:
        write(tmp_path, master=GOOD + line)
    with pytest.raises(InputError, match=r"is empty|not a text file"):
        scan(tmp_path / "master.dss")


def test_folders_big_files_and_missing_masters_are_refused(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="not a regular file"):
        scan(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        scan(tmp_path / "none.dss")
    monkeypatch.setattr("v2g_feeder.feeder.scan_text.MAX_BYTES", 10)
    with pytest.raises(InputError, match="larger than"):
        scan(write(tmp_path, master=GOOD))


def test_cycles_name_the_chain(tmp_path):
    assert "master.dss -> master.dss" in str(refused(tmp_path, GOOD + "Redirect master.dss"))
    text = GOOD + "Redirect a.dss"
    error = refused(tmp_path, text, a="Redirect ./b.dss", b="Compile a.dss")
    assert "a.dss -> b.dss -> a.dss" in str(error)


def test_depth_and_fan_out_are_limited(tmp_path):
    deep = {f"f{k}": f"Redirect f{k + 1}.dss" for k in range(50)}
    assert "too many redirects" in str(refused(tmp_path, GOOD + "Redirect f0.dss", **deep))
    wide = {f"f{k}": f"Redirect f{k + 1}.dss\n" * 20 for k in range(8)} | {"f8": "! nothing"}
    assert "too many redirects" in str(refused(tmp_path, GOOD + "Redirect f0.dss", **wide))


def test_a_model_with_an_absolute_path_is_read_but_not_copied(tmp_path):
    other = write(tmp_path / "other", master="New Load.x bus1=Head\n")
    scanned = scan(write(tmp_path, master=GOOD + f'Redirect "{other.as_posix()}"'))
    assert len(scanned.files) == 2
    with pytest.raises(InputError, match="absolute path"):
        copy_model(scanned, tmp_path / "copy")


# -- what is refused --------------------------------------------------------------------------

# One case a line, with \\n for a new line and the like.
DANGEROUS = [
    line.encode().decode("unicode_escape")
    for line in (Path(__file__).parent / "cases" / "dangerous_lines.txt").read_text().splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize("line", DANGEROUS)
def test_dangerous_and_unknown_lines_are_refused(line, tmp_path):
    error = refused(tmp_path, GOOD + line, a="! nothing but a comment\n")
    assert all(problem.where.rpartition(":")[2].isdigit() for problem in error.problems)


def test_all_problems_come_at_once_with_the_full_command(tmp_path):
    text = GOOD + "exp v\nRedirect a.dss\nset edit=x"
    error = refused(tmp_path, text, a="New Lode.x\n~ kw=3\nNew Load.x kv=1 kwatt=3\n")
    assert [problem.where.rpartition("/")[2] for problem in error.problems] == [
        "master.dss:4", "a.dss:1", "a.dss:3", "master.dss:6",
    ]  # fmt: skip
    assert "Export (written 'exp')" in error.problems[0].message
    assert "remove this line" in error.problems[0].hint
    assert "'load'" in error.problems[1].hint


def test_two_circuits_are_named(tmp_path):
    assert "'two' after 'c'" in str(refused(tmp_path, GOOD + "New Circuit.two"))


def test_no_circuit_is_an_error(tmp_path):
    assert "no circuit" in str(refused(tmp_path, "Clear\n"))


def test_a_flood_of_problems_is_cut(tmp_path):
    error = refused(tmp_path, GOOD + "bogus\n" * 1000)
    assert len(error.problems) == 101
    assert "900 further" in str(error)


# -- the parser against the engine --------------------------------------------------------------


def test_the_tables_are_the_engine_s():
    dss = opendssdirect.dss.NewContext()
    executive = dss.Executive
    assert tuple(executive.Command(k + 1) for k in range(executive.NumCommands())) == COMMANDS
    assert tuple(executive.Option(k + 1) for k in range(executive.NumOptions())) == OPTIONS
    dss.Text.Command("New Circuit.c")
    assert {name.lower() for name in dss.Basic.Classes()} == set(PROPERTIES)
    for kind in ("Line", "Load", "Generator", "LoadShape", "Transformer", "PVSystem", "Storage"):
        dss.Text.Command(f"New {kind}.x")
        assert tuple(dss.Element.AllPropertyNames()) == PROPERTIES[kind.lower()], kind


def test_the_allowed_names_exist():
    assert {name.lower() for name in COMMANDS} >= COMMANDS_ALLOWED
    assert {name.lower() for name in OPTIONS} >= OPTIONS_ALLOWED


@pytest.mark.parametrize(
    ("word", "name"), [("c", "compile"), ("n", "new"), ("exp", "export"), ("m", "m")]
)
def test_an_abbreviation_is_the_first_name_that_begins_so(word, name):
    assert expand(word, COMMANDS) == name


@pytest.mark.parametrize(
    ("line", "cut"),
    [
        ("a=1 b = 2,c", [("a", "1"), ("b", "2"), ("", "c")]),
        ("a=[1 2]b=(3)", [("a", "1 2"), ("b", "3")]),
        ("sub= bus1=a", [("sub", "bus1"), ("", "a")]),
        ("a=x//y", [("a", "x")]),
        ('a="x!y" ! z', [("a", "x!y")]),
        ("a=1/2", [("a", "1/2")]),
        ("! all", []),
        ("", []),
    ],
)
def test_lines_are_cut_as_the_engine_cuts_them(line, cut):
    assert [tuple(item) for item in parameters(line, {})] == cut


FRAGMENTS = st.sampled_from(
    [
        "\n",
        "\r",
        "\t",
        " ",
        "New",
        "Edit",
        "~",
        "Line.a",
        "Load.b",
        "Circuit.z",
        "bus1=",
        "=",
        ",",
        "(",
        ")",
        "[",
        "]",
        '"',
        "'",
        "{",
        "}",
        "@a",
        "var",
        "file=",
        "mult=",
        "npts=",
        "9",
        ".",
        "!",
        "//",
        "/*",
        "*/",
        "set",
        "mode=",
        "Redirect",
        "master.dss",
        "a.dss",
        "solve",
        "exp",
        "kw",
        "^",
        "%result%",
        "\\",
        "..",
        "usermodel",
    ]
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.one_of(st.text(), st.lists(FRAGMENTS, max_size=40).map("".join)), binary=st.binary())
def test_any_text_is_a_model_or_an_input_error(text, binary, tmp_path):
    master = tmp_path / "master.dss"
    for content in (
        text.encode("utf-8", "replace"),
        (GOOD + text).encode("utf-8", "replace"),
        binary,
    ):
        master.write_bytes(content)
        try:
            scanned = scan(master)
        except InputError:
            continue
        assert isinstance(scanned, ScannedModel)


@given(line=st.text())
def test_cutting_ends(line):
    with contextlib.suppress(Refused):
        assert len(parameters(line, {})) <= len(line) + 1
