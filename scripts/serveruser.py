"""The user that servers run as.

PostgreSQL refuses to run as root. Where we are root, everything that touches a data directory runs as the
user `postgres` (made if it is missing); where we are not, it runs as ourselves.
"""

import functools
import hashlib
import os
import pwd
import subprocess
import sys
from pathlib import Path

from paths import target_dir

USER = "postgres"

# What a server and its tools get to see of our environment: no PG* variables that would redirect them, no
# RUST_BACKTRACE (it would add backtraces to the error messages), no user's locale.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


@functools.cache
def owner() -> pwd.struct_passwd:
    """The account that owns data directories."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        subprocess.run(
            ["useradd", "--system", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", USER],
            check=True,
        )
        return pwd.getpwnam(USER)


def prefix(*options: str) -> list[str]:
    """The command prefix that makes a process run as the server's user; `options` are those of setpriv(1)."""
    if os.geteuid() == 0:
        account = owner()
        options += (f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--init-groups")
    return ["setpriv", *options, "--"] if options else []


def run(command: list[str], **kwargs) -> str:
    """Runs a command as the server's user and returns what it printed; an error shows all of that."""
    done = subprocess.run(
        prefix() + [str(word) for word in command],
        env=ENVIRONMENT,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **kwargs,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def write_file(path: Path, text: str) -> None:
    """Writes a file that the server's user owns and nobody else can read."""
    path.write_text(text)
    path.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(path, owner().pw_uid, owner().pw_gid)


def make_directory(path: Path) -> Path:
    """Makes a directory of the server's user, readable by nobody else."""
    path.mkdir(parents=True, mode=0o700)
    if os.geteuid() == 0:
        os.chown(path, owner().pw_uid, owner().pw_gid)
    return path


def make_public_directory(path: Path) -> Path:
    """Makes a directory that the server's user can enter, whatever our umask is."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)
    return path


@functools.cache
def base_dir() -> Path:
    """Where trees and clusters live: target/pg, or a directory in /var/tmp if target/ is out of reach.

    A checkout below a directory of mode 0700 (a home, a CI clone) cannot be entered by the server's user.
    """
    base = make_public_directory(target_dir() / "pg")
    if _can_enter(base):
        return base
    tag = hashlib.sha256(str(base).encode()).hexdigest()[:10]
    other = Path("/var/tmp") / f"kdvector-{tag}"
    other.mkdir(exist_ok=True)
    status = other.lstat()
    if other.is_symlink() or status.st_uid != os.geteuid():
        raise RuntimeError(f"{other} belongs to somebody else; remove it or move the checkout")
    other.chmod(0o755)
    # The servers' directory is found again, and removed by `make clean`, through this link.
    link = base / "elsewhere"
    if not link.is_symlink():
        link.symlink_to(other)
    print(f"note: user {owner().pw_name} cannot enter {base}; servers live in {other}", file=sys.stderr)
    return other


def _can_enter(path: Path) -> bool:
    done = subprocess.run(prefix() + ["test", "-x", str(path)], cwd="/", stderr=subprocess.DEVNULL)
    return done.returncode == 0
