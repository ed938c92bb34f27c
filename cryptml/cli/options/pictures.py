"""Which pictures a command is about: files, studies, frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from cryptml.images import FrameChoice
from cryptml.images.study import ViewChoice


@dataclass(frozen=True)
class PictureOptions:
    """Which of the pictures are meant, where there are several.

    Attributes:
        frame: See `cryptml.images.FrameChoice`.
        view: Of the pictures of a study.
        laterality: Of the pictures of a study.
    """

    frame: Annotated[
        str | None,
        typer.Option(
            metavar="N|all|max|max:A-B",
            help="Of a file with several: one frame, each of them, or the brightest values of all or some.",
        ),
    ] = None
    view: Annotated[str | None, typer.Option(help="Of a study: CC, MLO and so on.")] = None
    laterality: Annotated[str | None, typer.Option(help="Of a study: L or R.")] = None

    @property
    def frames(self) -> FrameChoice | None:
        """The frames.

        Raises:
            ImageError: If they are malformed.
        """
        return None if self.frame is None else FrameChoice.parse(self.frame)

    @property
    def views(self) -> ViewChoice:
        """The pictures of a study."""
        return ViewChoice(self.view, self.laterality)
