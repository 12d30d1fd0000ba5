"""Sessions that work on a server at the same time, each in a thread of its own."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import numpy
import psycopg
from numpy.random import Generator
from psycopg import errors

import vectors
from changes import Items
from pgcluster import Cluster
from vectors import Source

# Seconds; no step of a worker takes that long.
STEP_TIMEOUT = 120

Step = Callable[[psycopg.Connection, Generator], None]


@contextlib.contextmanager
def running(
    cluster: Cluster,
    dbname: str,
    rng: Generator,
    *workers: Step,
    expected: tuple[type[Exception], ...] = (),
) -> Iterator[threading.Event]:
    """Repeats every worker's step in a session of its own while the block runs.

    The event is set when a worker failed; the block should wait for it in place of sleeping. The failure is
    raised at its end, unless it is one of the `expected`.
    """
    stop = threading.Event()
    failures: list[BaseException] = []

    def repeat(connection: psycopg.Connection, step: Step, own: Generator) -> None:
        try:
            while not stop.is_set():
                step(connection, own)
        except expected:
            pass
        except BaseException as failure:
            failures.append(failure)
            stop.set()

    with contextlib.ExitStack() as sessions:
        threads = [
            threading.Thread(
                target=repeat,
                args=(vectors.register(sessions.enter_context(cluster.connect(dbname))), step, own),
                daemon=True,
            )
            for step, own in zip(workers, rng.spawn(len(workers)), strict=True)
        ]
        for thread in threads:
            thread.start()
        try:
            yield stop
        finally:
            stop.set()
            for thread in threads:
                thread.join(STEP_TIMEOUT)
                if thread.is_alive():
                    raise RuntimeError(f"a session hangs; {cluster.log} may say why")
    if failures:
        raise failures[0]


def writer(source: Source, batch: int, *changes: Callable[[Items], None], limit: int = 5000) -> Step:
    """Random changes of the table `items`, which is thinned out when it has more than so many rows.

    Writers that wait for each other in a circle are expected: Postgres ends one of them, and it goes on.
    """

    def step(connection: psycopg.Connection, rng: Generator) -> None:
        own = Source(rng, source.dims, source.distribution, source.zeros, source.nulls)
        items = Items(connection, own, batch)
        with contextlib.suppress(errors.DeadlockDetected):
            changes[rng.integers(len(changes))](items)
            if rng.random() < 0.1 and items.count() > limit:
                items.delete_most()

    return step


def repeated(statement: str, pause: float = 0.0) -> Step:
    """The same statement again and again, with random pauses of that length on average."""

    def step(connection: psycopg.Connection, rng: numpy.random.Generator) -> None:
        connection.execute(statement)
        connection.execute("SELECT pg_sleep(%s)", (float(rng.exponential(pause)),))

    return step


def wait_until_blocked(watcher: psycopg.Connection, blocked: psycopg.Connection) -> None:
    """Waits until a session that works in another thread waits for a lock."""
    waits = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
    deadline = time.monotonic() + 60
    while not watcher.execute(waits, (blocked.info.backend_pid,)).fetchone()[0]:
        assert time.monotonic() < deadline, "the session does not wait for a lock"
        time.sleep(0.01)
