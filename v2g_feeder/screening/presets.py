"""Sets of limits as data: the published presets, and a user's own in a YAML file.

Both are written alike. A user's file holds one set::

    like: ansi_c84_1_a            # what is left out is taken from here
    voltage:                      # or every band of your own
      - {kv_max: 0.6, vmin_pu: 0.94, vmax_pu: 1.06, source: planning guide 2025}
      - {kv_max: .inf, vmin_pu: 0.97, vmax_pu: 1.05}
    thermal: {pct: 100, season_factor: {winter: 1.15}}
    line_unbalance: {pct: 2}

``source`` is printed beside the figure; ``mark`` (P, K or A) may stand beside it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.screening.limits import Limits, Source, SuddenBand, VoltageBand
from v2g_feeder.screening.plain_yaml import read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["is_file_name", "load_limits", "preset_names"]

_BANDS: Final = {"voltage": VoltageBand, "sudden": SuddenBand, "slow": SuddenBand}
_FIGURES: Final[Mapping[str, Mapping[str, str]]] = {
    "thermal": {"pct": "thermal_pct"},
    "emergency": {"pct": "emergency_pct"},
    "regulator_deviation": {"band_share": "band_share"},
    "tap_operations": {"a_day": "tap_operations_a_day"},
    "capacitor_operations": {"a_day": "capacitor_operations_a_day"},
    "line_unbalance": {"pct": "line_unbalance_pct"},
    "sequence_unbalance": {"pct": "sequence_unbalance_pct"},
    "head_unbalance": {"pct": "head_unbalance_pct", "floor_a": "head_unbalance_floor_a"},
}
_UNITS: Final = {"pct": "%", "band_share": "of the band", "a_day": "a day", "floor_a": "A"}
_CITED: Final = ("source", "mark")
_MARKS: Final = ("P", "K", "A", "")
_OTHER: Final = ("like", "title", "reverse_flow")
_KEYS: Final = (*_OTHER, *_BANDS, *_FIGURES)


def preset_names() -> tuple[str, ...]:
    """Return the names of the published sets."""
    return tuple(_presets())


def is_file_name(name: str) -> bool:
    """Whether a set of limits is named by its file and not as a published one."""
    return name.lower().endswith((".yaml", ".yml"))


def load_limits(name: str, folder: Path | None = None) -> Limits:
    """Return a set of limits.

    Parameters
    ----------
    name
        ``ansi_c84_1_a``, ``ansi_c84_1_b``, ``en_50160``, ``ica`` or ``drive``; or the path of a
        YAML file, as the module describes.
    folder
        What such a path is relative to; left out, the working directory.

    Returns
    -------
    Limits
        With the source of every figure. A criterion that the set does not name is not screened.

    Raises
    ------
    InputError
        For an unknown name, with the nearest known one; for a file, with every problem in it.
    """
    if is_file_name(name):
        return _from_file((folder or Path()) / name)
    presets = _presets()
    if name not in presets:
        known = ", ".join(presets)
        hint = nearest(name, list(presets)) or "or the path of a YAML file"
        raise InputError(Problem("limits", f"unknown preset {name!r}; one of {known}", hint))
    return _Reader(name, presets[name], f"limits {name}").limits()


def _presets() -> dict[str, Any]:
    """Return the data file as it is written."""
    text = files("v2g_feeder.screening").joinpath("data/limits.yaml").read_text(encoding="utf-8")
    presets: dict[str, Any] = yaml.safe_load(text)
    return presets


def _from_file(path: Path) -> Limits:
    """Return the set of a user's file, on top of the one that it is like."""
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(Problem(str(path), "is not a set of limits: a mapping is expected"))
    like = content.get("like")
    base = None
    if like is not None:
        if like not in preset_names():
            hint = nearest(str(like), list(preset_names()))
            raise InputError(Problem(f"{path}: like", f"unknown preset {like!r}", hint))
        base = load_limits(str(like))
    return _Reader(path.stem, content, str(path), base).limits()


