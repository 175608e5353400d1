"""The pilot pack: the five-item checklist of a candidate feeder, capacity credit, event check."""

from v2g_feeder.pilot.agreement import Agreement, agreement_terms
from v2g_feeder.pilot.answers import ITEMS, Answer, Item, Measure
from v2g_feeder.pilot.checklist import QUESTIONS, Candidate, Checked, Verdict, check_candidate, rank
from v2g_feeder.pilot.credit import (
    against_contract,
    capacity_credit,
    credit_by_size,
    credit_of_days,
    fleet_credit,
)
from v2g_feeder.pilot.event_check import EventCall, delivered, read_event, response, with_model
from v2g_feeder.pilot.exceedance import stress_blocks
from v2g_feeder.pilot.thresholds import Thresholds, default_thresholds, threshold_figures
from v2g_feeder.pilot.timing import export_timing, timing_summary

__all__ = [
    "ITEMS",
    "QUESTIONS",
    "Agreement",
    "Answer",
    "Candidate",
    "Checked",
    "EventCall",
    "Item",
    "Measure",
    "Thresholds",
    "Verdict",
    "against_contract",
    "agreement_terms",
    "capacity_credit",
    "check_candidate",
    "credit_by_size",
    "credit_of_days",
    "default_thresholds",
    "delivered",
    "export_timing",
    "fleet_credit",
    "rank",
    "read_event",
    "response",
    "stress_blocks",
    "threshold_figures",
    "timing_summary",
    "with_model",
]
