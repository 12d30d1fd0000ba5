"""A streaming standby answers as its primary does, and goes on as a primary after promotion.

With wal_consistency_checking, replay compares every page that it changed with the primary's.
"""

import contextlib
from collections.abc import Callable

import numpy
import psycopg
from psycopg import errors

import vectors
from changes import Items
from conftest import create_database
from load import repeated, running, writer
from oracle import OPERATORS, THROUGH_INDEX, Question, compare, compare_size, planned
from pgcluster import Cluster
from vectors import Source, clustered

DIMS = 48
SETTINGS = {"wal_consistency_checking": "all", "wal_level": "replica", "max_wal_size": "8GB"}
BATCH = 300
WRITES = (
    Items.insert_one,
    Items.insert_many,
    Items.copy,
    Items.update_vectors,
    Items.delete_some,
    Items.roll_back,
    Items.roll_back_to_savepoint,
    Items.two_phases,
    Items.merge,
)


def create_items(connection: psycopg.Connection, rng: numpy.random.Generator) -> Items:
    """A table with an index of each operator class, named like it."""
    items = Items(vectors.register(connection), Source(rng, DIMS, clustered, zeros=0.01, nulls=0.01), BATCH)
    items.create()
    items.copy()
    for opclass in OPERATORS:
        connection.execute(
            f"CREATE INDEX {opclass} ON items USING kdtree (embedding {opclass}) WITH (delta_size = 64)"
        )
    return items


def answers(connection: psycopg.Connection, questions: list[Question]) -> list[list[str | None]]:
    """The distances of every answer, each compared with the table's. Ids of equal distances may differ."""
    opclass_of = {operator: opclass for opclass, operator in OPERATORS.items()}
    return [
        [distance for _, distance in compare(connection, question, opclass_of[question.operator])]
        for question in questions
    ]


def random_questions(source: Source) -> list[Question]:
    return [
        Question(operator, parameters={"target": source.vector()}, limit=limit)
        for operator in OPERATORS.values()
        for limit in (1, 20, None)
    ]


def test_standby_and_promotion(make_cluster: Callable[..., Cluster], rng: numpy.random.Generator) -> None:
    primary = make_cluster("primary", **SETTINGS)
    create_database(primary, "replica")
    standby = primary.standby("standby")
    standby.start()

    with contextlib.ExitStack() as sessions:
        items = create_items(sessions.enter_context(primary.connect("replica")), rng)
        source = items.source
        primary.wait_for_replay(standby)
        reader = vectors.register(sessions.enter_context(standby.connect("replica")))

        for statement in ("REINDEX TABLE items", "REINDEX TABLE CONCURRENTLY items", "VACUUM FULL items"):
            workers = [writer(source, BATCH, *WRITES)] * 2
            with running(primary, "replica", rng, *workers, repeated("VACUUM items", 0.1)) as failed:
                failed.wait(2)
            questions = random_questions(source)
            primary.wait_for_replay(standby)
            assert answers(reader, questions) == answers(items.connection, questions)
            items.connection.execute(statement)
            primary.wait_for_replay(standby)
            assert answers(reader, questions) == answers(items.connection, questions)

        questions = random_questions(source)
        before = answers(items.connection, questions)

    primary.crash()
    standby.promote()
    with standby.connect("replica") as connection:
        items = Items(vectors.register(connection), source, BATCH)
        assert answers(connection, questions) == before
        with running(standby, "replica", rng, *workers, repeated("VACUUM items", 0.1)) as failed:
            failed.wait(2)
        answers(connection, random_questions(source))
        compare_size(connection, *OPERATORS)
        answers(connection, random_questions(source))


def test_long_scan_on_standby(make_cluster: Callable[..., Cluster], rng: numpy.random.Generator) -> None:
    """The primary knows nothing of the standby's scans and recycles pages under them.

    Such a scan goes on to the right end, or it is cancelled as a conflict with recovery, to be repeated. It
    gives no wrong rows, and does not say that the index is damaged.
    """
    primary = make_cluster("primary", **SETTINGS, max_standby_streaming_delay="2s", autovacuum="off")
    create_database(primary, "replica")
    standby = primary.standby("standby")
    standby.start()
    with vectors.register(primary.connect("replica")) as connection:
        items = Items(connection, Source(rng, DIMS, clustered), BATCH)
        items.create()
        connection.execute(
            "CREATE INDEX items_index ON items USING kdtree (embedding) WITH (delta_size = 64)"
        )
        for _ in range(5):
            items.copy()
        primary.wait_for_replay(standby)
        question = Question("<->", parameters={"target": items.source.vector()})
        expected = [distance for _, distance in compare(connection, question, "items_index")]

        def use_pages_anew() -> None:
            """Only inserts, so that no removed row cancels the scan: segments are merged again and again."""
            for _ in range(80):
                items.copy()
            primary.wait_for_replay(standby)

        conflicts = (errors.SerializationFailure, errors.QueryCanceled)
        with contextlib.suppress(*conflicts), standby.connect("replica") as reader, reader.transaction():
            vectors.register(reader)
            with planned(reader, THROUGH_INDEX):
                reader.execute(f"DECLARE rows CURSOR FOR {question.text()}", question.parameters)
            found = reader.execute("FETCH 1 FROM rows").fetchall()
            use_pages_anew()
            found += reader.execute("FETCH ALL FROM rows").fetchall()
            assert [distance for _, distance in found] == expected
        with standby.connect("replica") as reader:
            compare(vectors.register(reader), question, "items_index")
