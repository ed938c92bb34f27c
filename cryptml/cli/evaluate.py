"""``cryptml evaluate``: how good a trained network is, through its integer program."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from cryptml.cli.console import err, out, print_json
from cryptml.datasets import load_dataset
from cryptml.networks import load_network
from cryptml.reports.table import plain_table


class Subset(str, Enum):
    """Which patients."""

    train = "train"
    validation = "validation"
    test = "test"
    all = "all"


def evaluate(
    network: Annotated[str, typer.Argument(help="Folder of a trained network, or a shipped network's name.")],
    dataset: Annotated[str, typer.Option(help="Such as mias:PATH; see cryptml datasets.")],
    subset: Annotated[Subset, typer.Option(help="Which patients.")] = Subset.test,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Evaluate a network on a data set: AUC with a 95 % bootstrap interval, accuracy, confusion matrix."""
    from cryptml.training.evaluation import evaluate as measure

    trained = load_network(network)
    data = load_dataset(dataset, trained.front_end.side)
    if data.classes != trained.classes:
        compared = f"{', '.join(data.classes)} by a network of {', '.join(trained.classes)}"
        err.print(f"warning: judging {compared}; only their order is compared", markup=False, soft_wrap=True)
    result = measure(trained, data.subset(subset.value), seed=seed).to_json()
    if json:
        print_json(result)
        return
    rows = [
        (
            level,
            f"{found['auc']:.3f}",
            f"{found['auc_low']:.3f} to {found['auc_high']:.3f}",
            f"{found['accuracy']:.3f}",
            str(count),
        )
        for level, found, count in (
            ("image", result, result["images"]),
            ("patient", result["patient_level"], result["patients"]),
        )
        if found is not None  # all patients may be of one class
    ]
    columns = [
        ("level", "left"),
        ("AUC", "right"),
        ("95 % interval", "left"),
        ("accuracy", "right"),
        ("count", "right"),
    ]
    out.print(plain_table(f"{trained.name} on {data.name}, {subset.value}", columns, rows))
    names = list(trained.classes)
    confusion = [(name, *map(str, counts)) for name, counts in zip(names, result["confusion"], strict=True)]
    headings = [("true class", "left"), *((f"as {name}", "right") for name in names)]
    out.print(plain_table("Confusion, images", headings, confusion))
