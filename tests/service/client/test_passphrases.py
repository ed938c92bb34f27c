"""Passphrases of key files: given later, changed, removed; what a killed program leaves; who else can write into the folder."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptml_client import KeyStore
from cryptml_client.keys.file import KeySetFile, Passphrase
from typer.testing import CliRunner

from cryptml.bundle import ClientBundle
from cryptml.cli.main import app
from cryptml.errors import KeySetError, SettingError
from cryptml.fhe.circuit_spec import CircuitSpec
from cryptml.fhe.client import KeySet
from tests.bounds import ENDS_SECONDS

pytestmark = pytest.mark.encrypted
runner = CliRunner()


def digest_in(store: KeyStore, circuit: CircuitSpec) -> str:
    keys = store.load(circuit)
    assert keys is not None
    return keys.digest


@pytest.fixture(scope="module")
def circuit(build_tiny: Callable[[str], Any]) -> Any:
    return ClientBundle.load(build_tiny("CCSCC").folder / "client").server_steps[0].circuit


@pytest.fixture(scope="module")
def keys(circuit: Any) -> KeySet:
    return KeySet.generate(circuit)


@pytest.fixture
def folder(circuit: Any, keys: KeySet, tmp_path: Path) -> Path:
    """A folder with one key file in the clear."""
    KeyStore(tmp_path / "keys").save(circuit, keys)
    return tmp_path / "keys"


def in_the_clear(folder: Path, keys: KeySet) -> list[str]:
    """Return the files in which the keys can be read, whatever they are named."""
    part = keys.serialise()[1000:1400]
    return [path.name for path in folder.iterdir() if part in path.read_bytes()]


def test_a_passphrase_that_is_given_later_encrypts_what_lay_in_the_clear(
    circuit: Any, keys: KeySet, folder: Path
) -> None:
    told: list[str] = []
    (path,) = folder.iterdir()
    before = path.stat().st_ino
    assert in_the_clear(folder, keys) == [path.name]
    assert digest_in(KeyStore(folder, "secret", notify=told.append), circuit) == keys.digest
    assert in_the_clear(folder, keys) == []
    assert [each.name for each in folder.iterdir()] == [path.name]
    assert path.stat().st_ino != before, "written beside it and renamed"
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(told) == 1
    assert "encrypted now" in told[0]
    assert "may remain on the disk" in told[0]
    assert digest_in(KeyStore(folder, "secret", notify=told.append), circuit) == keys.digest
    assert len(told) == 1
    with pytest.raises(KeySetError, match="give its passphrase"):
        KeyStore(folder).load(circuit)


@pytest.mark.parametrize("wanted", ["one of them", "new ones"])
def test_it_encrypts_the_keys_of_other_circuits_too(
    circuit: Any, keys: KeySet, folder: Path, build_tiny: Callable[[str], Any], wanted: str
) -> None:
    other = ClientBundle.load(build_tiny("CCSSS").folder / "client").server_steps[0].circuit
    other_keys = KeySet.generate(other)
    KeyStore(folder).save(other, other_keys)
    (folder / "damaged.keys").write_bytes(b"nonsense")
    (folder / "damaged.keys").chmod(0o600)
    assert len(in_the_clear(folder, keys)) == len(in_the_clear(folder, other_keys)) == 1
    told: list[str] = []
    store = KeyStore(folder, "secret", notify=told.append)
    if wanted == "one of them":
        assert store.load(circuit) is not None
    else:
        third = ClientBundle.load(build_tiny("SSSSS").folder / "client").server_steps[0].circuit
        assert store.load(third) is None
    assert in_the_clear(folder, keys) == in_the_clear(folder, other_keys) == []
    assert len([each for each in told if "encrypted now" in each]) == 2
    assert any("damaged.keys could not be looked into" in each for each in told)


def test_what_cannot_be_encrypted_is_said(
    circuit: Any, keys: KeySet, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("cryptml_client.keys.store.write_bytes", read_only)
    with pytest.raises(KeySetError, match=r"stay in the clear .*\(Read-only file system\).*give no passphrase"):
        KeyStore(folder, "secret").load(circuit)
    assert digest_in(KeyStore(folder), circuit) == keys.digest


def test_a_damaged_file_in_the_clear_is_not_encrypted(circuit: Any, folder: Path) -> None:
    (path,) = folder.iterdir()
    damaged = path.read_bytes()[:-1]
    path.write_bytes(damaged)
    with pytest.raises(KeySetError, match="altered or cut short"):
        KeyStore(folder, "secret").load(circuit)
    assert path.read_bytes() == damaged


WRITER = """
import sys, time
from pathlib import Path
from cryptml_client import KeyStore
class Slow:
    digest = "0" * 64
    def serialise(self): return b"secret" * 1000
