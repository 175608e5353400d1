"""Figures: the numbers of the fleet's data files, each with its unit, source and mark."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import yaml

from v2g_feeder.errors import InputError, Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Figure", "FigureReader", "parse_figures", "read_figures"]

_PARTS: Final = ("value", "unit", "mark", "source")
_MARKS: Final = ("P", "D", "A")


@dataclass(frozen=True)
class Figure:
    """One default and where it comes from.

    Parameters
    ----------
    name
        Dotted key in its data file.
    value
        A number, or a tuple of numbers (or of tuples, for a table).
    unit
        Unit; ``"1"`` for a share or a factor.
    source
        Publication or data set; for an assumption, the reasoning.
    mark
        ``P`` read in a publication, ``D`` computed from data, ``A`` an assumption.
    """

    name: str
    value: Any
    unit: str
    source: str
    mark: str


def read_figures(file: str) -> dict[str, Figure]:
    """Return the figures of a data file of this package, by dotted key."""
    text = resources.files("v2g_feeder.fleet").joinpath("data", file).read_text(encoding="utf-8")
    return parse_figures(text, file)


def parse_figures(text: str, where: str) -> dict[str, Figure]:
    """Return the figures of a YAML text, by dotted key.

    Parameters
    ----------
    text
        Nested mappings; each leaf has ``value``, ``unit``, ``mark`` and ``source``.
    where
        File name for the messages.

    Raises
    ------
    InputError
        With every figure that lacks a part, has an unknown mark, or is not made of finite numbers.
    """
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise InputError(Problem(f"{where}{line}", "not readable as YAML")) from error
    if not isinstance(tree, dict) or not tree:
        raise InputError(Problem(where, "no figures found", "expected key: {value, unit, ...}"))
    figures: dict[str, Figure] = {}
    problems: list[Problem] = []
    _collect(tree, "", where, figures, problems)
    if problems:
        raise InputError(problems)
    return figures


def _collect(
    node: dict[Any, Any],
    prefix: str,
    where: str,
    into: dict[str, Figure],
    problems: list[Problem],
) -> None:
    """Add every figure below ``node`` to ``into``, and what is wrong to ``problems``."""
    for key, entry in node.items():
        name = f"{prefix}{key}"
        place = f"{where}: {name}"
        if not isinstance(entry, dict) or not entry:
            hint = f"{key}: {{value: {entry}, unit: ..., mark: A, source: ...}}"
            problems.append(Problem(place, "a figure needs value, unit, mark and source", hint))
        elif "value" not in entry and all(isinstance(item, dict) for item in entry.values()):
            _collect(entry, f"{name}.", where, into, problems)
        else:
            found = _figure_problems(place, entry)
            problems += found
            if not found:
                value = _frozen(entry["value"])
                into[name] = Figure(
                    name, value, str(entry["unit"]), str(entry["source"]), entry["mark"]
                )


def _figure_problems(place: str, entry: dict[Any, Any]) -> list[Problem]:
    """Return what is wrong with one figure."""
    problems = [Problem(place, f"{part} is missing") for part in _PARTS if part not in entry]
    problems += [
        Problem(place, f"unknown key {key!r}", nearest(str(key), _PARTS))
        for key in entry
        if key not in _PARTS
    ]
    if "mark" in entry and entry["mark"] not in _MARKS:
        message = f"mark {entry['mark']!r} is not P (publication), D (data) or A (assumption)"
        problems.append(Problem(place, message))
    if "value" in entry and not _is_numeric(entry["value"]):
        problems.append(Problem(place, f"{entry['value']!r} is not a number, or a list of numbers"))
    return problems


def _is_numeric(value: Any) -> bool:
    """Return whether ``value`` is a finite number, or a list of such (of lists)."""
    if isinstance(value, list):
        return all(_is_numeric(item) for item in value)
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _frozen(value: Any) -> Any:
    """Return numbers as floats and lists as tuples."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else float(value)


class FigureReader:
    """Takes values out of figures and gathers everything that is wrong with them.

    Parameters
    ----------
    figures
        By dotted key.
    where
        File name (and section) for the messages.

    Notes
    -----
    A value that is wrong is still returned as something usable (zeros of the right shape), so that
    one reading finds all problems; call :meth:`finish` before using any.
    """

    def __init__(self, figures: Mapping[str, Figure], where: str) -> None:
        self.problems: list[Problem] = []
        self._figures = figures
        self.where = where
        self._known: list[str] = []

    def __contains__(self, key: str) -> bool:
        """Return whether the key is given."""
        return key in self._figures

    def number(
        self,
        key: str,
        low: float = -math.inf,
        high: float = math.inf,
        *,
        default: float | None = None,
    ) -> float:
        """Return a number of ``low`` to ``high``; a key without ``default`` is required."""
        value = self._value(key, required=default is None)
        if value is None:
            return 0.0 if default is None else default
        if isinstance(value, tuple):
            self._wrong(key, "expected one number, not a list")
            return 0.0
        if not low <= value <= high:
            self._wrong(key, f"{value:g} is not {low:g} to {high:g}")
        return float(value)

    def row(
        self,
        key: str,
        length: int | None = None,
        low: float = -math.inf,
        high: float = math.inf,
        *,
        rising: bool = False,
        required: bool = True,
    ) -> tuple[float, ...]:
        """Return a list of numbers of ``low`` to ``high``, of this length, not falling."""
        value = self._value(key, required=required)
        if value is None:
            return (0.0,) * (length or 0)
        return self._checked_row(key, value, length, low, high, rising=rising)

    def rows(
        self, key: str, count: int, length: int, low: float = -math.inf
    ) -> tuple[tuple[float, ...], ...]:
        """Return ``count`` lists of ``length`` numbers of ``low`` or more, none falling."""
        value = self._value(key, required=True)
        if value is None:
            return ()
        if not isinstance(value, tuple) or len(value) != count:
            found = len(value) if isinstance(value, tuple) else "a number"
            self._wrong(key, f"expected {count} rows, found {found}")
            return ()
        return tuple(
            self._checked_row(f"{key}[{number}]", row, length, low, math.inf, rising=True)
            for number, row in enumerate(value)
        )

    def finish(self) -> None:
        """Add the keys that nobody asked for, then raise if anything is wrong."""
        for key in self._figures:
            if key not in self._known:
                self._wrong(key, "unknown key", nearest(key, self._known))
        if self.problems:
            raise InputError(self.problems)

    def _value(self, key: str, *, required: bool) -> Any:
        self._known.append(key)
        if key in self._figures:
            return self._figures[key].value
        if required:
            self._wrong(key, "is missing")
        return None

    def _checked_row(
        self, key: str, value: Any, length: int | None, low: float, high: float, *, rising: bool
    ) -> tuple[float, ...]:
        if not isinstance(value, tuple) or any(isinstance(item, tuple) for item in value):
            self._wrong(key, "expected a list of numbers")
        elif length is not None and len(value) != length:
            self._wrong(key, f"expected {length} values, found {len(value)}")
        elif any(not low <= item <= high for item in value):
            self._wrong(key, f"values must be {low:g} to {high:g}")
        elif rising and any(after < before for before, after in pairwise(value)):
            self._wrong(key, "values must not fall")
        else:
            return value
        return (0.0,) * (length or 0)

    def _wrong(self, key: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem(f"{self.where}: {key}", message, hint))
