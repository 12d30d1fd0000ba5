"""Statements that end early: cancelled, timed out, short of a lock, in each other's way.

At whatever moment: the backend lives on with nothing left over, the index is complete, and whoever comes next
finishes what was begun.
"""

import contextlib
import threading
import time
import warnings
from collections.abc import Callable, Iterator

import numpy
import psycopg
import pytest
from numpy.random import Generator
from psycopg import errors

import processes
import vectors
from changes import Items
from conftest import create_contrib, has_extension
from load import Step, running
from oracle import THROUGH_INDEX, apply, compare_all, compare_size, verify
from pgcluster import Cluster
from vectors import Source, clustered, uniform

CREATE_INDEX = "CREATE INDEX items_index ON items USING kdtree (embedding)"
SMALL_DELTA = "WITH (delta_size = 64)"
# What an allocator may keep for itself, whatever was freed.
MEMORY_SLACK = 24 << 20
NO_PINS = "without pg_buffercache, pinned buffers show only as leaks in the server's log"

STATEMENTS = {
    "insert": "INSERT INTO items (label, embedding) SELECT label, embedding FROM items LIMIT 2000",
    "update": "UPDATE items SET embedding = embedding WHERE label = 1",
    "scan": "SELECT count(*) FROM (SELECT id FROM items ORDER BY embedding <-> "
    "(SELECT embedding FROM items WHERE embedding IS NOT NULL LIMIT 1) LIMIT 100000) found",
    "vacuum": "VACUUM items",
    "merge": "SELECT kdtree_merge('items_index')",
    "check": "SELECT * FROM kdtree_check('items_index', true)",
    "rebuild": "REINDEX INDEX items_index",
}


@pytest.fixture
def items(db: psycopg.Connection, rng: Generator) -> Items:
    """A table whose index takes some tenths of a second to build."""
    items = Items(vectors.register(db), Source(rng, 64, uniform, nulls=0.01), batch=40_000)
    items.create()
    items.copy()
    return items


@pytest.fixture
def watcher(cluster: Cluster, dbname: str) -> Iterator[psycopg.Connection]:
    with cluster.connect(dbname) as connection:
        if not create_contrib(connection, "pg_buffercache"):
            warnings.warn(NO_PINS, stacklevel=1)
        yield connection


@pytest.fixture
def interruptions(request: pytest.FixtureRequest) -> int:
    return request.config.option.interruptions


def timed(run: Callable[[], object]) -> float:
    began = time.monotonic()
    run()
    return time.monotonic() - began


# Ways to interrupt a statement after so many seconds; they tell whether it was. --------------------------


def by_timeout(connection: psycopg.Connection, statement: str, after: float) -> bool:
    connection.execute(f"SET statement_timeout = '{max(1, round(after * 1000))}ms'")
    try:
        connection.execute(statement)
    except errors.QueryCanceled:
        return True
    finally:
        connection.execute("RESET statement_timeout")
    return False


def by_cancel(connection: psycopg.Connection, statement: str, after: float) -> bool:
    timer = threading.Timer(after, connection.cancel_safe)
    timer.start()
    try:
        connection.execute(statement)
    except errors.QueryCanceled:
        return True
    finally:
        # A cancel that comes too late must not hit what follows.
        timer.join()
    return False


# What may be left over -----------------------------------------------------------------------------------


def files_of(cluster: Cluster, connection: psycopg.Connection) -> set[str]:
    """Files of relations in the database's directory. A checkpoint removes those of dropped ones."""
    connection.execute("CHECKPOINT")
    (oid,) = connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
    names = {path.name for path in (cluster.data / "base" / str(oid)).iterdir()}
    return {name.split("_")[0].split(".")[0] for name in names if name[0].isdigit()}


def assert_nothing_left(connection: psycopg.Connection, watcher: psycopg.Connection) -> None:
    """The session, which is idle, has no threads, locks, pinned buffers or temporary files."""
    assert processes.has_one_thread(connection.info.backend_pid)
    assert_nothing_held(connection, watcher)


