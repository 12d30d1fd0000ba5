"""`make bench-filters`: what it is worth to have a column that queries filter by in the index.

    target/venv/bin/python bench/filters.py [--rows N] [--dims N] [--rounds N]

`WHERE bucket < x ORDER BY embedding <-> q LIMIT 10`, for several shares of the rows that the filter lets
pass, in these ways:

- an index on (embedding, bucket);
- an index on embedding alone: the executor filters;
- a partial index on the rows that the filter lets pass: what an index that is laid out by bucket could reach;
- a btree on bucket, and a sort;
- a sequential scan, and a sort.

Each way has a table of its own with the same rows, and takes turns with the others.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median

import numpy
import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import machine  # noqa: E402
import paths  # noqa: E402
import pgtree  # noqa: E402
import pgvectors  # noqa: E402
import progress  # noqa: E402
import server  # noqa: E402
from pgcluster import Cluster  # noqa: E402
from stages.common import QUERY_SEED, seconds  # noqa: E402

SHARES = (0.5, 0.1, 0.01, 0.001)
BUCKETS = 10_000
LIMIT = 10
# A way that takes longer than this many milliseconds runs a few times only.
SLOW, SLOW_ROUNDS = 50.0, 5

# How each way's table is indexed, and what its plan shows.
WAYS = {
    "embedding, bucket": (
        ["USING kdtree (embedding, bucket)"],
        r"Index Scan using .*\n\s+Index Cond: \(bucket",
    ),
    "embedding": (["USING kdtree (embedding)"], r"Index Scan using .*\n\s+Order By"),
    "partial": (
        [f"USING kdtree (embedding) WHERE bucket < {int(share * BUCKETS)}" for share in SHARES],
        r"Index Scan using .*\n\s+Order By",
    ),
    "btree, sort": (["(bucket)"], r"Sort"),
    "sequential scan, sort": ([], r"Seq Scan"),
}


def query(way: str, share: float) -> str:
    bucket = int(share * BUCKETS)
    return f'SELECT id FROM "{way}" WHERE bucket < {bucket} ORDER BY embedding <-> %b LIMIT {LIMIT}'


def load(connection: psycopg.Connection, rows: int, dims: int, line: progress.Line) -> dict[str, int]:
    """Makes the tables; returns the bytes of each one's indexes."""
    connection.execute(f"CREATE TABLE loaded (id bigint, embedding vector({dims}))")
    pgvectors.copy_in(connection, "loaded", pgvectors.uniform(rows, dims))
    sizes = {}
    for way, (indexes, _) in WAYS.items():
        line.update(f"table for: {way}")
        connection.execute("SELECT setseed(0.5)")
        connection.execute(
            f'CREATE TABLE "{way}" AS SELECT id, (random() * {BUCKETS})::int % {BUCKETS} AS bucket, '
            "embedding FROM loaded"
        )
        for index in indexes:
            connection.execute(f'CREATE INDEX ON "{way}" {index}')
        connection.execute(f'VACUUM ANALYZE "{way}"')
        connection.execute(f'SELECT sum(vector_dims(embedding)) FROM "{way}"')
        sizes[way] = connection.execute("SELECT pg_indexes_size(%s)", (f'"{way}"',)).fetchone()[0]
    connection.execute("DROP TABLE loaded")
    return sizes


def run(rows: int, dims: int, rounds: int) -> dict:
    cluster = Cluster("bench-filters", pgtree.prepare(), settings=server.SETTINGS)
    cluster.destroy()  # one that an interrupted run left
    try:
        with cluster:
            cluster.create_database("filters")
            with cluster.connect("filters") as connection:
                connection.execute("CREATE EXTENSION kdtree CASCADE")
                connection.execute(f"SET maintenance_work_mem = '{server.BUILD_MEMORY}'")
                connection.execute("SET max_parallel_workers_per_gather = 0")
                server.send_vectors_in_binary(connection)
                line = progress.Line(f"{rows:,} rows of {dims} dimensions")
                sizes = load(connection, rows, dims, line)
                vectors = pgvectors.uniform(rounds + 1, dims, QUERY_SEED)
                taken = {}
                for share in SHARES:
                    line.update(f"{share:.1%} of the rows")
                    taken[share] = measure(connection, share, vectors)
                line.done()
    finally:
        cluster.destroy()
    return {"rows": rows, "dims": dims, "index_bytes": sizes, "milliseconds": taken}


def measure(connection: psycopg.Connection, share: float, vectors: numpy.ndarray) -> dict[str, float]:
    """Medians, in milliseconds. All ways must find the same."""

    def ask(way: str, vector: numpy.ndarray) -> tuple[list, Callable]:
        found: list = []

        def execute() -> None:
            found.extend(connection.execute(query(way, share), (vector,), prepare=False, binary=True))

        return found, execute

    # Costs are not the question here: an index that is there is used.
    connection.execute("SET enable_seqscan = off")
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    for way, (_, shown) in WAYS.items():
        plan = connection.execute(f"EXPLAIN (COSTS OFF) {query(way, share)}", (vectors[0],)).fetchall()
        text = "\n".join(line for (line,) in plan)
        if not re.search(shown, text):
            raise RuntimeError(f"{way}: another plan than it should be:\n{text}")
    for number, vector in enumerate(vectors):
        answers = {}
        for way in WAYS:
            if taken[way] and median(taken[way]) > SLOW and number > SLOW_ROUNDS:
                continue
            answers[way], execute = ask(way, vector)
            milliseconds = 1000 * seconds(execute)
            if number > 0:  # The first is a warm-up.
                taken[way].append(milliseconds)
        if any(answer != answers["embedding, bucket"] for answer in answers.values()):
            raise RuntimeError(f"{share}: ways differ: {answers}")
    return {way: median(times) for way, times in taken.items()}


def table(figures: dict) -> str:
    ways = list(WAYS)
    lines = ["| rows that pass | " + " | ".join(ways) + " |", "|--:|" + "--:|" * len(ways)]
    for share, taken in figures["milliseconds"].items():
        lines.append(f"| {share:.1%} | " + " | ".join(f"{taken[way]:.2f}" for way in ways) + " |")
    sizes = figures["index_bytes"]
    lines.append("| MB | " + " | ".join(f"{sizes[way] / 2**20:.1f}" for way in ways) + " |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="measures filters inside and outside of the index")
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--dims", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=50, help="queries of each kind (default: 50)")
    arguments = parser.parse_args()
    if min(arguments.rows, arguments.dims, arguments.rounds) < 1:
        parser.error("all numbers must be at least 1")

    figures = run(arguments.rows, arguments.dims, arguments.rounds)
    path = paths.cache_dir("bench") / "filters.json"
    path.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"milliseconds, {figures['rows']:,} x {figures['dims']}, LIMIT {LIMIT}")
    print(table(figures), f"{machine.describe()}; {date.today().isoformat()}", f"kept in {path}", sep="\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, OSError, psycopg.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
