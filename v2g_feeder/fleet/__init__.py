"""The fleet: who there is, who takes part, and when each vehicle is plugged in and how empty.

``FleetSettings`` -> ``draw_vehicles`` -> ``draw_sessions`` and ``draw_participation``, once a draw.
"""

from v2g_feeder.fleet.archetypes import Archetype, archetype_names, load_archetype
from v2g_feeder.fleet.eligibility import eligibility
from v2g_feeder.fleet.figures import Figure
from v2g_feeder.fleet.participation import (
    Participation,
    ParticipationDraw,
    draw_participation,
    load_participation,
    participation_case,
)
from v2g_feeder.fleet.sessions import Sessions, draw_sessions, draw_sessions_at, plugged_in_later
from v2g_feeder.fleet.vehicles import (
    FleetSettings,
    Site,
    Vehicles,
    draw_vehicles,
    first_vehicles,
)

__all__ = [
    "Archetype",
    "Figure",
    "FleetSettings",
    "Participation",
    "ParticipationDraw",
    "Sessions",
    "Site",
    "Vehicles",
    "archetype_names",
    "draw_participation",
    "draw_sessions",
    "draw_sessions_at",
    "draw_vehicles",
    "eligibility",
    "first_vehicles",
    "load_archetype",
    "load_participation",
    "participation_case",
    "plugged_in_later",
]
