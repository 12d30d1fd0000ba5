"""kill -9 of the server, or of one of its processes, under load; after recovery, index and table agree."""

import contextlib
from collections.abc import Callable

import numpy
import psycopg
import pytest
from psycopg import errors

import vectors
from changes import Items
from conftest import create_database
from load import Step, repeated, running, writer
from oracle import Question, compare, compare_all, compare_size, verify
from pgcluster import Cluster
from vectors import Source, clustered

DIMS = 48
BATCH = 300
WRITES = (
    Items.insert_many,
    Items.copy,
    Items.update_vectors,
    Items.delete_some,
    Items.roll_back,
    Items.two_phases,
)

SMALL_DELTA = "WITH (delta_size = 64)"
CREATE_INDEX = f"INDEX vector_ip_ops ON items USING kdtree (embedding vector_ip_ops) {SMALL_DELTA}"


def build(how: str) -> Step:
    """Builds the same index again and again. A concurrent build may lose against a writer: both wait."""
    create = f"CREATE {CREATE_INDEX}".replace("INDEX", f"INDEX {how}", 1)

    def step(connection: psycopg.Connection, _rng: numpy.random.Generator) -> None:
        connection.execute("DROP INDEX IF EXISTS vector_ip_ops")
        with contextlib.suppress(errors.DeadlockDetected):
            connection.execute(create)

    return step


def rebuild(connection: psycopg.Connection, rng: numpy.random.Generator) -> None:
    """REINDEX CONCURRENTLY. What is left of one that failed is removed."""
    with contextlib.suppress(errors.DeadlockDetected):
        connection.execute("REINDEX INDEX CONCURRENTLY vector_l2_ops")
    for _ in connection.execute("SELECT 1 FROM pg_class WHERE relname = 'vector_l2_ops_ccnew'").fetchall():
        connection.execute("DROP INDEX vector_l2_ops_ccnew")


def merge(connection: psycopg.Connection, rng: numpy.random.Generator) -> None:
    Items(connection, Source(rng, DIMS), BATCH).merge()


# What goes on beside the writers when the server, or one of its processes, is killed.
WORK: dict[str, list[Step]] = {
    "writes": [],
    "vacuum": [repeated("VACUUM items")],
    "merge": [merge],
    "build": [build("")],
    "concurrent-build": [build("CONCURRENTLY")],
    "concurrent-rebuild": [rebuild],
}


