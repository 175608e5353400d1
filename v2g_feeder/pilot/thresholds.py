"""The thresholds of the checklist: defaults with their sources, and a user's own."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Final

from v2g_feeder.errors import InputError, Problem, nearest
from v2g_feeder.fleet.figures import Figure, parse_figures

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Thresholds", "default_thresholds", "threshold_figures"]

_SHARES: Final = (
    "peak_share", "plugged_share", "telemetry_complete", "sign_share", "phase_correlation",
)  # fmt: skip


@lru_cache
def threshold_figures() -> dict[str, Figure]:
    """Return the default thresholds with unit, mark and source, by name."""
    data = resources.files("v2g_feeder.pilot").joinpath("data", "thresholds.yaml")
    return parse_figures(data.read_text(encoding="utf-8"), "thresholds.yaml")


@dataclass(frozen=True)
class Thresholds:
    """Thresholds; units, marks and sources stand in ``data/thresholds.yaml``.

    Parameters
    ----------
    peak_share, peak_width_h, peak_start_h, peak_to_average, season_days
        Evening peak.
    plugged_share, weekdays
        Plug-in times.
    telemetry_complete, telemetry_interval_min, telemetry_hours, clock_skew_s
        Telemetry.
    sign_share, idle_kw, charger_least_kw, charger_most_kw, phase_correlation
        Telemetry, whether it is plausible.
    rebuilds
        Protection.
    event_settle_min, event_edge_min
        Event check.
    """

    peak_share: float
    peak_width_h: float
    peak_start_h: float
    peak_to_average: float
    season_days: float
    plugged_share: float
    weekdays: float
    telemetry_complete: float
    telemetry_interval_min: float
    telemetry_hours: float
    clock_skew_s: float
    sign_share: float
    idle_kw: float
    charger_least_kw: float
    charger_most_kw: float
    phase_correlation: float
    rebuilds: float
    event_settle_min: float
    event_edge_min: float

    def changed(self, own: Mapping[str, float]) -> Thresholds:
        """Return these with a user's own in their place.

        Raises
        ------
        InputError
            For unknown names (the nearest is given) and figures out of range.
        """
        names = [field.name for field in fields(self)]
        problems = [
            Problem(f"thresholds.{name}", f"unknown threshold {name!r}", nearest(name, names))
            for name in own
            if name not in names
        ]
        for name, value in own.items():
            most = 1.0 if name in _SHARES else math.inf
            if not (math.isfinite(value) and 0 <= value <= most):
                hint = f"did you mean {value / 100:g}?" if 1 < value <= 100 else ""
                what = "0 to 1" if most == 1 else "0 or more"
                problems.append(Problem(f"thresholds.{name}", f"{value:g} is not {what}", hint))
        if problems:
            raise InputError(problems)
        new = replace(self, **own)
        if new.peak_start_h + new.peak_width_h > 24:
            message = f"{new.peak_start_h:g} h + {new.peak_width_h:g} h is after midnight"
            raise InputError(Problem("thresholds.peak_start_h", message))
        return new


def default_thresholds() -> Thresholds:
    """Return the shipped thresholds."""
    return Thresholds(**{name: figure.value for name, figure in threshold_figures().items()})
