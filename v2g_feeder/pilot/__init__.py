"""The pilot pack: the five-item checklist of a candidate feeder, capacity credit, event check."""

from v2g_feeder.pilot.agreement import Agreement, agreement_terms
from v2g_feeder.pilot.answers import ITEMS, Answer, Item, Measure
from v2g_feeder.pilot.checklist import QUESTIONS, Candidate, Checked, Verdict, check_candidate, rank
from v2g_feeder.pilot.thresholds import Thresholds, default_thresholds, threshold_figures

__all__ = [
    "ITEMS",
    "QUESTIONS",
    "Agreement",
    "Answer",
    "Candidate",
    "Checked",
    "Item",
    "Measure",
    "Thresholds",
    "Verdict",
    "agreement_terms",
    "check_candidate",
    "default_thresholds",
    "rank",
    "threshold_figures",
]
