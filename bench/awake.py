"""Processors that do not sleep.

A processor with nothing to do falls asleep, and waking up takes as long as a short query. A client and a
server that wait for each other in turns would measure mostly that, and how long it takes differs from machine
to machine.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# It ends with whoever has started it, however that ends.
_SPIN = """\
import os
parent = os.getppid()
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while os.getppid() == parent:
    for _ in range(10_000):
        pass
"""


@contextmanager
def processors() -> Iterator[None]:
    """On Linux, a process for every core computes meanwhile, and gives way to whatever else wants to."""
    count = os.cpu_count() if hasattr(os, "SCHED_IDLE") else 0
    spinning = [subprocess.Popen([sys.executable, "-c", _SPIN]) for _ in range(count)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()
