"""kill -9 of the whole server under load; after recovery, index and table agree."""

from collections.abc import Callable

import numpy
import psycopg
import pytest

import vectors
from changes import Items
from conftest import create_database
from load import Step, repeated, running, writer
from oracle import OPERATORS, Question, compare, compare_size
from pgcluster import Cluster
from vectors import Source, clustered

DIMS = 48
BATCH = 300
ROUNDS = 3
WRITES = (Items.insert_many, Items.copy, Items.update_vectors, Items.delete_some, Items.roll_back)

CREATE_INDEX = (
    "DROP INDEX IF EXISTS vector_ip_ops; "
    "CREATE INDEX vector_ip_ops ON items USING kdtree (embedding vector_ip_ops) WITH (delta_size = 64)"
)
# What goes on beside the writers when the server is killed.
WORK: dict[str, list[Step]] = {
    "writes": [],
    "vacuum": [repeated("VACUUM items")],
    "create-index": [repeated(CREATE_INDEX)],
    "reindex-concurrently": [repeated("REINDEX INDEX CONCURRENTLY vector_l2_ops", 0.05)],
}


def compare_all(connection: psycopg.Connection, source: Source) -> None:
    """Asks every index that there is and that is valid."""
    names = connection.execute(
        "SELECT relname FROM pg_index JOIN pg_class ON oid = indexrelid "
        "WHERE indrelid = 'items'::regclass AND indisvalid AND NOT indisprimary"
    ).fetchall()
    assert ("vector_l2_ops",) in names
    for (opclass,) in names:
        for limit in (1, 30, None):
            target = {"target": source.vector()}
            compare(connection, Question(OPERATORS[opclass], parameters=target, limit=limit), opclass)


@pytest.mark.parametrize("work", WORK)
def test_index_equals_table_after_crash(
    work: str, make_cluster: Callable[..., Cluster], rng: numpy.random.Generator
) -> None:
    cluster = make_cluster("server")
    create_database(cluster, "crash")
    source = Source(rng, DIMS, clustered, zeros=0.01, nulls=0.01)
    with vectors.register(cluster.connect("crash")) as connection:
        items = Items(connection, source, BATCH * 10)
        items.create()
        items.copy()
        connection.execute(
            "CREATE INDEX vector_l2_ops ON items USING kdtree (embedding) WITH (delta_size = 64)"
        )
    # Recovery starts in the midst of things, not always at the beginning.
    workers = [*[writer(source, BATCH, *WRITES)] * 2, repeated("CHECKPOINT", 0.3), *WORK[work]]
    for _ in range(ROUNDS):
        with running(cluster, "crash", rng, *workers, expected=(psycopg.OperationalError,)) as failed:
            failed.wait(float(rng.uniform(0.5, 2.0)))
            cluster.crash()
        cluster.start()
        with vectors.register(cluster.connect("crash")) as connection:
            items = Items(connection, source, BATCH)
            compare_all(connection, source)
            items.copy()
            compare_size(connection, "vector_l2_ops")
            compare_all(connection, source)
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
            compare_all(connection, source)
    cluster.crash()
    cluster.start()
    with vectors.register(cluster.connect("crash")) as connection:
        items = Items(connection, source, BATCH)
        items.vacuum()
        compare_all(connection, source)
        before = items.count()
        connection.execute("COMMIT PREPARED 'kept'")
        connection.execute("ROLLBACK PREPARED 'dropped'")
        assert items.count() == before + BATCH // 4
        compare_all(connection, source)
        items.vacuum()
        compare_all(connection, source)


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
        compare_all(connection, source)


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
