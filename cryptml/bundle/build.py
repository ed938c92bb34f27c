"""Compile a split's server segments and write both halves of its bundle."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from cryptml.bundle.client import SCHEMA as CLIENT_SCHEMA
from cryptml.bundle.client import WEIGHTS_FILE, circuit_file
from cryptml.bundle.manifest import MANIFEST, created_with, describe_files
from cryptml.bundle.placing import place
from cryptml.bundle.server import SCHEMA as SERVER_SCHEMA
from cryptml.bundle.server import ServerBundle, circuit_folder_name
from cryptml.bundle.spot_checks import FILE as SPOT_CHECKS_FILE
from cryptml.bundle.spot_checks import make_spot_checks
from cryptml.errors import BundleError
from cryptml.fhe.backends.base import Backend, Compiled
from cryptml.fhe.backends.sharing import compile_sharing
from cryptml.fhe.circuit_spec import CircuitSpec
from cryptml.fhe.settings import DEFAULT_COMPILER_SETTINGS, CompilerSettings
from cryptml.files import MAX_JSON_BYTES, parse_json, read_bounded, sha256, to_json_bytes
from cryptml.networks.boundary import Boundary
from cryptml.networks.network import Network
from cryptml.networks.tensors import layer_entries, pack_layers
from cryptml.splits import Segment, Side, Split

BUILD_ID_BYTES = 16
SEED_BITS = 63

BuildProgress = Callable[[int, int, Segment], None]
"""Told before each compilation: number of it, how many there are, which segment."""

Measure = Callable[[CircuitSpec, Path], Mapping[str, int] | None]
"""Measures a circuit, by its description and its folder, or cannot: see `cryptml.profiler.measure.worker_memory`, which imports this."""


def build_bundle(
    network: Network,
    split: Split,
    out: Path,
    *,
    backend: Backend,
    settings: CompilerSettings = DEFAULT_COMPILER_SETTINGS,
    chosen: Mapping[Segment, CompilerSettings] | None = None,
    share_keys: bool = False,
    spot_checks: int = 0,
    force: bool = False,
    progress: BuildProgress | None = None,
    measure: Measure | None = None,
) -> ServerBundle:
    """Write ``out/client`` and ``out/server``: beside, and put there whole once all of it is finished (`cryptml.bundle.placing`).

    Args:
        network: What to deploy.
        split: One letter a layer.
        out: A new folder; an existing bundle is replaced only with ``force``.
        backend: Compiles the server segments.
        settings: Of Concrete.
        chosen: Of segments for which others were found better, as a profile holds them.
        share_keys: Compile all server segments for one key set, instead of one for each.
        spot_checks: Regions with known answers that clients get; each exposes an answer of the network.
        force: Replace what is there.
        progress: Called before each compilation.
        measure: Called with each circuit's description and folder; gives the fields of `WorkerMemory`.

    Returns:
        The bundle, read back and checked.

    Raises:
        SplitError: If the split does not fit the network.
        CircuitError: If a segment does not compile, or no key set serves all that are to share one.
        BundleError: If ``out`` exists, or holds something else than a bundle.
    """
    split.require_length(len(network))
    _require_free(out, force=force)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as name:
        work = Path(name) / "new"
        for half in ("client", "server"):
            (work / half).mkdir(parents=True)
        specs: list[CircuitSpec] = []
        memory: list[Mapping[str, int] | None] = []
        by_segment = {**dict.fromkeys(split.server_segments, settings), **(chosen or {})}
        circuits = _compile(network, split, by_segment, backend, progress, share_keys=share_keys)
        for index, compiled in enumerate(circuits):
            circuit = work / "server" / circuit_folder_name(index)
            compiled.move_to(circuit)
            memory.append(None if measure is None else measure(compiled.spec, circuit))
            (work / "client" / circuit_file(index)).write_bytes(compiled.spec.client_specs)
            specs.append(compiled.spec)
        if spot_checks and specs:
            _write_spot_checks(work / "client", network, split, spot_checks, specs)
        manifest = _write_client(work / "client", network, split, specs)
        _write_server(work / "server", network, split, specs, sha256(manifest), memory)
        place(work, out, Path(name) / "old")
    return ServerBundle.load(out)


def _write_spot_checks(folder: Path, network: Network, split: Split, count: int, specs: list[CircuitSpec]) -> None:
    p_error = max(spec.p_error for spec in specs)
    known = make_spot_checks(network, split, count, p_error=p_error, seed=secrets.randbits(SEED_BITS))
    if known is not None:
        (folder / SPOT_CHECKS_FILE).write_bytes(known.pack())


def _compile(
    network: Network,
    split: Split,
    settings: Mapping[Segment, CompilerSettings],
    backend: Backend,
    progress: BuildProgress | None,
    *,
    share_keys: bool,
) -> Iterator[Compiled]:
    segments = split.server_segments

    def tell(segment: Segment) -> None:
        if progress:
            progress(segments.index(segment) + 1, len(segments), segment)

    if share_keys:
        yield from compile_sharing(network, segments, settings.__getitem__, backend, tell)
        return
    for segment in segments:
        tell(segment)
        yield backend(network, segment, settings[segment])


def _require_free(out: Path, *, force: bool) -> None:
    if not out.is_symlink() and (not out.exists() or (out.is_dir() and not any(out.iterdir()))):
        return
    if out.is_symlink() or not out.is_dir() or not all(map(_is_half, out.iterdir())):
        raise BundleError(f"{out} exists and is not a bundle; choose another folder")
    if not force:
        raise BundleError(f"{out} exists; choose another folder or pass `force` to replace it")


def _is_half(folder: Path) -> bool:
    """Whether a folder is the half of a bundle that its name says, of any version: force removes nothing else."""
    try:
        document = json.loads(read_bounded(folder / MANIFEST, MAX_JSON_BYTES, BundleError))
    except (BundleError, ValueError, RecursionError):
        return False
    return (
        folder.name in ("client", "server")
        and isinstance(document, dict)
        and document.get("format") == f"cryptml-{folder.name}-bundle"
    )


def _write_client(folder: Path, network: Network, split: Split, specs: list[CircuitSpec]) -> bytes:
    own = [layer for segment in split.client_segments for layer in network.segment_layers(segment)]
    (folder / WEIGHTS_FILE).write_bytes(pack_layers(own))
    circuits = iter(specs)
    steps = []
    for side, segment in split.segments:
        if side is Side.SERVER:
            steps.append({"side": side.value, "circuit": next(circuits).to_json()})
        else:
            steps.append(
                {
                    "side": side.value,
                    "start": segment.start,
                    "stop": segment.stop,
                    "reads": network.boundaries[segment.start].without_grid().to_json(),
                    "layers": layer_entries(network.segment_layers(segment)),
                }
            )
    document = {
        "format": "cryptml-client-bundle",
        "format_version": 1,
        "build_id": secrets.token_hex(BUILD_ID_BYTES),
        "model": network.name,
        "created_with": created_with(),
        "split": split.letters,
        "classes": list(network.classes),
        "positive": network.positive_class,
        "front_end": network.front_end.to_json(),
        "first": network.boundaries[0].to_json(),
        "last": _last_boundary(network).to_json(),
        "steps": steps,
        "files": describe_files(folder),
    }
    manifest = to_json_bytes(document)
    parse_json(manifest, CLIENT_SCHEMA, "the client bundle's manifest", BundleError)
    (folder / MANIFEST).write_bytes(manifest)
    return manifest


def _write_server(
    folder: Path,
    network: Network,
    split: Split,
    specs: list[CircuitSpec],
    client_digest: str,
    memory: list[Mapping[str, int] | None],
) -> None:
    document = {
        "format": "cryptml-server-bundle",
        "format_version": 1,
        "model": network.name,
        "created_with": created_with(),
        "split": split.letters,
        "client_manifest_sha256": client_digest,
        "circuits": [spec.to_json() for spec in specs],
        "files": describe_files(folder),
        **({} if None in memory else {"memory": memory}),
    }
    manifest = to_json_bytes(document)
    parse_json(manifest, SERVER_SCHEMA, "the server bundle's manifest", BundleError)
    (folder / MANIFEST).write_bytes(manifest)


def _last_boundary(network: Network) -> Boundary:
    """The client turns the last integers into logits, so it gets their grid whoever runs the last layer."""
    return network.boundaries[-1]
