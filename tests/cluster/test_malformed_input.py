"""What clients send that is no vector, through COPY and through parameters, in text and binary.

Each is refused with an error of the right class, by a backend that lives on, and nothing of it is stored.
"""

import struct
from collections.abc import Iterator

import numpy
import psycopg
import pytest
from numpy.random import Generator
from psycopg.pq import DiagnosticField, ExecStatus, Format, PGresult

import pgvectors

COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
COPY_TAIL = struct.pack("!h", -1)

# What an error about data may be: its value, its size, or the message that it came in.
CLASSES = ("22", "54", "08")


def message(dims: int, *elements: float, unused: int = 0, tail: bytes = b"") -> bytes:
    return struct.pack(f"!hh{len(elements)}f", dims, unused, *elements) + tail


def raw(dims: int, *bits: int) -> bytes:
    return struct.pack(f"!hh{len(bits)}I", dims, 0, *bits)


BINARY = {
    "nothing": (b"", "08P01"),
    "half a number of dimensions": (b"\0", "08P01"),
    "no unused field": (b"\0\1", "08P01"),
    "half an unused field": (b"\0\1\0", "08P01"),
    "no dimensions": (message(0), "22000"),
    "no dimensions, but an element": (message(0, 1.0), "22000"),
    "minus one dimension": (message(-1, 1.0), "22000"),
    "fewest dimensions": (message(-32768, 1.0), "22000"),
    "16001 dimensions": (message(16001, *[1.0] * 16001), "54000"),
    "16001 claimed": (message(16001, 1.0), "54000"),
    "most dimensions": (message(32767, 1.0), "54000"),
    "16000 claimed": (message(16000, 1.0), "08P01"),
    "fewer than claimed": (message(3, 1.0, 2.0), "08P01"),
    "a byte short": (message(3, 1.0, 2.0, 3.0)[:-1], "08P01"),
    "more than claimed": (message(2, 1.0, 2.0, 3.0), "22P03"),
    "a byte more": (message(3, 1.0, 2.0, 3.0, tail=b"\0"), "22P03"),
    "little-endian": (struct.pack("<hh2f", 2, 0, 1.0, 2.0), "08P01"),
    "unused is one": (message(3, 1.0, 2.0, 3.0, unused=1), "22000"),
    "unused is negative": (message(3, 1.0, 2.0, 3.0, unused=-1), "22000"),
    "NaN first": (raw(3, 0x7FC00000, 0, 0), "22000"),
    "NaN last": (raw(3, 0, 0, 0x7FC00000), "22000"),
    "signalling NaN": (raw(3, 0, 0x7F800001, 0), "22000"),
    "negative NaN": (raw(3, 0, 0xFFFFFFFF, 0), "22000"),
    "infinity": (raw(3, 0x7F800000, 0, 0), "22000"),
    "minus infinity": (raw(3, 0, 0, 0xFF800000), "22000"),
}

TEXT = {
    "nothing": (b"", "22P02"),
    "whitespace": (b" \t\n", "22P02"),
    "no brackets": (b"1,2,3", "22P02"),
    "an array": (b"{1,2,3}", "22P02"),
    "no elements": (b"[]", "22000"),
    "open": (b"[1,2,3", "22P02"),
    "empty element": (b"[1,,3]", "22P02"),
    "comma at the end": (b"[1,2,]", "22P02"),
    "words": (b"[one,two]", "22P02"),
    "something after it": (b"[1,2,3];", "22P02"),
    "two of them": (b"[1,2,3][1,2,3]", "22P02"),
    "nested": (b"[[1,2,3]]", "22P02"),
    "only brackets": (b"[" * 100_000, "22P02"),
    "only commas": (b"[" + b"," * 100_000 + b"]", "22P02"),
    "not UTF-8": (b"[1,\xff,3]", "22021"),
    "other digits": ("[１,２,３]".encode(), "22P02"),
    "a zero-width space": ("[1,\u200b2,3]".encode(), "22P02"),
    "NaN": (b"[1,NaN,3]", "22000"),
    "NaN with a payload": (b"[1,nan(0x7ff),3]", "22000"),
    "infinity": (b"[1,2,-Infinity]", "22000"),
    "too large": (b"[1,3.5e38,3]", "22003"),
    "much too large": (b"[1,1e" + b"9" * 1000 + b",3]", "22003"),
    "a long number that is too large": (b"[1," + b"9" * 100_000 + b",3]", "22003"),
    "16001 elements": (b"[" + b"1," * 16_000 + b"1]", "54000"),
    "a million elements": (b"[" + b"1," * 1_000_000 + b"1]", "54000"),
}

