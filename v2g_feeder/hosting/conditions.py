"""Feeder conditions: what is held or set while capacity is searched, printed beside every number.

The same feeder gives very different numbers under each (IEEE 1729, examples of hosting capacity).
The load level is the base load's; everything else is here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from v2g_feeder.errors import InputError, Problem

if TYPE_CHECKING:
    from v2g_feeder.feeder.model import Feeder
    from v2g_feeder.powerflow.controls import CapacitorControls, RegulatorControls

__all__ = ["Capacitors", "Conditions", "Regulators", "ReverseMode"]

_TOP_TAPS: Final = 1.5  # width of the band at the top, in taps: one always fits


class Regulators(StrEnum):
    """What regulators do while a charger of the size asked for is put on."""

    LOCKED = "locked"  # stay at the step's base state: what happens before they move
    TOP = "top"  # the same, with the base state settled at the top of each band
    FREE = "free"  # settle anew from the step's base state


class ReverseMode(StrEnum):
    """What a regulator does when power flows back through it."""

    AS_MODEL = "as_model"
    LOCKED_FORWARD = "locked_forward"  # regulates its forward side whatever the flow
    NEUTRAL = "neutral"
    BIDIRECTIONAL = "bidirectional"  # the same set-point and band, looking the other way
    COGENERATION = "cogeneration"
    UNKNOWN = "unknown"  # nobody knows: every mode is searched, and the range reported


_KNOWN_MODES: Final = (
    ReverseMode.LOCKED_FORWARD,
    ReverseMode.NEUTRAL,
    ReverseMode.BIDIRECTIONAL,
    ReverseMode.COGENERATION,
)
_WITHOUT_THRESHOLD: Final = (ReverseMode.AS_MODEL, ReverseMode.LOCKED_FORWARD)


class Capacitors(StrEnum):
    """Shunt capacitors."""

    CONTROLLED = "controlled"  # as the model has them, fixed and switched by their controls
    OFF = "off"


@dataclass(frozen=True)
class Conditions:
    """Conditions of a search.

    Parameters
    ----------
    regulators, capacitors
        See the enumerations.
    reverse_mode
        Of all regulators of the feeder; ``unknown`` stands for :meth:`alternatives`.
    reverse_threshold_kw, reverse_delay_s
        Reverse power and time from which a regulator takes the flow for reversed; ``None``: the
        model's own. Only modes other than ``as_model`` and ``locked_forward`` read them. A static
        solution has no time: of the delay only its order among the delays of regulators and banks
        counts, by which the direction changes before their taps move, or after.
    source_pu
        Voltage of the source; ``None``: the model's own.
    generation
        Existing generation over what the model and the study state: the size of every generator, PV
        system, negative load and array. 0: none. Storage stays as it is.
    """

    regulators: Regulators = Regulators.LOCKED
    reverse_mode: ReverseMode = ReverseMode.AS_MODEL
    reverse_threshold_kw: float | None = None
    reverse_delay_s: float | None = None
    capacitors: Capacitors = Capacitors.CONTROLLED
    source_pu: float | None = None
    generation: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.generation) and self.generation >= 0):
            message = f"{self.generation} is not possible"
            raise InputError(Problem("hosting.conditions.generation", message))
        given = (self.reverse_threshold_kw, self.reverse_delay_s)
        unused = self.reverse_mode in _WITHOUT_THRESHOLD
        if unused and any(value is not None for value in given):
            where = "hosting.conditions.reverse_mode"
            message = f"{self.reverse_mode} has no threshold and no delay to set"
            raise InputError(Problem(where, message))

    @property
    def settles(self) -> bool:
        """Whether regulators and switched banks move with a charger on."""
        return self.regulators == Regulators.FREE

    def alternatives(self, feeder: Feeder) -> tuple[Conditions, ...]:
        """Return these conditions, or one for each mode where that of a regulator is unknown."""
        if self.reverse_mode != ReverseMode.UNKNOWN:
            return (self,)
        if feeder.regulators.empty:
            none = ReverseMode.AS_MODEL
            return (
                replace(self, reverse_mode=none, reverse_threshold_kw=None, reverse_delay_s=None),
            )
        return tuple(
            replace(self, reverse_mode=mode, reverse_threshold_kw=None, reverse_delay_s=None)
            if mode in _WITHOUT_THRESHOLD
            else replace(self, reverse_mode=mode)
            for mode in _KNOWN_MODES
        )

    def commands(self, feeder: Feeder) -> tuple[str, ...]:
        """Return the OpenDSS commands that put a loaded model into these conditions.

        Raises
        ------
        InputError
            If the reverse mode is unknown: :meth:`alternatives` are what can be solved. For another
            level of generation than 1 on a feeder that has none.
        """
        if self.reverse_mode == ReverseMode.UNKNOWN:
            where = "hosting.conditions.reverse_mode"
            raise InputError(Problem(where, "unknown stands for every mode and is none itself"))
        found: list[str] = []
        if self.source_pu is not None:
            found.append(f"Edit Vsource.source pu={self.source_pu:g}")
        if self.generation != 1.0:
            found += self._generation(feeder)
        if self.capacitors == Capacitors.OFF:
            for row in feeder.capacitors.itertuples():
                if row.control:
                    found.append(f"Edit CapControl.{row.control} enabled=no")
                found.append(f"Edit Capacitor.{row.name} states=[0]")
        for row in feeder.regulators.itertuples():
            settings = self._reverse(float(row.vreg), float(row.band))
            if settings:
                found.append(f"Edit RegControl.{row.control} {settings}")
        return tuple(found)

    def delay_words(self, feeder: Feeder) -> str:
        """Return what the reverse delay does on a feeder, in a line; empty where none is set."""
        if self.reverse_delay_s is None or feeder.regulators.empty:
            return ""
        table = feeder.regulators
        others = table[["delay_s", "tap_delay_s"]].to_numpy(float).reshape(-1)
        before = np.sign(table["reverse_delay_s"].to_numpy(float)[:, None] - others)
        same = bool((before == np.sign(self.reverse_delay_s - others)).all())
        told = "a static solution has no time, only its order among the delays of regulators"
        banks = feeder.capacitors["control"].astype(bool).any()
        told += " and banks counts" if banks else " counts"
        if same and not banks:
            told += f"; {self.reverse_delay_s:g} s stands as the model's own does, and does nothing"
        return told

    def _generation(self, feeder: Feeder) -> list[str]:
        """Return the commands that bring all generation to its level.

        A PV system's panels and inverter grow alike. OpenDSS divides by both, so that at 0 the
        element is switched off.
        """
        level, table = self.generation, feeder.generation
        negative = feeder.loads[feeder.loads["kw"] < 0]
        if table.empty and negative.empty:
            message = f"{level:g}, but the feeder has no generator, PV system, array, negative load"
            raise InputError(Problem("hosting.conditions.generation", message, "leave it out"))
        found = [
            f'Edit "Load.{row.name}" kw={level * row.kw:.9g} kvar={level * row.kvar:.9g}'
            for row in negative.itertuples(index=False)
        ]
        for row in table.itertuples(index=False):
            pv = row.element.startswith("PVSystem.")
            sizes = {"pmpp" if pv else "kw": row.kw, "kva": row.kva, "kvar": row.kvar}
            text = " ".join(
                f"{key}={level * size:.9g}" for key, size in sizes.items() if np.isfinite(size)
            )
            found.append(f'Edit "{row.element}" {text if level else "enabled=no"}')
        return found

    def _reverse(self, vreg: float, band: float) -> str:
        """Return the settings of a regulator for the reverse mode."""
        if self.reverse_mode == ReverseMode.AS_MODEL:
            return ""
        if self.reverse_mode == ReverseMode.LOCKED_FORWARD:
            return "reversible=no revNeutral=no Cogen=no"
        words = {
            ReverseMode.NEUTRAL: "reversible=yes revNeutral=yes Cogen=no",
            ReverseMode.BIDIRECTIONAL: "reversible=yes revNeutral=no Cogen=no "
            f"revvreg={vreg:g} revband={band:g}",
            ReverseMode.COGENERATION: "reversible=yes revNeutral=no Cogen=yes",
        }[self.reverse_mode]
        if self.reverse_threshold_kw is not None:
            words += f" revThreshold={self.reverse_threshold_kw:g}"
        if self.reverse_delay_s is not None:
            words += f" revDelay={self.reverse_delay_s:g}"
        return words

    def controls(
        self, own: tuple[RegulatorControls, CapacitorControls]
    ) -> tuple[RegulatorControls, CapacitorControls]:
        """Return the controls that settle the base states, from the model's own.

        For ``top`` each regulator keeps to the highest tap inside its band.
        """
        regulators, banks = own
        if self.regulators != Regulators.TOP:
            return own
        tap = regulators.step * regulators.volts / regulators.volts_ratio  # at the relay
        width = (_TOP_TAPS * tap)[:, None]
        wide = regulators.band > width
        top = regulators.target + (regulators.band - width) / 2
        return (
            regulators._replace(
                target=np.where(wide, top, regulators.target),
                band=np.where(wide, width, regulators.band),
            ),
            banks,
        )

    def words(self) -> str:
        """Return the conditions in a line, as they are printed beside every number."""
        parts = [f"regulators {self.regulators}", f"reverse mode {self.reverse_mode}"]
        if self.reverse_threshold_kw is not None:
            parts.append(f"threshold {self.reverse_threshold_kw:g} kW")
        if self.reverse_delay_s is not None:
            parts.append(f"delay {self.reverse_delay_s:g} s")
        source = "as the model" if self.source_pu is None else f"{self.source_pu:g} pu"
        level = "as stated" if self.generation == 1.0 else f"{self.generation:g} x what is stated"
        parts += [f"capacitors {self.capacitors}", f"source {source}", f"generation {level}"]
        return ", ".join(parts)
