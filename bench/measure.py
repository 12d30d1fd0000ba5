"""Measures searches against each other: in turns, so that a noisy moment of the machine hits all of them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy

from workload import Workload

# Queries that one subject answers before it is the next one's turn.
_TURN = 20


@dataclass
class Subject:
    """Something that answers queries: its name, how to ask it, and what was measured."""

    name: str
    k: int
    search: Callable[[numpy.ndarray], list[int]]
    server_milliseconds: Callable[[numpy.ndarray], float] | None = None
    queries: int | None = None  # fewer than there are, for what is slow
    milliseconds: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)
    recalls: list[float] = field(default_factory=list)

    def ask(self, workload: Workload, numbers: range) -> None:
        """Asks one query right after the other: a server that waits for its client falls asleep."""
        answers = []
        for number in numbers:
            began = time.perf_counter()
            answers.append(self.search(workload.queries[number]))
            self.milliseconds.append((time.perf_counter() - began) * 1000)
        self.recalls += map(workload.recall, numbers, answers)
        if self.server_milliseconds is not None:
            self.server += [self.server_milliseconds(workload.queries[number]) for number in numbers]

    @property
    def median(self) -> float:
        return float(numpy.median(self.milliseconds))

    @property
    def p95(self) -> float:
        return float(numpy.percentile(self.milliseconds, 95))

    @property
    def server_median(self) -> float | None:
        return float(numpy.median(self.server)) if self.server else None

    @property
    def recall(self) -> float:
        return float(numpy.mean(self.recalls))


def in_turns(subjects: list[Subject], workload: Workload, warm_up: int) -> None:
    """Asks all subjects all queries. The warm-up is not measured: caches, plans, directories."""
    for subject in subjects:
        for query in workload.queries[: min(warm_up, subject.queries or warm_up)]:
            subject.search(query)
    for first in range(0, len(workload.queries), _TURN):
        for subject in subjects:
            last = min(first + _TURN, subject.queries or len(workload.queries), len(workload.queries))
            subject.ask(workload, range(first, last))
