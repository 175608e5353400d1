"""Power flow: days of signed kW solved by OpenDSS, with a gate that says which steps count."""

from v2g_feeder.powerflow.opendss import Circuit, Runner
from v2g_feeder.powerflow.solution import Observed, Reason, Solution, SuddenKind

__all__ = ["Circuit", "Observed", "Reason", "Runner", "Solution", "SuddenKind"]
