"""ONNX files as front ends: what is installed, what is refused, and that nothing but what was installed is run."""

from __future__ import annotations

import json
import os
import runpy
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto

from cryptml.errors import NetworkError
from cryptml.networks.architectures.registry import load_architecture
from cryptml.networks.backbones import BackboneStore, running
from cryptml.networks.front_ends import Backbone, Deep, require_present, restore_front_end
from cryptml.networks.front_ends.scaling import IMAGENET_DEVIATION, IMAGENET_MEAN, SCALINGS, scaled
from cryptml.networks.textures import random_textures
from cryptml.processes import child
from tests.networks import onnx_files

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    yield tmp_path / "home" / "cryptml" / "backbones"
    running.RUNNING.close()


def written(folder: Path, model: ModelProto, name: str = "net.onnx") -> Path:
    file = folder / name
    file.write_bytes(onnx_files.bytes_of(model))
    return file


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize(("channels", "batch"), [(1, "batch"), (3, "batch"), (3, 1)])
def test_features_are_those_of_the_file_standardised_over_synthetic_pictures(
    tmp_path: Path, home: Path, scaling: str, channels: int, batch: int | str
) -> None:
    file = written(tmp_path, onnx_files.checked(onnx_files.usable(channels=channels, batch=batch)))
    found = BackboneStore().install(file)
    assert (found.name, found.channels, found.side) == ("net", channels, 16)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in home.iterdir()} == {0o600}
    front_end = Backbone.of("net", scaling=scaling)
    assert (front_end.side, front_end.shape) == (16, (onnx_files.FEATURES,))
    assert restore_front_end(json.loads(json.dumps(front_end.to_json()))) == front_end
    session = onnxruntime.InferenceSession(str(file))
    shown = np.concatenate([random_textures(16, 128, 7), random_textures(16, 40, 1)])
    expected = np.concatenate(
        [session.run(None, {"regions": scaled(each[None], scaling, channels)})[0] for each in shown]
    )
    known, rest = expected[:128], expected[128:]
    mean, deviation = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-3 * np.median(known.std(axis=0)))
    # Mean and deviation are kept with three digits.
    np.testing.assert_allclose(
        front_end.apply(shown[128:]), (rest - mean) / deviation, atol=0.02 * (1 + np.abs(mean / deviation).max())
    )


def test_colours_of_imagenet() -> None:
    grey = np.full((1, 8, 8), 0.5, np.float32)
    found = scaled(grey, "imagenet", 3)[0, :, 0, 0]
    np.testing.assert_allclose(
        found, [(0.5 - m) / d for m, d in zip(IMAGENET_MEAN, IMAGENET_DEVIATION, strict=True)], rtol=1e-5
    )


def test_the_pretrained_features_exported_are_the_same(tmp_path: Path) -> None:
    weights = ROOT / "cryptml/networks/front_ends/deep.safetensors"
    example = runpy.run_path(str(ROOT / "examples/export_backbone.py"))
    example["main"](str(weights), str(tmp_path / "deep.onnx"))
    found = BackboneStore().install(tmp_path / "deep.onnx")
    shown = random_textures(32, 20, 3)
    raw = BackboneStore().run(found.digest, scaled(shown, "standard", 1))
    own = Deep(32).apply(shown)
    scale, shift = np.polyfit(own[:, 5], raw[:, 5], 1)
    np.testing.assert_allclose(raw[:, 5], scale * own[:, 5] + shift, atol=1e-4)
    assert raw.shape == own.shape
    assert all(abs(np.corrcoef(a, b)[0, 1]) > 0.99999 for a, b in zip(raw.T, own.T, strict=True) if a.std() > 1e-4)


@pytest.mark.parametrize("name", onnx_files.SPOILED)
def test_what_is_no_backbone_is_refused_with_the_reason(tmp_path: Path, home: Path, name: str) -> None:
    spoil, said = onnx_files.SPOILED[name]
    model = onnx_files.usable()
    spoil(model)
    with pytest.raises(NetworkError) as caught:
        BackboneStore().install(written(tmp_path, model))
    assert str(caught.value).startswith("net.onnx cannot be a backbone: ")
    assert said in str(caught.value)
    assert not home.exists()


