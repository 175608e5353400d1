"""A look at a feeder model: what is in it, its nominal load solved, and a drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from v2g_feeder.feeder.base_load import BaseLoad
from v2g_feeder.feeder.engine import shared_engine
from v2g_feeder.feeder.library import resolve_model
from v2g_feeder.feeder.model import Feeder, read_feeder
from v2g_feeder.feeder.scan import scan
from v2g_feeder.loadshape import no_points
from v2g_feeder.powerflow.opendss import Circuit, Runner
from v2g_feeder.powerflow.solution import Observed, Reason
from v2g_feeder.report.figures import FeederPicture, draw_feeder, loading_key, new_figure
from v2g_feeder.report.layout import place_buses
from v2g_feeder.study.ahead import FEEDER_DEADLINE_S
from v2g_feeder.study.names import as_written
from v2g_feeder.workers import run_alone

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.figure import Figure

__all__ = ["FeederLook", "feeder_figure", "look_at_feeder"]

_SOLVED: Final = {Reason.FLAGGED: "valid, a load model switched at high voltage"}


@dataclass(frozen=True)
class FeederLook:
    """A feeder at its nominal load, controls settled.

    Parameters
    ----------
    feeder, observed
        Its tables and the places that a study screens.
    names
        Names as the model wrote them, by lower-case name.
    reason
        Whether the solve is valid.
    v_pu
        Service voltages, ``[node]``.
    loading_pct
        Loading of the series elements, ``[element]``; NaN where no rating is stated.
    head_kw, head_kvar, losses_kw
        At the source; positive is import.
    frequency_hz
        That the model is solved at.
    """

    feeder: Feeder
    observed: Observed
    names: Mapping[str, str]
    reason: Reason
    v_pu: np.ndarray
    loading_pct: np.ndarray
    head_kw: float
    head_kvar: float
    losses_kw: float
    frequency_hz: float

    def named(self, name: str) -> str:
        """Return a bus, node or element as the model wrote it."""
        return as_written(name, self.names)

    def figures(self) -> dict[str, Any]:
        """Return what the model holds and how it stands, by name; units are in the names."""
        feeder, elements = self.feeder, self.observed.elements
        kinds = feeder.elements.loc[feeder.elements["series"], "kind"].value_counts()
        classes = sorted({round(float(kv), 3) for kv in self.observed.voltages["kv_class"]})
        found: dict[str, Any] = {
            "circuit": feeder.name,
            "source_bus": self.named(feeder.source_bus),
            "buses": len(feeder.buses),
            "nodes": len(feeder.nodes),
            "kv_classes": classes,
            "frequency_hz": self.frequency_hz,
            **{f"{kind}_elements": int(count) for kind, count in kinds.items()},
            "rating_unknown": int((elements["rating_source"] == "unknown").sum()),
            "loads": len(feeder.loads),
            "load_kw": float(feeder.loads["kw"].sum()),
            "load_kvar": float(feeder.loads["kvar"].sum()),
            "regulator_controls": len(feeder.regulators),
            "capacitors": len(feeder.capacitors),
            # where no line states a unit of length there is no distance
            "farthest_km": float(feeder.buses["km"].max()) or "unknown",
            "solution": _SOLVED.get(self.reason, self.reason.name.lower().replace("_", " ")),
        }
        if self.reason > Reason.FLAGGED:
            return found
        found |= {"head_kw": self.head_kw, "head_kvar": self.head_kvar, "losses_kw": self.losses_kw}
        for side, at in (("lowest", np.argmin), ("highest", np.argmax)):
            where = int(at(self.v_pu)) if len(self.v_pu) else -1
            if where >= 0:
                found[f"{side}_v_pu"] = float(self.v_pu[where])
                found[f"{side}_v_node"] = self.named(self.observed.voltages["node"].iloc[where])
        if np.isfinite(self.loading_pct).any():
            most = int(np.nanargmax(self.loading_pct))
            found["highest_loading_pct"] = float(self.loading_pct[most])
            found["highest_loading_element"] = self.named(str(elements["element"].iloc[most]))
        return found


def look_at_feeder(model: str, folder: Path) -> FeederLook:
    """Read a feeder and solve its nominal load, in a process of its own.

    Parameters
    ----------
    model
        Name of a shipped feeder, or the path of a master file, relative to ``folder``.
    folder
        Where a relative path begins.

    Raises
    ------
    InputError
        If the model is missing or holds what may not be in one.
    FeederError
        If the engine cannot load it.
    """
    master = resolve_model(model, folder)
    return run_alone(_look, master, deadline_s=FEEDER_DEADLINE_S, feeder=master)


def _look(master: Path) -> FeederLook:
    """Solve the nominal load; runs the native engine on a user's file."""
    scanned = scan(master)
    engine = shared_engine()
    engine.load(master)
    bare, frequency_hz = read_feeder(engine, master), engine.frequency_hz()
    nominal = BaseLoad(
        source="nominal",
        p=np.ones((1, 1)),
        q=np.ones((1, 1)),
        shape_of=dict.fromkeys(bare.loads["name"].str.lower(), 0),
        notes=(),
        season_claim=False,
    )
    circuit = Circuit(master, (), nominal, no_points(), step_hours=1.0, steps_per_day=1)
    runner = Runner(engine, circuit)
    solved = runner.run(0, np.zeros((0, 1)))
    return FeederLook(
        feeder=bare,  # the loads as the model has them: the runner gave them shapes of its own
        observed=runner.probe.observed,
        names=dict(scanned.names),
        reason=Reason(int(solved.reason[0])),
        v_pu=solved.v_pu[0],
        loading_pct=solved.loading_pct[0],
        head_kw=float(solved.head_kw[0]),
        head_kvar=float(solved.head_kvar[0]),
        losses_kw=float(solved.losses_kw[0]),
        frequency_hz=frequency_hz,
    )


