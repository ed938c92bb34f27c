"""A head behind a public network: from an ONNX file to an encrypted answer, and a clinic that does not have the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cryptml_client import Client
from typer.testing import CliRunner, Result

from cryptml.cli.main import app
from cryptml.errors import NetworkError
from cryptml.networks import load_network
from cryptml.networks.backbones import BackboneStore, running
from cryptml.networks.textures import random_textures
from cryptml.verification.local_service import local_service
from tests.networks import onnx_files

SPEC = "onnx:net,scaling=unit,hidden=4"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.encrypted
def test_from_a_file_to_an_encrypted_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(onnx_files.bytes_of(onnx_files.usable()))
    assert "no backbone is installed" in run("backbones", "list").stdout
    installed = run("backbones", "install", "net.onnx")
    assert "16 x 16, grey" in installed.stdout, installed.output
    (entry,) = json.loads(run("backbones", "list", "--json").stdout)
    arguments = ["train", "--network", SPEC, "--dataset", "phantom:images=60", "--epochs", "2", "--out", "trained"]
    trained = run(*arguments)
    assert trained.exit_code == 0, trained.output
    front_end = load_network("trained").front_end
    assert front_end.to_json()["file"] == entry["digest"]
    assert f"onnx:{entry['digest']},side=16,scaling=unit,hidden=4" in Path("trained/MODEL_CARD.md").read_text()
    built = run("build", "trained", "--out", "bundle", "--no-measure")
    assert built.exit_code == 0, built.output
    picture = random_textures(16, 1, 5)[0]
    with local_service([Path("bundle")], tmp_path / "data") as service:
        with Client(service.url, keys=tmp_path / "keys", trust_first_use=True) as client:
            answer = client.predict(picture).answer
        np.testing.assert_allclose(sum(answer.probabilities), 1, atol=1e-5)
        assert "is removed" in run("backbones", "remove", "net").stdout
        running.RUNNING.close()
        with (
            Client(service.url, keys=tmp_path / "other", trust_first_use=True) as client,
            pytest.raises(NetworkError, match="not installed here; get its ONNX file from whoever publishes it"),
        ):
            client.predict(picture)
        assert not (tmp_path / "other").exists()
    assert BackboneStore().installed() == []
