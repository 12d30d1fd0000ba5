"""Damaged index files: an error that says so, or the right answer; no crash and no wrong rows.

Pages are zeroed, swapped and cut off, as failing disks and file systems do; flipped bits are what the data
checksums of Postgres are for. Each page says what it is, whose it is and which one it is: this is tested.
"""

import contextlib
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from numpy.random import Generator
from psycopg import errors

import vectors
from changes import Items
from conftest import create_database
from oracle import Question, compare
from pgcluster import Cluster
from vectors import Source, clustered

PAGE = 8192
# Where the metapage has the delta chain: its owner, head and tail.
DELTA_CHAIN = 64 + 24
TABLES = 40
# Of our own checks, and of Postgres when a page cannot be read or has not even its header.
CORRUPTION = (errors.IndexCorrupted, errors.DataCorrupted)


def zero_page(pages: list[bytes], rng: Generator) -> None:
    pages[rng.integers(len(pages))] = bytes(PAGE)


def zero_metapage(pages: list[bytes], _rng: Generator) -> None:
    pages[0] = bytes(PAGE)


def swap_pages(pages: list[bytes], rng: Generator) -> None:
    one, other = rng.choice(len(pages), 2, replace=False)
    pages[one], pages[other] = pages[other], pages[one]


def repeat_page(pages: list[bytes], rng: Generator) -> None:
    """A write that went to the wrong place."""
    one, other = rng.choice(len(pages), 2, replace=False)
    pages[one] = pages[other]


def cut_off(pages: list[bytes], rng: Generator) -> None:
    del pages[rng.integers(len(pages)) :]


DAMAGES = (zero_page, zero_metapage, swap_pages, repeat_page, cut_off)


def damage(path: Path, rng: Generator) -> str:
    """Damages a file in a random way, and says how."""
    content = path.read_bytes()
    pages = [content[at : at + PAGE] for at in range(0, len(content), PAGE)]
    kind = DAMAGES[rng.integers(len(DAMAGES))]
    kind(pages, rng)
    with open(path, "r+b") as file:
        file.write(b"".join(pages))
        file.truncate()
    return kind.__name__


def within(seconds: float, cluster: Cluster, run: Callable[[], object]) -> None:
    """Runs something that might hang so that no cancel ends it: then the server is killed, and this fails."""
    watchdog = threading.Timer(seconds, cluster.crash)
    watchdog.start()
    try:
        run()
    finally:
        watchdog.cancel()
        watchdog.join()


@pytest.mark.parametrize("field", ["head", "tail"])
def test_chain_that_names_the_metapage(
    field: str, make_cluster: Callable[..., Cluster], rng: Generator
) -> None:
    """Who follows it while the metapage is locked would wait for itself."""
    cluster = make_cluster("server")
    create_database(cluster, "damage")
    source = Source(rng, 24, clustered)
    with vectors.register(cluster.connect("damage")) as connection:
        items = Items(connection, source, 100)
        items.create()
        connection.execute("CREATE INDEX items_index ON items USING kdtree (embedding)")
        items.copy()
        (path,) = connection.execute("SELECT pg_relation_filepath('items_index')").fetchone()
    cluster.stop()
    with open(cluster.data / path, "r+b") as file:
        file.seek(DELTA_CHAIN + {"head": 8, "tail": 12}[field])
        file.write(struct.pack("=I", 0))
    cluster.start()
    with vectors.register(cluster.connect("damage")) as connection:
        question = Question("<->", parameters={"target": source.vector()})
        with pytest.raises(CORRUPTION):
            within(60, cluster, Items(connection, source, 100).copy)
            compare(connection, question, "items_index")
    with vectors.register(cluster.connect("damage")) as connection:
        connection.execute("REINDEX INDEX items_index")
        compare(connection, question, "items_index")
    cluster.log.unlink()


def test_damage_is_noticed(make_cluster: Callable[..., Cluster], rng: Generator) -> None:
    cluster = make_cluster("server")
    create_database(cluster, "damage")
    source = Source(rng, 24, clustered, nulls=0.02)
    files = []
    with vectors.register(cluster.connect("damage")) as connection:
        items = Items(connection, source, 1500)
        items.create()
        items.copy()
        connection.execute("DELETE FROM items WHERE label = 0")
        for number in range(TABLES):
            table = f"items_{number}"
            connection.execute(f"CREATE TABLE {table} (LIKE items INCLUDING DEFAULTS INCLUDING INDEXES)")
            connection.execute(
                f"CREATE INDEX {table}_index ON {table} USING kdtree (embedding) WITH (delta_size = 64)"
            )
            connection.execute(f"INSERT INTO {table} SELECT * FROM items")
            (path,) = connection.execute(f"SELECT pg_relation_filepath('{table}_index')").fetchone()
            files.append(cluster.data / path)
    cluster.stop()
    damages = [damage(path, rng) for path in files]
    cluster.start()

    noticed = 0
    for number, kind in enumerate(damages):
        table = f"items_{number}"
        with vectors.register(cluster.connect("damage")) as connection:
            question = Question("<->", parameters={"target": source.vector()}, table=table)
            print(f"{table}: {kind}")
            try:
                compare(connection, question, f"{table}_index")
            except CORRUPTION as error:
                noticed += 1
                if isinstance(error, errors.IndexCorrupted):
                    assert f"{table}_index" in error.diag.message_primary
                    assert "REINDEX" in error.diag.message_hint
        # Whatever else is done to it: an error or not, but nothing worse. REINDEX mends all.
        with vectors.register(cluster.connect("damage")) as connection:
            connection.execute("SET statement_timeout = '60s'")
            for statement in (
                f"INSERT INTO {table} (label, embedding) SELECT label, embedding FROM items",
                f"SELECT * FROM kdtree_stats('{table}_index')",
                f"DELETE FROM {table} WHERE label = 1",
                f"VACUUM {table}",
            ):
                with contextlib.suppress(*CORRUPTION):
                    connection.execute(statement)
            connection.execute(f"REINDEX INDEX {table}_index")
            compare(connection, question, f"{table}_index")
    assert noticed > TABLES // 2
    log = cluster.log.read_text()
    assert "PANIC" not in log and "TRAP" not in log and "terminated by signal" not in log
    # It tells of corruption, which is an error in every other test.
    cluster.log.unlink()
