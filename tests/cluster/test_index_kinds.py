"""Partial, expression, partitioned and concurrently built indexes, and several on one column."""

import threading

import numpy
import psycopg
import pytest
from psycopg import sql

import vectors
from changes import LABELS, Items
from load import running, wait_until_blocked, writer
from oracle import (
    OPERATORS,
    THROUGH_INDEX,
    Question,
    assert_uses,
    compare,
    compare_lateral,
    normalised,
    ordered_scans,
    plan_of,
    planned,
)
from pgcluster import Cluster
from vectors import Source, clustered, grid

DIMS = 16
ROWS = 3000
SMALL_DELTA = "WITH (delta_size = 64)"


@pytest.fixture
def items(db: psycopg.Connection, rng: numpy.random.Generator) -> Items:
    items = Items(vectors.register(db), Source(rng, DIMS, clustered, zeros=0.01, nulls=0.01), ROWS)
    items.create()
    items.copy()
    return items


def change_all_but_vacuum(items: Items) -> None:
    items.copy()
    items.update_vectors()
    items.delete_some()
    items.roll_back_to_savepoint()
    items.update_label()


def change_all(items: Items) -> None:
    """Every kind of change that goes through the index, once."""
    change_all_but_vacuum(items)
    items.vacuum()
    items.insert_many()


def test_partial_index(items: Items) -> None:
    """Rows enter and leave it as their label changes."""
    db = items.connection
    db.execute(f"CREATE INDEX few ON items USING kdtree (embedding) {SMALL_DELTA} WHERE label < 3")
    for _ in range(3):
        change_all(items)
        for condition in ("label < 3", "label = 1", "label < 3 AND mod(id, 10) = 0"):
            target = {"target": items.source.vector()}
            compare(db, Question("<->", parameters=target, condition=condition, limit=20), "few")
            compare(db, Question("<->", parameters=target, condition=condition), "few")
    # A question for other rows cannot use it.
    with planned(db, THROUGH_INDEX):
        plan = plan_of(
            db, "SELECT id FROM items ORDER BY embedding <-> (SELECT embedding FROM items LIMIT 1)"
        )
    assert "few" not in {node.get("Index Name") for node in plan}


