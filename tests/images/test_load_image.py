"""Files that are no pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryptml import images
from cryptml.errors import ImageError
from cryptml.images import load_image


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="does not exist"):
        load_image(tmp_path / "none.png")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not a file"):
        load_image(tmp_path)


def test_empty(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(ImageError, match="empty"):
        load_image(tmp_path / "a.png")


def test_too_large(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as stream:
        stream.truncate(images.MAX_FILE_BYTES + 1)
    with pytest.raises(ImageError, match=str(images.MAX_FILE_BYTES)):
        load_image(tmp_path / "a.png")


def test_null_byte() -> None:
    with pytest.raises(ImageError):
        load_image("a\0b")


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.png").write_bytes(b"x")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ImageError, match="cannot be opened"):
        load_image(tmp_path / "a.png")


@pytest.mark.parametrize("content", [b"hello", b"P6\n1 1\n255\nabc", b"\0" * 200])
def test_not_a_picture(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageError, match="neither DICOM, PNG, JPEG, TIFF, BMP nor PGM"):
        load_image(tmp_path / "a.png")
