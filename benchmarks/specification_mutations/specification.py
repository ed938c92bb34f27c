"""Client specifications of shipped networks, as they were recorded."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptml.fhe.circuit_spec import CircuitSpec

RECORDED = Path(__file__).parents[2] / "tests" / "data" / "specifications"

RECORDED_SPLITS = {
    "tiny-tables": ("tiny", "SSSSS", False),
    "tiny-linear": ("tiny", "SCSCS", False),
    "tiny-shared": ("tiny", "SSCSS", True),
    "reference-rounded": ("reference", None, False),
    "deep-rounded": ("deep", None, False),
    "scatter-rounded": ("scatter", None, False),
    "conv-rounded": ("conv", None, False),
}
"""Name of a record: network, split (its own default if None), whether its circuits share keys."""


@dataclass(frozen=True)
class Specification:
    """A circuit's two public descriptions, as a client gets them."""

    name: str
    circuit: dict[str, Any]
    client_specs: dict[str, Any]

    def take(self, client_specs: bytes) -> CircuitSpec:
        """Return what a client makes of the circuit with another specification; its key set's name follows, as a service's would.

        Raises:
            CryptmlError: If it refuses.
        """
        from cryptml.files import sha256

        return CircuitSpec.from_json({**self.circuit, "key_set": sha256(client_specs)}, client_specs)


def recorded() -> list[Specification]:
    """Return the recorded specifications, by name."""
    found = []
    for path in sorted(RECORDED.glob("*.json")):
        document = json.loads(path.read_text())
        found.append(Specification(path.stem, document["circuit"], document["client_specs"]))
    return found


def record() -> None:
    """Build the shipped networks and keep their circuits' descriptions."""
    from cryptml.bundle import ClientBundle
    from cryptml.bundle.build import build_bundle
    from cryptml.fhe.backends.compilation import compile_integer_program
    from cryptml.networks import load_network
    from cryptml.networks.shipped import DEFAULT_SPLITS
    from cryptml.splits import Split

    RECORDED.mkdir(parents=True, exist_ok=True)
    for name, (network, split, share) in RECORDED_SPLITS.items():
        with tempfile.TemporaryDirectory() as folder:
            built = build_bundle(
                load_network(network),
                Split(split or DEFAULT_SPLITS[network]),
                Path(folder) / "bundle",
                backend=compile_integer_program,
                share_keys=share,
            )
            for step in ClientBundle.load(built.folder / "client").server_steps:
                document = {"circuit": step.circuit.to_json(), "client_specs": json.loads(step.circuit.client_specs)}
                (RECORDED / f"{name}-{step.index}.json").write_text(json.dumps(document, indent=1) + "\n")
