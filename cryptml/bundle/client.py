"""The client's half: what it runs in the clear, as plain data, and what it must know of each circuit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptml.bundle.manifest import MANIFEST, check_files, require_same_toolchain
from cryptml.bundle.spot_checks import FILE as SPOT_CHECKS_FILE
from cryptml.bundle.spot_checks import SpotChecks
from cryptml.errors import BundleError, CryptmlError
from cryptml.fhe.circuit_spec import CircuitSpec
from cryptml.files import MAX_JSON_BYTES, parse_json, read_bounded, sha256
from cryptml.networks.boundary import Boundary
from cryptml.networks.classes import positive_class
from cryptml.networks.extent import IntArray
from cryptml.networks.front_ends import FrontEnd, restore_front_end
from cryptml.networks.layers import Layer, run_all
from cryptml.networks.operations import NumpyOperations
from cryptml.networks.tensors import MAX_WEIGHTS_BYTES, unpack_layers
from cryptml.splits import Segment, Side, Split

MOST_PRODUCTS = 1 << 24
"""Of the client's own layers for one region: a bundle from elsewhere can ask for a moment a region, not for minutes or gigabytes."""

SCHEMA = "client-bundle.schema.json"
WEIGHTS_FILE = "weights.safetensors"


@dataclass(frozen=True, eq=False)
class ClientStep:
    """A segment that the client runs itself, on NumPy integers.

    Attributes:
        segment: Which layers.
        reads: The boundary before it.
        layers: With their weights.
    """

    segment: Segment
    reads: Boundary
    layers: tuple[Layer, ...]

    def run(self, values: IntArray) -> IntArray:
        """Run the segment on (batch, *reads.shape) integers.

        Raises:
            BundleError: If they break the boundary.
        """
        violation = self.reads.describe_violation(values)
        if violation:
            raise BundleError(
                f"segment {self.segment} gets {violation}; the bundle's halves do not fit, build it again"
            )
        return run_all(self.layers, values, self.reads.extent(), NumpyOperations())


@dataclass(frozen=True)
class ServerStep:
    """A segment that the server evaluates.

    Attributes:
        index: Its number among the server segments, from 0: its name in the HTTP interface.
        circuit: What the client must know of it.
    """

    index: int
    circuit: CircuitSpec


@dataclass(frozen=True, eq=False)
class ClientBundle:
    """All that a client needs to run one split, beside its own keys.

    Attributes:
        model: The network's name.
        split: Who runs what.
        classes: Names of the logits.
        positive: The class that a probability is said of; None where a network of more than two classes has none.
        front_end: Runs first, in the clear.
        first: The boundary before the first layer.
        last: The boundary behind the last layer.
        steps: The segments in order.
        digest: SHA-256 of the manifest: the bundle's identity. The manifest holds a random number of its own, so that two builds
            never share it, even where they differ in the server's weights alone.
        size_bytes: Size of all its files together.
        spot_checks: Regions with known answers; None where the provider gave none.
    """

    model: str
    split: Split
    classes: tuple[str, ...]
    front_end: FrontEnd
    first: Boundary
    last: Boundary
    steps: tuple[ClientStep | ServerStep, ...]
    digest: str
    size_bytes: int
    spot_checks: SpotChecks | None = None
    positive: str | None = None

    @property
    def server_steps(self) -> tuple[ServerStep, ...]:
        """The steps that need the server, in order."""
        return tuple(step for step in self.steps if isinstance(step, ServerStep))

    @staticmethod
    def file_names(manifest: bytes) -> dict[str, dict[str, Any]]:
        """Return the files that a manifest asks for, with ``sha256`` and ``bytes``; for who fetches them one by one.

        Raises:
            BundleError: If the manifest is malformed or of another version.
        """
        return dict(parse_json(manifest, SCHEMA, "the client bundle's manifest", BundleError)["files"])

    @staticmethod
    def parse(manifest: bytes, files: Mapping[str, bytes]) -> ClientBundle:
        """Check and read a bundle from its bytes, wherever they came from.

        Args:
            manifest: ``manifest.json``.
            files: Every file that it names.

        Raises:
            BundleError: If anything is missing, altered, of another version or contradictory.
        """
        document = parse_json(manifest, SCHEMA, "the client bundle's manifest", BundleError)
        require_same_toolchain(document["created_with"])
        checked = {}
        for name, entry in document["files"].items():
            data = files.get(name)
            if data is None:
                raise BundleError(f"{name} of the client bundle is missing; fetch or build it again")
            if len(data) != entry["bytes"] or sha256(data) != entry["sha256"]:
                raise BundleError(f"{name} of the client bundle was altered; fetch or build it again")
            checked[name] = data
        try:
            bundle = _assemble(document, checked, manifest)
            _check_order(bundle)
            # Of bundles made before there was a choice: the second of two.
            chosen = positive_class(bundle.classes, bundle.positive, "the client bundle", BundleError)
            bundle = replace(bundle, positive=chosen)
        except BundleError:
            raise
        except CryptmlError as error:
            raise BundleError(f"the client bundle contradicts itself: {error}") from error
        except KeyError as error:
            raise BundleError(f"the client bundle lacks {error.args[0]}; fetch or build it again") from error
        return bundle

    @staticmethod
    def load(folder: Path) -> ClientBundle:
        """Read a bundle's ``client`` folder.

        Raises:
            BundleError: As `parse`, and for files that the manifest does not name.
        """
        manifest = read_bounded(folder / MANIFEST, MAX_JSON_BYTES, BundleError)
        entries = ClientBundle.file_names(manifest)
        check_files(folder, entries)
        return ClientBundle.parse(
            manifest, {name: read_bounded(folder / name, MAX_WEIGHTS_BYTES, BundleError) for name in entries}
        )


