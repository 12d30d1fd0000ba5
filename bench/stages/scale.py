"""What grows, and how fast, when there are ten times as many rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import numpy
import psycopg

import pgvectors
import progress
import server
from figures import Section, Target, Unit, at_most

from .common import DIMS, QUERY_SEED, Bench, ask, expect_index, reading_memory, seconds
from .memory import Process

K = 10
TIMES = (1, 3, 10)
MEMORY = "1GB"
_QUERIES = 60
_PART = 500_000
_CLUSTERS, _DIRECTIONS = 2_000, 12


@dataclass(frozen=True)
class _Size:
    rows: int
    build: float
    memory: int
    exact: float
    approximate: float


def measure(bench: Bench) -> Section:
    section = Section("Ten times as many rows", ("more rows", "as much, were it linear"))
    for name, source in (("uniform", _uniform), ("clustered", _clustered)):
        sizes = [_measure(bench, name, source, bench.rows * times) for times in TIMES]
        for size in sizes[1:]:
            _add(bench, section, name, sizes[0], size)
    section.notes.append(
        f"{DIMS} dimensions, maintenance_work_mem {MEMORY}. Clustered: {_CLUSTERS:,} normal clusters of"
        f" different sizes, each of which extends in {_DIRECTIONS} directions of its own; among uniform"
        " vectors, of which none has near neighbours, approximate search has little to leave out. Query times"
        f" are medians of {_QUERIES} seen by a client, k = {K}, approximate with kdtree.recall = 0.95."
        " An exact query is bound by memory, and a small index stays in the processor's last cache: what it"
        " takes to read as much is in the table, too."
    )
    return section


def _add(bench: Bench, section: Section, name: str, small: _Size, large: _Size) -> None:
    times = large.rows / small.rows
    # A little above linear is noise.
    linear = bench.when_large(at_most(1.15))

    def add(what: str, measured: float, before: float, unit: Unit, target: Target | None) -> None:
        section.add(f"{name}, {large.rows:,} rows: {what}", measured, before * times, unit, target)

    add("build", large.build, small.build, Unit.SECONDS, linear)
    add("memory of the build", large.memory, small.memory, Unit.BYTES, linear)
    add("exact query", large.exact, small.exact, Unit.MILLISECONDS, linear)
    if name == "uniform":
        floors = (reading_memory(size.rows * DIMS // 2) for size in (large, small))
        add("reading the coarse plane's bytes from memory", *floors, Unit.MILLISECONDS, None)
    sublinear = bench.when_large(at_most(0.7)) if name == "clustered" and times >= 10 else None
    add("approximate query", large.approximate, small.approximate, Unit.MILLISECONDS, sublinear)


def _measure(bench: Bench, name: str, source, rows: int) -> _Size:
    line = progress.Line(f"{name}, {rows:,} rows")
    with bench.database() as connection:
        connection.execute(f"CREATE TABLE items (id bigint, embedding vector({DIMS}))")
        for part in source(rows):
            pgvectors.copy_in(connection, "items", part)
            line.update("loading")
        connection.execute("VACUUM ANALYZE items")
        connection.execute("CHECKPOINT")
        queries = next(iter(source(_QUERIES, QUERY_SEED)))
        line.update("building")
        with bench.connect() as session:
            session.execute(f"SET maintenance_work_mem = '{MEMORY}'")
            process = Process(session)
            with process.watched() as watch:
                build = seconds(
                    lambda: session.execute(f"CREATE INDEX items_embedding ON items {bench.index}")
                )
        exact, approximate = (_query(connection, queries, recall) for recall in (1.0, 0.95))
    line.done()
    return _Size(rows, build, watch.most, exact, approximate)


def _query(connection: psycopg.Connection, queries: numpy.ndarray, recall: float) -> float:
    connection.execute(f"SET kdtree.recall = {recall}")
    search = server.Search(connection, K)
    expect_index(search, queries[0], "items_embedding")
    ask(search, queries)
    return median(ask(search, queries))


def _uniform(rows: int, seed: int = 1234) -> Iterator[numpy.ndarray]:
    for first in range(0, rows, _PART):
        yield pgvectors.uniform(min(_PART, rows - first), DIMS, seed + first)


def _clustered(rows: int, seed: int = 1234) -> Iterator[numpy.ndarray]:
    shape = numpy.random.default_rng(1)
    centers = shape.normal(size=(_CLUSTERS, DIMS))
    directions = shape.normal(size=(_CLUSTERS, _DIRECTIONS, DIMS)) / _DIRECTIONS**0.5
    spread = shape.lognormal(-1, 0.5, size=_CLUSTERS)
    weights = shape.pareto(1.5, size=_CLUSTERS) + 0.2
    rng = numpy.random.default_rng(seed)
    for first in range(0, rows, _PART):
        count = min(_PART, rows - first)
        which = numpy.sort(rng.choice(_CLUSTERS, size=count, p=weights / weights.sum()))
        vectors = centers[which]
        begins = numpy.searchsorted(which, numpy.arange(_CLUSTERS + 1))
        for cluster, (begin, end) in enumerate(zip(begins, begins[1:], strict=False)):
            along = rng.normal(size=(end - begin, _DIRECTIONS)) * spread[cluster]
            vectors[begin:end] += along @ directions[cluster]
        yield rng.permutation(vectors).astype(numpy.float32)
