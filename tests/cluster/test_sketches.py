"""Vectors that lie near a subspace, as embeddings do: coarse codes are of sketches, answers are the same."""

from collections.abc import Iterator

import numpy
import psycopg
import pytest
from numpy.random import Generator

import vectors
from changes import Items
from oracle import OPERATORS, Question, compare, compare_all, compare_within, verify
from vectors import Source

# More directions than boxes are measured on.
SUBSPACE = 50
ROWS = 12_000


def near_subspace(rng: Generator, count: int, dims: int) -> numpy.ndarray:
    """Clusters in a subspace that is the same for every call, and a little of all directions."""
    same = numpy.random.default_rng(dims)
    directions = same.normal(size=(SUBSPACE, dims))
    centres = same.normal(size=(30, SUBSPACE)) * 0.5
    within = centres[rng.integers(0, len(centres), count)] + rng.normal(size=(count, SUBSPACE))
    return within @ directions + rng.normal(size=(count, dims)) + 3


# Sketches of the longer ones have fine codes, too.
@pytest.fixture(params=[128, 1030])
def items(request: pytest.FixtureRequest, db: psycopg.Connection, rng: Generator) -> Iterator[Items]:
    items = Items(vectors.register(db), Source(rng, request.param, near_subspace, nulls=0.01), ROWS)
    items.create()
    items.copy()
    yield items


def is_sketched(connection: psycopg.Connection, index: str) -> bool:
    """Whether large segments have sketches: then there are whole codes."""
    query = (
        "SELECT bool_and(coarse_bytes * 3 < fine_bytes) FROM kdtree_stats(%s) "
        "WHERE kind = 'segment' AND vectors > 8192"
    )
    return connection.execute(query, (index,)).fetchone()[0]


def test_answers(items: Items) -> None:
    """By every metric, with few rows and with many, with filters, and everything within a distance."""
    connection = items.connection
    for opclass in OPERATORS:
        connection.execute(f"CREATE INDEX {opclass} ON items USING kdtree (embedding {opclass}, label)")
        assert is_sketched(connection, opclass) == (opclass != "vector_l1_ops")
    connection.execute("VACUUM ANALYZE items")
    verify(connection)
    for _ in range(3):
        compare_all(connection, items.source.vector(), limits=(1, 10, 3000))
    # From far away, and one of the rows.
    compare_all(connection, items.source.vector() * 100, limits=(10,))
    compare_all(connection, numpy.zeros(items.source.dims), limits=(10,))
    for opclass, operator in OPERATORS.items():
        target = items.source.vector()
        rows = compare(connection, Question(operator, parameters={"target": target}, limit=40), opclass)
        compare_within(connection, operator, target, float(rows[-1][1]), opclass)
        for condition in ("label = 3", "label > 7"):
            question = Question(operator, parameters={"target": target}, condition=condition, limit=20)
            compare(connection, question, opclass)


def test_a_life(items: Items) -> None:
    """Rows come and go, segments are merged: codes of codes."""
    connection = items.connection
    connection.execute("CREATE INDEX items_index ON items USING kdtree (embedding)")
    for _ in range(3):
        items.copy()
        items.delete_some()
        items.update_vectors()
        items.insert_many()
        compare_all(connection, items.source.vector(), limits=(1, 50))
        items.vacuum()
        items.merge()
        assert is_sketched(connection, "items_index")
        compare_all(connection, items.source.vector(), limits=(1, 50))
        verify(connection)


def test_recall(items: Items) -> None:
    """An approximate scan finds what was asked for, and comes back with as many rows as there are."""
    connection = items.connection
    connection.execute("CREATE INDEX items_index ON items USING kdtree (embedding)")
    connection.execute("VACUUM ANALYZE items")
    connection.execute("SET kdtree.recall = 0.9")
    connection.execute("SET enable_seqscan = off")
    found, count = 0, 40
    for _ in range(count):
        target = items.source.vector()
        nearest = "SELECT id FROM items ORDER BY embedding <-> %s LIMIT 10"
        rows = {id for (id,) in connection.execute(nearest, (target,))}
        assert len(rows) == 10
        connection.execute("SET kdtree.recall = 1")
        exact = compare(connection, Question("<->", parameters={"target": target}, limit=10), "items_index")
        connection.execute("SET kdtree.recall = 0.9")
        found += len(rows & {id for (id, *_) in exact})
    assert found >= 0.82 * 10 * count
