"""An index that does not fit into the buffers: its pages are asked for ahead, and answers are the table's."""

from collections.abc import Callable

import numpy
import psycopg
import pytest

import vectors
from changes import Items
from conftest import create_database
from oracle import THROUGH_INDEX, Question, compare, planned
from pgcluster import Cluster
from vectors import Source, clustered

DIMS = 48
BATCH = 10_000
# An index of some 170 pages, and 128 buffers.
SETTINGS = {"shared_buffers": "1MB", "temp_buffers": "800kB", "wal_level": "replica", "max_wal_size": "8GB"}
CONCURRENCIES = (0, 1, 16, 1000)


def fill(connection: psycopg.Connection, rng: numpy.random.Generator, *, temporary: bool = False) -> Source:
    """Two segments, and some rows in the delta."""
    items = Items(vectors.register(connection), Source(rng, DIMS, clustered, nulls=0.01), BATCH)
    items.create(temporary=temporary)
    items.copy()
    connection.execute("CREATE INDEX items_index ON items USING kdtree (embedding) WITH (delta_size = 64)")
    items.copy()
    connection.execute("ANALYZE items")
    return items.source


def blocks_read(connection: psycopg.Connection, question: Question) -> int:
    """Blocks that the index scan and the executor found in no buffer."""
    explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {question.text()}"
    with planned(connection, THROUGH_INDEX):
        ((plan,),) = connection.execute(explain, question.parameters).fetchall()
    return plan[0]["Plan"]["Shared Read Blocks"] + plan[0]["Plan"]["Local Read Blocks"]


def ask(connection: psycopg.Connection, source: Source) -> None:
    for concurrency in CONCURRENCIES:
        connection.execute(f"SET effective_io_concurrency = {concurrency}")
        read = 0
        for limit in (1, 20, 500, None):
            question = Question("<->", parameters={"target": source.vector()}, limit=limit)
            compare(connection, question, "items_index")
            read += blocks_read(connection, question)
        assert read > 100, f"the index is in memory with effective_io_concurrency = {concurrency}"
        radius = Question(
            "<->", parameters={"target": source.vector()}, condition="embedding <-> %(target)s < 3"
        )
        compare(connection, radius, "items_index")


@pytest.fixture
def server(make_cluster: Callable[..., Cluster]) -> Cluster:
    server = make_cluster("small", **SETTINGS)
    create_database(server, "cold")
    return server


@pytest.mark.parametrize("temporary", [False, True], ids=["permanent", "temporary"])
def test_answers(server: Cluster, rng: numpy.random.Generator, temporary: bool) -> None:
    with server.connect("cold") as connection:
        ask(connection, fill(connection, rng, temporary=temporary))


def test_standby(server: Cluster, rng: numpy.random.Generator) -> None:
    with server.connect("cold") as connection:
        source = fill(connection, rng)
        standby = server.standby("standby")
        standby.start()
        server.wait_for_replay(standby)
        with vectors.register(standby.connect("cold")) as reader:
            ask(reader, source)
