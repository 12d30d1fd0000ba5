"""Random changes of a table with a kdtree index: everything that reaches the index, in any order.

`Items` is the table (id, label, embedding) of the random tests. What is in it is asked of it,
never kept here.
"""

from collections.abc import Callable

import numpy
import psycopg
from numpy.random import Generator

from oracle import IS_OURS
from vectors import Source

LABELS = 10


class Items:
    """The table `items` of one connection, and the random changes of it."""

    def __init__(self, connection: psycopg.Connection, source: Source, batch: int):
        self.connection = connection
        self.source = source
        self.batch = batch
        self.history: list[str] = []

    @property
    def rng(self) -> Generator:
        return self.source.rng

    def create(self, *, typmod: bool = True, unlogged: bool = False, temporary: bool = False) -> None:
        persistence = "UNLOGGED" if unlogged else "TEMPORARY" if temporary else ""
        typename = self.source.type + (f"({self.source.dims})" if typmod else "")
        self.connection.execute(
            f"CREATE {persistence} TABLE items "
            f"(id bigserial PRIMARY KEY, label int NOT NULL, embedding {typename})"
        )
        # Only the test decides when.
        self.connection.execute("ALTER TABLE items SET (autovacuum_enabled = off)")

    def change(self) -> None:
        """One random change, noted in `history`."""
        weights = numpy.array([weight for _, weight in CHANGES], float)
        choice = CHANGES[self.rng.choice(len(CHANGES), p=weights / weights.sum())][0]
        self.history.append(choice.__name__)
        # By its name: a table of another type has its own way to do some of them.
        getattr(self, choice.__name__)()

    def count(self) -> int:
        return self.connection.execute("SELECT count(*) FROM items").fetchone()[0]

    def some_id(self) -> int:
        """The id of some row; 0, which none has, if there is none."""
        (highest,) = self.connection.execute("SELECT coalesce(max(id), 0) FROM items").fetchone()
        wanted = int(self.rng.integers(0, highest + 1))
        row = self.connection.execute("SELECT min(id) FROM items WHERE id >= %s", (wanted,)).fetchone()
        return row[0] or 0

    def label(self) -> int:
        return int(self.rng.integers(LABELS))

    # The changes ---------------------------------------------------------------------------------------

    def insert_one(self) -> None:
        (value,) = self.source.values(1)
        self.connection.execute("INSERT INTO items (label, embedding) VALUES (%s, %s)", (self.label(), value))

    def insert_many(self) -> None:
        values = self.source.values(max(1, self.batch // 4))
        with self.connection.transaction():
            self.connection.cursor().executemany(
                "INSERT INTO items (label, embedding) VALUES (%s, %s)",
                [(self.label(), value) for value in values],
            )

    def insert_select(self) -> None:
        """Copies of rows that are there: distances that are equal."""
        self.connection.execute(
            "INSERT INTO items (label, embedding) "
            "SELECT label, embedding FROM items WHERE label = %s LIMIT %s",
            (self.label(), self.batch),
        )

    def copy(self) -> None:
        with (
            self.connection.transaction(),
            self.connection.cursor().copy("COPY items (label, embedding) FROM STDIN (FORMAT binary)") as copy,
        ):
            copy.set_types(["int4", self.source.type])
            for value in self.source.values(self.batch):
                copy.write_row((self.label(), value))

    def update_vector(self) -> None:
        (value,) = self.source.values(1)
        self.connection.execute("UPDATE items SET embedding = %s WHERE id = %s", (value, self.some_id()))

    def update_vectors(self) -> None:
        """Vectors move from row to row."""
        self.connection.execute(
            "UPDATE items SET embedding = (SELECT embedding FROM items other WHERE other.id = %s) "
            "WHERE label = %s",
            (self.some_id(), self.label()),
        )

    def update_label(self) -> None:
        """Changes no vector, but moves rows, where there is no room on the page."""
        self.connection.execute("UPDATE items SET label = %s WHERE label = %s", (self.label(), self.label()))

    def delete_one(self) -> None:
        self.connection.execute("DELETE FROM items WHERE id = %s", (self.some_id(),))

    def delete_some(self) -> None:
        self.connection.execute("DELETE FROM items WHERE label = %s", (self.label(),))

    def delete_most(self) -> None:
        self.connection.execute("DELETE FROM items WHERE label <> %s", (self.label(),))

    def roll_back(self) -> None:
        with self.connection.transaction(force_rollback=True):
            self.insert_many()
            self.delete_some()

    def roll_back_to_savepoint(self) -> None:
        with self.connection.transaction():
            self.insert_one()
            with self.connection.transaction(force_rollback=True):
                self.copy()
                self.update_vectors()
            self.insert_one()

    def two_phases(self) -> None:
        """A transaction that is prepared, and ended later; another session's may be in its way."""
        (name,) = self.connection.execute("SELECT 'test-' || gen_random_uuid()").fetchone()
        self.connection.execute("BEGIN")
        self.insert_one()
        with self.connection.transaction(force_rollback=True):  # a savepoint
            self.insert_many()
        self.insert_many()
        self.connection.execute(f"PREPARE TRANSACTION '{name}'")
        self.insert_one()
        self.end_prepared(name)

    def end_prepared(self, name: str) -> None:
        how = "COMMIT" if self.rng.random() < 0.5 else "ROLLBACK"
        self.connection.execute(f"{how} PREPARED '{name}'")

    def vacuum(self) -> None:
        self.connection.execute("VACUUM items")

    def analyze(self) -> None:
        self.connection.execute("ANALYZE items")

    def rewrite(self) -> None:
        self.connection.execute("VACUUM FULL items")

    def reindex(self) -> None:
        how = "CONCURRENTLY" if self.rng.random() < 0.5 else ""
        self.connection.execute(f"REINDEX TABLE {how} items")

    def merge(self, *, backwards: bool = False) -> None:
        """Seals and merges all indexes of the table, and of its partitions."""
        indexes = self.connection.execute(
            "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class c ON c.oid = indexrelid "
            f"JOIN pg_am ON pg_am.oid = relam WHERE {IS_OURS} AND relkind = 'i' AND indrelid IN "
            "(SELECT 'items'::regclass UNION SELECT relid FROM pg_partition_tree('items')) ORDER BY 1"
        ).fetchall()
        for (index,) in reversed(indexes) if backwards else indexes:
            self.connection.execute("SELECT kdtree_merge(%s)", (index,))

    def truncate(self) -> None:
        self.connection.execute("TRUNCATE items")
        self.copy()


CHANGES: list[tuple[Callable[[Items], None], float]] = [
    (Items.insert_one, 3),
    (Items.insert_many, 4),
    (Items.insert_select, 2),
    (Items.copy, 4),
    (Items.update_vector, 3),
    (Items.update_vectors, 3),
    (Items.update_label, 2),
    (Items.delete_one, 2),
    (Items.delete_some, 3),
    (Items.delete_most, 0.5),
    (Items.roll_back, 2),
    (Items.roll_back_to_savepoint, 2),
    (Items.vacuum, 4),
    (Items.analyze, 1),
    (Items.rewrite, 0.5),
    (Items.reindex, 1),
    (Items.merge, 1),
    (Items.truncate, 0.3),
]
