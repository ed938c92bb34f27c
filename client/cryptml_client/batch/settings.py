"""How a run over many pictures is made, and what it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptml.errors import SettingError


@dataclass(frozen=True)
class RunSettings:
    """How a run is made, and what it leaves.

    Attributes:
        csv: Table of the answers, written whole at the end; None for none.
        journal: Answers so far, until the run is complete; beside the table if None, and none without a table.
        resume: Whether to go on with a journal.
        background: Whether the client asks for jobs: their names are kept, and they are fetched by a run that goes on.
        in_flight: Pictures that are asked about at once.
        choices: What else the answers depend on, by name, such as a region: a journal of other choices is refused.
    """

    csv: Path | None = None
    journal: Path | None = None
    resume: bool = False
    background: bool = False
    in_flight: int = 1
    choices: Mapping[str, str | None] | None = None

    @property
    def kept_in(self) -> Path | None:
        """The journal's file."""
        if self.journal is not None or self.csv is None:
            return self.journal
        return self.csv.with_name(f"{self.csv.name}.journal")

    def require_possible(self) -> None:
        """Refuse settings that do not go together, before anything is asked.

        Raises:
            SettingError: If there is nothing to go on with.
        """
        if not self.resume:
            return
        if self.kept_in is None:
            raise SettingError(
                "`resume` goes on with the answers that a run kept; name its table (`csv`) or its `journal`"
            )
        if self.csv is not None and self.csv.exists() and not self.kept_in.exists():
            raise SettingError(
                f"{self.csv} is complete: there is no unfinished run beside it; pass `force` instead of `resume` to ask anew"
            )