HALFVEC = {
    "nothing": (b"", "08P01"),
    "no dimensions": (struct.pack("!hh", 0, 0), "22000"),
    "minus one dimension": (struct.pack("!hhe", -1, 0, 1.0), "22000"),
    "16001 dimensions": (struct.pack("!hh16001e", 16001, 0, *[1.0] * 16001), "54000"),
    "a byte short": (struct.pack("!hh2e", 2, 0, 1.0, 2.0)[:-1], "08P01"),
    "a byte more": (struct.pack("!hh2eb", 2, 0, 1.0, 2.0, 0), "22P03"),
    "elements of four bytes": (struct.pack("!hh2f", 2, 0, 1.0, 2.0), "22P03"),
    "unused is one": (struct.pack("!hhe", 1, 1, 1.0), "22000"),
    "NaN": (struct.pack("!hhH", 1, 0, 0x7E00), "22000"),
    "signalling NaN": (struct.pack("!hhH", 1, 0, 0xFC01), "22000"),
    "minus infinity": (struct.pack("!hhH", 1, 0, 0xFC00), "22000"),
}


def sparse(dims: int, count: int, indices: list[int], values: list[float], unused: int = 0) -> bytes:
    return struct.pack(f"!iii{len(indices)}i{len(values)}f", dims, count, unused, *indices, *values)


SPARSEVEC = {
    "nothing": (b"", "08P01"),
    "half a header": (struct.pack("!ih", 5, 0), "08P01"),
    "no dimensions": (sparse(0, 0, [], []), "22000"),
    "minus one dimension": (sparse(-1, 0, [], []), "22000"),
    "too many dimensions": (sparse(10**9 + 1, 0, [], []), "54000"),
    "minus one element": (sparse(5, -1, [], []), "22000"),
    "fewest elements": (sparse(5, -(2**31), [], []), "22000"),
    "more elements than dimensions": (sparse(1, 2, [0, 1], [1.0, 2.0]), "54000"),
    "16001 elements": (sparse(20000, 16001, list(range(16001)), [1.0] * 16001), "54000"),
    "most elements": (sparse(10**9, 2**31 - 1, [0], [1.0]), "54000"),
    "16000 elements claimed": (sparse(20000, 16000, [0], [1.0]), "22000"),
    "unused is one": (sparse(5, 1, [0], [1.0], unused=1), "22000"),
    "no indices": (sparse(5, 2, [], []), "08P01"),
    "no values": (sparse(5, 2, [0, 1], []), "08P01"),
    "a byte short": (sparse(5, 2, [0, 1], [1.0, 2.0])[:-1], "08P01"),
    "a byte more": (sparse(5, 2, [0, 1], [1.0, 2.0]) + b"\0", "22P03"),
    "indices that fall": (sparse(5, 2, [1, 0], [1.0, 2.0]), "22000"),
    "an index twice": (sparse(5, 2, [1, 1], [1.0, 2.0]), "22000"),
    "an index of minus one": (sparse(5, 1, [-1], [1.0]), "22000"),
    "an index beyond the last": (sparse(5, 1, [5], [1.0]), "22000"),
    "zero": (sparse(5, 1, [0], [0.0]), "22000"),
    "minus zero": (sparse(5, 1, [0], [-0.0]), "22000"),
    "NaN": (sparse(5, 1, [0], [float("nan")]), "22000"),
    "infinity": (sparse(5, 1, [0], [float("inf")]), "22000"),
}


