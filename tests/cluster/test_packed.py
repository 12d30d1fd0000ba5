"""Bit strings and sparse vectors: random tables, random changes, random questions; and what must survive.

As in test_oracle.py, what an index gives is compared with what the table gives. Values are sent as texts.
"""

import random
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest
from numpy.random import Generator
from psycopg import errors

from cases import Case, Way, two_sessions
from changes import LABELS, Items
from conftest import create_database
from oracle import (
    Question,
    compare,
    verify,
)
from pages import CHECKED_FROM, PAGE, PAYLOAD, Pages
from pgcluster import Cluster

OPERATORS = {
    "bit_hamming_ops": "<~>",
    "bit_jaccard_ops": "<%%>",
    "sparsevec_l2_ops": "<->",
    "sparsevec_ip_ops": "<#>",
    "sparsevec_cosine_ops": "<=>",
    "sparsevec_l1_ops": "<+>",
}
BITS = (1, 8, 64, 100, 256, 1000, 5000)
DIMS = (1, 10, 300, 30_000, 1_000_000_000)
CHANGES = 15
QUESTIONS = 2


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", range(max(len(OPERATORS), metafunc.config.option.cases // 3)))


@dataclass(frozen=True)
class PackedSource:
    """Draws bit strings, or sparse vectors, as texts."""

    rng: Generator
    type: str
    dims: int
    nulls: float = 0.0
    scale: float = 1.0

    @property
    def column(self) -> str:
        return f"{self.type}({self.dims})"

    def vector(self) -> str:
        # Python's generator makes long texts faster.
        chance = random.Random(int(self.rng.integers(2**62)))
        return self.bits(chance) if self.type == "bit" else self.sparse(chance)

    def bits(self, chance: random.Random) -> str:
        kind = chance.random()
        if kind < 0.1:
            return chance.choice("01") * self.dims
        if kind < 0.4:
            # Few distinct ones, that differ in some bit.
            bits = ["01"[at % 3 == 0] for at in range(self.dims)]
            bits[chance.randrange(self.dims)] = chance.choice("01")
            return "".join(bits)
        share = chance.choice([0.05, 0.5, 0.9])
        return "".join("01"[chance.random() < share] for _ in range(self.dims))

    def sparse(self, chance: random.Random) -> str:
        count = min(chance.choice([0, 1, 3, 20, 60]), self.dims)
        # Small indices are in many.
        most = chance.choice([min(self.dims, 30), self.dims])
        indices = sorted({chance.randrange(1, most + 1) for _ in range(count)})
        elements = []
        for index in indices:
            value = chance.choice([1.0, -1.0, 0.5, chance.gauss(0, 1)])
            if chance.random() < 0.02:
                value *= chance.choice([1e-40, 1e-20, 1e10, 1e20, 1e37])
            value *= self.scale
            # What is larger is refused, and what rounds to zero.
            if 1e-44 < abs(value) < 3e38:
                elements.append(f"{index}:{value:.6g}")
        return f"{{{','.join(elements)}}}/{self.dims}"

    def values(self, count: int) -> list[str | None]:
        return [None if self.rng.random() < self.nulls else self.vector() for _ in range(count)]

    def __str__(self) -> str:
        return f"{self.column}, {self.nulls:.0%} NULL"


class PackedItems(Items):
    """The table `items` with a column of another type."""

    source: PackedSource

    def create(self, *, typmod: bool = True, unlogged: bool = False, temporary: bool = False) -> None:
        # A bit without a length would be a single one.
        super().create(typmod=typmod or self.source.type == "bit", unlogged=unlogged, temporary=temporary)

    def copy(self) -> None:
        with (
            self.connection.transaction(),
            self.connection.cursor().copy("COPY items (label, embedding) FROM STDIN") as copy,
        ):
            for value in self.source.values(self.batch):
                copy.write_row((self.label(), value))


def random_source(rng: Generator, opclass: str) -> PackedSource:
    nulls = float(rng.choice([0.0, 0.02]))
    if opclass.startswith("bit"):
        return PackedSource(rng, "bit", int(rng.choice(BITS)), nulls)
    return PackedSource(rng, "sparsevec", int(rng.choice(DIMS)), nulls)


