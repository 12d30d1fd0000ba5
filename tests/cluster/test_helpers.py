"""Scans of large indexes, which threads of the backend help with: the same answers, and nothing left over."""

import os
import threading
import time
from collections.abc import Callable, Iterator

import numpy
import psycopg
import pytest
from psycopg import errors

import pgvectors
import processes
import vectors
from changes import Items
from conftest import create_contrib, create_database, verify_all
from oracle import OPERATORS, THROUGH_INDEX, Question, apply, compare, compare_all, compare_lateral
from pages import Pages
from pgcluster import Cluster
from test_interrupts import assert_nothing_held, by_cancel, by_timeout
from vectors import Source, uniform

# An exact scan looks at all of some 1,200 pages of codes. These leave few vectors, so pages are lent.
ROWS, DIMS = 70_000, 256
HELPER = "kdtree scan 0"
SETTINGS = {"wal_level": "replica", "max_wal_senders": "4"}

pytestmark = pytest.mark.skipif(os.cpu_count() == 1, reason="there is one core, so there are no helpers")


@pytest.fixture
def server(make_cluster: Callable[..., Cluster]) -> Cluster:
    server = make_cluster("server", **SETTINGS)
    create_database(server, "help")
    return server


@pytest.fixture
def items(server: Cluster, rng: numpy.random.Generator) -> Iterator[Items]:
    with server.connect("help") as connection:
        items = Items(vectors.register(connection), Source(rng, DIMS, uniform, nulls=0.01), ROWS)
        items.create()
        items.copy()
        connection.execute("CREATE INDEX items_index ON items USING kdtree (embedding)")
        connection.execute("VACUUM ANALYZE items")
        yield items


def nearest(source: Source) -> str:
    """A query for the rows nearest to a random vector."""
    return f"SELECT id FROM items ORDER BY embedding <-> '{pgvectors.literal(source.vector())}' LIMIT 10"


def is_helped(connection: psycopg.Connection, source: Source) -> bool:
    """Whether a scan of this session has threads that may help."""
    connection.execute("SET enable_seqscan = off")
    connection.execute(nearest(source))
    return HELPER in processes.threads(connection.info.backend_pid)


def test_answers(items: Items) -> None:
    """By every metric, with few rows and with many, from a loop, and beside a second scan."""
    connection = items.connection
    for opclass in OPERATORS:
        if opclass != "vector_l2_ops":
            connection.execute(f"CREATE INDEX {opclass} ON items USING kdtree (embedding {opclass})")
    compare_all(connection, items.source.vector(), limits=(1, 30, 3000))
    outer = "SELECT id, embedding FROM items WHERE id <= 3"
    compare_lateral(connection, "<->", outer, 20, "items_index")
    assert HELPER in processes.threads(connection.info.backend_pid)


def test_they_do_some_of_the_work(items: Items) -> None:
    """From the second scan on: the first one looks for the pages."""
    connection = items.connection
    assert is_helped(connection, items.source)
    before = processes.processor_time(connection.info.backend_pid, HELPER)
    for _ in range(5):
        connection.execute(nearest(items.source))
    assert processes.processor_time(connection.info.backend_pid, HELPER) > before


def test_how_many_there_are(server: Cluster, items: Items) -> None:
    """As many as a parallel query may have workers: none, where these are none."""
    source = items.source
    for setting in ("max_parallel_workers_per_gather", "max_parallel_workers"):
        with vectors.register(server.connect("help")) as session:
            session.execute(f"SET {setting} = 0")
            assert not is_helped(session, source)
            session.execute(f"SET {setting} = 8")
            assert is_helped(session, source)
            helpers = len(processes.threads(session.info.backend_pid)) - 1
            assert helpers == min(os.cpu_count() - 1, 8, 2 if setting == "max_parallel_workers" else 8)


