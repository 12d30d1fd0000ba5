"""Too little of disk, shared memory, memory, threads, buffers: errors, but no crash and no wrong rows."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from numpy.random import Generator
from psycopg import errors

import processes
import serveruser
import vectors
from changes import Items
from conftest import create_database
from load import running, writer
from oracle import OPERATORS, THROUGH_INDEX, Question, apply, compare, compare_all, compare_size, verify
from pgcluster import Cluster
from pgtree import Tree
from vectors import Source, clustered, uniform

MEGABYTE = 1 << 20
SMALL_DELTA = "WITH (delta_size = 64)"
CREATE_INDEX = "CREATE INDEX items_index ON items USING kdtree (embedding)"


# Disk ----------------------------------------------------------------------------------------------------


class SmallDisk:
    """A file system in memory, of which any amount can be made to look used."""

    def __init__(self, place: Path, size: int):
        self.place = place
        serveruser.make_directory(place)
        account = serveruser.owner()
        options = f"size={size},mode=700,uid={account.pw_uid},gid={account.pw_gid}"
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place]
        done = subprocess.run(mount, capture_output=True, text=True)
        if done.returncode != 0:
            place.rmdir()
            pytest.skip(f"no small disk can be mounted: {done.stderr.strip()}")

    @property
    def _filler(self) -> Path:
        return self.place / "filler"

    def leave(self, free: int) -> None:
        """Leaves only so many bytes."""
        self._filler.unlink(missing_ok=True)
        used = max(0, shutil.disk_usage(self.place).free - free)
        with open(self._filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, used))

    def leave_all(self) -> None:
        self._filler.unlink(missing_ok=True)

    def remove(self) -> None:
        subprocess.run(["umount", "--lazy", self.place], check=True)
        self.place.rmdir()


@pytest.fixture
def small_disk(tree: Tree) -> Iterator[Callable[[int], SmallDisk]]:
    """small_disk(size) mounts one. To be asked for before servers that use it: they are to go first."""
    disks: list[SmallDisk] = []

    def mount(size: int) -> SmallDisk:
        disks.append(SmallDisk(tree.home / "clusters" / f"small-disk-{os.getpid()}-{len(disks)}", size))
        return disks[-1]

    yield mount
    for disk in disks:
        disk.remove()


def test_index_on_full_disk(
    small_disk: Callable[[int], SmallDisk],
    make_cluster: Callable[..., Cluster],
    rng: Generator,
    request: pytest.FixtureRequest,
) -> None:
    """Fault 20: the index's disk is full at any page of a build, an insert, a sealing, a merge, VACUUM."""
    disk = small_disk(64 * MEGABYTE)
    space = serveruser.make_directory(disk.place / "space")
    cluster = make_cluster("server", autovacuum="off")
    create_database(cluster, "full")
    source = Source(rng, 48, clustered, zeros=0.02, nulls=0.02)
    with vectors.register(cluster.connect("full")) as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{space}'")
        items = Items(connection, source, 4000)
        items.create()
        items.copy()
        connection.execute(f"{CREATE_INDEX} {SMALL_DELTA} TABLESPACE small")
        items.batch = 700
        works = {
            "insert": items.copy,
            "insert-select": items.insert_select,
            "update": items.update_vectors,
            "vacuum": items.vacuum,
            "merge": items.merge,
            "rebuild": lambda: connection.execute("REINDEX INDEX items_index"),
            "build": lambda: connection.execute(
                "CREATE INDEX other ON items USING kdtree (embedding vector_ip_ops) TABLESPACE small"
            ),
        }
        full = dict.fromkeys(works, 0)
        for number in range(2 * request.config.option.interruptions):
            work = list(works)[number % len(works)]
            disk.leave(int(rng.integers(0, 50) if number % 2 else rng.integers(0, 6)) * 8192)
            try:
                works[work]()
            except errors.DiskFull:
                full[work] += 1
            compare_all(connection, source.vector(), limits=(10,))
            connection.execute("DROP INDEX IF EXISTS other")
            if number % 5 == 0:
                disk.leave_all()
                compare_all(connection, source.vector())
                verify(connection)
                items.delete_some()
                works["insert"]()
            if items.count() > 8000:
                items.delete_most()
        print(full)
        # UPDATE and VACUUM may find all that they need.
        assert all(full[work] for work in ("insert", "merge", "rebuild", "build"))
        disk.leave_all()
        items.vacuum()
        compare_size(connection, "items_index")
        compare_all(connection, source.vector())
        verify(connection)


