"""UPDATE of a column that is not the vector: what it costs that the rows are in an index on the vectors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy
import psycopg

import client
import pgvectors
import progress
from figures import Section, Unit, at_least

from .common import DIMS, Bench, in_turns, paired
from .inserts import HIGH_DIMS, Times

_STEPS = 20
_SEED = 77


def measure(bench: Bench) -> Section:
    section = Section("UPDATE of another column", ("with the index", "without"))
    for dims in (DIMS, HIGH_DIMS):
        rows = bench.rows_of(dims) // 2
        for label, measured in (
            ("one row a statement", partial(_single, "label")),
            ("one row a statement, column with a btree", partial(_single, "rank")),
            ("all rows in one statement", _all),
        ):
            line = progress.Line(f"UPDATE, {label}, {rows:,} rows of {dims} dimensions")
            times = [measured(bench, rows, dims) for _ in range(bench.rounds)]
            indexed, bare, ratio = paired([(rows / indexed, rows / bare) for indexed, bare in times])
            section.add(
                f"{label}, {dims} dimensions", indexed, bare, Unit.ROWS_PER_SECOND, at_least(0.5), ratio
            )
            line.done(f"{ratio:.2f}")
    section.notes.append(
        "Both tables have a primary key, by which single rows are found, in random order, a transaction each,"
        " and a btree on one of the other columns. Where a page has room for the new version of a row and no"
        " column with an index changes, no index gets an entry (HOT); the btree rules that out."
        f" Vectors of {HIGH_DIMS} dimensions are stored out of line: an UPDATE of another column does not"
        " read them, a new entry in the index does."
    )
    return section


@contextmanager
def _tables(bench: Bench, rows: int, dims: int) -> Iterator[psycopg.Connection]:
    vectors = pgvectors.uniform(rows, dims)
    with bench.database() as connection:
        for table in ("indexed", "bare"):
            connection.execute(
                f"CREATE TABLE {table} (id bigint PRIMARY KEY, embedding vector({dims}),"
                " label integer DEFAULT 0, rank integer DEFAULT 0)"
            )
            pgvectors.copy_in(connection, f"{table} (id, embedding)", vectors)
            connection.execute(f"CREATE INDEX ON {table} (rank)")
        connection.execute(f"CREATE INDEX ON indexed {bench.index}")
        connection.execute("VACUUM ANALYZE indexed, bare")
        yield connection


def _single(column: str, bench: Bench, rows: int, dims: int) -> Times:
    order = numpy.random.default_rng(_SEED).permutation(rows) + 1
    ids = [(id,) for id in client.integers(order)]
    size = -(-rows // _STEPS)
    with _tables(bench, rows, dims), bench.connect() as one, bench.connect() as other:

        def of(table: str, session: psycopg.Connection) -> Callable[[int], None]:
            text = f"UPDATE {table} SET {column} = {column} + 1 WHERE id = $1"
            statement = client.Statement(session, text)
            return lambda step: statement.execute_many(ids[step * size : (step + 1) * size], batch=1)

        indexed, bare = in_turns(_STEPS, of("indexed", one), of("bare", other))
        return indexed, bare


def _all(bench: Bench, rows: int, dims: int) -> Times:
    with _tables(bench, rows, dims) as connection:

        def of(table: str) -> Callable[[int], object]:
            return lambda _: connection.execute(f"UPDATE {table} SET label = label + 1")

        indexed, bare = in_turns(1, of("indexed"), of("bare"))
        return indexed, bare
