"""SIFT descriptors (128 dimensions, whole numbers) of the pictures of Debian's desktop backgrounds.

The packages are downloaded but not installed, and read without being unpacked.
"""

import multiprocessing
import tempfile
from pathlib import Path

import numpy

import progress

from . import cache, debian
from .dataset import Metric

TITLE = "SIFT descriptors of images"
METRIC = Metric.L2

_PACKAGES = (
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "mate-backgrounds",
    "gnome-backgrounds",
    "plasma-workspace-wallpapers",
    "ukui-wallpapers",
)
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
# Of the longer side, in pixels. Larger images are reduced: what a lens or a brush blurs has no features.
_LARGEST = 3_200


def vectors(wanted: int) -> numpy.ndarray:
    """The distinct descriptors of as many packages as it takes: more than wanted, or all there are."""
    # The same picture may come twice, and a pattern in it many times.
    distinct = numpy.zeros((0, 128), numpy.uint8)
    for package in _PACKAGES:
        found = cache.array(f"sift-{package}", lambda package=package: _compute(package))
        distinct = numpy.unique(numpy.concatenate([distinct, found]), axis=0)
        if len(distinct) >= wanted:
            break
    return distinct


def _compute(package: str) -> numpy.ndarray:
    with tempfile.TemporaryDirectory(dir=cache.directory()) as directory:
        archive = debian.download(package, Path(directory))
        line = progress.Line(f"computing SIFT descriptors of {package}")
        found, count = [], 0
        with multiprocessing.get_context("spawn").Pool() as pool:
            for descriptors in pool.imap(_descriptors, debian.files(archive, _SUFFIXES)):
                found.append(descriptors)
                count += len(descriptors)
                line.update(f"{count:,}")
        line.done(f"{count:,} of {len(found)} images")
    return numpy.concatenate(found)


def _descriptors(image: bytes) -> numpy.ndarray:
    """The descriptors of one image; runs in a process of its own, the only one to load OpenCV."""
    import cv2

    cv2.setNumThreads(1)
    pixels = cv2.imdecode(numpy.frombuffer(image, numpy.uint8), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise RuntimeError("OpenCV cannot decode an image")
    scale = _LARGEST / max(pixels.shape)
    if scale < 1:
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, found = cv2.SIFT_create().detectAndCompute(pixels, None)
    if found is None:
        return numpy.zeros((0, 128), numpy.uint8)
    return found.astype(numpy.uint8)
