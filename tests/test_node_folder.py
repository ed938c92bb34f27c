"""The private folder of an actor: its own while it lives, removed by the next one where it was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cryptml.node_folder import NodeFolder

SCRIPT = "from cryptml.node_folder import NodeFolder; import time; print(NodeFolder().path, flush=True); time.sleep(60)"


def test_what_a_killed_process_left_is_removed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    foreign, young = tmp_path / "something-else", tmp_path / "cryptml-worker-young"
    foreign.mkdir()
    young.mkdir()
    alive = NodeFolder()
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert process.stdout is not None
    left = Path(process.stdout.readline().strip())
    assert left.parent == tmp_path
    for path in (foreign, alive.path, left):
        os.utime(path, (0, 0))
    NodeFolder().remove()
    assert left.exists()  # its process lives
    process.send_signal(signal.SIGKILL)
    process.communicate()
    NodeFolder().remove()
    assert not left.exists()
    assert alive.path.exists()
    assert foreign.exists()
    assert young.exists()  # it may be locked in the next moment
    alive.remove()
    assert not alive.path.exists()


def test_files_are_written_by_plain_names_for_the_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = NodeFolder()
    assert folder.path.stat().st_mode & 0o777 == 0o700
    written = folder.write("circuit-0", (("a.so", b"1"), ("b_c.json", b"2")))
    assert {path.name: path.read_bytes() for path in written.iterdir()} == {"a.so": b"1", "b_c.json": b"2"}
    for number, name in enumerate(("../x", "/x", ".x", "", "a/b", "x" * 101, "a\n")):
        with pytest.raises(ValueError, match="is not a file's name"):
            folder.write(f"bad-{number}", ((name, b""),))
    folder.drop("circuit-0")
    assert not written.exists()
    folder.remove()
