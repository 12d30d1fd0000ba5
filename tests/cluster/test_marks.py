"""Pages that one backend found sound are marked in memory for the others (src/pg/mark.rs).

Marks are never on disk, and not on what is read again.
"""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from numpy.random import Generator
from psycopg import errors

import vectors
from changes import Items
from conftest import create_contrib, create_database
from oracle import Question, compare
from pages import HEADER_CHECKSUM, PAGE, PAYLOAD, Pages
from pgcluster import Cluster
from vectors import Source, clustered

MARK = slice(HEADER_CHECKSUM - 4, HEADER_CHECKSUM)
NONE = bytes(4)
# An index of some 170 pages, and 128 buffers. Nothing else writes or reads pages.
SETTINGS = {
    "shared_buffers": "1MB",
    "autovacuum": "off",
    "bgwriter_lru_maxpages": "0",
    "wal_level": "replica",
    "max_wal_size": "8GB",
}
NO_INSPECTION = "without pageinspect, nobody sees a page in memory"


def fill(connection: psycopg.Connection, rng: Generator) -> Items:
    items = Items(vectors.register(connection), Source(rng, 48, clustered, nulls=0.01), 10_000)
    items.create()
    items.copy()
    connection.execute("CREATE INDEX items_index ON items USING kdtree (embedding)")
    connection.execute("CREATE TABLE others AS SELECT generate_series(1, 500000) AS id")
    connection.execute("CREATE INDEX others_index ON others (id)")
    connection.execute("VACUUM others")
    connection.execute("CHECKPOINT")
    return items


def ask(cluster: Cluster, database: str, source: Source) -> None:
    """As a new connection."""
    with vectors.register(cluster.connect(database)) as connection:
        compare(connection, Question("<->", parameters={"target": source.vector()}), "items_index")


def index_path(connection: psycopg.Connection, cluster: Cluster) -> Path:
    (path,) = connection.execute("SELECT pg_relation_filepath('items_index')").fetchone()
    return cluster.data / path


def push_out(connection: psycopg.Connection) -> None:
    """Fills all buffers with another index's pages."""
    connection.execute("SET enable_seqscan = off")
    connection.execute("SELECT count(*) FROM others WHERE id > 0")
    connection.execute("RESET enable_seqscan")


def change_byte(path: Path, at: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        (before,) = file.read(1)
        file.seek(at)
        file.write(bytes([before ^ 0x10]))


def marked_in_memory(connection: psycopg.Connection, path: Path) -> set[str]:
    """Kinds of pages with a mark."""
    pages = Pages(path)
    read = "SELECT get_raw_page('items_index', %s)"
    raw = [connection.execute(read, (block,)).fetchone()[0] for block in range(len(pages.pages))]
    return {pages.kind(block) for block, page in enumerate(raw) if page[MARK] != NONE}


def test_marks_stay_in_memory(make_cluster: Callable[..., Cluster], rng: Generator) -> None:
    cluster = make_cluster("server", **SETTINGS | {"shared_buffers": "64MB"})
    create_database(cluster, "marks")
    with vectors.register(cluster.connect("marks")) as connection:
        items = fill(connection, rng)
        inspects = create_contrib(connection, "pageinspect")
        path = index_path(connection, cluster)
        ask(cluster, "marks", items.source)
        if inspects:
            assert marked_in_memory(connection, path) == {"leaf", "fine"}
        ask(cluster, "marks", items.source)
        # All that writes pages, or has them written.
        connection.execute("DELETE FROM items WHERE label = 0")
        items.vacuum()
        items.copy()
        ask(cluster, "marks", items.source)
        connection.execute("SELECT kdtree_merge('items_index')")
        if inspects:
            # What was written and is not on disk yet has none.
            ask(cluster, "marks", items.source)
            dirty = Pages(path)
            read = "SELECT get_raw_page('items_index', %s)"
            for block in range(len(dirty.pages)):
                (page,) = connection.execute(read, (block,)).fetchone()
                assert page[MARK] == NONE or page[PAYLOAD:] == dirty[block][PAYLOAD:]
        connection.execute("CHECKPOINT")
        ask(cluster, "marks", items.source)
        if inspects:
            assert marked_in_memory(connection, path) >= {"leaf", "fine"}
        assert not connection.execute("SELECT * FROM kdtree_check('items_index', true)").fetchall()
        connection.execute("UPDATE items SET label = label + 1 WHERE label < 3")
        items.vacuum()
        connection.execute("CHECKPOINT")
    cluster.stop()
    assert all(page[MARK] == NONE for page in Pages(path).pages)
    cluster.start()
    ask(cluster, "marks", items.source)
    if not inspects:
        pytest.skip(NO_INSPECTION)


@pytest.mark.parametrize("database", ["marks", "copy"])
def test_damage_behind_a_mark(make_cluster: Callable[..., Cluster], rng: Generator, database: str) -> None:
    """What is read from disk again is looked at again, and a mark that was copied means nothing."""
    cluster = make_cluster("server", **SETTINGS)
    create_database(cluster, "marks")
    with vectors.register(cluster.connect("marks")) as connection:
        source = fill(connection, rng).source
    for _ in range(3):
        ask(cluster, "marks", source)
    if database == "copy":
        with cluster.connect() as connection:
            connection.execute("CREATE DATABASE copy TEMPLATE marks")
            connection.execute("CHECKPOINT")
    with cluster.connect(database) as connection:
        path = index_path(connection, cluster)
        for kind in ("leaf", "fine"):
            pages = Pages(path)
            blocks = pages.of_kind(kind)
            # Those that have one on disk, if there are any in the copy.
            blocks = [block for block in blocks if pages[block][MARK] != NONE] or blocks
            block = int(rng.choice(blocks))
            at = block * PAGE + PAYLOAD + int(rng.integers(pages.used(block)))
            push_out(connection)
            change_byte(path, at)
            for _ in range(2):
                with (
                    vectors.register(cluster.connect(database)) as reader,
                    pytest.raises(errors.IndexCorrupted, match="items_index"),
                ):
                    everything = Question("<->", parameters={"target": source.vector()}, limit=None)
                    compare(reader, everything, "items_index")
            push_out(connection)
            change_byte(path, at)
            ask(cluster, database, source)
    cluster.log.unlink()
