"""The tests on every major version of PostgreSQL that is at hand; the last line printed counts them.

    target/venv/bin/python scripts/test_majors.py

`make test-all` runs this. The version that `make` takes is tested with everything that `make test` does, the
others with what depends on the version. Versions that are supported but not at hand are type-checked. Logs of
version N go to target/test-logs-N.
"""

import os
import re
import shutil
import subprocess
import sys

import pgservers
from paths import SCRIPTS, target_dir

STAGES = ("build", "regress", "isolation", "cluster")
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$")


def run_tests(major: int, pg_config: str, stages: tuple[str, ...]) -> tuple[int, int, int]:
    """Runs the tests on one version; returns how many passed, failed, were skipped."""
    print(f"\nPostgreSQL {major} ({pg_config})", flush=True)
    process = subprocess.Popen(
        [sys.executable, SCRIPTS / "run_tests.py", *stages],
        env={**os.environ, "PG_CONFIG": pg_config},
        stdout=subprocess.PIPE,
        text=True,
    )
    last = ""
    for last in process.stdout:
        print(last, end="", flush=True)
    counts = COUNTS.match(last.strip())
    logs = target_dir() / f"test-logs-{major}"
    shutil.rmtree(logs, ignore_errors=True)
    shutil.move(target_dir() / "test-logs", logs)
    if counts is None or (process.wait() != 0 and counts[2] == "0"):
        return 0, 1, 0
    return tuple(int(number or 0) for number in counts.groups())


def typecheck(major: int) -> tuple[int, int, int]:
    print(f"\nPostgreSQL {major} is not at hand: type-checking", flush=True)
    done = subprocess.run([SCRIPTS / "typecheck.sh", str(major)])
    return (1, 0, 0) if done.returncode == 0 else (0, 1, 0)


def main() -> int:
    default, at_hand = pgservers.default(), pgservers.at_hand()
    results = {}
    # In ascending order: a later version tries an upgrade from an earlier one.
    for major in pgservers.supported():
        if major not in at_hand:
            results[major] = typecheck(major)
        elif at_hand[major] == default:
            results[major] = run_tests(major, default, ())
        else:
            results[major] = run_tests(major, at_hand[major], STAGES)

    print("\nSummary")
    for major, (passed, failed, skipped) in results.items():
        print(f"  PostgreSQL {major}  {passed} passed, {failed} failed, {skipped} skipped")
    passed, failed, skipped = map(sum, zip(*results.values(), strict=True))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
