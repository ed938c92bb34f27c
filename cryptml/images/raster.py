"""PNG, JPEG, TIFF, BMP and PGM files, through Pillow."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
from PIL import TiffImagePlugin
from PIL.TiffTags import TAGS_V2

from cryptml.errors import ImageError
from cryptml.images.channels import grey_of
from cryptml.images.dicom.codestreams import LOSSLESS, LS, read_code_stream
from cryptml.images.image import Floats
from cryptml.images.jpeg_damage import require_whole
from cryptml.images.limits import ACCEPTED, MAX_FRAMES, MAX_PIXELS, check_declared

NAMES: Mapping[str, str] = {"PNG": "PNG", "JPEG": "JPEG", "TIFF": "TIFF", "BMP": "BMP", "DIB": "BMP", "PPM": "PGM"}
"""Pillow's formats, and what they are called here."""

_GREY = {"1": (1, 1), "L": (255, 8), "I": (65535, 16), "I;16": (65535, 16), "I;16L": (65535, 16), "I;16B": (65535, 16)}
"""White value and bits of grey modes; Pillow scales PGM of more than 8 bits to 65535 itself."""

_COLOUR = ("RGB", "RGBA", "P", "LA", "PA")
_TIFF_COMPRESSIONS = ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits")
"""Of which damage shows; the checksums of deflated data are looked at here, because Pillow fills in what is missing."""

_TIFF_DEFLATED = ("tiff_adobe_deflate", "tiff_deflate")
_TIFF_PLACES = ((273, 279), (324, 325))
"""Where strips or tiles begin, and how long they are."""


_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_SAMPLES, _TIFF_FORMAT = 258, 262, 277, 339
_WHITE_IS_ZERO, _PALETTE = 0, 3
_MOST_HEAD_BYTES = 1 << 20
"""Within which a JPEG file says what it is."""

_RESOLUTION_TOLERANCE = 0.005
_PNG_DEPTH, _PNG_COLOUR = 24, 25  # bytes of the header chunk


def open_raster(file: Path) -> PIL.Image.Image:
    """Open a file without decoding it.

    Raises:
        ImageError: If it is larger than `MAX_PIXELS`, or holds what Pillow would not read exactly.
    """
    if kind_of_jpeg := _other_jpeg(file):
        raise ImageError(f"{kind_of_jpeg} is not read as a file of its own; {ACCEPTED}, or DICOM that holds it")
    try:
        # As a stream: Pillow maps a file that it opens by name into memory, and so mixes the rows of a TIFF that is turned by 90 degrees.
        picture = PIL.Image.open(file.open("rb"), formats=("PNG", "JPEG", "TIFF", "BMP", "PPM"))
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(f"the header declares more than the limit of {MAX_PIXELS} pixels; {ACCEPTED}") from error
    check_declared(*picture.size)
    if picture.format not in NAMES:
        raise ImageError(f"pictures of the format {str(picture.format)[:16]} are not read; {ACCEPTED}")
    if picture.format == "TIFF":
        _check_tiff(picture)
    if picture.format == "PNG":
        _check_png(file)
    if picture.format == "PPM":
        _check_pgm(picture, file)
    _check_resolution(picture)
    return picture


def frames_in(picture: PIL.Image.Image) -> int:
    """Return how many pictures a file holds.

    Raises:
        ImageError: If there are more than `MAX_FRAMES`.
    """
    frames = int(getattr(picture, "n_frames", 1))
    if frames > MAX_FRAMES:
        raise ImageError(f"it holds {frames} pictures, at most {MAX_FRAMES} are read; {ACCEPTED}")
    return frames


