"""SIFT descriptors (128 dimensions, whole numbers) of the pictures of Debian's desktop backgrounds.

The packages are downloaded but not installed, and read without being unpacked.
"""

import multiprocessing
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy

import progress

from . import cache
from .dataset import Metric

TITLE = "SIFT descriptors of images"
METRIC = Metric.L2

_PACKAGES = (
    "gnome-backgrounds",
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "mate-backgrounds",
    "plasma-workspace-wallpapers",
    "ukui-wallpapers",
)
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
# Of the longer side, in pixels. Larger images are reduced: what a lens or a brush blurs has no features.
_LARGEST = 3_200


def vectors() -> numpy.ndarray:
    return cache.array("sift", _compute)


def _compute() -> numpy.ndarray:
    packages = _download()
    line = progress.Line("computing SIFT descriptors")
    found, count = [], 0
    with multiprocessing.get_context("spawn").Pool() as pool:
        for descriptors in pool.imap(_descriptors, _images(packages)):
            found.append(descriptors)
            count += len(descriptors)
            line.update(f"{count:,}")
    # The same picture may come twice, and a pattern in it many times.
    distinct = numpy.unique(numpy.concatenate(found), axis=0)
    line.done(f"{len(distinct):,} of {len(found)} images")
    return distinct


def _download() -> list[Path]:
    directory = cache.directory() / "packages"
    directory.mkdir(exist_ok=True)
    present = {path.name.split("_")[0]: path for path in directory.glob("*_*.deb")}
    missing = [name for name in _PACKAGES if name not in present]
    if missing:
        line = progress.Line(f"downloading {' '.join(missing)} with apt-get")
        _apt_get_download(missing, directory)
        line.done()
    return [next(directory.glob(f"{name}_*.deb")) for name in _PACKAGES]


def _apt_get_download(names: list[str], directory: Path) -> None:
    root = os.geteuid() == 0
    # The user that apt-get would become has no access to a private checkout.
    options = ["-q", "-o", "APT::Sandbox::User=root"] if root else ["-q"]

    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = ["apt-get", *options, *arguments]
        return subprocess.run(
            command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    done = run("download", *names)
    if done.returncode != 0 and root:
        run("update")  # a fresh machine may have no lists of packages, or old ones
        done = run("download", *names)
    if done.returncode != 0:
        hint = "" if root else "\nsudo apt-get update may help"
        raise RuntimeError(f"apt-get could not download {' '.join(names)}:\n{done.stdout}{hint}")


def _images(packages: list[Path]) -> Iterator[bytes]:
    """The contents of all image files of the packages."""
    for package in packages:
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
