"""Damaged index files: an error that says so, or the right answer; no crash and no wrong rows.

Pages are zeroed, swapped, torn and cut off, as failing disks and file systems do; bytes are changed one at a
time.
"""

import contextlib
import re
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from numpy.random import Generator
from psycopg import errors

import serveruser
import vectors
from changes import Items
from conftest import create_database
from oracle import Question, compare
from pages import CHECKED_FROM, HEADER, KINDS, PAGE, PAYLOAD, Pages
from pgcluster import Cluster
from vectors import Source, clustered

# Where the metapage has the delta chain: its owner, head and tail.
DELTA_CHAIN = PAYLOAD + 56
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
    pages = Pages(cluster.data / path)
    at = DELTA_CHAIN + {"head": 8, "tail": 12}[field]
    assert struct.unpack_from("<I", pages[0], at) != (0,)
    struct.pack_into("<I", pages[0], at, 0)
    pages.stamp(0)
    pages.write()
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


def test_damage_stays_an_error(make_cluster: Callable[..., Cluster], rng: Generator) -> None:
    """Who has been told once finds the page in a buffer the next time, and must be told again."""
    cluster = make_cluster("server")
    create_database(cluster, "damage")
    source = Source(rng, 24, clustered, nulls=0.02)
    # A scan of everything reads each of them.
    kinds = [kind for kind in KINDS.values() if kind != "attributes"]
    files = {}
    with vectors.register(cluster.connect("damage")) as connection:
        items = Items(connection, source, 1500)
        items.create()
        items.copy()
        for kind in kinds:
            connection.execute(f"CREATE TABLE {kind} AS SELECT * FROM items")
            connection.execute(f"CREATE INDEX {kind}_index ON {kind} USING kdtree (embedding)")
            connection.execute(f"INSERT INTO {kind} SELECT * FROM items LIMIT 100")
            (path,) = connection.execute(f"SELECT pg_relation_filepath('{kind}_index')").fetchone()
            files[kind] = cluster.data / path
    cluster.stop()
    for kind, path in files.items():
        pages = Pages(path)
        block = int(rng.choice(pages.of_kind(kind)))
        change_byte(path, block * PAGE + PAYLOAD + int(rng.integers(pages.used(block))), 1)
    cluster.start()
    for kind in kinds:
        with vectors.register(cluster.connect("damage")) as connection:
            question = Question("<->", parameters={"target": source.vector()}, table=kind)
            for _ in range(3):
                with pytest.raises(CORRUPTION):
                    compare(connection, question, f"{kind}_index")
        with cluster.connect("damage") as connection:
            connection.execute(f"DROP TABLE {kind}")
    cluster.log.unlink()


# Single bytes --------------------------------------------------------------------------------------------


@pytest.fixture
def all_kinds(make_cluster: Callable[..., Cluster], rng: Generator) -> tuple[Cluster, Source]:
    """A server with 16 buffers, and an index with pages of every kind, all of them in use."""
    cluster = make_cluster("server", shared_buffers="128kB", autovacuum="off", max_connections="5")
    create_database(cluster, "damage")
    source = Source(rng, 24, clustered, nulls=0.02, zeros=0.02)
    with vectors.register(cluster.connect("damage")) as connection:
        items = Items(connection, source, 1000)
        items.create()
        items.copy()
        connection.execute(
            "CREATE INDEX items_index ON items USING kdtree (embedding vector_cosine_ops, label)"
        )
        items.copy()
        connection.execute("CREATE TABLE others AS SELECT generate_series(1, 20000) AS id")
        connection.execute("CREATE INDEX others_index ON others (id)")
        connection.execute("VACUUM others")
        connection.execute("CHECKPOINT")
    return cluster, source


def push_out(connection: psycopg.Connection) -> None:
    """Fills all buffers with another index's pages."""
    connection.execute("SET enable_seqscan = off")
    connection.execute("SELECT count(*) FROM others WHERE id > 0")
    connection.execute("RESET enable_seqscan")


def bytes_to_change(pages: Pages, rng: Generator, count: int) -> list[tuple[int, int]]:
    """Blocks and offsets: in every kind of page, in its two headers, in what is used of it, and behind."""
    chosen = []
    kinds = {kind: blocks for kind in KINDS.values() if (blocks := pages.of_kind(kind))}
    assert kinds.keys() == set(KINDS.values())
    while len(chosen) < count:
        for blocks in kinds.values():
            block = int(rng.choice(blocks))
            end = PAYLOAD + pages.used(block)
            for first, last in ((0, HEADER), (HEADER, PAYLOAD), (PAYLOAD, end), (end, PAGE)):
                if first < last:
                    chosen.append((block, int(rng.integers(first, last))))
    return chosen


