"""Approximate scans through SQL: what they may leave out, and what they may not.

Below a recall of one a scan may miss near rows. It may not return too few: with fewer rows than the LIMIT, or
fewer that meet the other conditions, all of them come. What comes before the end of the index is in order.
Which rows are there is asked of the table.
"""

from collections.abc import Iterator

import numpy
import psycopg
import pytest

import vectors
from changes import LABELS, Items
from oracle import (
    ALL_OPERATORS,
    THROUGH_INDEX,
    Question,
    ask_table,
    assert_uses,
    plan_of,
    planned,
    type_of,
    verify,
)
from pgcluster import Cluster
from vectors import Source, all_equal, clustered, few_distinct, uniform

# One segment of so many rows has cells, and can be searched in part.
ROWS = 12_000
DIMS = 24
ROUNDS = 6
QUESTIONS = 8


@pytest.fixture
def connection(cluster: Cluster, dbname: str) -> Iterator[psycopg.Connection]:
    with cluster.connect(dbname) as connection:
        yield vectors.register(connection)


def answer(connection: psycopg.Connection, question: Question, recall: float) -> list[tuple[int, float]]:
    """What an approximate scan returns."""
    with planned(connection, {**THROUGH_INDEX, "kdtree.recall": str(recall)}):
        assert_uses(plan_of(connection, question.text(), question.parameters), ["items_index"])
        return [(id, float(d)) for id, d in connection.execute(question.text(), question.parameters)]


def check(connection: psycopg.Connection, question: Question, recall: float) -> float:
    """Compares an approximate answer with the table; returns the share of the nearest rows that was found."""
    whole = [(id, float(distance)) for id, distance in ask_table(connection, question)]
    found = answer(connection, question, recall)
    distances = dict(whole)
    limit = len(whole) if question.limit is None else min(question.limit, len(whole))
    assert len(found) == limit, "an approximate scan came back short"
    assert len({id for id, _ in found}) == len(found), "a row came twice"
    for id, distance in found:
        assert distances[id] == distance
    if limit < len(whole) // 2:
        # It did not come to the end of the index, where latecomers wait.
        assert [distance for _, distance in found] == sorted(distance for _, distance in found)
    if limit == 0:
        return 1.0
    farthest = sorted(distances.values())[limit - 1]
    return sum(distance <= farthest for _, distance in found) / limit


@pytest.mark.parametrize("distribution", [uniform, clustered, few_distinct, all_equal])
@pytest.mark.parametrize("opclass", ALL_OPERATORS)
def test_nothing_is_lost(
    connection: psycopg.Connection,
    rng: numpy.random.Generator,
    opclass: str,
    distribution: vectors.Distribution,
) -> None:
    """Through inserts, deletes, VACUUM and merges."""
    source = Source(rng, DIMS, distribution, type=type_of(opclass))
    items = Items(connection, source, ROWS)
    items.create()
    items.copy()
    connection.execute(
        f"CREATE INDEX items_index ON items USING kdtree (embedding {opclass}) WITH (delta_size = 64)"
    )
    for _ in range(ROUNDS):
        for _ in range(QUESTIONS):
            question = Question(
                ALL_OPERATORS[opclass],
                parameters={"target": source.vector()},
                condition=str(
                    rng.choice(
                        ["true", f"label = {rng.integers(LABELS)}", f"mod(id, 3000) = {rng.integers(3000)}"]
                    )
                ),
                limit=rng.choice(numpy.array([1, 10, 100, 2000, None], object)),
            )
            recall = float(rng.choice([0.5, 0.9, 0.99]))
            print(question, recall)
            check(connection, question, recall)
        change = rng.choice(
            [Items.insert_many, Items.delete_some, Items.update_vectors, Items.vacuum, Items.merge]
        )
        items.batch = ROWS // 4
        items.history.append(change.__name__)
        change(items)
    print(items.history)
    verify(connection, "items_index")


def test_asked_for_recall_is_reached(connection: psycopg.Connection, rng: numpy.random.Generator) -> None:
    """By the mean of many queries that are no rows of the table, with several segments and a delta."""
    source = Source(rng, DIMS)
    items = Items(connection, source, 10_000)
    items.create()
    items.copy()
    connection.execute("CREATE INDEX items_index ON items USING kdtree (embedding) WITH (recall = 0.9)")
    items.copy()
    connection.execute("VACUUM items")
    items.batch = 500
    items.copy()
    parts = connection.execute(
        "SELECT kind, vectors FROM kdtree_stats('items_index') WHERE vectors > 0"
    ).fetchall()
    assert sorted(parts) == [("delta", 500), ("segment", 10_000), ("segment", 10_000)]
    for recall in (0.7, 0.9, 0.99):
        reached = [
            check(
                connection,
                Question("<->", parameters={"target": source.vector()}, limit=10),
                recall,
            )
            for _ in range(60)
        ]
        print(recall, numpy.mean(reached), min(reached))
        # Six standard errors of the mean of sixty queries.
        assert numpy.mean(reached) > recall - 0.1


def test_a_cursor_goes_on_behind_the_budget(
    connection: psycopg.Connection, rng: numpy.random.Generator
) -> None:
    """However a scan is interrupted, all rows come, each once."""
    source = Source(rng, DIMS, clustered)
    items = Items(connection, source, ROWS)
    items.create()
    items.copy()
    connection.execute("CREATE INDEX items_index ON items USING kdtree (embedding) WITH (recall = 0.5)")
    text = "SELECT id FROM items ORDER BY embedding <-> %(target)s"
    with planned(connection, THROUGH_INDEX), connection.transaction():
        cursor = connection.cursor("rows")
        cursor.execute(text, {"target": source.vector()})
        came: list[int] = []
        while rows := cursor.fetchmany(int(rng.choice([1, 7, 500, 4000]))):
            came += [id for (id,) in rows]
    assert sorted(came) == list(range(1, ROWS + 1))
