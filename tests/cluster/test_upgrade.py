"""Extensions of an older version become what a fresh installation is; index files of another format are refused."""

import contextlib
import struct
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
from vectors import Source, clustered

DIMS = 12
PAGE = 8192
# Where a page has the version of its format.
VERSION_OFFSET = 24 + 4

# Everything that an extension's script may say of an object; what is to be ignored is left out.
OBJECTS = """
    SELECT o.type, o.identity, obj_description(d.objid, d.classid::regclass::name),
           to_jsonb(p) - ARRAY['oid', 'proargtypes', 'proallargtypes', 'prorettype'],
           to_jsonb(a) - ARRAY['oid', 'amhandler'], to_jsonb(c) - ARRAY['oid', 'opcfamily', 'opcintype', 'opcmethod'],
           (SELECT jsonb_agg(ARRAY[amopopr::regoperator::text, amopstrategy::text, amoppurpose::text,
                                   amopsortfamily::text] ORDER BY amopopr::regoperator::text)
            FROM pg_amop WHERE d.classid = 'pg_opfamily'::regclass AND amopfamily = d.objid),
           (SELECT jsonb_agg(ARRAY[amproc::text, amprocnum::text] ORDER BY amproc::text)
            FROM pg_amproc WHERE d.classid = 'pg_opfamily'::regclass AND amprocfamily = d.objid)
    FROM pg_depend d
    CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) o
    LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
    LEFT JOIN pg_am a ON d.classid = 'pg_am'::regclass AND a.oid = d.objid
    LEFT JOIN pg_opclass c ON d.classid = 'pg_opclass'::regclass AND c.oid = d.objid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
      AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = %s)
    ORDER BY o.type, o.identity
"""


def objects(db: psycopg.Connection, extension: str) -> list[tuple]:
    return db.execute(OBJECTS, (extension,)).fetchall()


def version(db: psycopg.Connection, extension: str) -> str:
    return db.execute("SELECT extversion FROM pg_extension WHERE extname = %s", (extension,)).fetchone()[0]


def create_items(db: psycopg.Connection, rng: numpy.random.Generator) -> Items:
    items = Items(vectors.register(db), Source(rng, DIMS, clustered, nulls=0.02), 500)
    items.create()
    items.copy()
    db.execute("CREATE INDEX items_index ON items USING kdtree (embedding) WITH (delta_size = 64)")
    items.copy()
    return items


def test_update_from_every_version(cluster: Cluster, dbname: str, rng: numpy.random.Generator) -> None:
    """An index made under the older version serves before and after, and the objects are those of the newest."""
    with cluster.connect(dbname) as db:
        newest = version(db, "kdtree")
        expected = objects(db, "kdtree")
        assert len(expected) > 10
        older = db.execute(
            "SELECT source FROM pg_extension_update_paths('kdtree') WHERE target = %s AND path IS NOT NULL",
            (newest,),
        ).fetchall()
        installable = db.execute("SELECT version FROM pg_available_extension_versions WHERE name = 'kdtree'")
        # Every version that can be installed, and at least the first one, can be updated.
        assert {(newest,), ("0.1.0",)} <= {*older, (newest,)} == set(installable)
        for (source,) in older:
            db.execute("DROP EXTENSION kdtree CASCADE")
            db.execute("DROP TABLE IF EXISTS items")
            db.execute(f"CREATE EXTENSION kdtree VERSION '{source}'")
            assert objects(db, "kdtree") != expected
            items = create_items(db, rng)
            question = Question("<->", parameters={"target": items.source.vector()})
            compare(db, question, "items_index")
            db.execute("ALTER EXTENSION kdtree UPDATE")
            assert version(db, "kdtree") == newest
            assert objects(db, "kdtree") == expected
            compare(db, question, "items_index")
            items.copy()
            items.delete_some()
            items.vacuum()
            compare(db, question, "items_index")


@pytest.mark.parametrize("page", ["first", "last"])
def test_index_of_another_format(
    page: str, make_cluster: Callable[..., Cluster], rng: numpy.random.Generator
) -> None:
    """Whoever meets such a file says so, whatever else is in it; the table is not affected, REINDEX mends all."""
    cluster = make_cluster("server", autovacuum="off")
    create_database(cluster, "formats")
    with cluster.connect("formats") as db:
        items = create_items(db, rng)
        db.execute("DELETE FROM items WHERE label < 5")
        (path,) = db.execute("SELECT pg_relation_filepath('items_index')").fetchone()
    question = Question("<->", parameters={"target": items.source.vector()})
    for other in (1, 3, 0xFFFF):
        cluster.stop()
        with open(cluster.data / path, "r+b") as file:
            file.seek({"first": 0, "last": -PAGE}[page], {"first": 0, "last": 2}[page])
            file.seek(VERSION_OFFSET, 1)
            file.write(struct.pack("<H", other))
        cluster.start()
        with vectors.register(cluster.connect("formats")) as db:
            items.connection = db
            for use in (
                lambda: compare(db, question, "items_index"),
                lambda: db.execute("SELECT * FROM kdtree_stats('items_index')"),
                lambda: db.execute("SELECT kdtree_merge('items_index')"),
                lambda: db.execute("VACUUM items"),
                items.copy,
            ):
                db.execute("RESET ALL")
                with pytest.raises(errors.DatabaseError) as refused:
                    use()
                assert f"format version {other}" in str(refused.value)
                assert "REINDEX" in refused.value.diag.message_hint
