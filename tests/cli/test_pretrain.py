"""``cryptml pretrain``."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.numpy import load_file
from typer.testing import CliRunner

from cryptml.cli.main import app
from cryptml.networks.front_ends.deep import shipped_weights

RUN = CliRunner()


def test_it_writes_weights_and_says_what_they_see(tmp_path: Path) -> None:
    file = tmp_path / "new" / "deep.safetensors"
    result = RUN.invoke(app, ["pretrain", "--out", str(file), "--steps", "10"])
    assert result.exit_code == 0, result.output
    assert "contrast" in result.output
    assert "not those of the package" in result.output
    assert set(load_file(file)) == set(shipped_weights())


def test_json_names_the_digest(tmp_path: Path) -> None:
    result = RUN.invoke(app, ["pretrain", "--out", str(tmp_path / "deep"), "--steps", "10", "--json"])
    document = json.loads(result.stdout.splitlines()[-1])
    assert len(document["digest"]) == 64
    assert document["as_in_the_package"] is False
    assert "contrast" in document["explained"]


def test_a_file_is_replaced_only_when_told_to(tmp_path: Path) -> None:
    file = tmp_path / "deep"
    file.write_bytes(b"mine")
    result = RUN.invoke(app, ["pretrain", "--out", str(file), "--steps", "10"])
    assert result.exit_code == 1
    assert file.read_bytes() == b"mine"
    assert RUN.invoke(app, ["pretrain", "--out", str(file), "--steps", "10", "--force"]).exit_code == 0
    assert file.read_bytes() != b"mine"
