"""Limits by voltage class: published presets, and a study's own.

A voltage class is the nominal line-to-line kV of a bus (0.24 for a 120/240 V service). Every
figure of a preset carries its source and a mark: ``P`` read in a publication, ``K`` domain
knowledge whose primary text was not read (a default to check), ``A`` an assumption.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import yaml

from v2g_feeder.errors import InputError, Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Limits", "Source", "SuddenBand", "VoltageBand", "load_limits", "preset_names"]

_CLASS_MARGIN = 1e-6  # relative: 0.6 kV computed as sqrt(3) x 0.3464 is still 0.6 kV


class VoltageBand(NamedTuple):
    """Service voltages allowed in classes up to and including ``kv_max``; pu as connected."""

    kv_max: float
    vmin_pu: float
    vmax_pu: float


class SuddenBand(NamedTuple):
    """Largest sudden voltage change, pu, up or down, in classes up to and including ``kv_max``."""

    kv_max: float
    change_pu: float


@dataclass(frozen=True)
class Source:
    """Where a figure comes from.

    Parameters
    ----------
    setting
        Field of :class:`Limits` that holds the figure.
    figure
        The figure, as it is printed: ``0.95-1.05 pu up to 0.6 kV``.
    text
        Publication or standard.
    mark
        ``P`` read, ``K`` known but not read, ``A`` assumed; empty for a study's own figure.
    """

    setting: str
    figure: str
    text: str
    mark: str


@dataclass(frozen=True)
class Limits:
    """What a run is screened against.

    Parameters
    ----------
    name
        Name of the preset, or of a study's own set.
    voltage
        Bands ``(kv_max, vmin_pu, vmax_pu)``, ascending; the last ``kv_max`` is infinite.
    sudden
        Bands ``(kv_max, change_pu)``, likewise.
    thermal_pct
        Largest loading in percent of the element's basis.
    reverse_flow_kw
        Largest reverse flow by element, kW as a magnitude. It replaces the ``limit_kw`` of every
        row of that element (total and per phase) in ``Observed.flows``. Elements without a limit
        are an indicator only.
    sources
        One :class:`Source` a figure.

    Raises
    ------
    InputError
        With every limit that cannot be used: bands missing, out of order or not reaching every
        class, a lowest voltage not below the highest, a negative limit.
    """

    name: str
    voltage: tuple[VoltageBand, ...]
    sudden: tuple[SuddenBand, ...]
    thermal_pct: float = 100.0
    reverse_flow_kw: Mapping[str, float] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "voltage", tuple(VoltageBand(*band) for band in self.voltage))
        object.__setattr__(self, "sudden", tuple(SuddenBand(*band) for band in self.sudden))
        problems = [
            *_class_problems("voltage", [band.kv_max for band in self.voltage]),
            *_class_problems("sudden", [band.kv_max for band in self.sudden]),
            *_value_problems(self),
        ]
        if problems:
            raise InputError(problems)

    def replaced(self, **overrides: Any) -> Limits:
        """Return these limits with some fields changed, and marked as set by the study.

        Parameters
        ----------
        **overrides
            Fields of :class:`Limits` other than ``sources``. ``name`` becomes
            ``<name>, changed`` unless it is given.

        Raises
        ------
        InputError
            For an unknown field, and as for :class:`Limits`.
        """
        settings = [item.name for item in fields(self) if item.name != "sources"]
        unknown = [
            Problem(f"limits.{key}", "is not a limit", nearest(key, settings))
            for key in overrides
            if key not in settings
        ]
        if unknown:
            raise InputError(unknown)
        changed = {key: value for key, value in overrides.items() if key != "name"}
        kept = tuple(source for source in self.sources if source.setting not in changed)
        own = tuple(
            Source(key, str(value), "set by the study", "") for key, value in changed.items()
        )
        name = overrides.get("name", f"{self.name}, changed" if changed else self.name)
        return replace(self, **changed, name=name, sources=(*kept, *own))

    def voltage_band(self, kv_class: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the lowest and the highest voltage allowed, pu, ``[node]``.

        Parameters
        ----------
        kv_class
            Nominal line-to-line kV, ``[node]``.
        """
        bands = np.asarray(self.voltage, dtype=float)
        chosen = bands[_band_of(bands[:, 0], kv_class)]
        return chosen[:, 1], chosen[:, 2]

    def sudden_change(self, kv_class: np.ndarray) -> np.ndarray:
        """Return the largest sudden change allowed, pu, ``[node]``, for kV classes ``[node]``."""
        bands = np.asarray(self.sudden, dtype=float)
        limit: np.ndarray = bands[_band_of(bands[:, 0], kv_class), 1]
        return limit


