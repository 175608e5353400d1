"""Load shapes: where the vehicles are, and signed kW by connection point and step."""

from v2g_feeder.loadshape.diversity import diversity
from v2g_feeder.loadshape.events import event_days, held_in, rebound
from v2g_feeder.loadshape.injections import at_points, by_point, coincident
from v2g_feeder.loadshape.placement import (
    Place,
    Placed,
    connection_points,
    no_points,
    place_fleet,
)
from v2g_feeder.loadshape.season import fleet_vehicles
from v2g_feeder.loadshape.settings import ShapeSettings
from v2g_feeder.loadshape.shapes import Shapes, fleet_power, fleet_shapes

__all__ = [
    "Place",
    "Placed",
    "ShapeSettings",
    "Shapes",
    "at_points",
    "by_point",
    "coincident",
    "connection_points",
    "diversity",
    "event_days",
    "fleet_power",
    "fleet_shapes",
    "fleet_vehicles",
    "held_in",
    "no_points",
    "place_fleet",
    "rebound",
]
