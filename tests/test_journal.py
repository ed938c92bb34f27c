"""A killed run goes on where it was, and only that run."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from cryptml.errors import JournalError
from cryptml.journal import Journal

HEAD = {"network": "ab" * 32, "repeats": 3, "shape": (1, 2)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a run with two entries was killed."""
    path = tmp_path / "report.json.journal"
    with Journal(path, HEAD, resume=False) as journal:
        journal.record("segment 0-1", {"evaluate_ms": [1.5, 2.0], "reason": None})
        journal.record("segment 0-2", "line\nbreak")
    return path


def test_a_run_is_resumed(path: Path) -> None:
    with Journal(path, HEAD, resume=True) as journal:
        assert journal.entries == {
            "segment 0-1": {"evaluate_ms": [1.5, 2.0], "reason": None},
            "segment 0-2": "line\nbreak",
        }
        assert journal.get("segment 0-2") == "line\nbreak"
        assert journal.get("segment 1-2") is None
        journal.record("segment 1-2", 7)
        journal.record("segment 0-2", 8)
    with Journal(path, HEAD, resume=True) as journal:
        assert (journal.get("segment 1-2"), journal.get("segment 0-2")) == (7, 8)
        journal.remove()
        assert not path.exists()
        journal.remove()


def test_resuming_nothing_begins(tmp_path: Path) -> None:
    with Journal(tmp_path / "new", HEAD, resume=True) as journal:
        assert journal.entries == {}
    assert json.loads((tmp_path / "new").read_text())["repeats"] == 3


def test_a_line_that_was_cut_short_is_dropped_wherever_it_was_cut(path: Path) -> None:
    whole = path.read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == 0x0A]
    for length in sorted({*range(0, len(whole) + 1, 5), *ends, *(end - 1 for end in ends)}):
        path.write_bytes(whole[:length])
        with Journal(path, HEAD, resume=True) as journal:
            complete = sum(end <= length for end in ends)
            assert len(journal.entries) == max(0, complete - 1)
            journal.record("next", length)
            entries = dict(journal.entries)
        with Journal(path, HEAD, resume=True) as again:
            assert again.entries == entries
            assert again.get("next") == length


def test_a_run_at_work_is_left_alone(path: Path) -> None:
    with Journal(path, HEAD, resume=True) as journal:
        before = path.read_bytes()
        with pytest.raises(JournalError, match="another process is at work on"):
            Journal(path, HEAD, resume=True)
        assert path.read_bytes() == before
        journal.record("more", 1)
    Journal(path, HEAD, resume=True).close()


def test_only_its_owner_can_read_it(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    Journal(path, HEAD, resume=True).close()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", ["a link", "a folder", "a missing folder", "a device"])
def test_what_is_no_file_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    if kind == "a link":
        (tmp_path / "notes").write_text("mine")
        path.symlink_to(tmp_path / "notes")
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a device":
        path = Path(os.devnull)
    else:
        path = path / "below"
    with pytest.raises(JournalError, match="cannot be opened|is no plain file"):
        Journal(path, HEAD, resume=True)


def test_a_full_disk_is_said_with_what_to_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Journal(path, HEAD, resume=True) as journal:
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(JournalError, match=r"cannot be written \(No space left on device\); `resume` goes on"):
            journal.record("more", 1)
        assert journal.get("more") is None


def test_an_unfinished_run_is_not_overwritten(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(JournalError, match="holds an unfinished run; pass `resume` to continue it, or delete it"):
        Journal(path, HEAD, resume=False)
    assert path.read_bytes() == before


def test_another_run_is_not_mixed_in(path: Path) -> None:
    before = path.read_bytes()
    other = {"network": "cd" * 32, "shape": (1, 2), "threads": 2}
    with pytest.raises(
        JournalError, match="belongs to a run with other network, repeats, threads; repeat that run's options"
    ):
        Journal(path, other, resume=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "lines",
    [
        b"not json\n",
        b"HEAD\nnot json\n",
        b"HEAD\n[1]\n",
        b"HEAD\n5\n",
        b'HEAD\n{"name": "a"}\n',
        b'HEAD\n{"name": [1], "value": 2}\n',
        b"\xff\xfe\n",
        b"HEAD\n\n",
        b"[" * 100_000 + b"\n",
        b"[1]\n",
        b"notes of mine, not a journal",
        b"5\n",
        b'null\n{"name": "a", "value": 1}\n',
    ],
    ids=repr,
)
def test_a_damaged_journal_is_refused_and_left_alone(path: Path, lines: bytes) -> None:
    path.write_bytes(lines.replace(b"HEAD", json.dumps(HEAD).encode()))
    before = path.read_bytes()
    with pytest.raises(JournalError, match="is damaged; delete it|belongs to a run with other"):
        Journal(path, HEAD, resume=True)
    assert path.read_bytes() == before
