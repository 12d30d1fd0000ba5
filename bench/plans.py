"""`make bench-plans`: does the planner choose well between the kdtree index and other ways?

    target/venv/bin/python bench/plans.py [--quick] [--rounds N]

`WHERE bucket < x ORDER BY embedding <-> q LIMIT n` over a grid of table sizes, dimensions, shares of the
rows that the filter lets pass, and limits. Each query runs with each of the plans forced on it, in turns. A
choice of the planner is good if that plan takes at most twice as long as the best of them.
"""

import argparse
import itertools
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
from figures import Section, Unit, at_most  # noqa: E402
from pgcluster import Cluster  # noqa: E402
from stages.common import QUERY_SEED, seconds  # noqa: E402

TABLES = [
    (1_000, 3),
    (1_000, 64),
    (1_000, 768),
    (20_000, 3),
    (20_000, 64),
    (20_000, 768),
    (300_000, 3),
    (300_000, 64),
]
QUICK_TABLES = [(1_000, 64), (20_000, 3), (20_000, 64)]
SHARES = (1.0, 0.5, 0.1, 0.01, 0.001)
LIMITS = (1, 10, 100, 1_000, None)
BUCKETS = 1_000
ROUNDS = 5
# A plan that takes longer than this many milliseconds runs once.
SLOW = 500.0
TARGET = at_most(2)

# What leaves the planner only one way, and what the plan then shows.
OFF = {
    "kdtree": ("seqscan", "bitmapscan", "sort"),
    "btree, sort": ("indexscan", "seqscan"),
    "sequential scan, sort": ("indexscan", "bitmapscan"),
}
SHOWN = {
    "kdtree": r"Index Scan using items_embedding",
    "btree, sort": r"Bitmap Index Scan on items_bucket|Index Scan using items_bucket",
    "sequential scan, sort": r"Seq Scan",
}


@dataclass(frozen=True)
class Query:
    share: float
    limit: int | None

    def sql(self) -> str:
        filter = "" if self.share == 1 else f" WHERE bucket < {int(self.share * BUCKETS)}"
        limit = "" if self.limit is None else f" LIMIT {self.limit}"
        return f"SELECT id FROM items{filter} ORDER BY embedding <-> %b{limit}"

    def __str__(self) -> str:
        filter = "all rows" if self.share == 1 else f"{self.share:.1%} of the rows"
        return f"{filter}, {'no limit' if self.limit is None else f'limit {self.limit:,}'}"


class Session:
    """One connection whose planner may be told what to leave out."""

    def __init__(self, connection: psycopg.Connection):
        self._connection = connection

    @contextmanager
    def without(self, methods: tuple[str, ...]) -> Iterator[None]:
        for method in methods:
            self._connection.execute(f"SET enable_{method} = off")
        try:
            yield
        finally:
            for method in methods:
                self._connection.execute(f"RESET enable_{method}")

    def milliseconds(self, query: Query, vector: numpy.ndarray) -> float:
        execute = self._connection.execute
        return 1000 * seconds(lambda: execute(query.sql(), (vector,), prepare=False, binary=True).fetchall())

    def plan(self, query: Query, vector: numpy.ndarray) -> str:
        """Which of the ways the planner chooses."""
        lines = self._connection.execute(f"EXPLAIN (COSTS OFF) {query.sql()}", (vector,)).fetchall()
        text = "\n".join(line for (line,) in lines)
        return next((way for way, shown in SHOWN.items() if re.search(shown, text)), text)


def measure(session: Session, query: Query, vectors: numpy.ndarray, rounds: int) -> tuple[str, dict]:
    """What the planner chose, and the milliseconds of that and of every way there is."""
    chosen = session.plan(query, vectors[0])
    ways = {}
    for way, methods in OFF.items():
        with session.without(methods):
            if session.plan(query, vectors[0]) == way:
                ways[way] = [session.milliseconds(query, vectors[0])]  # warm-up
    fast = [way for way, taken in ways.items() if taken[0] < SLOW]
    for number, vector in enumerate(vectors[1 : rounds + 1]):
        for way in fast if number % 2 else reversed(fast):
            with session.without(OFF[way]):
                ways[way].append(session.milliseconds(query, vector))
    return chosen, {way: median(taken[1:] or taken) for way, taken in ways.items()}


