"""What a user may say of a data set beside its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from cryptml.errors import DatasetError

Progress = Callable[[int, int], None]
"""Called with the number of pictures that are read, and of all."""


@dataclass(frozen=True)
class LoadOptions:
    """Options of `cryptml.datasets.load_dataset`.

    Attributes:
        patients_from_name: Regular expression that finds a picture's patient in the name of its file, without folders: its first group.
            For sets of the user's own whose index names no patients.
        progress: Hears of pictures that are read, where that takes long.

    Raises:
        DatasetError: If the expression is malformed or has no group.
    """

    patients_from_name: str | None = None
    progress: Progress | None = None

    def __post_init__(self) -> None:
        if self.patients_from_name is None:
            return
        try:
            groups = re.compile(self.patients_from_name).groups
        except (re.error, RecursionError, OverflowError) as error:
            raise DatasetError(
                f"{self.patients_from_name!r} is no regular expression ({error}); write one such as '^([0-9]+)_'"
            ) from error
        if groups < 1:
            raise DatasetError(
                f"the expression {self.patients_from_name!r} has no group to be the patient; put brackets around it, as in '^([0-9]+)_'"
            )


NO_OPTIONS = LoadOptions()
"""Nothing said."""
