"""ROC curves as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cryptml.training.evaluation.roc import RocLine

COLOURS = ("#c0392b", "#51616f", "#2471a3", "#7d6608", "#6c3483", "#148f77")
MOST_CURVES = 12


def draw_roc(lines: Sequence[RocLine], title: str) -> bytes:
    """Return a PNG of 900 x 900 pixels: a step for each curve, chance as a dotted line.

    Args:
        lines: One or more, of which the first `MOST_CURVES` are drawn.
        title: Above the picture.
    """
    figure = Figure(figsize=(6, 6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#b5bcc4", linewidth=1, linestyle=":", label="chance (0.500)")
    for number, line in enumerate(lines[:MOST_CURVES]):
        axes.plot(
            line.false_rate,
            line.true_rate,
            color=COLOURS[number % len(COLOURS)],
            linewidth=2 if number == 0 else 1.4,
            linestyle="-" if number < len(COLOURS) else "--",
            drawstyle="steps-post",
            label=f"{line.name} ({line.auc:.3f})",
            zorder=3 + len(lines) - number,
        )
    axes.set_xlabel("1 - specificity")
    axes.set_ylabel("sensitivity")
    axes.set_title(title, loc="left", fontsize=10, parse_math=False)
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_aspect("equal")
    axes.grid(visible=True, alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    legend = axes.legend(frameon=False, loc="lower right", fontsize=8, title="area under the curve", title_fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
