"""SIFT descriptors (128 dimensions, whole numbers) of the pictures of Debian's desktop backgrounds.

The packages are downloaded but not installed, and read without being unpacked.
"""

import multiprocessing
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy

import progress

from . import cache
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
        _apt_get_download(package, Path(directory))
        (archive,) = Path(directory).glob("*.deb")
        line = progress.Line(f"computing SIFT descriptors of {package}")
        found, count = [], 0
        with multiprocessing.get_context("spawn").Pool() as pool:
            for descriptors in pool.imap(_descriptors, _images(archive)):
                found.append(descriptors)
                count += len(descriptors)
                line.update(f"{count:,}")
        line.done(f"{count:,} of {len(found)} images")
    return numpy.concatenate(found)


def _apt_get_download(package: str, directory: Path) -> None:
    root = os.geteuid() == 0
    # The user that apt-get would become has no access to a private checkout.
    options = ["-q", "-o", "APT::Sandbox::User=root"] if root else ["-q"]

    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = ["apt-get", *options, *arguments]
        return subprocess.run(
            command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    done = run("download", package)
    if done.returncode != 0 and root:
        run("update")  # a fresh machine may have no lists of packages, or old ones
        done = run("download", package)
    if done.returncode != 0:
        hint = "" if root else "\nsudo apt-get update may help"
        raise RuntimeError(f"apt-get could not download {package}:\n{done.stdout}{hint}")


def _images(package: Path) -> Iterator[bytes]:
    """The contents of all image files of a package."""
    unpacking = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE)
    with unpacking, tarfile.open(fileobj=unpacking.stdout, mode="r|") as files:
        for file in files:
            if file.isfile() and file.name.lower().endswith(_SUFFIXES):
                yield files.extractfile(file).read()
        unpacking.stdout.read()  # what pads the archive: the program must not find its pipe closed
    if unpacking.returncode != 0:
        raise RuntimeError(f"dpkg-deb could not read {package}")


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
