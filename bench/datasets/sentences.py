"""Sentence embeddings (384 dimensions): what dictionaries say of words, as MiniLM is meant to be used."""

import numpy

from . import minilm
from .dataset import Metric

TITLE = "Sentence embeddings"
METRIC = Metric.COSINE


def vectors(wanted: int) -> numpy.ndarray:
    """At least so many, or all there are; always the same, in the same order.

    All 350,000 take half an hour the first time.
    """
    return minilm.embedded("sentences", 1, wanted)
