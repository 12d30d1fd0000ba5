"""Fixtures for tests against real servers.

`cluster`        one server for the whole session; its settings are for speed, not for safety.
`db`             a connection to a database of the test's own on it, with both extensions.
`make_cluster`   a factory of servers that a test may crash, restart, promote: make_cluster("primary").
                 Cluster.standby(name) of one of these is removed at the test's end as well.
`rng`            a numpy generator. Its seed is printed at the top of the run and with every failure; it is
                 set by --seed N or KDVECTOR_TEST_SEED=N.

How many random cases there are, how long load lasts and so on are options with defaults (`--help` lists them
under "kdvector"); --cases N and KDVECTOR_TEST_CASES=N are the same. With --long the defaults are larger, and
tests that are marked `long` run too.

A server whose log tells of a crash, of corruption or of a leak fails the test that used it last.

Run them through `make test`, or `target/venv/bin/python -m pytest tests/cluster` after `make`.
"""

import os
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy
import psycopg
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import paths  # noqa: E402
import pgtree  # noqa: E402
import serverlog  # noqa: E402
from oracle import verify  # noqa: E402
from pgcluster import Cluster  # noqa: E402
from pgtree import Tree  # noqa: E402

LOG_DIR = paths.target_dir() / "test-logs" / "servers"

# kill -9 loses nothing without fsync, as the operating system survives; only a power cut would.
FAST = {
    "fsync": "off",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "max_prepared_transactions": "20",
}


# Name, default, default with --long, what it is.
NUMBERS = (
    ("cases", 90, 900, "random tables that are compared with their index"),
    ("load-seconds", 20, 120, "how long the tests of concurrency put load on a server"),
    ("crashes", 3, 30, "how often a server under each kind of load is killed"),
    ("wal-points", 28, 10**9, "WAL records after which a crash is tried; of each test, evenly chosen"),
    ("interruptions", 25, 250, "moments at which a statement is interrupted"),
    ("soak-seconds", 15, 600, "how long the steady load of the soak test lasts"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kdvector")
    group.addoption("--long", action="store_true", help="run the long tests, and the others for longer")
    group.addoption("--seed", type=int, help="repeat the random tests of an earlier run")
    for name, short, long, text in NUMBERS:
        group.addoption(f"--{name}", type=int, help=f"{text}; {short}, with --long {long}")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: runs with --long only")
    given = config.option

    def default(option: str, value: int) -> None:
        name = option.replace("-", "_")
        if getattr(given, name) is None:
            setattr(given, name, int(os.environ.get(f"KDVECTOR_TEST_{name.upper()}", value)))

    default("seed", secrets.randbelow(2**32))
    for name, short, long, _ in NUMBERS:
        default(name, long if given.long else short)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.option.long:
        long = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if item not in long]
        config.hook.pytest_deselected(items=long)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:
        report.sections.append(("random seed", f"--seed {item.config.option.seed}"))
    return report


def pytest_report_header(config: pytest.Config) -> str:
    return f"random seed: --seed {config.option.seed}"


@pytest.fixture(scope="session")
def tree() -> Tree:
    """The private installation, with what was built last installed in it."""
    return pgtree.prepare()


@pytest.fixture(scope="session")
def cluster(tree: Tree) -> Iterator[Cluster]:
    server = Cluster("tests", tree, settings=FAST, log_dir=LOG_DIR)
    remove_remains(server)
    with server:
        yield server
    server.destroy()
    assert not serverlog.faults(server)


@pytest.fixture
def dbname(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of the test's own with both extensions."""
    name = re.sub(r"\W+", "_", request.node.name)[:63]
    create_database(cluster, name)
    yield name
    with cluster.connect(name) as connection:
        verify(connection)
    with cluster.connect() as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def db(cluster: Cluster, dbname: str) -> Iterator[psycopg.Connection]:
    with cluster.connect(dbname) as connection:
        yield connection


@pytest.fixture
def make_cluster(tree: Tree, request: pytest.FixtureRequest) -> Iterator[Callable[..., Cluster]]:
    """make_cluster(name, **settings) starts a new server; the test may do anything to it.

    With installation=..., it is one of another version.
    """
    made: list[Cluster] = []

    class TestCluster(Cluster):
        def __init__(self, name: str, *arguments, **kwargs):
            super().__init__(name, *arguments, **kwargs)
            remove_remains(self)
            made.append(self)

    def make(name: str, *, installation: Tree = tree, **settings: str) -> Cluster:
        full_name = f"{request.node.originalname}-{name}"
        server = TestCluster(full_name, installation, settings={**FAST, **settings}, log_dir=LOG_DIR)
        server.start()
        return server

    yield make
    try:
        for server in made:
            verify_all(server)
    finally:
        for server in made:
            server.destroy()
    for server in made:
        assert not serverlog.faults(server)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> numpy.random.Generator:
    """Random numbers that depend on --seed and the test's name only, not on the order of tests."""
    name = list(request.node.name.encode())
    return numpy.random.default_rng([request.config.option.seed, *name])


def remove_remains(server: Cluster) -> None:
    """Removes what an earlier run left of a cluster of this name."""
    server.destroy()
    server.log.unlink(missing_ok=True)


def verify_all(server: Cluster) -> None:
    """Verifies the indexes of all databases of a server, unless it is stopped or a standby."""
    if not server.running:
        return
    with server.connect() as connection:
        if connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
            return
        names = connection.execute("SELECT datname FROM pg_database WHERE datallowconn").fetchall()
    for (name,) in names:
        with server.connect(name) as connection:
            verify(connection)


def has_extension(connection: psycopg.Connection, name: str) -> bool:
    query = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = %s)"
    return connection.execute(query, (name,)).fetchone()[0]


def create_contrib(connection: psycopg.Connection, name: str) -> bool:
    """Makes an extension of PostgreSQL's contrib, which installations from Python packages have not."""
    query = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = %s)"
    (available,) = connection.execute(query, (name,)).fetchone()
    if available:
        connection.execute(f"CREATE EXTENSION {name}")
    return available


def create_database(cluster: Cluster, name: str) -> None:
    """Makes a database anew, with both extensions."""
    cluster.create_database(name)
    with cluster.connect(name) as connection:
        connection.execute("CREATE EXTENSION kdtree CASCADE")
