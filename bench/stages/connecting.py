"""The first query of a connection against those after it."""

from statistics import median

import numpy

import client
import pgvectors
import progress
import server
from figures import Section, Unit, at_most

from .common import DIMS, QUERY_SEED, Bench, ask, seconds

K = 10
_CONNECTIONS = 25
_QUERIES = 20


def measure(bench: Bench) -> Section:
    section = Section("The first query of a connection", ("first", "later"))
    for dims in (DIMS, 8):
        queries = pgvectors.uniform(_QUERIES, dims, QUERY_SEED)
        with bench.database() as connection:
            line = progress.Line(f"connections, {bench.rows:,} x {dims}")
            connection.execute(f"CREATE TABLE items (id bigint PRIMARY KEY, embedding vector({dims}))")
            pgvectors.copy_in(connection, "items", pgvectors.uniform(bench.rows, dims))
            connection.execute(f"CREATE INDEX ON items {bench.index}")
            connection.execute("VACUUM ANALYZE items")
            # Pages that are still to be written are verified by every backend.
            connection.execute("CHECKPOINT")
            times = [_connection(bench, queries) for _ in range(_CONNECTIONS)][1:]
            line.done()
        first, later, by_key = (median(column) for column in zip(*times, strict=True))
        label = f"{bench.rows:,} x {dims}"
        section.add(label, first, later, Unit.MILLISECONDS, bench.when_large(at_most(2)))
        section.notes.append(f"{label}: the first query by the primary key takes {by_key:.1f} ms.")
    section.notes.append(
        f"Medians of {_CONNECTIONS - 1} connections, each of which asks for the nearest {K};"
        " to connect is not counted."
    )
    return section


def _connection(bench: Bench, queries: numpy.ndarray) -> tuple[float, float, float]:
    """Milliseconds of the first query, of later ones, and of the first by the primary key."""
    with bench.connect() as connection:
        text = "SELECT id FROM items WHERE id = 7"
        by_key = seconds(lambda: client.Statement(connection, text).integers([])) * 1000
    with bench.connect() as connection:
        search = server.Search(connection, K)
        first, *_ = ask(search, queries[:1])
        ask(search, queries)
        return first, median(ask(search, queries)), by_key
