"""Whether an installation works: what is installed, and answers that are known beforehand."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

import v2g_feeder
from v2g_feeder.errors import V2GFeederError
from v2g_feeder.feeder.engine import engine_version, shared_engine
from v2g_feeder.feeder.library import feeder_names, shipped
from v2g_feeder.workers import default_workers, run_alone

__all__ = ["SelfTest", "installed", "self_test"]

_DEADLINE_S: Final = 120.0
_PACKAGES: Final = ("numpy", "pandas", "xarray", "scipy", "numba", "pydantic", "matplotlib")
_KV, _OHM, _KW, _KVAR, _KM = 12.47, 0.3 + 0.4j, 1500.0, 500.0, 4.0
_TWO_BUSES: Final = f"""\
Clear
New Circuit.two bus1=a basekv={_KV} MVAsc3=1e9 MVAsc1=1e9
New Line.l bus1=a bus2=b r1={_OHM.real} x1={_OHM.imag} c1=0 c0=0 length={_KM} units=km
New Load.x bus1=b kv={_KV} kw={_KW} kvar={_KVAR} model=1 vminpu=0.5
Set VoltageBases=[{_KV}]
CalcVoltageBases
"""
_IEEE13_KW: Final = 3567.054  # of the public model, as tests/reference/ieee13 holds it


class SelfTest(NamedTuple):
    """One answer.

    Parameters
    ----------
    question
        What was asked.
    found
        The answer, and what was expected.
    holds
        Whether it is right.
    """

    question: str
    found: str
    holds: bool


def installed() -> dict[str, str]:
    """Return what a report of a fault should name: versions, machine, engines, folders."""
    folder = Path(v2g_feeder.__file__).parent
    kept = os.environ.get("NUMBA_CACHE_DIR") or str(folder)
    epri = importlib.util.find_spec("py_dss_interface") is not None
    return {
        "v2g-feeder": f"{v2g_feeder.__version__} in {folder}",
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processors": f"{default_workers()} for this process, {os.cpu_count()} in the machine",
        "engine": " ".join(engine_version().split())[:160],
        "EPRI's engine": metadata.version("py-dss-interface")
        if epri
        else "not installed: optional",
        "packages": ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES),
        "feeders": f"{', '.join(feeder_names())} in {shipped('feeders')}",
        "compiled code": f"kept in {kept}"
        if os.access(kept, os.W_OK)
        else f"{kept} cannot be written: compiled anew by each process (set NUMBA_CACHE_DIR)",
    }


def self_test() -> list[SelfTest]:
    """Start a worker process, solve two feeders in it, and compare with what is known."""
    questions = ("a worker process loads the engine", "two buses by hand", "IEEE 13 node feeder")
    try:
        two_buses_pu, head_kw = run_alone(_solved, deadline_s=_DEADLINE_S)
    except V2GFeederError as error:
        return [SelfTest(questions[0], f"no: {error}", holds=False)]
    apart = abs(two_buses_pu - _by_hand())
    off = abs(head_kw / _IEEE13_KW - 1)
    return [
        SelfTest(questions[0], "yes", holds=True),
        SelfTest(
            questions[1], f"{two_buses_pu:.7f} pu, {apart:.0e} from the formula", apart < 1e-6
        ),
        SelfTest(questions[2], f"{head_kw:.2f} kW, {_IEEE13_KW:.2f} kW expected", off < 1e-5),
    ]


def _solved() -> tuple[float, float]:
    """Return the voltage at the far bus, and the head of IEEE 13; in a worker."""
    engine = shared_engine()
    with tempfile.TemporaryDirectory() as folder:
        master = Path(folder) / "two.dss"
        master.write_text(_TWO_BUSES, encoding="utf-8")
        engine.load(master)
        node = engine.node_names().index("b.1")
        volts = abs(engine.solve(0, 1.0).volts[node]) / (1e3 * _KV / np.sqrt(3.0))
    engine.load(shipped("feeders") / "ieee13" / "master.dss")
    return float(volts), engine.solve(0, 1.0).source_kva.real


def _by_hand() -> float:
    """Return the voltage at the far bus: ``u**2 + u (2 (RP + XQ) - 1) + |ZS|**2 = 0``, per unit."""
    z = _OHM * _KM / _KV**2  # on 1 MVA
    s = complex(_KW, _KVAR) / 1e3
    half = 0.5 - (z.real * s.real + z.imag * s.imag)
    return float(np.sqrt(half + np.sqrt(half**2 - abs(z * s) ** 2)))
