"""Buses on a map: GeoJSON with the capacity of each.

RFC 7946 has longitudes and latitudes and nothing else. A model's coordinates may be of any system,
and as a rule state none: the file then names none, and says so; a system that the study states is
named as in the format before (GeoJSON 2008, ``crs``), which GIS programs still read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from v2g_feeder.store import plain

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["capacity_geojson"]


def capacity_geojson(
    buses: pd.DataFrame, minima: pd.DataFrame, coordinate_system: str | None
) -> str | None:
    """Return the least capacity of each bus as GeoJSON; ``None`` without coordinates.

    Parameters
    ----------
    buses
        ``bus, parent, x, y`` and further columns, which become properties; coordinates of the
        model, NaN where it has none.
    minima
        Rows of ``hosting_minima.csv``; of several conditions the first ones' kW is
        ``export_ABC_kw`` and so on, and the least under any ``export_ABC_kw_any_conditions``.
    coordinate_system
        Such as ``EPSG:2229``; ``None`` if nobody states one.

    Returns
    -------
    str or None
        A point for each bus that has coordinates.
    """
    placed = buses[np.isfinite(buses["x"]) & np.isfinite(buses["y"])]
    if placed.empty:
        return None
    first = minima["conditions"].iloc[0] if len(minima) else ""
    several = bool((minima["conditions"] != first).any())
    found: dict[str, dict[str, Any]] = {}
    for row in minima.itertuples():
        mine = found.setdefault(str(row.bus).lower(), {})
        name = f"{row.direction}_{row.connection}"
        if row.conditions == first:
            mine |= {
                f"{name}_kw": row.kw,
                f"{name}_limit": row.limiting_criterion,
                f"{name}_at": row.limiting_element,
                f"{name}_status": row.status,
            }
        if several:
            key = f"{name}_kw_any_conditions"
            mine[key] = min(mine.get(key, np.inf), row.kw)
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [row["x"], row["y"]]},
            "properties": row.drop(["x", "y"]).to_dict() | found.get(str(row["bus"]).lower(), {}),
        }
        for _, row in placed.iterrows()
    ]
    whole: dict[str, Any] = {
        "type": "FeatureCollection",
        "name": "hosting_capacity",
        "conditions": first,
        "coordinates": coordinate_system or "of the model; no system is stated",
        "features": features,
    }
    if coordinate_system:
        whole["crs"] = {"type": "name", "properties": {"name": coordinate_system}}
    return json.dumps(plain(whole), ensure_ascii=False) + "\n"
