"""`make bench`: how fast is it, question by question, against the machine and every peer that is there.

    target/venv/bin/python bench/run.py [--scale X] [--rounds N] [--only STAGE ...] [--publish]

One run on one machine; what is compared is measured in turns. Tables are printed as they are ready; they are
kept in target/bench, with the same as JSON and as pictures.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import driver  # noqa: E402
import marks  # noqa: E402
import paths  # noqa: E402
import pgtree  # noqa: E402
import plot  # noqa: E402
from figures import Section  # noqa: E402
from pgcluster import Cluster  # noqa: E402
from stages import builds, clients, cold, connecting, exact, few_dims, real, scale  # noqa: E402
from stages.common import SETTINGS, Bench  # noqa: E402

STAGES: dict[str, Callable[[Bench], Section]] = {
    "exact": exact.measure,
    "real": real.measure,
    "few_dims": few_dims.measure,
    "builds": builds.measure,
    "connecting": connecting.measure,
    "clients": clients.measure,
    "cold": cold.measure,
    "scale": scale.measure,
}
ROWS = 1_000_000
ROUNDS, QUICK_ROUNDS = 3, 1
LEAST_SCALE = 0.01
PERFORMANCE = paths.REPO / "docs" / "performance.md"


def run(stages: list[str], rows: int, rounds: int) -> tuple[str, dict[str, Section]]:
    """What was measured, and the tables."""
    with driver.private(
        Cluster("bench", pgtree.prepare(), settings=SETTINGS | {"shared_buffers": "2GB"})
    ) as cluster:
        bench = Bench(cluster, rows, rounds)
        return bench.version(), {name: driver.shown(STAGES[name](bench)) for name in stages}


def picture(name: str, section: Section, directory: Path) -> Path:
    path = directory / f"speed-{name.replace('_', '-')}.svg"
    plot.draw_ratios(path, section)
    return path


def publish(sections: dict[str, Section], head: str) -> None:
    """Tables and pictures into docs/, each stage between marks of its own."""
    for name, section in sections.items():
        drawn = picture(name, section, PERFORMANCE.parent)
        table = section.markdown(heading=False)
        marks.replace(PERFORMANCE, name, f"{head}\n\n![{section.title}]({drawn.name})\n\n{table}")


def main() -> int:
    parser = argparse.ArgumentParser(description="measures speed against the machine and every peer")
    parser.add_argument("--scale", type=float, default=1.0, help=f"of {ROWS:,} rows (default: 1)")
    parser.add_argument(
        "--rounds",
        type=int,
        help=f"of what is measured often (default: {ROUNDS}, at a smaller scale {QUICK_ROUNDS})",
    )
    parser.add_argument("--only", nargs="+", choices=STAGES, default=list(STAGES), metavar="STAGE")
    parser.add_argument(
        "--publish", action="store_true", help="renew tables and pictures in docs/performance.md"
    )
    arguments = parser.parse_args()
    rounds = arguments.rounds
    if rounds is None:
        rounds = ROUNDS if arguments.scale == 1 else QUICK_ROUNDS
    if not LEAST_SCALE <= arguments.scale <= 1 or rounds < 1:
        parser.error(f"the scale is from {LEAST_SCALE} to 1, and at least 1 round is needed")
    if arguments.publish and arguments.scale < 1:
        parser.error("--publish is for the whole size")

    rows = round(ROWS * arguments.scale)
    version, sections = run(arguments.only, rows, rounds)
    about = f"{version}; {rows:,} rows"
    head = driver.keep(f"speed-{rows}", "Speed", about, list(sections.values()))
    for name, section in sections.items():
        picture(name, section, paths.cache_dir("bench"))
    if arguments.publish:
        publish(sections, head)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, OSError, psycopg.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