def test_expression_index(items: Items) -> None:
    """On a part of the vector. The expression is NULL for some rows, although the column is not."""
    db = items.connection
    # With such a body its names are looked up now: since version 17, CREATE INDEX would not find them.
    db.execute(
        "CREATE FUNCTION half(embedding vector, label int) RETURNS vector IMMUTABLE LANGUAGE sql "
        f"RETURN CASE WHEN label <> 4 THEN subvector(embedding, 1, {DIMS // 2}) END"
    )
    expression = f"(half(embedding, label)::vector({DIMS // 2}))"
    db.execute(f"CREATE INDEX halves ON items USING kdtree ({expression} vector_cosine_ops) {SMALL_DELTA}")
    for _ in range(3):
        change_all(items)
        for limit in (5, None):
            target = items.source.vector()[: DIMS // 2]
            question = Question("<=>", parameters={"target": target}, column=expression, limit=limit)
            compare(db, question, "halves")


def test_temporary_table(db: psycopg.Connection, rng: numpy.random.Generator) -> None:
    """Its pages are in buffers of the session's own. In the end it is truncated and filled anew at once."""
    items = Items(vectors.register(db), Source(rng, DIMS, clustered, nulls=0.01), ROWS)
    items.create(temporary=True)
    items.copy()
    db.execute(f"CREATE INDEX items_index ON items USING kdtree (embedding) {SMALL_DELTA}")
    for _ in range(3):
        change_all(items)
        compare(db, Question("<->", parameters={"target": items.source.vector()}), "items_index")
    with db.transaction():
        change_all_but_vacuum(items)
        items.truncate()
        change_all_but_vacuum(items)
        compare(db, Question("<->", parameters={"target": items.source.vector()}), "items_index")
    compare(db, Question("<->", parameters={"target": items.source.vector()}), "items_index")


def addresses_are_kept(db: psycopg.Connection) -> bool:
    """Whether this release keeps the address of a row that is put in order again (src/pg/row_address.rs).

    If not, it loses them for every index whose distances are bounds, such as core's own of circles.
    """
    db.execute("CREATE TEMP TABLE circles (shape circle)")
    db.execute("INSERT INTO circles SELECT circle(point(i, i), 0.5) FROM generate_series(1, 10) AS i")
    db.execute("CREATE INDEX ON circles USING gist (shape)")
    nearest = "SELECT ctid::text FROM circles ORDER BY shape <-> point '(0, 0)' LIMIT 1"
    assert ordered_scans(plan_of(db, nearest))
    return db.execute(nearest).fetchone() == ("(0,1)",)


def test_rows_locked_in_order(cluster: Cluster, dbname: str, items: Items) -> None:
    """SELECT ... FOR UPDATE meets a row that another session is changing: it waits, and sees the new row."""
    db = items.connection
    db.execute(f"CREATE INDEX items_index ON items USING kdtree (embedding) {SMALL_DELTA}")
    question = Question("<->", parameters={"target": items.source.vector()}, limit=5)
    nearest = compare(db, question, "items_index")
    with cluster.connect(dbname) as other, planned(db, THROUGH_INDEX):
        other.autocommit = False
        other.execute("UPDATE items SET label = label + 100 WHERE id = %s", (nearest[0][0],))
        text = f"{question.text()} FOR UPDATE"
        plan = plan_of(db, text, question.parameters)
        assert "LockRows" in {node["Node Type"] for node in plan}
        if addresses_are_kept(db):
            assert_uses(plan, ["items_index"])
        else:
            assert not ordered_scans(plan)

        def commit_when_waited_for() -> None:
            with cluster.connect(dbname) as watcher:
                wait_until_blocked(watcher, db)
            other.commit()

        commit = threading.Thread(target=commit_when_waited_for)
        commit.start()
        locked = normalised(db.execute(text, question.parameters))
        commit.join()
    assert locked == nearest


def test_several_indexes_on_one_column(items: Items) -> None:
    """Each operator finds the index of its own class."""
    db = items.connection
    for opclass in OPERATORS:
        db.execute(f"CREATE INDEX {opclass} ON items USING kdtree (embedding {opclass}) {SMALL_DELTA}")
    for _ in range(3):
        change_all(items)
        for opclass, operator in OPERATORS.items():
            for limit in (1, 30, None):
                target = {"target": items.source.vector()}
                compare(db, Question(operator, parameters=target, limit=limit), opclass)


def test_partitions(db: psycopg.Connection, rng: numpy.random.Generator) -> None:
    """Merge Append over one index scan a partition. Rows move from partition to partition."""
    source = Source(rng, DIMS, grid, nulls=0.02)
    items = Items(vectors.register(db), source, ROWS)
    db.execute(
        f"CREATE TABLE items (id bigserial, label int NOT NULL, embedding vector({DIMS})) "
        "PARTITION BY LIST (label)"
    )
    for label in range(LABELS):
        db.execute(f"CREATE TABLE items_{label} PARTITION OF items FOR VALUES IN ({label})")
    items.copy()
    db.execute(f"CREATE INDEX items_index ON items USING kdtree (embedding) {SMALL_DELTA}")
    every = [f"items_{label}_embedding_idx" for label in range(LABELS)]
    some = [every[label] for label in (2, 5)]
    for _ in range(3):
        change_all(items)
        for limit in (1, 100, None):
            target = {"target": source.vector()}
            compare(db, Question("<->", parameters=target, limit=limit), *every)
            compare(db, Question("<->", parameters=target, condition="label IN (2, 5)", limit=limit), *some)


def test_join_of_two_indexed_tables(items: Items) -> None:
    """The nearest of each of a table's rows, the rows themselves in the order of another index."""
    db = items.connection
    db.execute(f"CREATE INDEX items_index ON items USING kdtree (embedding) {SMALL_DELTA}")
    db.execute("CREATE TABLE seeds AS SELECT id, embedding FROM items WHERE embedding IS NOT NULL LIMIT 200")
    db.execute("CREATE INDEX seeds_index ON seeds USING kdtree (embedding)")
    change_all(items)
    nearest_seeds = "SELECT id, embedding FROM seeds ORDER BY embedding <-> {} LIMIT 7"
    target = sql.Literal(items.source.vector()).as_string(db)
    compare_lateral(db, "<->", nearest_seeds.format(target), 5, "items_index", "seeds_index")


def test_built_concurrently_under_load(
    cluster: Cluster, dbname: str, items: Items, rng: numpy.random.Generator
) -> None:
    db = items.connection
    writes = (
        Items.insert_one,
        Items.insert_many,
        Items.update_vector,
        Items.delete_one,
        Items.roll_back_to_savepoint,
    )
    with running(cluster, dbname, rng, *[writer(items.source, 20, *writes)] * 2):
        db.execute(f"CREATE INDEX CONCURRENTLY items_index ON items USING kdtree (embedding) {SMALL_DELTA}")
        for _ in range(3):
            db.execute("REINDEX INDEX CONCURRENTLY items_index")
            with db.transaction():
                db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                compare(db, Question("<->", parameters={"target": items.source.vector()}), "items_index")
    compare(db, Question("<->", parameters={"target": items.source.vector()}), "items_index")
    items.vacuum()
    compare(db, Question("<->", parameters={"target": items.source.vector()}), "items_index")
