"""Readers of DICOM that share no code with ours: DCMTK's commands, and OpenJPEG's for JPEG 2000.

A file's attributes are taken from what ``dcmdump`` prints, its cells from the bytes that ``dcmdump`` or ``opj_decompress`` writes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Cells = npt.NDArray[Any]

DCMTK = ("dcmconv", "dcmdump", "dcmdrle", "dcmcrle", "dcmdjpeg", "dcmcjpeg", "dcmdjpls", "dcmcjpls")
OPENJPEG = ("opj_compress", "opj_decompress")

IMPLICIT, EXPLICIT, BIG, DEFLATED = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
)
RLE = "1.2.840.10008.1.2.5"
BASELINE, EXTENDED, LOSSLESS, LOSSLESS_SV1 = (f"1.2.840.10008.1.2.4.{each}" for each in (50, 51, 57, 70))
LS, LS_NEAR, J2K_LOSSLESS, J2K = (f"1.2.840.10008.1.2.4.{each}" for each in (80, 81, 90, 91))
LOSSY = (BASELINE, EXTENDED, LS_NEAR, J2K)
_DECODERS = {
    RLE: "dcmdrle",
    **dict.fromkeys((BASELINE, EXTENDED, LOSSLESS, LOSSLESS_SV1), "dcmdjpeg"),
    **dict.fromkeys((LS, LS_NEAR), "dcmdjpls"),
}

_LINE = re.compile(r"(?P<indent> *)\((?P<tag>[0-9a-f]{4},[0-9a-f]{4})\) (?P<kind>[A-Za-z]{2}|\?\?) (?P<rest>.*)")
_ABSENT = ("(no value available)", "(not loaded)")


class CannotReadError(Exception):
    """An independent reader does not read a file."""


def absent() -> str | None:
    """Why the readers cannot be used here; None where they can."""
    if not all(map(shutil.which, DCMTK)):
        return "DCMTK is not installed here"
    if not all(map(shutil.which, OPENJPEG)):
        return "OpenJPEG's tools are not installed here"
    return None


@dataclass
class Attributes:
    """Attributes of a data set, or of an item of a sequence, as ``dcmdump`` prints them.

    Attributes:
        values: Value representation and text by tag (``"0028,0010"``).
        items: Of sequences, by tag.
    """

    values: dict[str, tuple[str, str]] = field(default_factory=dict)
    items: dict[str, list[Attributes]] = field(default_factory=dict)

    def text(self, tag: str) -> str | None:
        """A value's first text, without blanks around it; None where there is none."""
        _, found = self.values.get(tag, ("", ""))
        return found.split("\\")[0].strip() or None

    def numbers(self, tag: str) -> list[float]:
        """A value's numbers, which ``dcmdump`` prints in tens, and in sixteens where they are bytes or words."""
        kind, found = self.values.get(tag, ("", ""))
        if not found.strip():
            return []
        base16 = kind in ("OB", "OW", "UN", "lt", "ox")  # as DCMTK calls words whose kind the file does not say
        return [float(int(each, 16)) if base16 else float(each) for each in found.split("\\")]

    def number(self, tag: str, default: float | None = None) -> float | None:
        """A value's first number."""
        found = self.numbers(tag)
        return found[0] if found else default

    def whole(self, tag: str, default: int = 0) -> int:
        """A value's first number, which is a whole one."""
        found = self.number(tag)
        return default if found is None else int(found)

    def kind(self, tag: str) -> str:
        """The value representation of an attribute."""
        return self.values.get(tag, ("", ""))[0]


@dataclass(frozen=True)
class Decoded:
    """A file as independent readers see it.

    Attributes:
        attributes: Of its data set.
        syntax: Transfer syntax UID that it was written in.
        frames: Of each frame its cells, unsigned as they lie in the file: (pixels, channels), pixels row by row.
    """

    attributes: Attributes
    syntax: str
    frames: list[Cells]


def run(*command: str | Path, dictionary: bool = True) -> str:
    """Run a command.

    Args:
        command: Its program and arguments.
        dictionary: Whether DCMTK loads its dictionary of all attributes, which takes longer than all else.

    Raises:
        CannotReadError: If it fails.
    """
    environment = os.environ if dictionary else {**os.environ, "DCMDICTPATH": os.devnull}
    done = subprocess.run(list(map(str, command)), capture_output=True, check=False, timeout=120, env=environment)
    if done.returncode:
        said = (done.stderr or done.stdout).decode("latin-1").strip().splitlines()
        raise CannotReadError(f"{command[0]}: {said[-1] if said else done.returncode}")
    return done.stdout.decode("latin-1")


