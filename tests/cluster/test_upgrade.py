"""Older versions of the extension become what a fresh installation is; files of other formats are refused."""

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy
import psycopg
import pytest
from psycopg import errors

import pgtree
import serveruser
import vectors
from changes import Items
from conftest import create_database
from every_kind import answers, change_all, create_all, described, questions
from oracle import Question, compare, verify
from pages import PAYLOAD, PAYLOAD_CHECKSUM, VERSION, Pages
from pgcluster import SUPERUSER, Cluster
from pgtree import Tree
from vectors import Source, clustered

DIMS = 12
OUR_FORMAT = 8

# Everything that an extension's script may say of an object; what is to be ignored is left out.
OBJECTS = """
    SELECT o.type, o.identity, obj_description(d.objid, d.classid::regclass::name),
           to_jsonb(p) - ARRAY['oid', 'proargtypes', 'proallargtypes', 'prorettype'],
           to_jsonb(a) - ARRAY['oid', 'amhandler'],
           to_jsonb(c) - ARRAY['oid', 'opcfamily', 'opcintype', 'opcmethod'],
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
    """An index serves before and after, and the objects become those of the newest version."""
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
            verify(db)


def same_version(tree: Tree) -> Tree:
    return tree


def earlier_version(tree: Tree) -> Tree:
    other = pgtree.earlier(tree)
    if other is None:
        pytest.skip("no earlier PostgreSQL has kdvector as it is now; `make test-all` sees to that")
    return other


def skip_if_too_new(db: psycopg.Connection, new: Cluster) -> None:
    """Skips if the old server sets options of columns, all by itself, that the new one does not know.

    Minor releases do (15.20 and `pg_attver`); there is no upgrade to an earlier major of before that.
    """
    options = db.execute("SELECT DISTINCT split_part(unnest(attoptions), '=', 1) FROM pg_attribute")
    with new.connect() as other:
        other.execute("CREATE TABLE probe (x int)")
        for (option,) in options:
            try:
                other.execute(f"ALTER TABLE probe ALTER x SET ({option} = 1)")
            except errors.InvalidParameterValue:
                pytest.skip(f"this server does not know {option}, which the old one sets")
        other.execute("DROP TABLE probe")


@pytest.mark.parametrize("mode", [[], ["--link"]], ids=["copy", "link"])
@pytest.mark.parametrize("source", [same_version, earlier_version])
def test_pg_upgrade(
    source: Callable[[Tree], Tree],
    mode: list[str],
    tree: Tree,
    make_cluster: Callable[..., Cluster],
    rng: numpy.random.Generator,
) -> None:
    """Files are taken over, catalogs are made anew: indexes of every kind answer as before, and go on."""
    old, new = make_cluster("old", installation=source(tree)), make_cluster("new")
    create_database(old, "upgraded")
    with old.connect("upgraded") as db:
        drawn = create_all(db, rng).source
        asked = questions(drawn)
        before = described(db), answers(db, asked)
        skip_if_too_new(db, new)
    old.stop()
    new.stop()
    bindir = Path(old.tree.program("postgres")).parent
    done = subprocess.run(
        [*serveruser.prefix(), new.tree.program("pg_upgrade"), *mode, "--socketdir", new.home]
        + ["--old-bindir", bindir, "--old-datadir", old.data, "--new-datadir", new.data]
        + ["--username", SUPERUSER],
        env=serveruser.ENVIRONMENT,
        cwd=new.home,
        capture_output=True,
        text=True,
    )
    logs = "".join(log.read_text() for log in new.data.glob("pg_upgrade_output.d/*/log/*_dump_*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs[-3000:]
    new.start()
    with vectors.register(new.connect("upgraded")) as db:
        assert (described(db), answers(db, asked)) == before
        verify(db)
        change_all(db, drawn)
        answers(db, asked)
        verify(db)


def test_index_of_another_format(make_cluster: Callable[..., Cluster], rng: numpy.random.Generator) -> None:
    """Whoever reads such a file says so and leaves it alone. The table can be read; REINDEX mends all."""
    cluster = make_cluster("server", autovacuum="off")
    create_database(cluster, "formats")
    with cluster.connect("formats") as db:
        items = create_items(db, rng)
    question = Question("<->", parameters={"target": items.source.vector()})
    for version, metapage_only in (
        (1, False),
        (1, True),
        (2, False),
        (OUR_FORMAT + 1, False),
        (0xFFFF, True),
    ):
        with vectors.register(cluster.connect("formats")) as db:
            (path,) = db.execute("SELECT pg_relation_filepath('items_index')").fetchone()
            db.execute("DELETE FROM items WHERE label < 2")
        cluster.stop()
        set_version(cluster.data / path, version, metapage_only)
        before = (cluster.data / path).read_bytes()
        cluster.start()
        with vectors.register(cluster.connect("formats")) as db:
            refused_by_all(db, question, version)
            (count,) = db.execute("SELECT count(*) FROM items").fetchone()
            assert count > 0
        cluster.stop()
        assert (cluster.data / path).read_bytes() == before
        cluster.start()
        with vectors.register(cluster.connect("formats")) as db:
            db.execute("REINDEX INDEX items_index")
            items.connection = db
            items.copy()
            items.vacuum()
            compare(db, question, "items_index")
            verify(db)


def set_version(path: Path, version: int, metapage_only: bool) -> None:
    """Makes the pages of an index those of another version.

    The first one had no checksums. All later ones have one of the header, in the same place, so that a new
    version can be told from a damaged page.
    """
    pages = Pages(path)
    for block in [0] if metapage_only else range(len(pages.pages)):
        if pages.kind(block) is None:
            continue
        assert struct.unpack_from("<H", pages[block], VERSION) == (OUR_FORMAT,)
        struct.pack_into("<H", pages[block], VERSION, version)
        if version == 1:
            pages[block][PAYLOAD_CHECKSUM:PAYLOAD] = bytes(PAYLOAD - PAYLOAD_CHECKSUM)
        else:
            pages.stamp(block)
    pages.write()


def refused_by_all(db: psycopg.Connection, question: Question, version: int) -> None:
    for use in (
        lambda: compare(db, question, "items_index"),
        lambda: db.execute("SELECT * FROM kdtree_stats('items_index')"),
        lambda: db.execute("SELECT * FROM kdtree_check('items_index')"),
        lambda: db.execute("SELECT * FROM kdtree_check('items_index', true)"),
        lambda: db.execute("SELECT kdtree_merge('items_index')"),
        lambda: db.execute("INSERT INTO items (label, embedding) SELECT label, embedding FROM items"),
        lambda: db.execute("UPDATE items SET embedding = NULL WHERE label = 5"),
        lambda: db.execute("VACUUM (INDEX_CLEANUP ON) items"),
    ):
        with pytest.raises(errors.ObjectNotInPrerequisiteState) as refused:
            use()
        assert "items_index" in refused.value.diag.message_primary
        assert f"version {version}" in refused.value.diag.message_detail
        assert "REINDEX" in refused.value.diag.message_hint
        db.execute("RESET ALL")
