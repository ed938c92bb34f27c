"""Bundles that somebody damaged, mixed up or forged."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptml.bundle import ClientBundle, ClientStep, ServerBundle
from cryptml.bundle.build import build_bundle
from cryptml.bundle.manifest import check_name
from cryptml.errors import BundleError
from cryptml.files import sha256
from cryptml.networks import Network
from cryptml.splits import Split
from tests.bundle.bundle_samples import sample_network

Bundles = Callable[[str], Path]
CLIENT_FILES = ["weights.safetensors", "circuit-0.json"]
SERVER_FILES = ["circuit-0/sharedlib.so", "circuit-0/program_info.concrete.params.json"]
ALL_FILES = [f"client/{name}" for name in CLIENT_FILES] + [f"server/{name}" for name in SERVER_FILES]


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        ServerBundle.load(folder)
    if (folder / "client" / "manifest.json").is_file() and "client half" in str(caught.value):
        with pytest.raises(BundleError):
            ClientBundle.load(folder / "client")
    return str(caught.value)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


# Folders.


@pytest.mark.parametrize("name", ALL_FILES)
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    half, _, file = name.partition("/")
    assert f"the {half} half of bundle 'mine' is damaged: {file} is missing; build it again" in refusal(bundle)


@pytest.mark.parametrize("name", ALL_FILES)
def test_one_altered_bit_is_found_and_the_file_named(bundle: Path, name: str) -> None:
    flip(bundle / name)
    assert f"{name.partition('/')[2]} was altered" in refusal(bundle)


@pytest.mark.parametrize("name", ALL_FILES)
def test_a_longer_file_is_named(bundle: Path, name: str) -> None:
    with (bundle / name).open("ab") as stream:
        stream.write(b"\0")
    assert f"{name.partition('/')[2]} was altered" in refusal(bundle)


@pytest.mark.parametrize(
    "name", ["client/extra.so", "server/circuit-0/extra.so", "server/circuit-1/sharedlib.so", "client/.hidden"]
)
def test_an_added_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_bytes(b"")
    assert f"{name.partition('/')[2]} is not in the manifest" in refusal(bundle)


@pytest.mark.parametrize("name", ALL_FILES)
def test_a_link_in_place_of_a_file_is_named(bundle: Path, tmp_path: Path, name: str) -> None:
    (bundle / name).rename(tmp_path / "elsewhere")
    (bundle / name).symlink_to(tmp_path / "elsewhere")
    assert f"{name.partition('/')[2]} is a link" in refusal(bundle)


def test_a_linked_folder_is_named(bundle: Path, tmp_path: Path) -> None:
    (bundle / "server" / "more").symlink_to(tmp_path)
    assert "more is not in the manifest" in refusal(bundle)


def test_all_damage_is_told_at_once(bundle: Path) -> None:
    (bundle / "client" / "extra").write_text("")
    (bundle / "client" / "circuit-0.json").unlink()
    flip(bundle / "client" / "weights.safetensors")
    with pytest.raises(BundleError) as caught:
        ClientBundle.load(bundle / "client")
    for part in ("circuit-0.json is missing", "extra is not in the manifest", "weights.safetensors was altered"):
        assert part in str(caught.value)


def test_no_bundle_at_all_is_refused_with_the_way_to_one(tmp_path: Path) -> None:
    for missing in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(BundleError, match=r"no bundle at|is an empty folder; build a bundle with cryptml build"):
            ServerBundle.load(missing)
    with pytest.raises(BundleError, match="build one with cryptml build"):
        ServerBundle.load(tmp_path / "nowhere")


@pytest.mark.parametrize("half", ["client", "server"])
def test_a_missing_manifest_or_half_is_refused(bundle: Path, half: str) -> None:
    (bundle / half / "manifest.json").unlink()
    assert f"has no {half} half, which a service needs" in refusal(bundle)
    shutil.rmtree(bundle / half)
    assert f"has no {half} half, which a service needs" in refusal(bundle)


@pytest.mark.parametrize("half", ["client", "server"])
def test_another_format_version_is_refused_with_both(bundle: Path, half: str) -> None:
    edit(bundle / half / "manifest.json", lambda document: document.update(format_version=7))
    if half == "client":
        with pytest.raises(BundleError, match="format version 7, this program reads 1"):
            ClientBundle.load(bundle / "client")
        assert "not the one that the server half was built with" in refusal(bundle)
    else:
        assert "format version 7, this program reads 1" in refusal(bundle)


@pytest.mark.parametrize("version", ["1.0.0", None])
@pytest.mark.parametrize("half", ["client", "server"])
def test_another_concrete_is_refused_with_both_versions(bundle: Path, half: str, version: str | None) -> None:
    ours = json.loads((bundle / half / "manifest.json").read_text())["created_with"]["concrete-python"]

    def change(document: dict[str, Any]) -> None:
        document["created_with"].pop("concrete-python")
        if version:
            document["created_with"]["concrete-python"] = version

    edit(bundle / half / "manifest.json", change)
    with pytest.raises(BundleError, match=f"concrete-python {version}, here is {ours}; install that version"):
        ClientBundle.load(bundle / "client") if half == "client" else ServerBundle.load(bundle)


def test_the_clients_half_of_another_bundle_is_refused(bundle: Path, network: Network, tmp_path: Path) -> None:
    build_bundle(sample_network("other", seed=8), Split("CCCCC"), tmp_path / "other", backend=None)  # type: ignore[arg-type]
    shutil.rmtree(bundle / "client")
    shutil.copytree(tmp_path / "other" / "client", bundle / "client")
    assert "client/manifest.json of bundle 'mine' is not the one that the server half was built with" in refusal(bundle)


def test_the_manifest_of_another_bundle_is_refused(bundle: Path, built: Bundles) -> None:
    shutil.copyfile(built("SCSCS") / "client" / "manifest.json", bundle / "client" / "manifest.json")
    assert "not the one that the server half was built with" in refusal(bundle)
    with pytest.raises(BundleError, match=r"circuit-1.json is missing"):
        ClientBundle.load(bundle / "client")


def test_swapped_halves_are_refused(bundle: Path) -> None:
    (bundle / "client").rename(bundle / "x")
    (bundle / "server").rename(bundle / "client")
    (bundle / "x").rename(bundle / "server")
    assert "the server bundle's manifest breaks its schema" in refusal(bundle)
    assert "cryptml-server-bundle" in refusal(bundle)
    with pytest.raises(BundleError, match="the client bundle's manifest breaks its schema"):
        ClientBundle.load(bundle / "client")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../b", "a/b/c", "..", "A", "a\n"])
def test_a_manifest_cannot_name_a_file_outside(bundle: Path, name: str) -> None:
    entry = {"sha256": "0" * 64, "bytes": 0}
    edit(bundle / "client" / "manifest.json", lambda document: document["files"].update({name: entry}))
    manifest = (bundle / "client" / "manifest.json").read_bytes()
    for read in (
        lambda: ClientBundle.load(bundle / "client"),
        lambda: ClientBundle.file_names(manifest),
        lambda: ClientBundle.parse(manifest, {}),
    ):
        with pytest.raises(BundleError, match="breaks its schema.*files"):
            read()


# Bytes that came over a network.


@pytest.fixture(scope="session")
def sent(built: Bundles) -> tuple[bytes, dict[str, bytes]]:
    folder = built("CSSSC") / "client"
    manifest = (folder / "manifest.json").read_bytes()
    return manifest, {name: (folder / name).read_bytes() for name in ClientBundle.file_names(manifest)}


Sent = tuple[bytes, dict[str, bytes]]


def test_parsing_bytes_gives_what_loading_gives(sent: Sent, built: Bundles) -> None:
    parsed, loaded = ClientBundle.parse(*sent), ClientBundle.load(built("CSSSC") / "client")
    assert (parsed.digest, parsed.size_bytes, str(parsed.split)) == (loaded.digest, loaded.size_bytes, "CSSSC")
    assert parsed.digest == sha256(sent[0])


@pytest.mark.parametrize("name", CLIENT_FILES)
def test_missing_bytes_are_named(sent: Sent, name: str) -> None:
    manifest, files = sent
    with pytest.raises(BundleError, match=f"{name} of the client bundle is missing; fetch or build it again"):
        ClientBundle.parse(manifest, {key: data for key, data in files.items() if key != name})


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_altered_bytes_are_named(sent: Sent, data: st.DataObject) -> None:
    manifest, files = sent
    name = data.draw(st.sampled_from(CLIENT_FILES))
    changed = bytearray(files[name])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BundleError, match=f"{name} of the client bundle was altered"):
        ClientBundle.parse(manifest, {**files, name: bytes(changed)})
    with pytest.raises(BundleError, match=f"{name} of the client bundle was altered"):
        ClientBundle.parse(manifest, {**files, name: files[name][:-1]})


def forged(sent: Sent, change: Callable[[dict[str, Any]], object], **replaced: bytes) -> str:
    """Parse a bundle with a changed manifest, digests made to fit: what a hostile service can send."""
    document, files = json.loads(sent[0]), {**sent[1], **replaced}
    change(document)
    document["files"] = {
        name: {"sha256": sha256(files[name]), "bytes": len(files[name])} for name in document["files"] if name in files
    }
    with pytest.raises(BundleError) as caught:
        ClientBundle.parse(json.dumps(document).encode(), files)
    return str(caught.value)


CONTRADICTIONS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "split": (lambda d: d.update(split="SSSSC"), "steps are not those of split SSSSC"),
    "split length": (lambda d: d.update(split="CSSSCC"), "steps are not those of split"),
    "order": (lambda d: d["steps"].reverse(), "steps are not those of split CSSSC"),
    "missing step": (lambda d: d["steps"].pop(), "tensors of no layer: linear"),
    "missing circuit": (lambda d: d["files"].pop("circuit-0.json"), "lacks circuit-0.json; fetch or build it again"),
    "missing weights": (lambda d: d["files"].pop("weights.safetensors"), "lacks weights.safetensors; fetch"),
    "first": (lambda d: d["first"].update(shape=[1, 9, 9]), r"hands \(1, 9, 9\) to a step that reads \(1, 8, 8\)"),
    "reads": (lambda d: d["steps"][2]["reads"].update(shape=[4, 2, 3]), r"hands \(4, 2, 2\) to a step"),
    "layer": (lambda d: d["steps"][0]["layers"][0].update(stride=[1, 1]), r"hands \(5, 7, 7\) to a step"),
    "empty stride": (lambda d: d["steps"][0]["layers"][0].update(stride=[0, 1]), "contradicts itself: layer 'conv1'"),
    "too many layers": (
        lambda d: d["steps"][2]["layers"].append({"name": "p", "kind": "pooling", "kernel": [1, 1], "stride": [1, 1]}),
        "segment 4-5 of the client bundle has 2 layers",
    ),
    "classes": (lambda d: d["classes"].append("third"), r"ends in \(2,\) for 3 classes"),
    "positive": (lambda d: d.update(positive="third"), "the client bundle has no class 'third' to be the positive one"),
    "last": (lambda d: d["last"].update(shape=[3]), r"ends in \(2,\)"),
    "front end": (lambda d: d["front_end"].update(side=9), "ends in"),
    "front end's bounds": (lambda d: d["front_end"].update(floor=0), "contradicts itself: front end with side 8"),
    "circuit's input": (lambda d: d["steps"][1]["circuit"]["reads"].update(shape=[5, 4, 5]), "takes and gives shapes"),
    "circuit's output": (lambda d: d["steps"][1]["circuit"]["writes"].update(shape=[16]), "takes and gives shapes"),
    "circuit's segment": (lambda d: d["steps"][1]["circuit"].update(stop=3), "steps are not those of split"),
    "backwards": (lambda d: d["steps"][1]["circuit"].update(start=4), "segment .4, 4. is empty"),
    "security": (lambda d: d["steps"][1]["circuit"].update(security_bits=64), "breaks its schema"),
    "p_error": (lambda d: d["steps"][1]["circuit"].update(p_error=1), "breaks its schema"),
}


@pytest.mark.parametrize(("change", "message"), CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_a_manifest_that_contradicts_itself_is_refused(
    sent: Sent, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    found = forged(sent, change)
    assert re.search(message, found), found


@pytest.mark.parametrize("said", [{}, {"positive": None}])
def test_a_bundle_from_before_there_was_a_choice_means_the_second_of_two(sent: Sent, said: dict[str, None]) -> None:
    manifest, files = sent
    document = json.loads(manifest)
    del document["positive"]
    bundle = ClientBundle.parse(json.dumps(document | said).encode(), files)
    assert bundle.positive == bundle.classes[1]


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_manifest_with_one_value_replaced_never_crashes(sent: Sent, data: st.DataObject) -> None:
    manifest, files = sent
    document = json.loads(manifest)
    inner: Any = document
    while True:
        key = data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
        if not isinstance(inner[key], (dict, list)) or not inner[key] or data.draw(st.integers(0, 3)) == 0:
            break
        inner = inner[key]
    inner[key] = data.draw(
        st.sampled_from([None, True, 0, 1, 2.0, -1, 2**31, 1e300, "", "a", "S\n", [], {}, [1], [[]]])
    )
    try:
        ClientBundle.parse(json.dumps(document).encode(), files)
    except BundleError as error:
        assert str(error)


def test_files_of_garbage_whose_digests_fit_are_refused(sent: Sent) -> None:
    garbage = {"weights.safetensors": b"\x80\x04.", "circuit-0.json": b"{}"}
    for name, data in garbage.items():
        message = forged(sent, lambda _: None, **{name: data})
        assert "safetensors" in message or "client specification breaks its schema" in message


# Smaller parts.


def test_a_client_step_refuses_values_out_of_its_range(built: Bundles) -> None:
    step = ClientBundle.load(built("CSSSC") / "client").steps[0]
    assert isinstance(step, ClientStep)
    with pytest.raises(BundleError, match=r"segment 0-1 gets values in \[0, 2\] outside \[-2, 1\]; .*build it again"):
        step.run(np.array([0, 2] * 32).reshape(1, 1, 8, 8))
    with pytest.raises(BundleError, match=r"shape \(1, 8, 7\) instead of"):
        step.run(np.zeros((1, 1, 8, 7), np.int64))


@pytest.mark.parametrize("name", ["weights.safetensors", "circuit-0.json", "a", "0", "a" * 80])
def test_names_of_a_bundles_files_pass(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../a",
        "a/b",
        "/a",
        "a\\b",
        ".hidden",
        "A",
        "a\n",
        "a\0",
        "a b",
        "é",
        "-a",
        "a" * 81,
        "a%2fb",
        "%2e%2e",
    ],
)
def test_names_that_lead_elsewhere_do_not(name: str) -> None:
    with pytest.raises(BundleError, match="is not the name of a bundle's file"):
        check_name(name)


@given(st.text(max_size=20))
def test_a_name_that_passes_stays_in_its_folder(name: str) -> None:
    try:
        check_name(name)
    except BundleError:
        return
    assert (Path("/root/folder") / name).resolve().parent == Path("/root/folder")
