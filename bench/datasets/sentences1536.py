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
# Each takes as much as four of the others.
_SHARE = 6


def vectors(wanted: int) -> numpy.ndarray:
    """At least a sixth of what is wanted; 100,000 take twelve minutes the first time."""
    return minilm.embedded("sentences-layers", _LAYERS, wanted // _SHARE)
