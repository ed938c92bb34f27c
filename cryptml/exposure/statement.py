"""What a split exposes of a network, in a sentence for whoever is about to deploy it."""

from __future__ import annotations

from collections.abc import Mapping

from cryptml.exposure.facts import insecure_layers, segment_exposure
from cryptml.networks.network import Network
from cryptml.splits import Split


def exposed_by(network: Network, split: Split, queries: int) -> dict[str, str]:
    """Return the layers with learned parameters that a split's client holds, or recovers, each with that reason.

    Args:
        network: To be deployed.
        split: Who runs what.
        queries: How many a client may make.
    """
    facts = {segment: segment_exposure(network, segment) for segment in split.server_segments}
    found = insecure_layers([layer.name for layer in network.layers], split, facts, queries)
    return {layer.name: found[layer.name] for layer in network.layers if layer.parameters and layer.name in found}


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
