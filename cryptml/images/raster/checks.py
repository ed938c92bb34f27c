"""What Pillow would read otherwise than a file says, or not at all: refused before."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import PIL.Image
from PIL import TiffImagePlugin
from PIL.TiffTags import TAGS_V2

from cryptml.errors import ImageError
from cryptml.images.codestreams import LOSSLESS, LS, read_code_stream
from cryptml.images.limits import ACCEPTED

_TIFF_COMPRESSIONS = ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits")
"""Of which damage shows; the checksums of deflated data are looked at here, because Pillow fills in what is missing."""

_TIFF_DEFLATED = ("tiff_adobe_deflate", "tiff_deflate")
_TIFF_PLACES = ((273, 279), (324, 325))
"""Where strips or tiles begin, and how long they are."""

_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_SAMPLES, _TIFF_FORMAT = 258, 262, 277, 339
_WHITE_IS_ZERO = 0
_CHUNK_BYTES = 1 << 20
"""That are looked at together; within the first a JPEG file says what it is."""

_RESOLUTION_TOLERANCE = 0.005
_PNG_DEPTH, _PNG_COLOUR = 24, 25  # bytes of the header chunk


def refuse_other_jpeg(file: Path) -> None:
    """Refuse a JPEG file that is not of 8 bits, baseline, extended or progressive: Pillow would call it damaged.

    Raises:
        ImageError: Naming its kind.
    """
    kind = _other_jpeg(file)
    if kind is not None:
        raise ImageError(f"{kind} is not read as a file of its own; {ACCEPTED}, or DICOM that holds it")


def check_opened(file: Path, picture: PIL.Image.Image) -> None:
    """Refuse a file that Pillow has opened, and would not read exactly.

    Raises:
        ImageError: Naming what it holds.
    """
    if picture.format == "TIFF":
        check_page(picture)
    if picture.format == "PNG":
        _check_png(file)
    if picture.format == "PPM":
        _check_pgm(file, picture)
    _check_resolution(picture)


def is_white_zero(picture: PIL.Image.Image) -> bool:
    """Return whether 0 is white in a TIFF."""
    return _tag(picture, _TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO


def check_page(picture: PIL.Image.Image) -> None:
    """Refuse what Pillow reads as something else: 12 bits as 16, colour of 16 bits as 8, signed or real values as they lie.

    Args:
        picture: A TIFF, at one of its pages.

    Raises:
        ImageError: Naming the tag.
    """
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


def check_deflated(file: Path, picture: PIL.Image.Image) -> None:
    """Inflate the strips or tiles of a deflated TIFF to their checksums.

    Raises:
        ImageError: If one is damaged.
    """
    if picture.info.get("compression") not in _TIFF_DEFLATED:
        return
    begin, length = next((pair for pair in _TIFF_PLACES if _tag(picture, pair[0]) is not None), _TIFF_PLACES[0])
    with file.open("rb") as stream:
        for place, size in zip(_numbers(picture, begin), _numbers(picture, length), strict=True):
            stream.seek(place)
            inflater = zlib.decompressobj()
            data = stream.read(size)
            while data and not inflater.eof:
                inflater.decompress(data, _CHUNK_BYTES)
                data = inflater.unconsumed_tail
            if not inflater.eof:
                raise ImageError("its deflated data are damaged or truncated; export it again")


def _other_jpeg(file: Path) -> str | None:
    """What a JPEG file is that is not of 8 bits, baseline, extended or progressive."""
    with file.open("rb") as stream:
        if stream.read(2) != b"\xff\xd8":
            return None
        stream.seek(0)
        head = stream.read(_CHUNK_BYTES)
    try:
        found = read_code_stream(head)
    except ImageError:  # Pillow says what it is
        return None
    kinds = {LOSSLESS: "JPEG Lossless", LS: "JPEG-LS"}
    if found.process in kinds:
        return f"{kinds[found.process]} of {found.precision} bits"
    return None if found.precision == 8 else f"JPEG of {found.precision} bits"


def _check_pgm(file: Path, picture: PIL.Image.Image) -> None:
    """Refuse a file of several pictures, of which Pillow would read the first."""
    tile = getattr(picture, "tile")[0]  # noqa: B009 (of files alone, which the type does not say)
    if tile.codec_name not in ("raw", "ppm"):
        return  # of text: what is too much is a mistake there
    with file.open("rb") as stream:
        most = int(re.split(rb"\s+", re.sub(rb"#[^\n]*\n", b"\n", stream.read(tile.offset)).strip())[-1])
        stream.seek(tile.offset + picture.width * picture.height * (1 if most < 256 else 2))
        if stream.read(_CHUNK_BYTES).strip():
            raise ImageError(f"the file goes on after its first picture; {ACCEPTED}, one in each PGM file")


def _check_resolution(picture: PIL.Image.Image) -> None:
    """Refuse pixels that are not square by what the file says: viewers differ on whether they heed it."""
    across, down = map(float, picture.info.get("dpi") or picture.info.get("jfif_density") or (1, 1))
    if across > 0 and down > 0 and abs(across / down - 1) > _RESOLUTION_TOLERANCE:
        raise ImageError(
            f"its resolution is {across:.4g} across and {down:.4g} down: its pixels are not square; make them so, or give DICOM"
        )


def _check_png(file: Path) -> None:
    """Refuse colour of 16 bits, which Pillow reads as 8."""
    with file.open("rb") as stream:
        head = stream.read(_PNG_COLOUR + 1)
    if len(head) > _PNG_COLOUR and head[_PNG_DEPTH] == 16 and head[_PNG_COLOUR] != 0:
        raise ImageError(f"PNG of 16 bits with colour or transparency is not read exactly here; {ACCEPTED}")


def _numbers(picture: PIL.Image.Image, tag: int) -> tuple[int, ...]:
    found = _tag(picture, tag, ())
    return tuple(int(each) for each in found) if isinstance(found, tuple) else (int(str(found)),)


def _tag(picture: PIL.Image.Image, number: int, default: object = None) -> object:
    return picture.tag_v2.get(number, default) if isinstance(picture, TiffImagePlugin.TiffImageFile) else default


def _named(number: int) -> str:
    return f"{TAGS_V2[number].name} ({number})"