def circuit_file(index: int) -> str:
    """Return the name of the client specification of server segment ``index``."""
    return f"circuit-{index}.json"


def _assemble(document: Mapping[str, Any], files: Mapping[str, bytes], manifest: bytes) -> ClientBundle:
    entries = [entry for step in document["steps"] if step["side"] == Side.CLIENT.value for entry in step["layers"]]
    layers = iter(unpack_layers(entries, files[WEIGHTS_FILE], BundleError))
    steps: list[ClientStep | ServerStep] = []
    index = 0
    for step in document["steps"]:
        if step["side"] == Side.SERVER.value:
            steps.append(ServerStep(index, CircuitSpec.from_json(step["circuit"], files[circuit_file(index)])))
            index += 1
        else:
            segment = Segment(step["start"], step["stop"])
            own = tuple(next(layers) for _ in step["layers"])
            steps.append(ClientStep(segment, Boundary.from_json(step["reads"]), own))
    first, last = Boundary.from_json(document["first"]), Boundary.from_json(document["last"])
    front_end = restore_front_end(document["front_end"])
    known = files.get(SPOT_CHECKS_FILE)
    return ClientBundle(
        model=document["model"],
        split=Split(document["split"]),
        classes=tuple(document["classes"]),
        positive=document.get("positive"),
        front_end=front_end,
        first=first,
        last=last,
        steps=tuple(steps),
        digest=sha256(manifest),
        size_bytes=len(manifest) + sum(entry["bytes"] for entry in document["files"].values()),
        spot_checks=None if known is None else SpotChecks.unpack(known, front_end.side, last),
    )


def _check_order(bundle: ClientBundle) -> None:
    """Compare the steps with the split, and each with the boundaries beside it."""
    found = tuple(
        (Side.CLIENT, step.segment) if isinstance(step, ClientStep) else (Side.SERVER, step.circuit.segment)
        for step in bundle.steps
    )
    if found != bundle.split.segments:
        raise BundleError(f"the client bundle's steps are not those of split {bundle.split}; build it again")
    shape, products = bundle.first.shape, 0
    for step in bundle.steps:
        reads = step.reads if isinstance(step, ClientStep) else step.circuit.reads
        if reads.shape != shape:
            raise BundleError(f"the client bundle hands {shape} to a step that reads {reads.shape}; build it again")
        if isinstance(step, ServerStep):
            shape = step.circuit.writes.shape
            continue
        if len(step.layers) != len(step.segment):
            raise BundleError(
                f"segment {step.segment} of the client bundle has {len(step.layers)} layers; build it again"
            )
        extent = step.reads.extent()
        for layer in step.layers:
            products += layer.products(extent)
            if products > MOST_PRODUCTS:
                raise BundleError(
                    f"the client bundle asks for more than {MOST_PRODUCTS} multiplications a region here; give the server more layers"
                )
            extent = layer.propagate(extent)
        shape = extent.shape
    if not (bundle.first.scale and bundle.first.zero and bundle.last.scale and bundle.last.zero):
        raise BundleError("the client bundle withholds the grid of its first or last boundary; build it again")
    if not all(map(str.isprintable, bundle.classes)):
        raise BundleError(
            f"the client bundle's classes {bundle.classes[:10]} have names that cannot be shown; rename them"
        )
    if (
        shape != bundle.last.shape
        or (len(bundle.classes),) != bundle.last.shape
        or bundle.first.shape != bundle.front_end.shape
    ):
        raise BundleError(f"the client bundle ends in {shape} for {len(bundle.classes)} classes; build it again")
