"""Screening: what breaks a limit, where and when, and whether the fleet caused or cured it.

:func:`screen` turns one unit's solution into rows; :func:`keyed` adds its keys; a
:class:`Reducer` folds the units of a study into the tables of its report.
"""

from v2g_feeder.screening.compare import (
    KW_TOLERANCE,
    LOADING_TOLERANCE_PCT,
    SCREEN_COLUMNS,
    VOLTAGE_TOLERANCE_PU,
    binding,
    excess,
)
from v2g_feeder.screening.criteria import Against, Item, criteria_of, operations
from v2g_feeder.screening.limits import (
    Limits,
    Source,
    SuddenBand,
    VoltageBand,
)
from v2g_feeder.screening.presets import is_file_name, load_limits, preset_names
from v2g_feeder.screening.reduce import Reducer
from v2g_feeder.screening.relief import ALWAYS, RELIEF_COLUMNS, Outcome, harm_and_relief
from v2g_feeder.screening.tables import (
    HOURLY_COLUMNS,
    VIOLATION_COLUMNS,
    cap_rows,
    hourly,
    keyed,
    sort_rows,
)
from v2g_feeder.screening.violations import Screen, reverse_flow_indicator, screen, unknowns

__all__ = [
    "ALWAYS",
    "HOURLY_COLUMNS",
    "KW_TOLERANCE",
    "LOADING_TOLERANCE_PCT",
    "RELIEF_COLUMNS",
    "SCREEN_COLUMNS",
    "VIOLATION_COLUMNS",
    "VOLTAGE_TOLERANCE_PU",
    "Against",
    "Item",
    "Limits",
    "Outcome",
    "Reducer",
    "Screen",
    "Source",
    "SuddenBand",
    "VoltageBand",
    "binding",
    "cap_rows",
    "criteria_of",
    "excess",
    "harm_and_relief",
    "hourly",
    "is_file_name",
    "keyed",
    "load_limits",
    "operations",
    "preset_names",
    "reverse_flow_indicator",
    "screen",
    "sort_rows",
    "unknowns",
]
