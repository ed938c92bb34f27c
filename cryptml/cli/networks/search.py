"""``cryptml search``: networks that are as accurate as a time budget allows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryptml.cli.console import bar, out, print_json, say
from cryptml.cli.options.data import Augmentation, DataOptions
from cryptml.cli.options.shared import with_shared_options

if TYPE_CHECKING:
    from cryptml.search import Search

FRONTIER_FILE = "frontier.json"
PLOT_FILE = "frontier.png"
DESIGNS = "designs"


class SearchedFrontEnd(str, Enum):
    """What the client does to a region before the first layer."""

    PICTURES = "pictures"
    SCATTERING = "scattering"
    DEEP = "deep"


TUNED = {
    SearchedFrontEnd.PICTURES: "reference",
    SearchedFrontEnd.SCATTERING: "scatter",
    SearchedFrontEnd.DEEP: "deep",
}
"""Whose front end each takes."""


@with_shared_options
def search(
    dataset: Annotated[str, typer.Option(help="Such as mias:PATH; see cryptml datasets.")],
    max_evaluate_ms: Annotated[
        float, typer.Option(min=1, help="Budget of one evaluation, all layers on the server, on this machine.")
    ],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of the search; one that holds it goes on.")],
    profiles: Annotated[
        list[Path],
        typer.Option("--profile", help="Profile measured on this machine, for the price; may be given again."),
    ],
    options: DataOptions,
    front_end: Annotated[
        SearchedFrontEnd, typer.Option(help="What the first layer reads.")
    ] = SearchedFrontEnd.PICTURES,
    side: Annotated[int, typer.Option(min=8, max=512, help="Rows and columns of a region.")] = 32,
    begin_with: Annotated[
        list[Path] | None, typer.Option(help="Design to look at first, a .json file; may be given again.")
    ] = None,
    designs: Annotated[
        int, typer.Option(min=1, max=10_000, help="Designs to train in all, earlier runs included.")
    ] = 30,
    folds: Annotated[
        int, typer.Option(min=2, help="Of the cross-validation, by patient where patients are known.")
    ] = 5,
    epochs: Annotated[int | None, typer.Option(min=1, help="Most passes over the training set.")] = None,
    augment: Annotated[
        Augmentation | None, typer.Option(help="What variants may differ in; the data set's own choice if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Search widths, windows, strides, bits, rounding and pruning for the most accurate networks within a time budget.

    Every design is priced before it is trained: compiled, and looked up in a model fitted on the profiles given. What fits is trained and
    cross-validated, by patient where patients are known. The best of each price are written as files that cryptml train
    takes for --network.
    """
    import torch

    warnings.filterwarnings("ignore", category=UserWarning, module="torch")
    from cryptml.files import to_json_bytes, write_bytes
    from cryptml.networks.architectures.design import Design
    from cryptml.networks.architectures.registry import load_architecture
    from cryptml.networks.front_ends import restore_front_end
    from cryptml.profiler.plan.report import load_report
    from cryptml.reports.search import draw_search
    from cryptml.reports.table import plain_table
    from cryptml.search import PriceModel, Search, SearchSettings
    from cryptml.training import Examples, recipe_behind, teacher_epochs

    torch.set_num_threads(1)
    price = PriceModel.fit([load_report(path) for path in profiles])
    tuned = load_architecture(TUNED[front_end])
    training = replace(recipe_behind(tuned.front_end), seed=seed)
    if epochs is not None:
        training = replace(training, epochs=epochs)
    if augment is not None:
        training = replace(training, augmentation=augment.value)
    public = restore_front_end({**tuned.front_end.to_json(), "side": side})
    data = options.load(dataset, side)
    with bar("pictures through the front end", training.views) as (progress, task):
        examples = Examples.of(
            data,
            public,
            views=training.views,
            seed=seed,
            augmentation=training.augmentation,
            tell=lambda ready: progress.update(task, completed=ready),
        )
    study = Search(out_folder, examples, price, SearchSettings(data.name, max_evaluate_ms, folds, training))
    study.begin_with([Design.load(file) for file in begin_with or ()])
    missing = designs - study.completed

    def write() -> dict[str, Any]:
        """Write everything that was found so far; designs that left the frontier go."""
        found = study.found()
        (out_folder / DESIGNS).mkdir(exist_ok=True)
        for each in found:
            (out_folder / DESIGNS / f"{each.number}.json").unlink(missing_ok=True)
        for each in found:
            if each.frontier:
                each.design.save(out_folder / DESIGNS / f"{each.number}.json")
        draw_search(found, f"{data.name}, {len(found)} designs, {folds}-fold", out_folder / PLOT_FILE)
        rows = [
            {"number": each.number, "auc": each.auc, "evaluate_ms": each.evaluate_ms, "lookups": each.design.lookups}
            for each in found
            if each.frontier
        ]
        document = {"designs": len(found), "price": asdict(price), "frontier": rows}
        write_bytes(out_folder / FRONTIER_FILE, to_json_bytes(document))
        return document

    if missing > 0:
        with bar("teachers", folds * teacher_epochs(training)) as (progress, task):
            study.prepare(lambda epoch, total, *_: progress.update(task, completed=epoch, total=total))
        _train(study, missing, folds * training.epochs, write)
    document = write()
    frontier = [each for each in study.found() if each.frontier]
    if json:
        print_json(document)
        return
    columns = [("design", "right"), ("AUC", "right"), ("evaluation", "right"), ("lookups", "right"), ("layers", "left")]
    cells = [
        (
            str(each.number),
            f"{each.auc:.3f}",
            f"{each.evaluate_ms:.0f} ms",
            str(each.design.lookups),
            each.design.summary,
        )
        for each in frontier
    ]
    title = f"{len(frontier)} of {document['designs']} designs on the frontier, at most {max_evaluate_ms:g} ms"
    out.print(plain_table(title, columns, cells))
    say(
        f"price: fitted on {price.points} segments, off by {price.median_error:.0%} in the median, {price.worst_error:.0%} at most"
    )
    again = f" --epochs {epochs}" if epochs is not None else ""
    again += f" --augment {augment.value}" if augment is not None else ""
    best = max(frontier, key=lambda each: each.auc).number
    say(f"train one: cryptml train --dataset ... --network {out_folder / DESIGNS / f'{best}.json'}{again} --out DIR")


def _train(study: Search, missing: int, epochs: int, write: Callable[[], object]) -> None:
    """Train so many more designs, of so many epochs each."""
    with bar("designs", missing * epochs) as (progress, task):
        for number in range(missing):

            def heard(epoch: int, _total: int, _loss: float, _auc: float | None, start: int = number * epochs) -> None:
                progress.update(task, completed=start + epoch)

            def told(what: str, number: int = number) -> None:
                progress.update(task, description=f"design {number + 1} of {missing}: {what}")

            progress.update(task, completed=number * epochs)
            study.step(heard, told)
            write()
