"""What else happens to an index in its life: it is dumped, restored, replicated, looked at."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy
import psycopg
import pytest
from psycopg import errors

import vectors
from changes import LABELS, Items
from conftest import create_database
from every_kind import (
    DIMS,
    about_kinds,
    answers,
    change_all,
    create_all,
    create_kinds,
    described,
    fill_kinds,
    index_kinds,
    questions,
)
from oracle import Question, compare, verify
from pgcluster import Cluster
from vectors import Source, clustered

ROWS = 1200
SMALL_DELTA = "WITH (delta_size = 64)"

# Dumping and restoring -------------------------------------------------------------------------------------


def client(cluster: Cluster, dbname: str, program: str, *arguments: str | Path) -> str:
    """Runs one of PostgreSQL's client programs and returns what it prints."""
    done = subprocess.run(
        [cluster.tree.program(program), *map(str, arguments)],
        env=cluster.environment(dbname),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{program}: {done.stderr}"
    return done.stdout


def restore_plain(cluster: Cluster, source: str, target: str, directory: Path) -> None:
    script = directory / "dump.sql"
    client(cluster, source, "pg_dump", "--file", script)
    # The extensions are named, what they consist of is not.
    text = script.read_text()
    assert "CREATE EXTENSION IF NOT EXISTS kdtree" in text
    assert "kdtree_handler" not in text and "kdtree_stats" not in text
    client(cluster, target, "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file", script)


def restore_custom(cluster: Cluster, source: str, target: str, directory: Path) -> None:
    archive = directory / "dump"
    client(cluster, source, "pg_dump", "--format=custom", "--file", archive)
    client(cluster, target, "pg_restore", "--exit-on-error", "--dbname", target, archive)


def restore_parallel(cluster: Cluster, source: str, target: str, directory: Path) -> None:
    archive = directory / "dump"
    client(cluster, source, "pg_dump", "--format=directory", "--jobs=3", "--file", archive)
    client(cluster, target, "pg_restore", "--exit-on-error", "--jobs=3", "--dbname", target, archive)


@pytest.mark.parametrize("restore", [restore_plain, restore_custom, restore_parallel])
def test_dump_and_restore(
    restore: Callable[..., None],
    cluster: Cluster,
    dbname: str,
    rng: numpy.random.Generator,
    tmp_path: Path,
) -> None:
    """The same rows, the same indexes with the same options, the same answers."""
    with cluster.connect(dbname) as db:
        source = create_all(db, rng).source
        asked = questions(source)
        before = described(db), answers(db, asked)

    target = f"{dbname}_restored"[-63:]
    cluster.create_database(target)
    try:
        restore(cluster, dbname, target, tmp_path)
        with cluster.connect(target) as db:
            vectors.register(db)
            assert (described(db), answers(db, asked)) == before
            change_all(db, source)
            answers(db, asked)
            verify(db)
    finally:
        with cluster.connect() as db:
            db.execute(f'DROP DATABASE "{target}" WITH (FORCE)')


# Logical replication ---------------------------------------------------------------------------------------

REPLICATED = (
    Items.insert_one,
    Items.insert_many,
    Items.copy,
    Items.insert_select,
    Items.update_vector,
    Items.update_vectors,
    Items.update_label,
    Items.delete_some,
    Items.roll_back,
    Items.roll_back_to_savepoint,
)


def wait_for_subscriber(publisher: psycopg.Connection, subscriber: psycopg.Connection) -> None:
    """Until the tables are copied, and all that the publisher wrote so far has been applied."""
    (target,) = publisher.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
    deadline = time.monotonic() + 60
    while True:
        (copying,) = subscriber.execute(
            "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'"
        ).fetchone()
        (behind,) = publisher.execute(
            "SELECT count(*) FILTER (WHERE replay_lsn >= %s::pg_lsn) = 0 FROM pg_stat_replication "
            "WHERE application_name = 'items_subscription'",
            (target,),
        ).fetchone()
        if not copying and not behind:
            return
        assert time.monotonic() < deadline, "the subscriber does not follow"
        time.sleep(0.02)


def test_logical_replication(make_cluster: Callable[..., Cluster], rng: numpy.random.Generator) -> None:
    """Vectors as text, later in binary, to a subscriber that has indexes of its own.

    Two tables have a primary key; of another the subscriber looks for rows by all of their columns, the
    vector among them.
    """
    source = Source(rng, DIMS, clustered, zeros=0.01, nulls=0.01)
    publisher = make_cluster("publisher", wal_level="logical")
    subscriber = make_cluster("subscriber", wal_retrieve_retry_interval="100ms")
    for server in (publisher, subscriber):
        create_database(server, "replicated")
    with publisher.connect("replicated") as near, subscriber.connect("replicated") as far:
        for connection in (near, far):
            items = Items(vectors.register(connection), source, 200)
            items.create()
            connection.execute("CREATE TABLE keyless (id int, embedding vector)")
            connection.execute("ALTER TABLE keyless REPLICA IDENTITY FULL")
            create_kinds(connection)
            index_kinds(connection)
        items = Items(near, source, 200)
        items.copy()
        near.execute("INSERT INTO keyless SELECT id, embedding FROM items")
        fill_kinds(near)
        near.execute("CREATE INDEX near_index ON items USING kdtree (embedding)")
        far.execute(f"CREATE INDEX far_index ON items USING kdtree (embedding) {SMALL_DELTA}")
        far.execute("CREATE INDEX far_cosine ON items USING kdtree (embedding vector_cosine_ops)")
        far.execute(f"CREATE INDEX far_keyless ON keyless USING kdtree ((embedding::vector({DIMS})))")
        near.execute("CREATE PUBLICATION items_publication FOR TABLE items, keyless, kinds")
        far.execute(
            f"CREATE SUBSCRIPTION items_subscription CONNECTION '{publisher.conninfo('replicated')}' "
            "PUBLICATION items_publication"
        )
        try:
            wait_for_subscriber(near, far)
            for binary in ("false", "true"):
                far.execute(f"ALTER SUBSCRIPTION items_subscription SET (binary = {binary})")
                for change in REPLICATED:
                    change(items)
                label = int(rng.integers(LABELS))
                near.execute("UPDATE keyless SET id = -id WHERE mod(id, 10) = %s", (label,))
                near.execute("DELETE FROM keyless WHERE mod(id, 20) = %s", (label,))
                near.execute("DELETE FROM kinds WHERE mod(id, 10) = %s", (label,))
                near.execute(
                    "UPDATE kinds SET half = half + half, bits = ~bits, sparse = half::vector::sparsevec "
                    "WHERE mod(id, 3) = 0"
                )
                fill_kinds(near)
                wait_for_subscriber(near, far)
                far.execute("VACUUM items")
                same_answers(near, far, source)
            items.truncate()
            wait_for_subscriber(near, far)
            same_answers(near, far, source)
        finally:
            far.execute("DROP SUBSCRIPTION items_subscription")


def same_answers(near: psycopg.Connection, far: psycopg.Connection, source: Source) -> None:
    target = {"target": source.vector()}
    by_distance = Question("<->", parameters=target)
    assert sorted(compare(far, by_distance, "far_index")) == sorted(compare(near, by_distance, "near_index"))
    compare(far, Question("<=>", parameters=target), "far_cosine")
    compare(
        far,
        Question("<->", parameters=target, table="keyless", column=f"(embedding::vector({DIMS}))"),
        "far_keyless",
    )
    for rows in (
        "SELECT id, embedding::text FROM keyless ORDER BY 1, 2",
        "SELECT id, half::text, bits::text, sparse::text FROM kinds ORDER BY id",
    ):
        assert far.execute(rows).fetchall() == near.execute(rows).fetchall()
    asked = about_kinds(source.vector())
    assert answers(far, asked) == answers(near, asked)
    verify(near)
    verify(far)


# On a standby ----------------------------------------------------------------------------------------------


def test_functions_on_a_standby(make_cluster: Callable[..., Cluster], rng: numpy.random.Generator) -> None:
    """An index can be looked at and checked there, but not changed; there is none of an unlogged table."""
    primary = make_cluster("primary")
    create_database(primary, "functions")
    with primary.connect("functions") as db:
        items = Items(vectors.register(db), Source(rng, DIMS, clustered, nulls=0.02), ROWS)
        items.create()
        db.execute(f"CREATE INDEX items_index ON items USING kdtree (embedding) {SMALL_DELTA}")
        db.execute("CREATE UNLOGGED TABLE unlogged (embedding vector(3))")
        db.execute("CREATE INDEX unlogged_index ON unlogged USING kdtree (embedding)")
        items.copy()
        items.delete_some()
        standby = primary.standby("standby")
        standby.start()
        items.vacuum()
        items.merge()
        items.insert_one()  # a merge by itself does not wait for its log to be written
        primary.wait_for_replay(standby)
        stats = "SELECT * FROM kdtree_stats('items_index')"
        before = db.execute(stats).fetchall()
    with standby.connect("functions") as db:
        assert db.execute(stats).fetchall() == before
        verify(db, "items_index")
        with pytest.raises(errors.ObjectNotInPrerequisiteState, match="recovery is in progress"):
            db.execute("SELECT kdtree_merge('items_index')")
        for query in (
            "SELECT * FROM kdtree_stats('unlogged_index')",
            "SELECT * FROM kdtree_check('unlogged_index')",
            "SELECT * FROM kdtree_check('unlogged_index', true)",
        ):
            with pytest.raises(psycopg.Error, match="during recovery|unlogged") as refused:
                db.execute(query)
            assert refused.value.sqlstate in ("55000", "0A000")
