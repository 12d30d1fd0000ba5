"""What must never stand in a server's log, whatever a test does to the server."""

import re

from pgcluster import Cluster

# Signal 9 comes from outside: of tests that kill backends. The last one is what a backend says that finds
# pins or locks left over at the end of its transaction.
FAULTS = (
    "PANIC",
    "TRAP",
    "terminated by signal (?!9:)",
    "wrong order",
    "corrupt",
    "inconsistent page",
    "panicked",
    "unexpected data beyond EOF",
    " leak",
    "you don't own a lock",
)

# What Postgres tells of every recovery that was interrupted, whether or not anything is wrong.
ADVICE = "This probably means that some data is corrupted"


def faults(cluster: Cluster) -> list[str]:
    """The log's lines that tell of a fault, without the statements quoted there and without ADVICE."""
    if not cluster.log.exists():
        return []
    lines = cluster.log.read_text(errors="replace").splitlines()
    found = re.compile("|".join(FAULTS))
    return [line for line in lines if found.search(line) and not ("STATEMENT:" in line or ADVICE in line)]
