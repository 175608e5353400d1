"""The answers beside nodal capacity that a study may ask for: tables, figures, summary."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from v2g_feeder.report.figures import svg_text
from v2g_feeder.report.fleet_capacity import fleet_capacity_figure
from v2g_feeder.store import ContentHash, csv_text, write_text
from v2g_feeder.study.hosting_fleet import fleet_capacity
from v2g_feeder.study.write import printed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage

__all__ = ["further_answers"]

_FOLDER: Final = ".further"


def further_answers(
    study: Study,
    feeder: FeederStage,
    out: Path,
    content_sha256: str,
    *,
    workers: int,
    tell: Callable[[str, int, int], None],
) -> dict[str, Any]:
    """Answer what the study asks beside nodal capacity, and write it.

    Parameters
    ----------
    study, feeder
        The study and its feeder, before the conditions of the search.
    out
        Result folder.
    content_sha256
        Of what is in it already.
    workers
        Worker processes.
    tell
        Called with stage, done and total.

    Returns
    -------
    dict
        Further parts of ``summary.json``; empty if nothing is asked.
    """
    section = study.content.hosting
    if section.fleet is None:
        return {}
    conditions = section.conditions.settings()  # one mode: with an unknown one this is an error
    commands = (*feeder.circuit.commands, *conditions.commands(feeder.feeder))
    feeder = replace(feeder, circuit=replace(feeder.circuit, commands=commands))
    tables: dict[str, pd.DataFrame] = {}
    summary: dict[str, Any] = {}
    figures: dict[str, str] = {}
    if section.fleet is not None:
        settings = section.fleet.settings()
        found, summary["fleet_capacity"] = fleet_capacity(
            study, feeder, settings, out / _FOLDER, workers=workers, tell=tell
        )
        tables |= found
        figures["fleet_capacity"] = svg_text(
            fleet_capacity_figure(found["hosting_fleet"], settings.thresholds)
        )
    if not summary:
        return {}
    content = ContentHash()
    content.add_text("hosting", content_sha256)
    for name, table in tables.items():
        text = csv_text(printed(table, feeder))
        content.add_text(name, text)
        write_text(out / f"{name}.csv", text)
    for name, text in figures.items():
        write_text(out / "figures" / f"{name}.svg", text)
    return summary | {"content_sha256": content.hexdigest()}
