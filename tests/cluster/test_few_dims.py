"""One to eight dimensions, in which an index has many leaves and a search needs a handful.

`test_oracle.py` draws such vectors too, but not so many: here leaves are small, so that a segment has more of
them than a search ranks one by one. Points lie where boxes of leaves are worth most (evenly), where many of
them touch or coincide (on a line, on a grid, in few places), and where one is as wide as all others together.
"""

from dataclasses import replace

import numpy
import psycopg
import pytest
from numpy.random import Generator

import vectors
from changes import Items
from oracle import OPERATORS, Question, compare, compare_cursor, compare_lateral, compare_within
from vectors import Source, few_distinct, heavy_tailed, uniform

ROWS = 10_000
LEAF_SIZE = 16
LEAVES = ROWS // LEAF_SIZE
DIMS = (1, 2, 3, 5, 8)


def line(rng: Generator, count: int, dims: int) -> numpy.ndarray:
    """All on one line through the origin, in no axis' direction."""
    direction = numpy.random.default_rng(dims).normal(size=(1, dims))
    return rng.uniform(-1, 1, (count, 1)) * direction


def grid(rng: Generator, count: int, dims: int) -> numpy.ndarray:
    """Nine places an axis: leaves meet in whole faces, and few distances are different."""
    return rng.integers(-4, 5, (count, dims)).astype(float)


SHAPES = (uniform, line, grid, few_distinct, heavy_tailed)


def create(db: psycopg.Connection, source: Source) -> Items:
    """Rows of which most are in one segment of many leaves, some in younger ones and in the delta."""
    items = Items(vectors.register(db), source, ROWS)
    items.create()
    items.copy()
    for opclass in OPERATORS:
        db.execute(
            f"CREATE INDEX items_{opclass} ON items USING kdtree (embedding {opclass}, label) "
            f"WITH (leaf_size = {LEAF_SIZE}, delta_size = 64)"
        )
        (leaves,) = db.execute("SELECT max(leaves) FROM kdtree_stats(%s)", (f"items_{opclass}",)).fetchone()
        # Under cosine the zero vector is in none.
        assert leaves > 0.8 * LEAVES
    items.batch = 700
    items.copy()
    items.delete_some()
    db.execute("ANALYZE items")
    return items


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
@pytest.mark.parametrize("dims", DIMS)
def test_every_order(db: psycopg.Connection, rng: Generator, dims: int, shape: vectors.Distribution) -> None:
    source = Source(rng, dims, shape)
    items = create(db, source)
    far = source.typed(rng.normal(size=dims) * 1e3)
    for opclass, operator in OPERATORS.items():
        index = f"items_{opclass}"
        for target in (source.vector(), far):
            question = Question(operator, parameters={"target": target})
            for limit in (1, 10, 300):
                compare(db, replace(question, limit=limit), index)
            compare(db, replace(question, limit=10, condition=f"label = {items.label()}"), index)
        # To the end, in leaps: leaves that the first passes left out come later.
        compare_cursor(db, question, (1, 40, 2000, ROWS), index)
        stored = f"SELECT id, embedding FROM items WHERE id % {ROWS // 6} = 1"
        compare_lateral(db, operator, stored, 5, index)


@pytest.mark.parametrize("dims", DIMS)
def test_within(db: psycopg.Connection, rng: Generator, dims: int) -> None:
    source = Source(rng, dims, SHAPES[dims % len(SHAPES)])
    create(db, source)
    target = source.vector()
    for opclass, operator in OPERATORS.items():
        query = f"SELECT embedding {operator} %s FROM items ORDER BY 1 OFFSET %s LIMIT 1"
        for rank in (0, 30, 3000):
            (radius,) = db.execute(query, (target, rank)).fetchone()
            found = compare_within(db, operator, target, radius, f"items_{opclass}")
            assert len(found) > rank


@pytest.mark.parametrize("dims", (1, 2, 3))
def test_few_leaves_are_visited(db: psycopg.Connection, rng: Generator, dims: int) -> None:
    """A search that looks at more than it needs gives the right answer too."""
    source = Source(rng, dims)
    create(db, source)
    for operator, index in (("<->", "items_vector_l2_ops"), ("<+>", "items_vector_l1_ops")):
        for _ in range(10):
            question = Question(operator, parameters={"target": source.vector()}, limit=10)
            compare(db, question, index)
            leaves, visited = db.execute("SELECT leaves, leaves_visited FROM kdtree_last_scan()").fetchone()
            assert leaves >= LEAVES
            assert visited < LEAVES / 5
