"""The pictures of a study: a folder, or the list on a medium (DICOMDIR)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cryptml.errors import ImageError, NoPicture, counted
from cryptml.files import is_system
from cryptml.images.decoding.pool import DECODERS
from cryptml.images.description import Description
from cryptml.images.frames import FrameChoice
from cryptml.images.kinds import Kind, kind_of
from cryptml.images.reading import describe_file, load_image
from cryptml.listening import Listener, SilentListener

MOST_FILES = 20_000
"""Of one study, pictures or not."""

MOST_NAMED = 8
"""Files that a message names."""

MOST_THREADS = 16

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".pgm", ".pnm")
"""Of files that say that they hold a picture: where they hold none, that is said; others are passed over."""

_SIDES = ("R", "L", None)
_VIEWS = ("CC", "MLO", "ML", "LM")


@dataclass(frozen=True)
class StudyPicture:
    """One file of a study that holds pictures.

    Attributes:
        file: Where it lies.
        name: Below the study's folder.
        description: What it holds; None where it cannot be read.
        problem: Why it cannot be read; None where it can.
    """

    file: Path
    name: str
    description: Description | None
    problem: str | None

    def shows(self, view: str | None, laterality: str | None) -> bool:
        """Return whether it is of a view and a side; None for any. One that cannot be read may be of any, and is not left out silently."""
        if self.description is None:
            return True
        return view in (None, self.description.view) and laterality in (None, self.description.laterality)

    @property
    def label(self) -> str:
        """Side and view for people."""
        if self.description is None:
            return "unreadable"
        return " ".join(each for each in (self.description.laterality, self.description.view) if each) or "unnamed"


@dataclass(frozen=True)
class ViewChoice:
    """Which pictures of a study are meant; of a path that is one picture, that picture.

    Attributes:
        view: Such as ``CC`` or ``MLO``, in any case; None for any.
        laterality: ``L`` or ``R``, in any case; None for both.
    """

    view: str | None = None
    laterality: str | None = None

    def files(self, path: Path, listener: Listener | None = None) -> list[Path]:
        """Return the files that are meant by a path: itself, or those of a study, in the order of `find_pictures`.

        Args:
            path: A picture, a folder of a study, or a DICOMDIR.
            listener: Hears how many files of a study have been looked at.

        Raises:
            ImageError: If it is a study without such a picture, or a view or side was chosen for a single picture.
        """
        if not is_study(path):
            if self.view is not None or self.laterality is not None:
                raise ImageError(
                    f"{path} is one picture: `view` and `laterality` choose among those of a folder or DICOMDIR"
                )
            return [path]
        found = study_pictures(path, listener)
        view, laterality = (None if each is None else each.upper() for each in (self.view, self.laterality))
        chosen = [each.file for each in found if each.shows(view, laterality)]
        if not chosen:
            there = sorted({each.label for each in found})
            raise ImageError(f"{path} holds no such picture; there are {', '.join(there)}")
        return chosen

    def one(self, path: Path, listener: Listener | None = None) -> Path:
        """Return the one file that is meant by a path.

        Raises:
            ImageError: See `files`; and if several pictures are meant.
        """
        found = self.files(path, listener)
        if len(found) > 1:
            raise ImageError(
                f"{path} holds {len(found)} such pictures, and one is needed; choose with `view` and `laterality`, or name a file: "
                f"{', '.join(each.name for each in found[:MOST_NAMED])}{', ...' if len(found) > MOST_NAMED else ''}"
            )
        return found[0]


def is_study(path: Path) -> bool:
    """Return whether a path is a folder or a DICOMDIR; what cannot be read is neither."""
    if path.is_dir():
        return True
    try:
        return kind_of(path) is Kind.DICOM and DECODERS.listed(path) is not None
    except ImageError:
        return False


def find_pictures(
    path: Path, progress: Callable[[int, int], None] | None = None, *, decode: bool = False
) -> list[StudyPicture]:
    """Return the files of a study that hold pictures: right before left, CC before MLO, by name where the files do not say.

    Files that hold nothing that people look at are passed over (reports, documents, raw values of a detector), and so are those of
    operating systems and links to folders; not those that are named as pictures.

    Args:
        path: A folder, whose sub-folders count too; a DICOMDIR, whose list is followed; or one picture.
        progress: Called with the number of files that were looked at, and of all.
        decode: Read the first frame of each too: only then is it known that it can be.

    Raises:
        ImageError: If there is no such file or folder, too many files, or none that holds a picture.
    """
    files = dict(_files(path))
    if len(files) > MOST_FILES:
        raise ImageError(f"{path} holds more than {MOST_FILES} files; choose the folder of one study")

    found = []
    executor = ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 2), thread_name_prefix="study")
    try:
        for place, each in enumerate(executor.map(lambda name: _looked_at(files[name], name, decode=decode), files)):
            if each is not None:
                found.append(each)
            if progress is not None:
                progress(place + 1, len(files))
    finally:
        executor.shutdown(cancel_futures=True)
    if not found:
        raise ImageError(f"{path}: there is no picture among its {counted(len(files), 'file')}; choose another folder")
    return sorted(found, key=_order)


def _looked_at(file: Path, name: str, *, decode: bool) -> StudyPicture | None:
    """Return what a file holds; None where that is nothing that people look at, and it does not say that it is."""
    try:
        found = StudyPicture(file, name, describe_file(file), None)
        if decode and found.description is not None:
            load_image(file, None if found.description.frames == 1 else FrameChoice(1, 1, projected=False))
    except NoPicture as error:
        named_as_one = name.lower().endswith(PICTURE_ENDINGS)
        return StudyPicture(file, name, None, str(error).removeprefix(f"{file}: ")) if named_as_one else None
    except ImageError as error:
        return StudyPicture(file, name, None, str(error).removeprefix(f"{file}: "))
    else:
        return found


def study_pictures(path: Path, listener: Listener | None = None, *, decode: bool = False) -> list[StudyPicture]:
    """Return what `find_pictures` does, while a listener hears how many files have been looked at."""
    with (listener if listener is not None else SilentListener()).bar("looking for pictures", 1) as bar:
        return find_pictures(path, bar, decode=decode)


def _order(found: StudyPicture) -> tuple[int, int, str]:
    side = found.description.laterality if found.description else None
    view = found.description.view if found.description else None
    return (
        _SIDES.index(side) if side in _SIDES else len(_SIDES),
        _VIEWS.index(view) if view in _VIEWS else len(_VIEWS),
        found.name,
    )


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """The files of a study by their names below it."""
    if path.is_dir():
        yield from _below(path)
        return
    try:
        listed = DECODERS.listed(path) if kind_of(path) is Kind.DICOM else None
    except ImageError as error:
        raise type(error)(f"{path}: {error}") from error
    if listed is None:
        yield path.name, path
        return
    root = path.parent.resolve()
    for parts in listed:
        yield "/".join(parts), _inside(root, parts, path)


def _below(path: Path) -> Iterator[tuple[str, Path]]:
    count = 0
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not is_system(name))
        for name in sorted(names):
            if is_system(name):
                continue
            count += 1
            file = Path(folder) / name
            yield file.relative_to(path).as_posix(), file
            if count > MOST_FILES:
                return


def _inside(root: Path, parts: tuple[str, ...], path: Path) -> Path:
    """The file that a DICOMDIR names, in the letters that its medium shows it with.

    Raises:
        ImageError: If it would lie anywhere else than below the DICOMDIR's folder.
    """
    if any(part in ("", ".", "..") or "/" in part or "\\" in part or not part.isprintable() for part in parts):
        raise ImageError(f"{path}: it lists a file whose name is none; the medium is damaged or made to mislead")
    named = [root.joinpath(*parts), root.joinpath(*(part.lower() for part in parts))]
    try:
        file = next((each for each in named if each.exists()), named[0]).resolve()
    except OSError as error:  # names longer than a file's may be
        raise ImageError(f"{path}: it lists a file that cannot be looked for ({error.strerror})") from error
    if not file.is_relative_to(root):
        raise ImageError(f"{path}: it lists a file outside its folder; the medium is damaged or made to mislead")
    return file
