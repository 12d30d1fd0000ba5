"""Exact queries against exhaustive search by Faiss and sequential scans, and against reading memory."""

import psycopg

import faiss_search
import progress
import server
import workload
from figures import Section, Unit, at_most
from measure import Subject, in_turns
from workload import Workload

from .common import DIMS, Bench, expect_index, reading_memory

KS = (4, 10)
ONE_THREAD = ", one thread"
FAISS = "Faiss IndexFlatL2, one thread"
_QUERIES = 200
_WARM_UP = 20
_SCANNED = 5  # queries through a sequential scan


def measure(bench: Bench) -> Section:
    section = Section("Exact queries", ("kdtree", "the other"))
    line = progress.Line("making the vectors, and the true neighbours of the queries")
    data = workload.make(bench.rows, DIMS, _QUERIES, max(KS))
    line.done()
    with (
        server.loaded(bench.cluster, "kdtree", data) as connection,
        bench.cluster.connect("bench") as alone,
    ):
        # Of the two, the one has threads that help; the other's are its own process's only.
        alone.execute("SET max_parallel_workers_per_gather = 0")
        _, sizes = server.build(connection, "kdtree (embedding vector_l2_ops)")
        expect_index(server.Search(connection, max(KS)), data.queries[0], "items_embedding")
        find = faiss_search.flat(data.vectors)
        kdtree = {k: _by_sql(connection, k, "kdtree") for k in KS}
        unhelped = {k: _by_sql(alone, k, "kdtree, one thread") for k in KS}
        faiss = {k: Subject(FAISS, k, lambda query, k=k: find(query, k)) for k in KS}
        line = progress.Line(f"{_QUERIES} queries, kdtree and Faiss in turns")
        in_turns([*kdtree.values(), *unhelped.values(), *faiss.values()], data, _WARM_UP)
        line.done()
        if any(subject.recall < 1 for subject in [*kdtree.values(), *unhelped.values()]):
            raise RuntimeError("kdtree has not found the nearest")
        floor = reading_memory(bench.rows * DIMS // 2)
        connection.execute("SET enable_indexscan = off")
        scans = {workers: _sequential_scan(connection, data, workers) for workers in (0, 2)}

    for label, subjects in (("", kdtree), (ONE_THREAD, unhelped)):
        for k, subject in subjects.items():
            section.add(
                f"k = {k}{label}, seen by the client; {FAISS}",
                subject.median,
                faiss[k].median,
                Unit.MILLISECONDS,
                bench.when_large(at_most(0.2)),
            )
        k = KS[0]
        section.add(
            f"k = {k}{label}, in the server; reading the coarse plane's bytes from memory",
            subjects[k].server_median,
            floor,
            Unit.MILLISECONDS,
            bench.when_large(at_most(2)),
        )
    for workers, subject in scans.items():
        name = "sequential scan" + (f", {workers} parallel workers" if workers else "")
        section.add(f"k = {max(KS)}; {name}", kdtree[max(KS)].median, subject.median, Unit.MILLISECONDS)
    section.add("95th percentile; median", kdtree[k].p95, kdtree[k].median, Unit.MILLISECONDS)
    section.add(
        "size of the index; of the table",
        sizes.index,
        sizes.table,
        Unit.BYTES,
        bench.when_large(at_most(1 / 3)),
    )
    section.notes.append(
        f"{bench.rows:,} uniform vectors of {DIMS} dimensions, {_QUERIES} queries that are not among them;"
        " medians. The client is libpq with a prepared statement and binary parameters, over a socket. In"
        " the server: EXPLAIN ANALYZE's execution time. If not said otherwise, kdtree has the helping threads"
        " that the default settings give it. The coarse plane has half a byte a dimension; to read"
        " memory is the fastest of three reductions that numpy has, of an array of so many bytes."
    )
    return section


def _by_sql(connection: psycopg.Connection, k: int, name: str, queries: int | None = None) -> Subject:
    search = server.Search(connection, k)
    return Subject(name, k, search, search.server_milliseconds, queries=queries)


def _sequential_scan(connection: psycopg.Connection, data: Workload, workers: int) -> Subject:
    connection.execute(f"SET max_parallel_workers_per_gather = {workers}")
    connection.execute("DISCARD PLANS")  # a plan once made outlives the change of a setting
    line = progress.Line(f"{_SCANNED} queries, sequential scan")
    subject = _by_sql(connection, max(KS), "sequential scan", _SCANNED)
    in_turns([subject], data, _WARM_UP)
    line.done()
    return subject
