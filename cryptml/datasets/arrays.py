"""Pictures in NumPy's ``.npz`` files: read array by array, checked by their headers before anything is unpacked; no pickle."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from cryptml.errors import DatasetError
from cryptml.images import reduce_area

MAX_IMAGES = 100_000
"""Most pictures that an array may declare; MNIST's training digits are 60,000."""


@contextmanager
def opened_arrays(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an ``.npz`` file, or the only one in a folder.

    Raises:
        DatasetError: If there is none, several, or what is read of it is damaged.
    """
    file = _npz_file(path)
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except DatasetError as error:
        raise DatasetError(f"{file}: {error}") from error
    except Exception as error:  # zip and its decompressors raise any kind on damaged bytes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"{file} is not a usable .npz file ({reason[:200]}); fetch it again") from error


def _npz_file(path: Path) -> Path:
    """The file itself, where a folder is given."""
    if not path.is_dir():
        return path
    files = sorted(path.glob("*.npz"))
    if len(files) != 1:
        raise DatasetError(f"{path} holds {len(files)} .npz files where 1 is needed; give the path of the file itself")
    return files[0]


def read_array(archive: zipfile.ZipFile, name: str, item: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """One uint8 array of shape (n, *item), checked by its header before any of it is read; (n, 1) labels are flattened.

    Raises:
        DatasetError: If it is missing, of another dtype or shape, too large, or not as long as declared.
    """
    if f"{name}.npy" not in archive.namelist():
        raise DatasetError(f"the array {name} is missing; fetch the official file")
    with archive.open(f"{name}.npy") as stream:
        shape, fortran, dtype = _read_header(stream, name)
        if len(shape) == 2 and not item and shape[1] == 1:
            shape = shape[:1]
        if dtype != np.uint8 or len(shape) == 0 or shape[1:] != item or not 0 <= shape[0] <= MAX_IMAGES:
            wanted = ", ".join(["n", *map(str, item)])
            raise DatasetError(
                f"the array {name} is {dtype} {shape} where uint8 ({wanted}) with n up to {MAX_IMAGES} is needed; "
                "fetch the official file"
            )
        length = math.prod(shape)
        data = stream.read(length + 1)
    if len(data) != length:
        raise DatasetError(f"the array {name} does not hold the {length} bytes that it declares; fetch the file again")
    return np.frombuffer(data, np.uint8).reshape(shape, order="F" if fortran else "C")


def _read_header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Shape, order and dtype of an array in NumPy's format (versions 1.0 and 2.0), leaving the stream at its data."""
    version = np.lib.format.read_magic(stream)  # type: ignore[no-untyped-call]
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(stream)  # type: ignore[no-untyped-call]
    elif version == (2, 0):
        header = np.lib.format.read_array_header_2_0(stream)  # type: ignore[no-untyped-call]
    else:
        raise DatasetError(f"the array {name} has the format {version} where (1, 0) or (2, 0) is needed; save it again")
    shape, fortran, dtype = header
    return shape, fortran, dtype


def resample(images: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.float32]:
    """Return float32 (n, side, side) in [0, 1] of uint8 squares: smaller by area averaging, larger by bilinear interpolation."""
    grey = images.astype(np.float32) / np.float32(255)
    if side == images.shape[1]:
        return grey
    if side < images.shape[1]:
        return np.stack([reduce_area(image, side) for image in grey])
    from PIL import Image

    bilinear = Image.Resampling.BILINEAR
    larger = [np.asarray(Image.fromarray(image).resize((side, side), bilinear), np.float32) for image in grey]
    return np.clip(np.stack(larger), 0, 1)
