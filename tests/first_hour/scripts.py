"""The pages that are transcripts, and what each takes as given."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from tests.first_hour.session import Session, session

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
TUTORIALS = ROOT / "docs" / "tutorials"
OWN_PICTURES = TUTORIALS / "first-hour.md"
CLINIC = TUTORIALS / "first-hour-clinic.md"
OWN_NETWORK = TUTORIALS / "first-hour-own-network.md"
TRANSCRIPTS = (OWN_PICTURES, CLINIC, OWN_NETWORK)

PROGRAMS = Path(sys.executable).parent
"""Of the environment that this runs in."""


def give(page: Path, top: Path, token: str = "") -> Path:
    """Return a folder with what the page takes as given.

    Args:
        page: One of `TRANSCRIPTS`.
        top: In which it is made.
        token: That the provider gave to the clinic.
    """
    folder = top / "hour"
    folder.mkdir()
    if page in {OWN_PICTURES, OWN_NETWORK}:
        shutil.copy(ROOT / "examples" / "make_pictures.py", folder)
    if page == CLINIC:
        (folder / "clinic.token").write_text(token)
        (folder / "study").mkdir()
        for number, pixels in enumerate(np.random.default_rng(3).integers(0, 256, (4, 8, 8), dtype=np.uint8), 1):
            Image.fromarray(pixels).save(folder / "study" / f"{number}.png")
    return folder


@contextmanager
def typed_alone(page: Path, top: Path, programs: Path = PROGRAMS) -> Iterator[Session]:
    """A session for a page with an environment's programs, and with a service where the page takes one as given."""
    if page != CLINIC:
        with session(give(page, top), programs) as one:
            yield one
        return
    bundle, data = top / "bundle", top / "data"
    for command in (
        ["build", "tiny", "--split", "CCSSS", "--out", str(bundle), "--no-measure", "--spot-checks", "0"],
        ["tenants", "add", "clinic", "--data", str(data), "--json"],
    ):
        done = subprocess.run([programs / "cryptml", *command], capture_output=True, text=True, check=True)
    folder = give(page, top, json.loads(done.stdout)["token"])
    with session(top, programs) as provider, session(folder, programs, provider.port) as one:
        provider.serve(f"cryptml serve {bundle} --data {data} --port {provider.port}")
        yield one
