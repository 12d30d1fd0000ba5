"""What goes into a column of vectors comes out again, bit for bit, in both of the protocol's formats."""

import struct

import numpy
import psycopg
import pytest

DIMENSIONS = [1, 2, 3, 64, 768, 2000, 16000]


def finite_floats(rng: numpy.random.Generator, count: int) -> numpy.ndarray:
    """Floats of every exponent, denormals and negative zero included."""
    bits = rng.integers(0, 2**32, count, dtype=numpy.uint32)
    values = bits.view(numpy.float32).copy()
    values[~numpy.isfinite(values)] = -0.0
    return values


def to_text(vector: numpy.ndarray) -> str:
    return "[" + ",".join(repr(float(value)) for value in vector) + "]"


def to_binary(vector: numpy.ndarray) -> bytes:
    return struct.pack("!hh", len(vector), 0) + vector.astype(">f4").tobytes()


def from_text(text: str) -> numpy.ndarray:
    return numpy.array(text.strip("[]").split(","), dtype=numpy.float32)


def from_binary(data: bytes) -> numpy.ndarray:
    dimensions, unused = struct.unpack("!hh", data[:4])
    vector = numpy.frombuffer(data[4:], ">f4").astype(numpy.float32)
    assert (dimensions, unused) == (len(vector), 0)
    return vector


def same_bits(left: numpy.ndarray, right: numpy.ndarray) -> bool:
    return left.tobytes() == right.tobytes()


def store(db: psycopg.Connection, type: str, text: str, binary: bytes) -> tuple[list[str], list[bytes]]:
    """Stores one value in both forms, and returns both values in both forms."""
    db.execute(f"CREATE TABLE items (embedding {type})")
    db.execute(f"INSERT INTO items VALUES (%s::text::{type})", (text,))
    with db.cursor().copy("COPY items FROM STDIN (FORMAT binary)") as copy:
        copy.write(b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0))
        copy.write(struct.pack("!hi", 1, len(binary)) + binary + struct.pack("!h", -1))
    texts = db.execute("SELECT embedding::text FROM items").fetchall()
    binaries = db.execute("SELECT embedding FROM items", binary=True).fetchall()
    assert len(texts) == len(binaries) == 2
    return [value for (value,) in texts], [value for (value,) in binaries]


@pytest.mark.parametrize("dimensions", DIMENSIONS)
def test_text_and_binary(db: psycopg.Connection, rng: numpy.random.Generator, dimensions: int) -> None:
    vector = finite_floats(rng, dimensions)
    texts, binaries = store(db, f"vector({dimensions})", to_text(vector), to_binary(vector))
    assert all(same_bits(from_text(value), vector) for value in texts)
    assert all(same_bits(from_binary(value), vector) for value in binaries)


@pytest.mark.parametrize("dimensions", DIMENSIONS)
def test_halves(db: psycopg.Connection, rng: numpy.random.Generator, dimensions: int) -> None:
    halves = rng.integers(0, 2**16, dimensions, dtype=numpy.uint16).view(numpy.float16)
    halves[~numpy.isfinite(halves)] = -0.0
    binary = struct.pack("!hh", dimensions, 0) + halves.astype(">f2").tobytes()
    texts, binaries = store(db, f"halfvec({dimensions})", to_text(halves.astype(numpy.float32)), binary)
    assert all(same_bits(from_text(value), halves.astype(numpy.float32)) for value in texts)
    assert binaries == [binary] * 2


@pytest.mark.parametrize("elements", [0, 1, 2, 14, 15, 300, 16000])
def test_sparse(db: psycopg.Connection, rng: numpy.random.Generator, elements: int) -> None:
    dimensions = int(rng.integers(max(elements, 1), 10**9 + 1))
    indices = numpy.unique(rng.integers(0, dimensions, elements))
    values = finite_floats(rng, len(indices))
    values[values == 0] = 1e-45
    binary = struct.pack("!iii", dimensions, len(indices), 0)
    binary += indices.astype(">i4").tobytes() + values.astype(">f4").tobytes()
    pairs = [f"{index + 1}:{float(value)!r}" for index, value in zip(indices, values, strict=True)]
    shuffled = ",".join(rng.permutation(pairs)) if pairs else ""
    texts, binaries = store(db, f"sparsevec({dimensions})", f"{{{shuffled}}}/{dimensions}", binary)
    assert binaries == [binary] * 2
    for text in texts:
        inner, end = text.removeprefix("{").split("}/")
        assert int(end) == dimensions
        found = [pair.split(":") for pair in inner.split(",")] if inner else []
        assert [int(index) - 1 for index, _ in found] == indices.tolist()
        assert same_bits(numpy.array([value for _, value in found], dtype=numpy.float32), values)


def test_binary_input_of_wrong_length_is_refused(db: psycopg.Connection) -> None:
    db.execute("CREATE TABLE items (embedding vector)")
    field = to_binary(numpy.ones(3, numpy.float32))[:-1]
    with (
        pytest.raises(psycopg.errors.Error) as refused,
        db.cursor().copy("COPY items FROM STDIN (FORMAT binary)") as copy,
    ):
        copy.write(b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0))
        copy.write(struct.pack("!hi", 1, len(field)) + field + struct.pack("!h", -1))
    assert refused.value.sqlstate in ("08P01", "22P03")
    assert db.execute("SELECT count(*) FROM items").fetchone() == (0,)
