"""What the suites need, fetched into target/clients; versions and hashes are pinned.

A stamp beside each installation holds what it was made from: made again only when that changes.
"""

import functools
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from paths import cache_dir
from suite import say

HERE = Path(__file__).resolve().parent
DIRECTORY = cache_dir("clients")


def pinned(requirements: str, package: str) -> str:
    """The version of a package in a requirements file."""
    found = re.search(
        rf"^{re.escape(package)}(?:\[.*\])?==(\S+)", (HERE / requirements).read_text(), re.M | re.I
    )
    if found is None:
        raise ValueError(f"{requirements} does not pin {package}")
    return found.group(1)


@functools.cache
def virtual_environment(name: str) -> Path:
    """A virtual environment with the packages of NAME/requirements.txt; returns its Python."""
    requirements = HERE / name / "requirements.txt"
    directory = DIRECTORY / f"venv-{name}"

    def make() -> None:
        say(f"installing the Python packages of {requirements.relative_to(HERE)}")
        command(sys.executable, "-m", "venv", "--clear", directory)
        _pip(directory / "bin" / "python", "install", "--requirement", requirements)

    unless_done(directory, requirements.read_bytes(), make)
    return directory / "bin" / "python"


@functools.cache
def source_archives(name: str) -> Path:
    """The source archives of NAME/sources.txt, which hold the tests; returns their directory."""
    sources = HERE / name / "sources.txt"
    directory = DIRECTORY / f"sources-{name}"

    def fetch() -> None:
        say(f"fetching the source archives of {sources.relative_to(HERE)}")
        directory.mkdir()
        _pip(
            Path(sys.executable),
            *("download", "--no-deps", "--no-binary=:all:", "--require-hashes"),
            *("--requirement", sources, "--dest", directory),
        )

    unless_done(directory, sources.read_bytes(), fetch)
    return directory


def unpack(archives: Path, name: str, destination: Path) -> None:
    """Unpacks the tests of a source archive, together with the configuration of pytest beside them."""
    (archive,) = archives.glob(f"{name}-*.tar.gz")
    shutil.unpack_archive(archive, destination)
    (top,) = (path for path in destination.iterdir() if path.is_dir())
    for part in ("tests", "pyproject.toml"):
        (top / part).rename(destination / part)
    shutil.rmtree(top)


def unless_done(directory: Path, made_from: bytes, make: Callable[[], None]) -> None:
    """Makes a directory, unless it is there and was made from the same."""
    stamp = directory.with_name(f".{directory.name}")
    if stamp.exists() and stamp.read_bytes() == made_from:
        return
    stamp.unlink(missing_ok=True)
    shutil.rmtree(directory, ignore_errors=True)
    make()
    stamp.write_bytes(made_from)


def _pip(python: Path, action: str, *arguments: str | Path) -> None:
    command(python, "-m", "pip", action, "--quiet", "--disable-pip-version-check", *arguments)


def command(*words: str | Path, cwd: Path | None = None) -> None:
    """Runs a command whose output matters only where it fails."""
    done = subprocess.run(words, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(
            f"{' '.join(map(str, words))}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        )
