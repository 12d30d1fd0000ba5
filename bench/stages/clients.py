"""Queries per second of several clients at once."""

import os
import re
import subprocess
from statistics import median

import psycopg

import pgvectors
import progress
from figures import Section, Target, Unit, at_least

from .common import DIMS, Bench

K = 10
CLIENTS = (1, 2, 4)
_SECONDS = 2
# The vector of a row is the query: it comes by a subquery, so that the client has nothing to do but to ask.
_SCRIPT = """\
\\set id random(1, {rows})
SELECT id FROM items ORDER BY embedding <-> (SELECT embedding FROM items WHERE id = :id) LIMIT {k};
"""


def measure(bench: Bench) -> Section:
    section = Section("Several clients", ("", "the other"))
    script = _SCRIPT.format(rows=bench.rows, k=K)
    with bench.database() as connection:
        line = progress.Line(f"loading {bench.rows:,} vectors")
        connection.execute(f"CREATE TABLE items (id bigint PRIMARY KEY, embedding vector({DIMS}))")
        pgvectors.copy_in(connection, "items", pgvectors.uniform(bench.rows, DIMS))
        connection.execute(f"CREATE INDEX ON items {bench.index}")
        connection.execute("VACUUM ANALYZE items")
        line.done()
        for recall in (1.0, 0.95):
            connection.execute(f"ALTER DATABASE life SET kdtree.recall = {recall}")
            line = progress.Line(f"{', '.join(map(str, CLIENTS))} clients, recall {recall:g}")
            speeds = {workers: _speeds(bench, connection, script, workers) for workers in (0, 2)}
            line.done()
            alone, helped = speeds[0], speeds[2]
            for clients in CLIENTS[1:]:
                target = at_least(0.8 * clients) if clients <= os.cpu_count() else None
                name = f"{clients} clients, kdtree.recall = {recall:g}; one client"
                _add(section, name, alone[clients], alone[CLIENTS[0]], target)
            for clients in CLIENTS:
                plural = "s" if clients > 1 else ""
                name = f"{clients} client{plural} with helping threads, kdtree.recall = {recall:g}; without"
                _add(section, name, helped[clients], alone[clients])
    section.notes.append(
        f"pgbench with a prepared statement, the nearest {K} of {bench.rows:,} x {DIMS};"
        f" {os.cpu_count()} cores, of which pgbench takes a part. Without helping threads is with"
        " max_parallel_workers_per_gather = 0."
    )
    return section


def _speeds(
    bench: Bench, connection: psycopg.Connection, script: str, workers: int
) -> dict[int, list[float]]:
    """Of each number of clients, round by round, if a scan may have so many threads beside its own."""
    connection.execute(f"ALTER DATABASE life SET max_parallel_workers_per_gather = {workers}")
    _queries_per_second(bench, script, max(CLIENTS))
    rounds = [[_queries_per_second(bench, script, n) for n in CLIENTS] for _ in range(bench.rounds)]
    return dict(zip(CLIENTS, map(list, zip(*rounds, strict=True)), strict=True))


def _add(
    section: Section, name: str, one: list[float], other: list[float], target: Target | None = None
) -> None:
    ratio = median(one / other for one, other in zip(one, other, strict=True))
    section.add(name, median(one), median(other), Unit.QUERIES_PER_SECOND, target, ratio)


def _queries_per_second(bench: Bench, script: str, clients: int) -> float:
    pgbench = [str(bench.cluster.tree.program("pgbench")), "--no-vacuum", "--protocol=prepared", "--file=-"]
    options = [f"--time={_SECONDS}", f"--client={clients}", f"--jobs={min(clients, os.cpu_count())}", "life"]
    found = subprocess.run(
        pgbench + options,
        input=script,
        capture_output=True,
        text=True,
        env=os.environ | bench.cluster.environment("life"),
    )
    speed = re.search(r"tps = ([\d.]+)", found.stdout)
    if speed is None:
        raise RuntimeError(f"pgbench: {found.stdout}{found.stderr}")
    return float(speed[1])
