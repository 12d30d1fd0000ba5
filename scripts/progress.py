"""Lines that tell a person at a terminal, or a log, what is going on."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg


class Line:
    """One line of progress: written over again on a terminal, growing every ten seconds in a log."""

    def __init__(self, label: str):
        self._terminal = sys.stdout.isatty()
        self._label = f"  {label} ..."
        self._began = time.monotonic()
        self._interval = 0.2 if self._terminal else 10.0
        self._next = self._began + self._interval
        print(self._label, end="", flush=True)

    def update(self, text: str) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._interval
            self._write(f" {text} ({now - self._began:.0f} s)" + ("" if self._terminal else " ..."))

    def done(self, text: str = "") -> None:
        self._write(f"{' ' if text else ''}{text} ({time.monotonic() - self._began:.1f} s)\n")

    def _write(self, text: str) -> None:
        start = f"\r\033[K{self._label}" if self._terminal else ""
        print(start + text, end="", flush=True)


@contextmanager
def building_index(conninfo: str, label: str) -> Iterator[Line]:
    """Shows what pg_stat_progress_create_index says while the body creates an index."""
    line = Line(label)
    finished = threading.Event()

    def watch() -> None:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            while not finished.wait(0.25):
                row = connection.execute(
                    "SELECT phase, tuples_done, tuples_total FROM pg_stat_progress_create_index"
                ).fetchone()
                if row:
                    phase, done, total = row
                    line.update(f"{phase}: {done:,} of {total:,} rows" if total else phase)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield line
    finally:
        finished.set()
        watcher.join()
    line.done()
