"""CREATE INDEX: short of memory, with and without threads, watched from outside."""

import threading
from collections.abc import Iterator

import numpy
import psycopg
import pytest

import processes
import vectors
from changes import Items
from load import wait_until_blocked
from oracle import Question, compare
from pgcluster import Cluster
from vectors import Source, clustered, uniform

CREATE_INDEX = "CREATE INDEX items_index ON items USING kdtree (embedding)"


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
    # A smaller segment would be built without threads.
    items = Items(vectors.register(db), Source(rng, 72, clustered), batch=60_000)
    items.create()
    items.copy()
    db.execute(f"SET max_parallel_maintenance_workers = {workers}")
    db.execute(CREATE_INDEX)
    assert processes.has_one_thread(db.info.backend_pid)
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
    seen = set()
    # On a busy machine, a whole build may pass between two looks at it.
    for _ in range(20):
        build = threading.Thread(target=items.connection.execute, args=(CREATE_INDEX,))
        build.start()
        while build.is_alive():
            seen.add(progress(watcher, "tuples"))
        build.join()
        seen.discard(None)
        phases, counts = {phase for phase, _, _ in seen}, {done for _, done, _ in seen}
        if "building index: building tree" in phases and len(counts) > 1:
            break
        items.connection.execute("DROP INDEX items_index")
    assert "building index: building tree" in phases
    assert all(done <= total for _, done, total in seen), seen
    assert len(counts) > 1, f"the count stood still: {seen}"
