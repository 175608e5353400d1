"""Answers of the checklist: pass, fail or unknown, with what they rest on and what is missing.

The answer of an item follows from its parts: it fails if one of its figures breaks a threshold, is
unknown if anything is missing, and passes only otherwise. So missing evidence is never a pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ITEMS", "Answer", "Item", "Measure", "together"]

ITEMS = {
    "evening_peak": "Evening peak hours recur within a narrow window",
    "plug_in": "A fleet or site has predictable plug-in times",
    "telemetry": "Telemetry shows phase, power and connection status",
    "protection": "Protection settings can be reviewed without major rebuilds",
    "agreement": "Control agreements define who can call discharge events",
}
"""The five items by key, in order."""


class Answer(StrEnum):
    """Answer of an item, of a question, or of one figure."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    UNKNOWN = "unknown"


def together(answers: Iterable[Answer]) -> Answer:
    """Return the answer of several: fail goes before unknown, unknown before pass."""
    found = set(answers)
    return next((a for a in (Answer.FAIL, Answer.UNKNOWN) if a in found), Answer.PASS)


@dataclass(frozen=True)
class Measure:
    """One figure of an item, beside its threshold if it has one.

    Parameters
    ----------
    name
        What it is, in words.
    value
        The figure; NaN where it could not be found.
    unit
        ``1`` is a share.
    at_least, at_most
        Threshold; with neither, the figure is shown and not judged.
    note
        Interval, counts and the like.
    """

    name: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def judged(self) -> bool:
        """Whether it has a threshold."""
        return self.at_least is not None or self.at_most is not None

    @property
    def answer(self) -> Answer:
        """Whether it keeps its threshold; unknown where it is no number."""
        if not self.judged:
            return Answer.PASS
        if math.isnan(self.value):
            return Answer.UNKNOWN
        low = -math.inf if self.at_least is None else self.at_least
        high = math.inf if self.at_most is None else self.at_most
        return Answer.PASS if low <= self.value <= high else Answer.FAIL

    @property
    def shown(self) -> str:
        """The figure in words; shares in percent."""
        return "unknown" if math.isnan(self.value) else _amount(self.value, self.unit)

    @property
    def threshold(self) -> str:
        """The threshold in words; empty where there is none."""
        low, high = (
            None if limit is None else _amount(limit, self.unit)
            for limit in (self.at_least, self.at_most)
        )
        if low and high:
            return f"{low} to {high}"
        return f"at least {low}" if low else f"at most {high}" if high else ""


def _amount(value: float, unit: str) -> str:
    """Return a figure with its unit."""
    if unit == "1":
        return f"{100 * value:.4g} %"
    return f"{value:.3g} {unit}" if unit else f"{value:.4g}"


@dataclass(frozen=True)
class Item:
    """The answer to one of the five items.

    Parameters
    ----------
    key
        Of :data:`ITEMS`.
    measures
        Its figures.
    evidence
        Files that it rests on.
    missing
        What would turn an unknown into an answer, one sentence each.
    failed
        What is known to be absent or wrong beside the figures.
    notes
        What a reader must know beside the figures.
    """

    key: str
    measures: tuple[Measure, ...] = ()
    evidence: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The item in words."""
        return ITEMS[self.key]

    @property
    def answer(self) -> Answer:
        """Pass, fail or unknown."""
        found = [measure.answer for measure in self.measures]
        found += [Answer.FAIL] if self.failed else []
        found += [Answer.UNKNOWN] if self.missing or not self.evidence else []
        return together(found)
