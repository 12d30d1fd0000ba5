"""Databases of a genuine pgvector that go over to our `vector` as they are: docs/migration.md.

Tables keep their files. The functions get our code, indexes of hnsw and ivfflat are built anew.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import numpy
import psycopg
import pytest
from psycopg import errors

import pgtree
import pgvector
import serverlog
import vectors
from conftest import FAST, LOG_DIR, remove_remains
from oracle import IS_OURS, Question, compare, verify
from paths import REPO
from pgcluster import Cluster
from pgtree import Tree
from test_pgvector_names import MAGIC
from test_upgrade import OBJECTS, version

SCRIPT = REPO / "sql" / "vector--0.8.5--0.8.6.sql"
# From this version on, pgvector has all types and operators that ours has.
LEAST = (0, 8, 0)
ROWS = 600
DIMS = 8

TABLES = f"""
    CREATE TABLE items (
        id int PRIMARY KEY,
        embedding vector({DIMS}) DEFAULT array_fill(0, ARRAY[{DIMS}])::vector,
        half halfvec({DIMS}) GENERATED ALWAYS AS (embedding::halfvec({DIMS})) STORED,
        sparse sparsevec({DIMS}),
        bits bit({DIMS})
    );
    CREATE VIEW nearest AS
        SELECT id FROM items ORDER BY embedding <-> array_fill(1, ARRAY[{DIMS}])::vector LIMIT 5;
    CREATE INDEX sorted ON items (embedding);
    CREATE TABLE parted (id int, v vector({DIMS})) PARTITION BY RANGE (id);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (300);
    CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (300) TO ({ROWS});
    CREATE UNLOGGED TABLE unlogged (id int, v vector({DIMS}));
"""
INDEXES = """
    CREATE INDEX l2 ON items USING hnsw (embedding vector_l2_ops) WITH (m = 8, ef_construction = 32);
    CREATE INDEX lists ON items USING ivfflat (embedding vector_cosine_ops) WITH (lists = 5);
    CREATE INDEX partial ON items USING hnsw (embedding vector_ip_ops) WHERE mod(id, 2) = 0;
    CREATE INDEX part ON items USING hnsw ((subvector(embedding, 1, 4)::vector(4)) vector_l2_ops);
    CREATE INDEX halves ON items USING hnsw (half halfvec_l1_ops);
    CREATE INDEX few ON items USING hnsw (sparse sparsevec_ip_ops);
    CREATE INDEX strings ON items USING ivfflat (bits bit_hamming_ops) WITH (lists = 2);
    CREATE INDEX parted_v ON parted USING hnsw (v vector_l2_ops);
    CREATE INDEX unlogged_v ON unlogged USING hnsw (v vector_l2_ops);
    CREATE EXTENSION kdtree;
    CREATE INDEX beside ON parted_1 USING kdtree (v vector_cosine_ops);
"""


@pytest.fixture
def moving(request: pytest.FixtureRequest) -> Iterator[tuple[Cluster, Tree]]:
    tree, _ = pgvector.prepare("move", LEAST)
    cluster = Cluster("move", tree, settings=FAST, log_dir=LOG_DIR)
    remove_remains(cluster)
    with cluster:
        yield cluster, tree
    cluster.destroy()
    assert not serverlog.faults(cluster)


def fill(cluster: Cluster, dbname: str, rng: numpy.random.Generator) -> None:
    cluster.create_database(dbname)
    with cluster.connect(dbname) as connection:
        connection.execute("CREATE EXTENSION vector")
        assert libraries(connection) == {"$libdir/vector"}
        connection.execute(TABLES)
        with vectors.register(cluster.connect(dbname)) as writer, writer.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO items (id, embedding) VALUES (%s, %s)",
                list(enumerate(rng.normal(size=(ROWS, DIMS)).astype(numpy.float32))),
            )
        connection.execute("UPDATE items SET sparse = embedding, bits = binary_quantize(embedding)")
        for table in ("parted", "unlogged"):
            connection.execute(f"INSERT INTO {table} SELECT id, embedding FROM items")
        connection.execute(INDEXES)


def libraries(connection: psycopg.Connection) -> set[str]:
    rows = connection.execute(
        "SELECT DISTINCT probin FROM pg_proc p JOIN pg_depend ON objid = p.oid JOIN pg_extension e "
        "ON refobjid = e.oid WHERE classid = 'pg_proc'::regclass AND extname = 'vector' AND probin <> ''"
    )
    return {name for (name,) in rows}


def files(connection: psycopg.Connection) -> dict[str, str]:
    """Where tables, B-trees and kdtree indexes, which must not be rewritten, lie."""
    return dict(
        connection.execute(
            "SELECT relname, pg_relation_filepath(c.oid) FROM pg_class c LEFT JOIN pg_am a ON a.oid = relam "
            "WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace "
            "AND amname NOT IN ('hnsw', 'ivfflat')"
        ).fetchall()
    )


def contents(connection: psycopg.Connection) -> list[tuple]:
    return connection.execute(
        "SELECT i.*::text, half <-> half, sparse <+> sparse, bits <~> B'10101010', embedding < half::vector "
        "FROM items i ORDER BY embedding"
    ).fetchall()


def check_moved(connection: psycopg.Connection, rng: numpy.random.Generator) -> None:
    """Everything is ours, and answers are exact."""
    assert libraries(connection) == {"$libdir/kdvector"}
    questions = {
        "l2": Question("<->", limit=50),
        "lists": Question("<=>", limit=50),
        "partial": Question("<#>", condition="mod(id, 2) = 0", limit=50),
        "part": Question("<->", column="(subvector(embedding, 1, 4)::vector(4))", limit=50),
        "beside": Question("<=>", table="parted_1", column="v", limit=50),
        "halves": Question("<+>", column="half", limit=50),
        "unlogged_v": Question("<->", table="unlogged", column="v", limit=50),
    }
    for index, question in questions.items():
        dims = 4 if index == "part" else DIMS
        target = rng.normal(size=dims).astype(numpy.float32)
        question = Question(**{**question.__dict__, "parameters": {"target": target}})
        compare(connection, question, index)
    assert len(connection.execute("TABLE nearest").fetchall()) == 5
    connection.execute("INSERT INTO items (id) VALUES (-1)")
    connection.execute("DELETE FROM items WHERE id = -1")
    connection.execute("VACUUM items")
    (count,) = connection.execute(
        f"SELECT count(*) FROM pg_class c JOIN pg_am ON pg_am.oid = relam WHERE {IS_OURS} "
        "AND relkind = 'i' AND relpersistence <> 't'"
    ).fetchone()
    assert count == 11
    verify(connection)


def objects(connection: psycopg.Connection) -> list[tuple]:
    """The extension's objects, without their comments, of which pgvector has few."""
    return [(*row[:2], *row[3:]) for row in connection.execute(OBJECTS, ("vector",)).fetchall()]


