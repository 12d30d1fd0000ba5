"""A database with indexes of every kind, and questions about each: for tests of what takes over databases.

`create_all` makes them, on vectors of `items` and what is derived from these; `questions` are answered by one
index each. The table `kinds` has a column of each other type.
"""

import numpy
import psycopg

import vectors
from changes import Items
from oracle import IS_OURS, OPERATORS, Question, compare
from vectors import Source, clustered

DIMS = 12
ROWS = 1200
SMALL_DELTA = "WITH (delta_size = 64)"
HALF = f"(subvector(embedding, 1, {DIMS // 2})::vector({DIMS // 2}))"

# A question, and the indexes that answer it.
Asked = tuple[Question, tuple[str, ...]]

# Columns of the table `kinds`: the operator class of each, its operator, and how a vector becomes its value.
KINDS = {
    "half": ("halfvec_l2_ops", "<->", f"halfvec({DIMS})", "({}::halfvec)"),
    "bits": ("bit_hamming_ops", "<~>", f"bit({DIMS})", f"(binary_quantize({{}})::bit({DIMS}))"),
    "sparse": ("sparsevec_ip_ops", "<#>", f"sparsevec({DIMS})", "({}::sparsevec)"),
}


def create_kinds(db: psycopg.Connection) -> None:
    columns = ", ".join(f"{name} {type}" for name, (_, _, type, _) in KINDS.items())
    db.execute(f"CREATE TABLE kinds (id bigint PRIMARY KEY, {columns})")


def index_kinds(db: psycopg.Connection) -> None:
    for name, (opclass, *_) in KINDS.items():
        db.execute(f"CREATE INDEX kinds_{name} ON kinds USING kdtree ({name} {opclass}) {SMALL_DELTA}")


def fill_kinds(db: psycopg.Connection) -> None:
    """The rows of `items` that are not there yet."""
    values = ", ".join(value.format("embedding") for *_, value in KINDS.values())
    db.execute(
        f"INSERT INTO kinds SELECT id, {values} FROM items "
        "WHERE NOT EXISTS (SELECT FROM kinds WHERE kinds.id = items.id)"
    )


def about_kinds(target: numpy.ndarray) -> list[Asked]:
    """A question about each column, with the index that answers it."""
    return [
        (
            Question(
                operator,
                value.format("%(target)s::vector"),
                {"target": target},
                table="kinds",
                column=name,
            ),
            (f"kinds_{name}",),
        )
        for name, (_, operator, _, value) in KINDS.items()
    ]


def create_all(db: psycopg.Connection, rng: numpy.random.Generator) -> Items:
    """The tables and their indexes: segments and a delta, removed rows, rows without a distance."""
    items = Items(vectors.register(db), Source(rng, DIMS, clustered, zeros=0.01, nulls=0.01), ROWS)
    items.create()
    items.copy()
    for opclass in OPERATORS:
        db.execute(f"CREATE INDEX {opclass} ON items USING kdtree (embedding {opclass}) {SMALL_DELTA}")
    items.copy()
    items.delete_some()
    for statement in (
        "CREATE UNLOGGED TABLE other AS SELECT * FROM items",
        f"CREATE INDEX other_half ON other USING kdtree ({HALF} vector_cosine_ops) WITH (leaf_size = 50)",
        "CREATE INDEX other_few ON other USING kdtree (embedding) WHERE label < 3",
        "COMMENT ON INDEX other_few IS 'few'",
        "CREATE INDEX other_filtered ON other USING kdtree (embedding vector_ip_ops, label)",
        "CREATE INDEX other_hnsw ON other USING hnsw (embedding vector_l1_ops) WITH (m = 8)",
        "CREATE INDEX other_ivfflat ON other USING ivfflat (embedding vector_cosine_ops) WITH (lists = 8)",
        "CREATE TABLE parted (LIKE items) PARTITION BY LIST (label)",
        "CREATE TABLE parted_0 PARTITION OF parted FOR VALUES IN (0, 1, 2, 3, 4)",
        "CREATE TABLE parted_1 PARTITION OF parted DEFAULT",
        f"CREATE INDEX parted_index ON parted USING kdtree (embedding) {SMALL_DELTA}",
        "INSERT INTO parted SELECT * FROM items",
        "CREATE MATERIALIZED VIEW kept AS SELECT id, embedding FROM items WHERE label = 5",
        "CREATE INDEX kept_index ON kept USING kdtree (embedding)",
    ):
        db.execute(statement)
    create_kinds(db)
    fill_kinds(db)
    index_kinds(db)
    return items


def change_all(db: psycopg.Connection, source: Source) -> None:
    """More rows in all tables, other vectors in some, and VACUUM."""
    items = Items(db, source, ROWS)
    items.copy()
    items.update_vectors()
    items.vacuum()
    for table in ("other", "parted"):
        db.execute(f"INSERT INTO {table} SELECT * FROM items WHERE id > (SELECT max(id) FROM {table})")
    fill_kinds(db)
    db.execute("REFRESH MATERIALIZED VIEW kept")


def questions(source: Source) -> list[Asked]:
    def question(operator: str, limit: int | None = None, dims: int = DIMS, **more) -> Question:
        return Question(operator, parameters={"target": source.vector()[:dims]}, limit=limit, **more)

    return [
        *((question(operator), (opclass,)) for opclass, operator in OPERATORS.items()),
        (question("<->", 10, condition="label = 3", table="items"), ("vector_l2_ops",)),
        (question("<=>", column=HALF, dims=DIMS // 2, table="other"), ("other_half",)),
        (question("<->", 20, condition="label < 3", table="other"), ("other_few",)),
        (question("<#>", 20, condition="label = 3", table="other"), ("other_filtered",)),
        (question("<+>", table="other"), ("other_hnsw",)),
        (question("<=>", table="other"), ("other_ivfflat",)),
        (question("<->", 40, table="parted"), tuple(f"parted_{label}_embedding_idx" for label in range(2))),
        (question("<->", table="kept"), ("kept_index",)),
        *about_kinds(source.vector()),
    ]


def answers(db: psycopg.Connection, asked: list[Asked]) -> list[list[str | None]]:
    """The distances that answer each question, which are those of the table."""
    return [[distance for _, distance in compare(db, question, *indexes)] for question, indexes in asked]


def described(db: psycopg.Connection) -> list[tuple]:
    """The definitions of indexes, with comments and persistence, and the extensions."""
    return [
        *db.execute(
            "SELECT pg_get_indexdef(c.oid), obj_description(c.oid, 'pg_class'), relpersistence, indisvalid "
            "FROM pg_class c JOIN pg_index i ON indexrelid = c.oid JOIN pg_am ON pg_am.oid = relam "
            f"WHERE {IS_OURS} ORDER BY relname"
        ).fetchall(),
        *db.execute("SELECT extname, extversion FROM pg_extension ORDER BY extname").fetchall(),
    ]
