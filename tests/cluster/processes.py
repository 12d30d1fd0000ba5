"""What the operating system says about the process of a session."""

import re
import time
from pathlib import Path

import psycopg


def directory(connection: psycopg.Connection) -> Path:
    return Path(f"/proc/{connection.info.backend_pid}")


def has_one_thread(connection: psycopg.Connection) -> bool:
    """Whether the server process has no thread but its own. One that has ended may need a moment to go."""
    deadline = time.monotonic() + 10
    while len(list((directory(connection) / "task").iterdir())) > 1:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def own_memory(connection: psycopg.Connection) -> int:
    """Bytes that are the process's alone: without shared buffers and libraries."""
    return _status(connection, "RssAnon")


def peak_memory(connection: psycopg.Connection) -> int:
    """The most bytes it had at once since `forget_peak`, with the shared buffers that it touched."""
    return _status(connection, "VmHWM")


def forget_peak(connection: psycopg.Connection) -> None:
    (directory(connection) / "clear_refs").write_text("5")


def _status(connection: psycopg.Connection, name: str) -> int:
    status = (directory(connection) / "status").read_text()
    return 1024 * int(re.search(rf"^{name}:\s+(\d+) kB$", status, re.M).group(1))
