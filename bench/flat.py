"""Faiss's exhaustive search, on one thread: the bare comparison of all vectors, without a database."""

from collections.abc import Callable

import faiss
import numpy


def index(vectors: numpy.ndarray) -> Callable[[numpy.ndarray, int], list[int]]:
    """A search for the row numbers of the k nearest by Euclidean distance."""
    faiss.omp_set_num_threads(1)
    flat = faiss.IndexFlatL2(vectors.shape[1])
    flat.add(vectors)
    return lambda query, k: flat.search(query[None], k)[1][0].tolist()
