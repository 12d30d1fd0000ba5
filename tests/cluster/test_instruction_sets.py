"""The same rows, distances and searches under every instruction set of the machine."""

import itertools

import psycopg
import pytest
from numpy.random import Generator
from psycopg import errors

import pgvectors
import vectors
from oracle import OPERATORS, THROUGH_INDEX, assert_uses, plan_of, planned
from pgcluster import Cluster
from vectors import Distribution, Source

# Less than a block of any kernel, a block and a rest, several blocks and principal components, several pages.
DIMS = (3, 19, 70, 1100)
ROWS = 400
KINDS = (vectors.uniform, vectors.clustered, vectors.few_distinct, vectors.extreme, vectors.all_magnitudes)
# Rows that are inserted after the index was built.
DELTA = 50


def instruction_sets(db: psycopg.Connection) -> list[str]:
    """Those that this machine has, the portable one first."""
    db.execute("LOAD 'kdvector'")
    found = []
    for name in ("portable", "sse2", "neon", "avx2", "avx512"):
        try:
            db.execute(f"SET kdtree.instruction_set = {name}")
            found.append(name)
        except errors.InvalidParameterValue:
            pass
    db.execute("RESET kdtree.instruction_set")
    assert found[0] == "portable"
    return found


def under(cluster: Cluster, dbname: str, name: str) -> psycopg.Connection:
    """A session of its own: what a search looks at depends on the searches of the session before it."""
    connection = vectors.register(cluster.connect(dbname))
    connection.execute("LOAD 'kdvector'")
    connection.execute(f"SET kdtree.instruction_set = {name}")
    return connection


def distances(db: psycopg.Connection, targets: list[str]) -> list[tuple]:
    """Every distance of every row, to the last bit."""
    columns = [
        f"float8send(embedding {operator} '{target}')"
        for operator, target in itertools.product(OPERATORS.values(), targets)
    ]
    return db.execute(f"SELECT id, {', '.join(columns)} FROM items ORDER BY id").fetchall()


def searches(db: psycopg.Connection, targets: list[str]) -> list[list[tuple]]:
    """What index scans return, and what they looked at: that depends on every bit of every bound."""
    answers = []
    with planned(db, THROUGH_INDEX):
        for (opclass, operator), target, limit in itertools.product(
            OPERATORS.items(), targets, (1, 40, ROWS)
        ):
            query = f"SELECT id FROM items ORDER BY embedding {operator} '{target}' LIMIT {limit}"
            assert_uses(plan_of(db, query), [f"items_{opclass}"])
            answers.append(db.execute(query).fetchall())
            answers.append(db.execute("SELECT * FROM kdtree_last_scan()").fetchall())
    return answers


def create_indexes(db: psycopg.Connection) -> None:
    for opclass in OPERATORS:
        db.execute(f"DROP INDEX IF EXISTS items_{opclass}")
        db.execute(
            f"CREATE INDEX items_{opclass} ON items USING kdtree (embedding {opclass}) WITH (leaf_size = 40)"
        )


@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize("distribution", KINDS, ids=lambda distribution: distribution.__name__)
def test_results_are_the_same(
    cluster: Cluster,
    db: psycopg.Connection,
    dbname: str,
    rng: Generator,
    dims: int,
    distribution: Distribution,
) -> None:
    sets = instruction_sets(db)
    if len(sets) == 1:
        pytest.skip("this machine has only the portable instruction set")
    source = Source(rng, dims, distribution, zeros=0.02)
    db.execute(f"CREATE TABLE items (id serial, embedding vector({dims}))")

    def insert(connection: psycopg.Connection, count: int) -> None:
        rows = [(vector,) for vector in source.vectors(count)]
        connection.cursor().executemany("INSERT INTO items (embedding) VALUES (%s)", rows)

    targets = [pgvectors.literal(vector) for vector in source.vectors(2)]
    targets.append(pgvectors.literal(rng.normal(size=dims).astype("float32")))
    with under(cluster, dbname, "portable") as connection:
        insert(connection, ROWS - DELTA)
        create_indexes(connection)
        insert(connection, DELTA)
        expected = (distances(connection, targets), searches(connection, targets))
    for name in sets[1:]:
        with under(cluster, dbname, name) as connection:
            assert distances(connection, targets) == expected[0], name
            assert searches(connection, targets) == expected[1], name
    # What one instruction set built, another searches.
    with under(cluster, dbname, sets[-1]) as connection:
        create_indexes(connection)
        built = searches(connection, targets)
    with under(cluster, dbname, "portable") as connection:
        assert searches(connection, targets) == built


@pytest.mark.parametrize("dims", (*DIMS, 16000))
def test_halves_and_bits_are_the_same(
    cluster: Cluster, db: psycopg.Connection, dbname: str, rng: Generator, dims: int
) -> None:
    sets = instruction_sets(db)
    if len(sets) == 1:
        pytest.skip("this machine has only the portable instruction set")
    # Halves of every magnitude, subnormal ones among them.
    rows = rng.normal(size=(20, dims)) * 10.0 ** rng.uniform(-8, 4, (20, dims))
    db.execute("CREATE TABLE items (id serial, h halfvec, b bit varying)")
    for row in rows.astype("float32"):
        query = "INSERT INTO items (h, b) SELECT %s::vector::halfvec, binary_quantize(%s::vector)"
        db.execute(query, [pgvectors.literal(row)] * 2)
    columns = [f"float8send(a.h {operator} b.h)" for operator in OPERATORS.values()] + [
        "a.b <~> b.b",
        "a.b <%> b.b",
    ]
    query = f"SELECT {', '.join(columns)} FROM items a, items b ORDER BY a.id, b.id"
    answers = {}
    for name in sets:
        with under(cluster, dbname, name) as connection:
            answers[name] = connection.execute(query).fetchall()
    assert len(set(answers["portable"])) > 100
    assert all(answer == answers["portable"] for answer in answers.values())


def test_only_superusers_change_it(db: psycopg.Connection) -> None:
    db.execute("LOAD 'kdvector'")
    assert db.execute("SHOW kdtree.instruction_set").fetchone() == ("auto",)
    with pytest.raises(errors.InvalidParameterValue):
        db.execute("SET kdtree.instruction_set = sse9")
    db.execute("CREATE ROLE plain_user")
    try:
        db.execute("SET ROLE plain_user")
        with pytest.raises(errors.InsufficientPrivilege):
            db.execute("SET kdtree.instruction_set = portable")
    finally:
        db.execute("RESET ROLE")
        db.execute("DROP ROLE plain_user")
