"""Dispatch: what plugged-in vehicles do, step by step, and the ledger of their nameplate."""

from v2g_feeder.dispatch.days import day_steps, fortnight, pick_day
from v2g_feeder.dispatch.events import Event
from v2g_feeder.dispatch.ledger import LEDGER_ROWS, Ledger, ledger
from v2g_feeder.dispatch.result import Dispatch
from v2g_feeder.dispatch.simulate import simulate

__all__ = [
    "LEDGER_ROWS",
    "Dispatch",
    "Event",
    "Ledger",
    "day_steps",
    "fortnight",
    "ledger",
    "pick_day",
    "simulate",
]
