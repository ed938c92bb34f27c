"""What reading pictures costs: a folder of 10,000 small ones, 100 MB of tomosynthesis frame by frame.

    python -m benchmarks.pictures

Both are made from a seed, in a folder that is removed afterwards. Times are of this machine; memory is the greatest that was resident, of
this process beyond what it held before, and of the decoding processes.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import PIL.Image
import typer
from pydicom.uid import ExplicitVRLittleEndian, RLELossless
from rich.console import Console

from benchmarks.decoders import DecoderWatch
from cryptml.datasets import LoadOptions, load_dataset
from cryptml.images import FrameChoice, load_frames
from cryptml.reports.table import bytes_text, duration_text, plain_table
from tests.images.dicom_files import write_dicom

SMALL, SIDE = 10_000, 64
FRAMES, ROWS, COLUMNS = 26, 2000, 1000

out = Console(width=110)


def write_folder(folder: Path, count: int) -> None:
    """Write small PNG files of two classes."""
    random = np.random.default_rng(0)
    for label in ("benign", "malignant"):
        (folder / label).mkdir(parents=True)
        for number in range(count // 2):
            values = random.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
            PIL.Image.fromarray(values).save(folder / label / f"{number}.png")


def write_tomosynthesis(path: Path, syntax: str) -> None:
    """Write a file of many frames of 12 bits, as smooth as a breast is."""
    random = np.random.default_rng(0)
    base = np.add.outer(np.linspace(0, 2000, ROWS), np.linspace(0, 1500, COLUMNS))
    frames = np.stack([base + random.integers(0, 500, base.shape) for _ in range(FRAMES)]).astype(np.uint16)
    write_dicom(path, frames, syntax=syntax)


def main(count: int = SMALL) -> None:
    """Measure, and print a table."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="cryptml-pictures-") as name:
        folder = Path(name)
        write_folder(folder / "small", count)
        with DecoderWatch() as watch:
            began = time.perf_counter()
            load_dataset(f"folder:{folder / 'small'}", 28, LoadOptions())
            taken = time.perf_counter() - began
        rows.append((f"{count} PNG files of {SIDE} x {SIDE}", "-", duration_text(taken * 1000), *watch.texts()))
        for label, syntax in (("uncompressed", ExplicitVRLittleEndian), ("RLE", RLELossless)):
            path = folder / "tomosynthesis.dcm"
            write_tomosynthesis(path, syntax)
            with DecoderWatch() as watch:
                began = time.perf_counter()
                for _ in load_frames(path, FrameChoice.parse("all")):
                    pass
                taken = time.perf_counter() - began
            what = f"{FRAMES} frames of {COLUMNS} x {ROWS}, {label}"
            rows.append((what, bytes_text(path.stat().st_size), duration_text(taken * 1000), *watch.texts()))
    columns = [
        ("read", "left"),
        ("file", "right"),
        ("time", "right"),
        ("memory here", "right"),
        ("of a decoder", "right"),
    ]
    out.print(plain_table("Reading pictures", columns, rows))


if __name__ == "__main__":
    typer.run(main)