def assert_nothing_held(connection: psycopg.Connection, watcher: psycopg.Connection) -> None:
    """The same but for threads: some sleep until the next scan."""
    pid = connection.info.backend_pid
    assert connection.execute("SELECT pg_backend_pid()").fetchone() == (pid,)
    locks = watcher.execute("SELECT locktype, mode FROM pg_locks WHERE pid = %s", (pid,)).fetchall()
    assert not locks
    assert watcher.execute("SELECT count(*) FROM pg_ls_tmpdir()").fetchone() == (0,)
    if not has_extension(watcher, "pg_buffercache"):
        return  # of which the fixture has warned
    pinned = (
        "SELECT count(*) FROM pg_buffercache b JOIN pg_class c USING (relfilenode) "
        "WHERE relname = 'items_index' AND pinning_backends > 0"
    )
    deadline = time.monotonic() + 10
    # The checkpointer and others pin buffers, too, but not for long.
    while watcher.execute(pinned).fetchone() != (0,):
        assert time.monotonic() < deadline, "buffers of the index are pinned"
        time.sleep(0.05)


# Cancelled and timed out ---------------------------------------------------------------------------------


@pytest.mark.parametrize("interrupt", [by_timeout, by_cancel])
def test_interrupted_build_leaves_nothing(
    interrupt: Callable[[psycopg.Connection, str, float], bool],
    cluster: Cluster,
    items: Items,
    watcher: psycopg.Connection,
    rng: Generator,
    interruptions: int,
) -> None:
    """Fault 19 for CREATE INDEX: nor does it leave files."""
    connection = items.connection
    duration = timed(lambda: connection.execute(CREATE_INDEX))
    connection.execute("DROP INDEX items_index")
    files = files_of(cluster, connection)

    interrupted = 0
    for moment in rng.permutation(numpy.linspace(0.001, duration, interruptions)):
        if interrupt(connection, CREATE_INDEX, float(moment)):
            interrupted += 1
        else:
            connection.execute("DROP INDEX items_index")
        assert_nothing_left(connection, watcher)
        assert connection.execute("SELECT to_regclass('items_index') IS NULL").fetchone() == (True,)
    assert interrupted > 0
    assert files_of(cluster, connection) == files

    connection.execute(CREATE_INDEX)
    compare_all(connection, items.source.vector(), limits=(1, 10, 300))


@pytest.mark.parametrize("statement", STATEMENTS)
def test_interrupted_statement_leaves_nothing(
    statement: str, items: Items, watcher: psycopg.Connection, rng: Generator, interruptions: int
) -> None:
    """Fault 19: at random moments; inserts seal and merge. What is left is complete, memory is given back."""
    connection = items.connection
    connection.execute(f"{CREATE_INDEX} {SMALL_DELTA}")
    items.batch = 3000
    text = STATEMENTS[statement]
    apply(connection, THROUGH_INDEX)

    def disturb() -> None:
        """Leaves something for the statement to do."""
        connection.execute("DELETE FROM items WHERE mod(id, 10) = %s", (int(rng.integers(10)),))
        if items.count() < 30_000:
            items.copy()

    durations = []
    for _ in range(3):
        disturb()
        durations.append(timed(lambda: connection.execute(text)))
    memory = processes.own_memory(connection.info.backend_pid)
    interrupted = 0
    for moment in rng.uniform(0, max(durations), interruptions):
        disturb()
        interrupt = by_timeout if rng.random() < 0.5 else by_cancel
        interrupted += interrupt(connection, text, float(moment))
        assert_nothing_left(connection, watcher)
        compare_all(connection, items.source.vector(), limits=(10,))
    assert interrupted > 0
    later = processes.own_memory(connection.info.backend_pid)
    print(f"memory: {memory}, later {later}")
    assert later < memory + MEMORY_SLACK
    verify(connection)
    connection.execute(text)
    compare_size(connection, "items_index")
    compare_all(connection, items.source.vector())


