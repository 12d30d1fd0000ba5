"""What `make bench-recall` counts and concludes: recall with ties, speeds between points, targets."""

import sys
from pathlib import Path

import numpy
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

import recall_report as report  # noqa: E402
from curves import HNSW, KDTREE, Curve, Point, Run  # noqa: E402
from datasets.dataset import Dataset, Metric  # noqa: E402


def point(recall: float, speed: float, value: float | None = None) -> Point:
    return Point(value=value, recall=recall, worst=0.0, mean=1000 / speed, median=1.0)


def dataset(vectors: list[list[float]], query: list[float], truth: list[int], metric: Metric) -> Dataset:
    return Dataset(
        numpy.array(vectors, numpy.float32),
        numpy.array([query], numpy.float32),
        numpy.array([truth]),
        name="test",
        title="test",
        metric=metric,
    )


def test_rows_as_near_as_the_last_of_the_truth_count() -> None:
    data = dataset([[1, 0], [0, 2], [2, 0], [0, -2], [3, 0]], [0, 0], [0, 1], Metric.L2)
    assert data.recall(0, [0, 1]) == 1.0
    assert data.recall(0, [0, 3]) == 1.0  # at the same distance as row 1
    assert data.recall(0, [0, 4]) == 0.5
    assert data.recall(0, [4, 2]) == 0.5


def test_a_short_answer_lacks_what_it_lacks() -> None:
    data = dataset([[1, 0], [0, 2], [9, 9]], [0, 0], [0, 1], Metric.L2)
    assert data.recall(0, [0]) == 0.5
    assert data.recall(0, []) == 0.0


def test_cosine_ignores_length() -> None:
    data = dataset([[10, 0.1], [0, 1], [1, 0.2]], [1, 0], [0, 2], Metric.COSINE)
    assert data.recall(0, [2, 0]) == 1.0
    assert data.recall(0, [2, 1]) == 0.5


@pytest.mark.parametrize("metric", Metric)
def test_queries_are_held_out_and_truth_is_that_of_a_plain_comparison(
    metric: Metric, rng: numpy.random.Generator
) -> None:
    vectors = rng.normal(size=(500, 8)).astype(numpy.float32)
    data = Dataset.of("test", "test", metric, vectors, rows=400, queries=20, k=5)
    assert data.vectors.shape == (400, 8) and data.queries.shape == (20, 8)
    kept = {row.tobytes() for row in data.vectors}
    assert not any(query.tobytes() in kept for query in data.queries)
    for number, query in enumerate(data.queries):
        order = numpy.argsort(metric.distances(query, data.vectors))
        assert data.recall(number, order[:5].tolist()) == 1.0
        assert data.recall(number, order[5:10].tolist()) == 0.0


def test_speed_between_points_is_their_geometric_mean_half_way() -> None:
    curve = Curve("test", [point(0.8, 400), point(0.9, 100)])
    assert curve.speed_at(0.85) == pytest.approx(200)
    assert curve.speed_at(0.9) == pytest.approx(100)


def test_speed_outside_the_points_is_that_of_the_nearest() -> None:
    curve = Curve("test", [point(0.8, 400), point(0.9, 100)])
    assert curve.speed_at(0.5) == pytest.approx(400)
    assert curve.speed_at(0.99) == pytest.approx(100)


def test_a_point_that_another_one_beats_does_not_slow_the_curve() -> None:
    efficient = [point(0.8, 400), point(0.9, 100), point(0.95, 10)]
    curve, without = Curve("test", [point(0.85, 50), *efficient, point(0.9, 70)]), Curve("test", efficient)
    for recall in numpy.linspace(0.75, 1, 26):
        assert curve.speed_at(recall) == pytest.approx(without.speed_at(recall))


def run(
    kdtree: list[Point],
    hnsw: list[Point],
    seconds: tuple[float, float],
    sizes: tuple[int, int],
    rows: int = report.TARGET_ROWS,
) -> Run:
    data = dataset([[1, 0]] * rows, [0, 0], [0], Metric.L2)
    curves = [
        Curve(KDTREE, kdtree, "kdtree.recall", seconds[0], sizes[0]),
        Curve(HNSW, hnsw, "hnsw.ef_search", seconds[1], sizes[1]),
    ]
    return Run(data, ["test 1"], 1000, curves)


# Recall 0.95 at 400 queries a second, 0.99 at 100.
HNSW_POINTS = [point(0.9, 800, 10), point(0.95, 400, 40), point(0.99, 100, 200)]


def test_targets_that_are_met() -> None:
    kdtree = [point(0.91, 5000, 0.9), point(0.95, 2001, 0.95), point(0.99, 501, 0.99), point(1, 401, 1)]
    found = run(kdtree, HNSW_POINTS, (1.0, 30.0), (250, 1000))
    assert [figure.met for figure in report.targets(found).figures] == [True, True, True, None, True, True]
    assert [row["met"] for row in report.calibration(found)] == [True] * 4
    assert report.missed(found) == []


def test_targets_that_are_missed() -> None:
    kdtree = [point(0.93, 5000, 0.9), point(0.95, 1999, 0.95), point(0.99, 499, 0.99), point(0.999, 399, 1)]
    found = run(kdtree, HNSW_POINTS, (1.0, 29.0), (251, 1000))
    assert [figure.met for figure in report.targets(found).figures] == [
        False,
        False,
        False,
        None,
        False,
        False,
    ]
    assert [row["met"] for row in report.calibration(found)] == [False, True, True, False]
    assert len(report.missed(found)) == 7


def test_speeds_are_compared_at_the_recall_that_was_reached() -> None:
    kdtree = [point(0.97, 1001, 0.95), point(1, 400, 1)]
    found = run(kdtree, HNSW_POINTS, (1.0, 30.0), (250, 1000))
    figure = next(figure for figure in report.targets(found).figures if "0.95`" in figure.name)
    assert figure.reference == pytest.approx(200)
    assert figure.met is True


def test_a_recall_that_hnsw_does_not_reach_is_noted() -> None:
    kdtree = [point(0.995, 1000, 0.99), point(1, 400, 1)]
    found = run(kdtree, HNSW_POINTS, (1.0, 30.0), (250, 1000))
    assert any("HNSW reached recall 0.990 at most" in note for note in report.targets(found).notes)


def test_a_small_table_has_no_targets_of_speed() -> None:
    kdtree = [point(0.95, 1000, 0.95), point(0.99, 400, 1)]
    found = run(kdtree, HNSW_POINTS, (1.0, 2.0), (250, 300), rows=1000)
    assert all(figure.met is None for figure in report.targets(found).figures)
    assert report.missed(found) == ["test: recall 1: 0.990"]
