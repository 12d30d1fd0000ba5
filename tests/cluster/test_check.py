"""kdtree_check finds what is wrong with an index, whatever kind of page it is in.

Damage is done to the files of a stopped server. With the old checksums on the pages, all of it must be found,
and the block named. With new checksums, as if the index had been written like that, it must be found if it
matters: a check with the table that finds nothing means that every query is answered right.
"""

import contextlib
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy
import psycopg
import pytest
from psycopg import errors

import vectors
from changes import Items
from conftest import create_database
from oracle import OPERATORS, Question, compare
from pages import CHECKED_FROM, HEADER, KIND, KINDS, OWNER, PAGE, PAYLOAD, SEQUENCE, USED, Pages
from pgcluster import Cluster
from vectors import Source, clustered

DIMS = 24
ROWS = 500
TABLES_PER_KIND = 5
# Of random changes with right checksums that are found. Some change nothing that matters: a bound that is
# looser than it need be, the last page of a chain that has none.
LEAST_FOUND = 0.6
TID_BYTES = 6
# What may be said of such an index: our own errors; the executor's, about the order of rows; Postgres', about
# rows that lie where no table is; and, if the index names wrong dimensions, that vectors have others.
ACCEPTABLE = (
    errors.IndexCorrupted,
    errors.InternalError_,
    errors.DataCorrupted,
    errors.UndefinedFile,
    errors.DataException,
)


@dataclass
class Copy:
    """One of many equal tables with its index."""

    number: int
    pages: Pages
    opclass: str

    @property
    def table(self) -> str:
        return f"items_{self.number}"

    @property
    def index(self) -> str:
        return f"items_{self.number}_index"

    def problems(self, db: psycopg.Connection) -> list[tuple[int | None, str]]:
        return db.execute("SELECT block, problem FROM kdtree_check(%s, true)", (self.index,)).fetchall()

    def any_of(self, kind: str, rng: numpy.random.Generator) -> int:
        blocks = self.pages.of_kind(kind)
        assert blocks, f"the index has no page of kind {kind}"
        return int(rng.choice(blocks))

    def payload_byte(self, block: int, rng: numpy.random.Generator) -> int:
        return PAYLOAD + int(rng.integers(self.pages.used(block)))


class Copies:
    """Copies of one table with all kinds of pages in their indexes, on a server that is down in between."""

    def __init__(self, cluster: Cluster, rng: numpy.random.Generator, count: int):
        self.cluster = cluster
        self.source = Source(rng, DIMS, clustered, nulls=0.05)
        create_database(cluster, "damage")
        with self.connect() as db:
            items = Items(db, self.source, ROWS)
            items.create()
            items.copy()
            self.copies = [self.copy(db, items, number) for number in range(count)]
        cluster.stop()
        for copy in self.copies:
            copy.pages = Pages(copy.pages)

    def copy(self, db: psycopg.Connection, items: Items, number: int) -> Copy:
        opclass = list(OPERATORS)[number % len(OPERATORS)]
        copy = Copy(number, None, opclass)
        db.execute(f"CREATE TABLE {copy.table} (LIKE items) WITH (autovacuum_enabled = off)")
        db.execute(f"INSERT INTO {copy.table} SELECT * FROM items WHERE label < 7")
        # Small leaves, so that there are some.
        db.execute(
            f"CREATE INDEX {copy.index} ON {copy.table} USING kdtree (embedding {opclass}, label) "
            "WITH (leaf_size = 32)"
        )
        db.execute(f"INSERT INTO {copy.table} SELECT * FROM items WHERE label >= 7")
        assert copy.problems(db) == []
        (path,) = db.execute("SELECT pg_relation_filepath(%s)", (copy.index,)).fetchone()
        copy.pages = self.cluster.data / path
        return copy

    def connect(self) -> psycopg.Connection:
        return vectors.register(self.cluster.connect("damage"))

    def __iter__(self) -> Iterator[Copy]:
        return iter(self.copies)

    def start(self) -> None:
        """Writes the pages as they were changed and starts the server."""
        for copy in self.copies:
            copy.pages.write()
        self.cluster.start()

    def answers_are_right(self, db: psycopg.Connection, copy: Copy) -> None:
        for limit in (1, 10, None):
            target = {"target": self.source.vector()}
            operator = OPERATORS[copy.opclass]
            compare(db, Question(operator, parameters=target, table=copy.table, limit=limit), copy.index)


