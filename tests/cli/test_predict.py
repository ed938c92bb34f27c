"""``cryptml predict`` about a folder: one line a picture, a table, and an interruption that costs nothing."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cryptml.cli.main import app
from cryptml.errors import ImageError, SettingError
from tests.bounds import ends
from tests.conftest import TinyService
from tests.waiting import wait_for

runner = CliRunner()
pytestmark = [pytest.mark.encrypted, pytest.mark.usefixtures("unmeasured_children")]

PICTURES = 12


def test_a_folder_that_is_interrupted_goes_on(tiny_service: TinyService, tmp_path: Path) -> None:
    folder, table = tmp_path / "folder", tmp_path / "out.csv"
    folder.mkdir()
    random = np.random.default_rng(0)
    for place in range(PICTURES):
        Image.fromarray(random.integers(0, 255, (30, 30), dtype=np.uint8)).save(folder / f"{place:02}.png")
    where = ["--server", tiny_service.url, "--keys", str(tmp_path / "keys"), "--trust-first-use"]
    command = ["predict", str(folder), *where, "--csv", str(table)]
    running = subprocess.Popen(
        [sys.executable, "-m", "cryptml", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    journal = tmp_path / "out.csv.journal"
    wait_for(lambda: journal.exists() and journal.read_bytes().count(b"\n") >= 3, "two answers")
    running.send_signal(signal.SIGSTOP)  # so that it cannot end before it is interrupted
    with ends():
        running.send_signal(signal.SIGINT)
        running.send_signal(signal.SIGCONT)
        said, complaints = running.communicate()
    kept = journal.read_bytes().count(b"\n") - 1
    assert running.returncode == 130, complaints
    assert complaints.splitlines()[-1] == (
        f"error: interrupted; {kept} of {PICTURES} pictures are answered and kept in {journal}: the same command with --resume asks "
        "for the rest"
    )
    assert 2 <= kept < PICTURES
    for line in said.splitlines():
        assert line[2:].startswith(
            (".png: lesion, probability of lesion 0.", ".png: background, probability of background 0.")
        )
    assert "pass `resume`" in str(runner.invoke(app, command).exception)

    done = runner.invoke(app, [*command, "--resume", "--json"])
    assert done.exit_code == 0, done.exception
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(set(each["probabilities"]) == {"background", "lesion"} for each in documents)
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [Path(row["file"]).name for row in rows] == [f"{place:02}.png" for place in range(PICTURES)]
    assert [row["label"] for row in rows] == [each["label"] for each in documents]
    assert not journal.exists()
    assert "exists; choose another file or pass --force" in str(runner.invoke(app, command).exception)


def test_a_path_that_is_not_there_is_said_first_and_leaves_no_table(tiny_service: TinyService, tmp_path: Path) -> None:
    where = ["--server", tiny_service.url, "--keys", str(tmp_path / "keys")]
    table = tmp_path / "out.csv"
    done = runner.invoke(app, ["predict", str(tmp_path / "nwe"), *where, "--csv", str(table)])
    assert isinstance(done.exception, ImageError)
    assert "there is no such file or folder" in str(done.exception)
    (tmp_path / "text.png").write_text("no picture")
    done = runner.invoke(app, ["predict", str(tmp_path / "text.png"), *where, "--csv", str(table), "--trust-first-use"])
    assert done.exit_code == 1
    assert "text.png" in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys", "text.png"]


def test_answers_are_not_compared_with_another_network(tiny_service: TinyService, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "a.png")
    done = runner.invoke(
        app,
        [
            *("predict", str(tmp_path / "a.png"), "--server", tiny_service.url, "--keys", str(tmp_path / "keys")),
            *("--trust-first-use", "--clear-check", "scatter"),
        ],
    )
    assert isinstance(done.exception, SettingError)
    said = str(done.exception)
    assert (
        "network scatter is not the one that the service offers as tiny: it differs in name (scatter; there tiny), classes"
        in said
    )
    assert "number of layers (3; there 5)" in said


def test_there_must_be_something_to_go_on_with(tmp_path: Path) -> None:
    done = runner.invoke(
        app, ["predict", "x.png", "--server", "http://127.0.0.1:9", "--keys", str(tmp_path), "--resume"]
    )
    assert isinstance(done.exception, SettingError)
    assert "name its table" in str(done.exception)
