"""A finished bundle takes another's place at once."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from cryptml.bundle import placing
from cryptml.bundle.build import build_bundle
from cryptml.bundle.manifest import MANIFEST
from cryptml.bundle.placing import place
from cryptml.bundle.server import ServerBundle
from cryptml.splits import Split
from tests.bundle.bundle_samples import sample_network


def folder(path: Path, content: str) -> Path:
    path.mkdir()
    (path / "file").write_text(content)
    return path


def test_nobody_finds_part_of_each(tmp_path: Path) -> None:
    out, found, ended = tmp_path / "b", set[str](), threading.Event()
    looks: list[int] = []

    def build(**more: bool) -> None:
        build_bundle(sample_network(), Split("CCCCC"), out, backend=None, **more)  # type: ignore[arg-type]

    def look() -> None:
        while not ended.is_set():
            found.update(half for half in ("client", "server") if not (out / half / MANIFEST).is_file())
            looks.append(1)

    build()
    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(20):
        build(force=True)
    ended.set()
    looking.join()
    assert (found, len(looks) > 20) == (set(), True)
    assert ServerBundle.load(out).model == "sample"
    assert [each.name for each in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize("exchanges", [True, False])
def test_what_was_there_is_the_callers_to_delete(
    tmp_path: Path, exchanges: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchanges:
        monkeypatch.setattr(placing, "_RENAME_EXCHANGE", 1 << 20)  # as a file system that does not know it
    new, out, aside = folder(tmp_path / "new", "new"), folder(tmp_path / "out", "old"), tmp_path / "aside"
    place(new, out, aside)
    assert (out / "file").read_text() == "new"
    left = new if exchanges else aside
    assert (left / "file").read_text() == "old"
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(["out", left.name])


@pytest.mark.parametrize("there", [True, False])
def test_an_empty_folder_or_none_is_filled(tmp_path: Path, there: bool) -> None:
    new, out = folder(tmp_path / "new", "new"), tmp_path / "out"
    if there:
        out.mkdir()
    place(new, out, tmp_path / "aside")
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_a_rename_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = folder(tmp_path / "out", "old")
    with pytest.raises(OSError, match="No such file"):
        place(tmp_path / "none", out, tmp_path / "aside")
    new, aside, rename = folder(tmp_path / "new", "new"), tmp_path / "aside", os.rename

    def refuse(source: Path, target: Path) -> None:
        if Path(source) == new:
            raise OSError(errno.ENOTEMPTY, "in the way")
        rename(source, target)

    monkeypatch.setattr(placing, "_exchange", lambda *_: False)
    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(OSError, match="in the way"):
        place(new, out, aside)
    assert (out / "file").read_text() == "old"
    assert not aside.exists()
