"""What a model states about emergency ratings and regulators, told from the engine's defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["emergency_ratio", "pt_ratio", "tap_step"]

_DEFAULT_EMERGENCY_A: Final = 600.0
_DEFAULT_TAPS: Final = {"MinTap": 0.9, "MaxTap": 1.1, "NumTaps": 32}
_DEFAULT_PT_RATIO: Final = 60.0


def emergency_ratio(stated: Mapping[str, Any], elements: pd.DataFrame) -> np.ndarray:
    """Return emergency over normal rating of each element, ``[element]``.

    Parameters
    ----------
    stated
        Properties that the model states (:meth:`~v2g_feeder.feeder.engine.Engine.circuit`).
    elements
        With ``element``, ``rating_a`` and ``rating_kva``.

    Returns
    -------
    numpy.ndarray
        NaN where either rating is not stated: the engine's 600 A, and its 150 % of a
        transformer's nameplate, are no ratings.
    """
    amps, kva = _emergency_amps(stated), _emergency_kva(stated)
    ratio = np.full(len(elements), np.nan)
    columns = (elements[name] for name in ("element", "rating_a", "rating_kva"))
    for number, (element, rating_a, rating_kva) in enumerate(zip(*columns, strict=True)):
        kind, name = str(element).lower().split(".", 1)
        if kind == "line":
            ratio[number] = amps.get(name, np.nan) / rating_a
        elif kind == "transformer":
            ratio[number] = kva.get(name, np.nan) / rating_kva
    return ratio


def tap_step(stated: Mapping[str, Any], control: Mapping[str, Any]) -> float:
    """Return the size of a step of the winding that a RegControl moves, per unit."""
    unit = _by_name(stated, "Transformer").get(_last(control["Transformer"]), {})
    code = _by_name(stated, "XfmrCode").get(_last(unit.get("XfmrCode", "")), {})
    winding = int(control.get("TapWinding", control.get("Winding", 1))) - 1
    found = {}
    for key, default in _DEFAULT_TAPS.items():
        value = unit.get(key, code.get(key, default))
        found[key] = float(value[winding] if isinstance(value, list) else value)
    return (found["MaxTap"] - found["MinTap"]) / max(found["NumTaps"], 1.0)


def pt_ratio(control: Mapping[str, Any]) -> float:
    """Return the ratio of a RegControl's potential transformer; 60 is what the engine uses."""
    return float(control.get("PTRatio", _DEFAULT_PT_RATIO))


def _by_name(stated: Mapping[str, Any], kind: str) -> dict[str, Mapping[str, Any]]:
    return {str(row["Name"]).lower(): row for row in stated.get(kind, [])}


def _last(name: object) -> str:
    return str(name).split(".")[-1].lower()


def _emergency_amps(stated: Mapping[str, Any]) -> dict[str, float]:
    """Return the stated emergency amps by line: its own, its code's, its geometry's or its wire's.

    A line with a code copies the code's figure, stated or not; the engine's default then counts
    as not stated.
    """
    codes, shapes = _by_name(stated, "LineCode"), _by_name(stated, "LineGeometry")
    wires = {
        name: row
        for kind in ("WireData", "CNData", "TSData")
        for name, row in _by_name(stated, kind).items()
    }
    found = {}
    for name, row in _by_name(stated, "Line").items():
        code, shape = codes.get(_last(row.get("LineCode", ""))), _last(row.get("Geometry", ""))
        own = row.get("EmergAmps")
        if code is not None and "EmergAmps" not in code and own == _DEFAULT_EMERGENCY_A:
            own = None
        geometry = shapes.get(shape, {})
        strung = (row.get("Conductors") or geometry.get("Conductors") or [""])[0]
        wire = wires.get(_last(strung), {})
        places = (own, (code or {}).get("EmergAmps"), geometry.get("EmergAmps"))
        known = [amps for amps in (*places, wire.get("EmergAmps")) if amps is not None]
        if known:
            found[name] = float(known[0])
    return found


def _emergency_kva(stated: Mapping[str, Any]) -> dict[str, float]:
    """Return the stated emergency kVA by transformer, its own or its code's."""
    codes = _by_name(stated, "XfmrCode")
    found = {}
    for name, row in _by_name(stated, "Transformer").items():
        kva = row.get("EmergHkVA", codes.get(_last(row.get("XfmrCode", "")), {}).get("EmergHkVA"))
        if kva is not None:
            found[name] = float(kva)
    return found
