"""From complex voltages and currents to what is screened, by index arrays made once.

A :class:`Probe` knows, for a feeder, which pairs of nodes are service voltages, which conductors
load which element, where power is watched and at which voltage each load keeps to its model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from v2g_feeder.conventions import Wiring
from v2g_feeder.feeder.model import LOW_VOLTAGE_KV, phase_letters
from v2g_feeder.powerflow.balance import Balance, make_balance, regulator_bands
from v2g_feeder.powerflow.loads import CVR, IMPEDANCE, node_pairs, phase_volts
from v2g_feeder.powerflow.solution import Observed, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from v2g_feeder.feeder.engine import Engine, RawSolution, SeriesElement
    from v2g_feeder.feeder.model import Feeder

__all__ = ["DEAD_PU", "HEAD", "SHED_LIMIT", "LoadGate", "Probe", "make_gate", "make_probe"]

HEAD: Final = "head"
SHED_LIMIT: Final = 0.02
"""Share of the load that low-voltage switching may shed before a step is invalid."""
_TRANSMISSION_KV: Final = 60.0  # buses from here up belong to the source side; not service voltages
DEAD_PU: Final = 0.1
_LETTERS: Final = "ABC"
_PAIRS: Final = ((1, 2, "AB"), (2, 3, "BC"), (3, 1, "CA"))
_V_LOW: Final = 0.5  # Vlowpu, the engine's default: an impedance at nominal from here down


@dataclass(frozen=True)
class Probe:
    """Index arrays of a feeder; see :func:`make_probe`."""

    observed: Observed
    volt_a: np.ndarray
    volt_b: np.ndarray
    volt_scale: np.ndarray
    amp_at: np.ndarray
    amp_rating: np.ndarray
    amp_start: np.ndarray
    amp_element: np.ndarray
    flow_node: np.ndarray
    flow_amp: np.ndarray
    flow_start: np.ndarray
    all_node: np.ndarray
    balance: Balance

    def voltages(self, raw: RawSolution) -> np.ndarray:
        """Return service voltages in per unit, ``[node]``."""
        volts = np.append(raw.volts, 0.0)
        return np.asarray(np.abs(volts[self.volt_a] - volts[self.volt_b]) * self.volt_scale)

    def loadings(self, raw: RawSolution) -> np.ndarray:
        """Return loading in percent, ``[element]``; NaN where the rating is unknown."""
        loading = np.full(len(self.observed.elements), np.nan)
        if len(self.amp_at):
            share = np.abs(raw.amps[self.amp_at]) / self.amp_rating
            loading[self.amp_element] = 100.0 * np.maximum.reduceat(share, self.amp_start)
        return loading

    def flows(self, raw: RawSolution) -> np.ndarray:
        """Return active power away from the head in kW, ``[flow]``; the head itself comes first."""
        kw = np.empty(len(self.observed.flows))
        kw[0] = raw.source_kva.real
        if len(self.flow_amp):
            volts = np.append(raw.volts, 0.0)
            power = (volts[self.flow_node] * raw.amps[self.flow_amp].conj()).real / 1e3
            kw[1:] = np.add.reduceat(power, self.flow_start)
        return kw

    def losses_kw(self, raw: RawSolution) -> float:
        """Return the active power that lines, transformers and shunts take up, kW."""
        volts = np.append(raw.volts, 0.0)
        return float((volts[self.all_node] * raw.amps.conj()).real.sum()) / 1e3


@dataclass(frozen=True)
class LoadGate:
    """Voltages at which loads keep to their model.

    Parameters
    ----------
    a, b
        Node pair of each load phase (the last index is ground), ``[load phase]``.
    volts
        Rated voltage of the phase.
    kw
        Nominal kW of the phase.
    row
        Row of the load shape that scales it.
    vmin, vmax
        Limits in per unit of ``volts``; outside the engine makes the load an impedance.
    model, cvr_watts, zip_p
        OpenDSS load model, exponent of model 4 and (impedance, current, power) shares of model 8.
    """

    a: np.ndarray
    b: np.ndarray
    volts: np.ndarray
    kw: np.ndarray
    row: np.ndarray
    vmin: np.ndarray
    vmax: np.ndarray
    model: np.ndarray
    cvr_watts: np.ndarray
    zip_p: np.ndarray

    def factor(self, v: np.ndarray) -> np.ndarray:
        """Return model kW over nominal kW at voltages ``v`` in per unit, ``[load phase]``."""
        square = v * v
        by_model = [
            (self.model == IMPEDANCE, square),
            (self.model == CVR, np.power(v, self.cvr_watts)),
            (self.model == 5, v),
            (self.model == 8, self.zip_p[0] * square + self.zip_p[1] * v + self.zip_p[2]),
        ]
        return np.select([test for test, _ in by_model], [value for _, value in by_model], 1.0)

    def held(self, v: np.ndarray) -> np.ndarray:
        """Return the kW delivered over nominal kW at ``v`` below ``vmin``, ``[load phase]``.

        An impedance up to 0.5 pu; from there to ``vmin`` the current of models 1, 3, 4, 5 and 8
        goes in a line to that of the model (of constant power for model 4), while models 6 and 7
        keep the impedance that they have at ``vmin``.
        """
        vmin = np.maximum(self.vmin, 1e-9)
        amps = np.where(self.model == CVR, 1.0, self.factor(vmin)) / vmin
        at_low = np.minimum(_V_LOW, vmin)
        share = (v - at_low) / np.maximum(vmin - at_low, 1e-9)
        line = np.isin(self.model, (1, 3, CVR, 5, 8))
        between = v * np.where(line, at_low + share * (amps - at_low), v * amps / vmin)
        return np.asarray(np.where(v <= at_low, v * v, between))

    def judge(self, volts: np.ndarray, p: np.ndarray) -> Reason:
        """Say whether the loads kept to their models.

        Parameters
        ----------
        volts
            Complex node voltages with a zero for ground at the end.
        p
            Multiplier of nominal kW of each shape at this step.
        """
        if not len(self.kw):
            return Reason.VALID
        v = np.abs(volts[self.a] - volts[self.b]) / self.volts
        nominal = self.kw * p[self.row]
        low = (v < self.vmin) & (self.model != IMPEDANCE)
        if low.any():
            modelled = nominal * self.factor(v)
            held = nominal * self.held(v)
            shed = np.where(low, np.maximum(modelled - held, 0.0), 0.0).sum()
            if shed > SHED_LIMIT * max(modelled.sum(), 1e-9):
                return Reason.LOAD_SHED
        high = (v > self.vmax) & (self.model != IMPEDANCE) & (nominal > 0)
        return Reason.HIGH_VOLTAGE_SWITCHED if high.any() else Reason.VALID


def make_probe(
    feeder: Feeder, engine: Engine, reverse_limits_kw: Mapping[str, float] | None = None
) -> Probe:
    """Make the probe of the circuit that ``engine`` holds and ``feeder`` was read from.

    Parameters
    ----------
    reverse_limits_kw
        Largest reverse flow allowed by element name (``head`` for the feeder head), in kW.
    """
    whole = engine.series_elements()
    series = [element for element in whole if element.enabled]
    volts = _voltage_points(feeder)
    ratings = {row["name"]: row for row in engine.transformers()}
    table = feeder.elements
    places = [
        (element, row)
        for element, row in zip(series, table.itertuples(), strict=True)
        if row.series
    ]
    amp_at, amp_rating, amp_start, amp_element = _loading_index(places, ratings)
    flows, flow_node, flow_amp, flow_start = _flow_index(places, feeder)
    limits = {name.lower(): kw for name, kw in (reverse_limits_kw or {}).items()}
    flows["limit_kw"] = [limits.get(str(name).lower(), np.nan) for name in flows["element"]]
    elements = _element_table(places, feeder)
    joined = [element for element, _ in places]
    balance = make_balance(feeder, joined, volts)
    return Probe(
        observed=Observed(
            voltages=volts.drop(columns=["a", "b", "scale"]),
            elements=elements,
            flows=flows,
            regulators=tuple(feeder.regulators["transformer"]),
            tap_steps=tuple(feeder.regulators["tap_step"]),
            capacitors=tuple(
                feeder.capacitors.loc[feeder.capacitors["control"] != "", "name"].astype(str)
            ),
            bands=regulator_bands(feeder, joined, volts, ratings),
            balanced=balance.buses,
            head_bus=balance.head_bus,
        ),
        volt_a=volts["a"].to_numpy(int),
        volt_b=volts["b"].to_numpy(int),
        volt_scale=volts["scale"].to_numpy(float),
        amp_at=amp_at,
        amp_rating=amp_rating,
        amp_start=amp_start,
        amp_element=amp_element,
        flow_node=flow_node,
        flow_amp=flow_amp,
        flow_start=flow_start,
        all_node=_all_nodes(whole, engine.conductor_count()),
        balance=balance,
    )


def _all_nodes(elements: Sequence[SeriesElement], conductors: int) -> np.ndarray:
    """Return the node of every conductor of every terminal; ground is -1."""
    found: list[int] = []
    for element in elements:
        found += [-1] * (element.offset - len(found))
        found += [node for terminal in element.nodes for node in terminal]
    found += [-1] * (conductors - len(found))
    return np.array(found, dtype=int)


def _voltage_points(feeder: Feeder) -> pd.DataFrame:
    """Return one row a service voltage, with node indices and the scale from volts to per unit."""
    rows: list[tuple[Any, ...]] = []
    for bus in feeder.buses.itertuples():
        kv = bus.kv_base_ln
        if not (bus.energised and np.isfinite(kv)) or kv * np.sqrt(3.0) > _TRANSMISSION_KV:
            continue
        split = bus.wiring == Wiring.SPLIT_PHASE
        nominal = kv * (2.0 if split else np.sqrt(3.0))
        present = {
            node: feeder.node_index[f"{bus.Index}.{node}"]
            for node in feeder.bus_nodes.get(bus.Index, ())
            if node <= 3
        }
        if bus.wiring != Wiring.THREE_WIRE:
            for node, index in present.items():
                phase = bus.phase if split else _LETTERS[node - 1]
                rows.append(
                    (f"{bus.Index}.{node}", bus.Index, phase, bus.wiring, nominal, index, -1, kv)
                )
        if bus.wiring != Wiring.FOUR_WIRE:
            for one, other, letters in _PAIRS[: 1 if split else 3]:
                if one in present and other in present:
                    label = f"{bus.Index}.{one}.{other}"
                    phase = bus.phase if split else letters
                    rows.append(
                        (
                            label,
                            bus.Index,
                            phase,
                            bus.wiring,
                            nominal,
                            present[one],
                            present[other],
                            nominal,
                        )
                    )
    columns = ["node", "bus", "phase", "wiring", "kv_class", "a", "b", "kv"]
    table = pd.DataFrame(rows, columns=columns)
    table["scale"] = 1e-3 / table.pop("kv")
    return table


def _loading_index(
    places: Sequence[tuple[SeriesElement, Any]], transformers: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return conductor positions, their rated amps, group starts and the element of each group."""
    at: list[int] = []
    rating: list[float] = []
    start: list[int] = []
    owner: list[int] = []
    for number, (element, row) in enumerate(places):
        if row.rating_source != "stated":
            continue
        start.append(len(at))
        owner.append(number)
        name = element.name.lower().split(".", 1)[1]
        for terminal, nodes in enumerate(element.nodes):
            first = element.offset + terminal * len(nodes)
            if np.isfinite(row.rating_a):
                at += range(first, first + len(nodes))
                rating += [row.rating_a] * len(nodes)
            else:
                phases = transformers[name]["phases"]
                at += range(first, first + phases)
                rating += [_rated_amps(element, transformers[name], terminal)] * phases
    return np.array(at, int), np.array(rating), np.array(start, int), np.array(owner, int)


