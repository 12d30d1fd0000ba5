"""What a benchmark found: figures, each with its target, as Markdown tables and as JSON."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum


class Unit(StrEnum):
    ROWS_PER_SECOND = "rows/s"
    QUERIES_PER_SECOND = "queries/s"
    SECONDS = "s"
    MILLISECONDS = "ms"
    BYTES = "bytes"

    def show(self, value: float) -> str:
        match self:
            case Unit.BYTES:
                return f"{value / 2**20:,.1f} MB"
            case Unit.MILLISECONDS:
                return f"{value:,.2f} ms" if value < 100 else f"{value:,.0f} ms"
            case Unit.SECONDS:
                return f"{value:,.1f} s"
            case _:
                return f"{value:,.0f}/s"


@dataclass(frozen=True)
class Target:
    """A bound on a ratio."""

    bound: float
    at_least: bool

    def met_by(self, ratio: float) -> bool:
        return ratio >= self.bound if self.at_least else ratio <= self.bound

    def __str__(self) -> str:
        return f"{'at least' if self.at_least else 'at most'} {self.bound:g}"


def at_least(bound: float) -> Target:
    return Target(bound, True)


def at_most(bound: float) -> Target:
    return Target(bound, False)


@dataclass(frozen=True)
class Figure:
    """One quantity in two situations, as the columns of its section name them."""

    name: str
    measured: float
    reference: float
    unit: Unit
    ratio: float
    target: Target | None

    @property
    def met(self) -> bool | None:
        return None if self.target is None else self.target.met_by(self.ratio)

    def row(self) -> str:
        verdict = {None: "", True: "met", False: "missed"}[self.met]
        cells = [
            self.name,
            self.unit.show(self.measured),
            self.unit.show(self.reference),
            f"{self.ratio:.2f}" if self.ratio >= 0.1 else f"{self.ratio:.3f}",
            "" if self.target is None else str(self.target),
            verdict,
        ]
        return f"| {' | '.join(cells)} |"


@dataclass
class Section:
    """The figures of one stage; `columns` says what is compared with what."""

    title: str
    columns: tuple[str, str]
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        name: str,
        measured: float,
        reference: float,
        unit: Unit,
        target: Target | None = None,
        ratio: float | None = None,
    ) -> None:
        """Adds a figure; its ratio is that of the two, or the median of many pairs' ratios."""
        ratio = measured / reference if ratio is None else ratio
        self.figures.append(Figure(name, measured, reference, unit, ratio, target))

    def markdown(self, heading: bool = True) -> str:
        lines = [
            *([f"## {self.title}", ""] if heading else []),
            f"| | {self.columns[0]} | {self.columns[1]} | ratio | target | |",
            "|---|--:|--:|--:|---|---|",
            *(figure.row() for figure in self.figures),
        ]
        for note in self.notes:
            lines += ["", note]
        return "\n".join(lines) + "\n"

    def data(self) -> dict:
        return asdict(self) | {
            "figures": [asdict(figure) | {"met": figure.met} for figure in self.figures],
        }
