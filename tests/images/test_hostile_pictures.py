"""Damaged pictures (a seeded sample of `python -m benchmarks.hostile_pictures`), and processes that lie about what they decoded."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.hostile_pictures import trial as reading_damaged
from benchmarks.hostile_pictures.damage import MUTATIONS, hostile
from benchmarks.hostile_pictures.seeds import FEW, seeds
from benchmarks.hostile_pictures.trial import Trial
from cryptml.errors import ImageError
from cryptml.images import FrameChoice, Image, load_frames, load_image, reading
from cryptml.images.decoding.pool import DecoderPool
from cryptml.images.study import find_pictures
from tests.bounds import ENDS_SECONDS
from tests.images import independent_readers
from tests.images.lying_decoder import PAYLOADS, REFUSALS, REPLIES, TEXTS

pytestmark = pytest.mark.usefixtures("unmeasured_children")

ROOT = Path(__file__).parents[2]
LYING = "tests.images.lying_decoder"
SECONDS = 0.5
"""For reading one picture, of a process that may not answer."""


@pytest.fixture(scope="module")
def valid() -> dict[str, list[bytes]]:
    return seeds(FEW)


def test_valid_files_are_read_before_they_are_damaged(valid: dict[str, list[bytes]], tmp_path: Path) -> None:
    path = tmp_path / "a"
    for form, files in valid.items():
        for data in files:
            path.write_bytes(data)
            try:
                assert load_image(path, FrameChoice(1, 1, projected=False)).pixels.size, form
            except ImageError as error:
                # Near-lossless colour drifts apart.
                assert "the picture has colour" in str(error), (form, str(error))
    assert sum(form.startswith("DICOM") for form in valid) >= (9 if independent_readers.absent() is None else 2)


def test_damaged_pictures_give_a_picture_or_an_image_error(valid: dict[str, list[bytes]], tmp_path: Path) -> None:
    trial = Trial(tmp_path)
    trial.run(hostile(valid, random.Random(5), 154), seed=5)
    assert trial.wrong == []
    assert trial.table().row_count == len(valid) + 1
    every = trial.tallies.values()
    assert sum(each.tried for each in every) == 154
    assert sum(each.read for each in every) >= 15
    assert sum(each.refused for each in every) >= 60
    assert len(trial.refusals) >= 15


def test_every_kind_of_damage_changes_files(valid: dict[str, list[bytes]]) -> None:
    generator, other = random.Random(1), valid["PNG"][0]
    for name, mutation in MUTATIONS.items():
        changed = 0
        for files in valid.values():
            data = bytearray(files[0])
            mutation(generator, data, other)
            changed += bytes(data) != files[0]
        assert changed >= min(3, len(valid)), name


def test_what_no_file_may_do_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness can fail: by another error, by a refusal of two lines, by a picture beyond white."""
    answers: Iterator[object] = iter(
        [
            ValueError("x"),
            ImageError("\n"),
            Image(np.zeros((1, 1), np.float32), "\x1b"),
            ImageError("fine"),
            MemoryError(),
        ]
    )

    def load(path: Path, choice: FrameChoice | None = None) -> object:
        if path.name == "valid.dcm":
            return None
        found = next(answers)
        if isinstance(found, BaseException):
            raise found
        return found

    monkeypatch.setattr(reading_damaged, "load_image", load)
    trial = Trial(tmp_path)
    trial.run(iter([("PNG", b"x")] * 5), seed=0)
    assert [each.split(":")[0] for each in trial.wrong] == ["PNG 0", "PNG 1", "PNG 2", "PNG 4"]


@pytest.fixture(scope="module")
def lying() -> Iterator[DecoderPool]:
    """Processes that lie when a file's name says so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)  # where they find their module
        pool = DecoderPool(LYING, read_seconds=20)
        patch.setattr(reading, "DECODERS", pool)
        yield pool
        pool.close()


def ask(folder: Path, lie: str) -> Image:
    (folder / f"{lie}.pgm").write_bytes(b"P5 2 2 255\nabcd")
    return load_image(folder / f"{lie}.pgm")


SLOW = ("silent", "drip", "drips-pixels", "length-huge", "length-negative")
LIES = (
    *(
        "rows-more",
        "rows-none",
        "rows-negative",
        "rows-text",
        "rows-true",
        "rows-fraction",
        "rows-infinite",
        "rows-huge",
        "rows-limit",
    ),
    *(
        "rows-missing",
        "source-number",
        "source-unprintable",
        "answer-list",
        "answer-number",
        "answer-null",
        "error",
        "error-number",
    ),
    *("nan", "infinite", "negative", "above-one", "bytes-less", "bytes-more", "bytes-none", "bytes-many"),
    *("text", "text-empty", "text-binary", "text-nested", "text-digits", "text-large"),
    *("refused-empty", "refused-number", "refused-nothing", "refused-unprintable"),
    *("dies", "killed", "dies-in-the-middle", "answers-twice", *SLOW),
)


def test_every_lie_is_tried() -> None:
    assert {*REPLIES, *PAYLOADS, *TEXTS} <= set(LIES)
    assert set(REFUSALS) - set(LIES) == {"refused-escapes", "refused-long"}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_decoder_is_refused_in_one_sentence_and_replaced(
    lying: DecoderPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    first = ask(tmp_path, "honest")
    np.testing.assert_array_equal(first.pixels, [[0, 0.25], [0.5, 1]])
    if lie in SLOW:
        monkeypatch.setattr(lying, "read_seconds", SECONDS)
    started = time.monotonic()
    with pytest.raises(ImageError) as caught:
        ask(tmp_path, lie)
    assert time.monotonic() - started < ENDS_SECONDS
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / lie}.pgm: it could not be decoded (")
    assert said.isprintable()
    assert len(said) <= 1000 + len(str(tmp_path))
    monkeypatch.setattr(lying, "read_seconds", 20.0)
    assert ask(tmp_path, "honest").source != first.source


@pytest.mark.parametrize("lie", ["refused-escapes", "refused-long"])
def test_refusals_are_shown_in_part_and_without_what_moves_a_terminal(
    lying: DecoderPool, tmp_path: Path, lie: str
) -> None:
    with pytest.raises(ImageError) as caught:
        ask(tmp_path, lie)
    said = str(caught.value)
    assert said.isprintable()
    assert len(said) <= 1010 + len(str(tmp_path)) + len(lie)


def test_more_frames_than_a_file_may_hold_are_no_answer(lying: DecoderPool, tmp_path: Path) -> None:
    """They would be listed one by one."""
    (tmp_path / "frames-huge.pgm").write_bytes(b"P5 2 2 255\nabcd")
    with pytest.raises(ImageError, match="no answer"):
        next(load_frames(tmp_path / "frames-huge.pgm", FrameChoice.parse("all")))


def test_names_of_a_list_that_are_too_long_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    monkeypatch.setattr(DecoderPool, "listed", lambda *_: [("x" * 5000,)])
    with pytest.raises(ImageError, match="cannot be looked for"):
        find_pictures(tmp_path / "DICOMDIR")
