"""Volt-var and volt-watt of bidirectional chargers, and the fixed point of chargers and feeder.

A charger's power is a function of its own voltage: the mean over its phases, per unit of its rated
voltage. Reactive power goes first: what it leaves of the rated kVA bounds the export. Charging is
never cut, the vars take what it leaves. Both engines find the same fixed point by relaxation:
powers move by a share of what they miss, and the share follows from the last two misses (Aitken's
secant), state by state.

References: IEEE 1547-2018, 5.3.3 and 5.4.2 (the curves), 5.3.1 (priority of reactive power); U.
Küttler and W. Wall, Comput. Mech. 43 (2008) 61-72 (dynamic relaxation).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
import yaml

from v2g_feeder.errors import InputError, Problem

__all__ = [
    "MIN_EXPORT_KW",
    "MOST_ROUNDS",
    "ChargerControl",
    "Curve",
    "Follow",
    "Operation",
    "category_b",
    "charger_figures",
    "respond",
]

MIN_EXPORT_KW: Final = 1e-3
"""Power above which a connection point counts as exporting."""
MOST_ROUNDS: Final = 200
"""Rounds after which chargers have not come to rest."""
_AT_REST: Final = 1e-7  # largest miss, as a share of the rated kW
_FIRST_SHARE: Final = 0.25  # a whole response at once may be more than the feeder can carry
_LEAST_SHARE: Final = 0.02


class Operation(StrEnum):
    """When chargers follow their curves: exporting, or exporting and charging; never idle."""

    EXPORT = "export"
    BOTH = "both"


@lru_cache(maxsize=1)
def charger_figures() -> dict[str, dict[str, Any]]:
    """Return the default figures with unit, mark and source, from ``data/chargers.yaml``."""
    text = files("v2g_feeder.powerflow").joinpath("data/chargers.yaml").read_text(encoding="utf-8")
    figures: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return figures


@dataclass(frozen=True)
class Curve:
    """A share of a rating by voltage: straight between points, level beyond them.

    Parameters
    ----------
    v_pu
        Voltages, rising, per unit.
    share
        Of rated kVA (volt-var, positive injects) or of rated kW (volt-watt).
    """

    v_pu: tuple[float, ...]
    share: tuple[float, ...]

    def at(self, v_pu: np.ndarray) -> np.ndarray:
        """Return the share at a voltage, elementwise."""
        return np.asarray(np.interp(v_pu, self.v_pu, self.share))


def category_b(name: str) -> Curve:
    """Return the default curve of category B: ``volt_var`` or ``volt_watt``."""
    value = charger_figures()[f"{name}.category_b"]["value"]
    return Curve(tuple(value["v_pu"]), tuple(value["share"]))


@dataclass(frozen=True)
class ChargerControl:
    """What bidirectional chargers do with their voltage; nothing by default.

    Parameters
    ----------
    volt_var, volt_watt
        Curves; ``None``: disabled.
    on
        Whether they act while a connection point exports, or while it charges too.
    kva_per_kw
        Rated kVA over rated kW.

    Raises
    ------
    InputError
        For a rating that is not above 0.
    """

    volt_var: Curve | None = None
    volt_watt: Curve | None = None
    on: Operation = Operation.EXPORT
    kva_per_kw: float = field(default_factory=lambda: charger_figures()["kva_per_kw"]["value"])

    def __post_init__(self) -> None:
        if not (math.isfinite(self.kva_per_kw) and self.kva_per_kw > 0):
            message = f"{self.kva_per_kw!r} is not above 0"
            raise InputError(Problem("chargers.kva_per_kw", message))

    @property
    def enabled(self) -> bool:
        """Whether any curve is."""
        return self.volt_var is not None or self.volt_watt is not None

    def acting(self, kw: np.ndarray) -> np.ndarray:
        """Say which chargers follow their curves at a requested power, elementwise."""
        if not self.enabled:
            return np.zeros(np.shape(kw), bool)
        both = self.on == Operation.BOTH
        return np.asarray((kw < -MIN_EXPORT_KW) | (both & (kw > MIN_EXPORT_KW)))

    def words(self) -> str:
        """Return the control in a line."""
        if not self.enabled:
            return "constant power at unity power factor; volt-var and volt-watt are disabled"
        names = [
            name
            for name, curve in (("volt-var", self.volt_var), ("volt-watt", self.volt_watt))
            if curve is not None
        ]
        when = "while exporting" if self.on == Operation.EXPORT else "exporting and charging"
        told = f"{' and '.join(names)} {when}, reactive power first within "
        told += f"{self.kva_per_kw:g} kVA a rated kW; else constant power at unity power factor"
        if self.volt_watt is not None:
            told += f"; volt-watt begins at {self.volt_watt.v_pu[0]:g} pu"
        return told


def respond(
    control: ChargerControl, v_pu: np.ndarray, kw: np.ndarray, rated_kw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what chargers do at a voltage.

    Parameters
    ----------
    control
        Their curves.
    v_pu
        Voltage per unit of the rating, any shape.
    kw
        Power asked for, signed: positive draws.
    rated_kw
        Export rating.

    Returns
    -------
    tuple of ndarray
        kW and kvar, signed: positive draws, so that vars absorbed at high voltage are positive. A
        charger that does not act keeps its kW at unity power factor.
    """
    acts, exports = control.acting(kw), kw < -MIN_EXPORT_KW
    rated_kva = control.kva_per_kw * rated_kw
    wanted = np.zeros_like(v_pu * kw)
    if control.volt_var is not None:
        wanted = -control.volt_var.at(v_pu) * rated_kva
    left = np.sqrt(np.maximum(rated_kva**2 - kw**2, 0.0))
    kvar = np.where(acts, np.where(exports, wanted, np.clip(wanted, -left, left)), 0.0)
    most = np.sqrt(np.maximum(rated_kva**2 - kvar**2, 0.0))
    if control.volt_watt is not None:
        most = np.minimum(most, control.volt_watt.at(v_pu) * rated_kw)
    return np.where(acts & exports, -np.minimum(-kw, most), kw), kvar


