"""Random tables, random changes, random questions: a kdtree index gives what the table gives.

Each case is a table of its own with an index of its own, made before, between or after its rows. Two sessions
take turns, so that what one keeps of the index is outdated by the other. Change how many cases there are with
--cases; a failure says which seed repeats it, and what had happened to the table.
"""

from collections.abc import Collection, Iterator

import numpy
import psycopg
import pytest

import vectors
from cases import Case, Way, two_sessions
from changes import LABELS, Items
from oracle import (
    ALL_OPERATORS,
    Question,
    compare,
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


class VectorCase(Case):
    """One with vectors, whole or half."""

    changes = CHANGES
    questions = QUESTIONS

    def __init__(
        self,
        number: int,
        rng: numpy.random.Generator,
        sessions: list[psycopg.Connection],
        opclasses: Collection[str] = ALL_OPERATORS,
    ):
        dims = list(SIZES)[number % len(SIZES)]
        opclass = str(rng.choice(list(opclasses)))
        source = Source(
            rng,
            dims,
            DISTRIBUTIONS[rng.integers(len(DISTRIBUTIONS))],
            zeros=rng.choice([0.0, 0.02]),
            nulls=rng.choice([0.0, 0.02]),
            type=type_of(opclass),
        )
        items = Items(sessions[0], source, SIZES[dims])
        super().__init__(opclass, ALL_OPERATORS[opclass], items, sessions)

    def options(self) -> list[str]:
        leaf_size = [f"leaf_size = {self.rng.choice([16, 64, 300])}"] if self.rng.random() < 0.3 else []
        return super().options() + leaf_size

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

    def ways(self) -> dict[Way, float]:
        return {
            self.ask_plainly: 6,
            self.ask_prepared: 2,
            self.ask_with_cursor: 2,
            self.ask_for_stored: 2,
            self.ask_lateral: 2,
            self.ask_for_null: 1,
            self.ask_with_join: 1,
            self.ask_for_other_dims: 1,
            self.ask_within: 3,
        }

    def ask_with_join(self, session: psycopg.Connection) -> None:
        join = "items JOIN (SELECT generate_series(0, 9, 2) AS label) even USING (label)"
        compare(session, self.question(table=join, condition="true"), "items_index")

    def other_dims(self) -> numpy.ndarray:
        return self.source.typed(numpy.ones(self.source.dims + 1))


@pytest.fixture
def sessions(cluster: Cluster, dbname: str) -> Iterator[list[psycopg.Connection]]:
    with two_sessions(cluster, dbname) as sessions:
        yield [vectors.register(session) for session in sessions]


def test_index_agrees_with_table(
    case: int, rng: numpy.random.Generator, sessions: list[psycopg.Connection]
) -> None:
    VectorCase(case, rng, sessions).run()
