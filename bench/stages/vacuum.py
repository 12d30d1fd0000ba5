"""VACUUM after a tenth of the rows has been deleted."""

import psycopg

import pgvectors
import progress
from figures import Section, Unit, at_most

from .common import DIMS, Bench, paired, seconds

_BTREE = "USING btree (id)"


def measure(bench: Bench) -> Section:
    section = Section("VACUUM after a tenth of the rows was deleted", ("", "with a btree on the id"))
    indexes = {"kdtree": [bench.index], "btree": [_BTREE], "both": [bench.index, _BTREE], "none": []}
    taken: dict[str, list[float]] = {name: [] for name in indexes}
    with bench.database() as connection:
        connection.execute(f"CREATE TABLE items (id bigint, embedding vector({DIMS}))")
        pgvectors.copy_in(connection, "items", pgvectors.uniform(bench.rows, DIMS))
        connection.execute("VACUUM ANALYZE items")
        for round in range(bench.rounds):
            line = progress.Line(f"VACUUM of {bench.rows:,} rows less a tenth, round {round + 1}")
            for name, definitions in indexes.items():
                for definition in definitions:
                    connection.execute(f"CREATE INDEX ON items {definition}")
                tenth = f"id % 10 = {round % 10}"
                connection.execute(f"CREATE TABLE deleted AS SELECT * FROM items WHERE {tenth}")
                connection.execute(f"DELETE FROM items WHERE {tenth}")
                # What others have changed is written before.
                connection.execute("CHECKPOINT")
                before = _index_bytes(connection)
                taken[name].append(
                    1000 * seconds(lambda: connection.execute("VACUUM (INDEX_CLEANUP ON) items"))
                )
                if name == "kdtree":
                    sizes = _index_bytes(connection), before
                _restore(connection)
                line.update(name)
            line.done()
    for name, label, target in (
        ("kdtree", "with a kdtree index", bench.when_large(at_most(2.0))),
        ("both", "with both", None),
        ("none", "without an index", None),
    ):
        one, other, ratio = paired(list(zip(taken[name], taken["btree"], strict=True)))
        section.add(label, one, other, Unit.MILLISECONDS, target, ratio)
    section.add("size of the kdtree index after, and before", *sizes, Unit.BYTES)
    return section


def _index_bytes(connection: psycopg.Connection) -> int:
    return connection.execute("SELECT pg_indexes_size('items')").fetchone()[0]


def _restore(connection: psycopg.Connection) -> None:
    """The same rows again, in a table without indexes."""
    indexes = connection.execute(
        "SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'items'::regclass"
    ).fetchall()
    for (index,) in indexes:
        connection.execute(f"DROP INDEX {index}")
    connection.execute("INSERT INTO items SELECT * FROM deleted")
    connection.execute("DROP TABLE deleted")
    connection.execute("VACUUM items")
