"""Figures: the numbers of the fleet's data files, each with its unit, source and mark."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

__all__ = ["Figure", "read_figures"]


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
    figures: dict[str, Figure] = {}
    _collect(yaml.safe_load(text), "", figures)
    return figures


def _collect(node: dict[str, Any], prefix: str, into: dict[str, Figure]) -> None:
    """Add every figure below ``node`` to ``into``."""
    for key, entry in node.items():
        name = f"{prefix}{key}"
        if "value" in entry:
            value = _frozen(entry["value"])
            into[name] = Figure(name, value, entry["unit"], entry["source"], entry["mark"])
        else:
            _collect(entry, f"{name}.", into)


def _frozen(value: Any) -> Any:
    """Return numbers as floats and lists as tuples."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else float(value)
