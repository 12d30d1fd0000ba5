"""CREATE INDEX: interrupted at any moment, short of memory, with and without threads, watched from outside.

VACUUM and the sealing by inserts are interrupted as well.
"""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy
import psycopg
import pytest
from psycopg import errors

import vectors
from changes import Items
from load import wait_until_blocked
from oracle import Question, compare, compare_size
from pgcluster import Cluster
from vectors import Source, clustered, uniform

CREATE_INDEX = "CREATE INDEX items_index ON items USING kdtree (embedding)"
INTERRUPTIONS = 25


@pytest.fixture
def items(db: psycopg.Connection, rng: numpy.random.Generator) -> Items:
    """A table whose index takes some tenths of a second to build."""
    items = Items(vectors.register(db), Source(rng, 64, uniform, nulls=0.01), batch=40_000)
    items.create()
    items.copy()
    return items


def compare_some(items: Items, index: str = "items_index") -> None:
    for limit in (1, 10, 300):
        question = Question("<->", parameters={"target": items.source.vector()}, limit=limit)
        compare(items.connection, question, index)


def segments(connection: psycopg.Connection) -> int:
    query = "SELECT count(*) FROM kdtree_stats('items_index') WHERE kind = 'segment'"
    return connection.execute(query).fetchone()[0]


# Interrupted ---------------------------------------------------------------------------------------------


def files_of(cluster: Cluster, connection: psycopg.Connection) -> set[str]:
    """Files of relations in the database's directory. A checkpoint removes those of dropped ones."""
    connection.execute("CHECKPOINT")
    (oid,) = connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
    names = {path.name for path in (cluster.data / "base" / str(oid)).iterdir()}
    return {name.split("_")[0].split(".")[0] for name in names if name[0].isdigit()}


def has_one_thread(connection: psycopg.Connection) -> bool:
    """Whether the server process has no thread but its own. One that has ended may need a moment to go."""
    tasks = Path(f"/proc/{connection.info.backend_pid}/task")
    deadline = time.monotonic() + 10
    while len(list(tasks.iterdir())) > 1:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def timed(run: Callable[[], object]) -> float:
    began = time.monotonic()
    run()
    return time.monotonic() - began


def interrupt_by_timeout(connection: psycopg.Connection, statement: str, after: float) -> bool:
    """Runs a statement that times out after so many seconds; whether it was interrupted."""
    connection.execute(f"SET statement_timeout = '{max(1, round(after * 1000))}ms'")
    try:
        connection.execute(statement)
    except errors.QueryCanceled:
        return True
    finally:
        connection.execute("RESET statement_timeout")
    return False


def interrupt_by_cancel(connection: psycopg.Connection, statement: str, after: float) -> bool:
    timer = threading.Timer(after, connection.cancel_safe)
    timer.start()
    try:
        connection.execute(statement)
    except errors.QueryCanceled:
        return True
    finally:
        timer.join()
    return False


@pytest.mark.parametrize("interrupt", [interrupt_by_timeout, interrupt_by_cancel])
def test_interrupted_build_leaves_nothing(
    interrupt: Callable[[psycopg.Connection, str, float], bool],
    cluster: Cluster,
    items: Items,
    rng: numpy.random.Generator,
) -> None:
    connection = items.connection
    duration = timed(lambda: connection.execute(CREATE_INDEX))
    connection.execute("DROP INDEX items_index")
    files = files_of(cluster, connection)
    pid = connection.info.backend_pid

    interrupted = 0
    for moment in rng.permutation(numpy.linspace(0.001, duration, INTERRUPTIONS)):
        if interrupt(connection, CREATE_INDEX, float(moment)):
            interrupted += 1
        else:
            # A cancel that comes too late must not hit what follows; this waits for it.
            connection.execute("DROP INDEX items_index")
        assert has_one_thread(connection)
        assert connection.execute("SELECT pg_backend_pid()").fetchone() == (pid,)
        assert connection.execute("SELECT to_regclass('items_index') IS NULL").fetchone() == (True,)
    assert interrupted > 0
    assert files_of(cluster, connection) == files

    connection.execute(CREATE_INDEX)
    compare_some(items)


def test_interrupted_concurrent_build_can_be_repeated(items: Items) -> None:
    """What remains is an index that Postgres calls invalid, and that takes inserts; REINDEX mends it."""
    connection = items.connection
    duration = timed(lambda: connection.execute(CREATE_INDEX))
    connection.execute("DROP INDEX items_index")
    concurrently = CREATE_INDEX.replace("INDEX", "INDEX CONCURRENTLY", 1)
    assert interrupt_by_timeout(connection, concurrently, duration / 2)
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'items_index'::regclass"
    assert connection.execute(valid).fetchone() == (False,)
    items.batch = 100
    items.copy()
    connection.execute("REINDEX INDEX CONCURRENTLY items_index")
    assert connection.execute(valid).fetchone() == (True,)
    compare_some(items)


