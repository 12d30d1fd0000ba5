"""The time of a query while another session inserts."""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy

import client
import pgvectors
import progress
import server
from figures import Section, Unit, at_most

from .common import DIMS, QUERY_SEED, Bench, ask, expect_index, paired

K = 10
PACE = 1_000  # rows a second
_QUERIES = 200
_SECONDS = 1.5  # of one turn


def measure(bench: Bench) -> Section:
    section = Section("Queries while another session inserts", ("during", "otherwise"))
    queries = pgvectors.uniform(_QUERIES, DIMS, QUERY_SEED)
    with bench.database() as connection:
        line = progress.Line(f"loading {bench.rows:,} vectors")
        for table in ("items", "elsewhere"):
            connection.execute(f"CREATE TABLE {table} (id bigint, embedding vector({DIMS}))")
        pgvectors.copy_in(connection, "items", pgvectors.uniform(bench.rows, DIMS))
        connection.execute(f"CREATE INDEX items_embedding ON items {bench.index}")
        connection.execute("VACUUM ANALYZE items")
        search = server.Search(connection, K)
        expect_index(search, queries[0], "items_embedding")
        ask(search, queries)
        line.done()
        for rate, pace in ((f"{PACE:,} rows/s", PACE), ("as fast as one client can", None)):
            _during(bench, section, rate, pace, search, queries)
    section.notes.append(
        f"Queries are for the nearest {K} of at first {bench.rows:,}. Idle and during inserts are measured in"
        " turns, on the same index with what it has grown by. Inserts into another table, which has no index"
        " and is not queried, show what such a load by itself takes from the machine."
    )
    return section


def _during(
    bench: Bench, section: Section, rate: str, pace: int | None, search: server.Search, queries: numpy.ndarray
) -> None:
    line = progress.Line(f"queries while another session inserts {rate}")
    with _loader(bench, "items", pace) as items, _loader(bench, "elsewhere", pace) as elsewhere:

        def turn(loader: _Loader | None) -> list[float]:
            with loader.inserting() if loader else nullcontext():
                return ask(search, queries, _SECONDS)

        # The table grows during a turn, so there is an idle one before and one after.
        rounds = [[turn(who) for who in (None, items, None, elsewhere)] for _ in range(2 * bench.rounds)]
        speed = items.rows / items.seconds
    for label, percent in (("median", 50), ("95th percentile", 95)):
        figures = [[float(numpy.percentile(turn, percent)) for turn in turns] for turns in rounds]
        idle = [(before + after) / 2 for before, _, after, _ in figures]
        during = [turns[1] for turns in figures]
        control = [turns[3] for turns in figures]
        # A steady load leaves the machine time; one that does not is compared with the same on another table.
        steady, full = (at_most(1.5), None) if pace else (None, at_most(1.5))
        for name, others, target in (
            (f"{rate}, against idle", idle, steady),
            (f"{rate}, against the same into another table", control, full),
        ):
            bound = bench.when_large(target) if target and percent == 50 else None
            one, other, ratio = paired(list(zip(during, others, strict=True)))
            section.add(f"{name}: {label}", one, other, Unit.MILLISECONDS, bound, ratio)
    section.notes.append(f"{rate}: {speed:,.0f} rows/s went into the table that was queried.")
    line.done(f"{speed:,.0f} rows/s")


class _Loader:
    """A process that inserts rows, a transaction each, when it is told to."""

    def __init__(self, bench: Bench, table: str, pace: int | None):
        context = multiprocessing.get_context("fork")
        self._go, self._idle = context.Event(), context.Event()
        self._rows, self._seconds = context.Value("q", 0), context.Value("d", 0.0)
        self.process = context.Process(target=self._run, args=(bench, table, pace), daemon=True)

    @property
    def rows(self) -> int:
        return self._rows.value

    @property
    def seconds(self) -> float:
        return self._seconds.value

    @contextmanager
    def inserting(self) -> Iterator[None]:
        self._idle.clear()
        self._go.set()
        try:
            yield
        finally:
            self._go.clear()
            while not self._idle.wait(1):
                if not self.process.is_alive():
                    raise RuntimeError("the session that inserts has failed")

    def _run(self, bench: Bench, table: str, pace: int | None) -> None:
        rows = client.items(pgvectors.uniform(5_000, DIMS, QUERY_SEED + 1))
        step = 500 if pace is None else pace // 100
        with bench.connect() as connection:
            statement = client.Statement(connection, f"INSERT INTO {table} VALUES ($1, $2)")
            while True:
                self._idle.set()
                self._go.wait()
                began = due = time.perf_counter()
                while self._go.is_set():
                    first = self._rows.value % len(rows)
                    statement.execute_many(rows[first : first + step], batch=1)
                    self._rows.value += step
                    if pace is not None:
                        due += step / pace
                        time.sleep(max(due - time.perf_counter(), 0))
                self._seconds.value += time.perf_counter() - began


@contextmanager
def _loader(bench: Bench, table: str, pace: int | None) -> Iterator[_Loader]:
    loader = _Loader(bench, table, pace)
    loader.process.start()
    try:
        yield loader
    finally:
        loader.process.terminate()
        loader.process.join()
