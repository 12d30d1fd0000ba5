"""What a server wrote to its WAL, record by record."""

import re
from dataclasses import dataclass
from pathlib import Path

import psycopg

import serveruser
from pgtree import Tree


@dataclass(frozen=True)
class Record:
    lsn: str  # where it starts
    manager: str
    description: str

    def __str__(self) -> str:
        return f"{self.lsn} {self.manager} {self.description}"


def position(connection: psycopg.Connection) -> str:
    return connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()[0]


def records(tree: Tree, directory: Path, start: str, end: str) -> list[Record]:
    """The records that start between two positions, from a directory of WAL files."""
    pg_waldump = [tree.program("pg_waldump"), "--path", directory]
    text = serveruser.run([*pg_waldump, "--start", start, "--end", end])
    pattern = r"^rmgr: (\S+) .* lsn: (\S+), prev \S+, desc: (.*)$"
    return [Record(lsn, manager, desc[:100]) for manager, lsn, desc in re.findall(pattern, text, re.M)]
