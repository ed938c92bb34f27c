"""Measure all ways to answer side by side: in turn, one answer each, until each has enough answers or has used its time.

make bench ARGS="--dataset breastmnist:PATH"
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.side_by_side import accuracy, report, stock
from cryptml.cli.console import bar, err, out
from cryptml.datasets import load_dataset
from cryptml.errors import CryptmlError, MeasurementError, SettingError
from cryptml.networks import load_network
from cryptml.processes.child import Child
from cryptml.profiler.measure.machine import describe_machine

PLANS = {
    "scatter": ("SSS",),
    "deep": ("SSS",),
    "conv": ("SSSSS", "CCSCC"),
    "reference": ("SSSSS", "CCSSS"),
}
"""Splits of shipped networks: all layers on the server; then the fastest that keeps most of `conv`'s weights there, which is linear and so
recovered with a known number of queries, and the default of `reference`."""

REFERENCE = "scatter SSS"
CALIBRATION = 200
FEWEST = 2
"""Answers of each, however slow it is."""

PREPARE_SECONDS = 3600.0
ANSWER_SECONDS = 3600.0


def main() -> int:
    """Run the benchmark and return 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="such as breastmnist:PATH; see cryptml datasets")
    parser.add_argument("--out", type=Path, default=Path("bench"), help="folder for results and trained networks")
    parser.add_argument("--count", type=int, default=20, help="answers of each contender")
    parser.add_argument(
        "--seconds", type=float, default=120.0, help="time after which a contender gets no further turn"
    )
    parser.add_argument("--only", default="", help="contenders whose name this regular expression finds")
    arguments = parser.parse_args()
    try:
        _run(arguments)
    except CryptmlError as error:
        err.print(f"error: {error}", markup=False, soft_wrap=True)
        return 1
    return 0


def _run(arguments: argparse.Namespace) -> None:
    work: Path = arguments.out.resolve()
    work.mkdir(parents=True, exist_ok=True)
    data = load_dataset(arguments.dataset, stock.SIDE)
    figures = accuracy.trained(data, work, lambda what: err.print(f"training: {what} ...", style="dim"))
    with tempfile.TemporaryDirectory() as name, ExitStack() as children:
        shelf = Path(name)
        np.save(shelf / "calibration.npy", data.subset("train").images[:CALIBRATION].astype(np.float32))
        rows = [row for row in _contenders(work, shelf, figures) if re.search(arguments.only, row["name"])]
        for row in rows:
            side = row.pop("side")
            regions = shelf / f"regions{side}.npy"
            if not regions.exists():
                held = load_dataset(arguments.dataset, side).subset("validation").images[: arguments.count]
                np.save(regions, held.astype(np.float32))
            row["regions"] = str(regions)
        if not rows:
            raise SettingError(f"no contender's name holds {arguments.only!r}; leave --only out to see all names")
        _prepare(rows, children)
        count = min(arguments.count, len(data.subset("validation")))
        _take_turns([row for row in rows if "child" in row], count, arguments.seconds)
    finished = [row for row in rows if row.pop("child", None) is not None and "failure" not in row]
    _write(finished, rows, work, data.name)


def _contenders(work: Path, shelf: Path, figures: dict[str, Any]) -> list[dict[str, Any]]:
    calibration = str(shelf / "calibration.npy")
    rows = []

    def add(name: str, kind: str, takes: int, found: Any, **options: Any) -> dict[str, Any]:
        rows.append({"name": name, "kind": kind, "side": takes, "accuracy": found, "options": options})
        return rows[-1]

    for network, splits in PLANS.items():
        side, found = load_network(network).front_end.side, accuracy.shipped(network)
        for split in splits:
            add(f"{network} {split}", "service", side, found, network=network, split=split)
            add(f"peak {network} {split}", "peak", side, None, network=network, split=split)["of"] = (
                f"{network} {split}"
            )
        add(f"{network} in the clear", "clear", side, found, network=network)
        if side == stock.SIDE:
            name = f"{network} through Concrete ML"
            add(name, "concrete-ml", side, None, network=network, calibration=calibration)
    add(
        "stock network through Concrete ML",
        "concrete-ml",
        stock.SIDE,
        figures["stock"],
        network=str(work / accuracy.STOCK_FOLDER),
        calibration=calibration,
        architecture=accuracy.STOCK,
    )
    weights = str(work / accuracy.CKKS_WEIGHTS)
    add("TenSEAL's network", "ckks", stock.SIDE, figures["ckks"], weights=weights, side=stock.SIDE, classes=2)
    return rows


