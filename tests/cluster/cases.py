"""A random case: a table with a kdtree index, changed at random, and questions about it asked in many ways.

`test_oracle.py` has those of vectors, `test_packed.py` those of bit strings and sparse vectors.
"""

import contextlib
from collections.abc import Callable, Iterator

import psycopg
import pytest
from numpy.random import Generator

from changes import Items
from oracle import (
    SEQUENTIALLY,
    THROUGH_INDEX,
    Question,
    apply,
    compare,
    compare_cursor,
    compare_lateral,
    compare_prepared,
    compare_size,
    compare_within,
    plan_of,
)
from pgcluster import Cluster

Way = Callable[[psycopg.Connection], None]


class Case:
    """One table with its index `items_index` and its sessions."""

    # Changes of a table, and questions after each of them.
    changes = 15
    questions = 2

    def __init__(self, opclass: str, operator: str, items: Items, sessions: list[psycopg.Connection]):
        self.opclass = opclass
        self.operator = operator
        self.items = items
        self.source = items.source
        self.rng: Generator = items.rng
        self.sessions = sessions
        self.steps = items.history

    def columns(self) -> str:
        """What is indexed."""
        return f"embedding {self.opclass}"

    def options(self) -> list[str]:
        """Those of the index."""
        return [f"delta_size = {self.rng.choice([64, 128, 1024])}"]

    def target(self) -> object:
        """A value to search for."""
        raise NotImplementedError

    def other_dims(self) -> object:
        """A value that cannot be compared with those of the table."""
        raise NotImplementedError

    def question(self, **changes) -> Question:
        """A random question, but for what is given."""
        raise NotImplementedError

    def ways(self) -> dict[Way, float]:
        """The ways to ask, and how often."""
        raise NotImplementedError

    def session(self) -> psycopg.Connection:
        return self.sessions[self.rng.integers(len(self.sessions))]

    def run(self) -> None:
        try:
            self.change_and_ask()
        except BaseException:
            print(f"{self.opclass}, {self.source}: {', '.join(self.steps)}")
            raise

    def change_and_ask(self) -> None:
        self.items.create(typmod=self.rng.random() < 0.5, unlogged=self.rng.random() < 0.1)
        # Before the table's first row, or later.
        create_index_after = self.rng.integers(4)
        for step in range(self.changes):
            if step == create_index_after:
                self.create_index()
            self.items.connection = self.session()
            if step == 0:
                self.items.copy()
            self.items.change()
            if step >= create_index_after:
                for _ in range(self.questions):
                    self.ask()
        compare_size(self.session(), "items_index")

    def create_index(self) -> None:
        definition = f"({self.columns()}) WITH ({', '.join(self.options())})"
        self.steps.append(f"CREATE INDEX {definition}")
        self.session().execute(f"CREATE INDEX items_index ON items USING kdtree {definition}")

    def ask(self) -> None:
        """A random question, asked in a random way."""
        session = self.session()
        ways = self.ways()
        total = sum(ways.values())
        way = list(ways)[self.rng.choice(len(ways), p=[weight / total for weight in ways.values()])]
        self.steps.append(way.__name__)
        way(session)

    # Ways to ask ---------------------------------------------------------------------------------------

    def ask_plainly(self, session: psycopg.Connection) -> None:
        compare(session, self.question(), "items_index")

    def ask_prepared(self, session: psycopg.Connection) -> None:
        compare_prepared(session, self.question(), "items_index")

    def ask_for_null(self, session: psycopg.Connection) -> None:
        compare_prepared(session, self.question(parameters={"target": None}), "items_index")

    def ask_with_cursor(self, session: psycopg.Connection) -> None:
        steps = [1, *self.rng.integers(1, 200, self.rng.integers(0, 8)).tolist()]
        compare_cursor(session, self.question(offset=0), steps, "items_index")

    def ask_for_stored(self, session: psycopg.Connection) -> None:
        """The value comes from a subquery; it is NULL where the row has none or is not there."""
        target = f"(SELECT embedding FROM items WHERE id = {self.items.some_id()})"
        compare(session, self.question(target=target, parameters={}), "items_index")

    def ask_lateral(self, session: psycopg.Connection) -> None:
        outer = f"SELECT id, embedding FROM items WHERE id >= {self.items.some_id()} ORDER BY id LIMIT 5"
        limit = int(self.rng.choice([1, 10, 300]))
        compare_lateral(session, self.operator.replace("%%", "%"), outer, limit, "items_index")

    def ask_within(self, session: psycopg.Connection) -> None:
        """Within a radius that is often exactly the distance of a row."""
        target = self.target()
        distances = session.execute(
            f"SELECT embedding {self.operator} %s FROM items WHERE embedding IS NOT NULL", (target,)
        ).fetchall()
        radii = [0.0, -1.0, float("inf"), float("-inf"), float("nan"), self.rng.normal()]
        radii += [distances[at][0] for at in self.rng.integers(len(distances), size=20)] if distances else []
        radius = float(radii[self.rng.integers(len(radii))])
        compare_within(session, self.operator, target, radius, "items_index")

    def ask_for_other_dims(self, session: psycopg.Connection) -> None:
        """Refused in the same words, with and without the index."""
        if not self.items.connection.execute("SELECT count(embedding) FROM items").fetchone()[0]:
            return
        question = self.question(parameters={"target": self.other_dims()}, condition="true", limit=1)
        messages = []
        for settings in (SEQUENTIALLY, THROUGH_INDEX):
            apply(session, settings)
            plan = plan_of(session, question.text(), question.parameters)
            uses_index = any(node.get("Index Name") == "items_index" for node in plan)
            assert uses_index == (settings is THROUGH_INDEX)
            with pytest.raises(psycopg.errors.DataException) as refused:
                session.execute(question.text(), question.parameters)
            messages.append((refused.value.sqlstate, refused.value.diag.message_primary))
        assert messages[0] == messages[1]


@contextlib.contextmanager
def two_sessions(cluster: Cluster, dbname: str) -> Iterator[list[psycopg.Connection]]:
    with cluster.connect(dbname) as one, cluster.connect(dbname) as other:
        yield [one, other]
