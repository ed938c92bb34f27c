"""A whole mammogram over real HTTP: the squares' answers, interruption, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptml_client import Client, Prediction, SpotCheckFailed
from cryptml_client.scan import IN_FLIGHT
from PIL import Image as Picture
from typer.testing import CliRunner, Result

from cryptml.cli.main import app
from cryptml.errors import CryptmlError, ImageError, JournalError, ServiceError, SettingError
from cryptml.images import Region, breast_mask, crop, load_image
from cryptml.networks import Network, probabilities

runner = CliRunner()
pytestmark = pytest.mark.encrypted


@pytest.fixture
def mammogram(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    y, x = np.mgrid[:64, :48]
    pixels = np.where(np.hypot(y - 32, x) < 26, 90 + 100 * random.random((64, 48)), 3 * random.random((64, 48)))
    path = tmp_path / "mammogram.png"
    Picture.fromarray(pixels.astype(np.uint8)).save(path)
    return path


@pytest.fixture
def arguments(mammogram: Path, tmp_path: Path, tiny_service: Any) -> list[str]:
    return [
        *("scan", str(mammogram), "--server", tiny_service.url, "--out", str(tmp_path / "heat.png")),
        "--trust-first-use",
        *("--keys", str(tmp_path / "keys"), "--tile", "12", "--step", "8"),
    ]


def scan(*arguments: str) -> Result:
    return runner.invoke(app, list(arguments))


def refused(error: type[CryptmlError], *arguments: str) -> str:
    result = scan(*arguments)
    assert isinstance(result.exception, error), result.exception
    return str(result.exception)


def test_a_service_that_is_found_out_leaves_nothing_to_go_on_from(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = Client.predict_region, 0

    def found_out(self: Client, region: Any) -> Prediction:
        nonlocal asked
        asked += 1
        if asked > 2:
            raise SpotCheckFailed("found out")
        return real(self, region)

    monkeypatch.setattr(Client, "predict_region", found_out)
    assert "found out" in refused(SpotCheckFailed, *arguments)
    assert 3 <= asked <= 2 + IN_FLIGHT  # the others were on their way
    assert not list(tmp_path.glob("heat.png*"))
    asked = 0
    refused(SpotCheckFailed, *arguments, "--resume")
    assert 3 <= asked <= 2 + IN_FLIGHT, "no answer is taken from before"
    assert "--resume" not in scan(*arguments).output


def test_every_square_is_answered_as_in_the_clear(
    arguments: list[str], mammogram: Path, tmp_path: Path, tiny: Network
) -> None:
    result = scan(*arguments, "--json")
    assert result.exit_code == 0, result.exception
    document = json.loads(result.stdout)
    image = load_image(mammogram)
    mask = breast_mask(image)
    assert (document["columns"], document["rows"], document["split"]) == (48, 64, "CCSSS")
    assert len(document["tiles"]) > 5
    for tile in document["tiles"]:
        assert mask[tile["y"] : tile["y"] + 12, tile["x"] : tile["x"] + 12].mean() >= 0.5
        square = crop(image, Region(tile["x"], tile["y"], tile["size"]), 8)
        expected = probabilities(tiny.logits(square[None]))[0]
        assert tile["probabilities"] == pytest.approx(expected.tolist(), abs=1e-6)
        assert tile["upload_bytes"] > 0
    heat_map = tmp_path / "heat.png"
    assert Picture.open(heat_map).size[1] > 64
    assert heat_map.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["heat.png", "keys", "mammogram.png"]

    assert "heat.png exists; choose another file or pass --force" in refused(SettingError, *arguments)
    table = scan(*arguments, "--force")
    assert table.exit_code == 0
    rows = [line.split() for line in table.stdout.splitlines()]
    assert ["squares", "asked", "about", str(len(document["tiles"])), "of", str(document["squares"])] in rows
    assert f"heat map written to {heat_map}" in table.stdout
    assert "research use only" in table.stdout


def test_everywhere_asks_about_all_squares(arguments: list[str], mammogram: Path) -> None:
    Picture.fromarray(np.random.default_rng(1).integers(0, 256, (24, 36), dtype=np.uint8)).save(mammogram)
    result = scan(*arguments, "--step", "12", "--everywhere", "--json")
    assert result.exit_code == 0, result.exception
    document = json.loads(result.stdout)
    assert len(document["tiles"]) == document["squares"] == 6


def kill_after(lines: int, journal: Path, *arguments: str) -> list[dict[str, Any]]:
    """Kill a scan once its journal has so many lines, head included; return them."""
    command = [sys.executable, "-m", "cryptml", *arguments]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 300
        while not (journal.exists() and journal.read_bytes().count(b"\n") >= lines):
            assert running.poll() is None, "the scan ended before it was killed"
            assert time.monotonic() < deadline, "the scan is too slow"
            time.sleep(0.01)
    finally:
        running.kill()
        running.wait()
    return [json.loads(line) for line in journal.read_bytes().split(b"\n")[:-1]]


def test_a_killed_scan_goes_on_where_it_was(
    arguments: list[str], mammogram: Path, tmp_path: Path, tiny_service: Any
) -> None:
    journal = tmp_path / "heat.png.journal"
    lines = kill_after(4, journal, *arguments)
    assert journal.stat().st_mode & 0o777 == 0o600
    assert "unfinished run; pass `resume`" in refused(JournalError, *arguments)
    others = [*arguments[:-3], "16", *arguments[-2:]]
    assert "run with other squares" in refused(JournalError, *others, "--resume")
    brighter = np.asarray(Picture.open(mammogram)).copy()
    brighter[30, 5] += 1
    Picture.fromarray(brighter).save(tmp_path / "other.png")
    assert "run with other picture" in refused(
        JournalError, "scan", str(tmp_path / "other.png"), *arguments[2:], "--resume"
    )
    content = journal.read_text()
    journal.write_text(content.replace(lines[0]["bundle"], "0" * 64))
    assert "run with other bundle" in refused(JournalError, *arguments, "--resume")
    journal.write_text(content.replace('"probabilities"', '"opinions"', 1))
    assert "is damaged: square" in refused(JournalError, *arguments, "--resume")
    journal.write_text(content)

    result = scan(*arguments, "--resume", "--json")
    assert result.exit_code == 0, result.exception
    tiles = {f"{tile['x']},{tile['y']},{tile['size']}": tile for tile in json.loads(result.stdout)["tiles"]}
    for line in lines[1:]:
        assert line["value"].items() <= tiles[line["name"]].items()  # its time too: it was not asked again
    assert not journal.exists()


def test_a_service_that_is_not_there(arguments: list[str], tmp_path: Path) -> None:
    refused(ServiceError, *arguments[:3], "http://127.0.0.1:9", *arguments[4:])
    assert not (tmp_path / "heat.png.journal").exists()


def test_what_cannot_be_scanned_is_refused_before_anything_is_sent(
    arguments: list[str], tmp_path: Path, tiny_service: Any
) -> None:
    dark = tmp_path / "dark.png"
    Picture.fromarray(np.zeros((64, 48), np.uint8)).save(dark)
    assert "no breast is found" in refused(ImageError, "scan", str(dark), *arguments[2:])
    Picture.fromarray(np.zeros((7, 9), np.uint8)).save(dark)
    assert "shorter side has 7 pixels" in refused(SettingError, "scan", str(dark), *arguments[2:-4])
    assert "smaller than the 8 pixels" in refused(ImageError, *arguments[:-4], "--tile", "6")
    assert "'odd' is none of them; name the one to show" in refused(SettingError, *arguments, "--positive", "odd")
    for place, message in (
        (str(tmp_path), "is a folder"),
        ("/", "is a folder"),
        (str(tmp_path / "no" / "h"), "is no f"),
    ):
        swapped = [place if each == str(tmp_path / "heat.png") else each for each in arguments]
        assert message in refused(SettingError, *swapped, "--force")
    assert not (tmp_path / "heat.png.journal").exists()


def test_small_pictures_get_squares_that_fit_and_the_class_can_be_chosen(
    arguments: list[str], tmp_path: Path, tiny: Network
) -> None:
    document = json.loads(scan(*arguments[:-4], "--step", "8", "--positive", tiny.classes[0], "--json").stdout)
    assert {tile["size"] for tile in document["tiles"]} == {8}
