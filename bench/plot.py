"""Pictures: curves of queries per second over recall, and ratios as bars."""

from pathlib import Path

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot  # noqa: E402
from matplotlib.ticker import FuncFormatter  # noqa: E402

from curves import Curve  # noqa: E402
from figures import Section  # noqa: E402

# Text stays text; nothing in the file depends on the moment at which it is drawn.
matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "kdvector", "font.size": 11}

_LEAST_RECALL = 0.6
_MARKERS = "osD^vX"


def draw(path: Path, title: str, curves: list[Curve], first: str) -> None:
    """One line a curve; that named `first` stands out. A search without a setting is a mark."""
    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    for number, curve in enumerate(curves):
        shown = [point for point in curve.points if point.recall >= _LEAST_RECALL]
        stands_out = curve.name == first
        axes.plot(
            [point.recall for point in shown],
            [point.speed for point in shown],
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=7 if stands_out else 5,
            linewidth=2.5 if stands_out else 1.3,
            linestyle="-" if len(curve.points) > 1 else "",
            label=f"{curve.name}, by {curve.setting}" if curve.setting else curve.name,
            zorder=3 if stands_out else 2,
            clip_on=False,
        )
    axes.set_yscale("log")
    axes.set_xlim(_LEAST_RECALL, 1.0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("recall@10 (mean)")
    axes.set_ylabel("queries per second, one client")
    axes.set_title(title)
    axes.grid(True, which="both", linewidth=0.4, alpha=0.5)
    axes.legend(loc="lower left")
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)


def draw_ratios(path: Path, section: Section) -> None:
    """A bar for the ratio of each figure, logarithmic, and a mark where its target is."""
    figures = section.figures[::-1]
    figure, axes = pyplot.subplots(figsize=(8, 1 + 0.32 * len(figures)), layout="constrained")
    places = range(len(figures))
    colours = [{None: "tab:gray", True: "tab:green", False: "tab:red"}[one.met] for one in figures]
    axes.barh(places, [one.ratio for one in figures], color=colours, height=0.6)
    targets = [(place, one.target.bound) for place, one in enumerate(figures) if one.target is not None]
    axes.scatter(
        [bound for _, bound in targets], [place for place, _ in targets], marker="|", s=180, color="black"
    )
    axes.axvline(1, linewidth=0.8, color="black")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_yticks(places, [one.name for one in figures], fontsize=8)
    axes.set_xlabel(f"{section.columns[0]} / {section.columns[1]} (mark: the target)")
    axes.set_title(section.title)
    axes.grid(True, axis="x", which="both", linewidth=0.4, alpha=0.5)
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)
