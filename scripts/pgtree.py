"""A private copy of a PostgreSQL installation, with kdvector installed in it.

PostgreSQL's programs find their libraries and shared files relative to themselves, so a copied tree works
(about 50 MB), and the system's own installation, its extension folders and clusters stay untouched.
Both layouts are handled: Debian's (/usr/lib/postgresql/N beside /usr/share/postgresql/N) and
self-contained trees (bin, lib and share below one directory).
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pgservers
import serveruser
from paths import REPO, SCRIPTS, library


@dataclass(frozen=True)
class Tree:
    """A private installation: `bin` below it holds the programs, `home` holds it and its clusters."""

    home: Path
    bindir: Path
    version: str

    @property
    def pg_config(self) -> Path:
        return self.bindir / "pg_config"

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def directory(self, name: str) -> Path:
        """A directory as pg_config names it: "sharedir", "pkglibdir"."""
        return Path(pgservers.ask(self.pg_config, f"--{name}"))

    def program(self, name: str) -> str:
        return str(self.bindir / name)


def prepare(pg_config: str | None = None, *, label: str = "", install: bool = True) -> Tree:
    """Copies the installation of `pg_config` (unless that is done already) and installs the extensions.

    `label` keeps installations of one major version apart; `install=False` leaves the tree as it came.
    """
    source = _Installation.of(pg_config or pgservers.default())
    name = f"{source.major}-{label}" if label else str(source.major)
    home = serveruser.make_public_directory(serveruser.base_dir() / name)
    root = home / "tree"
    stamp = root / ".origin"
    if not (stamp.exists() and stamp.read_text() == source.fingerprint()):
        shutil.rmtree(root, ignore_errors=True)
        source.copy_to(root)
        stamp.write_text(source.fingerprint())
    tree = Tree(home, root / source.bindir.relative_to(source.prefix), source.version)
    if install:
        _remove_pgvector(tree)
        install_extensions(tree)
    return tree


def earlier(tree: Tree) -> Tree | None:
    """A private installation of the last major before with kdvector as it is now, if a run left one."""
    newest = max(
        path.stat().st_mtime
        for part in ("src", "bkd/src", "vector-format/src", "sql")
        for path in (REPO / part).rglob("*.*")
    )
    for major, pg_config in sorted(pgservers.at_hand().items(), reverse=True):
        root = tree.home.parent / str(major) / "tree"
        if major < tree.major and (root / ".origin").exists():
            other = prepare(pg_config, install=False)
            library = other.directory("pkglibdir") / "kdvector.so"
            if library.exists() and library.stat().st_mtime >= newest:
                return other
    return None


def install_extensions(tree: Tree) -> str:
    """Installs what was built last into the tree, by the same script as `make install`."""
    done = subprocess.run(
        [SCRIPTS / "install.sh", "install"],
        env={**os.environ, "PG_CONFIG": str(tree.pg_config), "LIBRARY": str(library()), "DESTDIR": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"installing the extensions failed:\n{done.stdout}")
    return done.stdout


def _remove_pgvector(tree: Tree) -> None:
    """Where pgvector came with the original, the copy has our `vector` in its place."""
    extensions = tree.directory("sharedir") / "extension"
    control = extensions / "vector.control"
    if control.exists() and "kdvector" not in control.read_text():
        for path in (control, *extensions.glob("vector--*.sql"), tree.directory("pkglibdir") / "vector.so"):
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Installation:
    """An installation that we copy from: where its parts lie."""

    bindir: Path
    directories: frozenset[Path]
    version: str

    @classmethod
    def of(cls, pg_config: str) -> "_Installation":
        version = re.match(r"PostgreSQL (\S+)", pgservers.ask(pg_config, "--version"))
        if version is None:
            raise RuntimeError(f"{pg_config} does not say which PostgreSQL it is")
        bindir, *others = (
            Path(pgservers.ask(pg_config, f"--{name}")).resolve()
            for name in ("bindir", "pkglibdir", "sharedir")
        )
        parts = {bindir, *others}
        if os.path.commonpath(parts) == str(bindir.parent):
            parts = {bindir.parent}  # self-contained
        parts |= _foreign_library_directories(bindir)
        outermost = (part for part in parts if not any(other in part.parents for other in parts))
        return cls(bindir, frozenset(outermost), version.group(1))

    @property
    def major(self) -> int:
        return int(re.match(r"\d+", self.version).group())

    @property
    def prefix(self) -> Path:
        """What all parts have in common. Below it, a copy keeps every part where the others look for it."""
        if len(self.directories) == 1:
            return next(iter(self.directories))
        return Path(os.path.commonpath(self.directories))

    def fingerprint(self) -> str:
        postgres = (self.bindir / "postgres").stat()
        parts = " ".join(map(str, sorted(self.directories)))
        return f"{parts} {self.version} {postgres.st_size} {postgres.st_mtime_ns}\n"

    def copy_to(self, root: Path) -> None:
        for directory in self.directories:
            shutil.copytree(directory, root / directory.relative_to(self.prefix), symlinks=True)
        subprocess.run(["chmod", "-R", "u+w,a+rX", root], check=True)


def _foreign_library_directories(bindir: Path) -> set[Path]:
    """Directories outside the system's of shared libraries that the programs load.

    A PostgreSQL that comes as a Python package keeps such libraries beside its own tree.
    """
    found = set()
    for program in ("postgres", "initdb", "psql"):
        output = subprocess.run(["ldd", bindir / program], check=True, capture_output=True, text=True).stdout
        paths = (Path(name).resolve() for name in re.findall(r"=> (/\S+)", output))
        found |= {path.parent for path in paths if path.parts[1] not in ("lib", "lib64", "usr")}
    return found
