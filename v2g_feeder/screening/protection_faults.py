"""Checks of the protection screen that rest on fault currents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from v2g_feeder.conventions import Wiring
from v2g_feeder.screening.protection_row import NO_GROUND, Row, joined, unplaced

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

    from v2g_feeder.feeder.model import Feeder
    from v2g_feeder.screening.fault_sweep import Sweep
    from v2g_feeder.screening.protection_figures import ProtectionSettings
    from v2g_feeder.screening.zones import Zone

__all__ = ["RELAYS", "TRIPPING", "bus_rows", "grounding_rows", "reach_rows", "sympathetic_rows"]

RELAYS: Final = ("breaker", "relay", "recloser")
TRIPPING: Final = (*RELAYS, "fuse")
_CLEAR: Final = ("three_phase", "line_line")
_GROUND: Final = ("line_ground",)


class _Element(NamedTuple):
    """A phase or ground element of a device: what it sees, and which faults it must see."""

    name: str
    pickup_a: float
    full: np.ndarray  # current without chargers, A, [fault]
    low: np.ndarray  # the least with chargers
    kinds: tuple[str, ...]


def _elements(device: Any, swept: Sweep, number: int) -> Iterator[_Element]:
    """Yield the elements of a device; a fuse has one that sees every fault."""
    seen = swept.devices
    kinds = (*_CLEAR, *_GROUND) if device.kind == "fuse" else _CLEAR
    yield _Element(
        "phase", float(device.pickup_a), seen.phase[number], seen.phase_low[number], kinds
    )
    if device.kind != "fuse":
        residual, low = seen.residual[number], seen.residual_low[number]
        yield _Element("ground", float(device.ground_pickup_a), residual, low, _GROUND)


def reach_rows(
    devices: pd.DataFrame, zones: Mapping[str, Zone], swept: Sweep, figures: ProtectionSettings
) -> Iterator[Row]:
    """Yield the reach of phase and ground elements, and what chargers take from it."""
    for device in devices[devices["kind"].isin(TRIPPING)].itertuples():
        name = str(device.device)
        if name in swept.terminals.names:
            number = swept.terminals.names.index(name)
            for element in _elements(device, swept, number):
                yield from _reach(name, element, zones[name], swept, figures)
            continue
        for element_name in ("phase",) if device.kind == "fuse" else ("phase", "ground"):
            missing = unplaced(name, zones)
            yield Row(name, f"{element_name}_reach", missing=missing)
            yield Row(name, f"{element_name}_reach_loss", missing=missing)


def _reach(
    name: str, element: _Element, zone: Zone, swept: Sweep, figures: ProtectionSettings
) -> Iterator[Row]:
    """Yield reach and loss of reach of one element of a device."""
    cases = swept.cases
    inside = cases["bus"].isin(zone.own)
    here = inside & cases["fault"].isin(element.kinds)
    if not here.any():  # a lateral of one phase: its only fault is to ground
        here = inside & cases["fault"].isin(_GROUND)
    reach, loss_check = f"{element.name}_reach", f"{element.name}_reach_loss"
    if not here.any():
        missing = "a fault in its zone that it must see"
        yield Row(name, reach, missing=missing)
        yield Row(name, loss_check, missing=missing)
        return
    at = np.flatnonzero(here)
    level = "" if cases.loc[here, "known"].all() else NO_GROUND
    weakest = cases.loc[at[np.argmin(element.low[at])]]
    set_a = element.pickup_a if element.pickup_a > 0 else np.nan
    yield Row(
        name,
        reach,
        float(element.low[weakest.name] / set_a),
        figures.reach_factor,
        "x minimum trip",
        float(element.full[weakest.name] / set_a),
        bus=str(weakest["bus"]),
        fault=f"{weakest['fault']} {weakest['phases']}",
        least=True,
        missing=joined("" if set_a > 0 else f"{element.name} minimum trip", level),
        note="bolted faults" if figures.fault_resistance_ohm == 0 else "",
    )
    loss = 100 * (1 - element.low[at] / np.maximum(element.full[at], 1e-9))
    worst = cases.loc[at[np.argmax(loss)]]
    full, low = element.full[worst.name], element.low[worst.name]
    yield Row(
        name,
        loss_check,
        float(loss.max()),
        figures.reach_loss_pct,
        "%",
        0.0,
        bus=str(worst["bus"]),
        fault=f"{worst['fault']} {worst['phases']}",
        missing=level,
        note=f"from {full:.0f} to {low:.0f} A at the worst angle",
    )


def bus_rows(
    devices: pd.DataFrame, zones: Mapping[str, Zone], swept: Sweep, figures: ProtectionSettings
) -> Iterator[Row]:
    """Yield the rise of fault currents, and the highest against interrupting ratings."""
    cases = swept.cases
    rise = 100 * (cases["amps_high"] / cases["amps"] - 1)
    rise = rise.where(cases["known"])
    worst = cases.loc[rise.idxmax()]
    above = cases.loc[rise > figures.fault_rise_pct, "bus"].nunique()
    skipped = "" if cases["known"].all() else f"; ground faults left out without a {NO_GROUND}"
    yield Row(
        "",
        "fault_current_rise",
        float(rise.max()),
        figures.fault_rise_pct,
        "%",
        0.0,
        bus=str(worst["bus"]),
        fault=f"{worst['fault']} {worst['phases']}",
        note=f"above the limit at {above} of {cases['bus'].nunique()} buses{skipped}",
    )
    for device in devices[devices["kind"].isin(TRIPPING)].itertuples():
        name, rating = str(device.device), float(device.interrupting_a)
        ends = [zones[name].near, zones[name].far] if name in zones else []
        near = cases[cases["bus"].isin(ends)]
        if near.empty:
            yield Row(name, "interrupting_rating", missing=unplaced(name, zones))
            continue
        top = near.loc[near["amps_high"].idxmax()]
        yield Row(
            name,
            "interrupting_rating",
            float(top["amps_high"]),
            rating if rating > 0 else np.nan,
            "A",
            float(top["amps"]),
            bus=str(top["bus"]),
            fault=f"{top['fault']} {top['phases']}",
            missing=joined(
                "" if rating > 0 else "interrupting rating",
                "" if near["known"].all() else NO_GROUND,
            ),
            note="symmetrical current; the direct component is not included",
        )


def grounding_rows(swept: Sweep, feeder: Feeder, figures: ProtectionSettings) -> Iterator[Row]:
    """Yield whether four-wire buses are effectively grounded, the source in service."""
    checks = (("effective_grounding", figures.x0_x1), ("r0_x1", figures.r0_x1))
    table = swept.sequence
    four_wire = feeder.buses.index[feeder.buses["wiring"] == Wiring.FOUR_WIRE]
    table = table[table["bus"].isin(four_wire)].reset_index(drop=True)
    missing = "" if swept.cases["known"].all() else NO_GROUND
    if table.empty:
        missing = "a four-wire bus with three phases"
    if missing:
        yield from (Row("", check, missing=missing) for check, _ in checks)
        return
    reactance = table["z1"].map(lambda z: z.imag)
    ratios = (table["z0"].map(lambda z: z.imag) / reactance, table["z0"].map(np.real) / reactance)
    for (check, limit), ratio in zip(checks, ratios, strict=True):
        worst = int(ratio.idxmax())
        yield Row(
            "",
            check,
            float(ratio[worst]),
            limit,
            "",
            float(ratio[worst]),
            bus=str(table.loc[worst, "bus"]),
            note=f"above the limit at {int((ratio > limit).sum())} of {len(table)} buses; a flag: "
            "chargers do not change it, and an island of them needs a study (IEEE C62.92.6)",
        )


def sympathetic_rows(
    devices: pd.DataFrame, zones: Mapping[str, Zone], swept: Sweep, figures: ProtectionSettings
) -> Iterator[Row]:
    """Yield what a device sees of faults that are not behind it."""
    cases, seen = swept.cases, swept.devices
    for device in devices[devices["kind"].isin(RELAYS)].itertuples():
        name, out = str(device.device), np.zeros(0, int)
        if name in swept.terminals.names:
            out = np.flatnonzero(~cases["bus"].isin(zones[name].behind))
        if not len(out):
            placed = name in swept.terminals.names
            missing = "a bus that is not behind it" if placed else unplaced(name, zones)
            yield Row(name, "sympathetic_trip", missing=missing)
            yield Row(name, "sympathetic_pickup", missing=missing)
            continue
        number = swept.terminals.names.index(name)
        zero = seen.residual_high[number][out] / 3
        at = cases.loc[out[np.argmax(zero)]]
        yield Row(
            name,
            "sympathetic_trip",
            float(zero.max()),
            figures.sympathetic_i0_a,
            "A zero sequence",
            float(seen.residual[number][at.name] / 3),
            bus=str(at["bus"]),
            fault=f"{at['fault']} {at['phases']}",
            missing="" if cases["known"].all() else NO_GROUND,
        )
        yield _pickups(device, swept, number, out)


def _pickups(device: Any, swept: Sweep, number: int, out: np.ndarray) -> Row:
    """Return the highest current for faults elsewhere, in minimum trips."""
    seen = swept.devices
    phase, ground = float(device.pickup_a), float(device.ground_pickup_a)
    high, grid = np.zeros(len(out)), np.zeros(len(out))
    for pickup, with_chargers, without in (
        (phase, seen.phase_high, seen.phase),
        (ground, seen.residual_high, seen.residual),
    ):
        if pickup > 0:
            high = np.maximum(high, with_chargers[number][out] / pickup)
            grid = np.maximum(grid, without[number][out] / pickup)
    at = int(np.argmax(high))
    directional = device.directional == "yes"
    missing = joined(
        "" if phase > 0 else "phase minimum trip",
        "" if ground > 0 else "ground minimum trip",
        "" if swept.cases["known"].all() else NO_GROUND,
    )
    place = swept.cases.loc[out[at]]
    return Row(
        str(device.device),
        "sympathetic_pickup",
        float(high[at]),
        np.inf if directional else 1.0,
        "x minimum trip",
        float(grid[at]),
        bus=str(place["bus"]),
        fault=f"{place['fault']} {place['phases']}",
        missing="" if directional or high[at] > 1.0 else missing,
        note="directional: it does not trip on this" if directional else "",
    )