class Follow:
    """Chargers on their way to the fixed point with the feeder; last axis states.

    Parameters
    ----------
    control
        Their curves.
    kw, rated_kw
        Power asked for (signed) and export rating, ``[charger, state]``.
    """

    def __init__(self, control: ChargerControl, kw: np.ndarray, rated_kw: np.ndarray) -> None:
        self.control, self.asked_kw = control, kw.copy()
        self._rated = np.broadcast_to(rated_kw, kw.shape)
        self.given = np.stack([self.asked_kw, np.zeros_like(kw)])
        self._share = np.full(kw.shape[1], _FIRST_SHARE)
        self._missed: np.ndarray | None = None

    @property
    def acting(self) -> np.ndarray:
        """Whether any charger of a state follows its curves, ``[state]``."""
        return np.asarray(self.control.acting(self.asked_kw).any(axis=0))

    @property
    def curtailed_kw(self) -> np.ndarray:
        """Export asked for and not given, ``[state]``."""
        return np.asarray((self.given[0] - self.asked_kw).sum(axis=0))

    def restart(self) -> None:
        """Forget the last misses: the feeder is another."""
        self._share[:], self._missed = _FIRST_SHARE, None

    def move(self, v_pu: np.ndarray, left: np.ndarray) -> np.ndarray:
        """Move towards what the curves ask for at the voltages just solved.

        Parameters
        ----------
        v_pu
            At the powers ``given``, ``[charger, state]``.
        left
            States that may not be at rest, ``[state]``; the others keep their powers.

        Returns
        -------
        ndarray
            States of ``left`` that are not at rest, whose powers have been moved.
        """
        found = respond(self.control, v_pu, self.asked_kw, self._rated)
        miss = np.stack(found) - self.given
        size = np.abs(miss) / np.maximum(self._rated, MIN_EXPORT_KW)
        left = left & ~(size.max(axis=(0, 1), initial=0.0) <= _AT_REST)
        if self._missed is not None:
            turn = miss - self._missed
            square = np.maximum((turn * turn).sum(axis=(0, 1)), np.finfo(float).tiny)
            secant = -self._share * (self._missed * turn).sum(axis=(0, 1)) / square
            self._share = np.clip(secant, _LEAST_SHARE, 1.0)
        self._missed = miss
        self.given += np.where(left, self._share * miss, 0.0)
        return left