class PackedCase(Case):
    """One with bit strings or sparse vectors."""

    changes = CHANGES
    questions = QUESTIONS

    def __init__(self, number: int, rng: Generator, sessions: list[psycopg.Connection]):
        opclass = list(OPERATORS)[number % len(OPERATORS)]
        source = random_source(rng, opclass)
        batch = 60 if source.dims == 5000 else 400
        super().__init__(opclass, OPERATORS[opclass], PackedItems(sessions[0], source, batch), sessions)

    def columns(self) -> str:
        return super().columns() + self.rng.choice(["", ", label"])

    def target(self) -> str:
        if self.rng.random() < 0.8:
            return self.source.vector()
        return PackedSource(self.rng, self.source.type, self.source.dims, scale=1e20).vector()

    def question(self, **changes) -> Question:
        conditions = [
            "true",
            f"label = {self.rng.integers(LABELS)}",
            f"label > {self.rng.integers(LABELS)}",
            f"mod(id, 100) = {self.rng.integers(100)}",
            "embedding IS NOT NULL",
            "id < 0",
        ]
        values = {
            "operator": self.operator,
            "type": self.source.column,
            "parameters": {"target": self.target()},
            "condition": str(self.rng.choice(conditions, p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.05])),
            "limit": self.rng.choice([1, 2, 10, 100, 1000, None]),
            "offset": int(self.rng.choice([0, 0, 0, 1, 70])),
        }
        return Question(**{**values, **changes})

    def ways(self) -> dict[Way, float]:
        return {
            self.ask_plainly: 8,
            self.ask_prepared: 2,
            self.ask_for_null: 1,
            self.ask_with_cursor: 3,
            self.ask_for_stored: 2,
            self.ask_lateral: 2,
            self.ask_within: 3,
            self.ask_for_other_dims: 2,
        }

    def other_dims(self) -> str:
        return PackedSource(self.rng, self.source.type, self.source.dims - 1 or 2).vector()


@pytest.fixture
def sessions(cluster: Cluster, dbname: str) -> Iterator[list[psycopg.Connection]]:
    with two_sessions(cluster, dbname) as sessions:
        yield sessions


def test_index_agrees_with_table(case: int, rng: Generator, sessions: list[psycopg.Connection]) -> None:
    PackedCase(case, rng, sessions).run()


# What must survive ------------------------------------------------------------------------------------------


def make_items(connection: psycopg.Connection, rng: Generator, type: str, dims: int) -> PackedItems:
    """A table with an index of each operator class of the type, named like it, partly in the delta."""
    items = PackedItems(connection, PackedSource(rng, type, dims, nulls=0.02), 500)
    items.create()
    items.copy()
    for opclass in OPERATORS:
        if opclass.startswith(type):
            connection.execute(
                f"CREATE INDEX {opclass} ON items USING kdtree (embedding {opclass}, label) "
                "WITH (delta_size = 64)"
            )
    items.copy()
    return items


def compare_every(connection: psycopg.Connection, source: PackedSource) -> None:
    for opclass, operator in OPERATORS.items():
        if opclass.startswith(source.type):
            for limit in (1, 20, None):
                question = Question(operator, parameters={"target": source.vector()}, limit=limit)
                compare(connection, question, opclass)


@pytest.mark.parametrize(("type", "dims"), [("bit", 200), ("sparsevec", 10_000)])
def test_crash_and_standby(
    type: str, dims: int, make_cluster: Callable[..., Cluster], rng: Generator
) -> None:
    """Killed in the middle of changes; on a standby, the pages are those of the primary."""
    primary = make_cluster(
        "primary", wal_consistency_checking="all", wal_level="replica", wal_keep_size="2GB"
    )
    create_database(primary, "packed")
    standby = primary.standby("standby")
    standby.start()
    with primary.connect("packed") as connection:
        source = make_items(connection, rng, type, dims).source
    for _ in range(3):
        errors_seen: list[BaseException] = []

        def work(errors_seen: list[BaseException] = errors_seen) -> None:
            try:
                with primary.connect("packed") as connection:
                    items = PackedItems(connection, source, 300)
                    while True:
                        for change in (
                            items.copy,
                            items.delete_some,
                            items.update_vectors,
                            items.vacuum,
                            items.merge,
                        ):
                            change()
            except psycopg.OperationalError as error:
                errors_seen.append(error)

        worker = threading.Thread(target=work)
        worker.start()
        worker.join(float(rng.uniform(0.3, 1.5)))
        assert worker.is_alive(), "the changes came to an end by themselves"
        primary.crash()
        worker.join()
        assert errors_seen
        primary.start()
        with primary.connect("packed") as connection:
            verify(connection)
            compare_every(connection, source)
        primary.wait_for_replay(standby)
        with standby.connect("packed") as reader:
            compare_every(reader, source)
            verify(reader)


