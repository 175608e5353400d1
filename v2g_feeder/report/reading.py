"""What the report reads: the files of a result folder, and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import h5netcdf
import numpy as np
import pandas as pd
import xarray as xr

from v2g_feeder.conventions import Policy
from v2g_feeder.errors import InputError, Problem
from v2g_feeder.report.words import run_order
from v2g_feeder.screening import HOURLY_COLUMNS, VIOLATION_COLUMNS
from v2g_feeder.store import SCHEMA_VERSION, unpack_chunk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["Result", "Run", "check_files", "kind_of", "open_arrays", "read_records", "read_result"]

Run = tuple[str, str]
"""Policy and case."""

_RECORDS: Final = ("summary.json", "manifest.json")
_FILES: Final = (*_RECORDS, "violations.csv", "hourly.csv", "results.nc")
_ONLY_IN: Final = {
    "study": "results.nc",
    "shapes": "shapes.nc",
    "hosting": "hosting_minima.csv",
}
_LABELS: Final = ("policy", "case", "season", "day_type", "criterion", "effect", "unit", "phase")
_NAMES: Final = ("element", "bus", "node", "worst_element")


@dataclass(frozen=True)
class Result:
    """A finished result.

    Parameters
    ----------
    folder
        The result folder.
    summary, manifest
        Contents of ``summary.json`` and ``manifest.json``.
    arrays
        ``results.nc``, not loaded.
    """

    folder: Path
    summary: Mapping[str, Any]
    manifest: Mapping[str, Any]
    arrays: xr.Dataset

    @cached_property
    def violations(self) -> pd.DataFrame:
        """Rows of ``violations.csv``; labels are never NaN."""
        return _table(self.folder / "violations.csv", VIOLATION_COLUMNS)

    @cached_property
    def hourly(self) -> pd.DataFrame:
        """Rows of ``hourly.csv``; labels are never NaN."""
        return _table(self.folder / "hourly.csv", HOURLY_COLUMNS)

    @cached_property
    def runs(self) -> list[Run]:
        """Policies and cases that were run: references first, bounds last."""
        runs = [(run["policy"], run["case"]) for run in self.summary["study"]["runs"]]
        return sorted(runs, key=lambda run: run_order(*run))

    @cached_property
    def draws(self) -> dict[Run, int]:
        """Number of draws of each run; 1 for runs without chance."""
        return {
            (row["policy"], row["case"]): int(row["draws"])
            for row in self.summary["harm_and_relief"]
        }

    @cached_property
    def step_hours(self) -> float:
        """Length of a step, hours."""
        return float(self.summary["study"]["step_minutes"]) / 60

    @cached_property
    def steps(self) -> pd.DataFrame:
        """The step axis: ``season, month, day_type, hour, minute``, one row a step."""
        names = ("season", "month", "day_type", "hour", "minute")
        return pd.DataFrame({name: self.arrays[name].to_numpy() for name in names})

    def fleet_kw(self, run: Run) -> np.ndarray | None:
        """Return the fleet's kW, ``[draw, step]``, negative exports; ``None`` if it was not run."""
        name = f"ev_kw_{run[0]}_{run[1]}"
        if name not in self.arrays:
            return None
        values: np.ndarray = self.arrays[name].to_numpy().sum(axis=1)
        return values

    def ledger_kw(self, run: Run) -> xr.DataArray | None:
        """Return the ledger's mean over draws, ``[ledger_row, step]``, kW."""
        name = f"ledger_kw_{run[0]}_{run[1]}"
        if name not in self.arrays:
            return None
        return self.arrays[name].mean(str(self.arrays[name].dims[0]))

    def head_kw(self, run: Run) -> np.ndarray | None:
        """Return head kW, ``[low and high, step]``: the P5 and P95 over draws, or the one draw.

        Positive is import; NaN where a step is not valid.
        """
        policy, case = run
        if run not in self.runs:
            return None
        if run[0] == Policy.NO_EV or "flow_kw_range" not in self.arrays:
            return self._one_draw(policy, case)
        flow = self.arrays["flow_kw_range"].sel(
            statistic=["p05", "p95"], policy=policy, case=case, flow="head"
        )
        values: np.ndarray = flow.to_numpy()
        return values if np.isfinite(values).any() else self._one_draw(policy, case)

    def of_run(self, name: str, run: Run, statistic: str = "") -> np.ndarray:
        """Return what an array by place holds of a run, ``[step, place]``.

        Of a range over draws that is a statistic, of the others the first draw.
        """
        array = self.arrays[name]
        policy, case = (
            array.get_index(axis).get_loc(label)
            for axis, label in zip(("policy", "case"), run, strict=True)
        )
        where = (policy, case, 0)
        if statistic:
            where = (array.get_index("statistic").get_loc(statistic), policy, case)
        with h5netcdf.core.h5py.File(self.folder / "results.nc") as file:
            found = _unpacked(file[name], where)
        values: np.ndarray = array[where].to_numpy() if found is None else found
        return values

    def _one_draw(self, policy: str, case: str) -> np.ndarray:
        values = self.arrays["head_kw"].sel(policy=policy, case=case).to_numpy()[0]
        return np.stack([values, values])


