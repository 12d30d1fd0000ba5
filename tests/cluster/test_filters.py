"""Random tables with attributes, random conditions: what the index filters is what the table filters.

Each case has an index on a vector and some other columns, of every type that can be one. Values come from
small pools, so that conditions are met by some rows, and from the ends of what a type can hold.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy
import psycopg
import pytest

import vectors
from oracle import (
    ALL_OPERATORS,
    SEQUENTIALLY,
    THROUGH_INDEX,
    WITHIN,
    Question,
    assert_uses,
    by_first,
    check,
    compare,
    compare_cursor,
    compare_size,
    is_proven_empty,
    ordered_scans,
    plan_of,
    planned,
    type_of,
)
from pgcluster import Cluster

ROWS = 900
CHANGES = 7
QUESTIONS = 6


@dataclass(frozen=True)
class Kind:
    """A type, and literals of it and of types that it is compared with."""

    type: str
    values: tuple[str, ...]
    others: tuple["Kind", ...] = ()
    ordered: bool = True


INT2 = Kind("int2", ("-32768", "-1", "0", "1", "2", "3", "32767"))
INT4 = Kind("int4", ("-2147483648", "-32769", "-1", "0", "1", "2", "3", "2147483647"))
INT8 = Kind(
    "int8",
    (
        "-9223372036854775808",
        "-2147483649",
        "-1",
        "0",
        "1",
        "2",
        "9223372036854775806",
        "9223372036854775807",
    ),
)
FLOAT4 = Kind("float4", ("-Infinity", "-3.4e38", "-1e-45", "-0", "0", "0.1", "1", "2.5", "Infinity", "NaN"))
FLOAT8 = Kind("float8", ("-Infinity", "-1e308", "-0", "0", "0.1", "1", "2.5", "1e-320", "Infinity", "NaN"))
UUIDS = tuple(
    f"{first}-{last}"
    for first in ("00000000-0000-0000", "12345678-9abc-def0", "ffffffff-ffff-ffff")
    for last in ("0000-000000000000", "0000-000000000001", "ffff-ffffffffffff")
)
WORDS = ("", "a", "A", "b", "a ", "ä", "x" * 9000, "'")
COLUMNS = {
    "small": Kind("int2", INT2.values, (INT4, INT8)),
    "whole": Kind("int4", INT4.values, (INT2, INT8)),
    "large": Kind("int8", INT8.values, (INT2, INT4)),
    "single": Kind("float4", FLOAT4.values, (FLOAT8,)),
    "double": Kind("float8", FLOAT8.values, (FLOAT4,)),
    "number": Kind("oid", ("0", "1", "2", "4294967295")),
    "letter": Kind('"char"', ("", "a", "b", "\\200", "\\377")),
    "day": Kind("date", ("-infinity", "0044-03-15 BC", "2020-01-01", "2020-01-02", "infinity")),
    "clock": Kind("time", ("00:00", "12:00", "12:00:00.000001", "24:00")),
    "moment": Kind("timestamp", ("-infinity", "2020-01-01", "2020-01-01 00:00:00.000001", "infinity")),
    "zoned": Kind("timestamptz", ("-infinity", "2020-01-01 00:00Z", "2020-01-01 00:00+01", "infinity")),
    "token": Kind("uuid", UUIDS),
    "name": Kind("text", WORDS, ordered=False),
    "code": Kind("varchar(9000)", WORDS, ordered=False),
    # Different bytes may be equal here.
    "folded": Kind("text COLLATE folded", WORDS, ordered=False),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", range(metafunc.config.option.cases))


def literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


class Case:
    """One table with its index and its two sessions."""

    def __init__(self, number: int, rng: numpy.random.Generator, sessions: list[psycopg.Connection]):
        self.rng = rng
        dims = (3, 24, 64)[number % 3]
        self.opclass = str(rng.choice(list(ALL_OPERATORS)))
        self.operator = ALL_OPERATORS[self.opclass]
        distribution = vectors.DISTRIBUTIONS[0]
        self.source = vectors.Source(
            rng, dims, distribution, zeros=0.01, nulls=0.01, type=type_of(self.opclass)
        )
        self.sessions = sessions
        names = list(COLUMNS)
        # Every type in turn, and some others.
        chosen = {names[number % len(names)], *rng.choice(names, rng.integers(0, 4)).tolist()}
        self.columns = sorted(chosen)
        self.rows = 0
        self.steps: list[str] = []

    def session(self) -> psycopg.Connection:
        return self.sessions[self.rng.integers(len(self.sessions))]

    def run(self) -> None:
        try:
            self.change_and_ask()
        except BaseException:
            print(f"{self.opclass}, {self.source}, {self.columns}: {'; '.join(self.steps)}")
            raise

    def change_and_ask(self) -> None:
        session = self.session()
        # Without ICU there is no such collation.
        icu = "SELECT EXISTS (SELECT FROM pg_collation WHERE collname LIKE '%-x-icu')"
        (has_icu,) = session.execute(icu).fetchone()
        folded = (
            "provider = icu, locale = 'und-u-ks-level2', deterministic = false" if has_icu else "locale = 'C'"
        )
        session.execute(f"CREATE COLLATION IF NOT EXISTS folded ({folded})")
        definitions = ", ".join(f"{name} {kind.type}" for name, kind in COLUMNS.items())
        session.execute(
            f"CREATE TABLE items (id int PRIMARY KEY, embedding {self.source.type}, {definitions})"
        )
        index_after = self.rng.integers(3)
        for step in range(CHANGES):
            if step == index_after:
                self.execute(
                    f"CREATE INDEX items_index ON items USING kdtree (embedding {self.opclass}, "
                    f"{', '.join(self.columns)}) WITH (delta_size = {self.rng.choice([64, 128])})"
                )
            self.change(first=step == 0)
            if step >= index_after:
                for _ in range(QUESTIONS):
                    self.ask()
        compare_size(self.session(), "items_index")

    def execute(self, statement: str) -> None:
        self.steps.append(statement if len(statement) < 200 else statement[:200] + "...")
        self.session().execute(statement)

    # Changes ---------------------------------------------------------------------------------------------

    def value(self, column: str) -> str:
        kind = COLUMNS[column]
        if self.rng.random() < 0.1:
            return "NULL"
        return literal(str(self.rng.choice(kind.values)))

    def change(self, *, first: bool) -> None:
        kind = "insert" if first else self.rng.choice(["insert", "insert", "update", "delete", "merge"])
        if kind == "insert":
            names = ", ".join(COLUMNS)
            rows = [
                f"({self.rows + at}, %s, {', '.join(self.value(column) for column in COLUMNS)})"
                for at in range(ROWS)
            ]
            self.steps.append(f"{ROWS} rows")
            self.session().execute(
                f"INSERT INTO items (id, embedding, {names}) VALUES {', '.join(rows)}",
                [self.source.vector() if self.rng.random() > 0.02 else None for _ in rows],
            )
            self.rows += ROWS
        elif kind == "update":
            column = str(self.rng.choice(self.columns))
            self.execute(
                f"UPDATE items SET {column} = {self.value(column)} WHERE id % 7 = {self.rng.integers(7)}"
            )
        elif kind == "delete":
            self.execute(f"DELETE FROM items WHERE id % 5 = {self.rng.integers(5)}")
            self.execute("VACUUM items")
        elif self.has_index():
            self.execute("SELECT kdtree_merge('items_index')")

    def has_index(self) -> bool:
        return self.session().execute("SELECT to_regclass('items_index') IS NOT NULL").fetchone()[0]

    # Conditions ------------------------------------------------------------------------------------------

    def argument(self, column: str) -> str:
        kind = COLUMNS[column]
        kinds = (kind, *kind.others)
        other = kinds[self.rng.integers(len(kinds))]
        return f"{literal(str(self.rng.choice(other.values)))}::{other.type}"

    def condition(self, *, lists: bool) -> str:
        """A condition that the index can search for; an IN list among them only if asked for."""
        column = str(self.rng.choice(self.columns))
        operators = ["<", "<=", "=", "=", ">=", ">"] if COLUMNS[column].ordered else ["="]
        operator = str(self.rng.choice(operators))
        kind = self.rng.random()
        if lists and kind < 0.5:
            own = COLUMNS[column]
            values = [literal(str(self.rng.choice(own.values))) for _ in range(self.rng.integers(1, 30))]
            if self.rng.random() < 0.2:
                values.append("NULL")
            return f"{column} {operator} ANY (ARRAY[{', '.join(values)}]::{own.type.split(' ')[0]}[])"
        if kind < 0.65:
            # Not known when the query is planned; NULL now and then.
            value, type_name = self.argument(column).rsplit("::", 1)
            value = "NULL" if self.rng.random() < 0.1 else value
            return f"{column} {operator} (SELECT {value}::{type_name})"
        if kind < 0.75:
            flipped = {"<": ">", "<=": ">=", "=": "=", ">=": "<=", ">": "<"}[operator]
            return f"{self.argument(column)} {flipped} {column}"
        return f"{column} {operator} {self.argument(column)}"

    def conditions(self, *, lists: bool) -> str:
        return " AND ".join(self.condition(lists=lists) for _ in range(self.rng.integers(1, 4)))

    # Questions -------------------------------------------------------------------------------------------

    def question(self, condition: str) -> Question:
        limit = self.rng.choice(numpy.array([1, 10, 100, None], object))
        parameters = {"target": self.source.vector()}
        return Question(self.operator, parameters=parameters, condition=condition, limit=limit)

    def ask(self) -> None:
        kinds = [
            self.ask_plainly,
            self.ask_with_lists,
            self.ask_with_cursor,
            self.ask_lateral,
            self.ask_within,
        ]
        kind = kinds[self.rng.integers(len(kinds))]
        self.steps.append(kind.__name__)
        kind(self.session())

    def ask_plainly(self, session: psycopg.Connection) -> None:
        question = self.question(self.conditions(lists=False))
        compare(session, question, "items_index")
        with planned(session, THROUGH_INDEX):
            plan = plan_of(session, question.text(), question.parameters)
        if not is_proven_empty(plan):
            (scan,) = ordered_scans(plan)
            assert "Index Cond" in scan and "Filter" not in scan, scan

    def ask_with_lists(self, session: psycopg.Connection) -> None:
        compare(session, self.question(self.conditions(lists=True)), "items_index")

    def ask_with_cursor(self, session: psycopg.Connection) -> None:
        steps = self.rng.integers(1, 60, self.rng.integers(1, 6)).tolist()
        compare_cursor(session, self.question(self.conditions(lists=False)), steps, "items_index")

    def ask_lateral(self, session: psycopg.Connection) -> None:
        """A scan that is started again with another vector and other values."""
        column = str(self.rng.choice(self.columns))
        operator = str(self.rng.choice(["<=", "="])) if COLUMNS[column].ordered else "="
        distance = f"embedding {self.operator} target"

        def text(tail: str) -> str:
            return (
                f"SELECT outer_rows.id, near.id, near.distance FROM "
                f"(SELECT id, embedding, {column} FROM items "
                f"WHERE id >= {self.rows // 2} AND embedding IS NOT NULL ORDER BY id LIMIT 5) "
                "outer_rows(id, target, value) CROSS JOIN LATERAL "
                f"(SELECT id, ({distance})::text AS distance FROM items "
                f"WHERE {column} {operator} value ORDER BY {distance} {tail}) near"
            )

        with planned(session, SEQUENTIALLY):
            whole = by_first(session.execute(text("")))
        with planned(session, THROUGH_INDEX):
            limited = text("LIMIT 10")
            assert_uses(plan_of(session, limited), ["items_index"])
            answers = by_first(session.execute(limited))
        assert answers.keys() == whole.keys()
        for outer_id, answer in answers.items():
            check(answer, whole[outer_id], limited, 10)

    def ask_within(self, session: psycopg.Connection) -> None:
        """Conditions on attributes and on the distance, by a bitmap and by a plain scan."""
        target = self.source.vector()
        distance = f"embedding {self.operator} %(target)s"
        (radius,) = session.execute(
            f"SELECT percentile_disc({self.rng.random()}) WITHIN GROUP (ORDER BY {distance}) FROM items "
            "WHERE embedding IS NOT NULL",
            {"target": target},
        ).fetchone()
        parameters = {"target": target, "radius": radius}
        condition = f"{WITHIN[self.opclass]}(embedding, %(target)s, %(radius)s)"
        text = f"SELECT id FROM items WHERE {condition} AND {self.conditions(lists=True)} ORDER BY id"
        with planned(session, SEQUENTIALLY):
            expected = session.execute(text, parameters).fetchall()
        off = {"enable_seqscan": "off", "enable_indexscan": "off", "enable_bitmapscan": "off"}
        for method in ("enable_indexscan", "enable_bitmapscan"):
            with planned(session, {**off, method: "on", "enable_sort": "on"}):
                plan = plan_of(session, text, parameters)
                used = {node.get("Index Name") for node in plan}
                assert "items_index" in used or is_proven_empty(plan), plan
                assert session.execute(text, parameters).fetchall() == expected, (method, text, parameters)


@pytest.fixture
def sessions(cluster: Cluster, dbname: str) -> Iterator[list[psycopg.Connection]]:
    with contextlib.ExitStack() as stack:
        yield [vectors.register(stack.enter_context(cluster.connect(dbname))) for _ in range(2)]


def test_filters_agree_with_the_table(
    case: int, rng: numpy.random.Generator, sessions: list[psycopg.Connection]
) -> None:
    Case(case, rng, sessions).run()
