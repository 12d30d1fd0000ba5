"""`make bench-recall`: queries per second over recall, on real data: kdtree, HNSW, IVFFlat, Faiss.

    target/venv/bin/python bench/recall.py [--quick] [--rows N] [--queries N] [--rounds N] [--only SET ...]
                                           [--publish]

One run on one machine, both servers in turns. Tables are printed as they are ready; they are kept in
target/bench, with the same as JSON and the curves as SVG.
"""

import argparse
import json
import sys
from datetime import date
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import contenders  # noqa: E402
import datasets  # noqa: E402
import machine  # noqa: E402
import marks  # noqa: E402
import paths  # noqa: E402
import plot  # noqa: E402
import recall_report as report  # noqa: E402
from curves import KDTREE, PEER_SCAN, K, Run  # noqa: E402

ROWS, QUERIES, ROUNDS = 500_000, 300, 3
QUICK_ROWS, QUICK_QUERIES, QUICK_ROUNDS = 50_000, 100, 2
README = paths.REPO / "README.md"
DOCS = paths.REPO / "docs"


def run(name: str, rows: int, queries: int, rounds: int) -> Run:
    data = datasets.load(name, rows, queries, K)
    print(
        f"{data.title}: {data.rows:,} vectors of {data.dims} dimensions, {len(data.queries)} queries",
        flush=True,
    )
    return contenders.measure(data, rounds)


def picture(run: Run, directory: Path) -> Path:
    path = directory / f"recall-{run.data.name}.svg"
    title = f"{run.data.title}: {run.data.rows:,} x {run.data.dims}, {run.data.metric.name.lower()}"
    plot.draw(path, title, [curve for curve in run.curves if curve.name != PEER_SCAN], first=KDTREE)
    return path


def keep(runs: list[Run], head: str) -> Path:
    """Tables, data and pictures, below target/."""
    directory = paths.cache_dir("bench")
    path = directory / "recall.md"
    path.write_text("\n".join([f"# Queries per second over recall\n\n{head}\n", *map(report.markdown, runs)]))
    found = {"machine": machine.describe(), "date": date.today().isoformat()}
    found["data_sets"] = [report.data(run) for run in runs]
    path.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")
    for run in runs:
        picture(run, directory)
    return path


def publish(runs: list[Run], head: str) -> None:
    """The pictures into docs/, the main rows into the manual, between the marks that are there for them."""
    for run in runs:
        picture(run, DOCS)
    marks.replace(README, "recall", report.summary(runs, head))


def main() -> int:
    parser = argparse.ArgumentParser(description="measures queries per second over recall, on real data")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROWS:,} rows, {QUICK_ROUNDS} rounds")
    parser.add_argument("--rows", type=int, help=f"at most, of each data set (default: {ROWS:,})")
    parser.add_argument("--queries", type=int, help=f"default: {QUERIES}")
    parser.add_argument("--rounds", type=int, help=f"how often each query is asked (default: {ROUNDS})")
    parser.add_argument(
        "--only", nargs="+", choices=datasets.SETS, default=list(datasets.SETS), metavar="SET"
    )
    parser.add_argument(
        "--publish", action="store_true", help="renew the pictures in docs/ and README's table"
    )
    arguments = parser.parse_args()
    rows = arguments.rows or (QUICK_ROWS if arguments.quick else ROWS)
    queries = arguments.queries or (QUICK_QUERIES if arguments.quick else QUERIES)
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    if rows < 10_000 or queries < contenders.WARM_UP or rounds < 1:
        parser.error(f"at least 10,000 rows, {contenders.WARM_UP} queries and 1 round are needed")
    if arguments.publish and (rows < ROWS or set(arguments.only) != set(datasets.SETS)):
        parser.error("--publish is for all data sets, with no fewer rows than the default")

    runs = []
    for name in arguments.only:
        runs.append(run(name, rows, queries, rounds))
        print(f"\n{report.markdown(runs[-1])}", flush=True)
    head = f"{machine.describe()}; {date.today().isoformat()}; each query asked {rounds} times."
    path = keep(runs, head)
    if arguments.publish:
        publish(runs, head)
    missed = [name for run in runs for name in report.missed(run)]
    print(head, *(f"  missed: {name}" for name in missed), f"kept in {path}, .json and .svg", sep="\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, OSError, psycopg.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
