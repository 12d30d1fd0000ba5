"""Random vectors of many kinds, and psycopg's way of sending them: numpy's arrays, and `Halves` as `halfvec`.

Distributions are chosen to hurt: coordinates shared by many vectors, few distinct vectors, magnitudes at both
ends of what a float can hold, vectors without a direction.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy
import psycopg
from numpy.random import Generator
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types import TypeInfo

import pgvectors

LARGEST = numpy.finfo(numpy.float32).max
LARGEST_HALF = numpy.finfo(numpy.float16).max


class Halves(numpy.ndarray):
    """Numbers of half precision, to be sent as a halfvec."""


def halves(numbers: numpy.ndarray) -> Halves:
    """The halves that are nearest to numbers; to those that are too large, the largest."""
    return numpy.clip(numbers, -LARGEST_HALF, LARGEST_HALF).astype(numpy.float16).view(Halves)


def register(connection: psycopg.Connection) -> psycopg.Connection:
    """Makes the connection send numpy arrays as vectors; returns the connection."""
    info = TypeInfo.fetch(connection, "vector")
    assert info is not None, "the extension vector is not in this database"
    register_type(connection, info, numpy.ndarray, ">f4")
    # A pgvector before 0.7.0 has none.
    if info := TypeInfo.fetch(connection, "halfvec"):
        register_type(connection, info, Halves, ">f2")
    return connection


def register_type(connection: psycopg.Connection, info: TypeInfo, array: type, element: str) -> None:
    """Makes the connection send these arrays as values of a type with such elements."""
    info.register(connection)

    class Text(Dumper):
        oid = info.oid

        def dump(self, vector: numpy.ndarray) -> bytes:
            return pgvectors.literal(vector).encode()

    class Binary(Dumper):
        oid = info.oid
        format = Format.BINARY

        def dump(self, vector: numpy.ndarray) -> bytes:
            return pgvectors.binary(vector, element)

    # Where both will do, the one registered last is used; literals take the text.
    connection.adapters.register_dumper(array, Text)
    connection.adapters.register_dumper(array, Binary)


def uniform(rng: Generator, count: int, dims: int) -> numpy.ndarray:
    return rng.random((count, dims))


def clustered(rng: Generator, count: int, dims: int) -> numpy.ndarray:
    """Around five points that are the same for every call with the same dimensions."""
    centres = numpy.random.default_rng(dims).normal(size=(5, dims)) * 10
    return centres[rng.integers(0, len(centres), count)] + rng.normal(size=(count, dims)) * 0.1


def grid(rng: Generator, count: int, dims: int) -> numpy.ndarray:
    """Small integers: coordinates are shared, distances often equal."""
    return rng.integers(-2, 3, (count, dims)).astype(float)


def few_distinct(rng: Generator, count: int, dims: int) -> numpy.ndarray:
    distinct = numpy.random.default_rng(dims).normal(size=(3, dims))
    return distinct[rng.integers(0, len(distinct), count)]


def all_equal(_rng: Generator, count: int, dims: int) -> numpy.ndarray:
    return numpy.full((count, dims), 0.1)


def tiny(rng: Generator, count: int, dims: int) -> numpy.ndarray:
    return rng.normal(size=(count, dims)) * 1e-30


def huge(rng: Generator, count: int, dims: int) -> numpy.ndarray:
    """Their squares are more than a float can hold."""
    return rng.normal(size=(count, dims)) * 1e20


def extreme(rng: Generator, count: int, dims: int) -> numpy.ndarray:
    """The largest floats, among ordinary ones."""
    vectors = rng.normal(size=(count, dims))
    vectors[rng.random((count, dims)) < 0.1] *= 1e38
    return vectors.clip(-LARGEST, LARGEST)


def all_magnitudes(rng: Generator, count: int, dims: int) -> numpy.ndarray:
    """Each vector of a magnitude of its own, denormals to the largest."""
    return rng.uniform(-1, 1, (count, dims)) * 10.0 ** rng.uniform(-44, 38, (count, 1))


def heavy_tailed(rng: Generator, count: int, dims: int) -> numpy.ndarray:
    return rng.standard_cauchy((count, dims)).clip(-1e30, 1e30)


Distribution = Callable[[Generator, int, int], numpy.ndarray]
DISTRIBUTIONS: tuple[Distribution, ...] = (
    uniform,
    clustered,
    grid,
    few_distinct,
    all_equal,
    tiny,
    huge,
    extreme,
    all_magnitudes,
    heavy_tailed,
)


@dataclass(frozen=True)
class Source:
    """Draws vectors of one distribution, some of them zero, and values that are NULL."""

    rng: Generator
    dims: int
    distribution: Distribution = uniform
    zeros: float = 0.0
    nulls: float = 0.0
    type: str = "vector"

    def vectors(self, count: int) -> numpy.ndarray:
        drawn = self.typed(self.distribution(self.rng, count, self.dims))
        drawn[self.rng.random(count) < self.zeros] = 0.0
        return drawn

    def typed(self, numbers: numpy.ndarray) -> numpy.ndarray:
        """As values of the type."""
        return halves(numbers) if self.type == "halfvec" else numbers.astype(numpy.float32)

    def vector(self) -> numpy.ndarray:
        return self.vectors(1)[0]

    def values(self, count: int) -> list[numpy.ndarray | None]:
        return [None if self.rng.random() < self.nulls else vector for vector in self.vectors(count)]

    def __str__(self) -> str:
        return (
            f"{self.type}, {self.dims} dimensions, {self.distribution.__name__}, "
            f"{self.zeros:.0%} zero vectors, {self.nulls:.0%} NULL"
        )
