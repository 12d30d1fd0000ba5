"""`make bench`: the kdtree index against a sequential scan, Faiss and, if asked for, pgvector's HNSW.

    target/venv/bin/python bench/run.py [--rows N] [--dims D] [--queries Q] [--hnsw]

One run on one machine; the table is printed and kept in target/bench.
"""

import argparse
import sys
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import flat  # noqa: E402
import paths  # noqa: E402
import pgtree  # noqa: E402
import progress  # noqa: E402
import report  # noqa: E402
import server  # noqa: E402
import workload  # noqa: E402
from measure import Subject, in_turns  # noqa: E402
from pgcluster import Cluster  # noqa: E402
from workload import Workload  # noqa: E402

KS = (4, 10)
WARM_UP = 20
SLOW_QUERIES = 5  # through the sequential scan


def kdtree_and_faiss(data: Workload) -> tuple[list[Subject], int]:
    """kdtree, Faiss and the sequential scan, measured; and the bytes of the table."""
    cluster = Cluster("bench", pgtree.prepare(), settings=server.SETTINGS)
    cluster.destroy()  # one that an interrupted run left
    try:
        with cluster, server.loaded(cluster, "kdtree", data) as connection:
            fast, table_bytes = kdtree_subjects(connection, data)
            find = flat.index(data.vectors)
            fast += [Subject(report.FAISS, k, lambda query, k=k: find(query, k)) for k in KS]
            line = progress.Line(f"{len(data.queries)} queries, kdtree and Faiss in turns")
            in_turns(fast, data, WARM_UP)
            line.done()

            line = progress.Line(f"{SLOW_QUERIES} queries, sequential scan")
            connection.execute("SET enable_indexscan = off")
            slow = []
            for name, workers in (("sequential scan", 0), ("sequential scan, parallel", 2)):
                connection.execute(f"SET max_parallel_workers_per_gather = {workers}")
                connection.execute("DISCARD PLANS")  # a plan once made outlives the change of a setting
                subjects = [sequential_scan(connection, data, name, k) for k in KS]
                in_turns(subjects, data, WARM_UP)
                slow += subjects
            line.done()
    finally:
        cluster.destroy()
    return fast + slow, table_bytes


def kdtree_subjects(connection: psycopg.Connection, data: Workload) -> tuple[list[Subject], int]:
    seconds, sizes = server.build(connection, "kdtree (embedding vector_l2_ops)")
    subjects = []
    for k in KS:
        search = server.Search(connection, k)
        plan = search.plan(data.queries[0])
        if "Index Scan using items_embedding" not in plan:
            raise RuntimeError(f"the planner does not use the kdtree index:\n{plan}")
        subject = Subject("kdtree", k, search, search.server_milliseconds)
        subject.build_seconds, subject.index_bytes = seconds, sizes.index
        subjects.append(subject)
    return subjects, sizes.table


def sequential_scan(connection: psycopg.Connection, data: Workload, name: str, k: int) -> Subject:
    search = server.Search(connection, k)
    if "Seq Scan" not in (plan := search.plan(data.queries[0])):
        raise RuntimeError(f"the planner does not scan the table:\n{plan}")
    return Subject(name, k, search, search.server_milliseconds, queries=SLOW_QUERIES)


def main() -> int:
    parser = argparse.ArgumentParser(description="measures kdtree against a sequential scan, Faiss and HNSW")
    parser.add_argument("--rows", type=int, default=report.TARGET_ROWS)
    parser.add_argument("--dims", type=int, default=report.TARGET_DIMS)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--hnsw", action="store_true", help="pgvector's HNSW too (its build takes minutes)")
    arguments = parser.parse_args()
    if arguments.rows < max(KS) or arguments.dims < 1 or arguments.queries < 1:
        parser.error(f"at least {max(KS)} rows, 1 dimension and 1 query are needed")

    line = progress.Line("making the vectors, and the true neighbours of the queries")
    data = workload.make(arguments.rows, arguments.dims, arguments.queries, max(KS))
    line.done()
    subjects, table_bytes = kdtree_and_faiss(data)
    notes = []
    if arguments.hnsw:
        import hnsw

        subjects += hnsw.measure(data, KS, WARM_UP)
    else:
        notes = ["", "pgvector's HNSW was not run (make bench BENCH=--hnsw runs it)."]

    text = report.render(data, subjects, table_bytes, notes)
    target = paths.cache_dir("bench") / f"{data.rows}x{data.dims}.md"
    target.write_text(text)
    print(f"\n{text}\nkept in {target}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, OSError, psycopg.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
