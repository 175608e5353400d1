"""The feeder of a study file, prepared by a worker while the process that asked still imports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from v2g_feeder.workers import Alone

if TYPE_CHECKING:
    from pathlib import Path

    from v2g_feeder.study.config import Study
    from v2g_feeder.study.feeder_stage import FeederStage
    from v2g_feeder.workers import WorkerPool

    Ahead = Alone[tuple[dict[str, Any], FeederStage]]

__all__ = ["FEEDER_DEADLINE_S", "feeder_ahead", "resolved_feeder"]

FEEDER_DEADLINE_S: Final = 600.0
"""Longest time that the preparation of a feeder may take."""


def feeder_ahead(file: Path, load: dict[str, Any], workers: WorkerPool) -> Ahead:
    """Have a worker begin with a study file and its feeder.

    Parameters
    ----------
    file, load
        For :func:`~v2g_feeder.study.config.load_study`.
    workers
        Of which one does it.

    Returns
    -------
    Alone
        Of the study as it was read, resolved, and its feeder.
    """
    return Alone(_of_file, file, load, deadline_s=FEEDER_DEADLINE_S, workers=workers)


def _of_file(file: Path, load: dict[str, Any]) -> tuple[dict[str, Any], FeederStage]:
    """Read and check a study file, and prepare its feeder."""
    from v2g_feeder.study.config import load_study  # noqa: PLC0415  # a worker's, not the caller's

    return resolved_feeder(load_study(file, **load))


def resolved_feeder(study: Study) -> tuple[dict[str, Any], FeederStage]:
    """Prepare the feeder of a study; return the study, resolved, with it."""
    from v2g_feeder.study.feeder_stage import prepare_feeder  # noqa: PLC0415  # a worker's, too

    return study.resolved(), prepare_feeder(study)
