"""What a search found, as a picture: accuracy against the price of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.table import Table

from cryptml.reports.table import plain_table
from cryptml.search import Found

FRONTIER, OTHERS = "#c0392b", "#8a9aa9"


def draw_search(found: Sequence[Found], title: str, file: Path) -> None:
    """Write a PNG of 1350 x 750 pixels: every design a point, the frontier a line with the numbers of its designs.

    Args:
        found: One or more, cheapest first.
        title: Above the picture.
        file: To write.
    """
    figure = Figure(figsize=(9, 5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    others = [each for each in found if not each.frontier]
    frontier = [each for each in found if each.frontier]
    axes.scatter(
        [each.evaluate_ms for each in others], [each.auc for each in others], s=24, color=OTHERS, label="others"
    )
    times, aucs = [each.evaluate_ms for each in frontier], [each.auc for each in frontier]
    axes.step(times, aucs, where="post", color=FRONTIER, linewidth=1)
    axes.scatter(times, aucs, s=36, color=FRONTIER, label="frontier", zorder=3)
    for each in frontier:
        axes.annotate(
            str(each.number), (each.evaluate_ms, each.auc), xytext=(5, 5), textcoords="offset points", fontsize=8
        )
    axes.set_xlabel("one evaluation, all layers on the server, expected ms")
    axes.set_ylabel("AUC, cross-validated")
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(visible=True, alpha=0.25)
    axes.margins(x=0.08, y=0.12)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, loc="lower right", fontsize=8)
    figure.savefig(file)


def frontier_table(title: str, frontier: Sequence[Found]) -> Table:
    """Return the designs that no other beats."""
    columns = [("design", "right"), ("AUC", "right"), ("evaluation", "right"), ("PBS", "right"), ("layers", "left")]
    cells = [
        (
            str(each.number),
            f"{each.auc:.3f}",
            f"{each.evaluate_ms:.0f} ms",
            str(each.design.bootstraps),
            each.design.summary,
        )
        for each in frontier
    ]
    return plain_table(title, columns, cells)
