"""Sentence embeddings of 1,536 dimensions: the last four layers of MiniLM, one behind the other.

To take the last four layers is what Devlin et al. found best where the features of a model are used without
training it further ("BERT", 2019, section 5.3).
"""

import numpy

from . import minilm
from .dataset import Metric

TITLE = "Sentence embeddings of four layers"
METRIC = Metric.COSINE

_LAYERS = 4
# 600 MB; in a table and three indexes four times that.
_MOST = 100_000


def vectors(wanted: int) -> numpy.ndarray:
    """At least so many, or the 100,000 that are taken at most, which takes twelve minutes the first time."""
    return minilm.embedded("sentences-layers", _LAYERS, min(wanted, _MOST))
