"""The stages of `make bench`, on few rows: each compares what it says with what it says."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from figures import Section, Unit, at_least, at_most  # noqa: E402
from pgcluster import Cluster  # noqa: E402
from stages import cold, connecting, few_dims, scale  # noqa: E402
from stages.common import Bench  # noqa: E402

ROWS = 3_000


@pytest.fixture
def bench(make_cluster: Callable[..., Cluster]) -> Bench:
    cluster = make_cluster("bench")
    cluster.start()
    return Bench(cluster, ROWS, rounds=1)


def test_few_dims(bench: Bench) -> None:
    section = few_dims.measure(bench)
    names = [figure.name for figure in section.figures]
    if not names:
        assert any("cube is not installed" in note for note in section.notes)
        return
    # Against cube and SciPy everywhere, against point by two methods in a plane.
    assert len(names) == len(few_dims.KS) * (2 * len(few_dims.DIMS) + 2)
    assert sum("SP-GiST on point" in name for name in names) == len(few_dims.KS)


def test_the_first_query_of_a_connection(bench: Bench) -> None:
    section = connecting.measure(bench)
    assert all(figure.measured > figure.reference for figure in section.figures)
    assert all("primary key" in note for note in section.notes[:-1])


def test_scale(bench: Bench) -> None:
    section = scale.measure(bench)
    # Of uniform vectors, how fast memory is, too.
    assert len(section.figures) == 2 * (4 + 1) + 2 * 4
    memory = [figure for figure in section.figures if figure.unit is Unit.BYTES]
    assert memory and all(figure.measured > 0 for figure in memory)


def test_queries_from_the_disk(bench: Bench) -> None:
    section = cold.measure(bench)
    assert len(section.figures) == 2 * len(cold.CONCURRENCY)
    assert not Path(bench.cluster.home).with_name("bench-cold").exists()


def test_a_section_has_its_verdicts_with_and_without_heading() -> None:
    section = Section("Title", ("one", "other"))
    section.add("faster", 1.0, 4.0, Unit.MILLISECONDS, at_most(0.25))
    section.add("slower", 1.1, 4.0, Unit.MILLISECONDS, at_most(0.25))
    section.add("more", 2.0, 1.0, Unit.QUERIES_PER_SECOND, at_least(1.5))
    assert [figure.met for figure in section.figures] == [True, False, True]
    assert section.markdown().startswith("## Title\n")
    assert section.markdown(heading=False).startswith("| | one | other |")
