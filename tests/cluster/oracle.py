"""The same question asked twice: an index scan must give what a sequential scan and a sort give.

A question orders rows by their distance from a vector. Its answer is a list of pairs (id, distance), where
the distance is the text of what the operator returned. Answers are equal if distances are, one by one, and if
every id has its own distance and occurs once. Among equal distances the order is free; where LIMIT or OFFSET
cut through them, any of them may be in the answer.

Every comparison asserts that the plans are what they should be: one with the index and without a sort, one
without the index.
"""

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy
import psycopg
from psycopg import sql

Row = tuple[int, str | None]

OPERATORS = {
    "vector_l2_ops": "<->",
    "vector_cosine_ops": "<=>",
    "vector_ip_ops": "<#>",
    "vector_l1_ops": "<+>",
}
ALL_OPERATORS = {
    **OPERATORS,
    **{opclass.replace("vector", "halfvec"): operator for opclass, operator in OPERATORS.items()},
}


def type_of(opclass: str) -> str:
    """The type of the vectors that an operator class is for."""
    return opclass.split("_")[0]


THROUGH_INDEX = {"enable_seqscan": "off", "enable_sort": "off", "enable_indexscan": "on"}
SEQUENTIALLY = {"enable_seqscan": "on", "enable_sort": "on", "enable_indexscan": "off"}
SETTINGS = {**THROUGH_INDEX, "enable_bitmapscan": "off", "enable_indexonlyscan": "off", "jit": "off"}


class Different(AssertionError):
    """The index gave another answer than the table."""


@dataclass(frozen=True)
class Question:
    """Rows of a table by their distance from `target`, an SQL expression that may use the parameters."""

    operator: str
    target: str = "%(target)s"
    parameters: dict[str, object] = field(default_factory=dict)
    table: str = "items"
    condition: str = "true"
    column: str = "embedding"
    type: str = "vector"
    limit: int | None = None
    offset: int = 0

    def text(self, *, whole: bool = False) -> str:
        """The query; with all rows if `whole`."""
        distance = f"{self.column} {self.operator} {self.target}"
        text = (
            f"SELECT id, ({distance})::text FROM {self.table} WHERE {self.condition} "
            f"ORDER BY {self.column} {self.operator} {self.target}"
        )
        if not whole and self.limit is not None:
            text += f" LIMIT {self.limit}"
        if not whole and self.offset:
            text += f" OFFSET {self.offset}"
        return text

    def __str__(self) -> str:
        return f"{self.text()} with {self.parameters}"


def compare(connection: psycopg.Connection, question: Question, *indexes: str) -> list[Row]:
    """Asserts that the index and the table give the same answer, and returns it."""
    whole = ask_table(connection, question)
    with planned(connection, THROUGH_INDEX):
        assert_uses(plan_of(connection, question.text(), question.parameters), indexes)
        answer = normalised(connection.execute(question.text(), question.parameters))
    check(answer, whole, question)
    return answer


def compare_prepared(connection: psycopg.Connection, question: Question, *indexes: str) -> list[Row]:
    """The same with a generic plan, made before the vector is known.

    Only so, or from a subquery, a NULL reaches the index: the planner turns a distance from NULL into NULL.
    """
    whole = ask_table(connection, question)
    with planned(connection, {**THROUGH_INDEX, "plan_cache_mode": "force_generic_plan"}):
        text = question.text().replace("%(target)s", "$1").replace("%%", "%")
        # By the simple protocol: a statement of the server, not of the driver.
        connection.execute(f"PREPARE question({question.type}) AS {text}")
        try:
            execute = sql.SQL("EXECUTE question({})").format(sql.Literal(question.parameters["target"]))
            assert_uses(plan_of(connection, execute), indexes)
            answer = normalised(connection.execute(execute))
        finally:
            connection.execute("DEALLOCATE question")
    check(answer, whole, question)
    return answer


def compare_cursor(
    connection: psycopg.Connection, question: Question, steps: Iterable[int], *indexes: str
) -> list[Row]:
    """The same, fetched from a cursor in steps; not to the end if the steps end before."""
    whole = ask_table(connection, question)
    answer: list[Row] = []
    wanted = 0
    with connection.transaction(), planned(connection, THROUGH_INDEX):
        assert_uses(plan_of(connection, question.text(), question.parameters), indexes)
        connection.execute(f"DECLARE rows NO SCROLL CURSOR FOR {question.text()}", question.parameters)
        for step in steps:
            answer += normalised(connection.execute(f"FETCH {step} FROM rows"))
            wanted += step
        connection.execute("CLOSE rows")
    limit = wanted if question.limit is None else min(wanted, question.limit)
    check(answer, whole, question, limit)
    return answer


