"""What `make bench` and `make bench-life` share: a server for the run, and what becomes of its figures."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import machine
import paths
import progress
from figures import Section
from pgcluster import Cluster
from stages.common import warm_up


@contextmanager
def private(cluster: Cluster) -> Iterator[Cluster]:
    """A cluster for one run, warmed up; removed afterwards, as is one that an interrupted run left."""
    cluster.destroy()
    try:
        cluster.start()
        line = progress.Line(f"warming up PostgreSQL {cluster.tree.version}")
        warm_up(cluster)
        line.done()
        yield cluster
    finally:
        cluster.destroy()


def shown(section: Section) -> Section:
    print(f"\n{section.markdown()}", flush=True)
    return section


def keep(name: str, title: str, about: str, sections: list[Section]) -> str:
    """Writes tables and JSON, prints which targets are missed; returns a sentence about the run."""
    figures = [figure for section in sections for figure in section.figures if figure.met is not None]
    missed = [
        f"{section.title}: {figure.name}"
        for section in sections
        for figure in section.figures
        if figure.met is False
    ]
    verdict = f"{len(figures) - len(missed)} of {len(figures)} targets met"
    head = f"{about}; {machine.describe()}; {date.today().isoformat()}. {verdict}."
    path: Path = paths.cache_dir("bench") / f"{name}.md"
    path.write_text("\n".join([f"# {title}\n\n{head}\n", *map(Section.markdown, sections)]))
    data = {
        "about": about,
        "machine": machine.describe(),
        "sections": [section.data() for section in sections],
    }
    path.with_suffix(".json").write_text(json.dumps(data, indent=2) + "\n")
    print(head, *(f"  missed: {name}" for name in missed), f"kept in {path} and .json", sep="\n")
    return head