def test_all_problems_are_said_at_once(tmp_path: Path) -> None:
    model = onnx_files.usable()
    for name in ("a custom operator", "weights elsewhere", "two outputs", "an oblong input"):
        onnx_files.SPOILED[name][0](model)
    with pytest.raises(NetworkError) as caught:
        BackboneStore().install(written(tmp_path, model))
    for words in ("com.example", "other files", "2 outputs", "(batch, 1, 16, 20)"):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (onnx_files.expanding, "could not be run|cannot be a backbone"),
        (onnx_files.growing, "could not be run|cannot be a backbone"),
        (onnx_files.not_finite, "values that are not finite"),
        (onnx_files.too_many_features, "gives 16384 features for a region, 1 to 8192 are read"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_found_out_when_it_runs_costs_one_sentence(
    tmp_path: Path, make: object, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "MEMORY_BYTES", 1 << 30)
    assert callable(make)

    def install_and_run() -> None:  # constants are computed when it is loaded, the rest when it runs
        BackboneStore().install(written(tmp_path, make()))
        Backbone.of("net")

    with pytest.raises(NetworkError, match=said):
        install_and_run()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_refused_or_run(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever a byte is changed to: one sentence, or features that are finite."""
    whole = bytearray(onnx_files.bytes_of(onnx_files.usable()))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path / "damaged.onnx"
    file.write_bytes(
        bytes(whole[: data.draw(st.integers(0, len(whole)))]) if data.draw(st.booleans()) else bytes(whole)
    )
    try:
        loaded = running.LoadedBackbone(file.read_bytes(), "damaged")
    except NetworkError as error:
        assert str(error).startswith("damaged c")
        return
    try:
        side, channels = loaded.facts["side"] or 16, loaded.facts["channels"]
        found = loaded.run(np.zeros((2, channels, side, side), np.float32))
        assert np.isfinite(found).all()
    except NetworkError as error:
        assert str(error).startswith("damaged ")
    finally:
        loaded.close()


def test_a_file_that_was_altered_after_its_installation_is_not_run(tmp_path: Path, home: Path) -> None:
    found = BackboneStore().install(written(tmp_path, onnx_files.usable()))
    front_end = Backbone.of("net")
    running.RUNNING.close()
    stored = home / f"{found.digest}.onnx"
    stored.write_bytes(onnx_files.bytes_of(onnx_files.usable(seed=1)))
    with pytest.raises(NetworkError, match="was altered; remove it, and install it again"):
        front_end.apply(random_textures(16, 1))


def test_a_folder_that_others_can_write_is_not_trusted(tmp_path: Path, home: Path) -> None:
    BackboneStore().install(written(tmp_path, onnx_files.usable()))
    home.chmod(0o777)
    with pytest.raises(NetworkError, match="others can write into"):
        Backbone.of("net")


def test_what_is_not_installed_is_said_with_what_to_do(tmp_path: Path) -> None:
    found = BackboneStore().install(written(tmp_path, onnx_files.usable()))
    front_end = Backbone.of("net")
    BackboneStore().remove(found.digest)
    for act in (lambda: require_present(front_end), lambda: front_end.apply(random_textures(16, 1))):
        with pytest.raises(NetworkError, match=r"not installed here; get its ONNX file from whoever publishes it"):
            act()
    assert restore_front_end(front_end.to_json()) == front_end  # a service that only evaluates does without
    require_present(Deep(32))


def test_names_and_digests(tmp_path: Path) -> None:
    store = BackboneStore()
    one = store.install(written(tmp_path, onnx_files.usable(), "One Net.onnx"))
    assert store.install(written(tmp_path, onnx_files.usable(), "One Net.onnx")).digest == one.digest
    other = store.install(written(tmp_path, onnx_files.usable(seed=1), "other.onnx"))
    assert [each.name for each in store.installed()] == ["one-net", "other"]
    assert store.find(one.digest[:8]) == store.find("one-net")
    assert store.find(other.digest).name == "other"
    for name in ("o", one.digest[:7], "none"):
        with pytest.raises(NetworkError, match="no backbone is installed as"):
            store.find(name)
    with pytest.raises(NetworkError, match="another backbone is called other"):
        store.install(written(tmp_path, onnx_files.usable(seed=2)), "other")
    with pytest.raises(NetworkError, match="cannot be a backbone's name"):
        store.install(written(tmp_path, onnx_files.usable(seed=2)), "../up")


def test_a_process_that_dies_is_replaced(tmp_path: Path) -> None:
    found = BackboneStore().install(written(tmp_path, onnx_files.usable()))
    front_end = Backbone.of("net")
    before = front_end.apply(random_textures(16, 3))
    os.kill(running.RUNNING._loaded[found.digest]._child._process.pid, signal.SIGKILL)
    running.RUNNING._loaded[found.digest]._child._process.wait()
    np.testing.assert_array_equal(front_end.apply(random_textures(16, 3)), before)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"facts": None},
        {"facts": {"channels": 2, "side": 16, "batched": True, "parameters": 1, "opset": 17}},
        {"facts": {"channels": 1, "side": 10**9, "batched": True, "parameters": 1, "opset": 17}},
        {"facts": {"channels": 1, "side": 16, "batched": "yes", "parameters": 1, "opset": 17}},
        {"facts": {"channels": 1, "side": 16, "batched": True, "parameters": -1, "opset": 17}},
        {"facts": {"channels": 1, "side": 16, "batched": True, "parameters": 1, "opset": 17, "more": 1}},
        {"refused": "text"},
    ],
)
def test_a_process_that_was_taken_over_is_not_believed(
    said: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child.Child, "ask", lambda *_: said)
    with pytest.raises(NetworkError, match="no answer"):
        running.LoadedBackbone(b"", "net.onnx")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("onnx:", "unknown or given twice"),
        ("onnx:net,depth=3", "unknown or given twice"),
        ("onnx:net,side=16,side=16", "unknown or given twice"),
        ("onnx:net,side=x", "side=x of network"),
        ("onnx:net,side=1000", "side lies in"),
        ("onnx:net,side=32", "takes regions of side 16, not 32"),
        ("onnx:net,scaling=other", "no scaling 'other'; choose standard, unit, imagenet"),
        ("onnx:net,hidden=5000", "too large; give 0 to 1024"),
        ("onnx:nobody", "no backbone is installed as 'nobody'"),
    ],
)
def test_specifications_that_are_none(tmp_path: Path, spec: str, said: str) -> None:
    BackboneStore().install(written(tmp_path, onnx_files.usable()))
    with pytest.raises(NetworkError, match=said):
        load_architecture(spec)


def test_a_specification_names_the_file_by_its_digest(tmp_path: Path) -> None:
    found = BackboneStore().install(written(tmp_path, onnx_files.usable(side="side")))
    architecture = load_architecture("onnx:net,side=24,hidden=4")
    assert architecture.spec == f"onnx:{found.digest},side=24,scaling=standard,hidden=4"
    assert load_architecture(architecture.spec).front_end == architecture.front_end
    assert not architecture.is_own
    assert architecture.build(2)[-1].out_features == 2
