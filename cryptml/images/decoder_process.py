"""The process that reads pictures (``python -m``, see `cryptml.images.decoder`): decoders written in C meet hostile bytes here alone."""

from __future__ import annotations

import logging
import resource
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cryptml.errors import ImageError
from cryptml.images.dicom.reading import open_dicom, read_frame
from cryptml.images.image import Floats
from cryptml.images.kinds import Kind, kind_of
from cryptml.images.limits import ADDRESS_BYTES
from cryptml.images.raster import NAMES, frames_in, open_raster, read_raster
from cryptml.processes.answering import Answer, answer

Opened = tuple[int, Callable[[int], tuple[Floats, str]], dict[str, Any]]
"""How many frames there are, what reads one of a place from 0, and what else is known of the file."""


def describe(request: dict[str, Any]) -> Answer:
    """Return what a file holds, without decoding it."""
    return _guarded(lambda: _described(Path(request["path"])))


def read(request: dict[str, Any]) -> Answer:
    """Return one picture, float32 row by row: a frame, or the brightest values of several."""
    return _guarded(lambda: _read(Path(request["path"]), request["first"], request["last"]))


def _described(path: Path) -> dict[str, Any]:
    frames, _, more = _open(path)
    return {"frames": frames, **more}


def _read(path: Path, first: int, last: int) -> Answer:
    frames, frame, _ = _open(path)
    if not 0 <= first <= last < frames:
        raise ImageError(
            f"the file holds {frames} frames now, and frames {first + 1} to {last + 1} were asked for; try again"
        )
    pixels, source = frame(first)
    for place in range(first + 1, last + 1):
        other, _ = frame(place)
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


def _open(path: Path) -> Opened:
    if kind_of(path) is Kind.DICOM:
        opened = open_dicom(path)
        header = opened.header
        known = {
            "kind": opened.source,
            "rows": header.rows,
            "columns": header.columns,
            "view": opened.view,
            "laterality": opened.laterality,
        }
        return header.frames, lambda place: read_frame(opened, place), known
    picture = open_raster(path)
    known = {"kind": NAMES[str(picture.format)], "rows": picture.height, "columns": picture.width}
    return frames_in(picture), lambda place: read_raster(picture, place), known


def _guarded(action: Callable[[], Answer]) -> Answer:
    """Run an action whose decoders raise any kind of error on damaged bytes, some with those bytes in the text."""
    try:
        with np.errstate(all="ignore"):
            return action()
    except ImageError as error:
        return {"refused": str(error)}
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
    answer({"describe": describe, "read": read})


if __name__ == "__main__":
    main()