def preset_names() -> tuple[str, ...]:
    """Return the names that :func:`load_limits` knows."""
    return tuple(_presets())


def load_limits(name: str) -> Limits:
    """Return a published set of limits.

    Parameters
    ----------
    name
        ``ansi_c84_1_a``, ``ansi_c84_1_b``, ``en_50160``, ``ica`` or ``drive``.

    Returns
    -------
    Limits
        With the source of every figure; no reverse-flow limit.

    Raises
    ------
    InputError
        For an unknown name, with the nearest known one.
    """
    presets = _presets()
    if name not in presets:
        known = ", ".join(presets)
        hint = nearest(name, list(presets))
        raise InputError(Problem("limits", f"unknown preset {name!r}; one of {known}", hint))
    preset = presets[name]
    voltage = [
        VoltageBand(*(float(row[key]) for key in VoltageBand._fields)) for row in preset["voltage"]
    ]
    sudden = [
        SuddenBand(*(float(row[key]) for key in SuddenBand._fields)) for row in preset["sudden"]
    ]
    thermal = preset["thermal"]
    cited = [
        *(("voltage", f"{band.vmin_pu:g}-{band.vmax_pu:g} pu {_classes(band.kv_max)}", row)
          for band, row in zip(voltage, preset["voltage"], strict=True)),
        *(("sudden", f"{band.change_pu:g} pu {_classes(band.kv_max)}", row)
          for band, row in zip(sudden, preset["sudden"], strict=True)),
        ("thermal_pct", f"{thermal['pct']:g} %", thermal),
    ]  # fmt: skip
    return Limits(
        name=name,
        voltage=tuple(voltage),
        sudden=tuple(sudden),
        thermal_pct=float(thermal["pct"]),
        sources=tuple(Source(key, text, row["source"], row["mark"]) for key, text, row in cited),
    )


def _presets() -> dict[str, Any]:
    """Return the data file as it is written."""
    text = files("v2g_feeder.screening").joinpath("data/limits.yaml").read_text(encoding="utf-8")
    presets: dict[str, Any] = yaml.safe_load(text)
    return presets


def _classes(kv_max: float) -> str:
    """Return the classes a band reaches up to, in words."""
    return f"up to {kv_max:g} kV" if math.isfinite(kv_max) else "in every other class"


def _band_of(kv_max: np.ndarray, kv_class: np.ndarray) -> np.ndarray:
    """Return the band of each class; a class that is not a number is refused."""
    kv = np.asarray(kv_class, dtype=float)
    if not np.isfinite(kv).all():
        count = int((~np.isfinite(kv)).sum())
        raise InputError(Problem("observed.voltages.kv_class", f"not known at {count} nodes"))
    return np.searchsorted(kv_max * (1 + _CLASS_MARGIN), kv, side="left")


def _class_problems(setting: str, kv_max: Sequence[float]) -> list[Problem]:
    """Return what keeps the bands from covering every class once."""
    where = f"limits.{setting}"
    if not kv_max:
        return [Problem(where, "at least one band is needed")]
    problems = []
    if not all(low < high for low, high in pairwise(kv_max)):
        problems.append(Problem(where, f"kv_max {list(kv_max)} is not ascending"))
    if kv_max[-1] != math.inf:
        problems.append(Problem(where, "no band for the highest classes", "end with kv_max .inf"))
    return problems


def _value_problems(limits: Limits) -> list[Problem]:
    """Return the figures that cannot be limits; the comparisons also refuse NaN."""
    problems = [
        Problem(f"limits.voltage[{number}]", f"vmin_pu {band.vmin_pu} is not below {band.vmax_pu}")
        for number, band in enumerate(limits.voltage)
        if not band.vmin_pu < band.vmax_pu
    ]
    figures = {
        **{f"sudden[{number}]": band.change_pu for number, band in enumerate(limits.sudden)},
        "thermal_pct": limits.thermal_pct,
        **{f"reverse_flow_kw.{name}": kw for name, kw in limits.reverse_flow_kw.items()},
    }
    return problems + [
        Problem(f"limits.{name}", f"{value} is not zero or positive")
        for name, value in figures.items()
        if not value >= 0
    ]
