"""Vector stores of frameworks: the suites in the source archives of LangChain's and Haystack's stores, run as
they are but for the server's address; and, as LlamaIndex's has none, a test of our own for it."""

import functools
import shutil

import installs
from suite import Counts, Run, Suite, pytest, substitute

REQUIREMENTS = "stores/requirements.txt"
# Nothing is asked of a hub or sent to anyone.
OFFLINE = {
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LANGSMITH_TRACING": "false",
    "TIKTOKEN_CACHE_DIR": "/nonexistent",
}


def install() -> None:
    installs.virtual_environment("stores")
    installs.source_archives("stores")


def langchain(run: Run) -> Counts:
    database = "langchain_test"
    installs.unpack(installs.source_archives("stores"), "langchain_postgres", run.directory)
    server = run.server
    server.create_database(database)
    address = {
        "POSTGRES_HOST": server.host,
        "POSTGRES_PORT": str(server.port),
        "POSTGRES_USER": server.user,
        "POSTGRES_PASSWORD": server.password,
        "POSTGRES_DB": database,
    }
    return pytest(run, installs.virtual_environment("stores"), database, "tests", **address, **OFFLINE)


def haystack(run: Run) -> Counts:
    database = "haystack"
    installs.unpack(installs.source_archives("stores"), "pgvector_haystack", run.directory)
    theirs = "postgresql://postgres:postgres@localhost:5432/postgres"
    substitute(run.directory / "tests", {theirs: run.server.url(database)}, "*.py")
    run.server.create_database(database)
    return pytest(run, installs.virtual_environment("stores"), database, "tests", **OFFLINE)


def own(file: str, run: Run) -> Counts:
    database = "stores"
    shutil.copy(installs.HERE / "stores" / file, run.directory)
    run.server.create_database(database)
    url = run.server.url(database)
    return pytest(run, installs.virtual_environment("stores"), database, file, DATABASE_URL=url, **OFFLINE)


def version(package: str) -> str:
    return installs.pinned(REQUIREMENTS, package)


SUITES = [
    Suite(
        name="langchain",
        title=f"LangChain {version('langchain-core')}",
        source=f"langchain-postgres {version('langchain-postgres')} (PyPI)",
        install=install,
        run=langchain,
        short=False,
    ),
    Suite(
        name="haystack",
        title=f"Haystack {version('haystack-ai')}",
        source=f"pgvector-haystack {version('pgvector-haystack')} (PyPI)",
        install=install,
        run=haystack,
        short=False,
    ),
    Suite(
        name="llama-index",
        title=f"LlamaIndex {version('llama-index-core')}",
        source="our own, with llama-index-vector-stores-postgres "
        f"{version('llama-index-vector-stores-postgres')} (PyPI)",
        install=install,
        run=functools.partial(own, "test_llama_index.py"),
        short=False,
    ),
]
