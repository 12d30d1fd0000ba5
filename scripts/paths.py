"""Where things are: the checkout, what builds and runs leave behind, and the processes' clean environment."""

import os
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
SCRIPTS = REPO / "scripts"


def target_dir() -> Path:
    """What builds and runs leave behind: cargo's target directory. `make clean` removes it."""
    return Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target")).resolve()


def library() -> Path:
    """The shared library of the extensions, as `cargo build --release` leaves it."""
    return target_dir() / "release" / "libkdvector.so"


def cache_dir(name: str) -> Path:
    """A directory below target/ for what is costly to make: data sets, features, models."""
    path = target_dir() / name
    path.mkdir(parents=True, exist_ok=True)
    return path
