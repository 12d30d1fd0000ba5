"""A data set with a metric, of which some vectors are held out of the table as queries."""

from dataclasses import dataclass
from enum import Enum

import numpy

import workload
from workload import Workload

_SEED = 20_240_229
# What sums in single precision, as pgvector and Faiss compute them, may differ by.
_TOLERANCE = 1e-6


class Metric(Enum):
    L2 = ("<->", "vector_l2_ops")
    COSINE = ("<=>", "vector_cosine_ops")

    def __init__(self, operator: str, operator_class: str):
        self.operator = operator
        self.operator_class = operator_class

    def comparable(self, vectors: numpy.ndarray) -> numpy.ndarray:
        """Vectors whose order by Euclidean distance is that of these by the metric."""
        if self is Metric.L2:
            return vectors
        wide = vectors.astype(numpy.float64)
        return (wide / numpy.linalg.norm(wide, axis=1, keepdims=True)).astype(numpy.float32)

    def distances(self, query: numpy.ndarray, vectors: numpy.ndarray) -> numpy.ndarray:
        """By arithmetic in double precision."""
        query, vectors = query.astype(numpy.float64), vectors.astype(numpy.float64)
        if self is Metric.L2:
            return numpy.linalg.norm(vectors - query, axis=1)
        return 1 - vectors @ query / (numpy.linalg.norm(vectors, axis=1) * numpy.linalg.norm(query))


@dataclass(frozen=True)
class Dataset(Workload):
    name: str
    title: str
    metric: Metric

    @classmethod
    def of(
        cls, name: str, title: str, metric: Metric, vectors: numpy.ndarray, rows: int, queries: int, k: int
    ) -> "Dataset":
        """Takes queries and rows at random, always the same."""
        if len(vectors) < queries + k:
            raise RuntimeError(f"{name}: {len(vectors)} vectors are too few for {queries} queries")
        chosen = numpy.random.default_rng(_SEED).permutation(len(vectors))[: queries + rows]
        asked, kept = (vectors[part].astype(numpy.float32) for part in (chosen[:queries], chosen[queries:]))
        truth = workload.nearest(metric.comparable(kept), metric.comparable(asked), k)
        return cls(kept, asked, truth, name, title, metric)

    def recall(self, query: int, answer: list[int]) -> float:
        """The share of the k nearest that an answer holds.

        Every row that is as near as the k-th counts: with equal distances, there is more than one true
        answer. A short answer lacks what it lacks.
        """
        truth = self.truth[query]
        (bound,) = self.metric.distances(self.queries[query], self.vectors[truth[-1:]])
        distances = self.metric.distances(self.queries[query], self.vectors[answer])
        return int((distances <= bound + _TOLERANCE * max(bound, 1.0)).sum()) / len(truth)
