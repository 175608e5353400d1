"""Functions that worker processes import by name; see ``test_workers.py``."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from v2g_feeder.errors import InputError, Problem


def double(number):
    return 2 * number


def where_am_i():
    return os.getpid()


def note_times(folder):
    """Write when this began and ended."""
    begin = time.time()
    time.sleep(0.2)
    part = Path(folder) / f"{begin}.part"
    part.write_text(f"{begin} {time.time()}")
    part.rename(f"{part}.txt")


def die(folder, name, how):
    """Leave a mark for each try, then end this process without a word."""
    (Path(folder) / f"{name}.{os.getpid()}").touch()
    if how == "exit":
        os._exit(11)
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(folder, name):
    """End this process on the first try, succeed on the second."""
    mark = Path(folder) / name
    if not mark.exists():
        mark.touch()
        os._exit(11)
    return "second try"


def oversleep(folder, name):
    (Path(folder) / f"{name}.{os.getpid()}").touch()
    time.sleep(60)


def hoard(folder, name):
    """Take more memory than a machine has, in pieces that each would fit."""
    (Path(folder) / f"{name}.{os.getpid()}").touch()
    pieces = []
    while len(pieces) < 4096:
        pieces.append(np.empty(1 << 30, np.uint8))  # not touched: the limit is on what is asked for


def refuse():
    raise InputError([Problem("a.dss:1", "first", "hint"), Problem("a.dss:2", "second")])


def mixed(kind, *arguments):
    """One function for units of several kinds, since a pool runs one function."""
    return {
        "double": double,
        "die": die,
        "die_once": die_once,
        "oversleep": oversleep,
        "refuse": refuse,
        "hoard": hoard,
    }[kind](*arguments)


def total(numbers):
    """Add up."""
    return sum(numbers)


def hears_interrupts():
    """Whether an interrupt of the terminal would reach this process."""
    return signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
