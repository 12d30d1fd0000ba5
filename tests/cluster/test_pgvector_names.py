"""Indexes under pgvector's names, hnsw and ivfflat, in our `vector`: our index, pgvector's settings.

What they have in common with pgvector's own is compared in test_pgvector_surface.py.
"""

import subprocess
from collections.abc import Callable

import numpy
import psycopg
import pytest
from psycopg import errors

import vectors
from changes import Items
from conftest import create_database
from oracle import Question, compare
from pgcluster import Cluster
from test_oracle import SIZES, VectorCase
from vectors import Source

SETTINGS = {
    "hnsw.ef_search": "40",
    "hnsw.iterative_scan": "off",
    "hnsw.max_scan_tuples": "20000",
    "hnsw.scan_mem_multiplier": "1",
    "ivfflat.probes": "1",
    "ivfflat.iterative_scan": "off",
    "ivfflat.max_probes": "32768",
}
# Functions of the types, which load the library, and of no access method.
LOAD = "SELECT '[1]'::vector"


class NamedCase(VectorCase):
    """As a case of test_oracle.py, under one of pgvector's names."""

    def create_index(self) -> None:
        options = {
            "hnsw": f"m = {self.rng.integers(2, 17)}, ef_construction = {self.rng.integers(34, 1001)}",
            "ivfflat": f"lists = {self.rng.integers(1, 1000)}",
        }
        # pgvector's ivfflat has no operator class for L1.
        method = str(self.rng.choice(list(options))) if self.operator != "<+>" else "hnsw"
        self.steps.append(f"CREATE INDEX USING {method}")
        self.session().execute(
            f"CREATE INDEX items_index ON items USING {method} (embedding {self.opclass}) "
            f"WITH ({options[method]})"
        )

    def ask_within(self, session: psycopg.Connection) -> None:
        """Their operator classes are pgvector's, and have nothing to search for."""
        self.ask_plainly(session)


@pytest.mark.parametrize("number", range(2 * len(SIZES)))
def test_index_agrees_with_table(
    number: int, cluster: Cluster, dbname: str, rng: numpy.random.Generator
) -> None:
    with cluster.connect(dbname) as one, cluster.connect(dbname) as other:
        NamedCase(number, rng, [vectors.register(one), vectors.register(other)]).run()


def settings(connection: psycopg.Connection) -> dict[str, str]:
    query = "SELECT name, setting FROM pg_settings WHERE name ~ '^(hnsw|ivfflat)\\.'"
    return dict(connection.execute(query).fetchall())


def test_settings_before_the_library(cluster: Cluster, dbname: str) -> None:
    """What a session, a role or a database sets before is looked at when the library is loaded."""
    with cluster.connect(dbname) as connection:
        assert settings(connection) == {}
        connection.execute("SET hnsw.ef_search = 100")
        connection.execute("SET ivfflat.probes = 0")
        connection.execute("SET hnsw.nonsense = 1")
        notices = []
        connection.add_notice_handler(lambda notice: notices.append((notice.severity, notice.sqlstate)))
        connection.execute(LOAD)
        assert settings(connection) == {**SETTINGS, "hnsw.ef_search": "100"}
        assert notices == [
            ("WARNING", "22023"),
            ("WARNING", "42602"),
        ]
        connection.execute(f"ALTER DATABASE {dbname} SET hnsw.ef_search = 200")
        connection.execute(f"ALTER DATABASE {dbname} SET ivfflat.iterative_scan = relaxed_order")
    with cluster.connect(dbname) as connection, connection.transaction():
        connection.execute("SET LOCAL hnsw.ef_search = 300")
        connection.execute(LOAD)
        assert settings(connection)["hnsw.ef_search"] == "300"
        connection.execute("COMMIT")
        assert settings(connection) == {
            **SETTINGS,
            "hnsw.ef_search": "200",
            "ivfflat.iterative_scan": "relaxed_order",
        }


def test_settings_without_the_extension(cluster: Cluster) -> None:
    """Where `vector` is not ours, or not there, its settings are nobody's until it is."""
    cluster.create_database("bare")
    with cluster.connect("bare") as connection:
        connection.execute("LOAD 'kdvector'")
        assert settings(connection) == {}
        connection.execute("CREATE EXTENSION vector")
        assert settings(connection) == SETTINGS
        connection.execute("DROP EXTENSION vector")
        connection.execute("CREATE EXTENSION vector")
        assert settings(connection) == SETTINGS
    with cluster.connect() as connection:
        connection.execute("DROP DATABASE bare")


def test_settings_of_a_preloaded_library(make_cluster: Callable[..., Cluster]) -> None:
    """No database has been entered when the library is loaded. Then they are known when an index is used."""
    cluster = make_cluster("server", shared_preload_libraries="kdvector")
    with cluster.connect() as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute(
            "CREATE TABLE t AS SELECT ARRAY[i, 1]::vector(2) AS v FROM generate_series(1, 9) i"
        )
        connection.execute("CREATE INDEX ON t USING hnsw (v vector_l2_ops)")
        connection.execute("CREATE EXTENSION kdtree")
    with cluster.connect() as connection:
        assert settings(connection) == {}
        connection.execute("SET hnsw.ef_search = 5")
        connection.execute("SET enable_seqscan = off")
        rows = connection.execute("SELECT v::text FROM t ORDER BY v <-> '[3,1]' LIMIT 1").fetchall()
        assert rows == [("[3,1]",)]
        assert settings(connection) == {**SETTINGS, "hnsw.ef_search": "5"}