def complaints(connection: psycopg.Connection, source: Source) -> str:
    """Reads all of the index in all ways; what was found, if not the right answers."""
    found = []
    for limit in (5, None):
        push_out(connection)
        question = Question("<=>", parameters={"target": source.vector()}, limit=limit)
        try:
            compare(connection, question, "items_index")
        except errors.IndexCorrupted as error:
            assert "items_index" in error.diag.message_primary
            assert "REINDEX" in error.diag.message_hint
            found.append(f"{error.diag.message_primary} {error.diag.message_detail}")
        except errors.DataCorrupted as error:
            found.append(error.diag.message_primary)
    push_out(connection)
    try:
        for block, problem in connection.execute("SELECT * FROM kdtree_check('items_index', true)"):
            found.append(f"block {block}: {problem}")
    except CORRUPTION as error:
        found.append(f"{error.diag.message_primary} {error.diag.message_detail}")
    return "; ".join(found)


@pytest.mark.parametrize("checksums", [False, True], ids=["plain", "checksums"])
def test_every_changed_byte_is_noticed(
    checksums: bool,
    all_kinds: tuple[Cluster, Source],
    rng: Generator,
    request: pytest.FixtureRequest,
) -> None:
    """Fault 9: in every kind of page, wherever it means something; with data checksums, anywhere at all.

    The first 10 bytes of a page are Postgres' own, its LSN and checksum; ours leaves them out.
    """
    cluster, source = all_kinds
    if checksums:
        cluster.stop()
        serveruser.run([cluster.tree.program("pg_checksums"), "--enable", "--pgdata", cluster.data])
        cluster.start()
    with cluster.connect("damage") as connection:
        (path,) = connection.execute("SELECT pg_relation_filepath('items_index')").fetchone()
    path = cluster.data / path
    pages = Pages(path)
    noticed = 0
    places = bytes_to_change(pages, rng, 12 * request.config.option.interruptions)
    for block, offset in places:
        mask = int(rng.integers(1, 256))
        with vectors.register(cluster.connect("damage")) as connection:
            push_out(connection)
            change_byte(path, block * PAGE + offset, mask)
            try:
                found = complaints(connection, source)
            finally:
                change_byte(path, block * PAGE + offset, mask)
        where = f"byte {offset} of block {block}, {pages.kind(block)}: {found}"
        meaningful = CHECKED_FROM <= offset < PAYLOAD + pages.used(block)
        assert found or not (meaningful or checksums), where
        assert not found or re.search(rf"\b{block}\b", found), where
        noticed += bool(found)
    assert noticed > len(places) // 2
    with vectors.register(cluster.connect("damage")) as connection:
        assert not complaints(connection, source)
    cluster.log.unlink()


def change_byte(path: Path, at: int, mask: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        (before,) = file.read(1)
        file.seek(at)
        file.write(bytes([before ^ mask]))


def test_torn_pages(all_kinds: tuple[Cluster, Source], rng: Generator) -> None:
    """Fault 9: pages of which only a part was written, as without full_page_writes after a loss of power."""
    cluster, source = all_kinds
    with vectors.register(cluster.connect("damage")) as connection:
        (path,) = connection.execute("SELECT pg_relation_filepath('items_index')").fetchone()
        old = Pages(cluster.data / path)
        items = Items(connection, source, 50)
        connection.execute("DELETE FROM items WHERE label < 3")
        items.vacuum()
        items.copy()
        connection.execute("CHECKPOINT")
    new = Pages(cluster.data / path)
    torn = 0
    for block in range(len(old.pages)):
        # Disks write sectors of 512 bytes, or of 4096.
        at = 512 * int(rng.integers(1, PAGE // 512))
        mixed = new[block][:at] + old[block][at:]
        if mixed in (old[block], new[block]) or old.kind(block) != new.kind(block):
            continue
        torn += 1
        with vectors.register(cluster.connect("damage")) as connection:
            push_out(connection)
            write_page(new.path, block, mixed)
            found = complaints(connection, source)
            write_page(new.path, block, new[block])
        in_use = mixed[: PAYLOAD + new.used(block)] != new[block][: PAYLOAD + new.used(block)]
        assert found or not in_use, f"block {block}, a {new.kind(block)} page, torn at {at}"
    assert torn > 3
    with vectors.register(cluster.connect("damage")) as connection:
        assert not complaints(connection, source)
        connection.execute("REINDEX INDEX items_index")
    cluster.log.unlink()


def write_page(path: Path, block: int, page: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(block * PAGE)
        file.write(page)
