"""An index with a past against one made now: grown by single INSERTs, or all its rows replaced many times."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from statistics import median

import numpy
import psycopg

import client
import pgvectors
import progress
import server
from figures import Section, Target, Unit, at_most

from .common import DIMS, QUERY_SEED, Bench, ask, expect_index, paired, seconds

K = 10
BATCH = 1_000
REPLACEMENTS = 5
_QUERIES = 200
_TURN = 20
_CHUNK = 50_000


def measure(bench: Bench) -> Section:
    section = Section("An index with a past", ("as it is", "made now"))
    vectors = pgvectors.uniform(bench.rows, DIMS)
    _grown(bench, section, vectors, len(vectors), "one transaction")
    _grown(bench, section, vectors, BATCH, f"COMMIT after every {BATCH:,}")
    _replaced(bench, section, vectors[: len(vectors) // 5])
    section.notes.append(
        f"Made now: CREATE INDEX of the same rows. Queries are for the nearest {K}, of one index and of"
        " the other in turns."
    )
    return section


def _grown(bench: Bench, section: Section, vectors: numpy.ndarray, batch: int, how: str) -> None:
    label = f"{len(vectors):,} single INSERTs, {how}"
    line = progress.Line(label)
    with _table(bench) as connection:
        taken = seconds(lambda: _insert(bench, vectors, batch))
        line.done(f"{len(vectors) / taken:,.0f}/s")
        _compare(bench, section, connection, label, at_most(1.3), at_most(1.5))
        connection.execute("VACUUM items")
        _compare(bench, section, connection, f"{label}, VACUUM", at_most(1.3), at_most(1.5))
        connection.execute("SELECT kdtree_merge('with_past')")
        # All is written anew while what there was is still in use: no target for the size.
        _compare(bench, section, connection, f"{label}, kdtree_merge", None, at_most(1.5))


def _replaced(bench: Bench, section: Section, vectors: numpy.ndarray) -> None:
    label = f"{len(vectors):,} rows deleted, VACUUM, inserted again, {REPLACEMENTS} times"
    line = progress.Line(label)
    with _table(bench) as connection:
        _insert(bench, vectors, BATCH)
        for _ in range(REPLACEMENTS):
            connection.execute("DELETE FROM items")
            connection.execute("VACUUM items")
            _insert(bench, vectors, BATCH)
        connection.execute("VACUUM items")
        line.done()
        _compare(bench, section, connection, label, at_most(1.5), None)


@contextmanager
def _table(bench: Bench) -> Iterator[psycopg.Connection]:
    with bench.database() as connection:
        connection.execute(f"CREATE TABLE items (id bigint, embedding vector({DIMS}))")
        connection.execute(f"CREATE INDEX with_past ON items {bench.index}")
        yield connection


def _insert(bench: Bench, vectors: numpy.ndarray, batch: int) -> None:
    in_one = batch == len(vectors)
    with bench.connect() as connection:
        statement = client.Statement(connection, "INSERT INTO items VALUES ($1, $2)")
        with connection.transaction() if in_one else nullcontext():
            for first in range(0, len(vectors), _CHUNK):
                rows = client.items(vectors[first : first + _CHUNK], first + 1)
                statement.execute_many(rows, client.WINDOW if in_one else batch)


def _compare(
    bench: Bench,
    section: Section,
    connection: psycopg.Connection,
    label: str,
    size: Target | None,
    time: Target | None,
) -> None:
    """Compares the index with another of the same rows, which is made for that."""
    connection.execute(f"CREATE INDEX made_now ON items {bench.index}")
    connection.execute("ANALYZE items")
    past, now = (
        connection.execute("SELECT pg_relation_size(%s::regclass)", (index,)).fetchone()[0]
        for index in ("with_past", "made_now")
    )
    section.add(f"{label}: size", past, now, Unit.BYTES, size and bench.when_large(size))

    search = server.Search(connection, K)
    queries = pgvectors.uniform(_QUERIES, DIMS, QUERY_SEED)
    pairs = []
    for first in range(0, len(queries), _TURN):
        turn = queries[first : first + _TURN]
        medians = []
        for index in ("with_past", "made_now"):
            _hide_all_but(connection, index)
            expect_index(search, turn[0], index)
            ask(search, turn)  # brings the index into the processor's caches again
            medians.append(median(ask(search, turn)))
        pairs.append(tuple(medians))
    past, now, ratio = paired(pairs)
    bound = time and bench.when_large(time)
    section.add(f"{label}: query", past, now, Unit.MILLISECONDS, bound, ratio)
    section.notes.append(f"{label}: {_parts(connection)}.")
    connection.execute("UPDATE pg_index SET indisvalid = true WHERE indrelid = 'items'::regclass")
    connection.execute("DROP INDEX made_now")


def _hide_all_but(connection: psycopg.Connection, index: str) -> None:
    """No setting says which index to use; but the planner passes over those that are not valid."""
    connection.execute(
        "UPDATE pg_index SET indisvalid = indexrelid = %s::regclass WHERE indrelid = 'items'::regclass",
        (index,),
    )
    connection.execute("DISCARD PLANS")


def _parts(connection: psycopg.Connection) -> str:
    segments, vectors, delta = connection.execute(
        "SELECT count(*) FILTER (WHERE kind = 'segment'),"
        " coalesce(sum(vectors) FILTER (WHERE kind = 'segment'), 0),"
        " sum(vectors) FILTER (WHERE kind IN ('delta', 'sealing'))"
        " FROM kdtree_stats('with_past')"
    ).fetchone()
    return f"{segments} segments of {vectors:,} vectors, {delta:,} in the delta"
