"""The OpenDSS package in stock OpenDSS and in EPRI's engine gives the voltages of the arrays."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from v2g_feeder.errors import InputError
from v2g_feeder.study.package import export_case

RUNNERS = {
    "opendssdirect": "from opendssdirect import dss; dss.Text.Command('compile run.dss')",
    "py_dss_interface": (
        "import os, py_dss_interface; here = os.getcwd(); d = py_dss_interface.DSS(); "
        "d.text(f'compile \"{here}/run.dss\"')"
    ),
}


def solve(engine, folder):
    """Run the package in a process that does not know this one."""
    done = subprocess.run(
        [sys.executable, "-c", RUNNERS[engine]],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {path.name.lower(): path for path in folder.glob("*aved*oltages*")}


def voltages_of(path, data):
    """Return service voltages as connected from a file of node voltages."""
    volts = {}
    for line in path.read_text().splitlines():
        bus, node, size, angle = (part.strip() for part in line.split(","))
        volts[bus.lower(), node] = float(size) * np.exp(1j * np.radians(float(angle)))
    base = dict(zip(data["bus"].values, data["bus_kv_base_ln"].values * 1e3, strict=True))
    found = []
    for label, wiring in zip(data["node"].values, data["node_wiring"].values, strict=True):
        bus, *nodes = label.split(".")
        if len(nodes) == 1:
            found.append(abs(volts[bus, nodes[0]]) / base[bus])
        else:
            scale = 2.0 if wiring == "split_phase" else np.sqrt(3.0)
            found.append(abs(volts[bus, nodes[0]] - volts[bus, nodes[1]]) / base[bus] / scale)
    return np.array(found)


@pytest.mark.parametrize("engine", RUNNERS)
@pytest.mark.parametrize(
    ("policy", "case"),
    [("export", "expected"), ("export", "coincident_split"), ("no_ev", "expected")],
)
def test_stock_engines_reproduce_the_arrays(small_result, tmp_path, engine, policy, case):
    pytest.importorskip(engine, reason=f"{engine} has no build here")
    folder = tmp_path / "package"
    if (policy, case) == ("export", "expected"):
        shutil.copytree(small_result / "opendss", folder)
    else:
        export_case(small_result, policy, case, 0, folder)
    files = solve(engine, folder)
    with xr.open_dataset(small_result / "results.nc", engine="h5netcdf") as data:
        expected = data["v_pu"].sel(policy=policy, case=case).isel(draw=0).values
        assert len(files) == len(expected)
        for name, path in files.items():
            day, step = (int(part) for part in re.match(r"d(\d+)_s(\d+)_", name).groups())
            difference = np.abs(voltages_of(path, data) - expected[day * 24 + step]).max()
            assert difference < 1e-6, name


def test_what_the_result_does_not_hold_is_named(small_result, tmp_path):
    with pytest.raises(InputError, match="--draw: 7 is not 0 to 1"):
        export_case(small_result, "export", "expected", 7, tmp_path / "x")
    assert not (tmp_path / "x").exists()
