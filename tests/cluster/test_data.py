"""Data that is hard to store or to compare: through the index, each answer is that of the table.

Half of the rows are there before the index, half come after it, so that both trees and delta are asked.
"""

from collections.abc import Callable

import numpy
import psycopg
import pytest
from numpy.random import Generator
from psycopg import errors, sql

import vectors
from oracle import (
    OPERATORS,
    SEQUENTIALLY,
    THROUGH_INDEX,
    Question,
    apply,
    compare,
    compare_lateral,
    compare_prepared,
    plan_of,
)

LARGEST = vectors.LARGEST
DENORMAL = 1e-45

# The limits of pgvector's indexes and those of the type, with what lies beside them; and how many rows.
DIMS = {1: 200, 2: 200, 3: 200, 1999: 24, 2000: 24, 2001: 24, 16000: 12}

Shape = Callable[[Generator, int, int], numpy.ndarray]


def single_row(rng: Generator, _count: int, dims: int) -> numpy.ndarray:
    return rng.normal(size=(1, dims))


def zeros(_rng: Generator, count: int, dims: int) -> numpy.ndarray:
    return numpy.zeros((count, dims))


def signed_zeros(rng: Generator, count: int, dims: int) -> numpy.ndarray:
    return rng.choice([0.0, -0.0], (count, dims))


def denormals(rng: Generator, count: int, dims: int) -> numpy.ndarray:
    return rng.integers(-3, 4, (count, dims)) * DENORMAL


def largest(rng: Generator, count: int, dims: int) -> numpy.ndarray:
    """Squares, products and even differences overflow."""
    return rng.choice([-LARGEST, 0.0, LARGEST], (count, dims))


def equal(rng: Generator, count: int, dims: int) -> numpy.ndarray:
    return numpy.repeat(rng.normal(size=(1, dims)), count, axis=0)


def collinear(rng: Generator, count: int, dims: int) -> numpy.ndarray:
    return rng.normal(size=(count, 1)) * rng.normal(size=(1, dims))


def one_axis(rng: Generator, count: int, dims: int) -> numpy.ndarray:
    """All but one coordinate are zero."""
    points = numpy.zeros((count, dims))
    points[numpy.arange(count), rng.integers(0, dims, count)] = rng.normal(size=count)
    return points


def all_norms(rng: Generator, count: int, dims: int) -> numpy.ndarray:
    """Norms from the smallest number to the largest, in one leaf."""
    directions = rng.normal(size=(count, dims))
    directions /= numpy.linalg.norm(directions, axis=1, keepdims=True)
    return directions * numpy.logspace(-44, 38, count)[rng.permutation(count), None]


