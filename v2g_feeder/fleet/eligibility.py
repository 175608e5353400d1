"""From fleet to resource: how many vehicles pass each filter, and what each one is used for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v2g_feeder.fleet.participation import Participation
    from v2g_feeder.fleet.vehicles import Vehicles

__all__ = ["eligibility"]


def eligibility(
    vehicles: Vehicles, case: Participation, fleet_names: Sequence[str]
) -> pd.DataFrame:
    """Count the vehicles that pass each filter and sort them into exclusive states.

    Parameters
    ----------
    vehicles
        Vehicles of all fleets.
    case
        Participation case; gives the enrolled vehicles.
    fleet_names
        One name a fleet, in the order of ``vehicles.fleet``.

    Returns
    -------
    pandas.DataFrame
        One row a fleet. ``vehicles >= compatible >= bidirectional >= permitted >= accepted >=
        enrolled_to_export`` is the funnel: a vehicle that can, with a charger that can, at a site
        that may, whose warranty and owner agree, in the programme. ``outside + smart_only +
        grid_managed + v2h + v2g == vehicles``: each vehicle is counted once, by its highest active
        use; ``v2h`` may serve its own premise but not export. ``nameplate_kw`` counts every
        vehicle, ``v2g_kw`` those of ``v2g``.
    """
    enrolled = case.is_enrolled(vehicles)
    permitted = vehicles.bidirectional & vehicles.permitted
    accepted = permitted & vehicles.accepted
    exports = accepted & enrolled
    behind = vehicles.bidirectional & vehicles.accepted & enrolled & ~exports
    columns = {
        "vehicles": np.ones(len(vehicles), dtype=bool),
        "compatible": vehicles.compatible,
        "bidirectional": vehicles.bidirectional,
        "permitted": permitted,
        "accepted": accepted,
        "enrolled_to_export": exports,
        "outside": ~enrolled & ~vehicles.smart_only,
        "smart_only": ~enrolled & vehicles.smart_only,
        "grid_managed": enrolled & ~exports & ~behind,
        "v2h": behind,
        "v2g": exports,
    }
    count = len(fleet_names)
    table = pd.DataFrame({"fleet": list(fleet_names)})
    for name, mask in columns.items():
        table[name] = np.bincount(vehicles.fleet[mask], minlength=count)
    table["nameplate_kw"] = np.bincount(vehicles.fleet, vehicles.rated_kw, count)
    table["v2g_kw"] = np.bincount(vehicles.fleet, vehicles.export_kw * exports, count)
    return table