def test_settings_of_workers(db: psycopg.Connection) -> None:
    """A parallel worker gets the settings of its leader."""
    db.execute("SET hnsw.ef_search = 7")
    db.execute("CREATE TABLE t AS SELECT ARRAY[i, 1]::vector(2) AS v FROM generate_series(1, 100000) i")
    db.execute("SET hnsw.iterative_scan = strict_order")
    for setting in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"):
        db.execute(f"SET {setting} = 0")
    query = (
        "SELECT count(*), min(current_setting('hnsw.ef_search') || current_setting('hnsw.iterative_scan')) "
        "FROM t WHERE v <-> '[0,0]' >= 0"
    )
    (plan,) = db.execute(f"EXPLAIN (ANALYZE, FORMAT json) {query}").fetchone()
    assert '"Workers Launched": 0' not in str(plan).replace("'", '"') and "Gather" in str(plan)
    assert db.execute(query).fetchone() == (100000, "7strict_order")


def test_restore_is_silent(cluster: Cluster, db: psycopg.Connection, dbname: str) -> None:
    """A dump of such indexes is restored as it is, without a NOTICE for each."""
    db.execute(
        "CREATE TABLE items AS "
        "SELECT i AS id, ARRAY[i, 1]::vector(2) AS embedding FROM generate_series(1, 99) i"
    )
    db.execute(
        "CREATE INDEX one ON items USING hnsw (embedding vector_l2_ops) WITH (m = 8, ef_construction = 80)"
    )
    db.execute("CREATE INDEX two ON items USING ivfflat (embedding vector_cosine_ops) WITH (lists = 10)")
    definitions = "SELECT pg_get_indexdef(oid) FROM pg_class WHERE relname IN ('one', 'two') ORDER BY 1"
    expected = db.execute(definitions).fetchall()
    assert "WITH (m='8', ef_construction='80')" in expected[0][0]

    def run(program: str, *arguments: str, database: str, text: str | None = None):
        return subprocess.run(
            [cluster.tree.program(program), *arguments],
            env=cluster.environment(database),
            input=text,
            capture_output=True,
            check=True,
            text=True,
        )

    dump = run("pg_dump", database=dbname).stdout
    cluster.create_database("restored")
    restored = run("psql", "-Xq", "-v", "ON_ERROR_STOP=1", database="restored", text=dump)
    assert restored.stderr == ""
    with vectors.register(cluster.connect("restored")) as connection:
        assert connection.execute(definitions).fetchall() == expected
        target = numpy.array([50, 2], numpy.float32)
        compare(connection, Question("<->", parameters={"target": target}, limit=9), "one")
    with cluster.connect() as connection:
        connection.execute("DROP DATABASE restored")


# The first bytes of the metapages of pgvector's indexes, behind the page header.
MAGIC = {"hnsw": bytes.fromhex("53a953a9"), "ivfflat": bytes.fromhex("a7f14f01")}


@pytest.mark.parametrize("method", MAGIC)
def test_index_of_pgvector(
    make_cluster: Callable[..., Cluster], rng: numpy.random.Generator, method: str
) -> None:
    """Whoever reads an index that pgvector built says so. The table can be read; REINDEX mends all."""
    cluster = make_cluster("server", autovacuum="off")
    create_database(cluster, "found")
    with vectors.register(cluster.connect("found")) as connection:
        items = Items(connection, Source(rng, 8), 300)
        items.create()
        items.copy()
        connection.execute(f"CREATE INDEX items_index ON items USING {method} (embedding vector_l2_ops)")
        (path,) = connection.execute("SELECT pg_relation_filepath('items_index')").fetchone()
        connection.execute("DELETE FROM items WHERE label < 2")
    cluster.stop()
    with open(cluster.data / path, "r+b") as file:
        file.seek(24)
        file.write(MAGIC[method])
    cluster.start()
    with vectors.register(cluster.connect("found")) as connection:
        question = Question("<->", parameters={"target": items.source.vector()})
        for use in (
            lambda: compare(connection, question, "items_index"),
            lambda: connection.execute("SELECT * FROM kdtree_stats('items_index')"),
            lambda: connection.execute("SELECT * FROM kdtree_check('items_index')"),
            lambda: connection.execute("SELECT kdtree_merge('items_index')"),
            lambda: connection.execute(
                "INSERT INTO items (label, embedding) SELECT label, embedding FROM items"
            ),
            lambda: connection.execute("VACUUM (INDEX_CLEANUP ON) items"),
        ):
            with pytest.raises(errors.ObjectNotInPrerequisiteState) as refused:
                use()
            assert refused.value.diag.message_primary == 'index "items_index" was built by pgvector'
            assert method in refused.value.diag.message_detail
            assert "REINDEX" in refused.value.diag.message_hint
            connection.execute("RESET ALL")
        (count,) = connection.execute("SELECT count(*) FROM items").fetchone()
        assert count > 0
        connection.execute("REINDEX INDEX items_index")
        items.connection = connection
        items.copy()
        compare(connection, question, "items_index")
