"""The processes that read pictures: begun before they are needed, and told where a file lies from here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from cryptml.images.decoding.pool import DecoderPool


def test_a_process_that_was_begun_reads_the_files_of_its_owners_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = DecoderPool()
    pool.begin()
    pool.begin()
    assert len(pool._idle) == 1
    found = []
    for value in (10, 200):
        folder = tmp_path / str(value)
        folder.mkdir()
        PIL.Image.fromarray(np.full((3, 4), value, np.uint8)).save(folder / "picture.png")
        monkeypatch.chdir(folder)
        found.append(round(float(pool.read(Path("picture.png"), None).pixels[0, 0]) * 255))
    assert found == [10, 200]
    assert len(pool._idle) == 1
    pool.close()
