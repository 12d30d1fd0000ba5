"""Points of few dimensions: GiST on cube, GiST and SP-GiST on point, SciPy's KD-tree."""

import numpy
import psycopg
import scipy.spatial

import awake
import progress
import server
import workload
from figures import Section, Unit, at_most
from measure import Subject, in_turns
from server import Column
from workload import Workload

from .common import Bench, expect_index

DIMS = (2, 3, 4, 8)
KS = (1, 10)
SCIPY = "SciPy's KDTree, in memory"
_QUERIES = 200
_WARM_UP = 40


def measure(bench: Bench) -> Section:
    section = Section("Few dimensions", ("kdtree", "the other"))
    missing = set()
    for dims in DIMS:
        data = workload.make(bench.rows, dims, _QUERIES, max(KS))
        with server.loaded(bench.cluster, "kdtree", data) as connection:
            if _has(connection, "cube"):
                _compare(bench, section, connection, data)
            else:
                missing.add("cube is not installed: nothing to compare with.")
    section.notes.append(
        f"{bench.rows:,} uniform points; medians of {_QUERIES} queries that are not among them, in"
        " turns, seen by a client over a socket, while the processors are kept awake. All plans are index"
        " scans. SciPy's tree is in the client itself."
    )
    section.notes += sorted(missing)
    return section


def _has(connection: psycopg.Connection, extension: str) -> bool:
    query = "SELECT count(*) FROM pg_available_extensions WHERE name = %s"
    return connection.execute(query, (extension,)).fetchone()[0] > 0


def _compare(bench: Bench, section: Section, connection: psycopg.Connection, data: Workload) -> None:
    dims = data.dims
    built, _ = server.build(connection, "kdtree (embedding vector_l2_ops)")
    connection.execute("CREATE EXTENSION cube")
    columns = {"GiST on cube": ("gist", Column("others", "c", "$1::text::cube", _text))}
    points = "cube((embedding::real[])::float8[]) AS c"
    if dims == 2:
        columns["GiST on point"] = ("gist", Column("others", "p", "$1::text::point", _text))
        columns["SP-GiST on point"] = ("spgist", Column("others", "q", "$1::text::point", _text))
        point = "point((embedding::real[])[1], (embedding::real[])[2])"
        points += f", {point} AS p, {point} AS q"
    connection.execute(f"CREATE TABLE others AS SELECT id, {points} FROM items")
    connection.execute("SET enable_seqscan = off")
    ways = [("kdtree", Column("items", "embedding"), "items_embedding")]
    for name, (method, column) in columns.items():
        line = progress.Line(f"{dims} dimensions: {name}")
        connection.execute(f"CREATE INDEX others_{column.name} ON others USING {method} ({column.name})")
        line.done()
        ways.append((name, column, f"others_{column.name}"))
    connection.execute("VACUUM ANALYZE others")
    tree = scipy.spatial.KDTree(data.vectors)
    for k in KS:
        subjects = []
        for name, column, index in ways:
            search = server.Search(connection, k, column=column)
            expect_index(search, data.queries[0], index)
            subjects.append(Subject(name, k, search))
        subjects.append(
            Subject(SCIPY, k, lambda query, k=k: numpy.atleast_1d(tree.query(query, k)[1]).tolist())
        )
        with awake.processors():
            in_turns(subjects, data, _WARM_UP)
        kdtree, *others = subjects
        for other in others:
            target = bench.when_large(at_most(0.5)) if other.name != SCIPY else None
            section.add(
                f"{dims} dimensions, k = {k}; {other.name}",
                kdtree.median,
                other.median,
                Unit.MILLISECONDS,
                target,
            )
    section.notes.append(f"{dims} dimensions: the kdtree index is built in {built:.1f} s.")


def _text(query: numpy.ndarray) -> bytes:
    """As both types are written."""
    return f"({','.join(map(repr, query.tolist()))})".encode()
