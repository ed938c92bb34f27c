"""Bundles whose digests are right and whose content is meant to cost, to break or to deceive the client."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from cryptml.bundle import ClientBundle
from cryptml.bundle.spot_checks import SpotChecks
from cryptml.errors import BundleError, CryptmlError
from cryptml.files import sha256
from cryptml.networks import FloatArray, Network
from cryptml.runtime import ClearEvaluator, run_split
from tests.bounds import ENDS_SECONDS

pytestmark = pytest.mark.encrypted


@dataclass
class Forged:
    """A bundle that somebody changes before he digests it."""

    manifest: dict[str, Any]
    files: dict[str, bytes]

    def taken(self, text: Callable[[str], str] = lambda text: text) -> ClientBundle:
        """Return what the client makes of it."""
        for name, data in self.files.items():
            self.manifest["files"][name] = {"sha256": sha256(data), "bytes": len(data)}
        return ClientBundle.parse(text(json.dumps(self.manifest)).encode(), self.files)

    def layers(self) -> list[dict[str, Any]]:
        return [layer for step in self.manifest["steps"] if step["side"] == "C" for layer in step["layers"]]


@pytest.fixture
def forged(build_tiny: Any) -> Forged:
    folder = build_tiny("SCSCS").folder / "client"
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}
    return Forged(json.loads((folder / "manifest.json").read_text()), files)


def refused(taken: Callable[[], object]) -> str:
    """Return the sentence, which is one, and came soon."""
    began = time.monotonic()
    with pytest.raises(BundleError) as caught:
        taken()
    assert time.monotonic() - began < ENDS_SECONDS
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) <= 2000
    return text


@pytest.mark.parametrize(
    "many",
    [
        '[{"side":"C"}' + ',{"side":"C"}' * 60_000 + "]",
        "[[]" + ",[]" * 100_000 + "]",
        "[{}" + ",{}" * 5_000_000 + "]",
    ],
    ids=["steps", "lists", "objects"],
)
@pytest.mark.parametrize("place", ["steps", "classes", "files"])
def test_a_document_of_very_many_wrong_values_is_refused_soon(forged: Forged, place: str, many: str) -> None:
    forged.manifest[place] = "@"
    document = json.dumps(forged.manifest).replace('"@"', many).encode()
    refused(lambda: ClientBundle.file_names(document))


@pytest.mark.parametrize("scale", [5e-324, 1e-300, 1e-40, 1e30, 1e300])
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_scale_beyond_what_float32_divides_by_is_refused(forged: Forged, place: str, scale: float) -> None:
    forged.manifest[place]["scale"] = [scale]
    assert "must lie in" in refused(forged.taken)


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("name", ["scale", "zero"])
def test_a_grid_that_is_withheld_is_noticed_before_anything_is_asked(forged: Forged, place: str, name: str) -> None:
    forged.manifest[place][name] = []
    assert "withholds the grid" in refused(forged.taken)


def test_whatever_scale_and_zero_are_taken_numpy_has_nothing_to_warn_of(
    forged: Forged, tiny: Network, tiny_regions: FloatArray
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for scale in (2.0**-64, 1e-12, 1.0, 2.0**64):
            for zero in (-(2**31), 0, 2**31):
                for place in ("first", "last"):
                    forged.manifest[place] |= {"scale": [scale], "zero": [zero]}
                try:
                    answer = run_split(forged.taken(), tiny_regions[0], ClearEvaluator(tiny))
                except CryptmlError:
                    continue
                assert np.isfinite(answer.probabilities).all()


@pytest.mark.parametrize("name", ["\x1b[2Jred", "two\nlines", "\u202ethgir", "\u200b", "\ud800"])
def test_a_class_whose_name_cannot_be_shown_is_refused(forged: Forged, name: str) -> None:
    forged.manifest["classes"][0] = name
    assert "cannot be shown" in refused(forged.taken)


@pytest.mark.parametrize("version", ["\x1b[2J", "2.10.0\n", "\u202e0.01.2"])
def test_a_version_is_told_in_one_printable_line(forged: Forged, version: str) -> None:
    forged.manifest["created_with"]["concrete-python"] = version
    assert "was built with concrete-python" in refused(forged.taken)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "\u202e", "x" * 1_000_000])
def test_a_member_of_a_strange_name_is_told_in_one_printable_line(forged: Forged, name: str) -> None:
    forged.manifest["created_with"][name] = 5
    refused(forged.taken)


@pytest.mark.parametrize("name", ["X" * 100_000, "a\nb\x1b[2J"])
def test_a_tensor_of_a_strange_name_or_type_is_told_in_one_printable_line(forged: Forged, name: str) -> None:
    right = forged.files["weights.safetensors"]
    forged.files["weights.safetensors"] = save({**load(right), name: np.zeros(1, np.float32)})
    refused(forged.taken)
    forged.files["weights.safetensors"] = save({**load(right), name: np.zeros(1, np.int8)})
    refused(forged.taken)
    size = int.from_bytes(right[:8], "little")
    head = json.loads(right[8 : 8 + size])
    next(iter(head.values()))["dtype"] = name
    text = json.dumps(head).encode()
    forged.files["weights.safetensors"] = len(text).to_bytes(8, "little") + text + right[8 + size :]
    refused(forged.taken)


def test_weights_beyond_what_64_bits_hold_are_refused_not_wrapped(forged: Forged) -> None:
    tensors = load(forged.files["weights.safetensors"])
    for step in forged.manifest["steps"]:
        for boundary in (step.get("reads"), *(step.get("circuit", {}).get(each) for each in ("reads", "writes"))):
            if boundary is not None:
                boundary["low"], boundary["high"] = -(2**31), 2**31
    for name, tensor in tensors.items():
        tensors[name] = np.full(tensor.shape, 2**31 - 1, np.int64)
    forged.files["weights.safetensors"] = save(tensors)
    refused(forged.taken)


def test_more_integers_than_a_client_holds_are_refused_before_they_take_64_bits_each(forged: Forged) -> None:
    tensors = load(forged.files["weights.safetensors"])
    tensors["act1.table"] = np.zeros((1 << 20, 16), np.int8)
    forged.files["weights.safetensors"] = save(tensors)
    assert "integers in" in refused(forged.taken)


def test_more_tensors_or_layers_than_any_network_has_are_refused_soon(forged: Forged) -> None:
    tensors = load(forged.files["weights.safetensors"])
    right = forged.files["weights.safetensors"]
    forged.files["weights.safetensors"] = save({**tensors, **{f"x{i}.a": np.zeros(0, np.int8) for i in range(30_000)}})
    assert "integers in" in refused(forged.taken)
    forged.files["weights.safetensors"] = right
    pool = {"name": "p", "kind": "pooling", "kernel": [1, 1], "stride": [1, 1]}
    layer = forged.layers()[0]
    inner = {"kind": "residual", "body": [{**pool, "name": f"p{i}"} for i in range(64)], "shortcut": []}
    layer |= {"kind": "residual", "body": [{**inner, "name": f"r{i}"} for i in range(64)], "shortcut": []}
    assert "more than 2048 layers" in refused(forged.taken)


def test_two_layers_of_one_name_do_not_share_tensors(forged: Forged) -> None:
    step = next(step for step in forged.manifest["steps"] if step["side"] == "C")
    step["layers"] += [step["layers"][0]] * 3
    assert "two layers of one name" in refused(forged.taken)


def test_layers_that_make_maps_without_an_end_are_refused(forged: Forged) -> None:
    tensors = load(forged.files["weights.safetensors"])
    layer = forged.layers()[0]
    layer |= {"kind": "convolution", "stride": [1, 1], "padding": [256, 256], "groups": 1}
    tensors = {name: each for name, each in tensors.items() if not name.startswith(layer["name"])}
    for outputs, side in ((2048, 1), (2, 300)):
        tensors[f"{layer['name']}.weight"] = np.ones((outputs, 2, side, side), np.int8)
        tensors[f"{layer['name']}.bias"] = np.zeros(outputs, np.int8)
        forged.files["weights.safetensors"] = save(tensors)
        assert "values" in (said := refused(forged.taken)) or "multiplications" in said


def test_an_end_that_is_no_list_of_one_value_a_class_is_refused(forged: Forged) -> None:
    """A split whose last layer is the client's ends in any shape that the layer gives; its values have no names then."""
    manifest = forged.manifest
    del manifest["steps"][-1], manifest["files"]["circuit-2.json"], forged.files["circuit-2.json"]
    manifest |= {"split": "SCSC", "classes": ["a", "b", "c", "d"]}
    manifest["last"] |= {"shape": [4, 2, 2], "low": 0, "high": 3, "scale": [1.0], "zero": [0]}
    assert "for 4 classes" in refused(forged.taken)


def test_spot_checks_of_many_regions_are_refused(forged: Forged) -> None:
    answers = np.zeros((300, 2), np.int64)
    forged.files["spot-checks.safetensors"] = SpotChecks(np.zeros((300, 8, 8), np.float32), answers, answers).pack()
    assert "spot checks" in refused(forged.taken)
