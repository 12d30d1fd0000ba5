"""Queries of an index that is on the disk, against reading as much from the disk in sequence."""

import mmap
import os
from pathlib import Path
from statistics import median

import numpy
import psycopg

import pgvectors
import progress
import server
from figures import Section, Unit, at_most
from pgcluster import Cluster

from .common import DIMS, QUERY_SEED, Bench, expect_index, seconds

K = 10
CONCURRENCY = (0, 16, 64, 256)
SHARED_BUFFERS = "16MB"
_QUERIES = 12
_BLOCK = 8192
_CHUNK = 2**20


def measure(bench: Bench) -> Section:
    section = Section("Queries from the disk", ("query", "reading as much"))
    settings = server.SETTINGS | {"shared_buffers": SHARED_BUFFERS}
    cluster = Cluster("bench-cold", bench.cluster.tree, settings=settings)
    cluster.destroy()
    try:
        cluster.start()
        with Bench(cluster, bench.rows, bench.rounds).database() as connection:
            _measure(bench, section, connection, cluster.data)
    finally:
        cluster.destroy()
    section.notes.append(
        f"{bench.rows:,} x {DIMS}, the nearest {K}; shared_buffers is {SHARED_BUFFERS}, and before each of"
        f" {_QUERIES} queries the files are dropped from the system's page cache. The reference reads as many"
        " bytes as EXPLAIN says that the query has read, in sequence, from the index's file, as cold."
    )
    return section


def _measure(bench: Bench, section: Section, connection: psycopg.Connection, data: Path) -> None:
    line = progress.Line(f"{bench.rows:,} rows on the disk")
    connection.execute(f"CREATE TABLE items (id bigint, embedding vector({DIMS}))")
    pgvectors.copy_in(connection, "items", pgvectors.uniform(bench.rows, DIMS))
    connection.execute(f"CREATE INDEX items_embedding ON items {bench.index}")
    connection.execute("VACUUM ANALYZE items")
    connection.execute("CHECKPOINT")
    files = [
        data / connection.execute("SELECT pg_relation_filepath(%s)", (name,)).fetchone()[0]
        for name in ("items_embedding", "items")
    ]
    queries = pgvectors.uniform(_QUERIES, DIMS, QUERY_SEED)
    search = server.Search(connection, K)
    expect_index(search, queries[0], "items_embedding")
    for recall in (1.0, 0.95):
        connection.execute(f"SET kdtree.recall = {recall}")
        for concurrency in CONCURRENCY:
            connection.execute(f"SET effective_io_concurrency = {concurrency}")
            pairs = [_cold(search, files, query) for query in queries]
            taken, reading = (median(column) for column in zip(*pairs, strict=True))
            target = at_most(1.5) if concurrency == max(CONCURRENCY) else None
            section.add(
                f"kdtree.recall = {recall:g}, effective_io_concurrency = {concurrency}",
                taken,
                reading,
                Unit.MILLISECONDS,
                target and bench.when_large(target),
            )
    line.done()


def _cold(search: server.Search, files: list[Path], query: numpy.ndarray) -> tuple[float, float]:
    """Milliseconds of the query, and of reading in sequence what it had to read."""
    _drop(files)
    report = search.analyze(query, "BUFFERS")
    blocks = report["Plan"]["Shared Read Blocks"]
    _drop(files)
    reading = seconds(lambda: _read(files[0], blocks * _BLOCK))
    return report["Execution Time"], reading * 1000


def _drop(files: list[Path]) -> None:
    """Drops clean pages of files from the page cache; for those of a relation's further segments, too."""
    for file in files:
        for part in (file, *file.parent.glob(f"{file.name}.*")):
            descriptor = os.open(part, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def _read(file: Path, size: int) -> None:
    buffer = mmap.mmap(-1, _CHUNK)
    descriptor = os.open(file, os.O_RDONLY)
    try:
        while size > 0 and (got := os.readv(descriptor, [buffer])):
            size -= got
    finally:
        os.close(descriptor)
