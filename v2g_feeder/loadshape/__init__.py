"""Load shapes on the feeder: where the vehicles are, and signed kW by connection point."""

from v2g_feeder.loadshape.injections import at_points, by_point, coincident
from v2g_feeder.loadshape.placement import Place, Placed, no_points, place_fleet

__all__ = ["Place", "Placed", "at_points", "by_point", "coincident", "no_points", "place_fleet"]
