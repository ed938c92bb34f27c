"""Pictures as one kind of array: DICOM, PNG and PGM files in, float32 in [0, 1] out; square regions of them.

The clinic holds everything in this module: pictures are read, cropped and reduced in the clear, on the client.
No message and no description repeats anything of a DICOM header but its size and encoding.
"""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cryptml.errors import ImageError

if TYPE_CHECKING:
    from pydicom import Dataset as DicomDataset

MAX_PIXELS = 64 * 2**20
"""Largest picture that is decoded, in pixels as its header declares them (large mammograms have some 30 million)."""

MAX_FILE_BYTES = 512 * 2**20
"""Largest file that is opened, in bytes."""

_ACCEPTED = "give a grey DICOM, PNG or PGM picture of a single frame"
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY_MODES = {"1": (1, 1), "L": (255, 8), "I;16": (65535, 16), "I": (65535, 16)}
"""Pillow's grey modes: the value of white and the bits that the description names."""

_QUIET = threading.Lock()
"""Held while decoding: what silences the decoders is common to all threads, and must be put back in order."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Image:
    """One grey picture, checked once and read-only from then on.

    Attributes:
        pixels: float32 (rows, columns), each value in [0, 1] where 1 is white.
        source: How it was encoded, for example ``"DICOM, 16 bits"``; never a file or a person's name.

    Raises:
        ImageError: If the array has another shape or dtype, or a value that is not finite or outside [0, 1].
    """

    pixels: Floats
    source: str

    def __post_init__(self) -> None:
        if not isinstance(self.pixels, np.ndarray) or self.pixels.dtype != np.float32:
            found = getattr(self.pixels, "dtype", type(self.pixels).__name__)
            raise ImageError(f"a picture holds {found} where float32 is needed; build it with image_from_array")
        if self.pixels.ndim != 2 or self.pixels.size == 0:
            raise ImageError(
                f"a picture has the shape {self.pixels.shape} where (rows, columns) is needed; pass one grey plane"
            )
        if not np.isfinite(self.pixels).all():
            raise ImageError("a picture holds NaN or infinite values where [0, 1] is needed; repair or leave it out")
        low, high = float(self.pixels.min()), float(self.pixels.max())
        if low < 0 or high > 1:
            raise ImageError(f"a picture's values span [{low:g}, {high:g}], outside [0, 1]; normalise them first")
        self.pixels.flags.writeable = False

    @property
    def rows(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def columns(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])


@dataclass(frozen=True)
class Region:
    """A square of a picture, in pixels of the original.

    Attributes:
        x: Column of its left edge, from 0.
        y: Row of its top edge, from 0 and counted downwards.
        size: Length of its side, at least 1.

    Raises:
        ImageError: If a value is not a whole number or below its bound.
    """

    x: int
    y: int
    size: int

    def __post_init__(self) -> None:
        for name, value, least in (("x", self.x, 0), ("y", self.y, 0), ("size", self.size, 1)):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ImageError(f"a region's {name} is {value!r} where a whole number of at least {least} is needed")

    @classmethod
    def parse(cls, text: str) -> Region:
        """Read ``"X,Y,SIZE"``, the form that ``str`` writes.

        Raises:
            ImageError: If the text is anything else.
        """
        match = re.fullmatch(r"\s*([0-9]{1,6})\s*,\s*([0-9]{1,6})\s*,\s*([0-9]{1,6})\s*", text)
        if match is None:
            raise ImageError(
                f"the region {text!r} is not X,Y,SIZE; give three whole numbers, such as 1200,800,512, "
                "for the left column, the top row and the side in pixels"
            )
        x, y, size = (int(group) for group in match.groups())
        return cls(x, y, size)

    def __str__(self) -> str:
        return f"{self.x},{self.y},{self.size}"


def image_from_array(array: npt.ArrayLike, source: str = "array") -> Image:
    """Check a picture that is already in memory, and copy it.

    Args:
        array: Any float dtype, (rows, columns), values in [0, 1].
        source: What ``Image.source`` will say.

    Raises:
        ImageError: If it is not a two-dimensional float array of finite values in [0, 1].
    """
    values = np.asarray(array)
    if values.dtype.kind != "f":
        raise ImageError(f"a picture holds {values.dtype} where floats are needed; divide by its white value first")
    return Image(values.astype(np.float32, copy=True), source)


def load_image(path: str | PathLike[str]) -> Image:
    """Read a DICOM, PNG or PGM file; its content decides which, not its name.

    Grey levels become [0, 1] by one rule a format:

    - PNG and PGM: divided by the largest value of their bit depth.
    - DICOM: the modality transformation (rescale) is applied; then, where the file has a window or a table of values
      of interest (the first is used), its darkest output becomes 0 and its brightest 1; where it has none, the range
      that the stored bits can hold, ``[0, 2^BitsStored - 1]`` or its signed equivalent, carried through the rescale,
      becomes [0, 1]. The range is never taken from the picture's own values, so equal greys stay equal between
      pictures. MONOCHROME1 is inverted last. (DICOM PS3.3, C.7.6.3.1.2, C.11.1 and C.11.2.)

    Returns:
        The picture, at most ``MAX_PIXELS`` large.

    Raises:
        ImageError: If the file is missing, a folder, empty, larger than ``MAX_FILE_BYTES``, of another format,
            truncated, in colour, of several frames, declared larger than ``MAX_PIXELS``, without pixel data,
            compressed in a way that cannot be decoded here, or not finite.
    """
    file = Path(path)
    head = _first_bytes(file)
    read: Callable[[Path], tuple[npt.NDArray[Any], str]]
    if head[128:132] == b"DICM":
        read = _read_dicom
    elif head.startswith(_PNG_SIGNATURE) or re.match(rb"P[25]\s", head):
        read = _read_grey
    else:
        raise ImageError(f"{file} is neither DICOM, PNG nor PGM by its content; {_ACCEPTED}")
    try:
        with _quiet():
            values, source = read(file)
            return Image(np.clip(values, 0, 1).astype(np.float32), source)
    except ImageError as error:
        raise ImageError(f"{file}: {error}") from error
    except Exception as error:  # the decoders raise any kind on damaged bytes, some with those bytes in the text
        raise ImageError(f"{file} is damaged or truncated ({type(error).__name__}); export it again") from error


def reduce_area(pixels: npt.NDArray[np.floating[Any]], side: int) -> Floats:
    """Reduce a square to ``side`` x ``side`` by area averaging.

    Each new pixel is the mean of the area it covers, and pixels on a border count by the covered share; so the mean
    of the whole is kept for every ratio of sizes, not for whole ones only.

    Args:
        pixels: (size, size), values in [0, 1].
        side: Side of the result, 1 to size.

    Returns:
        float32 (side, side), values in [0, 1].

    Raises:
        ImageError: If the array is not square or smaller than ``side``: nothing is ever enlarged.
    """
    size = pixels.shape[0]
    if pixels.ndim != 2 or pixels.shape[1] != size:
        raise ImageError(f"an array of shape {pixels.shape} is not square; crop it first")
    if not 1 <= side <= size:
        raise ImageError(
            f"a region of {size} x {size} pixels cannot be reduced to {side} x {side}; "
            f"choose a region of at least {max(side, 1)} pixels and a side of at least 1"
        )
    edges = np.linspace(0, size, side + 1)[:, None]
    covered = np.clip(edges[1:], np.arange(size), np.arange(1, size + 1))
    covered -= np.clip(edges[:-1], np.arange(size), np.arange(1, size + 1))
    weights = covered * (side / size)
    reduced: npt.NDArray[np.float64] = weights @ pixels.astype(np.float64) @ weights.T
    return np.clip(reduced, 0, 1).astype(np.float32)


def crop(image: Image, region: Region, side: int) -> Floats:
    """Cut a square out of a picture and reduce it by area averaging.

    Returns:
        float32 (side, side), values in [0, 1].

    Raises:
        ImageError: If the region is not inside the picture or smaller than ``side``.
    """
    if region.x + region.size > image.columns or region.y + region.size > image.rows:
        raise ImageError(
            f"the region {region} reaches column {region.x + region.size} and row {region.y + region.size} of a "
            f"picture of {image.columns} columns x {image.rows} rows; move it inside or make it smaller"
        )
    return reduce_area(image.pixels[region.y : region.y + region.size, region.x : region.x + region.size], side)


def central_region(image: Image) -> Region:
    """The largest square in the middle of a picture."""
    size = min(image.rows, image.columns)
    return Region((image.columns - size) // 2, (image.rows - size) // 2, size)


def brightest_region(image: Image, size: int) -> Region:
    """The square of highest mean, a simple way to find tissue on a dark film.

    Means come from an integral image (Crow, "Summed-area tables for texture mapping", SIGGRAPH 1984). Positions are
    tried every ``size // 8`` pixels and at the far edges; of equal ones, the topmost and then leftmost wins.

    Args:
        image: Where to look.
        size: Side of the square, 1 to the picture's shorter side.

    Raises:
        ImageError: If no square of that size fits.
    """
    if not 1 <= size <= min(image.rows, image.columns):
        raise ImageError(
            f"a square of {size} pixels does not fit a picture of {image.columns} columns x {image.rows} rows; "
            f"choose 1 to {min(image.rows, image.columns)}"
        )
    total = np.zeros((image.rows + 1, image.columns + 1))
    total[1:, 1:] = image.pixels.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    step = max(1, size // 8)
    top = np.unique(np.append(np.arange(0, image.rows - size, step), image.rows - size))[:, None]
    left = np.unique(np.append(np.arange(0, image.columns - size, step), image.columns - size))[None, :]
    bottom, right = top + size, left + size
    sums = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
    row, column = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return Region(int(left[0, column]), int(top[row, 0]), size)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the decoders, which warn of odd metadata and put the file's own bytes, names and pixels, into logs."""
    logger = logging.getLogger("pydicom")
    with _QUIET, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        propagate, logger.propagate = logger.propagate, False  # its level is set anew when pydicom is imported
        try:
            yield
        finally:
            logger.propagate = propagate


