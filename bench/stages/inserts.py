"""INSERT of single rows, and COPY, into a table with an index on the vectors and into one without any."""

import multiprocessing
from collections.abc import Callable
from contextlib import nullcontext

import numpy
import psycopg

import client
import pgvectors
import progress
from figures import Section, Target, Unit, at_least

from .common import DIMS, Bench, in_turns, paired

HIGH_DIMS = 768
_CLIENTS = (1, 2, 4)
# Rows go into a table in so many parts, one into this table and one into that in turns.
_STEPS = 20
# Seconds after which a client that does not answer has died.
_PATIENCE = 600

# Seconds with the index, and without.
Times = tuple[float, float]


def measure(bench: Bench) -> Section:
    section = Section("Inserting", ("with the index", "without"))
    _by_one_client(bench, section, at_least(0.5))
    vectors = pgvectors.uniform(bench.rows_of(DIMS), DIMS)
    for clients in _CLIENTS:
        label = f"INSERT, a transaction each, {DIMS} dimensions, clients: {clients}"
        _add(bench, section, label, vectors, at_least(0.5), _by_clients(clients))
    section.notes.append(
        "A prepared statement, one row a statement, binary parameters; the client sends on without waiting"
        " for answers, so that the server always has the next statement. The other table has no index at all."
        " Several clients share the processors with the server."
    )
    return section


def measure_peer(bench: Bench, name: str) -> Section:
    """The same by one client, with another access method's index."""
    section = Section(f"Inserting with {name}", ("with the index", "without"))
    _by_one_client(bench, section, None)
    rows = " and ".join(f"{bench.rows_of(dims):,} rows of {dims} dimensions" for dims in (DIMS, HIGH_DIMS))
    section.notes.append(f"{rows}; in a larger index of this kind a row costs more.")
    return section


def _by_one_client(bench: Bench, section: Section, target: Target | None) -> None:
    for dims in (DIMS, HIGH_DIMS):
        vectors = pgvectors.uniform(bench.rows_of(dims), dims)
        for label, measured in (
            ("INSERT, a transaction each", _insert_and_commit),
            ("INSERT, many in a transaction", _insert),
            ("COPY", _copy),
        ):
            _add(bench, section, f"{label}, {dims} dimensions", vectors, target, measured)


def _add(
    bench: Bench,
    section: Section,
    label: str,
    vectors: numpy.ndarray,
    target: Target | None,
    measured: Callable[[Bench, numpy.ndarray], Times],
) -> None:
    line = progress.Line(f"{label}, {len(vectors):,} rows")
    times = [measured(bench, vectors) for _ in range(bench.rounds)]
    speeds = [(len(vectors) / indexed, len(vectors) / bare) for indexed, bare in times]
    indexed, bare, ratio = paired(speeds)
    section.add(label, indexed, bare, Unit.ROWS_PER_SECOND, target, ratio)
    line.done(f"{ratio:.2f}")


def _make_tables(bench: Bench, connection: psycopg.Connection, dims: int) -> None:
    for table in ("indexed", "bare"):
        connection.execute(f"CREATE TABLE {table} (id bigint, embedding vector({dims}))")
    connection.execute(f"CREATE INDEX ON indexed {bench.index}")


def _parts(rows: list | numpy.ndarray) -> list:
    size = -(-len(rows) // _STEPS)
    return [rows[first : first + size] for first in range(0, len(rows), size)]


def _insert_and_commit(bench: Bench, vectors: numpy.ndarray) -> Times:
    return _insert(bench, vectors, commit=True)


def _insert(bench: Bench, vectors: numpy.ndarray, commit: bool = False) -> Times:
    parts = _parts(client.items(vectors))
    with bench.database() as connection, bench.connect() as one, bench.connect() as other:
        _make_tables(bench, connection, vectors.shape[1])

        def into(table: str, session: psycopg.Connection) -> Callable[[int], None]:
            statement = client.Statement(session, f"INSERT INTO {table} VALUES ($1, $2)")

            def insert(step: int) -> None:
                with nullcontext() if commit else session.transaction():
                    statement.execute_many(parts[step], batch=1 if commit else client.WINDOW)

            return insert

        indexed, bare = in_turns(len(parts), into("indexed", one), into("bare", other))
        return indexed, bare


def _copy(bench: Bench, vectors: numpy.ndarray) -> Times:
    parts = _parts(vectors)
    with bench.database() as connection:
        _make_tables(bench, connection, vectors.shape[1])

        def into(table: str) -> Callable[[int], None]:
            return lambda step: pgvectors.copy_in(connection, table, parts[step])

        indexed, bare = in_turns(len(parts), into("indexed"), into("bare"))
        return indexed, bare


def _by_clients(count: int) -> Callable[[Bench, numpy.ndarray], Times]:
    def insert(bench: Bench, vectors: numpy.ndarray) -> Times:
        shares = [_parts(client.items(share)) for share in numpy.array_split(vectors, count)]
        steps = min(map(len, shares))
        with bench.database() as connection:
            _make_tables(bench, connection, vectors.shape[1])
            with _Clients(bench, "indexed", shares) as one, _Clients(bench, "bare", shares) as other:
                indexed, bare = in_turns(steps, one.insert, other.insert)
        return indexed, bare

    return insert


class _Clients:
    """Processes each of which inserts its share of rows, part by part. (Python runs one thread at a time.)"""

    def __init__(self, bench: Bench, table: str, shares: list[list]):
        context = multiprocessing.get_context("fork")
        self._begin = context.Barrier(len(shares) + 1, timeout=_PATIENCE)
        self._end = context.Barrier(len(shares) + 1, timeout=_PATIENCE)
        self._processes = [
            context.Process(target=self._run, args=(bench, table, parts), daemon=True) for parts in shares
        ]

    def __enter__(self) -> "_Clients":
        for process in self._processes:
            process.start()
        return self

    def __exit__(self, *_) -> None:
        for process in self._processes:
            process.terminate()
            process.join()

    def insert(self, _step: int) -> None:
        """All insert their next part."""
        self._begin.wait()
        self._end.wait()

    def _run(self, bench: Bench, table: str, parts: list) -> None:
        try:
            with bench.connect() as connection:
                statement = client.Statement(connection, f"INSERT INTO {table} VALUES ($1, $2)")
                for part in parts:
                    self._begin.wait()
                    statement.execute_many(part, batch=1)
                    self._end.wait()
        except Exception:
            # Who waits for this process gets a BrokenBarrierError.
            self._begin.abort()
            self._end.abort()
            raise
