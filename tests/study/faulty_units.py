"""Units that crash, hoard or dawdle, for worker processes to import by name; the rest is real."""

import os
import signal
import time

from v2g_feeder.study.power_flow import _job as real_job
from v2g_feeder.study.units import solve_unit as real_unit


def solve_unit_in_time(folder, unit, kw):
    """Solve a unit; of two runs, lose it."""
    run = f"{unit.policy}_{unit.case}"
    if run == "managed_high":
        os.kill(os.getpid(), signal.SIGSEGV)
    if run == "uncontrolled_high":
        raise MemoryError
    real_unit(folder, unit, kw)


def solve_unit(folder, unit, kw):
    """Solve a unit; of three runs, lose it."""
    if f"{unit.policy}_{unit.case}" == "export_high":
        time.sleep(600)
    solve_unit_in_time(folder, unit, kw)


def job(folder, power, same_as=None):
    """Do a job of the batch engine; on a day with a unit of one run, crash."""
    if same_as and any(unit.policy == "export" for unit in same_as.values()):
        os.kill(os.getpid(), signal.SIGSEGV)
    return real_job(folder, power, same_as)