def test_parallel_workers_have_none(items: Items) -> None:
    """They are the query's share of the machine already."""
    connection = items.connection
    apply(
        connection,
        THROUGH_INDEX
        | {"parallel_setup_cost": "0", "parallel_tuple_cost": "0", "min_parallel_table_scan_size": "0"}
        | {"enable_hashjoin": "off", "enable_material": "off", "enable_seqscan": "on"},
    )
    connection.execute("CREATE TABLE few AS SELECT id, embedding FROM items WHERE id <= 40")
    connection.execute("ALTER TABLE few SET (parallel_workers = 1)")
    connection.execute("ANALYZE few")
    query = (
        "SELECT sum(near.id) FROM few CROSS JOIN LATERAL"
        " (SELECT id FROM items ORDER BY embedding <-> few.embedding LIMIT 5) near"
    )
    plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {query}").fetchall())
    assert plan.index("Gather") < plan.index("items_index"), plan
    (parallel,) = connection.execute(query).fetchone()
    connection.execute("SET max_parallel_workers_per_gather = 0")
    assert connection.execute(query).fetchone() == (parallel,)


def test_interrupted(server: Cluster, items: Items, request: pytest.FixtureRequest) -> None:
    """At whatever moment: no buffer stays pinned, and the threads are there for the next scan."""
    connection = items.connection
    apply(connection, THROUGH_INDEX)
    scans = "SELECT " + ", ".join(f"ARRAY({nearest(items.source)})" for _ in range(20))
    expected = connection.execute(scans).fetchall()
    began = time.monotonic()
    connection.execute(scans)
    duration = time.monotonic() - began
    with server.connect("help") as watcher:
        create_contrib(watcher, "pg_buffercache")
        interrupted = 0
        for moment in items.rng.uniform(0, duration, request.config.option.interruptions):
            interrupt = by_timeout if items.rng.random() < 0.5 else by_cancel
            interrupted += interrupt(connection, scans, float(moment))
            assert_nothing_held(connection, watcher)
        assert interrupted > 0
    assert connection.execute(scans).fetchall() == expected


def test_ended(server: Cluster, items: Items) -> None:
    """A session that is ended in the middle of a scan takes nobody with it."""
    for moment in items.rng.uniform(0, 0.1, 5):
        with vectors.register(server.connect("help")) as session:
            assert is_helped(session, items.source)
            end = ("SELECT pg_terminate_backend(%s)", (session.info.backend_pid,))
            timer = threading.Timer(moment, items.connection.execute, end)
            timer.start()
            with pytest.raises(psycopg.OperationalError):
                while True:
                    session.execute(nearest(items.source))
            timer.join()
    compare_all(items.connection, items.source.vector(), limits=(10,))


def test_damaged(server: Cluster, items: Items) -> None:
    """An error every time, and the next scan is none the worse for it."""
    (path,) = items.connection.execute("SELECT pg_relation_filepath('items_index')").fetchone()
    items.connection.close()
    server.stop()
    pages = Pages(server.data / path)
    # In the middle of a segment: on its last page, nobody may look at the byte.
    block = pages.of_kind("leaf")[300]
    sound = bytes(pages[block])
    pages[block][4000] ^= 1
    pages.write()
    server.start()
    with vectors.register(server.connect("help")) as session:
        session.execute("SET enable_seqscan = off")
        for _ in range(3):
            with pytest.raises(errors.IndexCorrupted, match=f"block {block}"):
                session.execute(nearest(items.source))
        assert HELPER in processes.threads(session.info.backend_pid)
    server.stop()
    pages[block][:] = sound
    pages.write()
    server.start()
    with vectors.register(server.connect("help")) as session:
        question = Question("<->", parameters={"target": items.source.vector()}, limit=10)
        compare(session, question, "items_index")
    server.log.unlink()


def test_few_buffers(server: Cluster, items: Items) -> None:
    """Others need buffers, too: of few, none are lent."""
    items.connection.close()
    for buffers in ("1MB", "16MB"):
        server.restart(shared_buffers=buffers)
        with vectors.register(server.connect("help")) as session:
            compare_all(session, items.source.vector(), limits=(1, 100))


def test_standby(server: Cluster, items: Items) -> None:
    """Its pages may be recycled under a scan, so none are lent. Answers are the same."""
    standby = server.standby("standby")
    standby.start()
    server.wait_for_replay(standby)
    target = items.source.vector()
    with vectors.register(standby.connect("help")) as session:
        compare_all(session, target, limits=(1, 100))
    standby.promote()
    with vectors.register(standby.connect("help")) as session:
        compare_all(session, target, limits=(1, 100))
    verify_all(standby)