def is_valid(connection: psycopg.Connection) -> bool:
    query = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'items_index'::regclass"
    return connection.execute(query).fetchone()[0]


def test_interrupted_concurrent_build_can_be_repeated(items: Items) -> None:
    """Fault 14: what remains is an invalid index that takes inserts. REINDEX mends it."""
    connection = items.connection
    duration = timed(lambda: connection.execute(CREATE_INDEX))
    connection.execute("DROP INDEX items_index")
    concurrently = CREATE_INDEX.replace("INDEX", "INDEX CONCURRENTLY", 1)
    assert by_timeout(connection, concurrently, duration / 2)
    assert not is_valid(connection)
    items.batch = 100
    items.copy()
    connection.execute("VACUUM items")
    connection.execute("REINDEX INDEX CONCURRENTLY items_index")
    assert is_valid(connection)
    compare_all(connection, items.source.vector())


def test_failed_concurrent_build(db: psycopg.Connection) -> None:
    """Fault 14: a row that cannot be indexed fails the build. Without it, the index is built anew."""
    db.execute("CREATE TABLE items (id serial, embedding vector)")
    db.execute("INSERT INTO items (embedding) SELECT ARRAY[i, -i]::vector FROM generate_series(1, 500) i")
    db.execute("INSERT INTO items (embedding) VALUES ('[1,2,3]')")
    concurrently = CREATE_INDEX.replace("INDEX", "INDEX CONCURRENTLY", 1)
    with pytest.raises(errors.DataException):
        db.execute(concurrently)
    assert not is_valid(db)
    db.execute("DELETE FROM items WHERE vector_dims(embedding) = 3")
    db.execute("VACUUM items")
    db.execute("DROP INDEX CONCURRENTLY items_index")
    db.execute(concurrently)
    assert is_valid(db)
    assert compare_all(vectors.register(db), numpy.array([3, 4], "f4")) == ["items_index"]


# Locks ---------------------------------------------------------------------------------------------------


@pytest.fixture
def two_indexes(cluster: Cluster, dbname: str, rng: Generator) -> Iterator[Items]:
    with vectors.register(cluster.connect(dbname)) as connection:
        items = Items(connection, Source(rng, 32, clustered, zeros=0.02, nulls=0.02), batch=300)
        items.create()
        items.copy()
        for opclass in ("vector_l2_ops", "vector_cosine_ops"):
            connection.execute(
                f"CREATE INDEX {opclass} ON items USING kdtree (embedding {opclass}) {SMALL_DELTA}"
            )
        yield items


def all_at_once(source: Source) -> list[Step]:
    """Everything that locks something of an index; no two of them want the same rows."""

    def own(connection: psycopg.Connection, rng: Generator, batch: int = 300) -> Items:
        return Items(connection, Source(rng, source.dims, source.distribution, 0.02, 0.02), batch)

    def insert(connection: psycopg.Connection, rng: Generator) -> None:
        own(connection, rng).copy()

    def delete(connection: psycopg.Connection, rng: Generator) -> None:
        connection.execute("DELETE FROM items WHERE mod(id, 3) = %s", (int(rng.integers(3)),))

    def vacuum(connection: psycopg.Connection, rng: Generator) -> None:
        own(connection, rng).vacuum()

    def merge(connection: psycopg.Connection, rng: Generator) -> None:
        """Of both indexes in one transaction, in either order."""
        with connection.transaction():
            own(connection, rng, 10).copy()
            own(connection, rng).merge(backwards=bool(rng.random() < 0.5))

    def ask(connection: psycopg.Connection, rng: Generator) -> None:
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            compare_all(connection, own(connection, rng).source.vector(), limits=(3, None))

    def look(connection: psycopg.Connection, _rng: Generator) -> None:
        verify(connection)

    return [insert, insert, insert, delete, vacuum, merge, merge, ask, look]


