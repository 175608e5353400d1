"""Examples and notebooks run as they stand, and notebooks carry no outputs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_runs(path, tmp_path):
    done = subprocess.run(
        [sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_runs(path, tmp_path):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells)
    # run as one script from standard input, as a kernel would: workers have nothing to import
    source = "\n".join("".join(cell["source"]) for cell in cells)
    # beside the examples, whose data it may read
    for data in ("records", "checklist"):
        shutil.copytree(ROOT / "examples" / data, tmp_path / "examples" / data)
    (tmp_path / "notebooks").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=tmp_path / "notebooks",
        env=os.environ | {"MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert not list((tmp_path / "notebooks").iterdir())


def test_the_readme_names_what_exists():
    text = (ROOT / "README.md").read_text()
    for name in ("studies/evening_export.yaml", "feeders/README.md", "studies/README.md"):
        assert name in text
        assert (ROOT / name).is_file()
    commands = [line for line in text.splitlines() if line.startswith("python -m pip")]
    assert len(commands) == 2
    assert all("&&" in command for command in commands)
