"""EfficientNet-Lite0 up to the layer before its classifier, as an ONNX model.

A stem, seven stages of inverted residual blocks, a head, and the mean over the picture: 1,280 numbers that
say what is to be seen. Every convolution takes its batch normalisation in: with fixed statistics that is
only a factor and an offset per channel.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

IMAGE_SIZE = 224
FEATURES = 1280
INPUT, OUTPUT = "image", "features"

_BATCH_NORM_EPSILON = 1e-3


@dataclass(frozen=True)
class Stage:
    blocks: int
    kernel: int
    stride: int  # of the first block; the others keep the size
    expansion: int
    channels: int


STEM_CHANNELS = 32
STAGES = [
    Stage(blocks=1, kernel=3, stride=1, expansion=1, channels=16),
    Stage(blocks=2, kernel=3, stride=2, expansion=6, channels=24),
    Stage(blocks=2, kernel=5, stride=2, expansion=6, channels=40),
    Stage(blocks=3, kernel=3, stride=2, expansion=6, channels=80),
    Stage(blocks=3, kernel=5, stride=1, expansion=6, channels=112),
    Stage(blocks=4, kernel=5, stride=2, expansion=6, channels=192),
    Stage(blocks=1, kernel=3, stride=1, expansion=6, channels=320),
]


class _Graph:
    """Collects nodes and constants; every method returns the name of its result."""

    def __init__(self, weights: dict[str, numpy.ndarray]):
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._zero = self._constant("zero", numpy.float32(0))
        self._six = self._constant("six", numpy.float32(6))

    def _constant(self, name: str, value: numpy.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(numpy.asarray(value, numpy.float32), name))
        return name

    def node(self, operator: str, inputs: list[str], output: str | None = None, **attributes) -> str:
        output = output or f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def convolution(self, x: str, name: str, norm: str, *, stride: int = 1, groups: int = 1) -> str:
        """A convolution without bias, followed by its batch normalisation, as one node."""
        kernel = self.weights[f"{name}.weight"].astype(numpy.float64)
        mean, variance, factor, offset = (
            self.weights[f"{norm}.{part}"].astype(numpy.float64)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        factor = factor / numpy.sqrt(variance + _BATCH_NORM_EPSILON)
        return self.node(
            "Conv",
            [
                x,
                self._constant(f"{name}.kernel", kernel * factor[:, None, None, None]),
                self._constant(f"{name}.bias", offset - mean * factor),
            ],
            auto_pad="SAME_UPPER",
            kernel_shape=kernel.shape[2:],
            strides=[stride, stride],
            group=groups,
        )

    def relu6(self, x: str) -> str:
        return self.node("Clip", [x, self._zero, self._six])

    def block(self, x: str, name: str, *, stride: int, expansion: int, channels: tuple[int, int]) -> str:
        """Widen, filter each channel by itself, narrow; added to the input where the shapes agree."""
        before, after = channels
        y = x
        if expansion != 1:
            y = self.relu6(self.convolution(y, f"{name}._expand_conv", f"{name}._bn0"))
        groups = before * expansion
        y = self.convolution(y, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride, groups=groups)
        y = self.convolution(self.relu6(y), f"{name}._project_conv", f"{name}._bn2")
        return self.node("Add", [y, x]) if stride == 1 and before == after else y


def build(weights: dict[str, numpy.ndarray]) -> onnx.ModelProto:
    graph = _Graph(weights)
    x = graph.relu6(graph.convolution(INPUT, "_conv_stem", "_bn0", stride=2))
    channels, number = STEM_CHANNELS, 0
    for stage in STAGES:
        for position in range(stage.blocks):
            x = graph.block(
                x,
                f"_blocks.{number}",
                stride=stage.stride if position == 0 else 1,
                expansion=stage.expansion,
                channels=(channels, stage.channels),
            )
            channels, number = stage.channels, number + 1
    x = graph.relu6(graph.convolution(x, "_conv_head", "_bn1"))
    graph.node("Flatten", [graph.node("GlobalAveragePool", [x])], OUTPUT)

    shape = ["images", 3, IMAGE_SIZE, IMAGE_SIZE]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "efficientnet-lite0",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["images", FEATURES])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    return model


def save(weights: dict[str, numpy.ndarray], path: Path) -> None:
    onnx.save(build(weights), path)
