"""Which stage may import which, and what library code leaves to the command line."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "v2g_feeder"
FILES = sorted(PACKAGE.rglob("*.py"))
GROUND = {"compiled", "errors", "conventions", "calendar", "resume", "store", "workers"}
BELOW = {  # each stage with what it may read beside the ground floor and itself
    "feeder": set(),
    "powerflow": {"feeder"},
    "screening": {"feeder", "powerflow"},
    "fleet": set(),
    "dispatch": {"fleet"},
    "loadshape": {"feeder", "fleet", "dispatch"},
}
BELOW["hosting"] = {*BELOW}
BELOW["pilot"] = {*BELOW}
BELOW["report"] = {"screening"}
BELOW["study"] = {*BELOW}
BELOW["cli"] = {*BELOW}
BELOW["__main__"] = {*BELOW}  # ``python -m v2g_feeder`` is the command line
ENGINES = {"opendssdirect", "dss", "dss_python", "dss_python_backend", "py_dss_interface"}
ENGINE = PACKAGE / "feeder" / "engine.py"


def imports(tree: ast.AST, package: str) -> list[str]:
    """Dotted names imported anywhere in a module: at its top, in functions, for type checking."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                above = parts[: len(parts) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            found += [f"{base}.{alias.name}" for alias in node.names]
    return found


def wrong_imports(text: str, module: str) -> list[str]:
    """Return the stages that a module (dotted, below the package) reads and may not."""
    own = module.split(".", maxsplit=1)[0]
    package = ".".join(["v2g_feeder", *module.split(".")[:-1]])
    allowed = GROUND | ({own} | BELOW[own] if own in BELOW else set())
    names = [name.split(".") for name in imports(ast.parse(text), package)]
    read = {name[1] for name in names if name[0] == "v2g_feeder" and len(name) > 1}
    return sorted(read & ({*BELOW} | GROUND) - allowed)


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def test_the_table_has_every_stage_and_no_cycle():
    stages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert stages <= {*BELOW}, "a new stage needs its line in the table"
    assert {path.stem for path in PACKAGE.glob("*.py")} == GROUND | {"__init__", "__main__"}
    done: set[str] = set()
    while rest := {*BELOW} - done:
        ready = {stage for stage in rest if BELOW[stage] <= done}
        assert ready, f"a cycle among {sorted(rest)}"
        done |= ready


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_no_stage_imports_upwards(path):
    assert not wrong_imports(path.read_text(encoding="utf-8"), module_of(path))


@pytest.mark.parametrize(
    ("module", "text", "wrong"),
    [
        ("feeder.model", "from v2g_feeder.powerflow.probe import Probe", ["powerflow"]),
        ("feeder.model", "if TYPE_CHECKING:\n    import v2g_feeder.study.run", ["study"]),
        ("feeder.model", "def f():\n    from v2g_feeder import screening", ["screening"]),
        ("feeder.model", "from ..hosting import nodal", ["hosting"]),
        ("feeder.model", "from . import engine\nfrom ..errors import InputError", []),
        ("powerflow.opendss", "from v2g_feeder.feeder.model import Feeder", []),
        ("dispatch.run", "from v2g_feeder.feeder.model import Feeder", ["feeder"]),
        ("report.html", "from v2g_feeder.study.run import Outcome", ["study"]),
        ("store", "from v2g_feeder.feeder.model import Feeder", ["feeder"]),
        ("__init__", "from v2g_feeder.study import run", ["study"]),
    ],
)
def test_the_check_itself(module, text, wrong):
    assert wrong_imports(text, module) == wrong


def test_the_ground_floor_has_no_cycle():
    read = {
        name: {
            item.split(".")[1]
            for item in imports(
                ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8")), "v2g_feeder"
            )
            if item.startswith("v2g_feeder.")
        }
        for name in GROUND
    }
    done: set[str] = set()
    while rest := GROUND - done:
        ready = {name for name in rest if read[name] <= done}
        assert ready, f"a cycle among {sorted(rest)}"
        done |= ready


def test_only_one_module_imports_the_opendss_binding():
    readers = {
        path
        for path in FILES
        for name in imports(ast.parse(path.read_text(encoding="utf-8")), "v2g_feeder")
        if name.split(".")[0] in ENGINES
    }
    assert readers == {ENGINE}


@pytest.mark.parametrize("path", [path for path in FILES if "cli" not in path.parts], ids=module_of)
def test_library_code_prints_nothing(path):
    calls = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not calls
