"""Memory that a backend takes for itself, in a scan and in a build; shared buffers do not count.

A backend's own memory is its anonymous pages. Their peak is not to be had from the kernel directly: its
high-water mark counts shared pages too. A scan is measured when the same scan has been there before: then all
shared pages that it touches are counted already, and what the mark has beside them is the backend's own. In a
build, new shared pages are touched all the time; there a thread looks often, and what a build holds it holds
for long.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

import pgvectors
import progress
import server
from figures import Section, Unit, at_most

from .common import DIMS, QUERY_SEED, Bench, ask, expect_index

SCAN_BYTES = 32 * 2**20
_SCANS = ((10, 20), (100_000, 3))  # rows, queries
_BUILD_DIMS = (2, 64, 768)
_BUILD_MEGABYTES = (16, 64, 256)


def measure(bench: Bench) -> Section:
    section = Section("Memory of a backend", ("takes", "may take"))
    _scans(bench, section)
    _builds(bench, section)
    return section


def _scans(bench: Bench, section: Section) -> None:
    line = progress.Line(f"memory of scans of {bench.rows:,} rows")
    with bench.database() as connection:
        connection.execute(f"CREATE TABLE items (id bigint, embedding vector({DIMS}))")
        pgvectors.copy_in(connection, "items", pgvectors.uniform(bench.rows, DIMS))
        connection.execute(f"CREATE INDEX items_embedding ON items {bench.index}")
        connection.execute("VACUUM ANALYZE items")
    for limit, count in _SCANS:
        limit = min(limit, bench.rows)
        queries = pgvectors.uniform(count, DIMS, QUERY_SEED)
        with bench.connect() as connection:
            process = Process(connection)
            connection.execute("SET enable_seqscan = off")
            search = server.Search(connection, limit)
            expect_index(search, queries[0], "items_embedding")
            connected = process.own
            ask(server.Search(connection, 1), queries[:1])
            cached = process.own
            ask(search, queries)
            process.forget_peak()
            ask(search, queries)
            section.add(
                f"scan of {bench.rows:,} x {DIMS}, LIMIT {limit:,}, beside the cached directory",
                process.own_peak - cached,
                SCAN_BYTES,
                Unit.BYTES,
                at_most(1.0),
            )
    section.notes.append(
        f"A session has {Unit.BYTES.show(connected)} of its own before its first scan and"
        f" {Unit.BYTES.show(cached)} after one with LIMIT 1, when the directory of the index is cached."
    )
    line.done()


def _builds(bench: Bench, section: Section) -> None:
    settings = _BUILD_MEGABYTES if bench.rows >= 500_000 else _BUILD_MEGABYTES[:2]
    for dims in _BUILD_DIMS:
        # More than the largest setting can hold at once: a vector takes 4.5 bytes a dimension and 170.
        rows = int(settings[-1] * 2**20 * 1.3 / (4.5 * dims + 170))
        line = progress.Line(f"memory of builds, {rows:,} rows of {dims} dimensions")
        with bench.database() as connection:
            connection.execute(f"CREATE TABLE items (id bigint, embedding vector({dims}))")
            pgvectors.copy_in(connection, "items", pgvectors.uniform(rows, dims))
            for megabytes in settings:
                with bench.connect() as session:
                    # The library is loaded then, and caches have what a first use leaves there.
                    session.execute("CREATE TEMPORARY TABLE small AS SELECT * FROM items LIMIT 10")
                    session.execute(f"CREATE INDEX ON small {bench.index}")
                    session.execute(f"SET maintenance_work_mem = '{megabytes}MB'")
                    process = Process(session)
                    before = process.own
                    with process.watched() as watch:
                        session.execute(f"CREATE INDEX ON items {bench.index}")
                    section.add(
                        f"build of {rows:,} x {dims}, maintenance_work_mem {megabytes} MB",
                        watch.most - before,
                        megabytes * 2**20,
                        Unit.BYTES,
                        at_most(1.1),
                    )
        line.done()


@dataclass
class _Watch:
    most: int = 0


class Process:
    """A backend, as the kernel sees it."""

    def __init__(self, connection: psycopg.Connection):
        self._directory = Path(f"/proc/{connection.info.backend_pid}")

    def _status(self) -> dict[str, int]:
        """Sizes in bytes."""
        text = (self._directory / "status").read_text()
        found = re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)
        return {name: int(kilobytes) * 1024 for name, kilobytes in found}

    @property
    def own(self) -> int:
        return self._status()["RssAnon"]

    def forget_peak(self) -> None:
        (self._directory / "clear_refs").write_text("5")

    @property
    def own_peak(self) -> int:
        """The most since forget_peak(), if the process has touched no further shared pages since."""
        status = self._status()
        return status["VmHWM"] - status["RssShmem"] - status["RssFile"]

    @contextmanager
    def watched(self) -> Iterator[_Watch]:
        """Looks every millisecond or two while the body runs."""
        watch, done = _Watch(), threading.Event()

        def look() -> None:
            while not done.wait(0.001):
                watch.most = max(watch.most, self.own)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield watch
        finally:
            done.set()
            thread.join()
