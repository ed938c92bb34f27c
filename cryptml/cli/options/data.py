"""What every command that loads a data set takes for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated

import typer

from cryptml.cli.console import ConsoleListener
from cryptml.datasets import Dataset, load_data
from cryptml.datasets.base import AUGMENTATIONS

Augmentation = Enum("Augmentation", {kind: kind for kind in AUGMENTATIONS}, type=str)  # type: ignore[misc]
"""What training may do to pictures."""


@dataclass(frozen=True)
class DataOptions:
    """Options beside a data set's name.

    Attributes:
        patients_from_name: See `cryptml.datasets.LoadOptions`.
    """

    patients_from_name: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Of folder:PATH: finds a picture's patient in its file name, as the first group, such as '^([0-9]+)_'.",
        ),
    ] = None

    def load(self, spec: str, side: int) -> Dataset:
        """Load a data set, with a progress bar where pictures are read one by one.

        Raises:
            DatasetError: If it cannot be loaded, or the options do not fit it.
        """
        return load_data(spec, side, self.patients_from_name, ConsoleListener())
