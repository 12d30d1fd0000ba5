"""Files of an index that are moved, made anew, emptied, or longer than they should be; crashes meanwhile."""

import contextlib
from collections.abc import Callable

import psycopg
import pytest
from numpy.random import Generator
from psycopg import errors

import serveruser
import vectors
from changes import Items
from conftest import create_database
from load import Step, running
from oracle import Question, compare, compare_all, compare_size, verify
from pgcluster import Cluster
from vectors import Source, clustered

PAGE = 8192
DIMS = 48
SMALL_DELTA = "WITH (delta_size = 64)"
CREATE_INDEX = f"CREATE INDEX items_index ON items USING kdtree (embedding) {SMALL_DELTA}"


def create_items(cluster: Cluster, rng: Generator, batch: int = 1000) -> Source:
    """A database `storage` with a table and its index."""
    create_database(cluster, "storage")
    source = Source(rng, DIMS, clustered, zeros=0.02, nulls=0.02)
    with vectors.register(cluster.connect("storage")) as connection:
        items = Items(connection, source, batch)
        items.create()
        items.copy()
        connection.execute(CREATE_INDEX)
    return source


def emptied(items: Items) -> None:
    with items.connection.transaction(force_rollback=bool(items.rng.random() < 0.5)):
        items.copy()
        items.truncate()
        items.copy()


def made_anew(items: Items) -> None:
    """An index that is dropped and made anew in one transaction, which may not have been."""
    with items.connection.transaction(force_rollback=bool(items.rng.random() < 0.5)):
        items.connection.execute("DROP INDEX items_index")
        items.connection.execute(CREATE_INDEX)
        items.copy()


def moved(items: Items) -> None:
    where = items.rng.choice(["other_space", "pg_default"])
    what = items.rng.choice(["INDEX items_index", "TABLE items"])
    items.connection.execute(f"ALTER {what} SET TABLESPACE {where}")


def logged_or_not(items: Items) -> None:
    """Not rolled back: if the server is killed then, PostgreSQL 15 itself may not start again.

    Of an unlogged relation that an aborted transaction made, an empty file stays until the next checkpoint.
    It is in the way of recovery that replays the making, but not the end of the transaction.
    """
    with items.connection.transaction():
        items.connection.execute("ALTER TABLE items SET UNLOGGED")
        items.copy()
        items.connection.execute("ALTER TABLE items SET LOGGED")


def test_crash_while_files_change(
    make_cluster: Callable[..., Cluster], rng: Generator, request: pytest.FixtureRequest
) -> None:
    """Fault 10: TRUNCATE, new and reused files, moves to a tablespace and back, and of fault 7 SET LOGGED."""
    cluster = make_cluster("server")
    source = create_items(cluster, rng)
    space = serveruser.make_directory(cluster.home / "space")
    with cluster.connect() as connection:
        connection.execute(f"CREATE TABLESPACE other_space LOCATION '{space}'")
    changes = (emptied, made_anew, moved, logged_or_not, Items.rewrite, Items.vacuum, Items.delete_some)

    def change(connection: psycopg.Connection, rng: Generator) -> None:
        own = Items(connection, Source(rng, DIMS, clustered, 0.02, 0.02), 300)
        changes[rng.integers(len(changes))](own)
        if own.count() > 4000:
            own.delete_most()

    def checkpoint(connection: psycopg.Connection, rng: Generator) -> None:
        connection.execute(f"CHECKPOINT; SELECT pg_sleep({rng.exponential(0.2)})")

    workers: list[Step] = [change, checkpoint]
    for _ in range(2 * request.config.option.crashes):
        with running(cluster, "storage", rng, *workers, expected=(psycopg.OperationalError,)) as failed:
            failed.wait(float(rng.uniform(0.2, 1.0)))
            cluster.crash()
        cluster.start()
        with vectors.register(cluster.connect("storage")) as connection:
            items = Items(connection, source, 300)
            verify(connection)
            assert compare_all(connection, source.vector()) == ["items_index"]
            items.copy()
            compare_size(connection, "items_index")
            compare_all(connection, source.vector())
    assert "was not properly shut down" in cluster.log.read_text()


