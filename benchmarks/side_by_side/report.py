"""The table, the ratios and the picture of one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

Row = dict[str, Any]
"""What is known of a contender: ``name``, ``kind``, ``accuracy``, ``sizes``, ``milliseconds`` by stage, ``peak_bytes`` and counts."""

COLOURS = {"service": "#0b6e99", "concrete-ml": "#b3541e", "ckks": "#6b4fa0", "clear": "#555555"}
MARKS = {"service": "o", "concrete-ml": "s", "ckks": "D", "clear": "^"}
KINDS = {
    "service": "CRYPTML, over HTTP",
    "concrete-ml": "Concrete ML, its defaults",
    "ckks": "TenSEAL (CKKS)",
    "clear": "in the clear",
}


def median(row: Row, stage: str = "all") -> float:
    """Return the median of a stage in milliseconds."""
    return float(np.median(row["milliseconds"][stage]))


def markdown(rows: Sequence[Row], reference: str, heading: str) -> str:
    """Return the run as Markdown: the table, then what each takes in multiples of the reference's answer."""
    columns = (
        "contender",
        "AUC, 5-fold (95 %)",
        "answer, median (5 to 95 %)",
        "evaluate",
        "bootstraps",
        "bits",
        "keys",
        "up",
        "down",
        "client peak",
        "server peak",
        "answers",
        "label as in the clear",
    )
    answering = [row for row in rows if row["kind"] != "peak"]
    lines = [heading, "", _line(columns), _line(["---"] + ["---:"] * (len(columns) - 1))]
    lines += [_line(_cells(row)) for row in answering]
    lines += ["", _line(("runtime's peak with the key parameters of", "bootstraps a second", "served", "share"))]
    lines += [_line(["---"] + ["---:"] * 3)]
    for row in rows:
        if row["kind"] == "peak":
            best = 1000 * row["sizes"]["bootstraps"] / median(row, "evaluate")
            served = next((each for each in rows if each["kind"] == "service" and each["name"] == row["of"]), None)
            if served is None:
                continue
            rate = 1000 * served["sizes"]["bootstraps"] / median(served, "evaluate")
            lines.append(_line((row["of"], f"{best:.1f}", f"{rate:.1f}", f"{rate / best:.0%}")))
    base = next((row for row in answering if row["name"] == reference), None)
    if base is not None:
        lines += ["", _line((f"against {reference}", "time", "keys")), _line(("---", "---:", "---:"))]
        for row in answering:
            if row["kind"] not in ("service", "clear"):
                keys = row["sizes"]["keys"] / base["sizes"]["keys"]
                lines.append(_line((row["name"], f"{median(row) / median(base):.1f} times", f"{keys:.1f} times")))
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> list[str]:
    accuracy, sizes, times = row["accuracy"], row["sizes"], row["milliseconds"]["all"]
    low, high = np.percentile(times, [5, 95])
    auc = "-"
    if accuracy is not None:
        auc = f"{accuracy['auc']:.3f} ({accuracy['auc_low']:.3f} to {accuracy['auc_high']:.3f}), {accuracy['dataset']}"
    server = row["peak_bytes"]["server"]
    return [
        row["name"],
        auc,
        f"{_time(median(row))} ({_time(low)} to {_time(high)})",
        _time(median(row, "evaluate")),
        f"{sizes['bootstraps']:,}" if sizes["bootstraps"] else "-",
        str(sizes["bits"] or "-"),
        _size(sizes["keys"]),
        _size(sizes["upload"]),
        _size(sizes["download"]),
        _size(row["peak_bytes"]["own"] or 0),
        _size(server) if server else "the same",
        str(len(times)),
        f"{row['same_labels']} of {len(times)}",
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _time(milliseconds: float) -> str:
    if milliseconds < 10_000:
        return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"
    return f"{milliseconds / 1000:.1f} s"


def _size(count: float) -> str:
    if not count:
        return "-"
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def plot(rows: Sequence[Row], file: Path, dataset: str) -> None:
    """Draw accuracy against the time of an answer for networks cross-validated on one data set."""
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 5), dpi=150, layout="constrained")
    shown = [row for row in rows if row["accuracy"] is not None and row["accuracy"]["dataset"] == dataset]
    labelled: set[str] = set()
    for row in shown:
        seconds, accuracy, kind = median(row) / 1000, row["accuracy"], row["kind"]
        spread = [[accuracy["auc"] - accuracy["auc_low"]], [accuracy["auc_high"] - accuracy["auc"]]]
        axes.errorbar(
            seconds,
            accuracy["auc"],
            yerr=spread,
            fmt=MARKS[kind],
            color=COLOURS[kind],
            markersize=8,
            elinewidth=0.8,
            capsize=2,
            alpha=0.9,
            label=None if kind in labelled else KINDS[kind],
        )
        labelled.add(kind)
        axes.annotate(
            row["name"],
            (seconds, accuracy["auc"]),
            xytext=(7, 5),
            textcoords="offset points",
            fontsize=8,
            color="#222222",
        )
    axes.set_xscale("log")
    axes.set_xlabel("an answer, all stages, seconds (median)")
    axes.set_ylabel(f"AUC on {dataset}, 5-fold, 95 % interval")
    axes.grid(visible=True, which="major", alpha=0.25)
    axes.margins(x=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, loc="lower left", fontsize=8)
    figure.savefig(file)
    pyplot.close(figure)