@pytest.fixture
def make_copies(
    make_cluster: Callable[..., Cluster], rng: numpy.random.Generator
) -> Iterator[Callable[[int], Copies]]:
    """The log of such a server tells of damage, which is a fault in every other test."""
    made: list[Cluster] = []

    def make(count: int) -> Copies:
        made.append(make_cluster("server"))
        return Copies(made[-1], rng, count)

    yield make
    for cluster in made:
        cluster.stop()
        log = cluster.log.read_text()
        assert not any(fault in log for fault in ("PANIC", "TRAP", "terminated by signal", "panicked"))
        cluster.log.unlink()


def test_every_kind_of_page(make_copies: Callable[[int], Copies], rng: numpy.random.Generator) -> None:
    """A bit that changed in the header, in what is used, or behind it: the check names the block."""
    copies = make_copies(len(KINDS) * 3)
    damaged = []
    for copy in copies:
        kind = list(KINDS.values())[copy.number % len(KINDS)]
        block = copy.any_of(kind, rng)
        end_of_used = PAYLOAD + copy.pages.used(block)
        start, end = [(CHECKED_FROM, PAYLOAD), (PAYLOAD, end_of_used), (end_of_used, PAGE)][
            copy.number // len(KINDS)
        ]
        if start == end:
            start, end = PAYLOAD, end_of_used  # a full page
        at = int(rng.integers(start, end))
        copy.pages[block][at] ^= 1 << int(rng.integers(8))
        damaged.append((copy, kind, block, at))
    copies.start()
    with copies.connect() as db:
        for copy, kind, block, at in damaged:
            try:
                problems = copy.problems(db)
            except errors.DataCorrupted as error:
                # Postgres itself does not take the page.
                assert at < HEADER
                problems = [(None, error.diag.message_primary)]
            found = [problem for where, problem in problems if where == block or names(problem, block)]
            assert found, f"byte {at} of block {block}, {kind}: {problems}"
            db.execute(f"REINDEX INDEX {copy.index}")
            assert copy.problems(db) == []


def names(problem: str, block: int) -> bool:
    return re.search(rf"\bblock {block}\b", problem) is not None


def test_what_is_not_found_does_no_harm(
    make_copies: Callable[[int], Copies], rng: numpy.random.Generator
) -> None:
    """Random changes with right checksums: the check notices, or all answers are right."""
    copies = make_copies(len(KINDS) * TABLES_PER_KIND)
    changes = []
    for copy in copies:
        kind = list(KINDS.values())[copy.number % len(KINDS)]
        block = copy.any_of(kind, rng)
        at = copy.payload_byte(block, rng)
        before = copy.pages[block][at]
        copy.pages[block][at] ^= int(rng.integers(1, 256))
        copy.pages.stamp(block)
        changes.append((copy, kind, f"{before} became {copy.pages[block][at]} at {at} of block {block}"))
    copies.start()
    found: Counter[str] = Counter()
    for copy, kind, what in changes:
        with copies.connect() as db:
            print(f"{copy.index} ({copy.opclass}), {kind}: {what}")
            db.execute("SET statement_timeout = '60s'")
            problems = copy.problems(db)
            print(f"  {problems[:3]}")
            if problems:
                found[kind] += 1
                use(db, copy)
            else:
                copies.answers_are_right(db, copy)
            db.execute(f"REINDEX INDEX {copy.index}")
            copies.answers_are_right(db, copy)
            assert copy.problems(db) == []
    print(found)
    assert found.total() >= LEAST_FOUND * len(changes), found
    assert set(found) >= {"leaf", "fine", "tids", "directory", "delta", "list"}, found


def test_addresses_where_no_table_is(
    make_copies: Callable[[int], Copies], rng: numpy.random.Generator
) -> None:
    """They are found before Postgres reads there; in version 18 an insert may take the buffer for its own."""
    copies = make_copies(len(OPERATORS))
    for copy in copies:
        block = copy.any_of("tids", rng)
        copy.pages[block][PAYLOAD : PAYLOAD + 4] = struct.pack("<I", 1000)
        copy.pages.stamp(block)
    copies.start()
    with copies.connect() as db:
        db.execute("SET enable_seqscan = off")
        for copy in copies:
            with pytest.raises(errors.IndexCorrupted) as raised:
                db.execute(
                    f"SELECT id FROM {copy.table} ORDER BY embedding {OPERATORS[copy.opclass]} %s",
                    (copies.source.vector(),),
                )
            assert "block 1000, beyond the end of the table" in raised.value.diag.message_detail
            assert copy.problems(db) != []
            db.execute(f"REINDEX INDEX {copy.index}")
            copies.answers_are_right(db, copy)