def _first_bytes(file: Path) -> bytes:
    """The first 132 bytes of a file that is worth opening."""
    try:
        if not file.exists():
            raise ImageError(f"{file} does not exist; check the path")
        if not file.is_file():
            raise ImageError(f"{file} is not a file; {_ACCEPTED}")
        size = file.stat().st_size
        if size == 0:
            raise ImageError(f"{file} is empty (0 bytes); export it again")
        if size > MAX_FILE_BYTES:
            raise ImageError(f"{file} has {size} bytes, over the limit of {MAX_FILE_BYTES}; {_ACCEPTED}")
        with file.open("rb") as stream:
            return stream.read(132)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise ImageError(f"{file} cannot be opened ({error}); check the path and its permissions") from error


def _check_declared(columns: int, rows: int) -> None:
    """Refuse a picture by the size that its header declares, before anything is decoded."""
    if columns < 1 or rows < 1 or columns * rows > MAX_PIXELS:
        raise ImageError(
            f"the header declares {columns} columns x {rows} rows, outside 1 to {MAX_PIXELS} pixels; {_ACCEPTED}"
        )


def _read_grey(file: Path) -> tuple[npt.NDArray[Any], str]:
    """Decode a PNG or PGM file with Pillow."""
    import PIL.Image

    try:
        picture = PIL.Image.open(file, formats=("PNG", "PPM"))
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(f"the header declares more than the limit of {MAX_PIXELS} pixels; {_ACCEPTED}") from error
    with picture:
        _check_declared(*picture.size)
        if picture.mode not in _GREY_MODES or "transparency" in picture.info:
            raise ImageError(f"the picture has colour or transparency (mode {picture.mode}); {_ACCEPTED}")
        if getattr(picture, "n_frames", 1) != 1:
            raise ImageError(f"the picture is animated; {_ACCEPTED}")
        white, bits = _GREY_MODES[picture.mode]
        values = np.asarray(picture, dtype=np.float32) / np.float32(white)
        name = "PNG" if picture.format == "PNG" else "PGM"
    return values, f"{name}, {bits} bit{'s' if bits > 1 else ''}"