def test_wal_on_full_disk(
    small_disk: Callable[[int], SmallDisk], make_cluster: Callable[..., Cluster], rng: Generator
) -> None:
    """Fault 20: a server that cannot write WAL stops; with room again, it recovers all."""
    disk = small_disk(160 * MEGABYTE)
    cluster = make_cluster("server", max_wal_size="64MB", min_wal_size="32MB", wal_recycle="off")
    create_database(cluster, "full")
    source = Source(rng, 48, clustered, nulls=0.02)
    with vectors.register(cluster.connect("full")) as connection:
        items = Items(connection, source, 3000)
        items.create()
        items.copy()
        connection.execute(f"{CREATE_INDEX} {SMALL_DELTA}")
    cluster.stop()
    pg_wal = cluster.data / "pg_wal"
    shutil.move(pg_wal, disk.place / "pg_wal")
    account = serveruser.owner()
    for path in (disk.place / "pg_wal", *(disk.place / "pg_wal").rglob("*")):
        os.chown(path, account.pw_uid, account.pw_gid)
    pg_wal.symlink_to(disk.place / "pg_wal")
    cluster.start()
    disk.leave(17 * MEGABYTE)
    changes = (Items.copy, Items.update_vectors, Items.delete_some, Items.vacuum, Items.merge)
    with running(
        cluster, "full", rng, *[writer(source, 1000, *changes)] * 2, expected=(psycopg.OperationalError,)
    ):
        deadline = time.monotonic() + 60
        while "No space left on device" not in cluster.log.read_text():
            assert time.monotonic() < deadline, "the disk does not get full"
            time.sleep(0.05)
    # It may have ended itself; it may be trying to recover.
    if cluster.running:
        cluster.crash()
    cluster.stop("immediate")
    disk.leave_all()
    cluster.start()
    with vectors.register(cluster.connect("full")) as connection:
        items = Items(connection, source, 500)
        verify(connection)
        compare_all(connection, source.vector())
        items.copy()
        compare_size(connection, "items_index")
        compare_all(connection, source.vector())
    # It panicked, as a server without WAL does, and nothing else is amiss.
    remove_lines(cluster, "No space left on device", "terminated by signal 6", "PANIC")


def remove_lines(cluster: Cluster, *words: str) -> None:
    """Takes lines that a test expects out of a server's log, so that they do not count as faults."""
    lines = cluster.log.read_text().splitlines(keepends=True)
    cluster.log.write_text("".join(line for line in lines if not any(word in line for word in words)))