def compare_lateral(
    connection: psycopg.Connection, operator: str, outer: str, limit: int, *indexes: str
) -> None:
    """The nearest rows of each of several rows: one index scan, started again for every outer row.

    `outer` is a query for ids and vectors.
    """

    def text(tail: str) -> str:
        return (
            f"SELECT outer_rows.id, near.id, near.distance FROM ({outer}) outer_rows(id, target) "
            f"CROSS JOIN LATERAL (SELECT id, (embedding {operator} target)::text AS distance FROM items "
            f"ORDER BY embedding {operator} target {tail}) near"
        )

    with planned(connection, SEQUENTIALLY):
        assert_avoids_indexes(plan_of(connection, text("")))
        whole = by_first(connection.execute(text("")))
    with planned(connection, THROUGH_INDEX):
        limited = text(f"LIMIT {limit}")
        assert_uses(plan_of(connection, limited), indexes)
        answers = by_first(connection.execute(limited))
    assert answers.keys() == whole.keys()
    for outer_id, answer in answers.items():
        check(answer, whole[outer_id], f"the nearest of row {outer_id} by {limited}", limit)


FUNCTIONS = {
    "<->": "l2_within",
    "<=>": "cosine_within",
    "<#>": "negative_inner_product_within",
    "<+>": "l1_within",
    "<~>": "hamming_within",
    "<%%>": "jaccard_within",
}
WITHIN = {opclass: FUNCTIONS[operator] for opclass, operator in ALL_OPERATORS.items()}


def compare_within(
    connection: psycopg.Connection, operator: str, target: object, radius: float, index: str
) -> list[int]:
    """Asserts that all plans find the same rows within a radius, and returns them."""
    parameters = {"target": target, "radius": radius}
    condition = f"{FUNCTIONS[operator]}(embedding, %(target)s, %(radius)s)"
    distance = f"embedding {operator} %(target)s"
    plain = f"SELECT id FROM items WHERE {condition} ORDER BY id"
    ordered = f"SELECT id, ({distance})::text FROM items WHERE {condition} ORDER BY {distance}"

    def ask(text: str, settings: dict[str, str], method: str) -> list[tuple]:
        with planned(connection, {"enable_sort": "on", **settings}):
            plan = plan_of(connection, text, parameters)
            assert (method, index) in {(node["Node Type"], node.get("Index Name")) for node in plan}, plan
            return connection.execute(text, parameters).fetchall()

    with planned(connection, SEQUENTIALLY):
        assert {"Seq Scan"} & {node["Node Type"] for node in plan_of(connection, plain, parameters)}
        expected = connection.execute(plain, parameters).fetchall()
        whole = normalised(connection.execute(ordered, parameters))
    off = {"enable_seqscan": "off", "enable_indexscan": "off", "enable_bitmapscan": "off"}
    for settings, method in (
        ({**off, "enable_bitmapscan": "on"}, "Bitmap Index Scan"),
        ({**off, "enable_indexscan": "on"}, "Index Scan"),
    ):
        if (answer := ask(plain, settings, method)) != expected:
            raise Different(f"{method}: {len(answer)} rows in place of {len(expected)}: {plain} {parameters}")
    answer = normalised(ask(ordered, {**THROUGH_INDEX, "enable_sort": "off"}, "Index Scan"))
    check(answer, whole, f"{ordered} {parameters}")
    return [id for (id,) in expected]


def compare_size(connection: psycopg.Connection, *indexes: str) -> None:
    """Asserts that after VACUUM the indexes have every row of `items` once, and no other."""
    deadline = time.monotonic() + 30
    while True:
        # Without the option, VACUUM leaves a few removed rows to the next one.
        connection.execute("VACUUM (INDEX_CLEANUP ON) items")
        (rows,) = connection.execute("SELECT count(*) FROM items").fetchone()
        query = "SELECT sum(vectors - dead)::bigint FROM kdtree_stats(%s)"
        sizes = {index: connection.execute(query, (index,)).fetchone()[0] for index in indexes}
        if all(size == rows for size in sizes.values()):
            return
        # Somebody may have had an old snapshot, such as the server's own ANALYZE.
        if time.monotonic() > deadline:
            raise Different(f"the table has {rows} rows, its indexes {sizes}")
        time.sleep(0.1)


# Of pg_am: kdtree, by whatever name. (Where pgvector is installed, hnsw and ivfflat are not ours.)
IS_OURS = "amhandler IN (SELECT oid FROM pg_proc WHERE probin = '$libdir/kdvector')"


def compare_all(
    connection: psycopg.Connection,
    target: numpy.ndarray,
    table: str = "items",
    limits: Iterable[int | None] = (1, 30, None),
) -> list[str]:
    """Asks every valid kdtree index of a table, partial ones excepted; returns their names."""
    query = (
        "SELECT c.relname, opcname FROM pg_index JOIN pg_class c ON c.oid = indexrelid "
        "JOIN pg_am ON pg_am.oid = relam JOIN pg_opclass o ON o.oid = indclass[0] "
        f"WHERE {IS_OURS} AND indisvalid AND indpred IS NULL AND indrelid = %s::regclass"
    )
    names = []
    for index, opclass in connection.execute(query, (table,)).fetchall():
        names.append(index)
        for limit in limits:
            operator = ALL_OPERATORS[opclass]
            question = Question(operator, parameters={"target": target}, table=table, limit=limit)
            compare(connection, question, index)
    return names


