"""The table of results, as Markdown."""

from datetime import date

import machine
from measure import Subject
from workload import Workload

FAISS = "Faiss IndexFlatL2, one thread"

# What the project set out to reach on this workload.
TARGET_ROWS, TARGET_DIMS = 1_000_000, 64
TARGET_LATENCY, TARGET_BUILD_SECONDS, TARGET_SIZE = 0.25, 10.0, 1 / 3


def render(workload: Workload, subjects: list[Subject], table_bytes: int, notes: list[str]) -> str:
    flat = {subject.k: subject.median for subject in subjects if subject.name == FAISS}
    lines = [
        f"# {workload.rows:,} vectors of {workload.dims} dimensions, {len(workload.queries)} queries",
        "",
        f"{machine.describe()}; {date.today().isoformat()}. Uniform random vectors, L2 distance; the queries"
        f" are not among the vectors. Table: {_megabytes(table_bytes)}.",
        "",
        "| | k | build s | index | median ms | p95 ms | in the server, ms | recall | time / Faiss |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        *(_row(subject, flat[subject.k]) for subject in subjects),
        "",
        "median, p95: as the client sees it; through SQL that is psycopg with a prepared statement and binary"
        " parameters. In the server: median of EXPLAIN ANALYZE's execution time. Recall: share of the true k"
        " nearest, which were computed in double precision.",
        *notes,
    ]
    if (workload.rows, workload.dims) == (TARGET_ROWS, TARGET_DIMS):
        lines += ["", *_targets(subjects, flat, table_bytes)]
    return "\n".join(lines) + "\n"


def _row(subject: Subject, flat: float) -> str:
    cells = [
        subject.name,
        str(subject.k),
        _or_dash(subject.build_seconds, "{:.1f}"),
        _megabytes(subject.index_bytes) if subject.index_bytes is not None else "-",
        f"{subject.median:.2f}",
        f"{subject.p95:.2f}",
        _or_dash(subject.server_median, "{:.2f}"),
        f"{subject.recall:.3f}",
        f"{subject.median / flat:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _targets(subjects: list[Subject], flat: dict[int, float], table_bytes: int) -> list[str]:
    lines = ["| target | measured | |", "|---|--:|---|"]

    def line(target: str, measured: str, met: bool) -> None:
        lines.append(f"| {target} | {measured} | {'met' if met else 'missed'} |")

    kdtree = [subject for subject in subjects if subject.name == "kdtree"]
    for subject in kdtree:
        ratio = subject.median / flat[subject.k]
        line(
            f"k = {subject.k}: at most {TARGET_LATENCY} of Faiss's time at recall 1",
            f"{ratio:.2f} at recall {subject.recall:.3f}",
            ratio <= TARGET_LATENCY and subject.recall == 1,
        )
    built = kdtree[0]
    line(
        f"build in less than {TARGET_BUILD_SECONDS:.0f} s",
        f"{built.build_seconds:.1f} s",
        built.build_seconds < TARGET_BUILD_SECONDS,
    )
    share = built.index_bytes / table_bytes
    line("index at most a third of the table", f"{share:.2f}", share <= TARGET_SIZE)
    return lines


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _megabytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MB"