def load(connection: psycopg.Connection, rows: int, dims: int) -> None:
    connection.execute("DROP TABLE IF EXISTS items, loaded")
    connection.execute(f"CREATE TABLE loaded (id bigint, embedding vector({dims}))")
    pgvectors.copy_in(connection, "loaded", pgvectors.uniform(rows, dims))
    connection.execute("SELECT setseed(0.5)")
    connection.execute(
        f"CREATE TABLE items AS SELECT id, (random() * {BUCKETS})::int % {BUCKETS} AS bucket, embedding"
        " FROM loaded"
    )
    connection.execute("DROP TABLE loaded")
    connection.execute("CREATE INDEX items_bucket ON items (bucket)")
    connection.execute("CREATE INDEX items_embedding ON items USING kdtree (embedding vector_l2_ops)")
    connection.execute("VACUUM ANALYZE items")


def run(tables: list[tuple[int, int]], rounds: int) -> Section:
    section = Section("Plans: as chosen against the best", ("chosen", "best"))
    cluster = Cluster("bench-plans", pgtree.prepare(), settings=server.SETTINGS)
    cluster.destroy()  # one that an interrupted run left
    try:
        with cluster:
            cluster.create_database("plans")
            with cluster.connect("plans") as connection:
                connection.execute("CREATE EXTENSION kdtree CASCADE")
                connection.execute(f"SET maintenance_work_mem = '{server.BUILD_MEMORY}'")
                server.send_vectors_in_binary(connection)
                for rows, dims in tables:
                    line = progress.Line(f"{rows:,} rows of {dims} dimensions")
                    load(connection, rows, dims)
                    queries = [Query(*cell) for cell in itertools.product(SHARES, LIMITS)]
                    vectors = pgvectors.uniform(rounds + 1, dims, QUERY_SEED)
                    for query in queries:
                        line.update(str(query))
                        compare(
                            section,
                            f"{rows:,} x {dims}, {query}",
                            Session(connection),
                            query,
                            vectors,
                            rounds,
                        )
                    line.done()
    finally:
        cluster.destroy()
    return section


def compare(
    section: Section, name: str, session: Session, query: Query, vectors: numpy.ndarray, rounds: int
) -> None:
    chosen, ways = measure(session, query, vectors, rounds)
    if chosen not in ways:
        raise RuntimeError(f"{name}: a plan of no known kind:\n{chosen}")
    best = min(ways, key=ways.get)
    label = f"{name}: {chosen}" + ("" if chosen == best else f"; best: {best}")
    section.add(label, ways[chosen], ways[best], Unit.MILLISECONDS, TARGET)


def main() -> int:
    parser = argparse.ArgumentParser(description="compares the planner's choices with all the others")
    parser.add_argument("--quick", action="store_true", help="smaller tables")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help=f"queries of each kind (default: {ROUNDS})"
    )
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("at least 1 round is needed")

    section = run(QUICK_TABLES if arguments.quick else TABLES, arguments.rounds)
    ratios = sorted(figure.ratio for figure in section.figures)
    missed = [figure for figure in section.figures if not figure.met]
    where = f"{machine.describe()}; {date.today().isoformat()}"
    section.notes.append(
        f"{where}. {len(ratios)} queries: {ratios.count(1.0)} planned best, {len(missed)} more than twice as"
        f" slow as the best, the worst {ratios[-1]:.1f} times."
    )
    path = paths.cache_dir("bench") / "plans.md"
    path.write_text(section.markdown())
    path.with_suffix(".json").write_text(json.dumps(section.data(), indent=2) + "\n")
    for figure in sorted(section.figures, key=lambda figure: -figure.ratio)[:20]:
        print(figure.row())
    print(section.notes[-1], f"all of them: {path}", sep="\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, OSError, psycopg.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