class _Reader:
    """Turns a set as it is written into :class:`Limits`, collecting what is wrong with it."""

    def __init__(
        self, name: str, content: Mapping[str, Any], where: str, base: Limits | None = None
    ) -> None:
        self._name, self._content, self._where, self._base = name, content, where, base
        self._problems: list[Problem] = []
        self._sources: list[Source] = []

    def limits(self) -> Limits:
        """Return the limits; raises with all problems at once."""
        fields = self._fields()
        if self._problems:
            raise InputError(self._problems)
        kept: tuple[Source, ...] = ()
        if self._base is not None:
            kept = tuple(item for item in self._base.sources if item.setting not in fields)
        fields |= {"name": self._name, "sources": (*kept, *self._sources)}
        try:
            return Limits(**fields) if self._base is None else replace(self._base, **fields)
        except InputError as error:
            raise InputError(
                [
                    Problem(f"{self._where}: {problem.where}", problem.message, problem.hint)
                    for problem in error.problems
                ]
            ) from error

    def _fields(self) -> dict[str, Any]:
        """Return the fields that the set gives, and note what is wrong."""
        for key in self._content:
            if key not in _KEYS:
                self._wrong(key, "unknown key", nearest(str(key), _KEYS))
        fields: dict[str, Any] = {}
        for key, kind in _BANDS.items():
            if key in self._content:
                fields[key] = self._bands(key, kind)
            elif key != "slow" and self._base is None:
                self._wrong(key, "is missing", "or take it over with like: ansi_c84_1_a")
        for key in _FIGURES:
            if key in self._content:
                fields |= self._figures(key)
        if "reverse_flow" in self._content:
            fields["reverse_flow_kw"] = self._numbers("reverse_flow")
        return fields

    def _wrong(self, key: object, message: str, hint: str = "") -> None:
        self._problems.append(Problem(f"{self._where}: {key}", message, hint))

    def _number(self, where: str, value: Any) -> float:
        """Return a number; a problem and NaN for anything else."""
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            self._wrong(where, f"{value!r} is not a number")
            return math.nan
        return float(value)

    def _section(self, where: str, section: Any, known: tuple[str, ...]) -> dict[str, Any]:
        """Return a mapping whose keys are all known."""
        if not isinstance(section, dict):
            self._wrong(where, f"{section!r} is not a mapping of {', '.join(known)}")
            return {}
        for key in section:
            if key not in (*known, *_CITED):
                self._wrong(f"{where}.{key}", "unknown key", nearest(str(key), known))
        if section.get("mark", "") not in _MARKS:
            self._wrong(f"{where}.mark", f"{section['mark']!r} is not one of P, K, A")
        return section

    def _cite(self, setting: str, figure: str, section: Mapping[str, Any]) -> None:
        text, mark = section.get("source", "set by the study"), section.get("mark", "")
        self._sources.append(Source(setting, figure, str(text), str(mark)))

    def _bands(self, key: str, kind: type[VoltageBand | SuddenBand]) -> list[Any]:
        """Return the bands of voltages or changes."""
        rows = self._content[key]
        if not isinstance(rows, list):
            self._wrong(key, "is not a list of bands")
            return []
        bands = []
        for number, row in enumerate(rows):
            where = f"{key}[{number}]"
            section = self._section(where, row, kind._fields)
            missing = [name for name in kind._fields if name not in section]
            if missing:
                self._wrong(where, f"lacks {', '.join(missing)}")
                continue
            values = {name: self._number(f"{where}.{name}", section[name]) for name in kind._fields}
            band = kind(**values)
            figure = "-".join(f"{value:g}" for value in band[1:])
            self._cite(key, f"{figure} pu {_classes(band.kv_max)}", section)
            bands.append(band)
        return bands

    def _figures(self, key: str) -> dict[str, Any]:
        """Return the figures of a criterion, by field of :class:`Limits`."""
        known = (*_FIGURES[key], *(["season_factor"] if key == "thermal" else []))
        section = self._section(key, self._content[key], known)
        found: dict[str, Any] = {}
        for name, setting in _FIGURES[key].items():
            if name in section:
                found[setting] = self._number(f"{key}.{name}", section[name])
                self._cite(setting, f"{found[setting]:g} {_UNITS[name]}", section)
        if "season_factor" in section:
            factors = self._numbers("season_factor", section["season_factor"])
            found["season_factor"] = factors
            for season, factor in factors.items():
                self._cite("season_factor", f"{factor:g} x normal amps in {season}", section)
        return found

    def _numbers(self, key: str, section: Any = None) -> dict[str, float]:
        """Return a mapping of names to numbers."""
        section = self._content[key] if section is None else section
        if not isinstance(section, dict):
            self._wrong(key, f"{section!r} is not a mapping of names to numbers")
            return {}
        return {str(name): self._number(f"{key}.{name}", value) for name, value in section.items()}


def _classes(kv_max: float) -> str:
    """Return the classes a band reaches up to, in words."""
    return f"up to {kv_max:g} kV" if math.isfinite(kv_max) else "in every other class"
