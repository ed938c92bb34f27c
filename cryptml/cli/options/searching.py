"""What ``cryptml search`` takes: the options of a `cryptml.search.request.SearchRequest`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cryptml.cli.options.data import Augmentation


class SearchedFrontEnd(StrEnum):
    """What the client does to a region before the first layer."""

    PICTURES = "pictures"
    SCATTERING = "scattering"
    DEEP = "deep"


@dataclass(frozen=True)
class SearchOptions:
    """Options whose names are those of the request's attributes, but for ``augment``."""

    front_end: Annotated[SearchedFrontEnd, typer.Option(help="What the first layer reads.")] = SearchedFrontEnd.PICTURES
    side: Annotated[int, typer.Option(min=8, max=512, help="Rows and columns of a region.")] = 32
    begin_with: Annotated[
        list[Path] | None, typer.Option(help="Design to look at first, a .json file; may be given again.")
    ] = None
    designs: Annotated[int, typer.Option(min=1, max=10_000, help="Designs to train in all, earlier runs included.")] = (
        30
    )
    folds: Annotated[
        int, typer.Option(min=2, help="Of the cross-validation, per patient where patients are known.")
    ] = 5
    epochs: Annotated[int | None, typer.Option(min=1, help="Most passes over the training set.")] = None
    augment: Annotated[
        Augmentation | None, typer.Option(help="What variants may differ in; the data set's own choice if not given.")
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0
