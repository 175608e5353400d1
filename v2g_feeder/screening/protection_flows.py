"""Checks of the protection screen that rest on export and load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from v2g_feeder.screening.protection_faults import RELAYS
from v2g_feeder.screening.protection_row import Row, joined, unplaced

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

    from v2g_feeder.screening.protection_figures import ProtectionSettings
    from v2g_feeder.screening.zones import Zone

__all__ = ["export_rows", "residual_rows"]


def export_rows(
    devices: pd.DataFrame,
    zones: Mapping[str, Zone],
    export_kw: Mapping[str, float],
    standing: pd.DataFrame | None,
    figures: ProtectionSettings,
) -> Iterator[Row]:
    """Yield reverse power, islanding and load rejection; ``export_kw`` by device, a magnitude."""
    for device in devices.itertuples():
        name = str(device.device)
        reverses = device.kind in RELAYS or device.reverse_kw >= 0
        if name not in zones:
            checks = ["reverse_power"] * reverses + ["islanding", "load_rejection"]
            yield from (Row(name, check, missing=unplaced(name, zones)) for check in checks)
            continue
        least = float(device.minimum_load_kw)
        if np.isnan(least) and standing is not None and name in standing.index:
            least = float(standing.loc[name, "minimum_kw"])
        kw, bus = export_kw[name], zones[name].far
        if reverses:
            yield _reverse(device, kw, least, bus)
        missing = "least load behind it" if np.isnan(least) and kw > 0 else ""
        load = np.nan if np.isnan(least) else max(least, 0.0)
        ratio = 0.0 if kw == 0 else kw / max(load, 1e-6)
        known = "" if np.isnan(load) else f"{load:.0f} kW of load"
        note = joined(f"{kw:.0f} kW of chargers", known)
        for check, limit, unit in (
            ("islanding", figures.island_ratio, "x least load"),
            ("load_rejection", figures.rejection_pu, "pu"),
        ):
            yield Row(name, check, ratio, limit, unit, 0.0, bus=bus, missing=missing, note=note)


def _reverse(device: Any, kw: float, least: float, bus: str) -> Row:
    """Return reverse power against the setting of a directional element."""
    name, setting = str(device.device), float(device.reverse_kw)
    load = 0.0 if np.isnan(least) else least
    value, reference = max(kw - load, 0.0), max(-load, 0.0)
    if kw == 0 or (np.isnan(setting) and device.directional == "no"):
        note = "no directional element" if kw else "no charger exports behind it"
        return Row(name, "reverse_power", value, np.inf, "kW", reference, bus=bus, note=note)
    missing = "" if setting >= 0 else "setting of its directional or reverse-power element"
    if np.isnan(least) and not value <= setting:
        missing = joined(missing, "least load behind it")
    return Row(name, "reverse_power", value, setting, "kW", reference, bus=bus, missing=missing)


def residual_rows(
    devices: pd.DataFrame,
    zones: Mapping[str, Zone],
    residual: Mapping[str, float],
    standing: pd.DataFrame | None,
) -> Iterator[Row]:
    """Yield standing residual currents against ground pickups; ``residual`` that of chargers, A."""
    for device in devices[devices["kind"].isin(RELAYS)].itertuples():
        name, pickup = str(device.device), float(device.ground_pickup_a)
        if name not in residual:
            yield Row(name, "residual_pickup", missing=unplaced(name, zones))
            continue
        loads = np.nan
        if standing is not None and name in standing.index:
            loads = float(standing.loc[name, "residual_a"])
        own = residual[name]
        unknown = np.isnan(loads) and not own > pickup
        yield Row(
            name,
            "residual_pickup",
            own + (0.0 if np.isnan(loads) else loads),
            pickup if pickup > 0 else np.nan,
            "A",
            loads,
            bus=zones[name].near,
            missing=joined(
                "" if pickup > 0 else "ground minimum trip",
                "residual current of the load" if unknown else "",
            ),
            note=f"chargers add at most {own:.1f} A, whichever phases export",
        )