def _rated_amps(element: SeriesElement, row: Mapping[str, Any], winding: int) -> float:
    """Return the rated current of a winding at the transformer's nameplate kVA.

    Each leg of a centre-tapped secondary carries the nameplate at twice its voltage.
    """
    kv, kva, delta = row["windings"][winding][0], row["windings"][0][1], row["windings"][winding][2]
    if row["phases"] == 3:
        return float(kva / (np.sqrt(3.0) * kv))
    if row["phases"] == 2 and not delta:  # its kV is line to line
        return float(np.sqrt(3.0) * kva / (2.0 * kv))
    tapped = len(element.buses) == 3 and winding > 0 and element.buses[1] == element.buses[2]
    return float(kva / row["phases"] / kv / (2.0 if tapped else 1.0))


def _flow_index(
    places: Sequence[tuple[SeriesElement, Any]], feeder: Feeder
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Return the watched places (the head first) and the conductors whose power adds up there."""
    rows: list[tuple[str, str, str, str]] = [(HEAD, "head", feeder.source_bus, "ABC")]
    node: list[int] = []
    amp: list[int] = []
    start: list[int] = []
    for element, row in places:
        kind = row.kind
        if kind == "transformer":
            low = feeder.nominal_kv(row.bus2) <= LOW_VOLTAGE_KV
            kind = "service_transformer" if low else "transformer"
        if kind not in {"regulator", "switch", "service_transformer"}:
            continue
        terminal = element.buses.index(row.bus1)
        nodes = element.nodes[terminal]
        first = element.offset + terminal * len(nodes)
        start.append(len(amp))
        amp += range(first, first + len(nodes))
        node += nodes
        rows.append((element.name, kind, row.bus1, phase_letters(feeder.nodes, nodes)))
    table = pd.DataFrame(rows, columns=["element", "kind", "bus", "phase"])
    return table, np.array(node, int), np.array(amp, int), np.array(start, int)


def _element_table(places: Sequence[tuple[SeriesElement, Any]], feeder: Feeder) -> pd.DataFrame:
    """Return the screened elements with rating and basis."""
    rows = []
    wiring, phase, kv = (
        dict(zip(feeder.buses.index, feeder.buses[name], strict=True))
        for name in ("wiring", "phase", "kv_base_ln")
    )
    for element, row in places:
        terminal = element.buses.index(row.bus1)
        by_amps = element.name.lower().split(".", 1)[0] in {"line", "reactor"}
        split = wiring[row.bus1] == Wiring.SPLIT_PHASE
        phases = sum(node >= 0 for node in element.nodes[terminal])
        by_line = row.rating_a * float(kv[row.bus1]) * phases
        rows.append(
            {
                "element": element.name,
                "kind": row.kind,
                "bus": row.bus1,
                "phase": phase[row.bus1]
                if split
                else phase_letters(feeder.nodes, element.nodes[terminal]),
                "basis": "normal amps" if by_amps else "nameplate kVA",
                "rating_a": row.rating_a,
                "rating_kva": by_line if by_amps else row.rating_kva,
                "rating_source": row.rating_source,
                "emergency_ratio": row.emergency_ratio,
            }
        )
    return pd.DataFrame(rows)


def make_gate(feeder: Feeder, shape_of: Mapping[str, int]) -> LoadGate:
    """Make the gate of a feeder's loads; ``shape_of`` gives the load-shape row by load name."""
    rows: list[tuple[Any, ...]] = []
    for load in feeder.loads.itertuples():
        pairs = node_pairs(load.nodes, load.phases, delta=load.delta)
        rated = phase_volts(load.kv, load.phases, delta=load.delta)
        zip_p = tuple(load.zipv[:3]) if load.zipv else (0.0, 0.0, 1.0)
        rows += [
            (
                one,
                other,
                rated,
                load.kw / len(pairs),
                shape_of.get(load.name, -1),
                load.vminpu,
                load.vmaxpu,
                load.model,
                load.cvr_watts,
                *zip_p,
            )
            for one, other in pairs
        ]
    columns = list(zip(*rows, strict=True)) if rows else [()] * 12
    arrays = [np.array(column) for column in columns]
    integers = {0, 1, 4, 7}
    arrays = [a.astype(int if n in integers else float) for n, a in enumerate(arrays)]
    a, b, volts, kw, row, vmin, vmax, model, cvr, *shares = arrays
    return LoadGate(a, b, volts, kw, row, vmin, vmax, model, cvr, np.array(shares))
