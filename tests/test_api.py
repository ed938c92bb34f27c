"""What ``import cryptml`` offers, as a notebook calls it: each call does what the command of its name does."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args, get_type_hints

import httpx
import pytest
from cryptml_server.base.settings import Settings

import cryptml
from cryptml.arguments import BuildArguments, ProfileArguments, ServeArguments, TrainArguments
from cryptml.building import BuildRequest
from cryptml.errors import BundleError, MeasurementError, SettingError, SplitError
from cryptml.fhe.settings import Rounding
from cryptml.listening import Bar, SilentListener
from cryptml.profiler.plan.choice import Constraints
from cryptml.profiler.request import ProfileRequest
from cryptml.training.request import TrainingRequest


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
        cryptml.train("phantom", tmp_path / "network", "tiny", epoch=1)  # type: ignore[call-arg]
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


def hints(kind: type, **names: Any) -> dict[str, Any]:
    return get_type_hints(kind, localns=names)


@pytest.mark.parametrize(
    ("options", "request_", "named"),
    [
        (TrainArguments, TrainingRequest, {"dataset", "network"}),
        (ProfileArguments, ProfileRequest, {"network"}),
        (BuildArguments, BuildRequest, {"network", "split"}),
    ],
)
def test_options_are_the_attributes_of_a_request(options: type, request_: type, named: set[str]) -> None:
    wanted = {name: hint for name, hint in hints(request_).items() if name not in named}
    assert hints(options, Rounding=Rounding, Constraints=Constraints) == wanted


def test_options_of_a_service_are_its_settings() -> None:
    wanted: dict[str, Any] = {
        name: field.annotation for name, field in Settings.model_fields.items() if name != "bundles"
    }
    given = hints(ServeArguments)
    assert list(given) == list(wanted)
    for name, hint in wanted.items():
        texts = str if Path in (hint, *get_args(hint)) else hint
        assert given[name] == hint | texts, name


@pytest.mark.parametrize("kind", [TrainArguments, ProfileArguments, BuildArguments, ServeArguments])
def test_each_option_says_what_it_is(kind: type) -> None:
    described = re.findall(r"^    (\w+): \S", inspect.getdoc(kind) or "", re.MULTILINE)
    assert described == list(kind.__annotations__)


def test_a_listener_hears_of_a_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []

    class Listening(SilentListener):
        @contextmanager
        def bar(self, what: str, total: int) -> Iterator[Bar]:
            heard.append((what, total))
            yield lambda done, total=None, what=None: heard.append((done, total, what))

    def measured(*given: Any, **_: Any) -> Any:
        given[-1].update(done=0, total=15, what="segment 0-1", remaining_s=None)
        given[-1].update(done=1, total=15, what="segment 0-2", remaining_s=7.4)
        raise MeasurementError("enough")

    monkeypatch.setattr("cryptml.profiler.request.profile_network", measured)
    for listener in (Listening(), None):
        with pytest.raises(MeasurementError):
            cryptml.profile("tiny", tmp_path / "report.json", listener=listener)
    assert heard == [("segments", 1), (0, 15, "segment 0-1"), (1, 15, "segment 0-2, about 7 s left")]


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
