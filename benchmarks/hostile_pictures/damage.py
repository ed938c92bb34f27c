"""Ways to damage a file."""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping

NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
Mutation = Callable[[random.Random, bytearray, bytes], None]


def _place(generator: random.Random, data: bytearray) -> int:
    """Somewhere in a file, in its first part more often: headers lie there."""
    most = max(1, len(data))
    return generator.randrange(min(most, 1200)) if generator.random() < 0.6 else generator.randrange(most)


def _flip_bits(generator: random.Random, data: bytearray, _: bytes) -> None:
    for _each in range(generator.choice((1, 1, 3, 20))):
        data[_place(generator, data)] ^= 1 << generator.randrange(8)


def _change_bytes(generator: random.Random, data: bytearray, _: bytes) -> None:
    for _each in range(generator.choice((1, 1, 4, 30))):
        data[_place(generator, data)] = generator.choice((0, 1, 0x7F, 0x80, 0xFF, generator.randrange(256)))


def _cut(generator: random.Random, data: bytearray, _: bytes) -> None:
    del data[_place(generator, data) + 1 :]


def _insert(generator: random.Random, data: bytearray, _: bytes) -> None:
    place, length = _place(generator, data), generator.choice((1, 2, 4, 100, 5000))
    data[place:place] = (
        bytes([generator.choice((0, 0xFF, 0x41))]) * length if generator.random() < 0.5 else generator.randbytes(length)
    )


def _delete(generator: random.Random, data: bytearray, _: bytes) -> None:
    place = _place(generator, data)
    del data[place : place + generator.choice((1, 2, 4, 50, 1000))]


def _duplicate(generator: random.Random, data: bytearray, _: bytes) -> None:
    place, length = _place(generator, data), generator.choice((4, 8, 30, 300, 3000))
    data[place:place] = data[place : place + length] * generator.choice((1, 1, 2, 40))


def _set_number(generator: random.Random, data: bytearray, _: bytes) -> None:
    size, number = generator.choice((2, 4)), generator.choice(NUMBERS)
    place = _place(generator, data) & ~1
    order = "little" if generator.random() < 0.6 else "big"
    data[place : place + size] = (number % (1 << 8 * size)).to_bytes(size, order)  # type: ignore[arg-type]


_TAG = re.compile(rb"[\x02\x08\x10\x18\x20\x28]\0[\0-\xff]\0[A-Z]{2}", re.DOTALL)
_LENGTH = re.compile(rb"(?:US|DS|CS|IS|UI|OW|OB|SQ|UN|SS|LO)(?=[\0-\xff]{2})|\xfe\xff\0\xe0", re.DOTALL)


def _swap_tags(generator: random.Random, data: bytearray, _: bytes) -> None:
    found = [each.start() for each in _TAG.finditer(data)]
    if len(found) > 1:
        one, other = generator.sample(found, 2)
        data[one : one + 4], data[other : other + 4] = data[other : other + 4], data[one : one + 4]


def _set_length(generator: random.Random, data: bytearray, _: bytes) -> None:
    """The length that follows a DICOM value representation or the tag of an item."""
    found = [each.end() for each in _LENGTH.finditer(data)]
    if found:
        place = generator.choice(found)
        size = generator.choice((2, 4))
        data[place : place + size] = (generator.choice(NUMBERS) % (1 << 8 * size)).to_bytes(size, "little")


def _splice(generator: random.Random, data: bytearray, other: bytes) -> None:
    data[_place(generator, data) :] = other[_place(generator, bytearray(other)) :]


def _declare(generator: random.Random, data: bytearray, _: bytes) -> None:
    """Rows, columns, frames, bits or samples of another size, in whichever header there is."""
    huge = generator.choice((0, 1, 255, 4096, 8191, 16384, 32767, 65535))
    for pattern, size, order in (
        (rb"\x28\0(?:\x10|\x11|\x02|\0)[\0\x01](?:US\x02\0|\x02\0\0\0)", 2, "little"),  # DICOM
        (rb"\0\x28\0(?:\x10|\x11)US\0\x02", 2, "big"),
        (rb"IHDR|IHDR[\0-\xff]{4}", 4, "big"),
        (rb"\xff[\xc0-\xc3\xf7]\0.\x08|\xff[\xc0-\xc3\xf7]\0.\x08..", 2, "big"),
        (rb"[\0\x01\x02\x11\x15\x16\x17]\x01[\x03\x04]\0\x01\0\0\0", 4, "little"),  # TIFF
        (rb"\x28\0\0\0|\x28\0\0\0[\0-\xff]{4}", 4, "little"),  # BMP
        (rb"\xff\x51[\0-\xff]{4}|\xff\x51[\0-\xff]{8}", 4, "big"),  # JPEG 2000
    ):
        places = [each.end() for each in re.finditer(pattern, bytes(data), re.DOTALL)]
        if places and generator.random() < 0.8:
            place = generator.choice(places)
            data[place : place + size] = huge.to_bytes(size, order)  # type: ignore[arg-type]
    if data.startswith(b"P5") and generator.random() < 0.8:
        data[:] = re.sub(rb"\d+", str(huge).encode(), bytes(data), count=generator.choice((1, 2, 3)))


MUTATIONS: Mapping[str, Mutation] = {
    "bits flipped": _flip_bits,
    "bytes changed": _change_bytes,
    "cut": _cut,
    "run inserted": _insert,
    "run deleted": _delete,
    "run duplicated": _duplicate,
    "number set": _set_number,
    "tags swapped": _swap_tags,
    "length set": _set_length,
    "spliced": _splice,
    "sizes declared": _declare,
}


def hostile(valid: Mapping[str, list[bytes]], generator: random.Random, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield formats and damaged files of them, all formats equally often."""
    forms = sorted(valid)
    for number in range(count):
        form = forms[number % len(forms)]
        data = bytearray(generator.choice(valid[form]))
        for name in generator.choices(sorted(MUTATIONS), k=generator.choice((1, 1, 1, 2, 3))):
            if data:
                MUTATIONS[name](generator, data, generator.choice(valid[generator.choice(forms)]))
        yield form, _with_checksums(data) if form == "PNG" and generator.random() < 0.7 else bytes(data)


def _with_checksums(data: bytearray) -> bytes:
    """A PNG whose chunks are what they say: decoders look no further at others."""
    place = 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        end = place + 8 + length
        if end + 4 > len(data):
            break
        struct.pack_into(">I", data, end, zlib.crc32(data[place + 4 : end]))
        place = end + 4
    return bytes(data)
