"""The images: photographs and drawings of objects, from Debian's package tuxpaint-stamps-default (GPL-2).

The package is downloaded, not installed; its images go to a folder of the cache.
"""

import os
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "tuxpaint-stamps-default"
_INSIDE = "./usr/share/tuxpaint/stamps/"


class Unavailable(Exception):
    """The images cannot be had on this machine; the message says why."""


@dataclass(frozen=True)
class Image:
    """One image: `path` is relative to the folder of all images, and its first part is the `folder`."""

    path: Path

    @property
    def folder(self) -> str:
        return self.path.parts[0]

    @property
    def name(self) -> str:
        return self.path.stem.replace("_", " ").replace("-", " ")


def fetch(folder: Path) -> list[Image]:
    """The images in `folder`, which is filled first if it is not there yet."""
    if not folder.exists():
        archive = _download(folder.parent)
        partial = folder.with_name(folder.name + ".partial")
        _unpack(archive, partial)
        partial.rename(folder)
        archive.unlink()
    return [Image(path.relative_to(folder)) for path in sorted(folder.rglob("*.png"))]


def _download(into: Path) -> Path:
    """The package's file, by apt-get download. Lists of packages may have to be fetched first."""
    attempts = [["apt-get", "download", PACKAGE]]
    if os.geteuid() == 0:
        attempts += [["apt-get", "update"], attempts[0]]
    for attempt in attempts:
        try:
            done = subprocess.run(attempt, cwd=into, capture_output=True, text=True)
        except FileNotFoundError:
            raise Unavailable(f"apt-get, which would download {PACKAGE}, is not on this machine") from None
        if archives := sorted(into.glob(f"{PACKAGE}_*.deb")):
            return archives[-1]
    raise Unavailable(f"apt-get download {PACKAGE} failed:\n{done.stderr.strip()}")


def _unpack(archive: Path, into: Path) -> None:
    """Takes out the images. Left out: letters and digits, and the mirrored twins of other images."""
    unpacking = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE)
    with unpacking, tarfile.open(fileobj=unpacking.stdout, mode="r|") as files:
        for file in files:
            wanted = file.isfile() and file.name.startswith(_INSIDE) and file.name.endswith(".png")
            if not wanted or "/symbols/" in file.name or "_mirror" in file.name:
                continue
            target = into / file.name.removeprefix(_INSIDE)
            if ".." in target.parts:
                raise Unavailable(f"{archive} holds a file outside its folder: {file.name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(files.extractfile(file).read())
    if unpacking.returncode != 0:
        raise Unavailable(f"dpkg-deb could not read {archive}")
