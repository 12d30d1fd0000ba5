"""Vectors between numpy and PostgreSQL: binary COPY of whole arrays, parameters, sets of random vectors."""

from collections.abc import Callable

import numpy
import psycopg

# The frame of a binary COPY stream: signature, flags, length of the header's extension; and its end.
_COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TAIL = b"\xff\xff"
_ROWS_PER_CHUNK = 10_000


def uniform(rows: int, dims: int, seed: int = 1234) -> numpy.ndarray:
    """Random vectors in [0, 1); with the default seed, the data set that all measurements here use."""
    numpy.random.seed(seed)
    return numpy.random.random((rows, dims)).astype("float32")


def literal(vector: numpy.ndarray) -> str:
    """The text form of a vector. Python's shortest form of the double reads back as the same float."""
    return "[" + ",".join(map(repr, vector.tolist())) + "]"


def binary(vector: numpy.ndarray, element: str = ">f4") -> bytes:
    """The binary form of a vector, as the protocol sends it: dimensions, zero, floats; big-endian."""
    return numpy.array([len(vector), 0], ">i2").tobytes() + vector.astype(element).tobytes()


def copy_in(
    connection: psycopg.Connection,
    table: str,
    vectors: numpy.ndarray,
    report: Callable[[int], None] = lambda rows: None,
) -> None:
    """Loads rows (id, vector) into a table of just these columns, ids from 1; `report` hears how many."""
    rows, dims = vectors.shape
    layout = numpy.dtype(
        [
            ("fields", ">i2"),
            ("id_size", ">i4"),
            ("id", ">i8"),
            ("vector_size", ">i4"),
            ("dims", ">i2"),
            ("unused", ">i2"),
            ("floats", ">f4", (dims,)),
        ]
    )
    with connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
        copy.write(_COPY_HEAD)
        for first in range(0, rows, _ROWS_PER_CHUNK):
            part = vectors[first : first + _ROWS_PER_CHUNK]
            chunk = numpy.zeros(len(part), layout)
            chunk["fields"] = 2
            chunk["id_size"] = 8
            chunk["id"] = numpy.arange(first + 1, first + 1 + len(part))
            chunk["vector_size"] = 4 + 4 * dims
            chunk["dims"] = dims
            chunk["floats"] = part
            copy.write(chunk.tobytes())
            report(first + len(part))
        copy.write(_COPY_TAIL)
