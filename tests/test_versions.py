"""The versions that pyproject.toml allows, each in a fresh environment: a quick core of the tests.

Interpreters are those on the path and those that ``V2G_FEEDER_PYTHONS`` names (separated as the
path is); a version that is absent is skipped. Packages come through pip.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

pytestmark = pytest.mark.versions
ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TESTED = [line.split("::")[-1].strip() for line in PROJECT["classifiers"] if ":: 3." in line]
CORE = [
    "bad_input/test_bad_input.py",
    "cli/test_cli.py",
    "cli/test_looking.py",
    "dispatch/test_energy.py",
    "fleet/test_fleet.py",
    "hosting/test_command.py",
    "powerflow/test_closed_form.py",
    "powerflow/test_probe.py",
    "report/test_excel.py",
    "report/test_figures.py",
    "screening/test_violations.py",
    "study/test_run.py",
    "test_ground_floor.py",
    "test_resume.py",
    "test_workers.py",
]


def version_of(python):
    """Return what an interpreter says it is; nothing if it does not run."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def interpreter(version):
    """Return an interpreter of a version, or skip."""
    named = os.environ.get("V2G_FEEDER_PYTHONS", "").split(os.pathsep)
    found = [*filter(None, named), shutil.which(f"python{version}"), sys.executable]
    for python in filter(None, found):
        if version_of(python) == version:
            return python
    return pytest.skip(f"no Python {version} here; V2G_FEEDER_PYTHONS may name one")


def lowest():
    """Return the lowest version of each package that the project names."""
    named = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    for requirement in map(Requirement, named):
        (low,) = (part.version for part in requirement.specifier if part.operator == ">=")
        yield f"{requirement.name}=={low}\n"


def ran(folder, *command):
    """Run a command in a folder, as a user would who has only what the environment has."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=folder, env=kept, text=True, stdout=-1, stderr=-2, timeout=3000, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:]


def core_passes(python, folder, *constraints):
    """Install the project from its wheel and run the core of the tests with that."""
    ran(folder, python, "-m", "venv", str(folder / "env"))
    bin_folder = folder / "env" / ("Scripts" if sys.platform == "win32" else "bin")
    ours = str(bin_folder / "python")
    ran(folder, ours, "-m", "pip", "install", "--quiet", *constraints, f"{ROOT}[test]")
    for name in ("tests", "studies"):  # without the package, so that the installed one is tested
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "pyproject.toml", folder)
    tests = [f"tests/{name}" for name in CORE]
    ran(folder, ours, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)


def test_the_classifiers_are_what_is_required():
    low, high = (part.strip("<>=") for part in PROJECT["requires-python"].split(","))
    minors = range(int(low.split(".")[1]), int(high.split(".")[1]))
    assert [f"3.{minor}" for minor in minors] == TESTED


@pytest.mark.parametrize("version", TESTED)
def test_with_the_constraints_of_the_builds(version, tmp_path):
    core_passes(interpreter(version), tmp_path, "-c", str(ROOT / ".ci" / "constraints.txt"))


def test_with_the_lowest_versions(tmp_path):
    python = interpreter(TESTED[0])
    constraints = tmp_path / "lowest.txt"
    constraints.write_text("".join(lowest()))
    core_passes(python, tmp_path, "-c", str(constraints))


def test_with_the_newest_versions(tmp_path):
    core_passes(interpreter(TESTED[-1]), tmp_path)