def test_interrupted_vacuum_and_insert(items: Items, rng: numpy.random.Generator) -> None:
    """Sealing, merging and VACUUM are interrupted; what they leave is complete and finished by the next."""
    connection = items.connection
    connection.execute(CREATE_INDEX + " WITH (delta_size = 64)")
    items.batch = 3000
    connection.execute("DELETE FROM items WHERE label < 7")
    duration = timed(lambda: connection.execute("VACUUM items")) + timed(items.copy)
    interrupted = 0
    for moment in rng.uniform(0.001, duration, INTERRUPTIONS):
        interrupted += interrupt_by_timeout(connection, "VACUUM items", float(moment))
        interrupted += interrupt_by_timeout(
            connection,
            "INSERT INTO items (label, embedding) SELECT label, embedding FROM items LIMIT 2000",
            float(moment),
        )
        connection.execute(f"DELETE FROM items WHERE mod(id, 7) = {rng.integers(7)}")
        compare_some(items)
    assert interrupted > 0
    compare_size(connection, "items_index")
    compare_some(items)


# Memory and threads --------------------------------------------------------------------------------------


def test_little_memory_makes_several_segments(items: Items) -> None:
    connection = items.connection
    connection.execute("SET maintenance_work_mem = '1GB'")
    connection.execute(CREATE_INDEX)
    assert segments(connection) == 1
    connection.execute("DROP INDEX items_index")
    connection.execute("SET maintenance_work_mem = '1MB'")
    connection.execute(CREATE_INDEX)
    assert segments(connection) > 1
    compare_some(items)
    connection.execute("DELETE FROM items WHERE mod(id, 3) <> 0")
    connection.execute("VACUUM items")
    items.batch = 2000
    items.copy()
    compare_some(items)


@pytest.mark.parametrize("workers", [0, 4])
def test_threads_do_not_change_the_answer(
    db: psycopg.Connection, rng: numpy.random.Generator, workers: int
) -> None:
    items = Items(vectors.register(db), Source(rng, 24, clustered), batch=60_000)
    items.create()
    items.copy()
    db.execute(f"SET max_parallel_maintenance_workers = {workers}")
    db.execute(CREATE_INDEX)
    assert has_one_thread(db)
    compare_some(items)


# Progress ------------------------------------------------------------------------------------------------


@pytest.fixture
def watcher(cluster: Cluster, dbname: str) -> Iterator[psycopg.Connection]:
    with cluster.connect(dbname) as connection:
        yield connection


def progress(watcher: psycopg.Connection, count: str) -> tuple[str, int, int] | None:
    """The phase of the build that goes on, and how far it is in blocks or tuples."""
    return watcher.execute(
        f"SELECT phase, {count}_done, {count}_total FROM pg_stat_progress_create_index "
        "WHERE datname = current_database()"
    ).fetchone()


def test_progress_while_the_table_is_scanned(db: psycopg.Connection, watcher: psycopg.Connection) -> None:
    """The build stands still at a row where the index's expression waits for a lock."""
    db.execute("CREATE TABLE items (id int, embedding vector(2))")
    db.execute("INSERT INTO items SELECT i, ARRAY[i, 1]::vector FROM generate_series(1, 5000) i")
    db.execute("ANALYZE items")
    db.execute(
        "CREATE FUNCTION gate(id int, embedding vector) RETURNS vector IMMUTABLE LANGUAGE plpgsql AS $$"
        "BEGIN IF id = 4000 THEN PERFORM pg_advisory_xact_lock_shared(1); END IF; RETURN embedding; END $$"
    )
    watcher.execute("SELECT pg_advisory_lock(1)")
    build = threading.Thread(
        target=db.execute,
        args=("CREATE INDEX items_index ON items USING kdtree ((gate(id, embedding)::vector(2)))",),
    )
    build.start()
    try:
        wait_until_blocked(watcher, db)
        seen = progress(watcher, "blocks")
        (pages,) = watcher.execute("SELECT relpages FROM pg_class WHERE relname = 'items'").fetchone()
    finally:
        watcher.execute("SELECT pg_advisory_unlock(1)")
        build.join()
    assert seen is not None
    phase, done, total = seen
    assert phase == "building index: scanning table"
    assert total == pages
    assert 0.6 * pages < done < pages


def test_progress_while_trees_are_built(items: Items, watcher: psycopg.Connection) -> None:
    items.connection.execute("SET maintenance_work_mem = '4MB'")
    build = threading.Thread(target=items.connection.execute, args=(CREATE_INDEX,))
    seen = set()
    build.start()
    while build.is_alive():
        seen.add(progress(watcher, "tuples"))
    build.join()
    seen.discard(None)
    assert "building index: building tree" in {phase for phase, _, _ in seen}
    assert all(done <= total for _, done, total in seen), seen
    assert len({done for _, done, _ in seen}) > 1, f"the count stood still: {seen}"
