"""Who names the wrong kind of thing hears what it is, and which command is missing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptml_server.base.models import ModelRegistry
from typer.testing import CliRunner

from cryptml.bundle.build import build_bundle
from cryptml.bundle.server import ServerBundle
from cryptml.cli.main import app
from cryptml.errors import BundleError, CryptmlError, NetworkError, ReportError
from cryptml.networks import load_network, resolve_network
from cryptml.networks.path_kinds import kind_of
from cryptml.profiler.plan.report import load_report
from cryptml.splits import Split
from tests.bundle.bundle_samples import sample_network

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("things")
    build_bundle(sample_network(), Split("CCCCC"), folder / "bundle", backend=None)  # type: ignore[arg-type]
    shutil.copytree(folder / "bundle" / "client", folder / "client-alone")
    shutil.copytree(folder / "bundle" / "server", folder / "server-alone")
    shutil.copytree(folder / "bundle" / "client", folder / "given" / "client")
    (folder / "empty").mkdir()
    (folder / "other").mkdir()
    (folder / "other" / "letter.txt").write_text("to whom it may concern")
    for name in ("net", "begun"):
        (folder / f"{name}.unfinished").mkdir()
        (folder / f"{name}.unfinished" / "state.json").write_text('{"format": "cryptml-training-checkpoint"}')
    (folder / "begun").mkdir()
    return {
        "network": resolve_network("tiny"),
        "report": next(iter(sorted((ROOT / "profiles").rglob("*.json")))),
        "unfinished": folder / "net.unfinished",
        "finished name": folder / "net",
        **{each.name: each for each in folder.iterdir()},
    }


LOAD: dict[str, tuple[Callable[[Path], object], type[CryptmlError]]] = {
    "network": (load_network, NetworkError),
    "report": (load_report, ReportError),
    "bundle": (ServerBundle.load, BundleError),
}


@pytest.mark.parametrize(
    ("wanted", "given", "said"),
    [
        (
            "bundle",
            "network",
            "is the folder of a network, not a bundle; build one from it with cryptml build {path} --out BUNDLE",
        ),
        (
            "bundle",
            "report",
            "is a report of split-profiler run, not a bundle; build one by it with cryptml build NETWORK --report",
        ),
        (
            "bundle",
            "client-alone",
            "is the client half of a bundle alone; a service needs both, in one folder: cryptml build NETWORK",
        ),
        ("bundle", "server-alone", "is the server half of a bundle alone; a service needs both"),
        ("bundle", "bundle/client", "is the client half of a bundle alone; name the folder of both halves, {bundle}"),
        ("bundle", "bundle/server", "is the server half of a bundle alone; name the folder of both halves, {bundle}"),
        (
            "bundle",
            "given",
            "has no server half, which a service needs; copy the whole folder, or build it again with cryptml build",
        ),
        ("bundle", "empty", "is an empty folder; build a bundle with cryptml build NETWORK --out {path}"),
        (
            "bundle",
            "other",
            "is a folder without a bundle in it; name another, or build a bundle with cryptml build NETWORK",
        ),
        (
            "report",
            "other",
            "is a folder without a report in it; name another, or measure a report with split-profiler",
        ),
        (
            "network",
            "other",
            "is a folder without a network in it; name another, or train a network with cryptml train",
        ),
        ("bundle", "unfinished", "is an unfinished training; repeat its cryptml train with --resume"),
        (
            "report",
            "network",
            "is the folder of a network, not a report; measure one with split-profiler run {path} --out",
        ),
        (
            "report",
            "bundle",
            "is the folder of a bundle, not a report; name the network that it was built from, to split-profiler",
        ),
        (
            "report",
            "empty",
            "is an empty folder; measure a report with split-profiler run NETWORK --out {path}/report.json",
        ),
        (
            "network",
            "report",
            "is a report of split-profiler run, not a network; name the network that it was measured of",
        ),
        ("network", "bundle", "is the folder of a bundle, not a network; name the network that it was built from"),
        ("network", "client-alone", "is the client half of a bundle alone; name the network that it was built from"),
        ("network", "empty", "is an empty folder; train a network with cryptml train --dataset DATASET --out {path}"),
        ("network", "unfinished", "is an unfinished training; repeat its cryptml train with --resume"),
        ("network", "finished name", "the training of {path} is unfinished; repeat its cryptml train with --resume"),
        ("network", "begun", "the training of {path} is unfinished; repeat its cryptml train with --resume"),
    ],
)
def test_the_wrong_kind_is_named_with_what_is_missing(
    things: dict[str, Path], wanted: str, given: str, said: str
) -> None:
    path = things["bundle"] / given.partition("/")[2] if "/" in given else things[given]
    load, error = LOAD[wanted]
    with pytest.raises(error) as caught:
        load(path)
    assert said.format(path=path, bundle=things["bundle"]) in str(caught.value)
    assert str(caught.value).startswith((str(path), "the training of"))


@pytest.mark.parametrize("name", ["network", "report", "bundle"])
def test_the_right_kind_is_read(things: dict[str, Path], name: str) -> None:
    assert kind_of(things[name]) == name
    LOAD[name][0](things[name])


def test_names_of_shipped_networks_are_no_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        BundleError, match="deep is a shipped network, not a bundle; build one with cryptml build deep --out"
    ):
        ModelRegistry([Path("deep")])
    with pytest.raises(
        ReportError, match=r"deep is a shipped network, not a report; measure one with split-profiler run deep"
    ):
        load_report(Path("deep"))
    with pytest.raises(
        BundleError, match="there is no bundle at none; build one with cryptml build NETWORK --out BUNDLE"
    ):
        ModelRegistry([Path("none")])


def test_serve_says_which_command_is_missing(things: dict[str, Path], tmp_path: Path) -> None:
    command = ["serve", str(things["network"]), "--data", str(tmp_path / "data"), "--port", "0"]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, BundleError)
    assert "build one from it with cryptml build" in str(result.exception)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"format": "something else"}'])
def test_what_is_none_of_ours_has_no_kind(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "network.json").write_bytes(content)
    assert kind_of(tmp_path) is None
    assert kind_of(tmp_path / "network.json") is None
    assert kind_of(tmp_path / "none") is None
