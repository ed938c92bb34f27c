"""What ``import cryptml`` offers, as a notebook calls it: each call does what the command of its name does."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

import cryptml
from cryptml.errors import BundleError, SettingError, SplitError


def test_the_public_names_are_these() -> None:
    assert sorted(set(dir(cryptml)) - {"__version__"}) == [
        "Network",
        "Split",
        "build",
        "load_network",
        "profile",
        "serve",
        "train",
    ]
    for name in ("build", "profile", "serve", "train"):
        assert inspect.getdoc(getattr(cryptml, name))
    with pytest.raises(AttributeError, match="no attribute 'predict'"):
        _ = cryptml.predict


def test_importing_it_imports_nothing_heavy() -> None:
    script = "import cryptml, sys; cryptml.Split('CS'); print([x for x in ('torch', 'fastapi', 'concrete') if x in sys.modules])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_from_data_to_a_bundle(tmp_path: Path) -> None:
    trained = cryptml.train("phantom:images=60", tmp_path / "network", "tiny", epochs=1, teacher=False, views=1, seed=3)
    network = cryptml.load_network(tmp_path / "network")
    assert [layer.name for layer in network.layers] == [layer.name for layer in trained.network.layers]
    assert trained.document == json.loads((tmp_path / "network/figures.json").read_text())
    split = cryptml.Split("C" * len(network))
    built = cryptml.build(tmp_path / "network", tmp_path / "bundle", split, spot_checks=0, measure=False)
    assert built.split == split
    assert (built.folder, built.bundle.circuits, built.spot_checks) == (tmp_path / "bundle", (), None)


def test_what_is_wrong_is_said_as_on_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="epoch"):
        cryptml.train("phantom", tmp_path / "network", "tiny", epoch=1)
    with pytest.raises(SettingError, match="similarity"):
        cryptml.train("phantom", tmp_path / "network", "tiny", similarity=2.0, teacher=False)
    with pytest.raises(SplitError):
        cryptml.build("tiny", tmp_path / "bundle", "CS")
    with pytest.raises(SettingError, match=r"`bandwidth_mbps` is 0.*`rtt_ms` is -1"):
        cryptml.profile("tiny", tmp_path / "report.json", bandwidth_mbps=0, rtt_ms=-1)
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(SettingError, match="exists"):
        cryptml.profile("tiny", tmp_path / "report.json")
    with pytest.raises(BundleError):
        cryptml.serve(tmp_path / "nothing", data=tmp_path / "data", port=0, insecure_anonymous=True)


def test_a_service_says_where_it_is_and_answers(tmp_path: Path) -> None:
    cryptml.build("tiny", tmp_path / "bundle", "CCCCC", spot_checks=0, measure=False)
    script = (
        "import cryptml, sys\n"
        "cryptml.serve(sys.argv[1], data=sys.argv[2], port=0, insecure_anonymous=True, announce=lambda line: print(line, flush=True))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "bundle"), str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watch = threading.Timer(120, process.kill)
        watch.start()
        try:
            line = (process.stdout or pytest.fail("no output")).readline()
            assert line.startswith("serving tiny at http://127.0.0.1:")
            found: Any = httpx.get(f"{line.split()[-1]}/v1/models", timeout=60).json()
            assert [each["model"] for each in found["models"]] == ["tiny"]
        finally:
            process.terminate()
            process.wait(60)
            watch.cancel()
