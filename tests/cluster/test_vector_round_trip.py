"""What goes into a vector column comes out again, bit for bit, in both of the protocol's formats."""

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


@pytest.mark.parametrize("dimensions", DIMENSIONS)
def test_text_and_binary(db: psycopg.Connection, rng: numpy.random.Generator, dimensions: int) -> None:
    vector = finite_floats(rng, dimensions)
    db.execute(f"CREATE TABLE items (embedding vector({dimensions}))")
    db.execute("INSERT INTO items VALUES (%s::text::vector)", (to_text(vector),))
    with db.cursor().copy("COPY items FROM STDIN (FORMAT binary)") as copy:
        copy.write(b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0))
        field = to_binary(vector)
        copy.write(struct.pack("!hi", 1, len(field)) + field + struct.pack("!h", -1))

    text = db.execute("SELECT embedding::text FROM items").fetchall()
    assert len(text) == 2
    assert all(same_bits(from_text(value), vector) for (value,) in text)

    binary = db.execute("SELECT embedding FROM items", binary=True).fetchall()
    assert len(binary) == 2
    assert all(same_bits(from_binary(value), vector) for (value,) in binary)


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