def _read_dicom(file: Path) -> tuple[npt.NDArray[Any], str]:
    """Decode a DICOM file with pydicom and bring its grey levels to [0, 1]."""
    import pydicom
    from pydicom.pixels import apply_modality_lut

    _check_transfer_syntax(file)
    dataset = pydicom.dcmread(file)
    _check_dicom(dataset)
    stored = dataset.pixel_array
    bits = int(dataset.BitsStored)
    signed = int(dataset.PixelRepresentation) == 1
    ends = np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1], dtype=stored.dtype)
    values = apply_modality_lut(stored, dataset)
    black, white = sorted(float(end) for end in apply_modality_lut(ends, dataset))
    values, black, white = _apply_first_window(values, dataset, black, white)
    if not np.isfinite([black, white]).all() or black == white:
        raise ImageError(
            f"the rescale or window maps every value to [{black:g}, {white:g}]; correct its slope, intercept or width"
        )
    grey = (values.astype(np.float64) - black) / (white - black)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        grey = 1 - grey
    return grey, f"DICOM, {bits} bits"


def _check_transfer_syntax(file: Path) -> None:
    """Refuse what cannot be decoded here, before more than the file's meta information is read."""
    from pydicom.filereader import read_file_meta_info
    from pydicom.pixels import get_decoder
    from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

    syntax = read_file_meta_info(file).get("TransferSyntaxUID", ImplicitVRLittleEndian)
    try:
        # A deflated data set is inflated whole and without a limit as soon as it is read.
        usable = syntax != DeflatedExplicitVRLittleEndian and get_decoder(syntax).is_available
    except NotImplementedError:
        usable = False
    if not usable:
        raise ImageError(
            f"the transfer syntax {str(syntax.name)[:64]!r} cannot be decoded here; "
            "export the picture uncompressed or RLE lossless"
        )


