"""Every split of a network with the segments that it makes."""

from __future__ import annotations

from typing import Any

from cryptml.errors import SettingError
from cryptml.networks.network import Network
from cryptml.splits import Segment, Split, enumerate_splits

MOST_LISTED = 20
"""Layers of a network whose splits are listed: their number doubles with each layer."""


def describe_layers(network: Network) -> list[dict[str, Any]]:
    """Return each layer's name, kind, output boundary, parameters and bootstraps."""
    rows = []
    for index, layer in enumerate(network.layers):
        after = network.boundaries[index + 1]
        segment = Segment(index, index + 1)
        rows.append(
            {
                "name": layer.name,
                "kind": layer.kind,
                "shape": list(after.shape),
                "bits": after.bits,
                "parameters": layer.parameters,
                "bootstraps": network.bootstraps(segment),
                "lookup_bits": network.table_bits(segment),
            }
        )
    return rows


def describe_split(split: Split) -> dict[str, Any]:
    """Return a split's letters and its segments in order."""
    return {
        "split": split.letters,
        "segments": [
            {"side": side.name.lower(), "start": segment.start, "stop": segment.stop}
            for side, segment in split.segments
        ],
    }


def list_splits(network: Network) -> dict[str, Any]:
    """Return the network's layers and all 2^n splits, as JSON values.

    Raises:
        SettingError: If the network has more than `MOST_LISTED` layers.
    """
    if len(network) > MOST_LISTED:
        raise SettingError(
            f"network {network.name!r} has 2^{len(network)} splits, too many to list; at most 2^{MOST_LISTED}"
        )
    return {
        "network": network.name,
        "layers": describe_layers(network),
        "splits": [describe_split(split) for split in enumerate_splits(len(network))],
    }
