"""Writers, scanners and VACUUM at once: within one snapshot, index and table agree at any moment."""

import contextlib
import time
from collections.abc import Iterator

import psycopg
import pytest
from numpy.random import Generator
from psycopg import errors

import serverlog
import vectors
from changes import Items
from load import Step, repeated, running, writer
from oracle import Question, compare, compare_cursor, compare_lateral, compare_size
from pgcluster import Cluster
from vectors import Source, clustered

WRITES = (
    Items.insert_one,
    Items.insert_many,
    Items.copy,
    Items.update_vector,
    Items.update_vectors,
    Items.update_label,
    Items.delete_one,
    Items.delete_some,
    Items.roll_back,
    Items.roll_back_to_savepoint,
    Items.two_phases,
)
INDEXES = {"items_l2": "<->", "items_cosine": "<=>"}


def scanner(source: Source) -> Step:
    """Questions of many kinds within one snapshot, which may grow old."""

    def step(connection: psycopg.Connection, rng: Generator) -> None:
        own = Source(rng, source.dims, source.distribution, zeros=0.1)
        index = str(rng.choice(list(INDEXES)))
        operator = INDEXES[index]
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            for limit in (1, 50, None):
                compare(
                    connection, Question(operator, parameters={"target": own.vector()}, limit=limit), index
                )
            compare_cursor(
                connection, Question(operator, parameters={"target": own.vector()}), slow_steps(rng), index
            )
            outer = "SELECT id, embedding FROM items ORDER BY id LIMIT 3"
            compare_lateral(connection, operator, outer, 10, index)

    return step


def rebuild(connection: psycopg.Connection, rng: Generator) -> None:
    """REINDEX CONCURRENTLY, which may lose against writers; what is left of it then is removed."""
    index = str(rng.choice(list(INDEXES)))
    with contextlib.suppress(errors.DeadlockDetected):
        connection.execute(f"REINDEX INDEX CONCURRENTLY {index}")
    connection.execute(f"DROP INDEX IF EXISTS {index}_ccnew")
    time.sleep(rng.exponential(1.0))


def merge(connection: psycopg.Connection, rng: Generator) -> None:
    connection.execute("SELECT kdtree_merge(%s)", (str(rng.choice(list(INDEXES))),))
    time.sleep(rng.exponential(0.3))


def slow_steps(rng: Generator) -> Iterator[int]:
    """Fetches with time between them for others to seal, to merge and to free what is being read."""
    yield 1
    time.sleep(rng.exponential(0.2))
    yield 70
    time.sleep(rng.exponential(0.5))
    yield 1_000_000


@pytest.mark.parametrize("dims", [8, 200, 3000])
def test_mixed_load(
    dims: int, cluster: Cluster, dbname: str, rng: Generator, request: pytest.FixtureRequest
) -> None:
    """Faults 11 to 14, of which it is the longest test."""
    source = Source(rng, dims, clustered, zeros=0.01, nulls=0.01)
    batch = {8: 300, 200: 100, 3000: 10}[dims]
    limit = {8: 5000, 200: 2000, 3000: 400}[dims]
    with vectors.register(cluster.connect(dbname)) as connection:
        items = Items(connection, source, batch)
        items.create()
        items.copy()
        for index, operator in INDEXES.items():
            opclass = "vector_l2_ops" if operator == "<->" else "vector_cosine_ops"
            connection.execute(
                f"CREATE INDEX {index} ON items USING kdtree (embedding {opclass}) WITH (delta_size = 64)"
            )
        workers = [writer(source, batch, *WRITES, limit=limit)] * 3 + [scanner(source)] * 2
        workers += [repeated("VACUUM items", 0.1), merge, rebuild]
        with running(cluster, dbname, rng, *workers) as failed:
            failed.wait(request.config.option.load_seconds)
        for _ in range(2):
            for index, operator in INDEXES.items():
                for limit in (10, None):
                    target = {"target": source.vector()}
                    compare(connection, Question(operator, parameters=target, limit=limit), index)
            items.vacuum()
        compare_size(connection, *INDEXES)
    assert not serverlog.faults(cluster)


def test_appending_in_parallel_loses_nothing(cluster: Cluster, dbname: str, rng: Generator) -> None:
    """Only inserts, as fast as they come: every sealing is a race with those who append."""
    source = Source(rng, 64, clustered)
    with vectors.register(cluster.connect(dbname)) as connection:
        items = Items(connection, source, 1000)
        items.create()
        connection.execute(
            "CREATE INDEX items_index ON items USING kdtree (embedding) WITH (delta_size = 64)"
        )
        appends = [writer(source, 500, Items.copy, limit=10**9)] * 4
        with running(cluster, dbname, rng, *appends) as failed:
            deadline = time.monotonic() + 60
            while not failed.wait(0.05) and items.count() < 30_000 and time.monotonic() < deadline:
                pass
        rows = items.count()
        assert rows >= 30_000
        indexed, segments = connection.execute(
            "SELECT sum(vectors - dead), count(*) FILTER (WHERE kind = 'segment') "
            "FROM kdtree_stats('items_index')"
        ).fetchone()
        assert indexed == rows
        # A delta of the least size holds some 250 of these vectors: it was sealed a hundred times. There are
        # more than 32 segments only until an insert merges them.
        assert 1 < segments < 50
        for limit in (10, None):
            compare(
                connection,
                Question("<->", parameters={"target": source.vector()}, limit=limit),
                "items_index",
            )
