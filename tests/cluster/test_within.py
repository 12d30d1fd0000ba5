"""Rows within a distance, where more is asked than one radius: joins, generic plans, several conditions.

`test_oracle.py` asks random tables for one radius. Here every answer is compared with that of a plan without
the index, and every plan is asserted.
"""

from collections.abc import Sequence

import numpy
import psycopg
import pytest

import vectors
from changes import Items
from oracle import ALL_OPERATORS, WITHIN, check, plan_of, planned, type_of, verify
from vectors import Source, clustered, uniform

DIMS = 6
OFF = {"enable_seqscan": "off", "enable_indexscan": "off", "enable_bitmapscan": "off"}
TABLE = {**OFF, "enable_seqscan": "on"}
PLANS = {
    "Index Scan": {**OFF, "enable_indexscan": "on"},
    "Bitmap Index Scan": {**OFF, "enable_bitmapscan": "on"},
}


@pytest.fixture(params=list(ALL_OPERATORS))
def opclass(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def items(db: psycopg.Connection, rng: numpy.random.Generator, opclass: str) -> Items:
    """Rows in several segments and in the delta, some of them gone, some without a direction or a vector."""
    source = Source(rng, DIMS, clustered, zeros=0.02, nulls=0.02, type=type_of(opclass))
    items = Items(vectors.register(db), source, 1500)
    items.create()
    items.copy()
    db.execute(f"CREATE INDEX items_index ON items USING kdtree (embedding {opclass}) WITH (delta_size = 64)")
    for _ in range(3):
        items.copy()
    items.delete_some()
    db.execute("INSERT INTO items (label, embedding) SELECT label, embedding FROM items LIMIT 40")
    db.execute("ANALYZE items")
    return items


def some_target(items: Items) -> numpy.ndarray:
    """A vector like the stored ones, but not zero: that has no cosine distance from any."""
    while not numpy.any(target := items.source.vector()):
        pass
    return target


def nodes(plan: Sequence[dict], index: str = "items_index") -> set[str]:
    return {node["Node Type"] for node in plan if node.get("Index Name") == index}


def agree(items: Items, text: str, parameters: dict[str, object] | None = None) -> list[tuple]:
    """Asserts that table, index scan and bitmap scan give the same rows, in any order.

    (An order by id would invite the primary key's index.)
    """
    with planned(items.connection, TABLE):
        assert not nodes(plan_of(items.connection, text, parameters))
        expected = sorted(items.connection.execute(text, parameters).fetchall())
    for method, settings in PLANS.items():
        with planned(items.connection, settings):
            assert nodes(plan_of(items.connection, text, parameters)) == {method}
            answer = sorted(items.connection.execute(text, parameters).fetchall())
            assert answer == expected, f"{method}: {text}"
    return expected


def radii(items: Items, opclass: str, target: numpy.ndarray, shares: Sequence[float]) -> list[float]:
    """The distances within which these shares of the rows are; each is exactly that of a row."""
    distance = f"embedding {ALL_OPERATORS[opclass]} %s"
    rows = items.connection.execute(
        f"SELECT {distance} FROM items WHERE {distance} <> 'NaN' ORDER BY 1", (target, target)
    ).fetchall()
    return [rows[int(share * (len(rows) - 1))][0] for share in shares]


def test_join(items: Items, opclass: str) -> None:
    """Vector and radius are another row's: the scan starts again with other ones, of which some are NULL."""
    small, large = radii(items, opclass, some_target(items), (0.01, 0.2))
    found = agree(
        items,
        "WITH a AS MATERIALIZED (SELECT id, embedding, "
        "(ARRAY[%(small)s, %(large)s, NULL])[id %% 3 + 1]::float8 AS radius FROM items ORDER BY id LIMIT 60) "
        "SELECT a.id, b.id FROM a, items b "
        f"WHERE {WITHIN[opclass]}(b.embedding, a.embedding, a.radius)",
        {"small": small, "large": large},
    )
    assert len({a for a, _ in found}) > 1


def test_generic_plan(items: Items, opclass: str) -> None:
    """One plan for all vectors and radii, NULL and NaN among them."""
    db = items.connection
    target = some_target(items)
    values = [(target, radius) for radius in radii(items, opclass, target, (0, 0.1, 1))]
    values += [(target, float("nan")), (target, float("-inf")), (target, None), (None, 1.0)]
    sizes = set()
    for method, settings in {"Seq Scan": TABLE, **PLANS}.items():
        with planned(db, {**settings, "plan_cache_mode": "force_generic_plan"}):
            db.execute(
                f"PREPARE near({type_of(opclass)}, float8) AS SELECT array_agg(id ORDER BY id) FROM "
                # Since version 16 a scan of the primary key would give the order.
                f"(SELECT id FROM items WHERE {WITHIN[opclass]}(embedding, $1, $2) OFFSET 0) found"
            )
            plan = plan_of(db, psycopg.sql.SQL("EXECUTE near(NULL, NULL)"))
            assert nodes(plan) == {method} - {"Seq Scan"}
            execute = psycopg.sql.SQL("EXECUTE near({}, {})")
            answers = [
                db.execute(execute.format(*map(psycopg.sql.Literal, value))).fetchone()[0] for value in values
            ]
            db.execute("DEALLOCATE near")
        if method == "Seq Scan":
            expected = answers
        assert answers == expected, method
        sizes = {len(answer or ()) for answer in answers}
    assert len(sizes) > 3


def test_workers(items: Items, opclass: str) -> None:
    """Workers fetch the rows of a bitmap, and compute the condition in a parallel sequential scan."""
    target = some_target(items)
    (radius,) = radii(items, opclass, target, (0.3,))
    text = f"SELECT count(*) FROM items WHERE {WITHIN[opclass]}(embedding, %(target)s, %(radius)s)"
    parameters = {"target": target, "radius": radius}
    parallel = {
        "parallel_setup_cost": "0",
        "parallel_tuple_cost": "0",
        "min_parallel_table_scan_size": "0",
        "max_parallel_workers_per_gather": "2",
        "work_mem": "64kB",
        # Makes what workers share dear, so that they are worth having.
        "cpu_tuple_cost": "10",
    }
    db = items.connection
    with db.transaction(), planned(db, TABLE):
        db.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        expected = db.execute(text, parameters).fetchone()
    for settings, node in ((TABLE, "Seq Scan"), (PLANS["Bitmap Index Scan"], "Bitmap Heap Scan")):
        with db.transaction(), planned(db, settings):
            for name, value in parallel.items():
                db.execute(f"SET LOCAL {name} = '{value}'")
            plan = plan_of(db, text, parameters)
            assert any(n["Node Type"] == node and n["Parallel Aware"] for n in plan), plan
            assert db.execute(text, parameters).fetchone() == expected
    assert expected[0] > 100


def test_several_conditions(items: Items, opclass: str) -> None:
    """Around two vectors, in both orders, beside another condition, and as alternatives."""
    db = items.connection
    p, q = some_target(items), some_target(items)
    parameters = {"p": p, "q": q, "nan": float("nan")}
    parameters["small"], parameters["large"] = radii(items, opclass, p, (0.3, 0.9))
    (parameters["other"],) = radii(items, opclass, q, (0.8,))
    within = WITHIN[opclass]
    near, far = f"{within}(embedding, %(p)s, %(small)s)", f"{within}(embedding, %(q)s, %(other)s)"
    every = f"{within}(embedding, %(p)s, %(nan)s)"
    rows = "SELECT id FROM items WHERE {}"
    both = agree(items, rows.format(f"{near} AND {far}"), parameters)
    assert agree(items, rows.format(f"{far} AND {near}"), parameters) == both
    assert agree(items, rows.format(f"{every} AND {near} AND {far}"), parameters) == both
    agree(items, rows.format(f"{near} AND label < 5"), parameters)
    either = rows.format(f"{near} OR {far}")
    with planned(db, TABLE):
        expected = sorted(db.execute(either, parameters).fetchall())
    with planned(db, PLANS["Bitmap Index Scan"]):
        plan = plan_of(db, either, parameters)
        assert "BitmapOr" in {node["Node Type"] for node in plan}
        assert sorted(db.execute(either, parameters).fetchall()) == expected
    assert len(expected) > len(both) > 0


def test_smallest_radius_is_searched_for(db: psycopg.Connection, rng: numpy.random.Generator) -> None:
    """Whatever the order in which conditions are written; NaN is the largest of all."""
    vectors.register(db)
    items = Items(db, Source(rng, DIMS, uniform), 5000)
    items.create()
    items.copy()
    db.execute("CREATE INDEX items_index ON items USING kdtree (embedding vector_l2_ops)")
    target = some_target(items)
    for radius in (100.0, float("inf"), float("nan")):
        for first, second in ((0.1, radius), (radius, 0.1)):
            with planned(db, PLANS["Index Scan"]):
                db.execute(
                    "SELECT count(*) FROM items WHERE l2_within(embedding, %s, %s) "
                    "AND l2_within(embedding, %s, %s)",
                    (target, first, -target, second) if second != 0.1 else (-target, first, target, second),
                )
            (rows,) = db.execute("SELECT rows FROM kdtree_last_scan()").fetchone()
            assert rows < 500, (first, second)


@pytest.mark.parametrize("radius, few", [(0.3, True), (0.7, False), (1.0, False), (float("inf"), False)])
def test_order_by_another_vector(
    db: psycopg.Connection, rng: numpy.random.Generator, radius: float, few: bool
) -> None:
    """Few rows are found first and then put in order; many are looked for in their order."""
    vectors.register(db)
    items = Items(db, Source(rng, DIMS, uniform), 20000)
    items.create()
    items.copy()
    db.execute("CREATE INDEX items_index ON items USING kdtree (embedding vector_l2_ops)")
    db.execute("INSERT INTO items (label, embedding) SELECT label, embedding FROM items LIMIT 50")
    parameters = {
        "centre": numpy.full(DIMS, 0.5, numpy.float32),
        "radius": radius,
        "far": numpy.full(DIMS, 3, numpy.float32),
        "farther": numpy.full(DIMS, 1e20, numpy.float32),
    }
    for target in ("far", "farther"):
        text = (
            f"SELECT id, (embedding <-> %({target})s)::text FROM items "
            f"WHERE l2_within(embedding, %(centre)s, %(radius)s) ORDER BY embedding <-> %({target})s"
        )
        with planned(db, {**TABLE, "enable_sort": "on"}):
            whole = db.execute(text, parameters).fetchall()
        with planned(db, {**PLANS["Index Scan"], "enable_sort": "off"}):
            assert nodes(plan_of(db, text, parameters)) == {"Index Scan"}
            answer = db.execute(text, parameters).fetchall()
            (rows,) = db.execute("SELECT rows FROM kdtree_last_scan()").fetchone()
        check(answer, whole, f"{target} {radius}")
        assert rows <= 4096 if few else rows == 20050
        assert rows >= len(whole) > 0


def test_bookkeeping(db: psycopg.Connection, rng: numpy.random.Generator) -> None:
    """A scan without an order counts the delta, and the next search for a few is no larger for it."""
    vectors.register(db)
    items = Items(db, Source(rng, DIMS, uniform), 20000)
    items.create()
    items.copy()
    db.execute("CREATE INDEX items_index ON items USING kdtree (embedding vector_l2_ops)")
    db.execute("INSERT INTO items (label, embedding) SELECT label, embedding FROM items LIMIT 50")
    target = some_target(items)

    def search() -> int:
        # Without a LIMIT of its own, so that only earlier scans tell how many rows will be wanted.
        with db.transaction():
            db.execute(
                "DECLARE near NO SCROLL CURSOR FOR SELECT id FROM items ORDER BY embedding <-> %s", (target,)
            )
            db.execute("FETCH 2 FROM near")
            db.execute("CLOSE near")
        return db.execute("SELECT fine FROM kdtree_last_scan()").fetchone()[0]

    with planned(db, {**PLANS["Index Scan"], "enable_sort": "off"}):
        search()
        before = search()
        db.execute("SELECT count(*) FROM items WHERE l2_within(embedding, %s, 100)", (target,))
        rows, delta = db.execute("SELECT rows, delta FROM kdtree_last_scan()").fetchone()
        assert (rows, delta) == (20050, 50)
        assert search() == before


def test_changes(items: Items, opclass: str) -> None:
    """Between updates, deletes, merges and VACUUM."""
    within = WITHIN[opclass]
    for _ in range(6):
        items.change()
        target = some_target(items)
        if not items.connection.execute("SELECT count(embedding) FROM items").fetchone()[0]:
            continue
        (radius,) = radii(items, opclass, target, (0.4,))
        text = f"SELECT id FROM items WHERE {within}(embedding, %(target)s, %(radius)s)"
        agree(items, text, {"target": target, "radius": radius})
    items.connection.execute("SELECT kdtree_merge('items_index')")
    items.vacuum()
    agree(items, text, {"target": target, "radius": radius})
    verify(items.connection, "items_index")
