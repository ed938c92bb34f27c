"""Settings from options, environment and file, and their reference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptml_server.base.settings import Settings
from cryptml_server.base.settings_reference import describe_settings, markdown
from cryptml_server.base.settings_sources import read_settings
from typer.testing import CliRunner

from cryptml.cli.main import app
from cryptml.errors import SettingError

DOCUMENT = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_reference_in_the_repository_is_the_codes() -> None:
    written = DOCUMENT.read_text()
    assert written == markdown(), "run python -m cryptml_server.base.settings_reference > docs/settings.md"


def test_every_setting_is_described() -> None:
    found = describe_settings()
    assert [each.variable for each in found] == [f"CRYPTML_{name.upper()}" for name in Settings.model_fields]
    assert all(each.meaning.endswith(".") and each.default for each in found)
    result = CliRunner().invoke(app, ["settings", "--json"], catch_exceptions=False)
    assert len(json.loads(result.stdout)["settings"]) == len(found)


def test_options_come_before_the_environment_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('port = 1001\nworkers = 3\nbundles = ["a", "b"]\nunused_key_days = 5\n')
    monkeypatch.setenv("CRYPTML_PORT", "1002")
    found = read_settings({"port": None, "workers": 4}, file=file)
    assert (found.port, found.workers, found.unused_key_days) == (1002, 4, 5)
    assert found.bundles == (Path("a"), Path("b"))
    monkeypatch.delenv("CRYPTML_PORT")
    assert read_settings({}, file=file).port == 1001
    monkeypatch.setenv("CRYPTML_SETTINGS", str(file))
    assert read_settings({}).port == 1001
    other = tmp_path / "other.toml"
    other.write_text('bundles = ["c"]')
    assert read_settings({}, file=other).bundles == (Path("c"),)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("port = ", "is not TOML"),
        ("prot = 1", "prot: Extra inputs are not permitted"),
        ("port = 1\nworkers = 0\nport2 = 1", "workers: Input should be greater than or equal to 1"),
        ('host = "0.0.0.0"\ninsecure_anonymous = true', "may be reached by others"),
        ('database = "sqlite:///elsewhere.db"', "SQLite file, which is of one service"),
        ("port = 1", "there is nothing to serve"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(content)
    with pytest.raises(SettingError, match=said):
        read_settings({}, file=file)
    with pytest.raises(SettingError):
        read_settings({}, file=tmp_path / "none.toml")
