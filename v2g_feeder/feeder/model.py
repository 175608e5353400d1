"""A feeder as the stages after it see it: plain tables, no engine.

:func:`read_feeder` takes them from a loaded engine; everything that a rating, a base or a
direction depends on is decided here, once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Connection, Wiring
from v2g_feeder.feeder.findings import Finding, FindingKind
from v2g_feeder.feeder.stated import emergency_ratio, pt_ratio, tap_step
from v2g_feeder.feeder.topology import Edge, Tree, Winding, walk, wiring_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from v2g_feeder.feeder.engine import Engine, SeriesElement

__all__ = ["LOW_VOLTAGE_KV", "Feeder", "phase_letters", "read_feeder"]

LOW_VOLTAGE_KV: Final = 0.6
"""Nominal line-to-line kV up to which a bus is low voltage (ANSI C84.1, service classes)."""
_ENGINE_DEFAULT_AMPS: Final = 400.0
_PHASES: Final = "ABC"
_SHOWN: Final = 8
_LOAD_COLUMNS: Final = [
    "name", "bus", "nodes", "phases", "kw", "kvar", "daily", "yearly", "enabled",
]  # fmt: skip  # of a feeder without loads


@dataclass(frozen=True)
class Feeder:
    """Buses, elements, loads and ratings of a feeder.

    Parameters
    ----------
    name
        Name of the circuit.
    master
        The OpenDSS master file that it was read from.
    source_bus
        Bus of the voltage source.
    nodes
        Node names in the order of every voltage array of the engine.
    buses
        Indexed by bus: ``kv_base_ln`` (NaN where the model has none), ``x``, ``y``, ``wiring``,
        ``phase`` (of a split-phase service: the primary phases; else the phases present),
        ``energised``, ``km``, ``impedance_pu`` (on 1 MVA, from the source), ``parent``,
        ``parent_element``.
    elements
        One row a series element, in the engine's order: ``element``, ``kind`` (line, switch,
        transformer, regulator, reactor), ``bus1`` (towards the head), ``bus2``, ``phases``,
        ``rating_a``, ``rating_kva`` (NaN where unknown), ``rating_source``, ``emergency_ratio``
        (stated emergency over stated normal rating, else NaN), ``series`` (whether it joins two
        buses).
    loads
        One row a load: figures in force, with bus and node indices.
    regulators
        ``transformer``, ``winding``, ``control``, ``vreg``, ``band``, ``ptratio``, ``tap_step``
        (per unit), ``reversible``, ``delay_s``, ``tap_delay_s``, ``reverse_delay_s``, ``bus``.
    capacitors
        ``name``, ``bus``, ``kvar``, ``control`` (empty for a bank without one).
    generation
        ``element`` (``Generator.g``, ``PVSystem.p``), ``kw`` (a PV system's Pmpp), ``kvar`` (NaN
        where vars follow from a power factor), ``kva`` (NaN for generators); storage is not among
        them, nor are negative loads.
    findings
        What a reader must know about the model.
    tree
        Direction and distance from the source.
    """

    name: str
    master: Path
    source_bus: str
    nodes: tuple[str, ...]
    buses: pd.DataFrame
    elements: pd.DataFrame
    loads: pd.DataFrame
    regulators: pd.DataFrame
    capacitors: pd.DataFrame
    generation: pd.DataFrame
    findings: tuple[Finding, ...]
    tree: Tree

    @cached_property
    def node_index(self) -> dict[str, int]:
        """Position of each node name in voltage arrays."""
        return {name: number for number, name in enumerate(self.nodes)}

    @cached_property
    def bus_nodes(self) -> dict[str, tuple[int, ...]]:
        """Node numbers present at each bus, ascending."""
        found: dict[str, list[int]] = {}
        for name in self.nodes:
            bus, node = name.rsplit(".", 1)
            found.setdefault(bus, []).append(int(node))
        return {bus: tuple(sorted(numbers)) for bus, numbers in found.items()}

    def downstream(self, bus: str) -> frozenset[str]:
        """Return ``bus`` and all buses fed through it."""
        return self.tree.downstream(bus)

    def nominal_kv(self, bus: str) -> float:
        """Return the nominal line-to-line kV of a bus; 0.24 for a 120/240 V service."""
        base = float(self.buses.loc[bus, "kv_base_ln"])
        split = self.buses.loc[bus, "wiring"] == Wiring.SPLIT_PHASE
        return base * (2.0 if split else np.sqrt(3.0))

    def connections(self, bus: str) -> tuple[Connection, ...]:
        """Return the phase connections that a charger can have at a bus."""
        nodes = [node for node in self.bus_nodes.get(bus, ()) if node <= 3]
        wiring = self.buses.loc[bus, "wiring"]
        if wiring == Wiring.SPLIT_PHASE:
            return (Connection.SPLIT,)
        pairs = [
            pair
            for pair in (Connection.AB, Connection.BC, Connection.CA)
            if all(_PHASES.index(letter) + 1 in nodes for letter in pair)
        ]
        three = [Connection.ABC] if len(nodes) == 3 else []
        if wiring == Wiring.THREE_WIRE:
            return (*pairs, *three)
        return (*(Connection(_PHASES[node - 1]) for node in nodes), *pairs, *three)


def read_feeder(engine: Engine, master: Path) -> Feeder:
    """Read the circuit that an engine holds.

    Parameters
    ----------
    engine
        With a circuit loaded (:meth:`~v2g_feeder.feeder.engine.Engine.load`).
    master
        The file it came from, kept for the record.

    Returns
    -------
    Feeder
        Ratings that the model does not state are NaN with source ``unknown``: the engine's
        defaults (400 A, 1000 kVA) are never taken for ratings.
    """
    stated = engine.circuit()
    nodes = tuple(engine.node_names())
    series = [element for element in engine.series_elements() if element.enabled]
    transformers = {row["name"]: row for row in engine.transformers()}
    lines = {row["name"]: row for row in engine.lines()}
    regulators = _regulators(stated)
    buses = pd.DataFrame(engine.buses(), columns=["bus", "kv_base_ln", "x", "y"]).set_index("bus")
    buses["kv_base_ln"] = buses["kv_base_ln"].where(buses["kv_base_ln"] > 0)
    source_bus = str(stated["Vsource"][0].get("Bus1", "sourcebus")).split(".")[0].lower()
    kv = (buses["kv_base_ln"] * np.sqrt(3.0)).fillna(1.0).to_dict()
    edges = [edge for element in series for edge in _edges(element, lines, transformers, kv)]
    tree = walk(source_bus, edges)
    elements = _elements(series, stated, lines, transformers, regulators, tree)
    _place_buses(buses, series, transformers, tree, nodes, source_bus)
    rows = engine.loads()
    loads = pd.DataFrame(rows, columns=list(rows[0]) if rows else _LOAD_COLUMNS)
    loads = loads.astype({"kw": float, "kvar": float})
    loads = loads[loads["enabled"].astype(bool)].reset_index(drop=True)
    regulators["bus"] = [
        _bus_of(f"transformer.{name}", elements) for name in regulators["transformer"]
    ]
    feeder = Feeder(
        name=str(stated["Name"]).lower(),
        master=master,
        source_bus=source_bus,
        nodes=nodes,
        buses=buses,
        elements=elements,
        loads=loads,
        regulators=regulators,
        capacitors=_capacitors(stated),
        generation=_rated_generation(engine, stated),
        findings=(),
        tree=tree,
    )
    findings = (*_bus_findings(feeder), *_element_findings(feeder, transformers, stated))
    return replace(feeder, findings=findings)


def _bus_of(element: str, elements: pd.DataFrame) -> str:
    match = elements.loc[elements["element"].str.lower() == element, "bus1"]
    return str(match.iloc[0]) if len(match) else ""


def _regulators(stated: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row a RegControl."""
    rows = [
        {
            "transformer": str(row["Transformer"]).split(".")[-1].lower(),
            "winding": int(row.get("TapWinding", row.get("Winding", 1))),
            "control": str(row["Name"]).lower(),
            "vreg": float(row.get("VReg", 120.0)),
            "band": float(row.get("Band", 3.0)),
            "ptratio": pt_ratio(row),
            "tap_step": tap_step(stated, row),
            "reversible": bool(row.get("Reversible", False)),
            "delay_s": float(row.get("Delay", 15.0)),
            "tap_delay_s": float(row.get("TapDelay", 2.0)),
            "reverse_delay_s": float(row.get("RevDelay", 60.0)),
        }
        for row in stated.get("RegControl", [])
        if row.get("Enabled", True)
    ]
    columns = ["transformer", "winding", "control", "vreg", "band"]
    columns += ["ptratio", "tap_step", "reversible", "delay_s", "tap_delay_s", "reverse_delay_s"]
    return pd.DataFrame(rows, columns=columns)