def _prepare(rows: list[dict[str, Any]], children: ExitStack) -> None:
    """Compile everything, one contender after the other; what cannot be prepared says why and takes no part."""
    cores = describe_machine()["cores"]
    with bar("preparing", len(rows)) as (progress, task):
        for row in rows:
            progress.update(task, description=f"preparing {row['name']}")
            child = children.enter_context(Child("benchmarks.side_by_side.contender", threads=cores))
            request = {"do": "prepare", **{key: row[key] for key in ("kind", "options", "regions")}}
            try:
                row |= child.ask(request, time.monotonic() + PREPARE_SECONDS)
            except MeasurementError as error:
                row["failure"] = str(error)
                err.print(f"{row['name']}: {error}", markup=False, soft_wrap=True)
            else:
                row |= {"child": child, "milliseconds": {}, "same_labels": 0, "largest_difference": 0.0}
            progress.advance(task)


def _take_turns(rows: list[dict[str, Any]], count: int, seconds: float) -> None:
    used = dict.fromkeys((row["name"] for row in rows), 0.0)
    with bar("answers", count * len(rows)) as (progress, task):
        for index in range(count):
            for row in rows:
                progress.advance(task)
                if "failure" in row or (index >= FEWEST and used[row["name"]] > seconds):
                    continue
                progress.update(task, description=row["name"])
                started = time.monotonic()
                try:
                    reply = row["child"].ask({"do": "answer", "index": index}, started + ANSWER_SECONDS)
                except MeasurementError as error:
                    row["failure"] = str(error)
                    continue
                used[row["name"]] += time.monotonic() - started
                for stage, milliseconds in reply["stages"].items():
                    row["milliseconds"].setdefault(stage, []).append(milliseconds)
                row["same_labels"] += reply["same_label"]
                row["largest_difference"] = max(row["largest_difference"], reply["difference"])
    for row in rows:
        if "failure" not in row:
            try:
                row |= row["child"].ask({"do": "finish"}, time.monotonic() + ANSWER_SECONDS)
            except MeasurementError as error:
                row["failure"] = str(error)


def _write(finished: list[dict[str, Any]], rows: list[dict[str, Any]], work: Path, dataset: str) -> None:
    for row in rows:
        del row["regions"], row["options"]  # paths of this machine
    machine = describe_machine()
    date = datetime.now(UTC).date().isoformat()
    memory = f"{machine['memory_bytes'] / 1e9:.0f} GB"
    heading = ", ".join(
        (machine["cpu"], f"{machine['cores']} cores", memory, machine["os"], f"Python {machine['python']}", date)
    )
    text = report.markdown(finished, REFERENCE, heading)
    for row in rows:
        if "failure" in row:
            text += f"\n{row['name']} is left out: {row['failure']}\n"
    document = {"machine": machine, "date": date, "dataset": dataset, "contenders": rows}
    (work / "bench.json").write_text(json.dumps(document, indent=1) + "\n")
    (work / "bench.md").write_text(text)
    report.plot([row for row in finished if row["kind"] != "peak"], work / "bench.png", dataset)
    out.file.write(text)
    err.print(f"written: bench.json, bench.md and bench.png in {work.name}", style="dim")


if __name__ == "__main__":
    sys.exit(main())
