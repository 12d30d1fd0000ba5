"""Every test of the project, stage after stage; the last line printed counts them.

    target/venv/bin/python scripts/run_tests.py [--long] [STAGE ...]

`make test` runs all stages, `make test-long` too, with --long: tests against servers take longer, some are
added, and so are the suites of vector stores. A stage that fails does not stop the ones that do not depend on
it. The output of each stage is kept in target/test-logs, and shown where it failed.
"""

import argparse
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pgtree
from paths import REPO, SCRIPTS, target_dir
from pgcluster import Cluster

LOGS = target_dir() / "test-logs"
TIMEOUT = 3600  # seconds; nothing but a hanging test takes that long, on a busy machine either
LONG_TIMEOUT = 6 * 3600
SHOWN_LINES = 60
PACKAGES = ("bkd", "vector-format", "kdvector")


@dataclass
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


class Failed(Exception):
    """A stage could not be carried out; the message says why."""


@dataclass
class Stage:
    name: str
    run: Callable[[Path], Counts]  # is given the path of its log
    needs: str | None = None


def execute(
    command: list[str | Path],
    log: Path,
    environment: dict[str, str] | None = None,
    timeout: float = TIMEOUT,
) -> int:
    """Runs a command with its output appended to the log, and returns its exit code."""
    with open(log, "a") as output:
        process = subprocess.Popen(
            command,
            cwd=REPO,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(timeout)
        except BaseException as reason:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(reason, subprocess.TimeoutExpired):
                raise Failed(f"still running after {timeout} s") from None
            raise


def check(*command: str | Path) -> Callable[[Path], Counts]:
    """A stage that is one command, and counts as one test."""

    def run(log: Path) -> Counts:
        return Counts(passed=1) if execute(list(command), log) == 0 else Counts(failed=1)

    return run


def counted(counts: Counts, code: int) -> Counts:
    """What a test runner counted, corrected by its exit code: it may have died, or found no test."""
    if code != 0 and counts.failed == 0:
        return counts + Counts(failed=1)
    if counts.passed + counts.failed == 0:
        raise Failed("no test was run")
    return counts


def cargo(log: Path, command: str, *arguments: str) -> int:
    """Runs cargo for every package by itself; returns the first exit code that is not 0.

    Together, the packages' dependencies would be built once more, as features are united over all of them.
    """
    codes = [
        execute([SCRIPTS / "cargo.sh", command, "--release", "--package", package, *arguments], log)
        for package in PACKAGES
    ]
    return next(filter(None, codes), 0)


def clippy(log: Path) -> Counts:
    code = cargo(log, "clippy", "--all-targets", "--", "-Dwarnings")
    return Counts(passed=1) if code == 0 else Counts(failed=1)


def cargo_test(log: Path) -> Counts:
    code = cargo(log, "test", "--no-fail-fast")
    results = re.findall(r"^test result: .* (\d+) passed; (\d+) failed; (\d+) ignored", log.read_text(), re.M)
    return counted(sum((Counts(*map(int, result)) for result in results), Counts()), code)


def build_and_install(log: Path) -> Counts:
    if execute([SCRIPTS / "build.sh"], log) != 0:
        return Counts(failed=1)
    pgtree.prepare()
    return Counts(passed=1)


def against_server(name: str) -> Callable[[Path], Counts]:
    """A stage that runs scripts/NAME.sh, a test driver of PostgreSQL's, against its own server."""

    def run(log: Path) -> Counts:
        tree = pgtree.prepare()
        # Autovacuum's snapshots would keep dead rows from being removed.
        cluster = Cluster(
            name, tree, settings={"fsync": "off", "autovacuum": "off"}, log_dir=LOGS / "servers"
        )
        cluster.destroy()  # one that an interrupted run left
        with cluster:
            environment = {**cluster.environment(), "PG_CONFIG": str(tree.pg_config)}
            code = execute([SCRIPTS / f"{name}.sh"], log, environment)
        cluster.destroy()
        differences = LOGS / name / "regression.diffs"
        if code != 0 and differences.exists():
            with open(log, "a") as output:
                output.write(differences.read_text(errors="replace"))
        return counted(regress_counts(log.read_text(errors="replace")), code)

    return run


def regress_counts(output: str) -> Counts:
    """pg_regress says "test NAME ... ok" up to PostgreSQL 15, "ok 1 - NAME" since."""
    passed = re.findall(r"^test \S+ +\.\.\. ok|^ok \d+ ", output, re.M)
    failed = re.findall(r"^test \S+ +\.\.\. FAILED|^not ok \d+ ", output, re.M)
    return Counts(len(passed), len(failed))


def cluster_tests(log: Path, *, long: bool = False) -> Counts:
    report = LOGS / "cluster.xml"
    report.unlink(missing_ok=True)
    pytest = [sys.executable, "-m", "pytest", "-v", f"--junitxml={report}", "tests/cluster"]
    options, timeout = (["--long"], LONG_TIMEOUT) if long else ([], TIMEOUT)
    code = execute([*pytest, *options], log, timeout=timeout)
    if not report.exists():
        raise Failed(f"pytest wrote no report (exit code {code})")
    suite = xml.parse(report).find("testsuite")
    total, failures, errors, skipped = (
        int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    return counted(Counts(total - failed - skipped, failed, skipped), code)


def clients(log: Path, *, long: bool = False) -> Counts:
    """Test suites of client libraries; of vector stores in the long form only."""
    options = [] if long else ["--short"]
    code = execute([sys.executable, REPO / "tests" / "clients" / "run.py", *options], log)
    lines = log.read_text(errors="replace").splitlines()
    result = re.fullmatch(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?", lines[-1] if lines else "")
    if result is None:
        raise Failed(f"tests/clients/run.py counted nothing (exit code {code})")
    return counted(Counts(*(int(number or 0) for number in result.groups())), code)


def dependencies(log: Path) -> Counts:
    """Licences and advisories, where cargo-deny is installed."""
    if shutil.which("cargo-deny") is None:
        log.write_text("cargo-deny is not installed\n")
        return Counts(skipped=1)
    return check("cargo", "deny", "check")(log)


def fuzz(log: Path) -> Counts:
    """A moment of every fuzz target, where cargo-fuzz and a nightly compiler are installed."""
    if execute(["cargo", "+nightly", "fuzz", "--version"], log) != 0:
        return Counts(skipped=1)
    return check(SCRIPTS / "fuzz.sh", "3")(log)


FUZZ = ("--manifest-path", "fuzz/Cargo.toml")
PYTHON = (sys.executable, "-m")
STAGES = [
    Stage("format", check("cargo", "fmt", "--all", "--check")),
    Stage("fuzz-format", check("cargo", "fmt", *FUZZ, "--check")),
    Stage("python", check(*PYTHON, "ruff", "check", ".")),
    Stage("python-format", check(*PYTHON, "ruff", "format", "--check", ".")),
    Stage("clippy", clippy),
    Stage("build", build_and_install),
    Stage("cargo-test", cargo_test),
    Stage("regress", against_server("regress"), needs="build"),
    Stage("isolation", against_server("isolation"), needs="build"),
    Stage("cluster", cluster_tests, needs="build"),
    Stage("clients", clients, needs="build"),
    Stage("fuzz", fuzz),
    Stage("dependencies", dependencies),
]


def run_stage(stage: Stage) -> Counts:
    log = LOGS / f"{stage.name}.log"
    log.write_text("")
    print(f"{stage.name} ...", end=" ", flush=True)
    began = time.monotonic()
    try:
        counts = stage.run(log)
        message = ""
    except (Failed, RuntimeError) as error:
        counts = Counts(failed=1)
        message = f"{error}\n"
    print(f"{counts} ({time.monotonic() - began:.0f} s)", flush=True)
    if counts.failed:
        shown = log.read_text(errors="replace").splitlines()[-SHOWN_LINES:]
        print("\n".join([f"---- end of {log}:", *shown, f"---- {message}"]), flush=True)
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description="runs the tests and counts them")
    names = [stage.name for stage in STAGES]
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"of {', '.join(names)}; default: all")
    parser.add_argument("--long", action="store_true", help="the tests against servers in their long form")
    arguments = parser.parse_args()
    chosen = arguments.stages or names
    if unknown := set(chosen) - set(names):
        parser.error(f"no such stage: {', '.join(sorted(unknown))}")

    LOGS.mkdir(parents=True, exist_ok=True)
    results: dict[str, Counts] = {}
    for stage in STAGES:
        if stage.name not in chosen:
            continue
        if arguments.long and stage.run in (cluster_tests, clients):
            stage = replace(stage, run=functools.partial(stage.run, long=True))
        if stage.needs in results and results[stage.needs].failed:
            print(f"{stage.name} ... not run: {stage.needs} failed")
            results[stage.name] = Counts(failed=1)
        else:
            results[stage.name] = run_stage(stage)

    print("\nSummary")
    for name, counts in results.items():
        print(f"  {name:<14} {counts}")
    total = sum(results.values(), Counts())
    print(total)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
