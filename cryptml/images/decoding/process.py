"""The process that reads pictures for `cryptml.images.decoding.pool`: decoders written in C meet hostile bytes here alone."""

from __future__ import annotations

import logging
import resource
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryptml.errors import ImageError, NoPicture, counted
from cryptml.images.description import Description
from cryptml.images.dicom.directory import listed_files
from cryptml.images.dicom.reading import open_dicom, read_frame
from cryptml.images.frames import groups
from cryptml.images.image import Floats
from cryptml.images.kinds import Kind, kind_of
from cryptml.images.limits import ADDRESS_BYTES
from cryptml.images.raster.reading import NAMES, frames_in, open_raster, read_raster
from cryptml.processes.answering import Answer, answer


@dataclass(frozen=True)
class _Opened:
    """A file, before a picture of it is decoded.

    Attributes:
        description: Of its pictures.
        frame: Reads that of a place, from 0.
    """

    description: Description
    frame: Callable[[int], tuple[Floats, str]]


def describe(request: dict[str, Any]) -> Answer:
    """Return what a file holds, without decoding it."""
    return _guarded(lambda: asdict(_open(Path(request["path"])).description))


def listed(request: dict[str, Any]) -> Answer:
    """Return the names of the files that a DICOMDIR lists; none where the file is no such list."""
    return _guarded(lambda: {"names": _listed(Path(request["path"]))})


def read(request: dict[str, Any]) -> Answer:
    """Return one picture, float32 row by row: a frame, or the brightest values of several."""
    return _guarded(lambda: _read(Path(request["path"]), request["places"]))


def _listed(path: Path) -> list[list[str]] | None:
    return listed_files(path) if kind_of(path) is Kind.DICOM else None


def _read(path: Path, places: list[int] | None) -> Answer:
    opened = _open(path)
    frames = opened.description.frames
    [chosen] = groups(None, frames) if places is None else [range(places[0], places[1] + 1)]
    if not 0 <= chosen[0] <= chosen[-1] < frames:
        raise ImageError(
            f"the file holds {counted(frames, 'frame')} now, and frames {chosen[0] + 1} to {chosen[-1] + 1} were asked for; try again"
        )
    pixels, source = opened.frame(chosen[0])
    for place in chosen[1:]:
        other, _ = opened.frame(place)
        if other.shape != pixels.shape:
            raise ImageError(
                f"frame {place + 1} is {other.shape} and the first {pixels.shape}; choose frames of one size"
            )
        np.maximum(pixels, other, out=pixels)
    if not np.isfinite(pixels).all():
        raise ImageError("the picture holds values that are not finite; export it again")
    pixels = np.ascontiguousarray(np.clip(pixels, 0, 1), np.float32)
    rows, columns = pixels.shape
    return {"rows": rows, "columns": columns, "source": source}, memoryview(pixels.data).cast("B")


def _open(path: Path) -> _Opened:
    if kind_of(path) is Kind.DICOM:
        dicom = open_dicom(path)
        return _Opened(dicom.description, lambda place: read_frame(dicom, place))
    picture = open_raster(path)
    name, frames = NAMES[str(picture.format)], frames_in(picture)
    description = Description(name, picture.height, picture.width, frames, None, None)
    return _Opened(description, lambda place: read_raster(path, picture, place))


def _guarded(action: Callable[[], Answer]) -> Answer:
    """Run an action whose decoders raise any kind of error on damaged bytes, some with those bytes in the text."""
    try:
        with np.errstate(all="ignore"):
            return action()
    except ImageError as error:
        return {"refused": str(error), "no_picture": isinstance(error, NoPicture)}
    except MemoryError:
        return {"refused": "the picture needs more memory than its decoder may have"}
    except Exception as error:  # noqa: BLE001 (see above)
        return {"refused": f"it is damaged or truncated ({type(error).__name__}); export it again"}


def main() -> None:
    """Answer requests within limits of memory and of each file's time, until the owner is gone."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Decoders warn of odd metadata, and put the file's own bytes, names and pixels, into logs.
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    answer({"describe": describe, "listed": listed, "read": read})


if __name__ == "__main__":
    main()
