"""Folders that a service makes are their owner's alone, those above them too."""

from __future__ import annotations

from pathlib import Path

from cryptml_server.base.private_folders import make_private


def test_what_is_made_private_is_so_up_to_what_was_there(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_private(tmp_path / "one" / "two" / "three")
    made = [tmp_path / "one", tmp_path / "one" / "two", tmp_path / "one" / "two" / "three"]
    assert [each.stat().st_mode & 0o777 for each in made] == [0o700] * 3
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    make_private(made[-1])
