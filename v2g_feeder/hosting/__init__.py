"""Hosting capacity: how much export or charging each place takes, when, and what limits it."""

from v2g_feeder.hosting.candidates import candidates
from v2g_feeder.hosting.conditions import Capacitors, Conditions, Regulators, ReverseMode
from v2g_feeder.hosting.curtailment import Curtailment
from v2g_feeder.hosting.envelope import Envelope, EnvelopeSearch
from v2g_feeder.hosting.envelope_table import ENVELOPE_COLUMNS, envelope_table
from v2g_feeder.hosting.events import EventSteps
from v2g_feeder.hosting.fleet import (
    FleetCapacity,
    clopper_pearson,
    nested_counts,
    sizes_at,
    violation_curve,
)
from v2g_feeder.hosting.nodal import Nodal, Search
from v2g_feeder.hosting.table import CAPACITY_COLUMNS, annual_minima, capacity_table

__all__ = [
    "CAPACITY_COLUMNS",
    "ENVELOPE_COLUMNS",
    "Capacitors",
    "Conditions",
    "Curtailment",
    "Envelope",
    "EnvelopeSearch",
    "EventSteps",
    "FleetCapacity",
    "Nodal",
    "Regulators",
    "ReverseMode",
    "Search",
    "annual_minima",
    "candidates",
    "capacity_table",
    "clopper_pearson",
    "envelope_table",
    "nested_counts",
    "sizes_at",
    "violation_curve",
]