def by_update(cluster: Cluster, tree: Tree, connection: psycopg.Connection) -> None:
    """pgvector's files are replaced by ours, and the extension is updated."""
    pgvector.uninstall(tree)
    assert "installed extension vector" in pgtree.install_extensions(tree)
    connection.execute("ALTER EXTENSION vector UPDATE")
    assert version(connection, "vector") == "0.8.6"


def by_script(cluster: Cluster, tree: Tree, connection: psycopg.Connection) -> None:
    """pgvector's files stay, and a superuser runs the script."""
    before = version(connection, "vector")
    connection.execute(SCRIPT.read_text())
    assert version(connection, "vector") == before


@pytest.mark.parametrize("move", [by_update, by_script])
def test_move(move: Callable, moving: tuple[Cluster, Tree], rng: numpy.random.Generator) -> None:
    cluster, tree = moving
    for dbname in ("moved", "other"):
        fill(cluster, dbname, rng)
    with ExitStack() as stack:
        # Sessions that know pgvector's indexes, and one with an index that nobody else can build anew.
        session, bystander, owner = (
            vectors.register(stack.enter_context(cluster.connect("moved"))) for _ in range(3)
        )
        for connection in (session, bystander, owner):
            connection.execute("SET enable_seqscan = off")
            connection.execute("SELECT id FROM items ORDER BY embedding <-> embedding LIMIT 1")
            connection.execute("TABLE nearest")
            connection.execute("SET hnsw.ef_search = 99")
        session.execute("CHECKPOINT")
        for index, method in (("l2", "hnsw"), ("lists", "ivfflat")):
            (path,) = session.execute("SELECT pg_relation_filepath(%s)", (index,)).fetchone()
            assert (cluster.data / path).read_bytes()[24:28] == MAGIC[method]
        owner.execute("CREATE TEMP TABLE own AS SELECT id, embedding FROM items")
        owner.execute("CREATE INDEX own_index ON own USING hnsw (embedding vector_l2_ops)")
        before = files(session), contents(session)
        move(cluster, tree, session)
        assert (files(session), contents(session)) == before
        for connection in (session, bystander):
            check_moved(connection, rng)
        # Its own connection has pgvector's code for the temporary index, until it looks again.
        owner.execute("ALTER INDEX own_index RENAME TO my_index")
        owner.execute("DISCARD PLANS")
        with pytest.raises(errors.ObjectNotInPrerequisiteState) as refused:
            owner.execute("INSERT INTO own SELECT id, embedding FROM items")
        assert refused.value.diag.message_primary == 'index "my_index" was built by pgvector'
        assert "REINDEX" in refused.value.diag.message_hint
        owner.execute("REINDEX INDEX my_index")
        owner.execute("INSERT INTO own SELECT id, embedding FROM items")

    # To run it again changes nothing.
    with cluster.connect("moved") as connection:
        paths = "SELECT oid, pg_relation_filepath(oid) FROM pg_class WHERE relpersistence <> 't' ORDER BY oid"
        before = connection.execute(paths).fetchall()
        connection.execute(SCRIPT.read_text())
        assert connection.execute(paths).fetchall() == before

    if move is by_script:
        # The other database is pgvector's as before, on the same server.
        with vectors.register(cluster.connect("other")) as connection:
            connection.execute("SET enable_seqscan = off")
            assert len(connection.execute("TABLE nearest").fetchall()) == 5
            assert libraries(connection) == {"$libdir/vector"}
        pgvector.uninstall(tree)
        pgtree.install_extensions(tree)
        with cluster.connect("moved") as connection:
            connection.execute("ALTER EXTENSION vector UPDATE")

    # No file of pgvector's is left. A database that was moved is what a new one is.
    cluster.restart()
    cluster.create_database("new")
    with vectors.register(cluster.connect("moved")) as connection, cluster.connect("new") as new:
        check_moved(connection, rng)
        new.execute("CREATE EXTENSION vector")
        assert objects(connection) == objects(new)