def dump(path: Path, *options: str | Path, implicit: bool = False) -> Attributes:
    """Return the attributes that ``dcmdump`` prints of a file; where elements do not say their value representation, the dictionary does."""
    top = Attributes()
    # Of each depth: the data set that elements belong to.
    holders: dict[int, Attributes] = {0: top}
    sequences: dict[int, tuple[Attributes, str]] = {}
    for line in run("dcmdump", "-q", "-Un", "+L", *options, path, dictionary=implicit).splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        depth, tag, kind = len(match["indent"]) // 2, match["tag"], match["kind"]
        rest = re.sub(r"\s+#\s*(\d+|u/l),\s*\d+ \S.*$", "", match["rest"])
        if tag == "fffe,e000" and depth - 1 in sequences:
            holder, sequence = sequences[depth - 1]
            holders[depth + 1] = Attributes()
            holder.items[sequence].append(holders[depth + 1])
        elif kind == "SQ":
            holders[depth].items[tag] = []
            sequences[depth] = (holders[depth], tag)
        elif depth in holders and not tag.startswith("fffe"):
            text = rest[1:-1] if rest.startswith("[") and rest.endswith("]") else rest
            holders[depth].values[tag] = (kind, "" if text in _ABSENT else text)
            sequences.pop(depth, None)
    return top


def decode(path: Path) -> Decoded:
    """Decode a file.

    Raises:
        CannotReadError: If the readers do not read it.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        attributes = dump(path, "+W", folder)
        syntax = attributes.text("0002,0010") or IMPLICIT
        if syntax == IMPLICIT:
            attributes = dump(path, "+W", folder, implicit=True)
        if syntax in (J2K, J2K_LOSSLESS):
            return Decoded(attributes, syntax, _jpeg_2000(attributes, folder))
        after, raw = attributes, folder / f"{path.name}.0.raw"
        if syntax in _DECODERS:
            decoded = folder / "decoded.dcm"
            run(_DECODERS[syntax], "-q", "+te", path, decoded)
            after, raw = dump(decoded, "+W", folder), folder / "decoded.dcm.0.raw"
        return Decoded(attributes, syntax, _frames(raw.read_bytes(), after))


def _frames(data: bytes, attributes: Attributes) -> list[Cells]:
    count = attributes.whole("0028,0010") * attributes.whole("0028,0011") * attributes.whole("0028,0002", 1)
    allocated = attributes.whole("0028,0100")
    size = allocated // 8
    frames = attributes.whole("0028,0008", 1)
    if allocated not in (8, 16):
        raise CannotReadError(f"{allocated} bits allocated")
    if len(data) < count * size * frames:
        raise CannotReadError(f"{len(data)} bytes for {frames} frames of {count} cells")
    cells = np.frombuffer(data, f"<u{size}", count * frames).reshape(frames, -1)
    samples = attributes.whole("0028,0002", 1)
    if attributes.whole("0028,0006") == 1:
        return [frame.reshape(samples, -1).T for frame in cells]
    return [frame.reshape(-1, samples) for frame in cells]


def _jpeg_2000(attributes: Attributes, folder: Path) -> list[Cells]:
    """Frames of fragments of JPEG 2000 in a folder: those of a frame, joined, are one code stream (PS3.5 A.4.4)."""
    fragments = sorted(folder.glob("*.raw"), key=lambda each: int(each.name.split(".")[-2]))[1:]
    frames = attributes.whole("0028,0008", 1)
    if frames == 1:
        streams = [b"".join(each.read_bytes() for each in fragments)]
    elif len(fragments) == frames:
        streams = [each.read_bytes() for each in fragments]
    else:
        raise CannotReadError(f"{frames} frames in {len(fragments)} fragments")
    samples, allocated = attributes.whole("0028,0002", 1), attributes.whole("0028,0100")
    count = attributes.whole("0028,0010") * attributes.whole("0028,0011")
    found = []
    for place, stream in enumerate(streams):
        coded, raw = folder / f"{place}.j2k", folder / f"{place}.rawl"
        coded.write_bytes(stream)
        run("opj_decompress", "-quiet", "-i", coded, "-o", raw)
        data = raw.read_bytes()
        size, left = divmod(len(data), count * samples)
        if left or size not in (1, 2):
            raise CannotReadError(f"{len(data)} bytes for {count} pixels of {samples} channels")
        kind = "i" if attributes.whole("0028,0103") == 1 else "u"
        planes = np.frombuffer(data, f"<{kind}{size}").astype(np.int64).reshape(samples, -1)
        found.append(planes.T & ((1 << allocated) - 1))
    return found
