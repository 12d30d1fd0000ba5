"""Random tables, random changes, random questions: a kdtree index gives what the table gives.

Each case is a table of its own with an index of its own, made before, between or after its rows. Two sessions
take turns, so that what one keeps of the index is outdated by the other. Change how many cases there are with
--cases; a failure says which seed repeats it, and what had happened to the table.
"""

import contextlib
from collections.abc import Collection, Iterator

import numpy
import psycopg
import pytest

import vectors
from changes import LABELS, Items
from oracle import (
    ALL_OPERATORS,
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
    type_of,
)
from pgcluster import Cluster
from vectors import DISTRIBUTIONS, Source

# Dimensions, and how many rows a batch has: enough that a delta of the least size is sealed often.
SIZES = {1: 2000, 2: 2000, 3: 2000, 8: 1000, 64: 400, 100: 300, 768: 100, 2000: 50, 4096: 25}
CHANGES = 20
QUESTIONS = 2


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", range(metafunc.config.option.cases))


class Case:
    """One table with its index and its two sessions."""

    def __init__(
        self,
        number: int,
        rng: numpy.random.Generator,
        sessions: list[psycopg.Connection],
        opclasses: Collection[str] = ALL_OPERATORS,
    ):
        dims = list(SIZES)[number % len(SIZES)]
        self.rng = rng
        self.opclass = str(rng.choice(list(opclasses)))
        self.source = Source(
            rng,
            dims,
            DISTRIBUTIONS[rng.integers(len(DISTRIBUTIONS))],
            zeros=rng.choice([0.0, 0.02]),
            nulls=rng.choice([0.0, 0.02]),
            type=type_of(self.opclass),
        )
        self.sessions = sessions
        self.items = Items(sessions[0], self.source, SIZES[dims])
        self.steps: list[str] = self.items.history

    @property
    def operator(self) -> str:
        return ALL_OPERATORS[self.opclass]

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
        for step in range(CHANGES):
            if step == create_index_after:
                self.create_index()
            self.items.connection = self.session()
            if step == 0:
                self.items.copy()
            self.items.change()
            if step >= create_index_after:
                for _ in range(QUESTIONS):
                    self.ask()
        compare_size(self.session(), "items_index")

    def create_index(self) -> None:
        options = [f"delta_size = {self.rng.choice([64, 128, 1024])}"]
        if self.rng.random() < 0.3:
            options.append(f"leaf_size = {self.rng.choice([16, 64, 300])}")
        self.steps.append(f"CREATE INDEX WITH ({', '.join(options)})")
        self.session().execute(
            f"CREATE INDEX items_index ON items USING kdtree (embedding {self.opclass}) "
            f"WITH ({', '.join(options)})"
        )

    # Questions -----------------------------------------------------------------------------------------

    def target(self) -> numpy.ndarray:
        """A vector to search for: like the stored ones, zero, or far away."""
        kind = self.rng.random()
        if kind < 0.8:
            return self.source.vector()
        if kind < 0.9:
            return self.source.typed(numpy.zeros(self.source.dims))
        far = self.rng.normal(size=self.source.dims) * 10.0 ** self.rng.uniform(-30, 37)
        return self.source.typed(far)

    def question(self, **changes) -> Question:
        conditions = [
            "true",
            f"label = {self.rng.integers(LABELS)}",
            f"label <> {self.rng.integers(LABELS)}",
            f"mod(id, 100) = {self.rng.integers(100)}",
            "embedding IS NOT NULL",
            "embedding IS NULL",
            "id < 0",
            "EXISTS (SELECT FROM generate_series(0, 4) label WHERE label = items.label)",
        ]
        weights = numpy.array([8, 2, 2, 2, 1, 1, 1, 1], float)
        values = {
            "operator": self.operator,
            "type": self.source.type,
            "parameters": {"target": self.target()},
            "condition": str(self.rng.choice(conditions, p=weights / weights.sum())),
            "limit": self.rng.choice(numpy.array([1, 2, 10, 50, 100, 1000, None], object)),
            "offset": int(self.rng.choice([0, 0, 0, 1, 70])),
        }
        return Question(**{**values, **changes})

    def ask(self) -> None:
        """A random question, asked in a random way."""
        session = self.session()
        kinds = [
            self.ask_plainly,
            self.ask_prepared,
            self.ask_with_cursor,
            self.ask_for_stored,
            self.ask_lateral,
            self.ask_for_null,
            self.ask_with_join,
            self.ask_for_other_dims,
            self.ask_within,
        ]
        weights = numpy.array([6, 2, 2, 2, 2, 1, 1, 1, 3], float)
        kind = kinds[self.rng.choice(len(kinds), p=weights / weights.sum())]
        self.steps.append(kind.__name__)
        kind(session)

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
        """The vector comes from a subquery; it is NULL where the row has none or is not there."""
        target = f"(SELECT embedding FROM items WHERE id = {self.items.some_id()})"
        compare(session, self.question(target=target, parameters={}), "items_index")

    def ask_lateral(self, session: psycopg.Connection) -> None:
        outer = f"SELECT id, embedding FROM items WHERE id >= {self.items.some_id()} ORDER BY id LIMIT 5"
        limit = int(self.rng.choice([1, 10, 300]))
        compare_lateral(session, self.operator, outer, limit, "items_index")

    def ask_with_join(self, session: psycopg.Connection) -> None:
        join = "items JOIN (SELECT generate_series(0, 9, 2) AS label) even USING (label)"
        compare(session, self.question(table=join, condition="true"), "items_index")

    def ask_within(self, session: psycopg.Connection) -> None:
        """Within a radius that is often exactly the distance of a row."""
        target = self.target()
        distances = session.execute(
            f"SELECT embedding {self.operator} %s FROM items WHERE embedding IS NOT NULL", (target,)
        ).fetchall()
        radii = [0.0, -1.0, float("inf"), float("-inf"), float("nan"), self.rng.normal()]
        radii += [distances[at][0] for at in self.rng.integers(len(distances), size=20)] if distances else []
        radius = float(radii[self.rng.integers(len(radii))])
        compare_within(session, self.opclass, target, radius, "items_index")

    def ask_for_other_dims(self, session: psycopg.Connection) -> None:
        """Refused in the same words, with and without the index."""
        if not self.items.connection.execute("SELECT count(embedding) FROM items").fetchone()[0]:
            return
        other = self.source.typed(numpy.ones(self.source.dims + 1))
        question = self.question(parameters={"target": other}, condition="true", limit=1)
        messages = []
        for settings in (SEQUENTIALLY, THROUGH_INDEX):
            apply(session, settings)
            plan = plan_of(session, question.text(), question.parameters)
            assert any(node.get("Index Name") == "items_index" for node in plan) == (
                settings is THROUGH_INDEX
            )
            with pytest.raises(psycopg.errors.DataException) as refused:
                session.execute(question.text(), question.parameters)
            messages.append((refused.value.sqlstate, refused.value.diag.message_primary))
        assert messages[0] == messages[1]


@pytest.fixture
def sessions(cluster: Cluster, dbname: str) -> Iterator[list[psycopg.Connection]]:
    with contextlib.ExitStack() as stack:
        yield [vectors.register(stack.enter_context(cluster.connect(dbname))) for _ in range(2)]


def test_index_agrees_with_table(
    case: int, rng: numpy.random.Generator, sessions: list[psycopg.Connection]
) -> None:
    Case(case, rng, sessions).run()