def feeder_figure(look: FeederLook) -> Figure:
    """Return the one-line drawing: buses by voltage, lines by loading, the extremes named."""
    buses, observed = look.feeder.buses, look.observed
    layout = place_buses(
        list(buses.index), list(buses["parent"]), buses["x"].to_numpy(), buses["y"].to_numpy()
    )
    number = {name: at for at, name in enumerate(buses.index)}
    valid = look.reason <= Reason.FLAGGED
    v_pu = np.full(len(buses), np.nan)
    labels: dict[int, str] = {}
    if valid:
        anchors = layout.anchor[[number[bus] for bus in observed.voltages["bus"]]]
        for row in np.argsort(np.abs(look.v_pu - 1), kind="stable"):
            if anchors[row] >= 0:
                v_pu[anchors[row]] = look.v_pu[row]
        for at in (np.argmin, np.argmax) if len(look.v_pu) else ():
            row = int(at(look.v_pu))
            node = look.named(str(observed.voltages["node"].iloc[row]))
            labels[int(anchors[row])] = f"{node}: {look.v_pu[row]:.3f} pu"
    ends = look.feeder.elements.set_index("element").reindex(observed.elements["element"])
    pairs = np.array(
        [
            [number.get(bus, 0) for bus in pair]
            for pair in zip(ends["bus1"], ends["bus2"], strict=True)
        ]
    ).reshape(-1, 2)
    loading = look.loading_pct if valid else np.full(len(pairs), np.nan)
    figure = new_figure(11.2, 6.8)
    picture = FeederPicture(
        layout, v_pu, pairs, loading, np.zeros(len(buses), bool),
        {at: text for at, text in labels.items() if at >= 0},
    )  # fmt: skip
    ax = draw_feeder(figure.add_subplot(), picture)
    ax.set_title(f"{look.feeder.name}, nominal load", loc="left", fontsize=9.5)
    ax.legend(handles=loading_key(), fontsize=8, frameon=False, loc="lower left")
    return figure