@pytest.mark.parametrize("remains", ["zeros", "garbage", "old pages", "half a page"])
def test_pages_beyond_the_end(remains: str, make_cluster: Callable[..., Cluster], rng: Generator) -> None:
    """Fault 10: a crash may leave pages at the end of the file that nobody knows. They do no harm."""
    cluster = make_cluster("server")
    source = create_items(cluster, rng)
    with vectors.register(cluster.connect("storage")) as connection:
        items = Items(connection, source, 1000)
        items.copy()
        connection.execute("CHECKPOINT")
        (path,) = connection.execute("SELECT pg_relation_filepath('items_index')").fetchone()
    cluster.crash()
    content = (cluster.data / path).read_bytes()
    with open(cluster.data / path, "ab") as file:
        file.write(
            {
                "zeros": bytes(20 * PAGE),
                "garbage": bytes(PAGE) + rng.bytes(3 * PAGE),
                "old pages": content[-20 * PAGE :],
                "half a page": bytes(PAGE // 2),
            }[remains]
        )
    cluster.start()
    with vectors.register(cluster.connect("storage")) as connection:
        items = Items(connection, source, 1000)
        compare_all(connection, source.vector())
        # A page that is none at all can be found by Postgres when it is to be used, and by kdtree_check.
        damaged = (errors.IndexCorrupted, errors.DataCorrupted) if remains == "garbage" else ()
        for change in (items.copy, items.delete_some, items.vacuum, items.copy, items.merge, items.vacuum):
            with contextlib.suppress(*damaged):
                change()
            compare_all(connection, source.vector())
        if damaged:
            connection.execute("REINDEX INDEX items_index")
        verify(connection)
        compare_size(connection, "items_index")


def test_standby_without_unlogged_tables(make_cluster: Callable[..., Cluster], rng: Generator) -> None:
    """Fault 7: an unlogged table cannot be read on a standby, and is empty and whole after its promotion."""
    cluster = make_cluster("server")
    source = create_items(cluster, rng)
    with vectors.register(cluster.connect("storage")) as connection:
        connection.execute("ALTER TABLE items SET UNLOGGED")
        standby = cluster.standby("standby")
        standby.start()
        Items(connection, source, 500).copy()
        compare_all(connection, source.vector())
        cluster.wait_for_replay(standby)
        question = Question("<->", parameters={"target": source.vector()})
        with vectors.register(standby.connect("storage")) as reader:
            with pytest.raises(errors.FeatureNotSupported, match="unlogged"):
                compare(reader, question, "items_index")
            with pytest.raises(errors.ObjectNotInPrerequisiteState, match="recovery"):
                reader.execute("SELECT * FROM kdtree_check('items_index')")
        # From now on it is there on the standby, too.
        connection.execute("ALTER TABLE items SET LOGGED")
        cluster.wait_for_replay(standby)
        with vectors.register(standby.connect("storage")) as reader:
            answer = compare(connection, question, "items_index")
            assert [row[1] for row in compare(reader, question, "items_index")] == [row[1] for row in answer]
        connection.execute("ALTER TABLE items SET UNLOGGED")
        # Version 18 finds the sequence damaged after the promotion: "bad magic number".
        connection.execute("ALTER SEQUENCE items_id_seq SET LOGGED")
        cluster.wait_for_replay(standby)
    cluster.crash()
    standby.promote()
    with vectors.register(standby.connect("storage")) as connection:
        assert compare(connection, question, "items_index") == []
        items = Items(connection, source, 500)
        items.copy()
        items.vacuum()
        assert len(compare(connection, question, "items_index")) == 500
        verify(connection)