class Spec:
    key_set = "1" * 64
import cryptml.files
def never(_): sys.stdout.write("writing\\n"); sys.stdout.flush(); time.sleep(600)
cryptml.files.os.fsync = never
KeyStore(Path(sys.argv[1])).save(Spec(), Slow())
"""


def test_what_a_killed_program_left_is_removed_and_what_is_being_written_is_not(circuit: Any, tmp_path: Path) -> None:
    told: list[str] = []
    writing = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with writing:
        assert writing.stdout is not None
        assert writing.stdout.readline() == b"writing\n"
        (left,) = tmp_path.iterdir()
        assert left.name.startswith("." + "1" * 64)
        store = KeyStore(tmp_path, notify=told.append)
        assert store.load(circuit) is None
        assert left.exists(), "somebody is writing it"
        writing.send_signal(signal.SIGKILL)
    assert left.exists()
    for other in (".bashrc", f".{'1' * 64}.keys.backup-of-mine", "notes"):
        (tmp_path / other).touch()
    assert store.load(circuit) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f".{'1' * 64}.keys.backup-of-mine",
        ".bashrc",
        "notes",
    ]
    assert len(told) == 1
    assert left.name in told[0]


def test_list_and_delete_remove_it_too(folder: Path) -> None:
    left = folder / f".{'2' * 64}.keys.abc_1234"
    left.write_bytes(b"secret")
    result = runner.invoke(app, ["keys", "list", "--keys", str(folder)])
    assert (result.exit_code, left.exists()) == (0, False)
    left.write_bytes(b"secret")
    (path,) = folder.glob("*.keys")
    assert runner.invoke(app, ["keys", "delete", path.name[:9], "--keys", str(folder), "--yes"]).exit_code == 0
    assert list(folder.iterdir()) == []


def test_two_writers_take_turns(circuit: Any, keys: KeySet, folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    started = time.monotonic()
    with pytest.raises(KeySetError, match="another program writes into"):
        KeyStore(folder, lock_seconds=0.2).change_passphrase("new")
    assert time.monotonic() - started < ENDS_SECONDS
    os.close(descriptor)
    assert KeyStore(folder).change_passphrase("new") == 1


class TestChanging:
    def change(self, folder: Path, old: str | None, new: str | None) -> tuple[int, str]:
        files = {"--passphrase-file": old, "--new-passphrase-file": new}
        arguments = ["keys", "passphrase", "--keys", str(folder), *([] if new is not None else ["--remove"])]
        for number, (option, text) in enumerate(files.items()):
            if text is not None:
                file = folder.parent / f"passphrase-{number}"
                file.write_text(text + "\n")
                arguments += [option, str(file)]
        result = runner.invoke(app, arguments)
        return result.exit_code, result.stdout + (str(result.exception) if result.exception else "")

    def test_there_and_back(self, circuit: Any, keys: KeySet, folder: Path) -> None:
        assert self.change(folder, None, "first")[0] == 0
        assert in_the_clear(folder, keys) == []
        code, output = self.change(folder, "first", "second")
        assert (code, "1 files were written anew" in output) == (0, True)
        assert "may remain on the disk" in output
        assert digest_in(KeyStore(folder, "second"), circuit) == keys.digest
        code, output = self.change(folder, "first", "third")
        assert (code, "another passphrase" in output) == (1, True)
        assert digest_in(KeyStore(folder, "second"), circuit) == keys.digest
        assert self.change(folder, "second", None)[0] == 0
        assert digest_in(KeyStore(folder), circuit) == keys.digest

    def test_one_that_does_not_open_leaves_all_as_they_are(self, circuit: Any, keys: KeySet, folder: Path) -> None:
        other = folder / f"{'f' * 64}.keys"
        other.write_bytes(b"rubbish")
        other.chmod(0o600)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert self.change(folder, None, "new")[0] == 1
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    def test_a_change_that_was_interrupted_is_completed(
        self, circuit: Any, keys: KeySet, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (path,) = folder.iterdir()
        copy = folder / f"{'a' * 64}.keys"
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o600)
        KeyStore(folder).change_passphrase("old")
        from cryptml.files import write_bytes

        written: list[Path] = []

        def full(path: Path, *parts: bytes, mode: int) -> None:
            written.append(path)
            if len(written) == 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write_bytes(path, *parts, mode=mode)

        with monkeypatch.context() as patched:
            patched.setattr("cryptml_client.keys.store.write_bytes", full)
            with pytest.raises(KeySetError, match="1 files in .* have the new passphrase, the others are as they were"):
                KeyStore(folder, "old").change_passphrase("new")
        assert KeyStore(folder, "old").change_passphrase("new") == 1
        for each in folder.glob("*.keys"):
            assert KeySetFile.read(each).open(Passphrase("new"))

    def test_misuse(self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CRYPTML_NEW_PASSPHRASE", raising=False)
        for more in ([], ["--remove", "--new-passphrase-file", "X"]):
            (tmp_path / "X").write_text("x")
            result = runner.invoke(
                app,
                ["keys", "passphrase", "--keys", str(folder), *(str(tmp_path / "X") if a == "X" else a for a in more)],
            )
            assert isinstance(result.exception, SettingError), more
        with pytest.raises(KeySetError, match="there are no keys in"):
            KeyStore(tmp_path / "none").change_passphrase("x")


def test_an_empty_passphrase_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for blank in ("", "  ", "\n"):
        with pytest.raises(KeySetError, match="passphrase is empty"):
            KeyStore(tmp_path, blank)
    with pytest.raises(KeySetError, match="cannot be encoded"):
        KeyStore(tmp_path, "\ud800")
    KeyStore(tmp_path, "pass\udcff")  # bytes of the environment that are no UTF-8
    monkeypatch.setenv("CRYPTML_PASSPHRASE", "")
    result = runner.invoke(app, ["keys", "make", "--server", "http://127.0.0.1:9", "--keys", str(tmp_path)])
    assert isinstance(result.exception, SettingError)
    assert "CRYPTML_PASSPHRASE is set, but empty" in str(result.exception)


def test_a_folder_that_others_can_write_is_refused_and_one_that_they_can_read_is_told(
    circuit: Any, keys: KeySet, folder: Path
) -> None:
    told: list[str] = []
    store = KeyStore(folder, notify=told.append)
    folder.chmod(0o755)
    for _ in range(2):
        assert digest_in(store, circuit) == keys.digest
    assert len(told) == 1
    assert re.search("others can see which keys lie in .* not the keys", told[0])
    for mode in (0o770, 0o702, 0o777):
        folder.chmod(mode)
        for use in (lambda: store.load(circuit), lambda: store.save(circuit, keys), lambda: list(store.list())):
            with pytest.raises(KeySetError, match="can be written by others .*chmod 700"):
                use()


def test_heads_and_files_that_are_hostile(circuit: Any, folder: Path) -> None:
    (path,) = folder.iterdir()
    for line in (b"[" * 4000, b'{"a":' * 600, b'{"key_set": 1, "key_set": 2}', b"\xff\xfe", b"9" * 4000):
        path.write_bytes(b"CRYPTML-KEYS 2\n" + line + b"\n")
        with pytest.raises(KeySetError, match="not a key file"):
            KeyStore(folder).load(circuit)
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(KeySetError, match="not a plain file"):
        KeyStore(folder).load(circuit)


def test_the_list_says_which_are_encrypted(circuit: Any, folder: Path) -> None:
    assert not next(iter(KeyStore(folder).list())).encrypted
    KeyStore(folder, "x").load(circuit)
    assert next(iter(KeyStore(folder).list())).encrypted
    assert " yes " in runner.invoke(app, ["keys", "list", "--keys", str(folder)]).stdout
