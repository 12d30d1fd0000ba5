"""A crash after every single WAL record, and recovery to a point in time: index and table agree at each.

A server's data is copied before a workload. The copy then replays what the workload logged, up to one record.
There it is asked as a standby, is promoted, which ends open transactions as a crash does, and goes on as a
primary: what was interrupted is finished, what was orphaned is used again.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy
import psycopg
import pytest
from numpy.random import Generator
from psycopg import errors

import serverlog
import serveruser
import vectors
from changes import Items
from conftest import create_database
from load import repeated, running, writer
from oracle import Question, compare, compare_all, compare_size, verify
from pgcluster import Cluster
from vectors import Source, clustered
from wal import Record, position, records

# Ten such vectors fill a page of the delta, eighty of them the smallest delta.
DIMS = 200
# hot_standby_feedback and the like do not matter: the copies are no standbys of anyone.
SETTINGS = {"wal_level": "replica", "autovacuum": "off", "full_page_writes": "on", "max_connections": "20"}
CREATE_INDEX = "CREATE INDEX {0} ON items USING kdtree (embedding {0}) WITH (delta_size = 64)"


def create_items(connection: psycopg.Connection, rng: Generator, batch: int) -> Items:
    items = Items(vectors.register(connection), Source(rng, DIMS, clustered, zeros=0.02, nulls=0.02), batch)
    items.create()
    items.copy()
    connection.execute(CREATE_INDEX.format("vector_l2_ops"))
    return items


def inserts(items: Items) -> None:
    """Enough for some segments, and for a merge of them."""
    items.batch = 90
    for _ in range(9):
        items.copy()
    items.roll_back()


def removals(items: Items) -> None:
    items.batch = 200
    items.copy()
    items.delete_some()
    items.vacuum()
    items.delete_most()
    items.vacuum()
    items.batch = 40
    items.copy()


def merges(items: Items) -> None:
    items.batch = 90
    for _ in range(3):
        items.copy()
    items.delete_some()
    items.merge()
    items.copy()
    items.merge()
    items.vacuum()


def builds(items: Items) -> None:
    execute = items.connection.execute
    execute(CREATE_INDEX.format("vector_cosine_ops"))
    items.update_vectors()
    execute("REINDEX INDEX vector_cosine_ops")
    execute(CREATE_INDEX.format("vector_ip_ops").replace("INDEX", "INDEX CONCURRENTLY"))
    execute("REINDEX INDEX CONCURRENTLY vector_l2_ops")
    execute("DROP INDEX vector_cosine_ops")
    items.rewrite()
    items.truncate()


WORKLOADS = (inserts, removals, merges, builds)


def wait_until(connection: psycopg.Connection, condition: str) -> None:
    deadline = time.monotonic() + 60
    while connection.execute(f"SELECT {condition}").fetchone() != (True,):
        assert time.monotonic() < deadline, f"not so after a minute: {condition}"
        time.sleep(0.01)


def go_on(connection: psycopg.Connection, source: Source) -> None:
    """Finishes and reuses what the end of recovery found in the making."""
    verify(connection)
    items = Items(connection, source, batch=100)
    items.copy()
    items.vacuum()
    indexes = compare_all(connection, source.vector())
    compare_size(connection, *indexes)
    verify(connection)


def recover_to(base: Cluster, wal: Cluster, record: Record, source: Source, dbname: str) -> None:
    """Replays WAL up to and with a record, looks at the index as a standby, then as a primary."""
    point = base.recover(
        "point",
        wal.data / "pg_wal",
        recovery_target_lsn=record.lsn,
        recovery_target_inclusive="on",
        recovery_target_action="pause",
        recovery_target_timeline="current",
    )
    point.start()
    with point.connect(dbname) as connection:
        wait_until(connection, "pg_get_wal_replay_pause_state() = 'paused'")
        vectors.register(connection)
        # At some points, a lock of the primary is in force here.
        connection.execute("SET lock_timeout = '200ms'")
        with contextlib.suppress(errors.LockNotAvailable):
            compare_all(connection, source.vector())
        connection.execute("SELECT pg_wal_replay_resume()")
        wait_until(connection, "NOT pg_is_in_recovery()")
    with point.connect(dbname) as connection:
        vectors.register(connection)
        compare_all(connection, source.vector())
        go_on(connection, source)
    faults = serverlog.faults(point)
    assert not faults
    point.destroy()


def chosen(all_records: Sequence[Record], count: int) -> list[Record]:
    """So many of the records, evenly chosen; those of the index itself, if there are enough of them."""
    own = [record for record in all_records if record.manager == "Generic" or "FPI" in record.description]
    some = own if count <= len(own) else all_records
    if count >= len(some):
        return list(some)
    return [some[round(at)] for at in numpy.linspace(0, len(some) - 1, count)]


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.__name__)
def test_crash_at_every_record(
    workload: Callable[[Items], None],
    make_cluster: Callable[..., Cluster],
    rng: Generator,
    request: pytest.FixtureRequest,
) -> None:
    """Fault 3, and 4 for the time of replay."""
    primary = make_cluster("primary", **SETTINGS)
    create_database(primary, "recovery")
    with primary.connect("recovery") as connection:
        items = create_items(connection, rng, batch=150)
    primary.stop()
    base = primary.copy("base")
    primary.start()
    with primary.connect("recovery") as connection:
        items.connection = vectors.register(connection)
        start = position(connection)
        workload(items)
        end = position(connection)
    primary.stop()  # writes out what nobody waited for

    written = records(primary.tree, primary.data / "pg_wal", start, end)
    points = chosen(written, max(2, request.config.option.wal_points // len(WORKLOADS)))
    print(f"{len(written)} records, of which {len(points)} are tried")
    assert sum(record.manager == "Generic" for record in written) > 20
    for record in points:
        print(record)
        recover_to(base, primary, record, items.source, "recovery")


def archiving(primary: Cluster) -> Path:
    """Makes a server archive its WAL; the directory that it archives to."""
    archive = serveruser.make_directory(primary.home / "archive")
    primary.restart(archive_mode="on", archive_command=f'cp "%p" "{archive}/%f"')
    return archive


def test_point_in_time(make_cluster: Callable[..., Cluster], rng: Generator) -> None:
    """Fault 5: to the midst of builds and of VACUUM, from a base backup taken under load, and on from there.

    What is done there is a timeline of its own, which another recovery follows to its end.
    """
    primary = make_cluster("primary", **SETTINGS)
    archive = archiving(primary)
    create_database(primary, "recovery")
    works = {
        "vacuum": "VACUUM items",
        "build": CREATE_INDEX.format("vector_ip_ops"),
        "rebuild": "REINDEX INDEX CONCURRENTLY vector_l2_ops",
    }
    ranges = {}
    with primary.connect("recovery") as connection:
        items = create_items(connection, rng, batch=1500)
        source = items.source
        changes = (Items.insert_many, Items.update_vectors, Items.delete_some, Items.roll_back)
        with running(primary, "recovery", rng, writer(source, 100, *changes), repeated("VACUUM items", 0.1)):
            backup = primary.backup("backup")
        for work, statement in works.items():
            items.delete_some()
            start = position(connection)
            connection.execute(statement)
            ranges[work] = start, position(connection)
            items.copy()
        connection.execute("SELECT pg_switch_wal()")
    primary.stop()

    for work, (start, end) in ranges.items():
        written = records(primary.tree, archive, start, end)
        middle = written[int(rng.integers(len(written)))]
        print(work, middle)
        first = backup.recover(
            work,
            archive,
            recovery_target_lsn=middle.lsn,
            recovery_target_timeline="current",
            recovery_target_action="promote",
        )
        first.start()
        with first.connect("recovery") as connection:
            wait_until(connection, "NOT pg_is_in_recovery()")
            vectors.register(connection)
            compare_all(connection, source.vector())
            go_on(connection, source)
            question = Question("<->", parameters={"target": source.vector()})
            answer = compare(connection, question, "vector_l2_ops")
            connection.execute("SELECT pg_switch_wal()")
        first.stop()

    # The same backup again, now along the newest of these timelines to its end.
    again = backup.recover("again", archive, recovery_target_timeline="latest")
    again.start()
    with again.connect("recovery") as connection:
        wait_until(connection, "NOT pg_is_in_recovery()")
        vectors.register(connection)
        (timeline,) = connection.execute("SELECT timeline_id FROM pg_control_checkpoint()").fetchone()
        assert timeline == 2 + len(works)
        distances = [distance for _, distance in compare(connection, question, "vector_l2_ops")]
        assert distances == [distance for _, distance in answer]
        go_on(connection, source)
