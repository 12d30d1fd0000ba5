"""Files of Debian packages, which are downloaded but not installed, and read without being unpacked."""

import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path


def download(package: str, directory: Path) -> Path:
    """Fetches a package's archive; nothing is installed."""
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
    (archive,) = directory.glob(f"{package}_*.deb")
    return archive


def files(archive: Path, suffixes: tuple[str, ...]) -> Iterator[bytes]:
    """The contents of all files whose names end like that."""
    unpacking = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE)
    with unpacking, tarfile.open(fileobj=unpacking.stdout, mode="r|") as found:
        for file in found:
            if file.isfile() and file.name.lower().endswith(suffixes):
                yield found.extractfile(file).read()
        unpacking.stdout.read()  # what pads the archive: the program must not find its pipe closed
    if unpacking.returncode != 0:
        raise RuntimeError(f"dpkg-deb could not read {archive}")
