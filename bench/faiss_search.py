"""Faiss's searches, in this process: on one thread, without a server."""

import os
from collections.abc import Callable

import faiss
import numpy

# As pgvector's are by default.
_EDGES, _EF_CONSTRUCTION = 16, 64

Search = Callable[[numpy.ndarray, int], list[int]]
"""Row numbers of the k nearest by Euclidean distance."""


def flat(vectors: numpy.ndarray) -> Search:
    """Faiss's exhaustive search: the bare comparison of all vectors."""
    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatL2(vectors.shape[1])
    index.add(vectors)
    return lambda query, k: index.search(query[None], k)[1][0].tolist()


def graph(vectors: numpy.ndarray) -> Callable[[int], Search]:
    """Faiss's HNSW, built by all processors: a search for a value of efSearch."""
    index = faiss.IndexHNSWFlat(vectors.shape[1], _EDGES)
    index.hnsw.efConstruction = _EF_CONSTRUCTION
    faiss.omp_set_num_threads(os.cpu_count())
    index.add(vectors)
    faiss.omp_set_num_threads(1)

    def search(ef: int) -> Search:
        parameters = faiss.SearchParametersHNSW(efSearch=ef)
        return lambda query, k: index.search(query[None], k, params=parameters)[1][0].tolist()

    return search
