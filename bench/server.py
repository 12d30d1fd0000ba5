"""The side of PostgreSQL: load the workload, build an index, search by a prepared statement."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types import TypeInfo

import client
import pgvectors
import progress
from pgcluster import Cluster
from workload import Workload

# All of table and index fits into shared buffers; nothing else runs on the server.
SETTINGS = {
    "shared_buffers": "2GB",
    "max_wal_size": "8GB",
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
}
BUILD_MEMORY = "1GB"


@contextmanager
def loaded(
    cluster: Cluster, extension: str, workload: Workload, database: str = "bench"
) -> Iterator[psycopg.Connection]:
    """A connection to a new database whose table `items` holds the workload, vacuumed and in memory."""
    cluster.create_database(database)
    with cluster.connect(database) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(f"CREATE EXTENSION {extension} CASCADE")
        connection.execute(f"CREATE TABLE items (id bigint PRIMARY KEY, embedding vector({workload.dims}))")
        line = progress.Line(f"loading {workload.rows:,} vectors (PostgreSQL {cluster.tree.version})")
        pgvectors.copy_in(connection, "items", workload.vectors, lambda rows: line.update(f"{rows:,}"))
        connection.execute("VACUUM ANALYZE items")
        connection.execute("CHECKPOINT")
        line.done()
        yield connection


def send_vectors_in_binary(connection: psycopg.Connection) -> None:
    """Makes numpy arrays parameters of type vector on this connection."""
    vector = TypeInfo.fetch(connection, "vector")

    class VectorDumper(Dumper):
        format = Format.BINARY
        oid = vector.oid

        def dump(self, value: numpy.ndarray) -> bytes:
            return pgvectors.binary(value)

    connection.adapters.register_dumper(numpy.ndarray, VectorDumper)


@dataclass(frozen=True)
class Sizes:
    """In bytes: the table with what belongs to it but indexes, and the index."""

    table: int
    index: int


def build(connection: psycopg.Connection, definition: str, memory: str = BUILD_MEMORY) -> tuple[float, Sizes]:
    """Creates the index `items USING definition`; returns the seconds that it took, and the sizes."""
    connection.execute(f"SET maintenance_work_mem = '{memory}'")
    with progress.building_index(connection.info.dsn, f"CREATE INDEX USING {definition}"):
        began = time.perf_counter()
        connection.execute(f"CREATE INDEX items_embedding ON items USING {definition}")
        seconds = time.perf_counter() - began
    row = connection.execute("SELECT pg_table_size('items'), pg_relation_size('items_embedding')").fetchone()
    # Reads the table once, so that it is in shared buffers when the searches begin.
    connection.execute("SELECT sum(vector_dims(embedding)) FROM items")
    return seconds, Sizes(*row)


@dataclass(frozen=True)
class Column:
    """What is searched, and how a query is said to its type."""

    table: str
    name: str
    placeholder: str = "$1"
    parameter: Callable[[numpy.ndarray], bytes] = pgvectors.binary


class Search:
    """k nearest neighbours by SQL. The answers are row numbers of the workload, from 0."""

    def __init__(
        self,
        connection: psycopg.Connection,
        k: int,
        operator: str = "<->",
        column: Column = Column("items", "embedding"),
    ):
        self._connection = connection
        self._parameter = column.parameter
        order = f"{column.name} {operator} {column.placeholder}"
        self._text = f"SELECT id FROM {column.table} ORDER BY {order} LIMIT {k}"
        # Prepared by the first query, which takes what that takes.
        self._statement: client.Statement | None = None

    def __call__(self, query: numpy.ndarray) -> list[int]:
        if self._statement is None:
            self._statement = client.Statement(self._connection, self._text)
        return [id - 1 for id in self._statement.integers([self._parameter(query)])]

    def server_milliseconds(self, query: numpy.ndarray) -> float:
        """What EXPLAIN ANALYZE reports as Execution Time: without planning, protocol and client."""
        return self.analyze(query)["Execution Time"]

    def analyze(self, query: numpy.ndarray, *options: str) -> dict:
        """What EXPLAIN ANALYZE reports, without the times of single nodes."""
        (report,) = json.loads(self._explain(query, "ANALYZE", "TIMING OFF", "FORMAT JSON", *options))
        return report

    def plan(self, query: numpy.ndarray) -> str:
        return self._explain(query, "COSTS OFF")

    def _explain(self, query: numpy.ndarray, *options: str) -> str:
        text = f"EXPLAIN ({', '.join(options)}) {self._text}"
        return client.explain(self._connection, text, [self._parameter(query)])
