"""What a command leaves behind: files in its output folder, and nothing anywhere else.

Two witnesses: the audit events of Python in every process of the command, and listings of the
folders where the native engine or a library might write, before and after. Where ``strace`` is
installed, the calls to the kernel are the third. Two caches are apart: the compiled kernels, and
matplotlib's list of the fonts of a system, which is written once.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import v2g_feeder
from v2g_feeder.feeder.library import shipped

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
PACKAGE = Path(v2g_feeder.__file__).parent
WATCH = Path(__file__).parent.parent / "watch"
BESIDES = ("record", "calls", "fonts")  # of the witnesses, and of matplotlib
STUDY = {
    "name": "footprint",
    "feeder": {"model": "model/master.dss", "secondaries": {}},
    "calendar": {"seasons": {"summer": [7]}, "day_types": ["weekday"]},
    "fleets": [{"name": "homes", "vehicles": 4, "export_capable": 0.5}],
    "dispatch": {"export": {"window": "17:00-19:00", "request_kw": 20.0}},
    "participation": ["expected"],
    "draws": 1,
    "hosting": {"buses": ["671"], "connections": ["ABC"], "check_pairs": 2},
}


@pytest.fixture
def place(tmp_path):
    """A home, a temporary folder, a working folder, and a study with its model."""
    for name in ("home", "tmp", "work"):
        (tmp_path / name).mkdir()
    shutil.copytree(shipped("feeders") / "ieee13", tmp_path / "study" / "model")
    (tmp_path / "study" / "study.yaml").write_text(yaml.safe_dump(STUDY))
    return tmp_path


def ran(place, arguments, *before):
    """Run a command in the working folder; return what became of it."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    env |= {"HOME": str(place / "home"), "TMPDIR": str(place / "tmp")}
    env |= {
        "PYTHONPATH": os.pathsep.join([str(WATCH), str(PACKAGE.parent)]),
        "MPLCONFIGDIR": str(place / "fonts"),
        "WATCH_RECORD": str(place / "record"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [*before, sys.executable, "-m", "v2g_feeder", *arguments]
    return subprocess.run(
        command, cwd=place / "work", env=env, capture_output=True, text=True, check=False
    )


def listing(place):
    """Return files and folders with their sizes and times, the output's own left out."""
    found = {}
    for path in sorted(place.rglob("*")):
        inside = path.relative_to(place).parts[:2]
        if inside != ("work", "out") and inside[0] not in BESIDES:
            stat = path.stat()
            found["/".join(path.relative_to(place).parts)] = (
                "" if path.is_dir() else (stat.st_size, stat.st_mtime_ns)
            )
    return found


def elsewhere(place, paths):
    """Return paths that are neither in the output folder nor what may be written to besides."""
    free = (
        "/dev/",
        "/proc/",
        str(place / "work" / "out"),
        *(str(place / name) for name in BESIDES),
    )
    return sorted(
        {
            path
            for path in paths
            if not os.path.normpath(path).startswith(free)
            and not (path.startswith(str(PACKAGE)) and "__pycache__" in path)  # compiled kernels
        }
    )


COMMANDS = {
    "study": ["study", "../study/study.yaml", "--out", "out", "--workers", "2"],
    "hosting": ["hosting", "../study/study.yaml", "--out", "out", "--workers", "2"],
    "shapes": ["shapes", "../study/study.yaml", "--out", "out"],
    "check": ["check", "../study/study.yaml"],
}
REST = ("hosting", "shapes")


@pytest.mark.parametrize(
    "name", ["study", "check", *(pytest.param(n, marks=pytest.mark.long) for n in REST)]
)
def test_nothing_outside_of_the_output_folder(place, name):
    before = listing(place)
    done = ran(place, COMMANDS[name])
    assert done.returncode == 0, done.stderr[-3000:]
    assert listing(place) == before
    events = [
        line.split("\t") for line in (place / "record").read_text("utf-8", "replace").splitlines()
    ]
    assert {kind for kind, _ in events} > {"open"}, "the processes were watched"
    # a worker begins where its parent is, and the engine is put back to where it was
    assert {(place / "work" / path) for kind, path in events if "chdir" in kind} <= {place / "work"}
    assert not [item for item in events if item[0].startswith("socket.")]
    assert elsewhere(place, [path for kind, path in events if "chdir" not in kind]) == []
    assert (place / "work" / "out").exists() == (name != "check")


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("strace"), reason="no strace")
@pytest.mark.parametrize("name", ["study", "hosting"])
def test_the_kernel_saw_nothing_either(place, name):
    calls = (
        "trace=open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,connect"
    )
    before = ["strace", "-f", "-qq", "-y", "-s", "4096", "-e", calls, "-o", str(place / "calls")]
    done = ran(place, COMMANDS[name], *before)
    assert done.returncode == 0, done.stderr[-3000:]
    written, connected = [], []
    for line in (place / "calls").read_text("utf-8", "replace").splitlines():
        if " connect(" in line:
            connected.append(line)
        elif " = -1" in line or (" open" in line and not re.search("O_WRONLY|O_RDWR", line)):
            continue
        elif named := re.findall(r'<([^<>]*)>, "([^"]*)"', line):
            written += [str(Path(*pair)) for pair in named]
        else:
            written += [str(place / "work" / path) for path in re.findall('"([^"]*)"', line)]
    assert written
    assert not [line for line in connected if "AF_UNIX" not in line]
    assert elsewhere(place, written) == []
