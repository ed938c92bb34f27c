"""Which pictures a command is about: files, studies, frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cryptml.cli.console import bar
from cryptml.errors import ImageError
from cryptml.images import FrameChoice
from cryptml.images.study import StudyPicture, find_pictures, is_study

MOST_LISTED = 8
"""Files that a message names."""


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
    def choice(self) -> FrameChoice | None:
        """The frames.

        Raises:
            ImageError: If they are malformed.
        """
        return None if self.frame is None else FrameChoice.parse(self.frame)

    def one(self, path: Path) -> Path:
        """Return the one file that is meant by a path.

        Raises:
            ImageError: See `files`; and if several pictures are meant.
        """
        found = self.files(path)
        if len(found) > 1:
            raise ImageError(
                f"{path} holds {len(found)} such pictures, and one is needed; choose with --view and --laterality, or name a file: "
                f"{', '.join(each.name for each in found[:MOST_LISTED])}{', ...' if len(found) > MOST_LISTED else ''}"
            )
        return found[0]

    def files(self, path: Path) -> list[Path]:
        """Return the files that are meant by a path: itself, or those of a study.

        Raises:
            ImageError: If it is a study without such a picture, or a view or side was chosen for a single picture.
        """
        if not is_study(path):
            if self.view is not None or self.laterality is not None:
                raise ImageError(
                    f"{path} is one picture: --view and --laterality choose among those of a folder or DICOMDIR"
                )
            return [path]
        found = study(path)
        view, laterality = (None if each is None else each.upper() for each in (self.view, self.laterality))
        chosen = [each.file for each in found if each.shows(view, laterality)]
        if not chosen:
            there = sorted({text_of(each) for each in found})
            raise ImageError(f"{path} holds no such picture; there are {', '.join(there)}")
        return chosen


def study(path: Path) -> list[StudyPicture]:
    """Return the pictures of a study, with a progress bar.

    Raises:
        ImageError: See `cryptml.images.study.find_pictures`.
    """
    with bar("looking for pictures", 1) as (progress, task):

        def heard(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        return find_pictures(path, heard)


def text_of(found: StudyPicture) -> str:
    """Return the side and view of a picture for people."""
    shown = found.description
    if shown is None:
        return "unreadable"
    return " ".join(each for each in (shown.laterality, shown.view) if each) or "unnamed"
