"""The index on the type `vector` of a genuine pgvector, whose files stay as they are.

pgvector adds up distances in another order than our operators do, so its distances differ in the last bits,
and the bounds that the index gives must hold for those as well.
"""

from collections.abc import Iterator

import numpy
import pytest

import pgvector
import serverlog
import vectors
from changes import Items
from conftest import FAST, LOG_DIR, create_database, remove_remains
from load import running, writer
from oracle import Question, compare, verify
from pgcluster import Cluster
from test_oracle import SIZES, VectorCase
from vectors import Source, clustered

# What every pgvector has types and operators for.
OPCLASSES = ("vector_l2_ops", "vector_cosine_ops", "vector_ip_ops")


@pytest.fixture(scope="module")
def pgvector_cluster() -> Iterator[Cluster]:
    tree, _ = pgvector.prepare("pgvector")
    cluster = Cluster("pgvector", tree, settings=FAST, log_dir=LOG_DIR)
    remove_remains(cluster)
    with cluster:
        yield cluster
    cluster.destroy()
    assert not serverlog.faults(cluster)


@pytest.mark.parametrize("case", range(2 * len(SIZES)))
def test_index_agrees_with_table(case: int, pgvector_cluster: Cluster, rng: numpy.random.Generator) -> None:
    create_database(pgvector_cluster, "items")
    with (
        vectors.register(pgvector_cluster.connect("items")) as one,
        vectors.register(pgvector_cluster.connect("items")) as other,
    ):
        (library,) = one.execute("SELECT probin FROM pg_proc WHERE proname = 'vector_in'").fetchone()
        assert library == "$libdir/vector"
        served = "SELECT opcname FROM pg_opclass JOIN pg_am a ON a.oid = opcmethod WHERE amname = 'kdtree'"
        found = {opclass for (opclass,) in one.execute(served)}
        assert set(OPCLASSES) <= found
        VectorCase(case, rng, [one, other], OPCLASSES).run()


def test_pgvector_index_beside_ours(pgvector_cluster: Cluster, rng: numpy.random.Generator) -> None:
    """Both extensions' operator classes have the same names; each belongs to its access method."""
    create_database(pgvector_cluster, "beside")
    with vectors.register(pgvector_cluster.connect("beside")) as connection:
        connection.execute("CREATE TABLE items (id int, embedding vector(3))")
        connection.execute(
            "INSERT INTO items SELECT i, ARRAY[i, i % 7, 1]::vector FROM generate_series(1, 1000) i"
        )
        connection.execute("CREATE INDEX ours ON items USING kdtree (embedding vector_cosine_ops)")
        connection.execute("CREATE INDEX theirs ON items USING hnsw (embedding vector_cosine_ops)")
        connection.execute("SET enable_seqscan = off")
        answers = set()
        for dropped in ("theirs", "ours"):
            with connection.transaction(force_rollback=True):
                connection.execute(f"DROP INDEX {dropped}")
                query = "SELECT id FROM items ORDER BY embedding <=> '[10, 3, 1]' LIMIT 1"
                plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {query}"))
                assert f"Index Scan using {'ours' if dropped == 'theirs' else 'theirs'}" in plan
                answers.add(connection.execute(query).fetchone())
        assert answers == {(10,)}


def test_hnsw_replaced_by_kdtree(pgvector_cluster: Cluster, rng: numpy.random.Generator) -> None:
    """As docs/migration.md says it: CONCURRENTLY, while others write."""
    create_database(pgvector_cluster, "replaced")
    source = Source(rng, 8, clustered, nulls=0.02)
    with vectors.register(pgvector_cluster.connect("replaced")) as connection:
        items = Items(connection, source, 500)
        items.create()
        items.copy()
        connection.execute("CREATE INDEX items_index ON items USING hnsw (embedding vector_l2_ops)")
        load = writer(source, 20, Items.copy, Items.update_vectors, Items.delete_some)
        with running(pgvector_cluster, "replaced", rng, load, load):
            connection.execute(
                "CREATE INDEX CONCURRENTLY new ON items USING kdtree (embedding vector_l2_ops)"
            )
            connection.execute("DROP INDEX CONCURRENTLY items_index")
            connection.execute("ALTER INDEX new RENAME TO items_index")
        compare(connection, Question("<->", parameters={"target": source.vector()}, limit=50), "items_index")
        verify(connection, "items_index")


@pytest.mark.parametrize("libraries", [("kdvector", "vector"), ("vector", "kdvector")])
def test_both_libraries_in_a_session(pgvector_cluster: Cluster, libraries: tuple[str, str]) -> None:
    """Whichever is loaded first, pgvector's settings are pgvector's."""
    create_database(pgvector_cluster, "libraries")
    with pgvector_cluster.connect("libraries") as connection:
        connection.execute("SET hnsw.ef_search = 77")
        for library in libraries:
            connection.execute(f"LOAD '{library}'")
        connection.execute(
            "CREATE TABLE items AS SELECT ARRAY[i, 1]::vector(2) AS v FROM generate_series(1, 99) i"
        )
        connection.execute("CREATE INDEX ON items USING kdtree (v)")
        connection.execute("CREATE INDEX ON items USING hnsw (v vector_l2_ops)")
        connection.execute("SET enable_seqscan = off")
        query = "SELECT v::text FROM items ORDER BY v <-> '[5,1]' LIMIT 1"
        assert connection.execute(query).fetchone() == ("[5,1]",)
        (value, text) = connection.execute(
            "SELECT setting, extra_desc FROM pg_settings WHERE name = 'hnsw.ef_search'"
        ).fetchone()
        assert (value, text) == ("77", "Valid range is 1..1000.")