def _unpacked(stored: Any, where: tuple[int, ...]) -> np.ndarray | None:
    """Return float32 values ``[step, place]`` that are packed as a study does, a chunk a day.

    ``None`` for what is stored in another way, or not there.
    """
    steps, places = stored.shape[3:]
    day = stored.chunks[3] if stored.chunks else 0
    if stored.chunks != (1, 1, 1, day, places) or stored.dtype != "<f4" or steps % day:
        return None
    if stored.compression != "gzip" or not stored.shuffle or stored.fletcher32:
        return None
    found = np.empty((steps, places), np.uint32)
    for step in range(0, steps, day):
        try:
            packed = stored.id.read_direct_chunk((*where, step, 0))[1]
        except RuntimeError:  # no such chunk: a day that was not solved
            return None
        unpack_chunk(packed, found[step : step + day])
    return found.view(np.float32)


def kind_of(folder: Path) -> str:
    """Return which command wrote a result folder: ``study``, ``shapes`` or ``hosting``.

    Raises
    ------
    InputError
        If it holds no result of any of them.
    """
    if (folder / "summary.json").is_file():
        for kind, name in _ONLY_IN.items():
            if (folder / name).is_file():
                return kind
    reason = "no such folder" if not folder.is_dir() else "is not a result folder"
    hint = "name the folder that `v2g-feeder study` wrote, such as results/NAME"
    raise InputError(Problem(str(folder), reason, hint))


def check_files(folder: Path, names: Iterable[str]) -> None:
    """Raise :class:`~v2g_feeder.errors.InputError` that names all files a folder does not have."""
    problems = [
        Problem(str(folder / name), "is missing", "run it again")
        for name in names
        if not (folder / name).is_file()
    ]
    if problems:
        raise InputError(problems)


def read_records(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the contents of ``summary.json`` and ``manifest.json`` of a result folder.

    Raises
    ------
    InputError
        If one is missing.
    """
    check_files(folder, _RECORDS)
    summary, manifest = (json.loads((folder / name).read_text("utf-8")) for name in _RECORDS)
    return summary, manifest


def open_arrays(folder: Path) -> xr.Dataset:
    """Open ``results.nc`` of a result folder; it is read as it is used."""
    with xr.open_dataset(folder / "results.nc", engine="h5netcdf") as arrays:
        return arrays


def read_result(folder: Path, arrays: xr.Dataset | None = None) -> Result:
    """Read a result folder, of which ``arrays`` may be open already.

    Raises
    ------
    InputError
        If files are missing, or were written in a layout that this version does not know.
    """
    check_files(folder, _FILES)
    summary, manifest = read_records(folder)
    if summary.get("schema_version") != SCHEMA_VERSION:
        found = summary.get("schema_version")
        raise InputError(
            Problem(
                str(folder / "summary.json"),
                f"has schema version {found}, this program reads {SCHEMA_VERSION}",
                "run the study again",
            )
        )
    return Result(folder, summary, manifest, open_arrays(folder) if arrays is None else arrays)


def _table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return a table with its labels as text; a bus may be called ``NA`` or ``1``."""
    labels = [name for name in columns if name in _LABELS or name in _NAMES]
    table = pd.read_csv(
        path,
        usecols=list(columns),
        dtype=dict.fromkeys(labels, "category"),
        keep_default_na=False,
        na_values={name: [""] for name in columns if name not in labels},
    )
    return table[list(columns)]
