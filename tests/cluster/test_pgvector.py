"""The index on the type `vector` of a genuine pgvector, whose files stay as they are.

pgvector adds up distances in another order than our operators do, so its distances differ in the last bits,
and the bounds that the index gives must hold for those as well.
"""

import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest

import pgtree
import serverlog
import vectors
from conftest import FAST, LOG_DIR, create_database, remove_remains
from pgcluster import Cluster
from pgtree import Tree
from test_oracle import SIZES, Case

# What this pgvector has types and operators for.
OPCLASSES = ("vector_l2_ops", "vector_cosine_ops", "vector_ip_ops")


def directory(pg_config: Path, option: str) -> Path:
    output = subprocess.run([pg_config, option], check=True, capture_output=True, text=True).stdout
    return Path(output.strip())


def install_pgvector(tree: Tree) -> list[Path]:
    """Copies pgvector from the Python package that brings it along, and returns its files."""
    # Found without importing it, as that would look for a server to start.
    package = importlib.util.find_spec("pgserver")
    if package is None:
        pytest.skip("the Python package pgserver, which has a pgvector, is not installed")
    root = Path(package.origin).parent / "pginstall"
    version = subprocess.run([root / "bin" / "postgres", "--version"], capture_output=True, text=True).stdout
    if f" {tree.major}." not in version:
        pytest.skip(f"the only pgvector at hand is for {version.strip()}, the tests run on {tree.version}")
    extensions = directory(tree.pg_config, "--sharedir") / "extension"
    library = directory(tree.pg_config, "--pkglibdir") / "vector.so"
    shutil.copy(root / "lib" / "postgresql" / "vector.so", library)
    files = [library]
    for source in (root / "share" / "postgresql" / "extension").glob("vector*"):
        files.append(Path(shutil.copy(source, extensions)))
    return files


@pytest.fixture(scope="module")
def pgvector_cluster() -> Iterator[Cluster]:
    tree = pgtree.prepare(label="pgvector", install=False)
    files = install_pgvector(tree)
    before = [file.read_bytes() for file in files]
    output = pgtree.install_extensions(tree)
    assert "its files stay untouched" in output
    assert [file.read_bytes() for file in files] == before

    cluster = Cluster("pgvector", tree, settings=FAST, log_dir=LOG_DIR)
    remove_remains(cluster)
    with cluster:
        yield cluster
    cluster.destroy()
    assert not serverlog.faults(cluster)


@pytest.mark.parametrize("case", range(2 * len(SIZES)))
def test_index_agrees_with_table(case: int, pgvector_cluster: Cluster, rng: numpy.random.Generator) -> None:
    create_database(pgvector_cluster, "items")
    with (
        vectors.register(pgvector_cluster.connect("items")) as one,
        vectors.register(pgvector_cluster.connect("items")) as other,
    ):
        (library,) = one.execute("SELECT probin FROM pg_proc WHERE proname = 'vector_in'").fetchone()
        assert library == "$libdir/vector"
        served = "SELECT opcname FROM pg_opclass JOIN pg_am a ON a.oid = opcmethod WHERE amname = 'kdtree'"
        found = {opclass for (opclass,) in one.execute(served)}
        assert {opclass for opclass in found if "vec" in opclass} == set(OPCLASSES)
        Case(case, rng, [one, other], OPCLASSES).run()


def test_pgvector_index_beside_ours(pgvector_cluster: Cluster, rng: numpy.random.Generator) -> None:
    """Both extensions' operator classes have the same names; each belongs to its access method."""
    create_database(pgvector_cluster, "beside")
    with vectors.register(pgvector_cluster.connect("beside")) as connection:
        connection.execute("CREATE TABLE items (id int, embedding vector(3))")
        connection.execute(
            "INSERT INTO items SELECT i, ARRAY[i, i % 7, 1]::vector FROM generate_series(1, 1000) i"
        )
        connection.execute("CREATE INDEX ours ON items USING kdtree (embedding vector_cosine_ops)")
        connection.execute("CREATE INDEX theirs ON items USING hnsw (embedding vector_cosine_ops)")
        connection.execute("SET enable_seqscan = off")
        answers = set()
        for dropped in ("theirs", "ours"):
            with connection.transaction(force_rollback=True):
                connection.execute(f"DROP INDEX {dropped}")
                query = "SELECT id FROM items ORDER BY embedding <=> '[10, 3, 1]' LIMIT 1"
                plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {query}"))
                assert f"Index Scan using {'ours' if dropped == 'theirs' else 'theirs'}" in plan
                answers.add(connection.execute(query).fetchone())
        assert answers == {(10,)}
