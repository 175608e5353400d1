"""Arrays of a study on disk: one NetCDF file, written day by day as the units come in.

Dimensions are those of the conventions: ``policy``, ``case``, ``draw``, ``step``, then ``node``,
``element``, ``flow`` or ``point``. Combinations that were not run hold the fill value and take no
space. Runs without chance (``no_ev``, the bounding cases) stand at draw 0; ``no_ev`` stands at case
``expected``. ``range`` variables hold the minimum, P5, P95 and maximum over draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5netcdf
import numpy as np

from v2g_feeder.store import CHUNK_LEVEL, pack_chunk
from v2g_feeder.study.chunks import BY_PLACE, BY_POINT, BY_STEP, STATISTICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from v2g_feeder.calendar import Calendar
    from v2g_feeder.powerflow.solution import Observed
    from v2g_feeder.study.chunks import Chunk

__all__ = ["ResultsFile"]


class ResultsFile:
    """Writes ``results.nc``.

    Parameters
    ----------
    path
        New file.
    calendar
        Step axis.
    observed
        Places.
    runs
        (policy, case) -> number of draws that were run.
    draws_stored
        How many draws' arrays are kept: 1, or all.
    """

    def __init__(
        self,
        path: Path,
        calendar: Calendar,
        observed: Observed,
        runs: Mapping[tuple[str, str], int],
        draws_stored: int,
        flags: Sequence[str],
    ) -> None:
        self._calendar, self._runs, self._stored = calendar, runs, draws_stored
        self._policies = list(dict.fromkeys(policy for policy, _ in runs))
        self._cases = list(dict.fromkeys(case for _, case in runs))
        self._file = h5netcdf.File(path, "w")
        self._open: dict[str, Any] = {}
        self._file.attrs["Conventions"] = "CF-1.8"
        self._file.attrs["time_zone"] = "local standard time, hour-beginning"
        try:
            self._dimensions(observed)
            self._variables(flags)
        except BaseException:  # an interrupt, too
            self._file.close()
            raise

    def _dimensions(self, observed: Observed) -> None:
        """Write dimensions and coordinates."""
        labels: dict[str, Any] = {
            "policy": self._policies,
            "case": self._cases,
            "statistic": list(STATISTICS),
            "node": observed.voltages["node"],
            "element": observed.elements["element"],
            "flow": observed.flows["element"],
            "regulator": list(observed.regulators),
        }
        steps = self._calendar.table()
        self._file.dimensions = {name: len(values) for name, values in labels.items()} | {
            "draw": self._stored,
            "step": len(steps),
        }
        for name, values in labels.items():
            self._text(name, (name,), [str(value) for value in values])
        self._file.create_variable("draw", ("draw",), data=np.arange(self._stored, dtype=np.int32))
        for column in ("step", "month", "hour", "minute"):
            self._file.create_variable(column, ("step",), data=steps[column].to_numpy(np.int32))
        for column in ("season", "day_type"):
            self._text(column, ("step",), [str(value) for value in steps[column]])
        weight = self._file.create_variable(
            "weight_days", ("step",), data=steps["weight_days"].to_numpy(float)
        )
        weight.attrs["units"] = "days a year that the step's day stands for"
        for table, dim, columns in (
            (observed.voltages, "node", ("bus", "phase", "wiring")),
            (observed.elements, "element", ("kind", "basis", "rating_source")),
        ):
            for column in columns:
                self._text(f"{dim}_{column}", (dim,), [str(value) for value in table[column]])
        kv = self._file.create_variable(
            "node_kv_class", ("node",), data=observed.voltages["kv_class"].to_numpy(float)
        )
        kv.attrs["units"] = "kV, nominal as connected"

    def _text(self, name: str, dims: tuple[str, ...], values: list[str]) -> None:
        """Write a text variable."""
        variable = self._file.create_variable(name, dims, dtype=h5netcdf.core.h5py.string_dtype())
        if values:
            variable[...] = np.array(values, dtype=object)

    def _variables(self, flags: Sequence[str]) -> None:
        """Create the variables, all fill values."""
        day = self._calendar.steps_per_day
        run = ("policy", "case", "draw", "step")
        for name, (dim, units, long_name) in BY_PLACE.items():
            size = max(1, self._file.dimensions[dim].size)
            self._create(name, (*run, dim), (1, 1, 1, day, size), units, long_name)
            if max(self._runs.values()) > 1:
                self._create(
                    f"{name}_range",
                    ("statistic", "policy", "case", "step", dim),
                    (1, 1, 1, day, size),
                    units,
                    f"{long_name}, over draws",
                )
        for name, (units, long_name) in BY_STEP.items():
            self._create(name, run, (1, 1, 1, day), units, long_name)
        self._file["reason"].attrs["flag_meanings"] = " ".join(flags)
        self._create(
            "tap",
            (*run, "regulator"),
            (1, 1, 1, day, max(1, self._file.dimensions["regulator"].size)),
            "per unit",
            "regulator tap",
        )

    def _create(
        self, name: str, dims: tuple[str, ...], chunks: tuple[int, ...], units: str, long_name: str
    ) -> None:
        if any(self._file.dimensions[dim].size == 0 for dim in dims):
            return
        variable = self._file.create_variable(
            name,
            dims,
            dtype="<f4",
            chunks=chunks,
            compression="gzip",
            compression_opts=CHUNK_LEVEL,
            shuffle=True,
            fillvalue=np.float32(np.nan),
        )
        variable.attrs["units"] = units
        variable.attrs["long_name"] = long_name
        # the variable opens its dataset anew at every write and packs a chunk at every closing
        self._open[name] = variable._h5ds  # noqa: SLF001

    def add_chargers(self, points: int) -> None:
        """Make room for what connection points draw where their chargers follow curves."""
        self._file.dimensions["point"] = points
        day = self._calendar.steps_per_day
        for name, (units, long_name) in BY_POINT.items():
            dims = ("policy", "case", "draw", "step", "point")
            self._create(name, dims, (1, 1, 1, day, max(1, points)), units, long_name)

    def put(self, run: tuple[str, str], day: int, chunks: Iterable[Chunk]) -> None:
        """Write the chunks of a run's day; those of variables without a place are left out."""
        numbers = self._policies.index(run[0]), self._cases.index(run[1])
        step = self._calendar.day_slice(day).start
        for chunk in chunks:
            if chunk.name in self._open:
                where = chunk.where(numbers, step)
                self._open[chunk.name].id.write_direct_chunk(where, chunk.packed)

    def add_fixed(
        self,
        name: str,
        dims: tuple[str, ...],
        values: np.ndarray,
        units: str,
        long_name: str,
        *,
        dtype: str = "f4",
    ) -> None:
        """Write a variable that does not come day by day; new dimensions are made."""
        for dim, size in zip(dims, values.shape, strict=True):
            if dim not in self._file.dimensions:
                self._file.dimensions[dim] = size
        if values.size:
            chunks = (1,) * (values.ndim - 2) + values.shape[-2:]
            variable = self._file.create_variable(
                name, dims, dtype=dtype, chunks=chunks, compression="gzip", shuffle=True
            )
            stored = variable._h5ds.id  # noqa: SLF001
            for where in np.ndindex(values.shape[:-2]):
                packed = pack_chunk(values[where].astype(dtype))
                stored.write_direct_chunk((*where, *(0,) * min(2, values.ndim)), packed)
            variable.attrs["units"] = units
            variable.attrs["long_name"] = long_name

    def add_labels(self, dim: str, values: Sequence[str]) -> None:
        """Write the labels of a dimension, which is made if it is not there."""
        if dim not in self._file.dimensions:
            self._file.dimensions[dim] = len(values)
        if len(values) and dim not in self._file.variables:
            self._text(dim, (dim,), list(values))

    def close(self) -> None:
        """Finish the file."""
        self._open.clear()
        self._file.close()