def one_far_away(rng: Generator, count: int, dims: int) -> numpy.ndarray:
    """One row decides the range of every dimension."""
    points = rng.normal(size=(count, dims)) * 1e-6
    points[count // 3] = 1e14 / numpy.sqrt(dims)
    return points


SHAPES: tuple[Shape, ...] = (
    single_row,
    zeros,
    signed_zeros,
    denormals,
    largest,
    equal,
    collinear,
    one_axis,
    all_norms,
    one_far_away,
)


@pytest.fixture
def items(db: psycopg.Connection) -> psycopg.Connection:
    return vectors.register(db)


def insert(db: psycopg.Connection, table: str, rows: numpy.ndarray) -> None:
    with db.cursor().copy(f"COPY {table} (embedding) FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["vector"])
        for row in rows.astype("float32"):
            copy.write_row((row,))


def create_indexes(db: psycopg.Connection, table: str) -> None:
    for opclass in OPERATORS:
        db.execute(f"CREATE INDEX {table}_{opclass} ON {table} USING kdtree (embedding {opclass})")


def ask(db: psycopg.Connection, table: str, targets: list[numpy.ndarray], limits=(1, 7, None)) -> None:
    """Asks for the nearest of each target under every operator."""
    for opclass, operator in OPERATORS.items():
        for target in targets:
            for limit in limits:
                question = Question(operator, parameters={"target": target}, table=table, limit=limit)
                compare(db, question, f"{table}_{opclass}")


@pytest.mark.parametrize("dims", DIMS)
def test_shapes(items: psycopg.Connection, rng: Generator, dims: int) -> None:
    ordinary = rng.normal(size=dims)
    hostile = [
        numpy.zeros(dims),
        numpy.full(dims, -0.0),
        numpy.full(dims, LARGEST),
        numpy.full(dims, DENORMAL),
    ]
    for shape in SHAPES:
        print(shape.__name__)
        table = shape.__name__
        rows = shape(rng, DIMS[dims], dims)
        items.execute(f"CREATE TABLE {table} (id serial, embedding vector({dims}))")
        insert(items, table, rows[: len(rows) // 2])
        create_indexes(items, table)
        insert(items, table, rows[len(rows) // 2 :])
        targets = [rows[0], ordinary, *hostile]
        ask(items, table, [target.astype("float32") for target in targets])


@pytest.mark.parametrize("content", ["", "NULL", "NULL, NULL, NULL", "'[0,0,0]', NULL", "'[1,2,3]', NULL"])
def test_almost_nothing(items: psycopg.Connection, content: str) -> None:
    """No rows, only NULL, and little else; before the index, after it, and after all of it is gone."""
    values = ", ".join(f"({value})" for value in content.split(", ") if value)

    def fill() -> None:
        if values:
            items.execute(f"INSERT INTO items (embedding) VALUES {values}")

    targets = [numpy.zeros(3, "float32"), numpy.ones(3, "float32")]
    items.execute("CREATE TABLE items (id serial, embedding vector(3))")
    fill()
    create_indexes(items, "items")
    ask(items, "items", targets)
    fill()
    ask(items, "items", targets)
    items.execute("DELETE FROM items")
    ask(items, "items", targets)
    items.execute("VACUUM items")
    ask(items, "items", targets)
    fill()
    ask(items, "items", targets)


@pytest.mark.parametrize("rows", [50_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_many_equal_rows(items: psycopg.Connection, rows: int) -> None:
    """Ties decide nothing, and no row is lost among them or comes twice."""
    items.execute("CREATE TABLE items (id int, embedding vector(3))")
    same = "INSERT INTO items SELECT i, '[1,2,3]' FROM generate_series(%s::int, %s::int) i"
    items.execute(same, (1, rows - 1000))
    items.execute("CREATE INDEX items_index ON items USING kdtree (embedding)")
    items.execute(same, (rows - 999, rows))
    for target in ([1, 2, 3], [3, 2, 1]):
        question = Question("<->", parameters={"target": numpy.float32(target)}, limit=100)
        compare(items, question, "items_index")
    question = Question("<->", parameters={"target": numpy.float32([1, 2, 3])})
    assert len(compare(items, question, "items_index")) == rows


# How values are stored -----------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", ["PLAIN", "MAIN", "EXTERNAL", "EXTENDED"])
@pytest.mark.parametrize("compression", ["pglz", "lz4"])
def test_storage(items: psycopg.Connection, rng: Generator, storage: str, compression: str) -> None:
    """Short headers, compressed values, values out of line and both; as rows and as targets."""
    kinds: dict[str, int] = {}
    for dims in (3, 29, 30, 31, 400, 1500, 4000):
        if storage == "PLAIN" and dims > 1500:
            continue  # does not fit a page
        table = f"items_{dims}"
        items.execute(f"CREATE TABLE {table} (id serial, embedding vector)")
        try:
            items.execute(
                f"ALTER TABLE {table} ALTER embedding SET STORAGE {storage}, "
                f"ALTER embedding SET COMPRESSION {compression}"
            )
        except errors.FeatureNotSupported:
            pytest.skip(f"this server was built without {compression}")
        rows = rng.normal(size=(20, dims))
        # These compress well.
        rows[::2] = rng.integers(1, 3, (10, 1))
        rows[::2, 0] = rng.normal(size=10)
        insert(items, table, rows[:10])
        index = f"{table}_index"
        items.execute(f"CREATE INDEX {index} ON {table} USING kdtree ((embedding::vector({dims})))")
        insert(items, table, rows[10:])
        column = f"(embedding::vector({dims}))"
        for target in ("%(target)s", f"(SELECT embedding FROM {table} WHERE id = 3)"):
            parameters = {"target": rows[1].astype("float32")} if "%" in target else {}
            question = Question("<->", target, parameters, table=table, column=column, limit=12)
            compare(items, question, index)
        for kind, count in items.execute(
            "SELECT CASE WHEN pg_column_compression(embedding) IS NOT NULL THEN 'compressed' "
            "WHEN pg_column_size(embedding) = 4 * vector_dims(embedding) + 5 THEN 'short header' "
            f"ELSE 'plain' END, count(*) FROM {table} GROUP BY 1"
        ):
            kinds[kind] = kinds.get(kind, 0) + count
        (toasted,) = items.execute(
            f"SELECT pg_relation_size(reltoastrelid) > 0 FROM pg_class WHERE relname = '{table}'"
        ).fetchone()
        kinds["out of line"] = kinds.get("out of line", 0) + bool(toasted)
    expected = {
        "PLAIN": {"plain"},
        "MAIN": {"plain", "short header", "compressed", "out of line"},
        "EXTERNAL": {"plain", "short header", "out of line"},
        "EXTENDED": {"plain", "short header", "compressed", "out of line"},
    }
    assert {kind for kind, count in kinds.items() if count} == expected[storage]


def test_change_of_the_column_type(items: psycopg.Connection, rng: Generator) -> None:
    """Dimensions added to a column, taken from it, refused, and changed with the values."""

    def ask_again(dims: int) -> None:
        ask(items, "items", [rng.normal(size=dims).astype("float32")])
        insert(items, "items", rng.normal(size=(5, dims)))
        ask(items, "items", [rng.normal(size=dims).astype("float32")])

    items.execute("CREATE TABLE items (id serial, embedding vector(3))")
    insert(items, "items", rng.normal(size=(100, 3)))
    create_indexes(items, "items")
    ask_again(3)
    items.execute("ALTER TABLE items ALTER embedding TYPE vector")
    ask_again(3)
    # The column takes other dimensions now; the index does not.
    for statement in (
        "INSERT INTO items (embedding) VALUES ('[1,2]')",
        "UPDATE items SET embedding = '[1,2,3,4]' WHERE id = 1",
        "ALTER TABLE items ALTER embedding TYPE vector(4)",
    ):
        with pytest.raises(errors.DataException) as refused:
            items.execute(statement)
        assert refused.value.sqlstate == "22000"
    ask_again(3)
    items.execute("ALTER TABLE items ALTER embedding TYPE vector(3)")
    ask_again(3)
    items.execute("ALTER TABLE items ALTER embedding TYPE vector(2) USING subvector(embedding, 1, 2)")
    ask_again(2)
    items.execute("ALTER TABLE items ALTER embedding TYPE vector USING embedding || embedding")
    ask_again(4)
    # Text has a class of operators, too, for columns behind the vector.
    for typename, error in (("text", errors.DatatypeMismatch), ("real[]", errors.UndefinedObject)):
        with pytest.raises(error):
            items.execute(f"ALTER TABLE items ALTER embedding TYPE {typename}")
    ask_again(4)


# What is asked -------------------------------------------------------------------------------------------

TARGETS = (
    "%(target)s",
    "%(target)s::vector(3)",
    "(SELECT %(target)s::vector)",
    "(WITH one AS MATERIALIZED (SELECT %(target)s::vector AS v) SELECT v FROM one)",
    "(WITH one AS NOT MATERIALIZED (SELECT %(target)s::vector AS v) SELECT v FROM one)",
    "(SELECT stable_target(%(target)s))",
    "stable_target(%(target)s)",
    "(SELECT v FROM targets LIMIT 1)",
    "(SELECT v FROM targets WHERE v <-> %(target)s < 0)",
    "(SELECT avg(v) FROM targets)",
)


@pytest.fixture
def asked(items: psycopg.Connection, rng: Generator) -> psycopg.Connection:
    """A table with indexes, a table of targets, and a function that may not be computed in advance."""
    items.execute("CREATE TABLE items (id serial, embedding vector(3))")
    insert(items, "items", rng.normal(size=(300, 3)))
    create_indexes(items, "items")
    insert(items, "items", rng.normal(size=(30, 3)))
    items.execute("INSERT INTO items (embedding) VALUES (NULL), ('[0,0,0]')")
    items.execute("CREATE TABLE targets AS SELECT id, embedding AS v FROM items WHERE id % 60 = 0")
    items.execute(
        "CREATE FUNCTION stable_target(vector) RETURNS vector STABLE LANGUAGE plpgsql "
        "AS 'BEGIN RETURN $1; END'"
    )
    return items


@pytest.mark.parametrize("target", TARGETS)
def test_where_the_target_comes_from(asked: psycopg.Connection, rng: Generator, target: str) -> None:
    for opclass, operator in OPERATORS.items():
        for value in (rng.normal(size=3), numpy.zeros(3)):
            parameters = {"target": value.astype("float32")} if "%" in target else {}
            for limit in (5, None):
                compare(asked, Question(operator, target, parameters, limit=limit), f"items_{opclass}")


def test_prepared_targets(asked: psycopg.Connection, rng: Generator) -> None:
    for opclass, operator in OPERATORS.items():
        for value in (rng.normal(size=3).astype("float32"), numpy.zeros(3, "float32"), None):
            question = Question(operator, parameters={"target": value}, limit=20)
            compare_prepared(asked, question, f"items_{opclass}")


def test_a_target_for_every_row(asked: psycopg.Connection) -> None:
    """The scan starts again with each; among them NULL, zero and values computed from the row."""
    for opclass, operator in OPERATORS.items():
        outer = (
            "SELECT id, v + v FROM targets UNION ALL SELECT -1, NULL UNION ALL SELECT -2, '[0,0,0]' "
            "UNION ALL SELECT -3, v FROM targets WHERE id = 60"
        )
        compare_lateral(asked, operator, outer, 9, f"items_{opclass}")


@pytest.mark.parametrize("target", ["'[1,2]'", "(SELECT '[1,2,3,4]'::vector)", "stable_target('[1]')"])
def test_targets_of_other_dimensions(asked: psycopg.Connection, target: str) -> None:
    """Refused in the same words, with and without the index."""
    for opclass, operator in OPERATORS.items():
        said = set()
        for settings in (THROUGH_INDEX, SEQUENTIALLY):
            apply(asked, settings)
            query = f"SELECT id FROM items ORDER BY embedding {operator} {target} LIMIT 1"
            uses_index = any(
                node.get("Index Name") == f"items_{opclass}" for node in plan_of(asked, sql.SQL(query))
            )
            assert uses_index == (settings is THROUGH_INDEX)
            with pytest.raises(errors.DataException) as refused:
                asked.execute(query)
            said.add((refused.value.sqlstate, refused.value.diag.message_primary))
        assert len(said) == 1
    apply(asked, {**SEQUENTIALLY, "enable_indexscan": "on"})


# Sizes ---------------------------------------------------------------------------------------------------

FULL = "array_fill(1, ARRAY[16000])::vector"
TOO_LARGE = {
    "SELECT array_fill(1, ARRAY[16001])::vector": "54000",
    "SELECT array_fill(1::real, ARRAY[16001])::vector": "54000",
    "SELECT array_fill(1::float8, ARRAY[16001])::vector": "54000",
    "SELECT array_fill(1::numeric, ARRAY[16001])::vector": "54000",
    "SELECT array_fill(1::real, ARRAY[10000000])::vector": "54000",
    "SELECT ('[' || repeat('1,', 10000000) || '1]')::vector": "54000",
    f"SELECT {FULL} || '[1]'": "54000",
    f"SELECT {FULL} || {FULL}": "54000",
    "SELECT '[1]'::vector(16001)": "22023",
    "SELECT '[1]'::vector(2147483647)": "22023",
    "CREATE TABLE wide (v vector(16001))": "22023",
    "SELECT vector_avg(array_fill(1::float8, ARRAY[16002]))": "54000",
    "SELECT vector_avg(array_fill(1::float8, ARRAY[10000000]))": "54000",
    "SELECT vector_accum(array_fill(1::float8, ARRAY[10000000]), '[1]')": "22000",
    "SELECT vector_combine(array_fill(1::float8, ARRAY[10000000]), '{1,1}')": "22000",
    "SELECT subvector('[1,2,3]'::vector, 2147483647, 2147483647)": "22000",
}


def test_sizes(db: psycopg.Connection) -> None:
    states = {}
    for statement in TOO_LARGE:
        with pytest.raises(psycopg.Error) as refused:
            db.execute(statement)
        states[statement] = refused.value.sqlstate
    assert states == TOO_LARGE
