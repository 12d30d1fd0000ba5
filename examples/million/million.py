"""A million random vectors of 64 dimensions: load, index, search, and compare with the search without index.

    target/venv/bin/python examples/million/million.py [--rows N]

Connects as any libpq program does (PGHOST, PGPORT, PGUSER, PGDATABASE); `make demo` starts a server for it.
Fails if the index gives another answer than the table itself, or is not used.
"""

import argparse
import re
import sys
import time
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import pgvectors  # noqa: E402
import progress  # noqa: E402

DIMENSIONS = 64
QUERIES = 5
K = 4
SEARCH = f"SELECT id, embedding <-> %s AS distance FROM items ORDER BY embedding <-> %s LIMIT {K}"

Answer = list[tuple[int, float]]


def load(connection: psycopg.Connection, rows: int) -> list[str]:
    """Fills the table `items`; returns the first vectors, as the text that queries them."""
    line = progress.Line(f"making {rows:,} vectors of {DIMENSIONS} dimensions (numpy, seed 1234)")
    vectors = pgvectors.uniform(rows, DIMENSIONS)
    line.done()

    connection.execute("DROP TABLE IF EXISTS items")
    connection.execute(f"CREATE TABLE items (id bigint PRIMARY KEY, embedding vector({DIMENSIONS}))")
    line = progress.Line("loading them with COPY (FORMAT binary)")
    pgvectors.copy_in(connection, "items", vectors, lambda done: line.update(f"{done:,} rows"))
    line.done()
    line = progress.Line("VACUUM ANALYZE items")
    connection.execute("VACUUM ANALYZE items")
    line.done()
    return [pgvectors.literal(vector) for vector in vectors[:QUERIES]]


def build_index(connection: psycopg.Connection) -> None:
    statement = "CREATE INDEX items_embedding ON items USING kdtree (embedding vector_l2_ops)"
    print("  SET maintenance_work_mem = '1GB'")
    connection.execute("SET maintenance_work_mem = '1GB'")
    with progress.building_index(connection.info.dsn, statement):
        connection.execute(statement)


def show_sizes(connection: psycopg.Connection) -> None:
    table, index = connection.execute(
        "SELECT pg_table_size('items'), pg_relation_size('items_embedding')"
    ).fetchone()
    print(
        f"  table {table / 2**20:,.0f} MB, index {index / 2**20:,.0f} MB ({index / table:.0%} of the table)"
    )


def search(connection: psycopg.Connection, queries: list[str]) -> tuple[list[Answer], list[float]]:
    """The answers and the milliseconds that each took, as the client sees them."""
    answers, times = [], []
    for query in queries:
        began = time.perf_counter()
        answers.append(connection.execute(SEARCH, (query, query)).fetchall())
        times.append((time.perf_counter() - began) * 1000)
    return answers, times


def explain(connection: psycopg.Connection, query: str) -> str:
    """EXPLAIN (ANALYZE) of one search, with the query vector's 64 numbers cut short."""
    rows = psycopg.ClientCursor(connection).execute("EXPLAIN (ANALYZE, BUFFERS) " + SEARCH, (query, query))
    return re.sub(r"\[[-+.,\de]{40,}\]", "[...]", "\n".join(line for (line,) in rows))


def show_answers(answers: list[Answer], times: list[float]) -> None:
    for number, (answer, milliseconds) in enumerate(zip(answers, times, strict=True), 1):
        neighbours = ", ".join(f"{id} ({distance:.4f})" for id, distance in answer)
        print(f"  vector {number}: {neighbours}   {milliseconds:.1f} ms")


def indented(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())


def main() -> int:
    parser = argparse.ArgumentParser(description="a million vectors, searched with and without the index")
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    if rows < QUERIES:
        parser.error(f"--rows must be at least {QUERIES}")

    # Without prepared statements: a plan once made would outlive the change of enable_indexscan.
    with psycopg.connect(autocommit=True, prepare_threshold=None) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute("CREATE EXTENSION IF NOT EXISTS kdtree CASCADE")
        queries = load(connection, rows)
        build_index(connection)
        show_sizes(connection)

        print(f"\nThe {K} nearest of the first {QUERIES} vectors, id (distance), with the index:")
        search(connection, queries[:1])  # the first search of a session reads the index's directory
        with_index, times = search(connection, queries)
        show_answers(with_index, times)
        plan = explain(connection, queries[0])
        print(f"\n  EXPLAIN (ANALYZE, BUFFERS) of the first:\n{indented(plan)}")
        if "Index Scan using items_embedding" not in plan:
            print("error: the planner did not use the index", file=sys.stderr)
            return 1

        print("\nThe same without the index (SET enable_indexscan = off):")
        connection.execute("SET enable_indexscan = off")
        without_index, slow_times = search(connection, queries)
        show_answers(without_index, slow_times)
        plan = explain(connection, queries[0])
        print(f"\n  EXPLAIN (ANALYZE, BUFFERS) of the first:\n{indented(plan)}")
        if "Index Scan" in plan:
            print("error: the comparison used an index too", file=sys.stderr)
            return 1

    if with_index != without_index:
        print("error: the index gives other answers than the table", file=sys.stderr)
        return 1
    speedup = sum(slow_times) / sum(times)
    print(f"\n  Identical answers; with the index {speedup:.0f} times faster.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