def test_little_shared_memory(make_cluster: Callable[..., Cluster], rng: Generator) -> None:
    """Fault 20: /dev/shm just large enough for Postgres itself. Builds and merges need none of it."""
    cluster = make_cluster("server")
    cluster.stop()
    mount = "mount -t tmpfs -o size=4m,mode=1777 tmpfs /dev/shm"
    namespace = ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    done = subprocess.run([*namespace, "df", "/dev/shm"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"/dev/shm cannot be mounted anew: {done.stderr.strip()}")
    cluster.launcher = namespace
    cluster.start()
    create_database(cluster, "small")
    source = Source(rng, 24, clustered)
    with vectors.register(cluster.connect("small")) as connection:
        items = Items(connection, source, 60_000)
        items.create()
        items.copy()
        connection.execute("SET max_parallel_maintenance_workers = 4")
        connection.execute(f"{CREATE_INDEX} {SMALL_DELTA}")
        items.batch = 2000
        items.copy()
        items.delete_some()
        items.vacuum()
        items.merge()
        compare_all(connection, source.vector(), limits=(10, 300))
        verify(connection)


# Memory --------------------------------------------------------------------------------------------------

BUFFERS = 4 * MEGABYTE
# What a backend, the planner, threads and allocators take beside the work that is measured. A build without a
# limit would take 90 MB.
OVERHEAD = 24 * MEGABYTE


@pytest.fixture
def large(make_cluster: Callable[..., Cluster], rng: Generator) -> Iterator[tuple[Cluster, Source]]:
    """A table of 200,000 vectors and 60 MB on a server with few buffers."""
    cluster = make_cluster(
        "server", shared_buffers=f"{BUFFERS // 1024}kB", work_mem="64kB", autovacuum="off", jit="off"
    )
    create_database(cluster, "large")
    source = Source(rng, 64, uniform)
    with vectors.register(cluster.connect("large")) as connection:
        items = Items(connection, source, 500)
        items.create()
        items.copy()
        connection.execute(
            "INSERT INTO items (label, embedding) SELECT a.label, a.embedding + b.embedding "
            "FROM items a, (SELECT embedding FROM items LIMIT 400) b"
        )
        connection.execute("DELETE FROM items WHERE id <= 500")
        connection.execute("VACUUM ANALYZE items")
    yield cluster, source


def growth(cluster: Cluster, settings: dict[str, str], statement: str) -> int:
    """By how many bytes a backend grows for a statement, at most, shared buffers included."""
    with cluster.connect("large") as connection:
        connection.execute("LOAD 'kdvector'")
        apply(connection, settings)
        connection.execute("SELECT count(*) FROM items WHERE id < 1000")
        processes.forget_peak(connection.info.backend_pid)
        before = processes.peak_memory(connection.info.backend_pid)
        connection.execute(statement)
        return processes.peak_memory(connection.info.backend_pid) - before


def test_bounded_memory(large: tuple[Cluster, Source]) -> None:
    """Faults 21 and 23: builds and merges keep to maintenance_work_mem, scans need next to nothing.

    The index does not fit into the server's buffers.
    """
    cluster, source = large
    target = f"'{list(source.vector())}'::vector".replace("np.float32(", "").replace(")", "")
    nearest = f"SELECT id FROM items ORDER BY embedding <-> {target} LIMIT 100"
    for memory in (1, 32):
        settings = {"maintenance_work_mem": f"{memory}MB"}
        grown = {
            "build": growth(cluster, settings, CREATE_INDEX),
            "scan": growth(cluster, THROUGH_INDEX, nearest),
            "merge": growth(cluster, settings, "SELECT kdtree_merge('items_index')"),
            "check": growth(cluster, settings, "SELECT * FROM kdtree_check('items_index')"),
        }
        with vectors.register(cluster.connect("large")) as connection:
            (size,) = connection.execute("SELECT pg_relation_size('items_index')").fetchone()
            assert size > 3 * BUFFERS
            question = Question("<->", parameters={"target": source.vector()}, limit=50)
            compare(connection, question, "items_index")
            (segments,) = connection.execute(
                "SELECT count(*) FROM kdtree_stats('items_index') WHERE kind = 'segment'"
            ).fetchone()
            connection.execute("DROP INDEX items_index")
        print(memory, segments, {work: f"{bytes / MEGABYTE:.1f} MB" for work, bytes in grown.items()})
        # After every sixteen segments, twice as much is allowed.
        allowed = memory * MEGABYTE * 2 ** (segments // 16) * 1.1
        for work in ("build", "merge"):
            assert grown[work] < BUFFERS + allowed + OVERHEAD, work
        assert grown["scan"] < BUFFERS + OVERHEAD
        assert grown["check"] < BUFFERS + OVERHEAD


def test_few_buffers_under_load(
    large: tuple[Cluster, Source], rng: Generator, request: pytest.FixtureRequest
) -> None:
    """Fault 23: every page is read anew while others write, seal, merge and vacuum."""
    cluster, source = large
    with vectors.register(cluster.connect("large")) as connection:
        for opclass in OPERATORS:
            connection.execute(
                f"CREATE INDEX {opclass} ON items USING kdtree (embedding {opclass}) {SMALL_DELTA}"
            )
        items = Items(connection, source, 500)
        changes = (Items.copy, Items.insert_many, Items.update_vector, Items.vacuum, Items.merge)
        with running(cluster, "large", rng, *[writer(source, 500, *changes, limit=10**9)] * 3) as failed:
            deadline = time.monotonic() + request.config.option.load_seconds / 4
            while not failed.is_set() and time.monotonic() < deadline:
                with connection.transaction():
                    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    compare_all(connection, source.vector(), limits=(10,))
        connection.execute("DELETE FROM items WHERE mod(id, 3) > 0")
        items.vacuum()
        verify(connection)
        compare_size(connection, *OPERATORS)
        compare_all(connection, source.vector(), limits=(100,))


# Threads -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def no_more_threads(connection: psycopg.Connection) -> Iterator[None]:
    """Makes the operating system refuse new threads to the session's process."""
    # Done as the server's user: even root may lack the right to do it to others.
    prlimit = ["prlimit", "--pid", connection.info.backend_pid]
    before = serveruser.run([*prlimit, "--nproc", "--noheadings", "--raw", "--output=SOFT"]).strip()
    serveruser.run([*prlimit, "--nproc=1:"])
    try:
        yield
    finally:
        serveruser.run([*prlimit, f"--nproc={before}:"])


def test_threads_that_do_not_start(db: psycopg.Connection, rng: Generator) -> None:
    """Fault 22: an error, after which the session goes on. Inserts need no threads."""
    items = Items(vectors.register(db), Source(rng, 800, clustered), 5500)
    items.create()
    items.copy()
    with no_more_threads(db), pytest.raises(errors.InsufficientResources, match="could not start threads"):
        db.execute(CREATE_INDEX)
    assert processes.has_one_thread(db.info.backend_pid)
    db.execute(f"{CREATE_INDEX} {SMALL_DELTA}")
    with no_more_threads(db):
        items.copy()
        for work in (items.merge, lambda: db.execute("REINDEX INDEX items_index")):
            with pytest.raises(errors.InsufficientResources, match="could not start threads"):
                work()
            compare_all(db, items.source.vector())
    items.copy()
    items.merge()
    compare_all(db, items.source.vector())


# Files ---------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_more_than_one_file(make_cluster: Callable[..., Cluster], rng: Generator) -> None:
    """Fault 23: an index of more than a gigabyte, of which Postgres makes two files.

    It is a delta of as much, then the segment made of it, behind it.
    """
    cluster = make_cluster("server", max_wal_size="16GB", autovacuum="off")
    create_database(cluster, "huge")
    source = Source(rng, 1000, uniform)
    with vectors.register(cluster.connect("huge")) as connection:
        items = Items(connection, source, 540)
        items.create()
        connection.execute(f"{CREATE_INDEX} WITH (delta_size = 2147483647)")
        items.copy()
        connection.execute(
            "INSERT INTO items (label, embedding) "
            "SELECT a.label, a.embedding + b.embedding FROM items a, items b"
        )
        (path,) = connection.execute("SELECT pg_relation_filepath('items_index')").fetchone()
        assert (cluster.data / f"{path}.1").exists()
        compare_all(connection, source.vector(), limits=(10,))
        connection.execute("SET maintenance_work_mem = '2GB'")
        items.merge()
        compare_all(connection, source.vector(), limits=(10,))
        verify(connection)
        connection.execute("DELETE FROM items WHERE mod(id, 4) > 0")
        items.vacuum()
        items.insert_select()
        compare_all(connection, source.vector(), limits=(10, None))
    cluster.crash()
    cluster.start()
    with vectors.register(cluster.connect("huge")) as connection:
        compare_all(connection, source.vector(), limits=(10,))
        compare_size(connection, "items_index")