def busy_backend(connection: psycopg.Connection, rng: numpy.random.Generator) -> int:
    """The pid of a session that does something, be it to wait."""
    query = (
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    pids = [pid for (pid,) in connection.execute(query)]
    return int(rng.choice(pids))


@pytest.mark.parametrize("work", WORK)
def test_index_equals_table_after_crash(
    work: str,
    make_cluster: Callable[..., Cluster],
    rng: numpy.random.Generator,
    request: pytest.FixtureRequest,
) -> None:
    """Fault 1: kill -9 of the server or of a backend during writes, sealing, merging, builds and VACUUM."""
    cluster = make_cluster("server")
    create_database(cluster, "crash")
    source = Source(rng, DIMS, clustered, zeros=0.01, nulls=0.01)
    with vectors.register(cluster.connect("crash")) as connection:
        items = Items(connection, source, BATCH * 10)
        items.create()
        items.copy()
        connection.execute(f"CREATE INDEX vector_l2_ops ON items USING kdtree (embedding) {SMALL_DELTA}")
    # Recovery starts in the midst of things, not always at the beginning.
    workers = [*[writer(source, BATCH, *WRITES)] * 2, repeated("CHECKPOINT", 0.3), *WORK[work]]
    for number in range(request.config.option.crashes):
        with running(cluster, "crash", rng, *workers, expected=(psycopg.OperationalError,)) as failed:
            failed.wait(float(rng.uniform(0.2, 1.5)))
            if number % 2 == 0:
                cluster.crash()
            else:
                with cluster.connect() as watcher:
                    victim = busy_backend(watcher, rng)
                cluster.crash_backend(victim)
        cluster.start()
        with vectors.register(cluster.connect("crash")) as connection:
            items = Items(connection, source, BATCH)
            verify(connection)
            assert "vector_l2_ops" in compare_all(connection, source.vector())
            for (name,) in connection.execute("SELECT gid FROM pg_prepared_xacts").fetchall():
                items.end_prepared(name)
            items.copy()
            compare_size(connection, "vector_l2_ops")
            compare_all(connection, source.vector())
            verify(connection)
    assert "was not properly shut down" in cluster.log.read_text()


def test_prepared_transaction_survives_crash(
    make_cluster: Callable[..., Cluster], rng: numpy.random.Generator
) -> None:
    """Its rows are in the index long before it commits; scans and VACUUM must leave them alone."""
    cluster = make_cluster("server", max_prepared_transactions="2")
    create_database(cluster, "crash")
    source = Source(rng, DIMS, clustered, nulls=0.01)
    with vectors.register(cluster.connect("crash")) as connection:
        items = Items(connection, source, BATCH)
        items.create()
        connection.execute(
            "CREATE INDEX vector_l2_ops ON items USING kdtree (embedding) WITH (delta_size = 64)"
        )
        items.copy()
        for name in ("kept", "dropped"):
            connection.execute("BEGIN")
            items.insert_many()
            connection.execute(f"PREPARE TRANSACTION '{name}'")
            items.copy()
            compare_all(connection, source.vector())
    cluster.crash()
    cluster.start()
    with vectors.register(cluster.connect("crash")) as connection:
        items = Items(connection, source, BATCH)
        items.vacuum()
        compare_all(connection, source.vector())
        before = items.count()
        connection.execute("COMMIT PREPARED 'kept'")
        connection.execute("ROLLBACK PREPARED 'dropped'")
        assert items.count() == before + BATCH // 4
        compare_all(connection, source.vector())
        items.vacuum()
        compare_all(connection, source.vector())


def test_table_made_without_wal(make_cluster: Callable[..., Cluster], rng: numpy.random.Generator) -> None:
    """At the least WAL level, what a transaction makes is not logged but written out when it commits."""
    cluster = make_cluster("server", wal_level="minimal", max_wal_senders="0", wal_skip_threshold="0")
    create_database(cluster, "crash")
    source = Source(rng, DIMS, clustered, zeros=0.01, nulls=0.01)
    with vectors.register(cluster.connect("crash")) as connection:
        items = Items(connection, source, BATCH * 10)
        with connection.transaction():
            items.create()
            items.copy()
            connection.execute(
                "CREATE INDEX vector_l2_ops ON items USING kdtree (embedding) WITH (delta_size = 64)"
            )
            items.copy()
            items.delete_some()
    cluster.crash()
    cluster.start()
    with vectors.register(cluster.connect("crash")) as connection:
        assert Items(connection, source, BATCH).count() > BATCH * 10
        compare_all(connection, source.vector())


def test_unlogged_table_is_empty_after_crash(
    make_cluster: Callable[..., Cluster], rng: numpy.random.Generator
) -> None:
    cluster = make_cluster("server")
    create_database(cluster, "crash")
    source = Source(rng, DIMS, clustered, nulls=0.01)
    question = Question("<->", parameters={"target": source.vector()})
    with vectors.register(cluster.connect("crash")) as connection:
        items = Items(connection, source, BATCH * 10)
        items.create(unlogged=True)
        items.copy()
        connection.execute(
            "CREATE INDEX items_index ON items USING kdtree (embedding) WITH (delta_size = 64)"
        )
        items.copy()
        assert len(compare(connection, question, "items_index")) == BATCH * 20
    cluster.crash()
    cluster.start()
    with vectors.register(cluster.connect("crash")) as connection:
        items = Items(connection, source, BATCH)
        assert compare(connection, question, "items_index") == []
        items.copy()
        assert len(compare(connection, question, "items_index")) == BATCH
        items.vacuum()
        connection.execute("ALTER TABLE items SET LOGGED")
        assert len(compare(connection, question, "items_index")) == BATCH
    # What was reset to empty is logged now, and survives.
    cluster.crash()
    cluster.start()
    with vectors.register(cluster.connect("crash")) as connection:
        assert len(compare(connection, question, "items_index")) == BATCH
