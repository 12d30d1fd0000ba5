"""Exact queries of real data against sequential scans, and pgvector's indexes, which are less than exact."""

import contenders
import datasets
from curves import FAISS, FAISS_HNSW, HNSW, IVFFLAT, KDTREE, PEER_SCAN, Curve, K, Run
from figures import Section, Unit, at_most

from .common import TARGET_ROWS, Bench

RECALL = 0.95
# At the full size.
ROWS = 500_000
_QUERIES = 200
_MOST_ROUNDS = 2


def measure(bench: Bench) -> Section:
    section = Section("Exact queries of real data", ("kdtree", "the other"))
    for name in datasets.SETS:
        data = datasets.load(name, ROWS * bench.rows // TARGET_ROWS, _QUERIES, K)
        _add(bench, section, contenders.measure(data, min(_MOST_ROUNDS, bench.rounds)))
    section.notes.append(
        f"Means over {_QUERIES} queries that are not in the tables, k = {K}; `make bench-recall` has curves."
        f" HNSW and IVFFlat where their recall is {RECALL}, between the two settings next to it. VectorChord"
        " and pgvectorscale come in no package that could be installed here, and are missing."
    )
    return section


def _add(bench: Bench, section: Section, run: Run) -> None:
    curves = {curve.name: curve for curve in run.curves}
    (exact,) = (point for point in curves[KDTREE].points if point.value == 1)
    if exact.recall < 1:
        raise RuntimeError(f"{run.data.title}: kdtree has not found the nearest")
    data = f"{run.data.title}, {run.data.rows:,} x {run.data.dims}"
    for name, target, milliseconds in (
        ("pgvector's sequential scan", at_most(1 / 50), curves[PEER_SCAN].points[0].mean),
        (FAISS, None, curves[FAISS].points[0].mean),
        *((f"{peer} at recall {RECALL}", at_most(1), _at(curves[peer])) for peer in (HNSW, IVFFLAT)),
        (f"{FAISS_HNSW}, at recall {RECALL}", None, _at(curves[FAISS_HNSW])),
    ):
        bound = target and bench.when_large(target)
        section.add(f"{data}; {name}", exact.mean, milliseconds, Unit.MILLISECONDS, bound)


def _at(curve: Curve) -> float:
    return 1000 / curve.speed_at(RECALL)
