"""Who waits for a VACUUM that is busy with an index, and what becomes of them.

VACUUM is stopped in the middle of its pass over the index, so that what others do meanwhile does not depend
on who is faster.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy
import psycopg
import pytest
from psycopg import errors

import vectors
from changes import Items
from load import wait_until_blocked
from oracle import Question, compare, compare_size, verify
from pgcluster import Cluster
from vectors import Source, clustered

MERGE = "SELECT kdtree_merge('items_index')"

# VACUUM sleeps after every page that it changes, and at no other time.
SLEEPY = {
    "vacuum_cost_delay": "100ms",
    "vacuum_cost_limit": "10",
    "vacuum_cost_page_hit": "0",
    "vacuum_cost_page_miss": "0",
    "vacuum_cost_page_dirty": "10000",
}


@contextlib.contextmanager
def stopped_in_index(watcher: psycopg.Connection, vacuum: psycopg.Connection) -> Iterator[None]:
    """Stops a VACUUM while it sleeps between two pages of segments, for the length of the block.

    Asleep it holds no lock on a page's contents, for which others would wait without end.
    """
    pid = vacuum.info.backend_pid
    # The locks of those who merge and of those who seal are on page numbers 1 and 0 of the index.
    where = (
        "SELECT (SELECT wait_event = 'VacuumDelay' FROM pg_stat_activity WHERE pid = %(pid)s) "
        "AND (SELECT array_agg(page) = '{1}' FROM pg_locks WHERE pid = %(pid)s AND locktype = 'page' "
        "AND relation = 'items_index'::regclass)"
    )
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline, "VACUUM did not come to the index"
        if not watcher.execute(where, {"pid": pid}).fetchone()[0]:
            time.sleep(0.01)
            continue
        os.kill(pid, signal.SIGSTOP)
        try:
            if watcher.execute(where, {"pid": pid}).fetchone()[0]:
                yield
                return
        finally:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture
def items(db: psycopg.Connection, rng: numpy.random.Generator) -> Items:
    """A table with dead rows that are pruned from the table but not yet from its index."""
    items = Items(vectors.register(db), Source(rng, 64, clustered, nulls=0.01), 600)
    items.create()
    items.copy()
    db.execute("CREATE INDEX items_index ON items USING kdtree (embedding) WITH (delta_size = 64)")
    items.copy()
    db.execute("DELETE FROM items WHERE mod(id, 3) = 0")
    db.execute("VACUUM (INDEX_CLEANUP OFF) items")
    db.execute("CHECKPOINT")  # a page counts as changed when it was clean before
    return items


def test_waiting_for_vacuum(cluster: Cluster, dbname: str, items: Items) -> None:
    """Fault 18: merges and REINDEX wait their turn, one of them in vain; nobody else does."""
    db = items.connection
    question = Question("<->", parameters={"target": items.source.vector()})
    with contextlib.ExitStack() as stack:
        vacuum, cancelled, merger, other = (
            stack.enter_context(cluster.connect(dbname, application_name=name))
            for name in ("vacuum", "cancelled", "merger", "other")
        )
        threads = stack.enter_context(ThreadPoolExecutor())
        for name, value in SLEEPY.items():
            vacuum.execute(f"SET {name} = '{value}'")
        vacuuming = threads.submit(vacuum.execute, "VACUUM (INDEX_CLEANUP ON) items")
        with stopped_in_index(db, vacuum):
            db.execute("SET statement_timeout = '60s'")
            cancelling = threads.submit(cancelled.execute, MERGE)
            merging = threads.submit(merger.execute, MERGE)
            for waiting in (cancelled, merger):
                wait_until_blocked(db, waiting)
            # With others in the queue, too.
            items.copy()
            items.update_vectors()
            items.delete_some()
            compare(db, question, "items_index")
            verify(db, "items_index")
            reindexing = threads.submit(other.execute, "REINDEX INDEX items_index")
            wait_until_blocked(db, other)
            cancelled.cancel()
            with pytest.raises(errors.QueryCanceled):
                cancelling.result()
            assert not vacuuming.done() and not merging.done() and not reindexing.done()
        for done in (vacuuming, merging, reindexing):
            done.result()
    db.execute("RESET statement_timeout")
    compare(db, question, "items_index")
    compare_size(db, "items_index")
    verify(db, "items_index")
