"""Fault 42: a steady load of everything for a long time. Size and memory are steady, too."""

import contextlib
import time

import psycopg
import pytest
from numpy.random import Generator
from psycopg import errors

import processes
import vectors
from changes import Items
from load import running
from oracle import compare_all, compare_size, verify
from pgcluster import Cluster
from vectors import Source, clustered

ROWS = 4000
# What an index may grow by while a session that others take the processor from holds its snapshot.
LAG = 24 << 20
# What it may have in any case: a merge need not look for free pages before 4 MB.
NEEDED = 6 << 20
INDEXES = {"items_l2": "vector_l2_ops", "items_cosine": "vector_cosine_ops"}


def sizes(connection: psycopg.Connection) -> dict[str, int]:
    query = "SELECT pg_relation_size(%s)"
    return {index: connection.execute(query, (index,)).fetchone()[0] for index in INDEXES}


def test_steady_load(cluster: Cluster, dbname: str, rng: Generator, request: pytest.FixtureRequest) -> None:
    """Rows come and go, their number stays; so do the files' size after a while, and what a session takes."""
    source = Source(rng, 64, clustered, zeros=0.01, nulls=0.01)
    seconds = request.config.option.soak_seconds
    memory: dict[int, int] = {}

    def change(connection: psycopg.Connection, rng: Generator) -> None:
        """Replaces a tenth of the rows; what sessions take is noted when all has been done a few times."""
        items = Items(connection, Source(rng, 64, clustered, 0.01, 0.01), ROWS // 10)
        items.copy()
        with contextlib.suppress(errors.DeadlockDetected):
            items.roll_back_to_savepoint()
            items.update_vectors()
        # From the start, as where rows expire; one session at a time.
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(1)")
            with contextlib.suppress(errors.DeadlockDetected), connection.transaction():
                connection.execute(
                    "DELETE FROM items WHERE id IN (SELECT id FROM items ORDER BY id LIMIT %s)",
                    (max(0, items.count() - ROWS),),
                )
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            compare_all(connection, items.source.vector(), limits=(10,))
        if rng.random() < 0.05:
            items.merge()

    def vacuum(connection: psycopg.Connection, _rng: Generator) -> None:
        connection.execute("VACUUM items")
        time.sleep(0.1)

    with vectors.register(cluster.connect(dbname)) as connection:
        items = Items(connection, source, ROWS)
        items.create()
        items.copy()
        for index, opclass in INDEXES.items():
            connection.execute(
                f"CREATE INDEX {index} ON items USING kdtree (embedding {opclass}) WITH (delta_size = 64)"
            )

        def take_memory() -> dict[int, int]:
            query = (
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            return {pid: processes.own_memory(pid) for (pid,) in connection.execute(query)}

        with running(cluster, dbname, rng, change, change, vacuum) as failed:
            failed.wait(seconds / 3)
            memory, middle = take_memory(), sizes(connection)
            failed.wait(seconds * 2 / 3)
            later, end = take_memory(), sizes(connection)
        print(f"bytes: after a third {middle}, at the end {end}")
        print(f"memory: {memory}, then {later}")
        for index in INDEXES:
            assert end[index] < 1.5 * middle[index] + LAG
        assert memory.keys() == later.keys()
        for pid, before in memory.items():
            assert later[pid] < before + (32 << 20)
        # When nobody else holds a snapshot, what the load left behind is used again before a file grows.
        compare_size(connection, *INDEXES)
        before = sizes(connection)
        for _ in range(20):
            change(connection, rng)
            connection.execute("VACUUM items")
        after = sizes(connection)
        print(f"bytes: then {before}, after changes by one session {after}")
        for index in INDEXES:
            assert after[index] <= max(before[index], NEEDED)
        compare_size(connection, *INDEXES)
        compare_all(connection, source.vector())
        verify(connection)
