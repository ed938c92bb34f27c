"""``cryptml search``: networks that are as accurate as a time budget allows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptml.cli.console import ConsoleListener, out, print_json, say
from cryptml.cli.options.data import DataOptions
from cryptml.cli.options.groups import with_option_groups
from cryptml.cli.options.searching import SearchOptions

if TYPE_CHECKING:
    from cryptml.search.request import SearchRequest, SearchResult

PLOT_FILE = "frontier.png"


@with_option_groups
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
    data: DataOptions,
    options: SearchOptions,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Search widths, windows, strides, bits, rounding and pruning for the most accurate networks within a time budget.

    Every design is priced before it is trained: it is compiled, and a model fitted on the profiles given says its time. What fits is
    trained and cross-validated, per patient where patients are known. The best of each price are written as files that cryptml train
    takes for --network.
    """
    from cryptml.reports.search import draw_search
    from cryptml.search.request import SearchRequest
    from cryptml.search.request import search as search_designs

    request = SearchRequest(
        dataset,
        max_evaluate_ms,
        profiles,
        front_end=options.front_end.value,
        side=options.side,
        begin_with=options.begin_with or (),
        designs=options.designs,
        folds=options.folds,
        epochs=options.epochs,
        augmentation=None if options.augment is None else options.augment.value,
        seed=options.seed,
        patients_from_name=data.patients_from_name,
    )

    def draw(result: SearchResult) -> None:
        title = f"{result.data}, {len(result.found)} designs, {options.folds}-fold"
        draw_search(result.found, title, out_folder / PLOT_FILE)

    result = search_designs(request, out_folder, listener=ConsoleListener(), heard=draw)
    if json:
        print_json(result.document)
    else:
        _print(result, request, out_folder)


def _print(result: SearchResult, request: SearchRequest, out_folder: Path) -> None:
    from cryptml.reports.search import frontier_table
    from cryptml.search.request import DESIGNS

    title = (
        f"{len(result.frontier)} of {len(result.found)} designs on the frontier, at most {request.max_evaluate_ms:g} ms"
    )
    out.print(frontier_table(title, result.frontier))
    price = result.price
    say(
        f"price: fitted on {price.points} segments, off by {price.median_error:.0%} in the median, {price.worst_error:.0%} at most"
    )
    again = f" --epochs {request.epochs}" if request.epochs is not None else ""
    again += f" --augment {request.augmentation}" if request.augmentation is not None else ""
    best = max(result.frontier, key=lambda each: each.auc).number
    say(f"train one: cryptml train --dataset ... --network {out_folder / DESIGNS / f'{best}.json'}{again} --out DIR")
