"""What a test suite of a client is: where it finds its server, how it is run, what it counts."""

import os
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as xml
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pgcluster import SUPERUSER, Cluster

TIMEOUT = 900  # seconds; only a suite that hangs takes that long


@dataclass
class Counts:
    passed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)  # names of tests

    @property
    def failed(self) -> int:
        return len(self.failures)

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


class Failed(Exception):
    """A suite could not be run to its end; the message says why."""


@dataclass(frozen=True)
class Server:
    """A running server as clients see it: by TCP, with a password, as some of them know no other way."""

    cluster: Cluster
    host: str = "localhost"
    user: str = SUPERUSER

    @property
    def port(self) -> int:
        return self.cluster.port

    @property
    def password(self) -> str:
        return self.cluster.password()

    def create_database(self, name: str, *, extension: bool = False) -> None:
        """Makes a database anew, with `vector` where the suite does not see to that by itself."""
        self.cluster.create_database(name)
        if extension:
            with self.cluster.connect(name) as connection:
                connection.execute("CREATE EXTENSION vector")

    def url(self, database: str) -> str:
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    def environment(self, database: str) -> dict[str, str]:
        """Our environment with what libpq and its likes ask for; suites ask for the user's name too."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("PG")},
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": database,
            "USER": self.user,
            "LOGNAME": self.user,
            "TZ": "UTC",
        }


@dataclass(frozen=True)
class Run:
    """One run of a suite: its server, an empty directory to work in, and the file that takes its output."""

    server: Server
    directory: Path
    log: Path

    def execute(self, command: list[str | Path], database: str, **environment: str) -> int:
        """Runs a command in the directory with its output appended to the log; returns its exit code."""
        with open(self.log, "a") as output:
            process = subprocess.Popen(
                command,
                cwd=self.directory,
                env={**self.server.environment(database), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                return process.wait(TIMEOUT)
            except BaseException as reason:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if isinstance(reason, subprocess.TimeoutExpired):
                    raise Failed(f"still running after {TIMEOUT} s") from None
                raise


@dataclass(frozen=True)
class Suite:
    name: str  # on the command line
    title: str  # in the report: the client and its version
    source: str  # in the report: where the tests come from
    install: Callable[[], None]  # fetches and builds; done again, it finds everything there
    run: Callable[[Run], Counts]
    short: bool = True  # part of `make test`


def substitute(directory: Path, replacements: dict[str, str], pattern: str) -> None:
    """Replaces text in a suite's files: the address of the server, where a suite knows only its author's.

    Every text must be there: a suite that kept its author's address might find a server of somebody there.
    """
    missing = set(replacements)
    for file in sorted(directory.glob(pattern)):
        text = before = file.read_text()
        for old, new in replacements.items():
            if old in text:
                missing.discard(old)
                text = text.replace(old, new)
        if text != before:
            file.write_text(text)
    if missing:
        raise Failed(f"not found in {directory / pattern}: {', '.join(sorted(missing))}")


def junit_counts(report: Path, code: int) -> Counts:
    """The counts of a JUnit report, checked against the exit code of the runner that wrote it."""
    if not report.exists():
        raise Failed(f"the test runner wrote no report (exit code {code})")
    counts = Counts()
    for case in xml.parse(report).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            counts.failures.append(f"{case.get('classname')}::{case.get('name')}")
        elif case.find("skipped") is not None:
            counts.skipped += 1
        else:
            counts.passed += 1
    return checked(counts, code)


def checked(counts: Counts, code: int) -> Counts:
    """Counts that fit the exit code: a runner may have died, or have found no test."""
    if code != 0 and not counts.failures:
        counts.failures.append(f"the test runner (exit code {code})")
    if counts.passed + counts.failed == 0:
        raise Failed("no test was run")
    return counts


def pytest(run: Run, python: Path, database: str, *arguments: str, **environment: str) -> Counts:
    """Runs pytest of an environment in the run's directory."""
    report = run.directory / "report.xml"
    code = run.execute(
        [python, "-m", "pytest", "-v", "-p", "no:cacheprovider", f"--junitxml={report}", *arguments],
        database,
        PYTHONDONTWRITEBYTECODE="1",
        **environment,
    )
    return junit_counts(report, code)


def empty_directory(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def say(message: str) -> None:
    """Reports what goes on, in one piece: installations run side by side."""
    sys.stderr.write(f"{message}\n")
