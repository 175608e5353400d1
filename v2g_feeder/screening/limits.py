"""Limits by voltage class, season and element: what a run is screened against.

A voltage class is the nominal line-to-line kV of a bus (0.24 for a 120/240 V service). Every
figure carries its source and a mark: ``P`` read in a publication, ``K`` domain knowledge whose
primary text was not read (a default to check), ``A`` an assumption.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from v2g_feeder.errors import InputError, Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

__all__ = ["Limits", "Source", "SuddenBand", "VoltageBand"]

_CLASS_MARGIN: Final = 1e-6  # relative: 0.6 kV computed as sqrt(3) x 0.3464 is still 0.6 kV


_FIGURES: Final = (
    "thermal_pct",
    "emergency_pct",
    "band_share",
    "tap_operations_a_day",
    "capacitor_operations_a_day",
    "line_unbalance_pct",
    "sequence_unbalance_pct",
    "head_unbalance_pct",
    "head_unbalance_floor_a",
)


class VoltageBand(NamedTuple):
    """Service voltages allowed in classes up to and including ``kv_max``; pu as connected."""

    kv_max: float
    vmin_pu: float
    vmax_pu: float


class SuddenBand(NamedTuple):
    """Largest voltage change, pu, up or down, in classes up to and including ``kv_max``."""

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
    emergency_pct
        Largest loading in percent of the emergency rating, where the model states one.
    season_factor
        Factor by season on the normal and emergency amps of lines (air is colder in winter);
        1 for a season that is not named. Transformers keep their nameplate.
    slow
        Bands ``(kv_max, change_pu)`` of the change against the reference at the same step,
        regulators free; empty where it is not limited.
    band_share
        Largest such change at either side of a regulator, as a share of its bandwidth.
    tap_operations_a_day, capacitor_operations_a_day
        Most operations of a regulator or a controlled capacitor that a run may add to those of
        its reference in a day. At hourly steps both counts are lower bounds.
    line_unbalance_pct, sequence_unbalance_pct
        Largest voltage unbalance: deviation of the line voltages from their mean (ANSI C84.1),
        and negative over positive sequence (EN 50160).
    head_unbalance_pct, head_unbalance_floor_a
        Largest deviation of the head's phase currents from their mean, percent of that mean, or
        of the floor where the mean is below it.
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
    emergency_pct: float = math.inf
    season_factor: Mapping[str, float] = field(default_factory=dict)
    slow: tuple[SuddenBand, ...] = ()
    band_share: float = math.inf
    tap_operations_a_day: float = math.inf
    capacitor_operations_a_day: float = math.inf
    line_unbalance_pct: float = math.inf
    sequence_unbalance_pct: float = math.inf
    head_unbalance_pct: float = math.inf
    head_unbalance_floor_a: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "voltage", tuple(VoltageBand(*band) for band in self.voltage))
        object.__setattr__(self, "sudden", tuple(SuddenBand(*band) for band in self.sudden))
        object.__setattr__(self, "slow", tuple(SuddenBand(*band) for band in self.slow))
        slow = [band.kv_max for band in self.slow]
        problems = [
            *_class_problems("voltage", [band.kv_max for band in self.voltage]),
            *_class_problems("sudden", [band.kv_max for band in self.sudden]),
            *(_class_problems("slow", slow) if slow else ()),
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
        return _change_of(self.sudden, kv_class)

    def slow_change(self, kv_class: np.ndarray) -> np.ndarray:
        """Return the largest change against the reference, pu, ``[node]``; infinite without one."""
        kv = np.asarray(kv_class, dtype=float)
        return _change_of(self.slow, kv) if self.slow else np.full(kv.shape, np.inf)

    def loading(self, elements: pd.DataFrame, season: str = "") -> tuple[np.ndarray, np.ndarray]:
        """Return the largest loading, and the largest in an emergency, ``[element]``.

        Parameters
        ----------
        elements
            Screened elements: ``kind``, ``rating_source``, ``rating_a``, ``rating_kva`` and, if
            known, ``emergency_ratio``.
        season
            Picks the factor of ``season_factor``.

        Returns
        -------
        tuple of numpy.ndarray
            Percent of the element's basis; NaN where the rating is not stated.
        """
        known = (elements["rating_source"] != "unknown") & (
            elements[["rating_a", "rating_kva"]].notna().any(axis=1)
        )
        line = elements["kind"].isin(["line", "switch"]).to_numpy()
        factor = np.where(line, self.season_factor.get(season, 1.0), 1.0)
        factor[~known.to_numpy(dtype=bool)] = np.nan
        ratio = elements.get("emergency_ratio", np.nan)
        return self.thermal_pct * factor, self.emergency_pct * factor * np.asarray(ratio, float)


def _band_of(kv_max: np.ndarray, kv_class: np.ndarray) -> np.ndarray:
    """Return the band of each class; a class that is not a number is refused."""
    kv = np.asarray(kv_class, dtype=float)
    if not np.isfinite(kv).all():
        count = int((~np.isfinite(kv)).sum())
        raise InputError(Problem("observed.voltages.kv_class", f"not known at {count} nodes"))
    return np.searchsorted(kv_max * (1 + _CLASS_MARGIN), kv, side="left")


def _change_of(bands: Sequence[SuddenBand], kv_class: np.ndarray) -> np.ndarray:
    """Return the change allowed in each class, pu."""
    table = np.asarray(bands, dtype=float)
    limit: np.ndarray = table[_band_of(table[:, 0], kv_class), 1]
    return limit


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
        **{f"slow[{number}]": band.change_pu for number, band in enumerate(limits.slow)},
        **{name: getattr(limits, name) for name in _FIGURES},
        **{f"season_factor.{name}": value for name, value in limits.season_factor.items()},
        **{f"reverse_flow_kw.{name}": kw for name, kw in limits.reverse_flow_kw.items()},
    }
    return problems + [
        Problem(f"limits.{name}", f"{value} is not zero or positive")
        for name, value in figures.items()
        if not value >= 0
    ]