def verify(connection: psycopg.Connection, *indexes: str) -> None:
    """Asserts that kdtree_check finds nothing in these indexes, by default in all of the database.

    Left out are those that Postgres calls invalid, and temporary ones of other sessions.
    """
    query = (
        "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class c ON c.oid = indexrelid "
        f"JOIN pg_am ON pg_am.oid = relam WHERE {IS_OURS} AND relkind = 'i' AND indisvalid "
        "AND NOT pg_is_other_temp_schema(relnamespace)"
    )
    for index in indexes or [name for (name,) in connection.execute(query)]:
        problems = connection.execute("SELECT * FROM kdtree_check(%s, true)", (index,)).fetchall()
        assert not problems, f"kdtree_check({index}) says {problems[:10]}, {len(problems)} in all"


def ask_table(connection: psycopg.Connection, question: Question) -> list[Row]:
    """All rows, in order, without the index."""
    with planned(connection, SEQUENTIALLY):
        text = question.text(whole=True)
        assert_avoids_indexes(plan_of(connection, text, question.parameters))
        return normalised(connection.execute(text, question.parameters))


def check(
    answer: Sequence[Row], whole: Sequence[Row], question: Question | str, limit: int | None = None
) -> None:
    """Compares an answer with what the table gives without LIMIT and OFFSET."""
    offset = 0
    if isinstance(question, Question):
        offset = question.offset
        limit = question.limit if limit is None else limit
    end = None if limit is None else offset + limit
    expected = whole[offset:end]
    for place, (row, other) in enumerate(zip(answer, expected, strict=False)):
        if row[1] != other[1]:
            raise Different(
                f"place {place}: the index gives row {row[0]} at {row[1]}, "
                f"the table row {other[0]} at {other[1]}: {question}"
            )
    if len(answer) != len(expected):
        raise Different(f"{len(answer)} rows in place of {len(expected)}: {question}")
    if len({row[0] for row in answer}) != len(answer):
        raise Different(f"a row came twice: {question}")
    distances = dict(whole)
    for id, distance in answer:
        if id not in distances or distances[id] != distance:
            raise Different(f"row {id} does not belong at {distance}: {question}")


def normalised(rows: Iterable[tuple]) -> list[Row]:
    """Rows with the two zeros as one; they are equal in an order, but not as texts."""
    return [(id, "0" if distance == "-0" else distance) for id, distance in rows]


def by_first(rows: Iterable[tuple]) -> dict[int, list[Row]]:
    groups: dict[int, list[Row]] = {}
    for first, *rest in rows:
        groups.setdefault(first, []).extend(normalised([tuple(rest)]))
    return groups


# Plans -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def planned(connection: psycopg.Connection, settings: dict[str, str]) -> Iterator[None]:
    """Changes planner settings for a while. After an error they stay, as a transaction may be aborted."""
    before = {**SETTINGS, "plan_cache_mode": "auto"}
    apply(connection, {**before, **settings})
    yield
    apply(connection, before)


def apply(connection: psycopg.Connection, settings: dict[str, str]) -> None:
    calls = ", ".join("set_config(%s, %s, false)" for _ in settings)
    connection.execute(f"SELECT {calls}", [word for pair in settings.items() for word in pair])


def plan_of(connection: psycopg.Connection, query, parameters: dict[str, object] | None = None) -> list[dict]:
    """The nodes of the query's plan."""
    explain = "EXPLAIN (FORMAT JSON, COSTS OFF) "
    text = sql.SQL(explain) + query if isinstance(query, sql.Composable) else explain + query
    ((plan,),) = connection.execute(text, parameters).fetchone()
    return list(_nodes(plan["Plan"]))


def _nodes(node: dict) -> Iterator[dict]:
    yield node
    for child in node.get("Plans", []):
        yield from _nodes(child)


def assert_uses(plan: list[dict], indexes: Iterable[str]) -> None:
    """The plan scans exactly these of the indexes that give an order, and sorts nothing.

    An index that REINDEX CONCURRENTLY is just replacing has its old name and an ending.
    """
    if is_proven_empty(plan):
        return
    ordered = {
        node["Index Name"].removesuffix("_ccold")
        for node in plan
        if node["Node Type"] == "Index Scan" and "Order By" in node
    }
    assert ordered == set(indexes), f"the plan uses {ordered or 'no index'}: {plan}"
    sorts = [node for node in plan if node["Node Type"] in ("Sort", "Incremental Sort")]
    assert not sorts, f"the plan sorts: {plan}"


def is_proven_empty(plan: list[dict]) -> bool:
    """Whether the planner knows that there is no row, and nothing is scanned.

    Newer versions know more, such as what NOT NULL means, and leave out the scan that would not be executed.
    """
    return any(node.get("One-Time Filter") == "false" for node in plan)


def assert_avoids_indexes(plan: list[dict]) -> None:
    assert not ordered_scans(plan), f"the plan uses an index: {plan}"


def ordered_scans(plan: list[dict]) -> list[dict]:
    return [node for node in plan if node["Node Type"] == "Index Scan" and "Order By" in node]
