"""What `make bench-recall` compares: indexes on two servers, with a few values of their settings, and scans.

Every point of a curve has a connection and a prepared statement of its own, which is asked by one client, one
query after the other. All points are measured in turns.
"""

import math
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy
import psycopg

import faiss_search
import hnsw
import pgtree
import progress
import server
from curves import FAISS, FAISS_HNSW, HNSW, IVFFLAT, KDTREE, PEER_SCAN, RECALLS, SCAN, Curve, K, Point, Run
from datasets import Dataset
from measure import Subject, in_turns
from pgcluster import Cluster

WARM_UP = 20
SCANS = 10  # queries through a sequential scan
BUILD_MEMORY = "2GB"
# Tables and indexes of a million rows stay in memory; a build uses every core, whosever it is.
SETTINGS = server.SETTINGS | {
    "shared_buffers": "4GB",
    "max_parallel_maintenance_workers": str(os.cpu_count() - 1),
}

EF_SEARCH = (10, 20, 40, 80, 120, 200, 400, 800)
PROBES = (1, 3, 10, 30, 100)


@dataclass(frozen=True)
class Index:
    """An index that is searched with several values of one setting."""

    name: str
    extension: str
    method: str
    setting: str
    values: tuple[float, ...]
    options: Callable[[int], str] = field(default=lambda rows: "")

    def definition(self, data: Dataset) -> str:
        return f"{self.method} (embedding {data.metric.operator_class}){self.options(data.rows)}"


INDEXES = (
    Index(KDTREE, "kdtree", "kdtree", "kdtree.recall", RECALLS),
    Index(HNSW, "vector", "hnsw", "hnsw.ef_search", EF_SEARCH),
    Index(
        IVFFLAT,
        "vector",
        "ivfflat",
        "ivfflat.probes",
        PROBES,
        lambda rows: f" WITH (lists = {math.isqrt(rows)})",
    ),
)


@dataclass
class _Contender:
    """A curve in the making: its searches, each with the value of the setting."""

    name: str
    subjects: list[tuple[float | None, Subject]]
    build_seconds: float | None = None
    index_bytes: int | None = None
    setting: str | None = None

    def curve(self, rounds: int) -> Curve:
        points = [_point(value, subject, rounds) for value, subject in self.subjects]
        return Curve(self.name, points, self.setting, self.build_seconds, self.index_bytes)


def measure(data: Dataset, rounds: int) -> Run:
    """Loads, builds and asks. Every query is asked once a round."""
    with ExitStack() as stack:
        clusters = {"kdtree": Cluster("bench-recall", pgtree.prepare(), settings=SETTINGS)}
        clusters["vector"] = hnsw.cluster("bench-recall", SETTINGS)
        for cluster in clusters.values():
            cluster.destroy()  # one that an interrupted run left
            stack.callback(cluster.destroy)
            cluster.start()

        session = _Sessions(stack, data)
        contenders, versions, tables = [], [], []
        for index in INDEXES:
            contender, version, table_bytes = session.index(clusters[index.extension], index)
            contenders.append(contender)
            versions.append(version)
            tables.append(table_bytes)
        contenders.append(session.scan(clusters["kdtree"], "kdtree", SCAN))
        contenders.append(session.scan(clusters["vector"], "hnsw", PEER_SCAN))
        contenders += _faiss(data)

        subjects = [subject for contender in contenders for _, subject in contender.subjects]
        for number in range(rounds):
            line = progress.Line(f"{len(data.queries)} queries in {len(subjects)} ways, round {number + 1}")
            in_turns(subjects, data, WARM_UP)
            line.done()
        curves = [contender.curve(rounds) for contender in contenders]
        return Run(data, list(dict.fromkeys(versions)), tables[0], curves)


class _Sessions:
    """Connections to the databases, each named like its index's method, open while all is measured."""

    def __init__(self, stack: ExitStack, data: Dataset):
        self._stack = stack
        self._data = data

    def index(self, cluster: Cluster, index: Index) -> tuple[_Contender, str, int]:
        """A database with the index: its searches, the extension's version, the bytes of the table."""
        connection = self._stack.enter_context(
            server.loaded(cluster, index.extension, self._data, database=index.method)
        )
        seconds, sizes = server.build(connection, index.definition(self._data), BUILD_MEMORY)
        (version,) = connection.execute(
            "SELECT extversion FROM pg_extension WHERE extname = %s", (index.extension,)
        ).fetchone()
        # What remains of the load is done now, not while something is measured.
        connection.execute("CHECKPOINT")
        subjects = []
        for value in index.values:
            settings = {index.setting: value, "enable_seqscan": "off"}
            search = self._search(
                cluster, index.method, settings, expected="Index Scan using items_embedding"
            )
            subjects.append((value, Subject(index.name, K, search)))
        name = "pgvector" if index.extension == "vector" else index.extension
        return (
            _Contender(index.name, subjects, seconds, sizes.index, index.setting),
            f"{name} {version} on PostgreSQL {cluster.tree.version}",
            sizes.table,
        )

    def scan(self, cluster: Cluster, database: str, name: str) -> _Contender:
        settings = {"enable_indexscan": "off", "max_parallel_workers_per_gather": 0}
        search = self._search(cluster, database, settings, expected="Seq Scan")
        return _Contender(name, [(None, Subject(name, K, search, queries=SCANS))])

    def _search(
        self, cluster: Cluster, database: str, settings: dict[str, object], expected: str
    ) -> server.Search:
        """A search over a connection of its own, whose plan is the expected one."""
        connection: psycopg.Connection = self._stack.enter_context(cluster.connect(database))
        for name, value in settings.items():
            connection.execute(f"SET {name} = {value}")
        search = server.Search(connection, K, self._data.metric.operator)
        if expected not in (plan := search.plan(self._data.queries[0])):
            raise RuntimeError(f"{database}: the planner does something else than {expected}:\n{plan}")
        return search


def _faiss(data: Dataset) -> list[_Contender]:
    """What a database costs, they show: the same machine, without one."""
    vectors = data.metric.comparable(data.vectors)
    began = time.perf_counter()
    graph = faiss_search.graph(vectors)
    seconds = time.perf_counter() - began

    def subject(name: str, find: faiss_search.Search) -> Subject:
        return Subject(name, K, lambda query: find(data.metric.comparable(query[None])[0], K))

    found = [(ef, subject(FAISS_HNSW, graph(ef))) for ef in EF_SEARCH]
    return [
        _Contender(FAISS, [(None, subject(FAISS, faiss_search.flat(vectors)))]),
        _Contender(FAISS_HNSW, found, seconds, setting="efSearch"),
    ]


def _point(value: float | None, subject: Subject, rounds: int) -> Point:
    """The time of a query is the least of the rounds: more of it was other processes' time.

    Over the queries there are a mean and a median.
    """
    times = numpy.reshape(subject.milliseconds, (rounds, -1)).min(axis=0)
    return Point(
        value=value,
        recall=subject.recall,
        worst=min(subject.recalls),
        mean=float(times.mean()),
        median=float(numpy.median(times)),
    )
