"""Arrays of a study on disk: one NetCDF file, written day by day as the units come in.

Dimensions are those of the conventions: ``policy``, ``case``, ``draw``, ``step``, then ``node``,
``element``, ``flow`` or ``point``. Combinations that were not run hold the fill value and take no
space. Runs without chance (``no_ev``, the bounding cases) stand at draw 0; ``no_ev`` stands at case
``expected``. ``range`` variables hold the minimum, P5, P95 and maximum over draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import h5netcdf
import numpy as np
from isal import isal_zlib

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from v2g_feeder.calendar import Calendar
    from v2g_feeder.powerflow.solution import Observed, Solution

__all__ = ["STATISTICS", "ResultsFile"]

STATISTICS: Final = ("min", "p05", "p95", "max")
_LEVEL: Final = 1  # of compression
_RANGE_BITS: Final = 16  # mantissa bits kept of the ranges over draws: 1e-5 of the value
_BY_PLACE: Final = {
    "v_pu": ("node", "per unit as connected", "service voltage"),
    "loading_pct": ("element", "percent of the element's basis", "loading"),
    "flow_kw": ("flow", "kW, positive away from the head", "active power"),
}
_BY_POINT: Final = {
    "charger_kw": ("kW, negative exports", "power that the chargers' curves leave"),
    "charger_kvar": ("kvar, negative injects", "reactive power of chargers on their curves"),
}
_BY_STEP: Final = {
    "head_kw": ("kW, positive is import", "active power at the feeder head"),
    "head_kvar": ("kvar, positive is import", "reactive power at the feeder head"),
    "losses_kw": ("kW", "losses of lines, transformers and shunts"),
    "reason": ("code, see attribute flag_meanings", "validity of the step"),
}


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
        self._dimensions(observed)
        self._variables(flags)

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
        for name, (dim, units, long_name) in _BY_PLACE.items():
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
        for name, (units, long_name) in _BY_STEP.items():
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
            compression_opts=_LEVEL,
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
        for name, (units, long_name) in _BY_POINT.items():
            dims = ("policy", "case", "draw", "step", "point")
            self._create(name, dims, (1, 1, 1, day, max(1, points)), units, long_name)

    def write_day(self, run: tuple[str, str], day: int, solutions: Sequence[Solution]) -> None:
        """Write one day of one run, all its draws."""
        policy, case = self._policies.index(run[0]), self._cases.index(run[1])
        step = self._calendar.day_slice(day).start
        for draw, solution in enumerate(solutions[: self._stored]):
            for name in (*_BY_PLACE, *_BY_STEP):
                self._put(name, (policy, case, draw, step), getattr(solution, name))
            self._put("tap", (policy, case, draw, step), solution.taps)
            for name in _BY_POINT:
                if getattr(solution, name).size:
                    self._put(name, (policy, case, draw, step), getattr(solution, name))
        if len(solutions) < 2:
            return
        for name in _BY_PLACE:
            by_draw = [getattr(solution, name) for solution in solutions]
            for number, values in enumerate(_over_draws(by_draw)):
                self._put(f"{name}_range", (number, policy, case, step), _rounded(values))

    def _put(self, name: str, where: tuple[int, ...], values: np.ndarray) -> None:
        """Write the chunk of one day; ``where`` is its place before the step axis, and its step.

        It is packed here, as the filters of :meth:`_create` say: HDF5's own zlib takes five times
        as long, which is most of what a study costs beside its power flow.
        """
        if name in self._open:
            flat = np.ascontiguousarray(values, dtype="<f4")
            shuffled = flat.view(np.uint8).reshape(-1, flat.itemsize).T.tobytes()
            at = where + (0,) * (values.ndim - 1)
            self._open[name].id.write_direct_chunk(at, isal_zlib.compress(shuffled, _LEVEL))

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
            variable = self._file.create_variable(
                name, dims, data=values.astype(dtype), compression="gzip", shuffle=True
            )
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


def _over_draws(by_draw: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the statistics over draws; NaN where any draw has none."""
    last = len(by_draw) - 1
    low, share = divmod(0.05 * last, 1)
    count = min(int(low) + 2, len(by_draw))
    lowest = _lowest(by_draw, count)
    highest = [-values for values in _lowest([-values for values in by_draw], count)]
    return [
        lowest[0],
        lowest[-2] + (lowest[-1] - lowest[-2]) * np.float32(share),
        highest[-2] + (highest[-1] - highest[-2]) * np.float32(share),
        highest[0],
    ]


def _lowest(arrays: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
    """Return the lowest values at each place in order, NaN where any is.

    An array at a time, since sorting a few values at each of many places is ten times slower.
    """
    kept: list[np.ndarray] = []
    for array in arrays:
        rest = array
        for number, low in enumerate(kept):
            kept[number], rest = np.minimum(low, rest), np.maximum(low, rest)
        if len(kept) < count:
            kept.append(rest)
    return kept


def _rounded(values: np.ndarray) -> np.ndarray:
    """Return float32 values with fewer mantissa bits, which compress better."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    drop = 23 - _RANGE_BITS
    half = np.uint32((1 << (drop - 1)) - 1)
    rounded = bits + half + ((bits >> np.uint32(drop)) & np.uint32(1))
    kept = (rounded & np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)).view(np.float32)
    return np.where(np.isfinite(values), kept, values)
