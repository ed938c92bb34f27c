"""What a split exposes of a network, in a sentence for whoever is about to deploy it."""

from __future__ import annotations

from collections.abc import Mapping

from cryptml.networks.network import Network
from cryptml.splits import Side, Split


def held_by_client(network: Network, split: Split) -> dict[str, str]:
    """Return the layers with learned parameters that a split's client holds in the clear, each with that reason."""
    return {
        layer.name: "the client holds it in the clear"
        for layer, side in zip(network.layers, split.sides, strict=True)
        if side is Side.CLIENT and layer.parameters
    }


def exposed_text(exposed: Mapping[str, str]) -> str:
    """Return the sentence.

    Args:
        exposed: Layers with learned parameters, each with how a client learns it; not empty.
    """
    ways: dict[str, list[str]] = {}
    for name, how in exposed.items():
        ways.setdefault(how, []).append(name)
    listed = "; ".join(f"{', '.join(names)} ({how})" for how, names in ways.items())
    return f"EXPOSED to every client, of what the network has learned: {listed}"
