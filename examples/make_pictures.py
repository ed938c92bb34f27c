"""Writes a small set of pictures and a film to scan: ``python examples/make_pictures.py films film.png``.

They stand in the place of your own: tissue with stripes (`stripes`) and with spots (`spots`), in PNG as many programs write it (grey,
stored as RGB), two pictures of each patient, with an index whose fields are separated by semicolons, as spreadsheets in many languages
write it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

CLASSES = ("spots", "stripes")
VIEWS = ("CC", "MLO")
PATIENTS, SIDE, NOISE = 60, 48, 12.0


def draw(label: str, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Grey levels (SIDE, SIDE) of a texture in any direction; how bright it is says nothing of the class."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    angle, waves = random.uniform(0, np.pi), random.uniform(4, 5)
    along = 2 * np.pi * waves * (rows * np.cos(angle) + columns * np.sin(angle)) + random.uniform(0, 6)
    across = 2 * np.pi * waves * (columns * np.cos(angle) - rows * np.sin(angle)) + random.uniform(0, 6)
    texture = np.sin(along) * (np.sin(across) if label == "spots" else 0.7)
    return random.uniform(110, 150) + random.uniform(40, 70) * texture + random.normal(0, NOISE, (SIDE, SIDE))


def write(grey: npt.NDArray[np.float64], file: Path) -> None:
    """Write grey levels (rows, columns) as a picture of three equal channels."""
    Image.fromarray(np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)).save(file)


def main(folder: Path, film: Path) -> None:
    """Write the pictures with their index into a folder that is not there yet, and the film into a file."""
    random = np.random.default_rng(5)
    lines = ["file;patient;view;subset"]
    for patient in range(PATIENTS):
        label = CLASSES[patient % 2]
        subset = "train" if patient < 30 else "validation" if patient < 40 else "test"
        (folder / label).mkdir(parents=True, exist_ok=True)
        for view in VIEWS:
            name = f"{label}/{patient:03d}_{view.lower()}.png"
            write(draw(label, random), folder / name)
            lines.append(f"{name};P{patient:03d};{view};{subset}")
    (folder / "index.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = [np.hstack([draw(label, random) for label in labels]) for labels in (CLASSES, CLASSES[::-1], CLASSES)]
    write(np.pad(np.vstack(rows), ((0, 0), (0, SIDE))), film)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
