"""Building a bundle: what comes of it, and what it never overwrites."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cryptml.bundle import ClientBundle, ClientStep, ServerBundle
from cryptml.bundle.build import build_bundle
from cryptml.errors import BundleError, CircuitError, SettingError, SplitError
from cryptml.fhe.backends.base import SERVER_FILES, Compiled
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.settings import CompilerSettings
from cryptml.networks import Network
from cryptml.runtime import ClearEvaluator, run_split
from cryptml.splits import Segment, Split
from tests.bundle.bundle_samples import SIDE, sample_network

Bundles = Callable[[str], Path]


def never(network: Network, segment: Segment, settings: CompilerSettings) -> Compiled:
    raise AssertionError("nothing is to be compiled")


def build(network: Network, split: str, out: Path, **more: object) -> ServerBundle:
    options = {"backend": never} | more
    return build_bundle(network, Split(split), out, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("split", ["CSSSC", "SCSCS", "SSSSS"])
def test_both_halves_come_back_and_know_each_other(built: Bundles, network: Network, split: str) -> None:
    folder = built(split)
    server, client = ServerBundle.load(folder), ClientBundle.load(folder / "client")
    assert server.digest == client.digest
    assert (server.model, server.split) == (client.model, str(client.split)) == ("sample", split)
    assert (client.first, client.last) == (network.boundaries[0], network.boundaries[-1])
    assert (client.classes, client.front_end) == (network.classes, network.front_end)
    assert client.positive == network.positive_class
    assert client.size_bytes == sum(path.stat().st_size for path in (folder / "client").iterdir())
    assert [step.index for step in client.server_steps] == list(range(len(server.circuits)))
    found = [step.segment if isinstance(step, ClientStep) else step.circuit.segment for step in client.steps]
    assert found == [segment for _, segment in Split(split).segments]
    for step, public in zip(client.server_steps, server.circuits, strict=True):
        assert step.circuit.to_json() == public
        assert sorted(path.name for path in server.circuit_folder(step.index).iterdir()) == sorted(SERVER_FILES)


@pytest.mark.parametrize("split", ["CSSSC", "SCSCS", "SSSSS", "CCCCC"])
def test_a_client_gets_the_logits_of_the_unsplit_network(
    built: Bundles, network: Network, split: str, tmp_path: Path
) -> None:
    folder = built(split)
    client = ClientBundle.load(folder / "client")
    regions = np.random.default_rng(4).random((12, SIDE, SIDE), dtype=np.float32)
    answers = [run_split(client, region, ClearEvaluator(network)) for region in regions]
    expected = network.run(network.quantise(regions))
    assert np.array_equal([answer.integers for answer in answers], expected)
    assert len(np.unique(expected, axis=0)) > 1
    assert np.array_equal([answer.logits for answer in answers], network.logits(regions))


def test_the_client_learns_no_grid_between_the_first_and_the_last_boundary(built: Bundles) -> None:
    client = ClientBundle.load(built("SCSCS") / "client")
    for step in client.steps:
        read = [step.reads] if isinstance(step, ClientStep) else [step.circuit.reads, step.circuit.writes]
        assert all(boundary.scale == () and boundary.zero == (0,) for boundary in read)


def test_a_split_without_server_layers_needs_no_circuit(network: Network, tmp_path: Path) -> None:
    bundle = build(network, "CCCCC", tmp_path / "new" / "deep")
    assert bundle.circuits == ()
    assert sorted(path.name for path in (tmp_path / "new" / "deep" / "server").iterdir()) == ["manifest.json"]
    assert not ClientBundle.load(tmp_path / "new" / "deep" / "client").server_steps


def test_progress_is_told_before_each_compilation(network: Network, tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []

    def refuse(network: Network, segment: Segment, settings: CompilerSettings) -> Compiled:
        if len(told) == 2:
            raise CircuitError("does not compile")
        return compile_integer_program(network, segment, settings)

    with pytest.raises(CircuitError, match="does not compile"):
        build(
            network,
            "SCSCC",
            tmp_path / "b",
            backend=refuse,
            progress=lambda *what: told.append((*what[:2], str(what[2]))),
        )
    assert told == [(1, 2, "0-1"), (2, 2, "2-3")]
    assert not any(tmp_path.iterdir()), "a failed build leaves nothing behind"


def test_a_split_that_does_not_fit_is_refused(network: Network, tmp_path: Path) -> None:
    with pytest.raises(SplitError, match="3 letters but the network has 5 layers"):
        build(network, "SSS", tmp_path / "b")


@pytest.mark.parametrize("p_error", [0.0, 1.0, -0.5, 2.0, float("nan")])
def test_a_p_error_that_is_no_probability_is_refused(p_error: float) -> None:
    with pytest.raises(SettingError, match=rf"p_error is {p_error}; it lies between 0 and 1"):
        CompilerSettings(p_error)


def test_an_existing_bundle_is_replaced_with_force_alone(network: Network, tmp_path: Path) -> None:
    out = tmp_path / "b"
    build(network, "CCCCC", out)
    other = sample_network("other")
    with pytest.raises(BundleError, match="b exists; choose another folder or pass `force`"):
        build(other, "CCCCC", out)
    assert ServerBundle.load(out).model == "sample"
    assert build(other, "CCCCC", out, force=True).model == "other"
    assert [entry.name for entry in tmp_path.iterdir()] == ["b"]


def test_a_bundle_of_another_version_or_half_a_bundle_may_be_replaced(network: Network, tmp_path: Path) -> None:
    out = tmp_path / "b"
    build(network, "CCCCC", out)
    manifest = out / "server" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format_version": 99}))
    build(network, "CCCCC", out, force=True)
    (out / "server" / "manifest.json").unlink()
    (out / "server").rmdir()
    assert build(network, "CCCCC", out, force=True).split == "CCCCC"


def test_an_empty_folder_may_be_filled(network: Network, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    assert build(network, "CCCCC", tmp_path / "b").model == "sample"


def a_file(out: Path) -> None:
    out.write_text("precious")


def a_folder(out: Path) -> None:
    out.mkdir()
    (out / "precious").write_text("precious")


def a_web_project(out: Path) -> None:
    for half in ("client", "server"):
        (out / half).mkdir(parents=True)
        (out / half / "precious").write_text("precious")


def a_web_extension(out: Path) -> None:
    a_web_project(out)
    (out / "client" / "manifest.json").write_text('{"name": "precious", "format": 3}')
    (out / "server" / "manifest.json").write_text("[]")


def swapped(out: Path) -> None:
    build(sample_network(), "CCCCC", out)
    (out / "client").rename(out / "x")
    (out / "server").rename(out / "client")
    (out / "x").rename(out / "server")


def more_than_a_bundle(out: Path) -> None:
    build(sample_network(), "CCCCC", out)
    (out / "precious").write_text("precious")


def a_link_to_a_bundle(out: Path) -> None:
    build(sample_network(), "CCCCC", out.with_name("real"))
    out.symlink_to(out.with_name("real"))


def a_dangling_link(out: Path) -> None:
    out.symlink_to(out.with_name("nowhere"))


@pytest.mark.parametrize(
    "occupy",
    [
        a_file,
        a_folder,
        a_web_project,
        a_web_extension,
        swapped,
        more_than_a_bundle,
        a_link_to_a_bundle,
        a_dangling_link,
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_what_is_not_a_bundle_is_never_overwritten(
    network: Network, tmp_path: Path, occupy: Callable[[Path], None], force: bool
) -> None:
    occupy(tmp_path / "b")
    before = sorted((str(path), os.lstat(path).st_mtime_ns) for path in tmp_path.rglob("*"))
    with pytest.raises(BundleError, match="b exists and is not a bundle; choose another folder"):
        build(network, "CCCCC", tmp_path / "b", force=force)
    assert sorted((str(path), os.lstat(path).st_mtime_ns) for path in tmp_path.rglob("*")) == before


def test_two_builds_are_never_the_same_bundle(network: Network, tmp_path: Path) -> None:
    """A client that goes on with an interrupted scan must not mix the answers of two networks."""
    digests = {build(network, "CCCCC", tmp_path / name).digest for name in ("one", "other")}
    assert len(digests) == 2
