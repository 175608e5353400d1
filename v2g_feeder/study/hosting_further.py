"""The answers beside nodal capacity that a study may ask for: tables, summary."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from v2g_feeder.hosting import Regulators
from v2g_feeder.store import ContentHash, csv_text, write_text
from v2g_feeder.study.hosting_envelope import operating_envelopes
from v2g_feeder.study.hosting_fleet import fleet_capacity
from v2g_feeder.study.names import printed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage

__all__ = ["further_answers"]


@dataclass
class _Answers:
    """What is written: tables by name, parts of the summary."""

    tables: dict[str, list[pd.DataFrame]] = field(default_factory=dict)
    summary: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, name: str, words: str, found: Mapping[str, Any], summary: dict[str, Any]) -> None:
        """Take the answer under one set of conditions."""
        for table, rows in found.items():
            self.tables.setdefault(table, []).append(rows.assign(conditions=words))
        self.summary.setdefault(name, []).append({"conditions": words} | summary)


def further_answers(
    study: Study,
    feeder: FeederStage,
    folders: tuple[Path, Path],
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
    folders
        Result folder, and that of the run's units: those that are there are not solved again.
    content_sha256
        Of what is in it already.
    workers
        Worker processes.
    tell
        Called with stage, done and total.

    Returns
    -------
    dict
        Further parts of ``summary.json``, each a list over conditions; empty if nothing is asked.
    """
    section, answers, (out, working) = study.content.hosting, _Answers(), folders
    every = [one for asked in section.asked() for one in asked.alternatives(feeder.feeder)]
    if section.fleet is not None:
        settings = section.fleet.settings()
        free = dict.fromkeys(replace(one, regulators=Regulators.FREE) for one in every)
        for number, conditions in enumerate(free):
            conditioned = feeder.under(conditions.commands(feeder.feeder))
            found, summary = fleet_capacity(
                study, conditioned, settings, working / f"f{number}", workers=workers, tell=tell
            )
            answers.add("fleet_capacity", conditions.words(), found, summary)
    if section.envelope is not None:
        envelope = section.envelope.settings()
        for number, conditions in enumerate(every):
            conditioned = feeder.under(conditions.commands(feeder.feeder))
            found, summary = operating_envelopes(
                study, conditioned, conditions, envelope, working / f"e{number}",
                workers=workers, tell=tell,
            )  # fmt: skip
            answers.add("envelopes", conditions.words(), found, summary)
    return _written(answers, feeder, out, content_sha256) if answers.summary else {}


def _written(
    answers: _Answers, feeder: FeederStage, out: Path, content_sha256: str
) -> dict[str, Any]:
    """Write tables; return what the summary says."""
    content = ContentHash()
    content.add_text("hosting", content_sha256)
    for name, parts in answers.tables.items():
        text = csv_text(printed(pd.concat(parts, ignore_index=True), feeder))
        content.add_text(name, text)
        write_text(out / f"{name}.csv", text)
    return answers.summary | {"content_sha256": content.hexdigest()}
