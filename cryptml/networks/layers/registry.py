"""The kinds of layer by the names that files use.

A new kind is a file of this folder and a name here; then its files (`schemas/definitions.schema.json`), the modules that it comes from
(`networks/conversion/stages.py`, `convert.py`), and what a client can learn of it (`exposure/knowledge.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptml.errors import NetworkError
from cryptml.networks.extent import IntArray
from cryptml.networks.layers.activation import Activation
from cryptml.networks.layers.base import Layer
from cryptml.networks.layers.convolution import Convolution
from cryptml.networks.layers.linear import Linear
from cryptml.networks.layers.maximum import MaxPooling
from cryptml.networks.layers.pooling import SumPooling
from cryptml.networks.layers.residual import Residual

LAYER_KINDS: Mapping[str, type[Layer]] = {
    kind.kind: kind for kind in (Convolution, Linear, Activation, SumPooling, MaxPooling, Residual)
}


def restore_layer(entry: Mapping[str, Any], tensors: Mapping[str, IntArray]) -> Layer:
    """Build a layer from its JSON entry and the tensors whose names start with the layer's.

    Raises:
        NetworkError: On an unknown kind, or where entry and tensors contradict each other.
    """
    kind = LAYER_KINDS.get(entry["kind"])
    if kind is None:
        raise NetworkError(
            f"layer {entry['name']!r} is of unknown kind {entry['kind']!r}; known: {', '.join(LAYER_KINDS)}"
        )
    prefix = f"{entry['name']}."
    own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    return kind.restore(entry["name"], entry, own)
