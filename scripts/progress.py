"""Lines that tell a person at a terminal, or a log, what is going on."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg


class Line:
    """One line of progress: rewritten in place on a terminal, a new line every ten seconds in a log."""

    def __init__(self, label: str):
        self.label = label
        self.began = time.monotonic()
        self._interval = 0.2 if sys.stdout.isatty() else 10.0
        self._next = self.began + self._interval
        print(f"  {label} ...", end="" if sys.stdout.isatty() else "\n", flush=True)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def update(self, text: str) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._interval
            self._write(f"{text} ({self.seconds:.0f} s)", end="" if sys.stdout.isatty() else "\n")

    def done(self, text: str = "") -> None:
        self._write(f"{text} ({self.seconds:.1f} s)".lstrip(), end="\n")

    def _write(self, text: str, end: str) -> None:
        start = "\r\033[K" if sys.stdout.isatty() else ""
        print(f"{start}  {self.label} ... {text}", end=end, flush=True)


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
