"""What all stages share: the server, how much is measured, and measuring in turns."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import numpy
import psycopg

import server
from figures import Target
from pgcluster import Cluster

# Beside what every benchmark here sets: commits do not wait for the disk, and files of the log are kept for
# reuse, as on a server that has been running for a while.
SETTINGS = server.SETTINGS | {"synchronous_commit": "off", "min_wal_size": "4GB", "shared_buffers": "1GB"}

# Dimensions, where nothing else is said.
DIMS = 64
# Of queries, so that they are not among the vectors.
QUERY_SEED = 4321
# Rows for which the targets hold where size matters: a delta of 4 MB is a small part of such an index.
TARGET_ROWS = 1_000_000


@dataclass(frozen=True)
class Bench:
    """A server, the index that is measured on it, and how much is measured."""

    cluster: Cluster
    rows: int
    rounds: int
    extension: str = "kdtree"
    index: str = "USING kdtree (embedding vector_l2_ops)"

    def when_large(self, target: Target) -> Target | None:
        """A target that the measurement is too small for is not shown."""
        return target if self.rows >= TARGET_ROWS else None

    def rows_of(self, dims: int) -> int:
        """Rows of a smaller table: enough for segments to be sealed and merged while it grows."""
        return self.rows // 5 if dims <= DIMS else self.rows // 20

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection]:
        """A connection to a new database with the extension."""
        self.cluster.create_database("life")
        with self.connect() as connection:
            connection.execute("SET client_min_messages = warning")
            connection.execute(f"CREATE EXTENSION {self.extension} CASCADE")
            connection.execute(f"SET maintenance_work_mem = '{server.BUILD_MEMORY}'")
            yield connection

    def version(self) -> str:
        """What is measured."""
        with self.database() as connection:
            (version,) = connection.execute(
                "SELECT extversion FROM pg_extension WHERE extname = %s", (self.extension,)
            ).fetchone()
        return f"{self.extension} {version}, PostgreSQL {self.cluster.tree.version}"

    def connect(self) -> psycopg.Connection:
        """One more connection to that database."""
        return self.cluster.connect("life")


def warm_up(cluster: Cluster) -> None:
    """Touches all shared buffers and fills files of the log: no measurement pays for their first use."""
    with cluster.connect() as connection:
        connection.execute(
            "CREATE TABLE ballast AS"
            " SELECT repeat(md5(n::text), 60) AS filler FROM generate_series(1, 550000) AS n"
        )
        connection.execute("DROP TABLE ballast")
        connection.execute("CHECKPOINT")


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turns(steps: int, *works: Callable[[int], object]) -> list[float]:
    """Does step 0 of every work, then step 1 and so on; returns the seconds that each took altogether."""
    totals = [0.0] * len(works)
    for step in range(steps):
        # Not always the same first.
        for number in sorted(range(len(works)), reverse=step % 2 == 1):
            totals[number] += seconds(lambda work=works[number], step=step: work(step))
    return totals


def paired(pairs: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """The medians of both sides, and of the ratios of the pairs, each of which was measured at one time."""
    return (
        median(first for first, _ in pairs),
        median(second for _, second in pairs),
        median(first / second for first, second in pairs),
    )


def ask(search: server.Search, queries: numpy.ndarray, at_least_seconds: float = 0.0) -> list[float]:
    """Asks all queries, again and again if need be; returns the milliseconds that each took."""
    taken = []
    end = time.perf_counter() + at_least_seconds
    while not taken or time.perf_counter() < end:
        taken += [seconds(lambda query=query: search(query)) * 1000 for query in queries]
    return taken


def expect_index(search: server.Search, query: numpy.ndarray, index: str) -> None:
    """A planner that does not use the index would make the measurement one of something else."""
    if f"Index Scan using {index}" not in (plan := search.plan(query)):
        raise RuntimeError(f"the planner does not use the index {index}:\n{plan}")


def reading_memory(size: int) -> float:
    """Milliseconds that it takes one thread to read so many bytes, which are not in its caches."""
    words = numpy.arange(size // 8)
    # Of the same size, read in between, so that nothing of the first is left in a cache.
    others = numpy.arange(size // 8)
    reductions = (numpy.max, numpy.sum, numpy.bitwise_or.reduce)
    times: dict[object, list[float]] = {reduce: [] for reduce in reductions}
    for _ in range(20):
        for reduce in reductions:
            others.sum()
            times[reduce].append(seconds(lambda reduce=reduce: reduce(words)) * 1000)
    return min(median(taken) for taken in times.values())