def test_no_deadlocks(
    cluster: Cluster, dbname: str, two_indexes: Items, rng: Generator, request: pytest.FixtureRequest
) -> None:
    """Fault 18: whoever waits for the other in a circle would be ended by Postgres, or wait for ever."""
    steps = all_at_once(two_indexes.source)
    with running(cluster, dbname, rng, *steps) as failed:
        failed.wait(request.config.option.load_seconds / 4)
    verify(two_indexes.connection)
    compare_size(two_indexes.connection, "vector_l2_ops", "vector_cosine_ops")
    compare_all(two_indexes.connection, two_indexes.source.vector())


def test_impatient_sessions(
    cluster: Cluster, dbname: str, two_indexes: Items, rng: Generator, request: pytest.FixtureRequest
) -> None:
    """Faults 18 and 19: the same with lock_timeout and statement_timeout, which end many statements early."""

    def impatient(step: Step) -> Step:
        def attempt(connection: psycopg.Connection, rng: Generator) -> None:
            connection.execute(f"SET lock_timeout = '{rng.integers(1, 20)}ms'")
            connection.execute(f"SET statement_timeout = '{rng.integers(5, 200)}ms'")
            try:
                step(connection, rng)
            except (errors.LockNotAvailable, errors.QueryCanceled):
                # The end of a transaction may have been interrupted, too.
                connection.rollback()

        return attempt

    steps = [impatient(step) for step in all_at_once(two_indexes.source)]
    with running(cluster, dbname, rng, *steps) as failed:
        failed.wait(request.config.option.load_seconds / 4)
    verify(two_indexes.connection)
    compare_size(two_indexes.connection, "vector_l2_ops", "vector_cosine_ops")
    compare_all(two_indexes.connection, two_indexes.source.vector())


# Pages whose numbers name the locks of an index; see src/pg/structure_lock.rs.
SEAL_LOCK, MERGE_LOCK = 0, 1


def locks_held(watcher: psycopg.Connection, session: psycopg.Connection, index: str) -> set[int]:
    """Which of its locks on an index a session has."""
    query = (
        "SELECT page FROM pg_locks WHERE pid = %s AND relation = %s::regclass "
        "AND locktype = 'page' AND granted"
    )
    return {page for (page,) in watcher.execute(query, (session.info.backend_pid, index))}


def test_slow_vacuum_blocks_nobody(
    cluster: Cluster, dbname: str, two_indexes: Items, watcher: psycopg.Connection
) -> None:
    """Fault 18: while VACUUM looks at segments, scans and sealing go on; a merge waits as long as it may."""
    items = two_indexes
    connection = items.connection
    items.batch = 2000
    items.copy()
    items.delete_some()
    segments = "SELECT count(*) FROM kdtree_stats('vector_l2_ops') WHERE kind = 'segment'"
    before = watcher.execute(segments).fetchone()
    items.batch = 1000
    with cluster.connect(dbname) as slow:
        slow.execute("SET vacuum_cost_delay = '100ms'")
        slow.execute("SET vacuum_cost_limit = 1")

        def vacuum() -> None:
            with contextlib.suppress(errors.QueryCanceled):
                slow.execute("VACUUM items")

        thread = threading.Thread(target=vacuum)
        thread.start()
        try:
            deadline = time.monotonic() + 60
            while locks_held(watcher, slow, "vector_l2_ops") != {MERGE_LOCK}:
                assert time.monotonic() < deadline and thread.is_alive(), "VACUUM takes no lock"
                time.sleep(0.01)
            connection.execute("SET lock_timeout = '500ms'")
            items.copy()
            assert locks_held(watcher, slow, "vector_l2_ops") == {MERGE_LOCK}
            assert watcher.execute(segments).fetchone() > before
            with pytest.raises(errors.LockNotAvailable):
                connection.execute("SELECT kdtree_merge('vector_l2_ops')")
            compare_all(connection, items.source.vector())
        finally:
            slow.cancel_safe()
            thread.join()
    verify(connection)
    compare_size(connection, "vector_l2_ops", "vector_cosine_ops")
