"""`make bench-life`: an index in use. What it costs who writes, and what a life of writes does to it.

    target/venv/bin/python bench/life.py [--quick] [--rows N] [--rounds N] [--only STAGE ...] [--hnsw]

One run on one machine; what is compared is measured in turns. Tables are printed as they are ready, and
kept in target/bench, with the same as JSON.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import driver  # noqa: E402
import pgtree  # noqa: E402
from figures import Section  # noqa: E402
from pgcluster import Cluster  # noqa: E402
from stages import growth, inserts, memory, queries, updates, vacuum  # noqa: E402
from stages.common import SETTINGS, Bench  # noqa: E402

STAGES: dict[str, Callable[[Bench], Section]] = {
    "inserts": inserts.measure,
    "updates": updates.measure,
    "queries": queries.measure,
    "vacuum": vacuum.measure,
    "growth": growth.measure,
    "memory": memory.measure,
}
ROWS, ROUNDS = 1_000_000, 3
QUICK_ROWS, QUICK_ROUNDS = 100_000, 1
HNSW_ROWS = 25_000  # of which inserts take a part; HNSW needs a millisecond for each


def run(stages: list[str], rows: int, rounds: int) -> tuple[str, list[Section]]:
    """What was measured, and the figures."""
    with driver.private(Cluster("bench-life", pgtree.prepare(), settings=SETTINGS)) as cluster:
        bench = Bench(cluster, rows, rounds)
        return bench.version(), [driver.shown(STAGES[name](bench)) for name in stages]


def run_hnsw(rounds: int) -> Section:
    import hnsw

    with driver.private(hnsw.cluster("bench-life", SETTINGS)) as cluster:
        index = "USING hnsw (embedding vector_l2_ops)"
        bench = Bench(cluster, HNSW_ROWS, rounds, extension="vector", index=index)
        return driver.shown(inserts.measure_peer(bench, f"HNSW ({bench.version()})"))


def main() -> int:
    parser = argparse.ArgumentParser(description="measures a kdtree index in use")
    parser.add_argument("--rows", type=int, help=f"rows of the largest table (default: {ROWS:,})")
    parser.add_argument("--rounds", type=int, help=f"how often most things are measured (default: {ROUNDS})")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROWS:,} rows, {QUICK_ROUNDS} round")
    parser.add_argument("--only", nargs="+", choices=STAGES, default=list(STAGES), metavar="STAGE")
    parser.add_argument("--hnsw", action="store_true", help="inserts with pgvector's HNSW too")
    arguments = parser.parse_args()
    rows = arguments.rows or (QUICK_ROWS if arguments.quick else ROWS)
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    if rows < 10_000 or rounds < 1:
        parser.error("at least 10,000 rows and 1 round are needed")

    version, sections = run(arguments.only, rows, rounds)
    if arguments.hnsw:
        sections.append(run_hnsw(rounds))
    about = f"{version}; {rows:,} rows, {rounds} rounds"
    driver.keep(f"life-{rows}", "The life of an index", about, sections)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, OSError, psycopg.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