def _capacitors(stated: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row a capacitor bank, with the control it has, if any."""
    controls = {
        str(row["Capacitor"]).split(".")[-1].lower(): str(row["Name"]).lower()
        for row in stated.get("CapControl", [])
    }
    rows = [
        {
            "name": str(row["Name"]).lower(),
            "bus": str(row["Bus1"]).split(".")[0].lower(),
            "kvar": float(np.sum(row.get("kvar", [1200.0]))),
            "control": controls.get(str(row["Name"]).lower(), ""),
        }
        for row in stated.get("Capacitor", [])
    ]
    return pd.DataFrame(rows, columns=["name", "bus", "kvar", "control"])


def _rated_generation(engine: Engine, stated: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row a generator or PV system in service, its ratings in force."""
    rows = [
        (f"Generator.{row['Name']}", row["kW"], row["kvar"], np.nan)
        for row in engine.properties("Generator")
        if row["Enabled"]
    ]
    by_vars = {row["Name"] for row in stated.get("PVSystem", []) if "kvar" in row}
    rows += [
        (
            f"PVSystem.{row['Name']}",
            row["Pmpp"],
            row["kvar"] if row["Name"] in by_vars else np.nan,
            row["kVA"],
        )
        for row in engine.properties("PVSystem")
        if row["Enabled"]
    ]
    table = pd.DataFrame(rows, columns=["element", "kw", "kvar", "kva"])
    return table.astype({"kw": float, "kvar": float, "kva": float})


def _edges(
    element: SeriesElement,
    lines: Mapping[str, Any],
    transformers: Mapping[str, Any],
    kv: Mapping[str, float],
) -> list[Edge]:
    """Return an edge from the first bus to each other; none for a shunt.

    Impedances are per unit on 1 MVA: ohms over the square of the line-to-line kV.
    """
    kind, name = element.name.lower().split(".", 1)
    others = dict.fromkeys(bus for bus in element.buses[1:] if bus != element.buses[0])
    km, impedance = 0.0, 0.0
    if kind == "line":
        row = lines[name]
        km = row["km"] if np.isfinite(row["km"]) else 0.0
        impedance = row["ohm"] / kv[element.buses[0]] ** 2
    elif kind == "transformer":
        row = transformers[name]
        kva = row["windings"][0][1]
        impedance = row["xhl_pct"] / 100 * 1000.0 / kva if kva > 0 else 0.0
    elif kind == "capacitor":
        return []
    return [Edge(element.name, element.buses[0], other, km, impedance) for other in others]


def _elements(
    series: list[SeriesElement],
    stated: Mapping[str, Any],
    lines: Mapping[str, Any],
    transformers: Mapping[str, Any],
    regulators: pd.DataFrame,
    tree: Tree,
) -> pd.DataFrame:
    """Return the element table, each oriented away from the source."""
    amps_stated = _stated_ampacity(stated)
    kva_stated = _stated_kva(stated)
    regulated = set(regulators["transformer"])
    rank = {bus: number for number, bus in enumerate(tree.order)}
    rows = []
    for element in series:
        kind, name = element.name.lower().split(".", 1)
        ends = [bus for bus in dict.fromkeys(element.buses) if bus]
        ends.sort(key=lambda bus: rank.get(bus, len(rank)))
        amps = kva = np.nan
        if kind == "line":
            amps = lines[name]["norm_amps"] if name in amps_stated else np.nan
            kind = "switch" if lines[name]["switch"] else kind
        elif kind == "transformer":
            kva = transformers[name]["windings"][0][1] if name in kva_stated else np.nan
            kind = "regulator" if name in regulated else kind
        rating = amps if np.isfinite(amps) else kva
        rows.append(
            {
                "element": element.name,
                "kind": kind,
                "bus1": ends[0],
                "bus2": ends[1] if len(ends) > 1 else ends[0],
                "rating_a": amps if amps > 0 else np.nan,
                "rating_kva": kva if kva > 0 else np.nan,
                "rating_source": "stated" if rating > 0 else "unknown",
            }
        )
    table = pd.DataFrame(rows)
    table["emergency_ratio"] = emergency_ratio(stated, table)
    table["series"] = (table["bus1"] != table["bus2"]) & (table["kind"] != "capacitor")
    return table


def _stated_ampacity(stated: Mapping[str, Any]) -> set[str]:
    """Return the lines whose ampacity the model states: itself, by line code or by wire."""
    wires = {
        str(row["Name"]).lower()
        for kind in ("WireData", "CNData", "TSData")
        for row in stated.get(kind, [])
        if "NormAmps" in row
    }
    geometries = {
        str(row["Name"]).lower()
        for row in stated.get("LineGeometry", [])
        if "NormAmps" in row
        or any(str(wire).split(".")[-1].lower() in wires for wire in row.get("Conductors", [])[:1])
    }
    codes = {str(row["Name"]).lower(): row.get("NormAmps") for row in stated.get("LineCode", [])}
    found = set()
    for row in stated.get("Line", []):
        code = str(row.get("LineCode", "")).lower()
        by_wire = [str(wire).split(".")[-1].lower() for wire in row.get("Conductors", [])[:1]]
        if code in codes:
            known = codes[code] is not None or _set_after_code(row)
        else:
            known = (
                "NormAmps" in row
                or str(row.get("Geometry", "")).lower() in geometries
                or any(wire in wires for wire in by_wire)
            )
        if known:
            found.add(str(row["Name"]).lower())
    return found


def _set_after_code(row: Mapping[str, Any]) -> bool:
    """Whether a line states its own ampacity beside a line code that has none.

    A line copies ampacities from its code, stated or not; its own come later in the order of the
    properties, or differ from the engine's default.
    """
    keys = list(row)
    if "NormAmps" not in keys:
        return False
    own = "EmergAmps" not in keys or keys.index("NormAmps") > keys.index("EmergAmps")
    return own or row["NormAmps"] != _ENGINE_DEFAULT_AMPS


def _stated_kva(stated: Mapping[str, Any]) -> set[str]:
    """Return the transformers whose nameplate the model states, itself or by its code."""
    codes = {str(row["Name"]).lower() for row in stated.get("XfmrCode", []) if "kVA" in row}
    return {
        str(row["Name"]).lower()
        for row in stated.get("Transformer", [])
        if "kVA" in row or str(row.get("XfmrCode", "")).lower() in codes
    }


def _place_buses(
    buses: pd.DataFrame,
    series: list[SeriesElement],
    transformers: Mapping[str, Any],
    tree: Tree,
    nodes: tuple[str, ...],
    source_bus: str,
) -> None:
    """Add wiring, phase, distance and parent columns to the bus table, in place."""
    galvanic, windings = [], [Winding(source_bus, grounded=True)]
    for element in series:
        if element.name.lower().startswith("capacitor."):
            continue
        name = element.name.lower().split(".", 1)[1]
        if element.name.lower().startswith("transformer."):
            windings += _windings(element, transformers[name])
        elif len(set(element.buses)) > 1:
            galvanic.append((element.buses[0], element.buses[1]))
    wiring = wiring_of(list(buses.index), galvanic, windings)
    present: dict[str, list[int]] = {}
    for name in nodes:
        bus, node = name.rsplit(".", 1)
        present.setdefault(bus, []).append(int(node))
    phase = {
        bus: "".join(_PHASES[node - 1] for node in sorted(numbers) if node <= 3)
        for bus, numbers in present.items()
    }
    _phase_of_services(phase, wiring, series, tree, nodes)
    buses["wiring"] = [wiring[bus] for bus in buses.index]
    buses["phase"] = [phase.get(bus, "") for bus in buses.index]
    buses["energised"] = [bus in tree.km for bus in buses.index]
    buses["km"] = [tree.km.get(bus, np.nan) for bus in buses.index]
    buses["impedance_pu"] = [tree.impedance_pu.get(bus, np.nan) for bus in buses.index]
    buses["parent"] = [tree.parent.get(bus, ("", ""))[0] for bus in buses.index]
    buses["parent_element"] = [tree.parent.get(bus, ("", ""))[1] for bus in buses.index]


def _windings(element: SeriesElement, row: Mapping[str, Any]) -> list[Winding]:
    """Return the windings of a transformer with what they do to their bus."""
    tapped = row["phases"] == 1 and len(element.buses) == 3 and element.buses[1] == element.buses[2]
    return [
        Winding(
            bus,
            grounded=not delta and -1 in element.nodes[number],
            centre_tapped=tapped and number > 0,
        )
        for number, (bus, (_, _, delta, _)) in enumerate(
            zip(element.buses, row["windings"], strict=True)
        )
    ]


def _phase_of_services(
    phase: dict[str, str],
    wiring: Mapping[str, Wiring],
    series: list[SeriesElement],
    tree: Tree,
    nodes: tuple[str, ...],
) -> None:
    """Give a split-phase bus the primary phases of the winding that feeds it, in place."""
    primary: dict[str, str] = {}
    names = {element.name: element for element in series}
    for bus in tree.order:
        if wiring.get(bus) != Wiring.SPLIT_PHASE or bus not in tree.parent:
            continue
        above, element = tree.parent[bus]
        if wiring.get(above) == Wiring.SPLIT_PHASE:
            primary[bus] = primary.get(above, "")
        else:
            primary[bus] = phase_letters(nodes, names[element].nodes[0])
    phase.update(primary)


def phase_letters(nodes: Sequence[str], at: Iterable[int]) -> str:
    """Return the phases of node indices: ``A``, ``CA``, ``ABC``; ground (-1) has none.

    Parameters
    ----------
    nodes
        Node names in the engine's order.
    at
        Indices into them.
    """
    numbers = {int(nodes[node].rsplit(".", 1)[1]) for node in at if node >= 0}
    letters = "".join(_PHASES[number - 1] for number in sorted(numbers) if number <= 3)
    return "CA" if letters == "AC" else letters


def _bus_findings(feeder: Feeder) -> list[Finding]:
    """Return findings on islands, bases, coordinates and load voltages."""
    found = []
    dead = list(feeder.buses.index[~feeder.buses["energised"]])
    if dead:
        found.append(
            Finding(
                FindingKind.ISLAND,
                f"{len(dead)} buses are not connected to the source; they are not screened",
                tuple(dead[:_SHOWN]),
                len(dead),
            )
        )
    bare = list(feeder.buses.index[feeder.buses["kv_base_ln"].isna()])
    if bare:
        found.append(
            Finding(
                FindingKind.NO_VOLTAGE_BASES,
                f"{len(bare)} buses have no voltage base; their voltage cannot be screened",
                tuple(bare[:_SHOWN]),
                len(bare),
            )
        )
    if feeder.buses["x"].isna().all():
        found.append(
            Finding(
                FindingKind.NO_COORDINATES,
                "the model has no bus coordinates; drawings use a computed tree layout",
                (),
                len(feeder.buses),
            )
        )
    return found


def _element_findings(
    feeder: Feeder, transformers: Mapping[str, Any], stated: Mapping[str, Any]
) -> list[Finding]:
    """Return findings on ratings, regulators and existing generation."""
    found = []
    live = feeder.elements[feeder.elements["series"]]
    unknown = live.loc[live["rating_source"] == "unknown", "element"]
    if len(unknown):
        found.append(
            Finding(
                FindingKind.RATINGS_UNKNOWN,
                f"{len(unknown)} of {len(live)} series elements state no rating; their thermal "
                "loading is unknown, not free of violations",
                tuple(unknown[:_SHOWN]),
                len(unknown),
            )
        )
    default = live.loc[live["rating_a"] == _ENGINE_DEFAULT_AMPS, "element"]
    if len(default):
        found.append(
            Finding(
                FindingKind.RATING_IS_DEFAULT,
                f"{len(default)} lines state exactly {_ENGINE_DEFAULT_AMPS:g} A, the engine's "
                "default; check that it is a rating",
                tuple(default[:_SHOWN]),
                len(default),
            )
        )
    found += _uncontrolled_regulators(feeder, transformers)
    return found + _generation(stated)


def _generation(stated: Mapping[str, Any]) -> list[Finding]:
    """Return what is said of the model's own generators, PV systems and storage."""
    rows = {
        f"{kind}.{row['Name']}": row
        for kind in ("Generator", "PVSystem", "Storage")
        for row in stated.get(kind, [])
        if row.get("Enabled", True)
    }
    if not rows:
        return []
    flat = sum(not row.get("Daily") for row in rows.values())
    words = f"{len(rows)} generators, PV systems or storage units run as the model says, every day"
    if flat:
        words += f" the same; {flat} without a daily shape do so at every hour"
    if any(name.startswith("Storage.") for name in rows):
        words += "; storage keeps the state of charge that the model states"
    names = tuple(rows)
    return [Finding(FindingKind.EXISTING_GENERATION, words, names[:_SHOWN], len(names))]


def _uncontrolled_regulators(feeder: Feeder, transformers: Mapping[str, Any]) -> list[Finding]:
    """Return the transformers that look like regulators and have no control.

    A unit with two windings of equal kV, or one whose tap is off nominal, is taken for one.
    """
    controlled = set(feeder.regulators["transformer"])
    suspects = []
    for name, row in transformers.items():
        kv = [winding[0] for winding in row["windings"]]
        taps = [winding[3] for winding in row["windings"]]
        equal = len(kv) == 2 and bool(np.isclose(kv[0], kv[1], rtol=0.01))
        looks = equal or not np.allclose(taps, 1.0)
        if looks and name not in controlled:
            suspects.append(f"Transformer.{name}")
    if not suspects:
        return []
    return [
        Finding(
            FindingKind.NO_REGULATOR_CONTROL,
            f"{len(suspects)} transformers look like regulators (equal voltages or a tap off "
            "nominal) and have no RegControl; controls are easily lost in conversion",
            tuple(suspects[:_SHOWN]),
            len(suspects),
        )
    ]
