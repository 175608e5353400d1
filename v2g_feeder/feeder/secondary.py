"""Customers, and the secondaries that test feeders leave out.

Test feeders lump whole streets into one medium-voltage load. A charger at such a load sees neither
its service transformer nor its drop, which is where it first does harm. :func:`build_secondaries`
puts them there: each medium-voltage load becomes service transformers, each with a shared main and
one drop a customer, the load spread evenly over the drops' ends.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import yaml

from v2g_feeder.conventions import Connection, Wiring
from v2g_feeder.errors import Problem
from v2g_feeder.feeder.model import LOW_VOLTAGE_KV, phase_letters

if TYPE_CHECKING:
    from v2g_feeder.feeder.model import Feeder

__all__ = [
    "Secondaries",
    "SecondarySettings",
    "build_secondaries",
    "customers_of_loads",
    "service_figures",
]

_FEET_PER_M: Final = 1 / 0.3048
_SPLIT_BASE_KV: Final = 0.207846  # 120 V to neutral, written line to line as OpenDSS wants it
_NO_NAME: Final = re.compile(r"[^\w-]")
_COLUMNS: Final = ["customer", "load", "bus", "connection", "kw", "transformer"]


@lru_cache(maxsize=1)
def service_figures() -> dict[str, dict[str, Any]]:
    """Return the default figures with unit, mark and source, from ``data/services.yaml``."""
    text = files("v2g_feeder.feeder").joinpath("data/services.yaml").read_text(encoding="utf-8")
    figures: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return figures


def _default(name: str) -> float:
    return float(service_figures()[name]["value"])


@dataclass(frozen=True)
class SecondarySettings:
    """Size of the services under medium-voltage loads; defaults in ``data/services.yaml``.

    Parameters
    ----------
    rating_kva
        Nameplate of a single-phase service transformer; a three-phase bank has three of them.
    main_m, drop_m
        Length of the shared main and of each drop.
    admd_kw
        After-diversity maximum demand of a customer: customers = load kW / this.
    loading
        Share of the nameplate that the load fills at its peak.
    """

    rating_kva: float = field(default_factory=lambda: _default("rating_kva"))
    main_m: float = field(default_factory=lambda: _default("main_m"))
    drop_m: float = field(default_factory=lambda: _default("drop_m"))
    admd_kw: float = field(default_factory=lambda: _default("admd_kw"))
    loading: float = field(default_factory=lambda: _default("loading"))

    def problems(self, where: str) -> list[Problem]:
        """Return what is wrong with the figures, each named under ``where``."""
        found = [
            Problem(f"{where}.{name}", f"{value!r} is not a positive number")
            for name, value in vars(self).items()
            if not (isinstance(value, int | float) and math.isfinite(value) and value > 0)
        ]
        if not found and self.loading > 1.5:
            found.append(
                Problem(
                    f"{where}.loading", f"{self.loading:g} is a share of the nameplate, 0 to 1.5"
                )
            )
        return found


@dataclass(frozen=True)
class Secondaries:
    """OpenDSS text that adds the services, and the customers at their ends.

    Parameters
    ----------
    commands
        To run after the master file.
    customers
        One row a customer: ``customer``, ``load`` (the model's load it is part of), ``bus``,
        ``connection``, ``kw`` (its share at nominal), ``transformer``.
    loads
        New load name -> the model's load that it replaces.
    """

    commands: tuple[str, ...]
    customers: pd.DataFrame
    loads: dict[str, str]


def customers_of_loads(feeder: Feeder, admd_kw: float) -> pd.DataFrame:
    """Return the customers of a feeder as its model stands, no secondaries added.

    Each load holds ``ceil(kW / admd_kw)`` customers at its own bus and connection.
    """
    rows = []
    for load in feeder.loads.itertuples():
        count = max(1, math.ceil(load.kw / admd_kw - 1e-9)) if load.kw > 0 else 0
        connection = connection_of(feeder, load.bus, load.nodes)
        rows += [
            (f"{load.name}_c{n + 1}", load.name, load.bus, connection, load.kw / count, "")
            for n in range(count)
        ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def connection_of(feeder: Feeder, bus: str, nodes: tuple[int, ...]) -> Connection:
    """Return the connection of a load from the node indices that it is tied to."""
    if feeder.buses.loc[bus, "wiring"] == Wiring.SPLIT_PHASE:
        return Connection.SPLIT
    return Connection(phase_letters(feeder.nodes, nodes))


def build_secondaries(feeder: Feeder, settings: SecondarySettings) -> Secondaries:
    """Put services under every medium-voltage load.

    Parameters
    ----------
    feeder
        Loads at or below 0.6 kV keep their place and become customers as they are; loads of no
        kW or of negative kW keep their place and have no customers.
    settings
        Customers = load kW / ``admd_kw``, transformers = ceil(load kVA / (``loading`` x rating)).

    Returns
    -------
    Secondaries
        Single-phase and line-to-line loads get centre-tapped 120/240 V transformers between the
        load's own phases, three-phase loads 208Y/120 V banks. Customers, in the order of the
        loads, are shared out evenly over a load's transformers.
    """
    medium = [
        load
        for load in feeder.loads.itertuples()
        if load.kw > 0 and feeder.nominal_kv(load.bus) > LOW_VOLTAGE_KV
    ]
    if not medium:
        return Secondaries((), customers_of_loads(feeder, settings.admd_kw), {})
    commands = list(_line_codes())
    rows: list[tuple[str, str, str, Connection, float, str]] = []
    replaced: dict[str, str] = {}
    for number, load in enumerate(medium):
        new, customers = _service(feeder, load, _stem(load.name, number), settings)
        commands += [f'Disable "Load.{load.name}"', *new]
        rows += customers
        replaced |= {row[0]: load.name for row in customers}
    kept = customers_of_loads(feeder, settings.admd_kw)
    kept = kept[~kept["load"].isin({load.name for load in medium})]
    commands += _voltage_bases(feeder)
    table = pd.DataFrame(rows, columns=_COLUMNS)
    return Secondaries(
        tuple(commands),
        pd.concat([table, kept], ignore_index=True) if len(kept) else table,
        replaced,
    )


def _line_codes() -> list[str]:
    """Return line codes of main and drop, two legs and three phases, per km."""
    found = []
    for part in ("main", "drop"):
        figure = service_figures()[part]["value"]
        for phases in (2, 3):
            rows = {
                axis: " | ".join(
                    " ".join(
                        f"{figure[axis][0 if row == column else 1] * _FEET_PER_M:.8g}"
                        for column in range(row + 1)
                    )
                    for row in range(phases)
                )
                for axis in ("r", "x")
            }
            found.append(
                f"New LineCode.svc_{part}{phases} nphases={phases} units=km "
                f"rmatrix=[{rows['r']}] xmatrix=[{rows['x']}] "
                f"cmatrix=[{_zeros(phases)}] normamps={figure['amps']:g}"
            )
    return found


def _zeros(phases: int) -> str:
    return " | ".join(" ".join("0" for _ in range(row + 1)) for row in range(phases))


def _stem(name: str, number: int) -> str:
    """Return a load's name as the names of buses may hold it: without points, blanks and signs."""
    plain = _NO_NAME.sub("_", name)
    return name if plain == name else f"{plain}_{number}"


def _service(
    feeder: Feeder, load: Any, stem: str, settings: SecondarySettings
) -> tuple[list[str], list[tuple[str, str, str, Connection, float, str]]]:
    """Return the commands and the customers of one medium-voltage load."""
    three = load.phases == 3
    rating = settings.rating_kva * (3 if three else 1)
    customers = max(1, math.ceil(load.kw / settings.admd_kw - 1e-9))
    kva = float(np.hypot(load.kw, load.kvar))
    units = min(customers, max(1, math.ceil(kva / (settings.loading * rating) - 1e-9)))
    commands: list[str] = []
    rows: list[tuple[str, str, str, Connection, float, str]] = []
    legs, suffix = (3, ".1.2.3") if three else (2, ".1.2")
    kv = 0.208 if three else 0.24
    for unit in range(units):
        name = f"svc_{stem}_t{unit + 1}"
        commands.append(_transformer(feeder, load, name, rating))
        commands.append(
            f"New Line.{name}_main bus1={name}{suffix} bus2={name}m{suffix} phases={legs} "
            f"linecode=svc_main{legs} length={settings.main_m / 1000:.6g} units=km"
        )
        for number in range(unit, customers, units):
            customer = f"{stem}_c{number + 1}"
            bus = f"svc_{customer}"
            commands.append(
                f"New Line.{bus}_drop bus1={name}m{suffix} bus2={bus}{suffix} phases={legs} "
                f"linecode=svc_drop{legs} length={settings.drop_m / 1000:.6g} units=km"
            )
            commands.append(_customer_load(load, customer, bus, three, kv, customers))
            connection = Connection.ABC if three else Connection.SPLIT
            rows.append(
                (customer, load.name, bus, connection, load.kw / customers, f"Transformer.{name}")
            )
    return commands, rows


def _transformer(feeder: Feeder, load: Any, name: str, rating: float) -> str:
    """Return the service transformer of a load, tied to the load's own phases."""
    figure = service_figures()["transformer"]["value"]
    losses = f"%imag={figure['magnetising_pct']:g} %noloadloss={figure['no_load_loss_pct']:g}"
    base = float(feeder.buses.loc[load.bus, "kv_base_ln"])
    if load.phases == 3:
        primary = "delta" if load.delta else "wye"
        r = figure["r_pct"][0] + figure["r_pct"][1]
        return (
            f"New Transformer.{name} phases=3 windings=2 buses=[{load.bus} {name}] "
            f"conns=[{primary} wye] kvs=[{base * math.sqrt(3):.10g} 0.208] "
            f"kvas=[{rating:g} {rating:g}] %loadloss={r:g} xhl={figure['x_pct'][0]:g} {losses}"
        )
    numbers = [int(feeder.nodes[node].rsplit(".", 1)[1]) for node in load.nodes if node >= 0]
    kv = base * (math.sqrt(3.0) if len(numbers) == 2 else 1.0)
    tied = ".".join(str(number) for number in numbers)
    r, x = figure["r_pct"], figure["x_pct"]
    return (
        f"New Transformer.{name} phases=1 windings=3 "
        f"buses=[{load.bus}.{tied} {name}.1.0 {name}.0.2] "
        f"kvs=[{kv:.10g} 0.12 0.12] kvas=[{rating:g} {rating:g} {rating:g}] "
        f"%rs=[{r[0]:g} {r[1]:g} {r[2]:g}] xhl={x[0]:g} xht={x[1]:g} xlt={x[2]:g} {losses}"
    )


def _customer_load(
    load: Any, customer: str, bus: str, three: bool, kv: float, customers: int
) -> str:
    """Return a customer's share of a load, with the load's own voltage model."""
    nodes, phases = ("1.2.3", 3) if three else ("1.2", 1)
    text = (
        f"New Load.{customer} bus1={bus}.{nodes} phases={phases} conn=wye kv={kv:g} "
        f"kw={load.kw / customers:.10g} kvar={load.kvar / customers:.10g} model={load.model} "
        f"vminpu={load.vminpu:g} vmaxpu={load.vmaxpu:g} "
        f"cvrwatts={load.cvr_watts:g} cvrvars={load.cvr_vars:g}"
    )
    if load.zipv:
        text += " zipv=[" + " ".join(f"{value:g}" for value in load.zipv) + "]"
    return text


def _voltage_bases(feeder: Feeder) -> list[str]:
    """Return the commands that give the new buses their base, keeping the model's own."""
    known = feeder.buses["kv_base_ln"].dropna().unique() * math.sqrt(3.0)
    bases = sorted({round(float(kv), 6) for kv in known} | {_SPLIT_BASE_KV}, reverse=True)
    return ["Set VoltageBases=[" + " ".join(f"{kv:g}" for kv in bases) + "]", "CalcVoltageBases"]