def read_raster(file: Path, picture: PIL.Image.Image, place: int) -> tuple[Floats, str]:
    """Decode one picture of a file, turned upright as its Exif orientation says.

    Args:
        file: That holds it.
        picture: By `open_raster`.
        place: From 0.

    Returns:
        float32 (rows, columns), values in [0, 1], and how it was encoded.

    Raises:
        ImageError: If it has colour, transparency, or a number of bits that is not read here, or lacks a part of its data.
    """
    if frames_in(picture) > 1:
        if picture.format != "TIFF":
            raise ImageError(f"the picture is animated; {ACCEPTED}")
        picture.seek(place)
        check_declared(*picture.size)
        _check_tiff(picture)
    name = NAMES[str(picture.format)]
    inverted = name == "TIFF" and _tag(picture, _TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO and picture.mode.startswith("I")
    lossy = name == "JPEG"
    if name == "TIFF" and picture.info.get("compression") in _TIFF_DEFLATED:
        _check_deflated(file, picture)
    if "transparency" in picture.info:
        raise ImageError(f"the picture has transparency; {ACCEPTED}")
    upright = PIL.ImageOps.exif_transpose(picture)
    if name == "JPEG":
        require_whole(file.read_bytes())
    if upright.mode in _GREY:
        white, bits = _GREY[upright.mode]
        values = np.asarray(upright, dtype=np.float32) / np.float32(white)
        if inverted:  # Pillow does so for 8 bits alone
            values = 1 - values
        return values, f"{name}, {bits} bit{'s' if bits > 1 else ''}"
    if upright.mode in _COLOUR:
        if upright.mode in ("RGBA", "LA", "PA") and np.asarray(upright.getchannel("A")).min() < 255:
            raise ImageError(f"the picture has transparency; {ACCEPTED}")
        return grey_of(np.asarray(upright.convert("RGB")), 255, lossy=lossy), f"{name}, 8 bits"
    raise ImageError(f"the picture is of a kind that is not read (mode {upright.mode}); {ACCEPTED}")


def _check_tiff(picture: PIL.Image.Image) -> None:
    """Refuse what Pillow reads as something else: 12 bits as 16, colour of 16 bits as 8, signed or real values as they lie."""
    compression = picture.info.get("compression")
    if compression not in _TIFF_COMPRESSIONS:
        raise ImageError(
            f"TIFF compressed by {str(compression)[:24]} is not read: damage would not show; save it uncompressed or by LZW"
        )
    if _tag(picture, _TIFF_PHOTOMETRIC) is None:
        raise ImageError(f"{_named(_TIFF_PHOTOMETRIC)} is missing: whether 0 is black is not said; {ACCEPTED}")
    bits = _tag(picture, _TIFF_BITS, (1,))
    bits = bits if isinstance(bits, tuple) else (bits,)
    samples = _tag(picture, _TIFF_SAMPLES, 1)
    formats = _tag(picture, _TIFF_FORMAT, (1,))
    formats = formats if isinstance(formats, tuple) else (formats,)
    if set(formats) != {1}:
        raise ImageError(f"{_named(_TIFF_FORMAT)} is {formats[:4]}; unsigned whole numbers (1) are read; {ACCEPTED}")
    allowed = (1, 2, 4, 8, 16) if samples == 1 else (8,)
    if len(set(bits)) != 1 or bits[0] not in allowed:
        raise ImageError(
            f"{_named(_TIFF_BITS)} is {bits[:4]} with {samples} samples a pixel; {allowed} are read; {ACCEPTED}"
        )


def _other_jpeg(file: Path) -> str | None:
    """What a JPEG file is that is not of 8 bits, baseline, extended or progressive."""
    with file.open("rb") as stream:
        if stream.read(2) != b"\xff\xd8":
            return None
        stream.seek(0)
        head = stream.read(_MOST_HEAD_BYTES)
    try:
        found = read_code_stream(head)
    except ImageError:  # Pillow says what it is
        return None
    kinds = {LOSSLESS: "JPEG Lossless", LS: "JPEG-LS"}
    if found.process in kinds:
        return f"{kinds[found.process]} of {found.precision} bits"
    return None if found.precision == 8 else f"JPEG of {found.precision} bits"


def _check_pgm(picture: PIL.Image.Image, file: Path) -> None:
    """Refuse a file of several pictures, of which Pillow would read the first."""
    tile = getattr(picture, "tile")[0]  # noqa: B009 (of files alone, which the type does not say)
    if tile.codec_name not in ("raw", "ppm"):
        return  # of text: what is too much is a mistake there
    with file.open("rb") as stream:
        most = int(re.split(rb"\s+", re.sub(rb"#[^\n]*\n", b"\n", stream.read(tile.offset)).strip())[-1])
        stream.seek(tile.offset + picture.width * picture.height * (1 if most < 256 else 2))
        if stream.read(_MOST_HEAD_BYTES).strip():
            raise ImageError(f"the file goes on after its first picture; {ACCEPTED}, one in each PGM file")


def _check_resolution(picture: PIL.Image.Image) -> None:
    """Refuse pixels that are not square by what the file says: viewers differ on whether they heed it."""
    across, down = map(float, picture.info.get("dpi") or picture.info.get("jfif_density") or (1, 1))
    if across > 0 and down > 0 and abs(across / down - 1) > _RESOLUTION_TOLERANCE:
        raise ImageError(
            f"its resolution is {across:.4g} across and {down:.4g} down: its pixels are not square; make them so, or give DICOM"
        )


def _check_deflated(file: Path, picture: PIL.Image.Image) -> None:
    """Inflate strips or tiles to their checksums."""
    begin, length = next((pair for pair in _TIFF_PLACES if _tag(picture, pair[0]) is not None), _TIFF_PLACES[0])
    with file.open("rb") as stream:
        for place, size in zip(_numbers(picture, begin), _numbers(picture, length), strict=True):
            stream.seek(place)
            inflater = zlib.decompressobj()
            data = stream.read(size)
            while data and not inflater.eof:
                inflater.decompress(data, _MOST_HEAD_BYTES)
                data = inflater.unconsumed_tail
            if not inflater.eof:
                raise ImageError("its deflated data are damaged or truncated; export it again")


def _numbers(picture: PIL.Image.Image, tag: int) -> tuple[int, ...]:
    found = _tag(picture, tag, ())
    return tuple(int(each) for each in found) if isinstance(found, tuple) else (int(str(found)),)


def _check_png(file: Path) -> None:
    """Refuse colour of 16 bits, which Pillow reads as 8."""
    with file.open("rb") as stream:
        head = stream.read(_PNG_COLOUR + 1)
    if len(head) > _PNG_COLOUR and head[_PNG_DEPTH] == 16 and head[_PNG_COLOUR] != 0:
        raise ImageError(f"PNG of 16 bits with colour or transparency is not read exactly here; {ACCEPTED}")


def _tag(picture: PIL.Image.Image, number: int, default: object = None) -> object:
    return picture.tag_v2.get(number, default) if isinstance(picture, TiffImagePlugin.TiffImageFile) else default


def _named(number: int) -> str:
    return f"{TAGS_V2[number].name} ({number})"
