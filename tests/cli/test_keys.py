"""``cryptml keys``: listed and deleted by names that people know; and what an interrupted command says."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from cryptml_client import Client
from cryptml_client.keys.uses import KeyUse, KeyUses
from typer.testing import CliRunner

from cryptml.cli.main import app
from cryptml.cli.running import run_app
from cryptml.errors import KeySetError, SettingError
from tests.conftest import TinyService

runner = CliRunner()

LISTS = """
import sys
sys.argv = ["cryptml", "keys", "list", "--keys", sys.argv[1]]
from cryptml.cli.main import app
try:
    app()
finally:
    print(sorted({"concrete", "numpy", "httpx", "cryptml.fhe.client"} & set(sys.modules)))
"""


@pytest.mark.encrypted
def test_deleted_keys_leave_the_service_too(tiny_service: TinyService, tmp_path: Path) -> None:
    with Client(tiny_service.url, keys=tmp_path, trust_first_use=True) as client:
        client.prepare()
    (use,) = KeyUses(tmp_path).entries()
    assert (use.service, use.model) == (tiny_service.url, "tiny")
    assert (tmp_path / "key-uses.json").stat().st_mode & 0o777 == 0o600

    def stored() -> list[Path]:
        return [path for path in Path(tiny_service.data).rglob("*") if use.key_set in str(path) and path.is_file()]

    before = len(stored())
    listed = runner.invoke(app, ["keys", "list", "--keys", str(tmp_path)]).stdout
    assert all(each in listed for each in (use.key_set[:16], "tiny", tiny_service.url, use.since[:4]))
    short = runner.invoke(app, ["keys", "delete", use.key_set[:2], "--keys", str(tmp_path), "--yes"])
    assert "has 2 digits" in str(short.exception)
    unasked = runner.invoke(app, ["keys", "delete", use.key_set[:8], "--keys", str(tmp_path)])
    assert isinstance(unasked.exception, SettingError)
    assert "pass --yes" in str(unasked.exception)
    assert len(list(tmp_path.glob("*.keys"))) == 1
    done = runner.invoke(app, ["keys", "delete", use.key_set[:8], "--keys", str(tmp_path), "--yes"])
    assert done.exit_code == 0, done.exception
    assert f"its evaluation half at {tiny_service.url}" in done.output
    assert (len(stored()), list(tmp_path.glob("*.keys")), KeyUses(tmp_path).entries()) == (before - 1, [], [])


def test_a_service_that_is_away_leaves_something_to_do_later(tmp_path: Path) -> None:
    use = KeyUse("a" * 64, "b" * 64, "http://127.0.0.1:9", "tiny", 0)
    KeyUses(tmp_path).note(use)
    KeyUses(tmp_path).note(use)
    assert len(KeyUses(tmp_path).entries()) == 1
    command = ["keys", "delete", "aaaaaaaa", "--keys", str(tmp_path), "--yes"]
    failed = runner.invoke(app, command)
    assert isinstance(failed.exception, KeySetError)
    assert "is deleted here, but its evaluation half, which cannot decrypt, is left at http://127.0.0.1:9" in str(
        failed.exception
    )
    assert "deleted here" in runner.invoke(app, ["keys", "list", "--keys", str(tmp_path)]).stdout
    done = runner.invoke(app, [*command, "--here-only"])
    assert "its evaluation half stays at http://127.0.0.1:9" in done.output
    assert "there is no key set" in str(runner.invoke(app, command).exception)


@pytest.mark.parametrize(("says", "code"), [("n\n", 1), ("y\n", 0)])
def test_the_person_at_the_terminal_is_asked(
    says: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = SimpleNamespace(isatty=lambda: True)
    monkeypatch.setattr("cryptml.cli.clinic.keys.sys", SimpleNamespace(stdin=terminal, stderr=terminal))
    file = tmp_path / f"{'a' * 64}.keys"
    file.write_bytes(b"damaged")
    KeyUses(tmp_path).note(KeyUse("a" * 64, "b" * 64, "http://127.0.0.1:9", "tiny", 0))
    command = ["keys", "delete", "a" * 10, "--keys", str(tmp_path), "--here-only"]
    done = runner.invoke(app, command, input=says)
    assert (done.exit_code, file.exists()) == (code, code == 1), done.exception
    assert f"key set {'a' * 16}: model tiny, made 20" in done.output
    assert "its evaluation half at http://127.0.0.1:9 stays" in done.output
    assert "Delete it for good?" in done.output


def test_a_damaged_file_of_uses_is_named(tmp_path: Path) -> None:
    (tmp_path / "key-uses.json").write_text("{}")
    assert "file of key uses" in str(runner.invoke(app, ["keys", "list", "--keys", str(tmp_path)]).exception)


def test_listing_keys_imports_nothing_that_encrypts_or_asks(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LISTS, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        (KeyboardInterrupt(), "error: interrupted"),
        (KeyboardInterrupt("3 are kept: `resume` goes on"), "error: interrupted; 3 are kept: --resume goes on"),
    ],
)
def test_an_interruption_is_one_line(
    stop: KeyboardInterrupt, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = typer.Typer()

    @stopped.command()
    def stops() -> None:
        raise stop

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "argv", ["cryptml"])
    with pytest.raises(SystemExit) as left:
        run_app(stopped)
    signal.signal(signal.SIGTERM, before)
    assert left.value.code == 130
    assert capsys.readouterr().err.splitlines() == [said]
