"""What dictionaries say of words: some hundred thousand short texts, from Debian packages.

The glosses of WordNet, definitions and citations of the Collaborative International Dictionary of English.
"""

import gzip
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy

from . import cache, debian

# Shorter texts say little.
_LEAST_WORDS = 5
_SEED = 7


def texts() -> list[str]:
    """Distinct texts of both dictionaries, mixed."""
    lines = cache.array(
        "sentences-texts", lambda: numpy.frombuffer("\n".join(_collect()).encode(), numpy.uint8)
    )
    return lines.tobytes().decode().split("\n")


def _collect() -> list[str]:
    with tempfile.TemporaryDirectory(dir=cache.directory()) as directory:
        wordnet = debian.download("wordnet-base", Path(directory))
        glosses = debian.files(wordnet, ("/data.adj", "/data.adv", "/data.noun", "/data.verb"))
        gcide = debian.download("dict-gcide", Path(directory))
        (dictionary,) = debian.files(gcide, ("/gcide.dict.dz",))
        found = [text for data in glosses for text in _glosses(data.decode())]
        found += _paragraphs(gzip.decompress(dictionary).decode(errors="replace"))
    distinct = sorted({text for text in found if len(text.split()) >= _LEAST_WORDS})
    order = numpy.random.default_rng(_SEED).permutation(len(distinct))
    return [distinct[at] for at in order]


def _glosses(data: str) -> Iterator[str]:
    """A line is a synset, the gloss its last field; the licence in front has none."""
    for line in data.splitlines():
        _, bar, gloss = line.partition(" | ")
        if bar:
            yield gloss.strip()


def _paragraphs(dictionary: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", dictionary):
        text = " ".join(paragraph.split())
        # Who wrote it, in brackets.
        yield re.sub(r"\s*\[[^\]]*\]$", "", text)
