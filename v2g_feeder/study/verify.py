"""Solve a result's OpenDSS package again, outside of this package, and compare with the arrays."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5netcdf
import numpy as np

from v2g_feeder.conventions import Wiring
from v2g_feeder.errors import InputError, Problem
from v2g_feeder.feeder.engine import run_in_stock
from v2g_feeder.feeder.scan import scan
from v2g_feeder.powerflow.solution import Reason
from v2g_feeder.workers import run_alone

__all__ = ["ENGINES", "TOLERANCE_PU", "Verified", "verify_result"]

ENGINES: Final = {"opendssdirect": "OpenDSS (DSS C-API)", "py_dss_interface": "OpenDSS (EPRI)"}
"""Engines by the module that brings them."""
TOLERANCE_PU: Final = 1e-6
"""Largest difference that counts as the same; the arrays are single precision."""
_DEADLINE_S: Final = 1800.0
_NUMBERS: Final = r"\[[-+.\deE ]*\]"
_DAY_LINE: Final = re.compile(
    r"!.*|Redirect (?:build|day_\w[\w-]*)\.dss|Solve|Save voltages"
    rf"|Edit LoadShape\.\w+ mult={_NUMBERS}(?: qmult={_NUMBERS})?"
    r"|Set (?:mode=daily number=1 stepsize=\d+m controlmode=static|hour=\d+ sec=0"
    r"|casename=d\d+_s\d+)"
)
_SAVED: Final = re.compile(r"d(\d+)_s(\d+)_.*aved.*oltages", re.IGNORECASE)


@dataclass(frozen=True)
class Verified:
    """What one engine made of a package.

    Parameters
    ----------
    engine
        Its name; see :data:`ENGINES`.
    steps
        Steps compared: those that are valid in the result.
    difference_pu
        Largest difference of a service voltage.
    node, step
        Where.
    missing
        Why the engine was not run; empty if it was.
    """

    engine: str
    steps: int = 0
    difference_pu: float = np.nan
    node: str = ""
    step: int = -1
    missing: str = ""

    @property
    def holds(self) -> bool:
        """Whether the engine gives the arrays."""
        return self.steps > 0 and self.difference_pu <= TOLERANCE_PU


def verify_result(result: Path) -> list[Verified]:
    """Solve ``opendss/`` of a result folder with every engine at hand and compare the voltages.

    The package is copied to a temporary folder; nothing is written into the result. Its scripts are
    read first: the model as any model is, the days for the commands that this package writes.

    Raises
    ------
    InputError
        If it is not the result of a study, or its package is not as it was written.
    FeederError, UnitError
        If an engine refuses the package, or its process crashes.
    """
    run = _package_of(result)
    expected = _Expected.of(result / "results.nc", run)
    found = []
    for module, name in ENGINES.items():
        if importlib.util.find_spec(module) is None:
            found.append(Verified(name, missing=f"{module} is not installed"))
            continue
        with tempfile.TemporaryDirectory() as folder:
            package = Path(folder) / "opendss"
            shutil.copytree(
                result / "opendss", package, ignore=shutil.ignore_patterns("*aved*oltages*")
            )
            run_alone(run_in_stock, module, package / "run.dss", deadline_s=_DEADLINE_S)
            found.append(expected.compared(name, package))
    return found


def _package_of(result: Path) -> dict[str, Any]:
    """Return which run the package of a result holds, having read its scripts."""
    needed = [result / name for name in ("summary.json", "results.nc", "opendss/run.dss")]
    absent = [path for path in needed if not path.is_file()]
    if absent:
        raise InputError(
            [Problem(str(path), "is missing: this is no result of `study`") for path in absent]
        )
    problems = []
    for script in (result / "opendss" / "run.dss", *sorted((result / "opendss").glob("day_*.dss"))):
        lines = script.read_text(encoding="utf-8").splitlines()
        problems += [
            Problem(f"{script}:{number}", f"{line[:60]!r} is not a line that this package writes")
            for number, line in enumerate(lines, 1)
            if line and not _DAY_LINE.fullmatch(line)
        ]
    if problems:
        raise InputError(problems[:40])
    scan(result / "opendss" / "build.dss")
    summary = json.loads((result / "summary.json").read_text(encoding="utf-8"))
    package: dict[str, Any] = summary["package"]
    return package


@dataclass(frozen=True)
class _Expected:
    """The voltages of a run as the result holds them, and how to form them from node voltages."""

    v_pu: np.ndarray
    valid: np.ndarray
    steps_a_day: int
    nodes: list[str]
    wiring: list[str]
    base_kv: dict[str, float]

    @classmethod
    def of(cls, path: Path, run: dict[str, Any]) -> _Expected:
        """Read the arrays of one run."""
        with h5netcdf.File(path, "r") as file:
            at = tuple(_names(file[axis]).index(run[axis]) for axis in ("policy", "case"))
            at = (*at, int(run["draw"]))
            return cls(
                v_pu=np.asarray(file["v_pu"][at], float),
                valid=np.asarray(file["reason"][at]) <= Reason.FLAGGED,
                steps_a_day=file.dimensions["step"].size // file["day_label"].shape[0],
                nodes=_names(file["node"]),
                wiring=_names(file["node_wiring"]),
                base_kv=dict(
                    zip(
                        map(str.lower, _names(file["bus"])),
                        file["bus_kv_base_ln"][...],
                        strict=True,
                    )
                ),
            )

    def compared(self, engine: str, package: Path) -> Verified:
        """Compare with the voltages that an engine saved in a package."""
        steps, largest, place = 0, -1.0, ("", -1)
        for path in package.iterdir():
            match = _SAVED.match(path.name)
            step = int(match[1]) * self.steps_a_day + int(match[2]) if match else -1
            if step < 0 or not self.valid[step]:
                continue
            apart = np.abs(self._voltages(path) - self.v_pu[step])
            apart = np.where(np.isnan(self.v_pu[step]), 0.0, np.nan_to_num(apart, nan=np.inf))
            steps += 1
            if apart.max() > largest:
                largest, place = float(apart.max()), (self.nodes[int(apart.argmax())], step)
        return Verified(engine, steps, largest if steps else np.nan, *place)

    def _voltages(self, path: Path) -> np.ndarray:
        """Return service voltages as connected from a file of node voltages."""
        volts: dict[tuple[str, str], complex] = {}
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            bus, node, size, angle = (part.strip() for part in line.split(","))
            volts[bus.lower(), node] = float(size) * np.exp(1j * np.radians(float(angle)))
        found = []
        for label, wiring in zip(self.nodes, self.wiring, strict=True):
            bus, *nodes = label.lower().split(".")
            ends = [volts.get((bus, node), complex(np.nan)) for node in nodes]
            between = ends[0] - (ends[1] if len(ends) > 1 else 0.0)
            scale = 1.0 if len(ends) == 1 else 2.0 if wiring == Wiring.SPLIT_PHASE else np.sqrt(3.0)
            found.append(abs(between) / (1e3 * self.base_kv[bus] * scale))
        return np.array(found)


def _names(variable: Any) -> list[str]:
    """Return a variable of text as a list."""
    return [name.decode() if isinstance(name, bytes) else str(name) for name in variable[...]]
