"""``cryptml train``: a quantised network from a data set, with its model card."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptml.cli.console import ConsoleListener, out, print_json, remark, say
from cryptml.cli.options.data import DataOptions
from cryptml.cli.options.groups import with_option_groups
from cryptml.cli.options.training import TrainingOptions
from cryptml.errors import counted

if TYPE_CHECKING:
    from cryptml.search.fitting import Draft
    from cryptml.training import Evaluation


@with_option_groups
def train(
    dataset: Annotated[str, typer.Option(help="Such as mias:PATH; see cryptml datasets.")],
    out_folder: Annotated[Path, typer.Option("--out", help="New folder for the network.")],
    data: DataOptions,
    options: TrainingOptions,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing network.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a training that was interrupted.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train on a data set's training subset, choose the epoch by its validation subset, evaluate on its test subset.

    What is not given is as the network was tuned with; its model card shows all of it. Some networks keep the last epoch instead.

    Interrupted, it leaves a folder OUT.unfinished, with which the same command with --resume comes to the same network.
    """
    from cryptml.datasets.registry import require_dataset

    require_dataset(dataset)  # before the imports below, which take seconds
    from cryptml.search.fitting import train as train_network
    from cryptml.training.request import TrainingRequest

    given = asdict(options)
    augment, lowered_bits, profiles = given.pop("augment"), given.pop("lower_bits"), given.pop("profile")
    request = TrainingRequest(
        dataset,
        augmentation=None if augment is None else augment.value,
        lowered_bits=lowered_bits,
        profiles=tuple(profiles or ()),
        patients_from_name=data.patients_from_name,
        **given,
    )
    result = train_network(
        request,
        out_folder,
        force=force,
        resume=resume,
        listener=ConsoleListener(),
        heard=None if json else _print_draft,
    )
    if json:
        print_json(result.document)
        return
    for subset, figure in result.figures.items():
        _print(subset, figure, f", {counted(figure.images, 'picture')}")
    if result.cross_validation:
        folds = f"{options.folds}-fold"
        _print(f"{folds}, quantised", result.cross_validation.quantised)
        _print(f"{folds}, float teacher", result.cross_validation.teacher)
    say(f"network and model card written to {out_folder}")
    remark(f"next: split-profiler run {out_folder} --out profile.json measures its splits")


def _print_draft(draft: Draft) -> None:
    from cryptml.reports.draft import draft_table

    out.print(draft_table(draft))


def _print(name: str, figure: Evaluation, more: str = "") -> None:
    measures = figure.image_level
    of = f" of {figure.positive}" if figure.positive else ""
    say(f"{name}: AUC{of} {measures.auc:.3f} (95 %: {measures.interval}){more}")