@pytest.fixture
def items(db: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A table of three rows with an index. After the test these are there, and nothing else."""
    db.execute("CREATE TABLE items (embedding vector)")
    db.execute("INSERT INTO items SELECT ARRAY[i, i, i] FROM generate_series(1, 3) i")
    db.execute("CREATE INDEX items_index ON items USING kdtree ((embedding::vector(3)))")
    backend = db.info.backend_pid
    yield db
    assert db.execute("SELECT pg_backend_pid()").fetchone() == (backend,)
    assert db.execute("SELECT count(*) FROM items").fetchone() == (3,)
    assert db.execute("SELECT sum(vectors) FROM kdtree_stats('items_index')").fetchone() == (3,)


def copy_state(db: psycopg.Connection, field: bytes, length: int | None = None) -> str | None:
    """Copies one row of one field, and returns the SQLSTATE."""
    length = len(field) if length is None else length
    try:
        with db.cursor().copy("COPY items FROM STDIN (FORMAT binary)") as copy:
            copy.write(COPY_HEAD + struct.pack("!hi", 1, length) + field + COPY_TAIL)
    except psycopg.Error as error:
        return error.sqlstate
    return None


def send(db: psycopg.Connection, query: str, value: bytes, format: Format, type: str = "vector") -> PGresult:
    """Runs a query with one parameter, just as it is: no driver is between."""
    (oid,) = db.execute("SELECT %s::regtype::oid", (type,)).fetchone()
    return db.pgconn.exec_params(query.encode(), [value], [oid], [format], Format.BINARY)


def state(result: PGresult) -> str | None:
    value = result.error_field(DiagnosticField.SQLSTATE)
    return value.decode() if value else None


def test_binary_copy(items: psycopg.Connection) -> None:
    states = {case: copy_state(items, field) for case, (field, _) in BINARY.items()}
    assert states == {case: expected for case, (_, expected) in BINARY.items()}


def test_binary_parameter(items: psycopg.Connection) -> None:
    insert = "INSERT INTO items VALUES ($1)"
    states = {case: state(send(items, insert, field, Format.BINARY)) for case, (field, _) in BINARY.items()}
    assert states == {case: expected for case, (_, expected) in BINARY.items()}


def test_text_parameter(items: psycopg.Connection) -> None:
    insert = "INSERT INTO items VALUES ($1)"
    states = {case: state(send(items, insert, text, Format.TEXT)) for case, (text, _) in TEXT.items()}
    assert states == {case: expected for case, (_, expected) in TEXT.items()}


def test_length_of_a_field(items: psycopg.Connection) -> None:
    """The length that COPY is told is not that of the 16 bytes that follow."""
    expected = {
        -2: "22P04",
        -(2**31): "22P04",
        2**31 - 1: "54000",
        2**30: "54000",
        100: "22P04",
        17: "22P03",
        15: "08P01",
    }
    field = message(3, 1.0, 2.0, 3.0)
    assert {length: copy_state(items, field, length) for length in expected} == expected


def test_other_dimensions_than_the_column(db: psycopg.Connection) -> None:
    db.execute("CREATE TABLE items (embedding vector(3))")
    for elements in ([1.0], [1.0, 2.0], [1.0] * 4, [1.0] * 16000):
        assert copy_state(db, message(len(elements), *elements)) == "22000"
        text = repr(elements).encode()
        query = "INSERT INTO items VALUES ($1)"
        assert state(send(db, query, text, Format.TEXT)) == "22000"
        assert state(send(db, query, message(len(elements), *elements), Format.BINARY)) == "22000"
    # Dimensions are compared before the elements are looked at.
    assert copy_state(db, raw(2, 0x7FC00000, 0)) == "22000"
    assert copy_state(db, message(3, 1.0, 2.0, 3.0)) is None
    assert db.execute("SELECT embedding FROM items").fetchall() == [("[1,2,3]",)]


@pytest.mark.parametrize(("type", "cases"), [("halfvec", HALFVEC), ("sparsevec", SPARSEVEC)])
def test_binary_parameters_of_other_types(db: psycopg.Connection, type: str, cases: dict) -> None:
    query = "SELECT $1"
    states = {case: state(send(db, query, field, Format.BINARY, type)) for case, (field, _) in cases.items()}
    assert states == {case: expected for case, (_, expected) in cases.items()}


def damaged(rng: Generator, value: bytes) -> bytes:
    """A few bytes changed, inserted, removed."""
    result = bytearray(value)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(result) + 1))
        kind = rng.integers(4)
        if kind == 0:
            result[at:at] = rng.bytes(rng.integers(1, 5))
        elif kind == 1:
            del result[at : at + int(rng.integers(1, 5))]
        elif at < len(result):
            result[at] = rng.integers(256) if kind == 2 else result[at] ^ (1 << int(rng.integers(8)))
    return bytes(result)


def test_random_damage(items: psycopg.Connection, rng: Generator) -> None:
    """What is accepted is read as it was sent; anything else is an error about data."""
    accepted = refused = 0
    for _ in range(1500):
        vector = rng.normal(size=rng.integers(1, 6)).astype("float32")
        binary = damaged(rng, pgvectors.binary(vector))
        result = send(items, "SELECT $1", binary, Format.BINARY)
        if result.status == ExecStatus.TUPLES_OK:
            accepted += 1
            assert result.get_value(0, 0) == binary
        else:
            refused += 1
            assert state(result)[:2] in CLASSES, (binary, result.error_message)

        text = damaged(rng, pgvectors.literal(vector).encode()).replace(b"\0", b" ")
        result = send(items, "SELECT $1", text, Format.TEXT)
        if result.status == ExecStatus.TUPLES_OK:
            accepted += 1
            elements = numpy.frombuffer(result.get_value(0, 0)[4:], ">f4")
            if b"x" not in text.lower():
                spelled = [float(token) for token in text.decode().strip().strip("[]").split(",")]
                # Python rounds twice, to a double first.
                numpy.testing.assert_array_max_ulp(elements.astype("float32"), numpy.float32(spelled), 1)
        else:
            refused += 1
            assert state(result)[:2] in CLASSES, (text, result.error_message)
    assert accepted > 100 and refused > 100


@pytest.mark.parametrize("type", ["halfvec", "sparsevec"])
def test_random_damage_of_other_types(db: psycopg.Connection, rng: Generator, type: str) -> None:
    """What is accepted comes back as it was sent, and through its text form."""
    accepted = refused = 0
    for _ in range(1500):
        count = int(rng.integers(1, 6))
        values = rng.normal(size=count)
        if type == "halfvec":
            sound = struct.pack(f"!hh{count}e", count, 0, *values)
        else:
            sound = sparse(
                100, count, sorted(rng.choice(100, count, replace=False).tolist()), values.tolist()
            )
        binary = damaged(rng, sound)
        result = send(db, "SELECT $1", binary, Format.BINARY, type)
        if result.status == ExecStatus.TUPLES_OK:
            accepted += 1
            assert result.get_value(0, 0) == binary
            text = db.pgconn.exec_params(
                f"SELECT {type}_send($1::text::{type})".encode(),
                [send(db, "SELECT $1::text", binary, Format.BINARY, type).get_value(0, 0)],
                result_format=Format.BINARY,
            )
            assert text.get_value(0, 0) == binary
        else:
            refused += 1
            assert state(result)[:2] in CLASSES, (binary, result.error_message)
    assert accepted > 100 and refused > 100
