"""Buses, nodes and elements as the model wrote them: names compare without case and print so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from v2g_feeder.powerflow.solution import Observed
    from v2g_feeder.study.feeder_stage import FeederStage

__all__ = ["as_written", "places_as_written", "printed"]

_COLUMNS: Final = (
    "bus", "node", "element", "worst_element", "limiting_element", "import_element",
    "export_element",
)  # fmt: skip


def as_written(name: str, names: Mapping[str, str]) -> str:
    """Return a bus, node or element as the model wrote it.

    Parameters
    ----------
    name
        ``b1``, ``b1.2`` or ``Line.l1``, in any case.
    names
        Names as the model wrote them, by lower-case name; what is not there stays as it is.
    """
    bus, dot, node = name.partition(".")
    return names.get(name.lower()) or f"{names.get(bus.lower(), bus)}{dot}{node}"


def printed(table: pd.DataFrame, feeder: FeederStage) -> pd.DataFrame:
    """Return a table with buses, nodes, elements and limiting places as the model wrote them."""
    shown = table.copy()
    for column in set(_COLUMNS).intersection(shown):
        values = shown[column]
        known = {name: as_written(str(name), feeder.names) for name in values.dropna().unique()}

        def name_of(label: str, known: Mapping[str, str] = known) -> str:
            return known.get(label, label)  # a category may stand in no row

        shown[column] = values.map(name_of, na_action="ignore")
    return shown


def places_as_written(feeder: FeederStage) -> Observed:
    """Return the places that are observed, labelled as the model wrote them."""
    observed = feeder.observed
    return replace(
        observed,
        voltages=printed(observed.voltages, feeder),
        elements=printed(observed.elements, feeder),
        flows=printed(observed.flows, feeder),
        regulators=tuple(as_written(name, feeder.names) for name in observed.regulators),
    )
