"""Integer tensors of layers in one safetensors file: plain data, no code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from cryptml.errors import CryptmlError
from cryptml.networks.extent import IntArray
from cryptml.networks.layers import Layer, restore_layer

MAX_WEIGHTS_BYTES = 1 << 30
MOST_INTEGERS = 1 << 22
"""Of all layers together; each takes 64 bits once it is read, however few it has in a file."""

MOST_LAYERS = 2048
"""In one file, and of their tensors: layers of blocks counted too, each of them looks through all tensors."""

STORED_TYPES = (np.int8, np.int16, np.int32, np.int64)


def layer_entries(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """Return the layers' JSON entries, without their tensors."""
    return [{"name": layer.name, "kind": layer.kind, **layer.attributes()} for layer in layers]


def pack_layers(layers: Sequence[Layer]) -> bytes:
    """Return all tensors of the layers as safetensors, each in the smallest integer type that holds it."""
    tensors = {f"{layer.name}.{name}": tensor for layer in layers for name, tensor in layer.tensors().items()}
    return bytes(save({name: np.ascontiguousarray(_shrink(tensor)) for name, tensor in tensors.items()}))


def unpack_layers(entries: Sequence[Mapping[str, Any]], data: bytes, error: type[CryptmlError]) -> tuple[Layer, ...]:
    """Return the layers behind schema-checked entries and `pack_layers`' bytes.

    Raises:
        CryptmlError: As ``error`` if the bytes are no integer tensors; `NetworkError` if they do not fit the entries.
    """
    names = [entry["name"] for entry in entries]
    if len(set(names)) < len(names) or _count(entries) > MOST_LAYERS:
        raise error(f"there are two layers of one name, or more than {MOST_LAYERS} layers; make the network smaller")
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as problem:
        raise error(f"the weights are not a safetensors file of integers ({problem}); write them again") from problem
    foreign = [name for name, tensor in tensors.items() if tensor.dtype not in STORED_TYPES]
    if foreign:
        raise error(f"the weights hold tensors that are not integers: {', '.join(foreign[:5])}; write them again")
    count = sum(tensor.size for tensor in tensors.values())
    if count > MOST_INTEGERS or len(tensors) > MOST_LAYERS:
        raise error(
            f"the weights are {count} integers in {len(tensors)} tensors, more than {MOST_INTEGERS} or {MOST_LAYERS}; make the "
            "network smaller"
        )
    integers = {name: tensor.astype(np.int64) for name, tensor in tensors.items()}
    layers = tuple(restore_layer(entry, integers) for entry in entries)
    known = {f"{layer.name}.{name}" for layer in layers for name in layer.tensors()}
    unknown = sorted(set(integers) - known)
    if unknown:
        raise error(f"the weights hold tensors of no layer: {', '.join(unknown[:5])}; write them again")
    return layers


def _count(entries: Sequence[Mapping[str, Any]]) -> int:
    """Return how many layers there are, those within blocks too."""
    return sum(1 + _count(entry.get("body", ())) + _count(entry.get("shortcut", ())) for entry in entries)


def _shrink(tensor: IntArray) -> np.ndarray[Any, Any]:
    for kind in STORED_TYPES:
        bounds = np.iinfo(kind)
        if not tensor.size or (tensor.min() >= bounds.min and tensor.max() <= bounds.max):
            return tensor.astype(kind)
    return tensor