def use(db: psycopg.Connection, copy: Copy) -> None:
    """Everything that reads an index: a wrong answer or an error, but nothing worse."""
    db.execute("SET enable_seqscan = off")
    for statement in (
        f"SELECT id FROM {copy.table} ORDER BY embedding {OPERATORS[copy.opclass]} "
        "(SELECT embedding FROM items WHERE embedding IS NOT NULL LIMIT 1)",
        f"INSERT INTO {copy.table} SELECT id + {ROWS}, label, embedding FROM items",
        f"SELECT * FROM kdtree_stats('{copy.index}')",
        f"SELECT kdtree_merge('{copy.index}')",
        f"DELETE FROM {copy.table} WHERE label < 4",
        f"VACUUM (INDEX_CLEANUP ON) {copy.table}",
    ):
        with contextlib.suppress(*ACCEPTABLE):
            db.execute(statement)


# Changes of which it is known what they say, and what the check must say of them ---------------------------


def repeat_first(copy: Copy, block: int) -> None:
    page = copy.pages[block]
    page[PAYLOAD + TID_BYTES : PAYLOAD + 2 * TID_BYTES] = page[PAYLOAD : PAYLOAD + TID_BYTES]


def kill_first(copy: Copy, block: int) -> None:
    copy.pages[block][PAYLOAD : PAYLOAD + TID_BYTES] = bytes(TID_BYTES)


def exchange_ends(copy: Copy, block: int) -> None:
    page = copy.pages[block]
    last = PAYLOAD + copy.pages.used(block) - TID_BYTES
    first = bytes(page[PAYLOAD : PAYLOAD + TID_BYTES])
    page[PAYLOAD : PAYLOAD + TID_BYTES] = page[last : last + TID_BYTES]
    page[last : last + TID_BYTES] = first


def change_vector(copy: Copy, block: int) -> None:
    # The row's address takes eight bytes with its padding, and so does its attribute.
    struct.pack_into("<f", copy.pages[block], PAYLOAD + 16, 0.125)


def change_attribute(copy: Copy, block: int) -> None:
    # Of a key in the delta the lowest byte, of codes that of the first row.
    at = PAYLOAD + (8 if copy.pages.kind(block) == "delta" else 0)
    copy.pages[block][at] ^= 1


def change_owner(copy: Copy, block: int) -> None:
    struct.pack_into("<Q", copy.pages[block], OWNER, 77)


def change_sequence(copy: Copy, block: int) -> None:
    struct.pack_into("<I", copy.pages[block], SEQUENCE, 77)


def change_kind(copy: Copy, block: int) -> None:
    copy.pages[block][KIND] ^= 1


def cut_short(copy: Copy, block: int) -> None:
    struct.pack_into("<I", copy.pages[block], USED, copy.pages.used(block) - 1)


MISSING = r"row \(\d+,\d+\) of the table is not in the index"
TWICE = r"row \(\d+,\d+\) is in the index more than once"
CHANGES: list[tuple[str, Callable[[Copy, int], None], str]] = [
    ("tids", repeat_first, TWICE),
    ("tids", kill_first, MISSING),
    ("tids", exchange_ends, "is not within its bounds|has other attributes"),
    ("delta", kill_first, MISSING),
    ("delta", change_vector, "has another vector than the delta"),
    ("delta", change_attribute, "other attributes"),
    ("attributes", change_attribute, "has other attributes|has a code that|are not those of its rows"),
    ("list", repeat_first, TWICE),
    ("list", kill_first, MISSING),
    *((kind, change_owner, "expected .* of \\d+, found") for kind in KINDS.values()),
    *((kind, change_sequence, "expected .* page \\d+ of") for kind in KINDS.values()),
    *((kind, change_kind, "expected|unknown kind") for kind in KINDS.values()),
    *((kind, cut_short, "no whole number of|came before") for kind in ("delta", "list")),
]


def test_known_changes(make_copies: Callable[[int], Copies]) -> None:
    copies = make_copies(len(CHANGES))
    for copy, (kind, change, _) in zip(copies, CHANGES, strict=True):
        # The first page of a delta: on others a vector of the page before may end.
        block = min(copy.pages.of_kind(kind), key=copy.pages.sequence)
        change(copy, block)
        copy.pages.stamp(block)
    copies.start()
    with copies.connect() as db:
        for copy, (kind, change, expected) in zip(copies, CHANGES, strict=True):
            problems = [problem for _, problem in copy.problems(db)]
            said = [problem for problem in problems if re.search(expected, problem)]
            assert said, f"{change.__name__} of {kind}, {copy.opclass}: {problems[:5]}"