@pytest.mark.parametrize(("type", "dims"), [("bit", 200), ("sparsevec", 10_000)])
def test_every_changed_byte_is_noticed(
    type: str, dims: int, make_cluster: Callable[..., Cluster], rng: Generator, request: pytest.FixtureRequest
) -> None:
    """In every kind of page, wherever it means something."""
    cluster = make_cluster("server", shared_buffers="128kB", autovacuum="off", max_connections="5")
    create_database(cluster, "damage")
    index, operator = {"bit": ("bit_jaccard_ops", "<%%>"), "sparsevec": ("sparsevec_l2_ops", "<->")}[type]
    with cluster.connect("damage") as connection:
        source = make_items(connection, rng, type, dims).source
        connection.execute("CREATE TABLE others AS SELECT generate_series(1, 20000) AS id")
        connection.execute("CREATE INDEX others_index ON others (id)")
        connection.execute("VACUUM others")
        connection.execute("CHECKPOINT")
        (path,) = connection.execute("SELECT pg_relation_filepath(%s)", (index,)).fetchone()
    path = cluster.data / path
    pages = Pages(path)
    kinds = {pages.kind(block): block for block in rng.permutation(len(pages.pages)).tolist()}
    assert {"meta", "leaf", "tids", "directory", "delta", "attributes"} <= kinds.keys(), kinds
    for _ in range(request.config.option.interruptions):
        block = list(kinds.values())[rng.integers(len(kinds))]
        offset = int(rng.integers(CHECKED_FROM, PAYLOAD + pages.used(block)))
        with cluster.connect("damage") as connection:
            push_out(connection)
            mask = int(rng.integers(1, 256))
            change_byte(path, block * PAGE + offset, mask)
            try:
                found = complaints(connection, source, operator, index)
            finally:
                change_byte(path, block * PAGE + offset, mask)
        assert re.search(rf"\b{block}\b", found), f"byte {offset} of {pages.kind(block)} {block}: {found}"
    with cluster.connect("damage") as connection:
        push_out(connection)
        assert not complaints(connection, source, operator, index)
    cluster.log.unlink()


def push_out(connection: psycopg.Connection) -> None:
    """Fills all buffers with another index's pages."""
    connection.execute("SET enable_seqscan = off")
    connection.execute("SELECT count(*) FROM others WHERE id > 0")
    connection.execute("RESET enable_seqscan")


def change_byte(path, at: int, mask: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        (before,) = file.read(1)
        file.seek(at)
        file.write(bytes([before ^ mask]))


def complaints(connection: psycopg.Connection, source: PackedSource, operator: str, index: str) -> str:
    """Reads all of the index; what was found, if not the right answers."""
    found = []
    question = Question(operator, parameters={"target": source.vector()}, condition="label >= 0")
    try:
        compare(connection, question, index)
    except errors.IndexCorrupted as error:
        assert index in error.diag.message_primary
        found.append(f"{error.diag.message_primary} {error.diag.message_detail}")
    except errors.DataCorrupted as error:
        # Postgres' own header.
        found.append(error.diag.message_primary)
    push_out(connection)
    try:
        for block, problem in connection.execute("SELECT * FROM kdtree_check(%s, true)", (index,)):
            found.append(f"block {block}: {problem}")
    except (errors.IndexCorrupted, errors.DataCorrupted) as error:
        found.append(f"{error.diag.message_primary} {error.diag.message_detail}")
    return "; ".join(found)
