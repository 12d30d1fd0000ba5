"""Node: short tests of our own (node/*.test.js) of drivers and ORMs with npm's pgvector.

That package comes without its tests. Node itself comes from npm too, as some of the ORMs need a newer one
than distributions have.
"""

import functools
import json
import shutil
from pathlib import Path

import installs
from suite import Counts, Run, Suite, junit_counts, say

DATABASE = "node_clients"
OURS = installs.HERE / "node"
PACKAGES = json.loads((OURS / "package.json").read_text())["dependencies"]


@functools.cache
def node_modules() -> Path:
    """The directory with Node, its packages and our tests beside them, where `import` finds the packages."""
    directory = installs.DIRECTORY / "node"
    lists = [OURS / name for name in ("package.json", "package-lock.json", ".npmrc")]

    def fetch() -> None:
        say("installing Node and the packages of node/package.json")
        directory.mkdir()
        for path in lists:
            shutil.copy(path, directory)
        installs.command("npm", "ci", "--ignore-scripts", "--loglevel=error", cwd=directory)

    installs.unless_done(directory, b"".join(path.read_bytes() for path in lists), fetch)
    for path in OURS.glob("*.js"):
        shutil.copy(path, directory)
    return directory


def node() -> Path:
    """The one of the packages node-linux-* that npm found fit for this machine."""
    (program,) = node_modules().glob("node_modules/node-linux-*/bin/node")
    return program


def run(name: str, run: Run) -> Counts:
    run.server.create_database(DATABASE)
    report = run.directory / "report.xml"
    reporters = ("junit", report), ("spec", "stdout")
    options = [
        f"--test-{option}={value}"
        for reporter, destination in reporters
        for option, value in (("reporter", reporter), ("reporter-destination", destination))
    ]
    code = run.execute(
        [node(), "--test", *options, node_modules() / f"{name}.test.js"],
        DATABASE,
        DATABASE_URL=run.server.url(DATABASE),
    )
    return junit_counts(report, code)


def suite(name: str, package: str, title: str) -> Suite:
    return Suite(
        name=f"node-{name}",
        title=f"{title} {PACKAGES[package]} (Node)",
        source=f"our own, with pgvector {PACKAGES['pgvector']} (npm)",
        install=node_modules,
        run=functools.partial(run, name),
    )


SUITES = [
    suite("pg", "pg", "pg"),
    suite("postgres", "postgres", "Postgres.js"),
    suite("knex", "knex", "Knex"),
    suite("kysely", "kysely", "Kysely"),
    suite("drizzle", "drizzle-orm", "Drizzle"),
    suite("sequelize", "sequelize", "Sequelize"),
    suite("typeorm", "typeorm", "TypeORM"),
    suite("mikro-orm", "@mikro-orm/postgresql", "MikroORM"),
]
