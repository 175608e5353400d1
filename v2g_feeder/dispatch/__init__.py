"""Dispatch: what plugged-in vehicles do, step by step, and the ledger of their nameplate."""

from v2g_feeder.dispatch.aggregator import Aggregator, aggregator_figures
from v2g_feeder.dispatch.days import day_steps, fortnight, pick_day
from v2g_feeder.dispatch.events import Event
from v2g_feeder.dispatch.ledger import LEDGER_ROWS, Ledger, ledger
from v2g_feeder.dispatch.result import Dispatch
from v2g_feeder.dispatch.simulate import Programme, simulate
from v2g_feeder.dispatch.tariff import Tariff, default_tariff

__all__ = [
    "LEDGER_ROWS",
    "Aggregator",
    "Dispatch",
    "Event",
    "Ledger",
    "Programme",
    "Tariff",
    "aggregator_figures",
    "day_steps",
    "default_tariff",
    "fortnight",
    "ledger",
    "pick_day",
    "simulate",
]
