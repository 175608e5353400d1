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
    room,
)
from v2g_feeder.screening.criteria import Against, Item, criteria_of, operations
from v2g_feeder.screening.devices import combine_devices, devices_of_model, read_devices
from v2g_feeder.screening.limits import (
    Limits,
    Source,
    SuddenBand,
    VoltageBand,
)
from v2g_feeder.screening.presets import is_file_name, load_limits, preset_names
from v2g_feeder.screening.protection import (
    NEEDS_FULL_STUDY,
    PROTECTION_COLUMNS,
    ProtectionInputs,
    ProtectionStatus,
    protection_findings,
    protection_screen,
)
from v2g_feeder.screening.protection_figures import ProtectionSettings, protection_settings
from v2g_feeder.screening.protection_sizes import protection_capacity
from v2g_feeder.screening.reading import Reading
from v2g_feeder.screening.reduce import Reducer
from v2g_feeder.screening.relief import ALWAYS, RELIEF_COLUMNS, Outcome, harm_and_relief
from v2g_feeder.screening.tables import (
    HOURLY_COLUMNS,
    VIOLATION_COLUMNS,
    cap_rows,
    hourly,
    keyed,
    sort_rows,
    table_of,
)
from v2g_feeder.screening.violations import (
    Screen,
    reverse_flow_indicator,
    reverse_kw,
    screen,
    unknowns,
)
from v2g_feeder.screening.zones import Zone, device_zones, fault_path, standing_flows

__all__ = [
    "ALWAYS",
    "HOURLY_COLUMNS",
    "KW_TOLERANCE",
    "LOADING_TOLERANCE_PCT",
    "NEEDS_FULL_STUDY",
    "PROTECTION_COLUMNS",
    "RELIEF_COLUMNS",
    "SCREEN_COLUMNS",
    "VIOLATION_COLUMNS",
    "VOLTAGE_TOLERANCE_PU",
    "Against",
    "Item",
    "Limits",
    "Outcome",
    "ProtectionInputs",
    "ProtectionSettings",
    "ProtectionStatus",
    "Reading",
    "Reducer",
    "Screen",
    "Source",
    "SuddenBand",
    "VoltageBand",
    "Zone",
    "binding",
    "cap_rows",
    "combine_devices",
    "criteria_of",
    "device_zones",
    "devices_of_model",
    "excess",
    "fault_path",
    "harm_and_relief",
    "hourly",
    "is_file_name",
    "keyed",
    "load_limits",
    "operations",
    "preset_names",
    "protection_capacity",
    "protection_findings",
    "protection_screen",
    "protection_settings",
    "read_devices",
    "reverse_flow_indicator",
    "reverse_kw",
    "room",
    "screen",
    "sort_rows",
    "standing_flows",
    "table_of",
    "unknowns",
]
