"""EPRI's own OpenDSS gives the voltages of ours on every shipped feeder."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.feeder.model import read_feeder

SCRIPT = Path(__file__).with_name("epri_voltages.py")

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("py_dss_interface") is None, reason="py_dss_interface is not installed"
)


@pytest.mark.parametrize("name", ["ieee13", "ieee34", "ieee37", "ieee123"])
def test_the_same_voltages(name, tmp_path):
    """In a process of its own: it loads another native engine and changes the working folder."""
    master = resolve_model(name, tmp_path)
    out = tmp_path / "epri.json"
    run = subprocess.run(
        [sys.executable, str(SCRIPT), master.as_posix(), str(out)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        check=False,
    )
    if not out.exists():
        pytest.fail(f"exit code {run.returncode}: {run.stderr[-2000:]}")
    theirs = json.loads(out.read_text(encoding="utf-8"))
    assert theirs["converged"]
    engine = shared_engine()
    engine.load(master)
    feeder = read_feeder(engine, master)
    raw = engine.solve(0, 1.0)
    base = feeder.buses["kv_base_ln"].loc[[node.rsplit(".", 1)[0] for node in feeder.nodes]]
    ours = dict(zip(feeder.nodes, np.abs(raw.volts) / 1e3 / base.to_numpy(), strict=True))
    assert theirs["v_pu"].keys() == ours.keys()
    assert max(abs(ours[node] - theirs["v_pu"][node]) for node in ours) < 1e-6
