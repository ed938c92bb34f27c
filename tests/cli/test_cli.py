"""The commands as people and scripts type them."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cryptml.cli.main import app, run
from cryptml.cli.split_profiler import app as profiler
from cryptml.networks import load_network
from cryptml.verification.local_service import local_service
from tests.images.dicom_files import write_dicom

runner = CliRunner()


def ok(*arguments: str) -> str:
    result = runner.invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def failure(*arguments: str) -> tuple[int, str]:
    """Run the entry point as the installed command would; return exit code and the last line on stderr."""
    complaints = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(complaints):
        patch.setattr(sys, "argv", ["cryptml", *arguments])
        with pytest.raises(SystemExit) as left:
            run()
    lines = complaints.getvalue().strip().splitlines()
    code = left.value.code
    return code if isinstance(code, int) else 0, lines[-1] if lines else ""


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(3).integers(0, 256, (60, 80), dtype=np.uint8)
    path = tmp_path / "picture.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "network"
    report = json.loads(
        ok("train", "--dataset", "phantom:images=120,seed=3,contrast=0.5", "--network", "tiny", "--out", str(out), "--seed", "1",
           "--epochs", "3", "--teacher", "--similarity", "0.5", "--folds", "2", "--json")
    )  # fmt: skip
    assert {"validation", "test", "cross_validation", "settings", "data"} == set(report)
    return out


def test_datasets() -> None:
    names = {entry["name"] for entry in json.loads(ok("datasets", "--json"))}
    assert names == {"phantom", "mias", "breastmnist", "mnist", "folder"}
    assert "mias:PATH" in ok("datasets")


def test_train_writes_a_network_with_its_card(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} == {
        "MODEL_CARD.md",
        "brevitas.safetensors",
        "figures.json",
        "network.json",
        "weights.safetensors",
    }
    card = (trained / "MODEL_CARD.md").read_text()
    assert (
        "cryptml train --dataset phantom:images=120,seed=3,contrast=0.5 --network tiny --out DIR --seed 1 --epochs 3 --views 24 --teacher --teacher-kind convolutional --similarity 0.5 --folds 2"
        in card
    )
    assert "Research use only" in card
    assert len(load_network(str(trained))) == 5


def test_train_never_overwrites_without_force(trained: Path) -> None:
    code, line = failure("train", "--dataset", "phantom", "--network", "tiny", "--out", str(trained))
    assert (code, "--force" in line) == (1, True)


def test_evaluate_json_and_table(trained: Path) -> None:
    figures = json.loads(
        ok("evaluate", str(trained), "--dataset", "phantom:images=120,seed=3,contrast=0.5", "--subset", "all", "--json")
    )
    assert {"auc", "auc_low", "auc_high", "accuracy", "images", "patients"} <= set(figures)
    assert figures["auc_low"] <= figures["auc"] <= figures["auc_high"]
    assert (figures["images"], figures["patients"]) == (120, 60)
    assert "95 % interval" in ok("evaluate", "tiny", "--dataset", "phantom:images=60,seed=4")


def test_the_shipped_tiny_network_has_learned() -> None:
    figures = json.loads(
        ok("evaluate", "tiny", "--dataset", "phantom:images=400,seed=11,contrast=0.5", "--subset", "all", "--json")
    )
    assert figures["auc"] > 0.7


def test_split_profiler_lists_every_split() -> None:
    result = runner.invoke(profiler, ["list", "reference", "--json"])
    listing = json.loads(result.stdout)
    assert listing["network"] == "reference"
    assert [layer["name"] for layer in listing["layers"]] == [
        "conv1",
        "act1",
        "linear1",
        "act2",
        "votes",
    ]
    assert len({entry["split"] for entry in listing["splits"]}) == 2**5
    for entry in listing["splits"]:
        assert entry["segments"][0]["start"] == 0
        assert entry["segments"][-1]["stop"] == 5
    table = runner.invoke(profiler, ["list", "tiny"])
    assert "32 splits of network tiny" in table.stdout


@pytest.mark.encrypted
def test_build_serve_predict(picture: Path, tmp_path: Path, tiny_service: Any) -> None:
    bundle = tmp_path / "bundle"
    built = json.loads(ok("build", "tiny", "--split", "CCSCC", "--out", str(bundle), "--json"))
    assert (built["model"], built["split"]) == ("tiny", "CCSCC")
    assert {path.name for path in bundle.iterdir()} == {"client", "server"}
    assert "Server segments" in ok("build", "tiny", "--split", "CCSCC", "--out", str(bundle), "--force", "--no-measure")

    arguments = ["predict", str(picture), str(picture), "--server", tiny_service.url, "--keys", str(tmp_path / "keys")]
    arguments += ["--trust-first-use"]
    result = ok(*arguments, "--roi", "4,8,32", "--clear-check", "tiny", "--json")
    lines = [json.loads(line) for line in result.splitlines()]
    assert len(lines) == 2
    for line in lines:
        assert {
            "label",
            "probability",
            "logits",
            "split",
            "timings_ms",
            "upload_bytes",
            "download_bytes",
            "matches_clear",
        } <= set(line)
        assert line["matches_clear"] is True
        assert line["split"] == "CCSSS"
    assert "equals the clear answer" in ok(*arguments[:2], *arguments[3:], "--clear-check", "tiny")
    without = json.loads(ok(*arguments[:2], *arguments[3:], "--json"))
    assert without["matches_clear"] is None

    (entry,) = json.loads(ok("keys", "list", "--keys", str(tmp_path / "keys"), "--json"))
    assert entry["encrypted"] is False
    assert entry["key_set"][:16] in ok("keys", "list", "--keys", str(tmp_path / "keys"))
    assert "stored there" in ok("keys", "make", "--server", tiny_service.url, "--keys", str(tmp_path / "keys")).replace(
        "\n", " "
    )
    (use,) = entry["uses"]
    assert (use["service"], use["model"]) == (tiny_service.url, "tiny")
    assert tiny_service.url in ok("keys", "list", "--keys", str(tmp_path / "keys"))
    ok("keys", "delete", entry["key_set"], "--keys", str(tmp_path / "keys"), "--yes")
    assert json.loads(ok("keys", "list", "--keys", str(tmp_path / "keys"), "--json")) == []


@pytest.mark.encrypted
def test_one_bad_picture_does_not_stop_the_others(picture: Path, tmp_path: Path, tiny_service: Any) -> None:
    empty = tmp_path / "empty.dcm"
    empty.touch()
    result = runner.invoke(
        app,
        [
            "predict",
            str(empty),
            str(picture),
            "--server",
            tiny_service.url,
            "--keys",
            str(tmp_path / "keys"),
            "--json",
            "--trust-first-use",
        ],
    )
    assert result.exit_code == 1
    bad, good = [json.loads(line) for line in result.stdout.splitlines()]
    assert "empty" in bad["error"]
    assert good["label"]


@pytest.mark.encrypted
def test_frames_and_views_are_chosen(tmp_path: Path, tiny_service: Any) -> None:
    study = tmp_path / "study"
    study.mkdir()
    stack = np.random.default_rng(0).integers(1000, 4096, (2, 48, 48), np.uint16)
    stack[:, :, 40:] = 0  # air beside the breast
    for name, view, frames in (("one", "CC", stack[0]), ("slices", "MLO", stack)):
        write_dicom(study / name, frames, ViewPosition=view, ImageLaterality="L")
    (study / "Thumbs.db").write_bytes(b"x")
    where = ["--server", tiny_service.url, "--keys", str(tmp_path / "keys"), "--trust-first-use", "--json"]

    def asked(*options: str) -> tuple[int, list[dict[str, Any]]]:
        result = runner.invoke(app, ["predict", str(study), *options, *where, "--clear-check", "tiny"])
        return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]

    code, (one, refused) = asked()
    assert code == 1
    assert one["label"]
    assert one["frame"] is None
    assert "2 frames, and none was chosen" in refused["error"]
    code, lines = asked("--view", "mlo", "--laterality", "L", "--frame", "all")
    assert code == 0
    assert [(Path(line["image"]).name, line["frame"]) for line in lines] == [("slices", 1), ("slices", 2)]
    assert all(line["matches_clear"] for line in lines)
    assert asked("--view", "CC")[1][0]["logits"] == one["logits"]
    code, (missing,) = asked("--view", "ML")
    assert (code, missing["error"]) == (1, f"{study} holds no such picture; there are L CC, L MLO")
    heat = ["scan", str(study), "--view", "MLO", *where, "--out", str(tmp_path / "heat.png"), "--tile", "32"]
    assert "choose one of its frames" in str(runner.invoke(app, [*heat, "--frame", "all"]).exception)
    assert runner.invoke(app, [*heat, "--frame", "max"]).exit_code == 0
    several = runner.invoke(app, ["scan", str(study), *where, "--out", str(tmp_path / "other.png")])
    assert "holds 2 such pictures" in str(several.exception)


@pytest.mark.encrypted
def test_another_network_in_the_clear_does_not_match(
    picture: Path, tmp_path: Path, tiny_service: Any, trained: Path
) -> None:
    other = Path(shutil.copytree(trained, tmp_path / "other"))
    document = json.loads((other / "network.json").read_text())
    (other / "network.json").write_text(json.dumps({**document, "name": "tiny"}))  # of another name it is refused
    result = runner.invoke(
        app,
        [
            "predict",
            "--trust-first-use",
            str(picture),
            "--server",
            tiny_service.url,
            "--keys",
            str(tmp_path / "keys"),
            "--clear-check",
            str(other),
            "--json",
        ],
    )
    assert json.loads(result.stdout)["matches_clear"] is False
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "tiny", "--split", "CCS", "--out", "NOWHERE"], "3 letters but the network has 5 layers"),
        (["build", "tiny", "--split", "CCXYS", "--out", "NOWHERE"], "'X', 'Y'"),
        (["build", "tiny", "--split", "CCSSS", "--out", "NOWHERE", "--p-error", "2"], "p_error is 2.0"),
        (["build", "tiny", "--split", "CCSSS", "--out", "NOWHERE", "--backend", "seal"], "'seal' is unknown"),
        (["build", "no-such-network", "--out", "NOWHERE"], "neither a shipped network"),
        (["evaluate", "tiny", "--dataset", "cifar:here"], "cifar"),
        (
            ["train", "--dataset", "phantom", "--network", "no.such.module:build", "--out", "NOWHERE"],
            "cannot be imported",
        ),
        (["train", "--dataset", "mias:/no/such/folder", "--out", "NOWHERE"], "/no/such/folder"),
        (
            ["train", "--dataset", "phantom", "--network", "tiny", "--similarity", "2", "--out", "NOWHERE"],
            "pass --teacher too",
        ),
        (["scan", "/no/such.png", "--server", "http://127.0.0.1:9", "--out", "NOWHERE"], "/no/such.png"),
        (["serve", "/no/such/bundle"], "there is no bundle"),
        (["predict", "x.png", "--server", "here"], "not an address of a service"),
        (["predict", "x.png", "--server", "http://127.0.0.1:9", "--roi", "1,2"], "1,2"),
        (["keys", "list", "--keys", "/no/such", "--unknown"], ""),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], message: str, tmp_path: Path) -> None:
    code, line = failure(*(str(tmp_path / "out") if argument == "NOWHERE" else argument for argument in arguments))
    assert code == (2 if "--unknown" in arguments else 1)
    assert message in line


def test_a_picture_that_is_none(tmp_path: Path, tiny_service: Any) -> None:
    path = tmp_path / "note.png"
    path.write_text("not a picture")
    code, line = failure(
        "predict", str(path), "--server", tiny_service.url, "--keys", str(tmp_path), "--trust-first-use"
    )
    assert code == 1
    assert line.startswith("error: ")


def test_a_service_that_is_down(picture: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    code, line = failure("predict", str(picture), "--server", url, "--keys", str(tmp_path), "--trust-first-use")
    assert (code, "nothing answers at" in line) == (1, True)


@pytest.mark.encrypted
def test_a_busy_port(tiny_service: Any) -> None:
    port = tiny_service.url.rpartition(":")[2]
    code, line = failure("serve", str(tiny_service.bundle.folder), "--port", port)
    assert code == 1
    assert "choose another with --port" in line


def test_the_installed_command_fails_in_one_sentence() -> None:
    command = str(Path(sys.executable).with_name("cryptml"))
    result = subprocess.run(
        [command, "build", "nobody", "--out", "nowhere"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: 'nobody' is neither a shipped network")
    assert "Traceback" not in result.stderr


@pytest.mark.encrypted
def test_a_full_disk(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    result = subprocess.run(
        f"'{Path(sys.executable).with_name('split-profiler')}' list tiny --json > /dev/full",
        shell=True, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert "No space left on device" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_passphrase_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptml.cli.options.credentials import read_passphrase
    from cryptml.errors import SettingError

    monkeypatch.delenv("CRYPTML_PASSPHRASE", raising=False)
    assert read_passphrase(None) is None
    monkeypatch.setenv("CRYPTML_PASSPHRASE", "from outside")
    assert read_passphrase(None) == "from outside"
    file = tmp_path / "passphrase"
    file.write_text("from a file\n")
    assert read_passphrase(file) == "from a file"
    for text in ("", "x" * 5000):
        file.write_text(text)
        with pytest.raises(SettingError, match="passphrase file"):
            read_passphrase(file)
    with pytest.raises(SettingError, match="cannot be read"):
        read_passphrase(tmp_path / "missing")


@pytest.mark.encrypted
def test_the_demo_answers_encrypted_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    output = ok("demo", "--network", "tiny")
    for heading in ("Network tiny", "Split CCSSS", "Sizes", "Times", "evaluation keys (once)", "server evaluate"):
        assert heading in output
    assert re.search(r"equal to the answer in the clear: yes", output)
    assert list(tmp_path.iterdir()) == []


def test_the_demo_says_why_a_service_does_not_start(tmp_path: Path) -> None:
    from cryptml.errors import ServiceUnavailable

    with (
        pytest.raises(ServiceUnavailable, match="there is no bundle"),
        local_service([tmp_path / "none"], tmp_path),
    ):
        pass


def test_version_and_entry_point(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["cryptml", "--version"])
    with pytest.raises(SystemExit) as left:
        run()
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith("cryptml ")