def _check_dicom(dataset: DicomDataset) -> None:
    """Refuse a header that is not of one grey frame of affordable size."""
    from pydicom.uid import RLELossless

    photometric = dataset.get("PhotometricInterpretation")
    if int(dataset.get("SamplesPerPixel") or 1) != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise ImageError(f"the picture is not grey (photometric interpretation {str(photometric)[:16]!r}); {_ACCEPTED}")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ImageError(f"the file holds {frames} frames where 1 is needed; {_ACCEPTED}")
    columns, rows = int(dataset.get("Columns") or 0), int(dataset.get("Rows") or 0)
    _check_declared(columns, rows)
    if not dataset.get("PixelData"):
        raise ImageError("the file holds no integer pixel data, or ends before them; export it again")
    # Runs expand up to 64 times, so a frame of runs longer than its own pixels is an attack, not a picture.
    declared_bytes = columns * rows * int(dataset.BitsAllocated) // 8
    if dataset.file_meta.TransferSyntaxUID == RLELossless and len(dataset.PixelData) > 2 * declared_bytes + 4096:
        raise ImageError(
            f"{len(dataset.PixelData)} bytes of runs claim to be {columns} columns x {rows} rows; export it again"
        )


def _apply_first_window(
    values: npt.NDArray[Any], dataset: DicomDataset, black: float, white: float
) -> tuple[npt.NDArray[Any], float, float]:
    """Apply the first window, else the first table of values of interest, and say which outputs are black and white.

    A window's ends are what it makes of values far below and far above it. A table's are the range of its bits.
    """
    from pydicom.pixels import apply_voi, apply_windowing

    if dataset.get("WindowCenter") not in (None, "") and dataset.get("WindowWidth") not in (None, ""):
        low, high = (float(end) for end in apply_windowing(np.array([-1e15, 1e15]), dataset, 0))
        return apply_windowing(values, dataset, 0), low, high
    if dataset.get("VOILUTSequence"):
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        return apply_voi(values, dataset, 0), 0.0, float(2**bits - 1)
    return values, black, white
