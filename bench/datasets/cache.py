"""Arrays that are costly to make, kept below target/."""

from collections.abc import Callable
from pathlib import Path

import numpy

import paths


def directory() -> Path:
    return paths.cache_dir("datasets")


def array(name: str, make: Callable[[], numpy.ndarray]) -> numpy.ndarray:
    """What make() once returned under this name."""
    path = directory() / f"{name}.npy"
    if not path.exists():
        made = make()
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            numpy.save(file, made)
        partial.rename(path)
    return numpy.load(path)
