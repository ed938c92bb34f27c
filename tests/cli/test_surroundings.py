"""Surroundings that people have: strict warnings, no home, places that cannot be written, full disks; a sentence each, before the work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptml_server.base.settings import Settings
from cryptml_server.base.settings_sources import read_settings
from cryptml_server.running import run_service

from cryptml.building import BuildRequest, build
from cryptml.errors import CryptmlError, SettingError
from cryptml.files import require_writable
from cryptml.profiler.request import ProfileRequest, profile
from cryptml.profiler.settings import told_to
from cryptml.search.request import SearchRequest, search
from cryptml.training.pipeline import train
from cryptml.training.request import TrainingRequest
from cryptml.training.teachers.pretraining import pretrain_to
from tests.bounds import ENDS_SECONDS

TINY = TrainingRequest("phantom:images=120", "tiny", epochs=1, views=1, teacher=False)


def measured(out: Path) -> None:
    with told_to(None) as progress:
        profile(ProfileRequest("tiny"), out, progress)


WORK: dict[str, Callable[[Path], object]] = {
    "train": lambda out: train(TINY, out),
    "build": lambda out: build(BuildRequest("tiny", "CCCCC"), out),
    "profile": measured,
    "pretrain": pretrain_to,
    "search": lambda out: search(SearchRequest("phantom", 100.0, []), out),
    "serve": lambda out: run_service(Settings(data=out), print),
}


@pytest.mark.parametrize("name", WORK)
def test_a_place_that_is_no_folder_is_refused_before_the_work(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        SettingError, match=r"nothing can be written in .*/file \(it is no folder\); choose another place"
    ):
        WORK[name](tmp_path / "file" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", WORK)
@pytest.mark.parametrize(
    ("number", "said"), [(13, "Permission denied"), (28, "No space left on device"), (30, "Read-only file system")]
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    name: str, number: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests may run as root, whom no permission stops."""

    def refuse(**_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(SettingError) as caught:
        WORK[name](tmp_path / "new" / "out")
    assert str(caught.value).startswith(f"nothing can be written in {tmp_path} ({said}); choose another place")
    assert list(tmp_path.iterdir()) == []


def test_what_can_be_written_is(tmp_path: Path) -> None:
    require_writable(tmp_path, CryptmlError)
    require_writable(tmp_path / "a" / "b", CryptmlError)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(CryptmlError, match="nothing can be written in /proc"):
        require_writable(Path("/proc/none"), CryptmlError)


def run(*command: str, program: str = "from cryptml.cli.main import run; run()", **environment: str) -> tuple[int, str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv[0] = 'cryptml'; {program}", *command],
        env={**kept, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=2 * ENDS_SECONDS,
        check=False,
    )
    return found.returncode, found.stderr


def test_strict_warnings_end_nothing(tmp_path: Path) -> None:
    command = ["train", "--dataset", "phantom:images=100", "--network", "tiny", "--epochs", "1", "--views", "1"]
    code, complaint = run(*command, "--no-teacher", "--out", str(tmp_path / "net"), PYTHONWARNINGS="error")
    assert (code, "Warning" in complaint) == (0, False), complaint


NOBODY = "import pwd; pwd.getpwuid = lambda _: {}[0]; "
"""As for a user whom the system does not know."""


def test_a_user_without_a_name_or_a_home_is_told_what_to_give(tmp_path: Path) -> None:
    program = NOBODY + "from cryptml.cli.main import run; run()"
    code, complaint = run("doctor", str(tmp_path), program=program)
    assert code == 1
    assert "Traceback" not in complaint
    code, complaint = run("serve", str(tmp_path), program=program)
    assert (code, len(complaint.splitlines())) == (1, 1)
    assert "this user has no home folder for the service's data (HOME is not set); give --data, such as" in complaint
    code, complaint = run("build", "tiny", "--split", "CCCCC", "--out", str(tmp_path / "bundle"), program=program)
    assert code == 0, complaint


def test_settings_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "__init__", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("no home")))
    with pytest.raises(SettingError, match="has no home folder"):
        read_settings({})


STRANGER = 54321
"""A user whom the system does not know."""

AS_STRANGER = [
    *("setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"),
    *("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"),
]
"""Reads what is there, as an installation can be read by all, and writes only where others may."""


def can_be_a_stranger() -> bool:
    """Whether this process may become another user, with that right alone: root in a narrow container may not."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        return False
    return subprocess.run([*AS_STRANGER, "true"], capture_output=True, check=False).returncode == 0


as_root = pytest.mark.skipif(not can_be_a_stranger(), reason="only root can be another user")


def stranger(*command: str, program: str = "from cryptml.cli.main import run; run()") -> tuple[int, str]:
    done = subprocess.run(
        [*AS_STRANGER, sys.executable, "-c", f"import sys; sys.argv[0] = 'cryptml'; {program}", *command],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=2 * ENDS_SECONDS,
        check=False,
    )
    return done.returncode, done.stderr


@as_root
@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("train", "--dataset", "phantom", "--network", "tiny", "--out", "{}/net"), "nothing can be written in {}"),
        (("build", "tiny", "--split", "CCCCC", "--out", "{}/bundle"), "nothing can be written in {}"),
        (("serve", "{}", "--data", "{}/data"), "nothing can be written in {}"),
        (("serve", "{}"), "this user has no home folder"),
    ],
)
def test_a_stranger_is_told_in_a_sentence_before_the_work(command: tuple[str, ...], said: str) -> None:
    """A real one, in real folders of others."""
    with tempfile.TemporaryDirectory() as top:
        Path(top).chmod(0o755)
        code, complaint = stranger(*(each.format(top) for each in command))
        assert code == 1, complaint
        assert complaint.startswith(f"error: {said.format(top)}"), complaint
        assert len(complaint.splitlines()) == 1, complaint
        assert list(Path(top).iterdir()) == []


@as_root
def test_a_stranger_works_where_it_may_write() -> None:
    with tempfile.TemporaryDirectory() as top:
        Path(top).chmod(0o777)
        code, complaint = stranger("build", "tiny", "--split", "CCCCC", "--out", f"{top}/bundle")
        assert code == 0, complaint
        assert (Path(top) / "bundle" / "client").stat().st_uid == STRANGER
