"""The section of a study file on what bidirectional chargers do with their voltage."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from v2g_feeder.powerflow.chargers import (
    ChargerControl,
    Curve,
    Operation,
    category_b,
    charger_figures,
)
from v2g_feeder.study.sections import Section

__all__ = ["ChargersSection", "charger_assumptions"]


class ChargersSection(Section):
    """Voltage control of bidirectional chargers (IEEE 1547-2018), disabled as in the standard."""

    volt_var: Literal["off", "category_b"] = "off"
    """Vars by voltage: ``category_b``, the default curve of IEEE 1547-2018, table 8; or ``off``."""
    volt_watt: Literal["off", "category_b"] = "off"
    """Most that is exported by voltage: ``category_b``, the default curve of IEEE 1547-2018, table
    10, which begins at 1.06 pu, above range A of ANSI C84.1; or ``off``. What it cuts is reported
    as curtailed and not made up for later."""
    on: Annotated[Operation, Field(strict=False)] = Operation.EXPORT
    """``export``: while a connection point exports; ``both``: vars while it charges too."""
    kva_per_kw: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Rated kVA over rated kW of export; left out, 1. Reactive power goes first."""

    def settings(self) -> ChargerControl:
        """Return the stage's settings."""
        given = {} if self.kva_per_kw is None else {"kva_per_kw": self.kva_per_kw}
        return ChargerControl(_curve("volt_var", self.volt_var),
                              _curve("volt_watt", self.volt_watt), self.on, **given)  # fmt: skip


def _curve(name: str, choice: str) -> Curve | None:
    """Return the curve that a study asks for."""
    return None if choice == "off" else category_b(name)


def charger_assumptions(section: ChargersSection) -> list[dict[str, Any]]:
    """Return the figures in force with their sources; none where nothing is enabled."""
    if not section.settings().enabled:
        return []
    rows = []
    for name, figure in charger_figures().items():
        key = name.partition(".")[0]
        if getattr(section, key) == "off":
            continue
        row = {"group": "chargers", "name": name} | {**figure, "value": _shown(figure["value"])}
        if key == "kva_per_kw" and section.kva_per_kw is not None:
            row |= {"value": section.kva_per_kw, "mark": "study", "source": "set by the study"}
        rows.append(row)
    return rows


def _shown(value: Any) -> Any:
    """Return a curve as a text, another figure as it is."""
    if not isinstance(value, dict):
        return value
    points = zip(value["v_pu"], value["share"], strict=True)
    return ", ".join(f"{share:g} at {v:g} pu" for v, share in points)
