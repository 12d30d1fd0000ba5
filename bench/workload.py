"""The workload: uniform random vectors, queries like them that are not among them, the true answers."""

from dataclasses import dataclass

import numpy

import pgvectors

_QUERY_SEED = 4321
_BLOCK_ROWS = 50_000


@dataclass(frozen=True)
class Workload:
    vectors: numpy.ndarray
    queries: numpy.ndarray
    # Row numbers (from 0) of the nearest vectors of each query, nearest first, by arithmetic in float64.
    truth: numpy.ndarray

    @property
    def rows(self) -> int:
        return len(self.vectors)

    @property
    def dims(self) -> int:
        return self.vectors.shape[1]

    def recall(self, query: int, answer: list[int]) -> float:
        """The share of the true nearest that an answer (row numbers) holds."""
        return len(set(answer) & set(self.truth[query, : len(answer)].tolist())) / len(answer)


def make(rows: int, dims: int, queries: int, k: int) -> Workload:
    vectors = pgvectors.uniform(rows, dims)
    asked = pgvectors.uniform(queries, dims, _QUERY_SEED)
    return Workload(vectors, asked, nearest(vectors, asked, k))


def nearest(vectors: numpy.ndarray, queries: numpy.ndarray, k: int) -> numpy.ndarray:
    """The k nearest of each query by Euclidean distance, in float64.

    Compares every query with every vector, block by block, keeping the k best so far.
    """
    queries = queries.astype(numpy.float64)
    best_rows = numpy.zeros((len(queries), 0), numpy.int64)
    best_distances = numpy.zeros((len(queries), 0))
    for first in range(0, len(vectors), _BLOCK_ROWS):
        block = vectors[first : first + _BLOCK_ROWS].astype(numpy.float64)
        # |q - x|^2 less |q|^2, which is the same for all x.
        distances = (block * block).sum(axis=1) - 2 * queries @ block.T
        rows = numpy.broadcast_to(numpy.arange(first, first + len(block)), distances.shape)
        best_distances = numpy.concatenate([best_distances, distances], axis=1)
        best_rows = numpy.concatenate([best_rows, rows], axis=1)
        if best_rows.shape[1] > k:
            kept = numpy.argpartition(best_distances, k - 1, axis=1)[:, :k]
            best_distances = numpy.take_along_axis(best_distances, kept, axis=1)
            best_rows = numpy.take_along_axis(best_rows, kept, axis=1)
    order = numpy.argsort(best_distances, axis=1)
    return numpy.take_along_axis(best_rows, order, axis=1)
