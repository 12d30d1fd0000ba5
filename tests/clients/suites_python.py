"""PyPI's pgvector: the tests in its source archive, a file for each driver or ORM.

They are run as they are, but for the `conftest.py` that the archive lacks and, for pg8000, which reads no
variables of libpq's, the server's address. The files that talk to no server are left out.
"""

import functools
import shutil
from pathlib import Path

import installs
from suite import Counts, Run, Suite, pytest, substitute

DATABASE = "pgvector_python_test"  # the tests' own name for it
VERSION = installs.pinned("python/sources.txt", "pgvector")


def install() -> None:
    installs.virtual_environment("python")
    installs.source_archives("python")


def run(file: str, run: Run) -> Counts:
    tests = run.directory / "tests"
    installs.unpack(installs.source_archives("python"), "pgvector", run.directory)
    shutil.copy(Path(installs.HERE, "python", "conftest.py"), tests)
    (tests / "__init__.py").touch()  # it is imported as `.conftest`
    server = run.server
    if file == "test_pg8000.py":
        address = f"port={server.port}, password={server.password!r}"
        substitute(tests, {"Connection(getuser(), ": f"Connection(getuser(), {address}, "}, file)
    elif file == "test_sqlalchemy.py":
        address = f":{server.password}@{server.host}:{server.port}/"
        substitute(tests, {"+pg8000://{getuser()}@localhost/": f"+pg8000://{{getuser()}}{address}"}, file)
    # SQLModel's tests do not commit their CREATE EXTENSION.
    server.create_database(DATABASE, extension=file == "test_sqlmodel.py")
    return pytest(run, installs.virtual_environment("python"), DATABASE, f"tests/{file}")


def suite(name: str, file: str, package: str, title: str) -> Suite:
    version = installs.pinned("python/requirements.txt", package)
    return Suite(
        name=name,
        title=f"{title} {version}",
        source=f"pgvector {VERSION} (PyPI), `{file}`",
        install=install,
        run=functools.partial(run, file),
    )


SUITES = [
    suite("psycopg", "test_psycopg.py", "psycopg", "psycopg"),
    suite("psycopg2", "test_psycopg2.py", "psycopg2-binary", "psycopg2"),
    suite("asyncpg", "test_asyncpg.py", "asyncpg", "asyncpg"),
    suite("pg8000", "test_pg8000.py", "pg8000", "pg8000"),
    suite("sqlalchemy", "test_sqlalchemy.py", "SQLAlchemy", "SQLAlchemy"),
    suite("sqlmodel", "test_sqlmodel.py", "sqlmodel", "SQLModel"),
    suite("django", "test_django.py", "Django", "Django"),
    suite("peewee", "test_peewee.py", "peewee", "Peewee"),
]
