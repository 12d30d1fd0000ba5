"""Queries per second over recall: what a search offers whose setting trades one for the other."""

from dataclasses import asdict, dataclass

import numpy

from datasets import Dataset

K = 10
EXACT = 1.0
RECALLS = (0.9, 0.95, 0.99, EXACT)  # that kdtree is asked for

KDTREE, HNSW, IVFFLAT = "kdtree", "pgvector HNSW", "pgvector IVFFlat"
SCAN, PEER_SCAN = "sequential scan", "sequential scan, pgvector's server"
FAISS, FAISS_HNSW = "Faiss flat", "Faiss HNSW, in memory"


@dataclass(frozen=True)
class Point:
    """A search with one value of its setting."""

    value: float | None  # None: there is nothing to set
    recall: float
    worst: float  # recall of the worst query
    mean: float  # milliseconds
    median: float

    @property
    def speed(self) -> float:
        """Queries per second of one client that asks one after the other."""
        return 1000 / self.mean

    def data(self) -> dict:
        return asdict(self) | {"queries_per_second": self.speed}


@dataclass
class Curve:
    """The points of one search, in the order in which its setting goes for more recall."""

    name: str
    points: list[Point]
    setting: str | None = None
    build_seconds: float | None = None
    index_bytes: int | None = None

    @property
    def best_recall(self) -> float:
        return max(point.recall for point in self.points)

    def speed_at(self, recall: float) -> float:
        """Queries per second at a recall, interpolated between the two points round it.

        Their logarithms are, as speeds differ by factors. Below the curve it is the speed of the first point,
        the fastest there is. Above it, it is that of the point with most recall: the truth would be slower.
        """
        points = self._efficient()
        recalls = [point.recall for point in points]
        speeds = numpy.log([point.speed for point in points])
        return float(numpy.exp(numpy.interp(recall, recalls, speeds)))

    def _efficient(self) -> list[Point]:
        """The points than which no other one has both more recall and more speed, by recall."""
        kept: list[Point] = []
        for point in sorted(self.points, key=lambda point: (point.speed, point.recall), reverse=True):
            if not kept or point.recall > kept[-1].recall:
                kept.append(point)
        return kept

    def data(self) -> dict:
        return {
            "name": self.name,
            "setting": self.setting,
            "build_seconds": self.build_seconds,
            "index_bytes": self.index_bytes,
            "points": [point.data() for point in self.points],
        }


@dataclass
class Run:
    """What was measured on one data set."""

    data: Dataset
    versions: list[str]
    table_bytes: int
    curves: list[Curve]

    def curve(self, name: str) -> Curve:
        return next(curve for curve in self.curves if curve.name == name)
