"""What `make bench-recall` found, as Markdown and as data: the targets, and every point of every curve."""

from curves import EXACT, HNSW, KDTREE, RECALLS, Curve, K, Point, Run
from figures import Section, Target, Unit, at_least, at_most

# What the project set out to reach, against pgvector's HNSW with its default m and ef_construction. In
# smaller tables, most of a query's time is the way to the server and back, whatever index there is.
TARGET_ROWS = 300_000
EXACT_AGAINST = 0.95
TIMES_THE_SPEED = {0.99: 5, 0.95: 5, 0.9: None}
TIMES_THE_BUILD = 30
SHARE_OF_THE_SIZE = 1 / 4
DISTANCE_FROM_RECALL = 0.02

_EPSILON = 1e-9  # recalls are sums of tenths


def targets(run: Run) -> Section:
    """kdtree against HNSW."""
    kdtree, hnsw = run.curve(KDTREE), run.curve(HNSW)
    section = Section(f"{run.data.title}: kdtree against HNSW", (KDTREE, HNSW))

    def when_large(target: Target) -> Target | None:
        return target if run.data.rows >= TARGET_ROWS else None

    exact = _asked(kdtree, EXACT)
    section.add(
        f"time of an exact answer; HNSW: for recall {EXACT_AGAINST}",
        exact.mean,
        1000 / hnsw.speed_at(EXACT_AGAINST),
        Unit.MILLISECONDS,
        when_large(at_most(1)),
    )
    for asked, bound in TIMES_THE_SPEED.items():
        if (point := _asked(kdtree, asked)) is None:
            continue
        section.add(
            f"queries per second at recall {point.recall:.3f}, reached by `kdtree.recall = {asked}`",
            point.speed,
            hnsw.speed_at(point.recall),
            Unit.QUERIES_PER_SECOND,
            when_large(at_least(bound)) if bound else None,
        )
        if point.recall > hnsw.best_recall:
            section.notes.append(
                f"HNSW reached recall {hnsw.best_recall:.3f} at most, so its speed at {point.recall:.3f} is"
                " lower than shown."
            )
    section.add(
        "build; the ratio is how many times faster",
        kdtree.build_seconds,
        hnsw.build_seconds,
        Unit.SECONDS,
        when_large(at_least(TIMES_THE_BUILD)),
        hnsw.build_seconds / kdtree.build_seconds,
    )
    section.add(
        "size of the index",
        kdtree.index_bytes,
        hnsw.index_bytes,
        Unit.BYTES,
        when_large(at_most(SHARE_OF_THE_SIZE)),
    )
    return section


def calibration(run: Run) -> list[dict]:
    """How far the recall that was reached is from the one that was asked for."""
    found = []
    for asked in RECALLS:
        if point := _asked(run.curve(KDTREE), asked):
            distance = abs(point.recall - asked)
            found.append(
                {
                    "asked": asked,
                    "reached": point.recall,
                    "worst": point.worst,
                    "met": distance <= (0 if asked == EXACT else DISTANCE_FROM_RECALL) + _EPSILON,
                }
            )
    return found


def _asked(kdtree: Curve, recall: float) -> Point | None:
    """The point for which this recall was asked."""
    return next((point for point in kdtree.points if point.value == recall), None)


def markdown(run: Run) -> str:
    data = run.data
    lines = [
        targets(run).markdown(),
        f"| recall asked for | reached by kdtree | worst of {len(data.queries)} queries |"
        f" target: within {DISTANCE_FROM_RECALL}; 1 is exact |",
        "|--:|--:|--:|---|",
        *map(_calibration_row, calibration(run)),
        "",
        points(run),
    ]
    return "\n".join(lines)


def _calibration_row(row: dict) -> str:
    verdict = "met" if row["met"] else "missed"
    return f"| {row['asked']:g} | {row['reached']:.3f} | {row['worst']:.1f} | {verdict} |"


def points(run: Run) -> str:
    """All that was measured."""
    lines = [
        f"{run.data.rows:,} vectors of {run.data.dims} dimensions, {run.data.metric.name.lower()} distance,"
        f" k = {K}, {len(run.data.queries)} queries; the table takes {Unit.BYTES.show(run.table_bytes)}."
        f" {'; '.join(run.versions)}.",
        "",
        "| | setting | recall | worst query | queries/s | mean ms | median ms | build s | index |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for curve in run.curves:
        build = "" if curve.build_seconds is None else f"{curve.build_seconds:.1f}"
        size = _shown(curve.index_bytes, Unit.BYTES)
        for point in curve.points:
            cells = [curve.name, "" if point.value is None else f"`{curve.setting} = {point.value:g}`"]
            cells += [f"{point.recall:.3f}", f"{point.worst:.1f}", f"{point.speed:,.0f}"]
            cells += [f"{point.mean:.2f}", f"{point.median:.2f}", build, size]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def missed(run: Run) -> list[str]:
    """Targets that were not reached."""
    names = [figure.name for figure in targets(run).figures if figure.met is False]
    names += [f"recall {row['asked']:g}: {row['reached']:.3f}" for row in calibration(run) if not row["met"]]
    return [f"{run.data.title}: {name}" for name in names]


def data(run: Run) -> dict:
    return {
        "name": run.data.name,
        "rows": run.data.rows,
        "dims": run.data.dims,
        "metric": run.data.metric.name.lower(),
        "k": K,
        "queries": len(run.data.queries),
        "versions": run.versions,
        "table_bytes": run.table_bytes,
        "targets": targets(run).data(),
        "calibration": calibration(run),
        "curves": [curve.data() for curve in run.curves],
    }


def summary(runs: list[Run], head: str) -> str:
    """The manual's part: for each data set the picture, the targets, and the points that matter."""
    lines = [f"{head} `make bench-recall`; one client, prepared statements, k = {K}.", ""]
    for run in runs:
        data = run.data
        lines += [
            f"**{data.title}**, {data.rows:,} x {data.dims}, {data.metric.name.lower()} distance"
            f" ({', '.join(run.versions)}):",
            "",
            f"![Queries per second over recall: {data.title}](docs/recall-{data.name}.svg)",
            "",
            targets(run).markdown(heading=False),
            "| | recall | worst query | queries/s | build | index |",
            "|---|--:|--:|--:|--:|--:|",
        ]
        for curve in run.curves:
            for point in _representative(curve):
                setting = "" if point.value is None else f", `{curve.setting} = {point.value:g}`"
                cells = [
                    f"{curve.name}{setting}",
                    f"{point.recall:.3f}",
                    f"{point.worst:.1f}",
                    f"{point.speed:,.0f}",
                ]
                cells += [_shown(curve.build_seconds, Unit.SECONDS), _shown(curve.index_bytes, Unit.BYTES)]
                lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _shown(value: float | None, unit: Unit) -> str:
    """Nothing for what was not built."""
    return "" if value is None else unit.show(value)


def _representative(curve: Curve) -> list[Point]:
    """All of kdtree; of others the points nearest to these recalls."""
    if curve.name == KDTREE:
        return curve.points
    nearest = (min(curve.points, key=lambda point: abs(point.recall - recall)) for recall in RECALLS)
    return list(dict.fromkeys(nearest))
