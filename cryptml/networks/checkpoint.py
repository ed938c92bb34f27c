"""The Brevitas parameters of a trained network, for who trains on or compiles with Concrete ML: safetensors, no code."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from cryptml.errors import NetworkError
from cryptml.files import read_bounded, write_bytes
from cryptml.networks.architectures.adjustments import Adjustment
from cryptml.networks.architectures.registry import ARCHITECTURES, DESIGN, DESIGN_FILE, load_architecture
from cryptml.networks.modules import module_state
from cryptml.networks.network import Network
from cryptml.networks.storage import adjustments_of, architecture_of, resolve_network
from cryptml.networks.tensors import MAX_WEIGHTS_BYTES

CHECKPOINT_FILE = "brevitas.safetensors"


def save_checkpoint(module: nn.Sequential, folder: Path) -> None:
    """Write a module's parameters and buffers beside its network."""
    state = {name: tensor.detach().contiguous().clone() for name, tensor in module.state_dict().items()}
    write_bytes(folder / CHECKPOINT_FILE, save(state))


def load_checkpoint(name_or_folder: str, network: Network, trusted: str | None = None) -> nn.Sequential:
    """Build a network's architecture again and give it its trained parameters, in evaluation mode.

    Args:
        name_or_folder: Of the saved network.
        network: As loaded from it.
        trusted: The ``module:function`` that may be imported and run; a folder alone cannot make that happen.

    Raises:
        NetworkError: If the architecture was not recorded, cannot be imported, or the parameters do not fit it.
    """
    architecture = architecture_of(name_or_folder)
    if architecture is None:
        raise NetworkError(
            f"network {network.name!r} does not say which architecture it was built from; train it again"
        )
    folder = resolve_network(name_or_folder)
    spec = str(folder / DESIGN_FILE) if architecture == DESIGN else architecture
    if architecture not in (*ARCHITECTURES, DESIGN, trusted):
        raise NetworkError(
            f"network {network.name!r} was built by {architecture!r}, whose code would be imported and run; "
            f"pass `architecture` {architecture} if you trust it"
        )
    data = read_bounded(folder / CHECKPOINT_FILE, MAX_WEIGHTS_BYTES, NetworkError)
    adjustments = [Adjustment.from_json(each) for each in adjustments_of(name_or_folder)]
    module = load_architecture(spec).adjusted(adjustments).build(len(network.classes))
    module.eval()
    with torch.no_grad():
        module(torch.zeros(1, *network.front_end.shape))  # settles the shapes of scales, which loading compares
        try:
            module_state.restore(module, load(data))
        except (SafetensorError, RuntimeError, ValueError, KeyError) as error:
            raise NetworkError(
                f"{CHECKPOINT_FILE} does not fit architecture {architecture!r} ({str(error).splitlines()[0][:200]}); train it again"
            ) from error
        module(torch.zeros(1, *network.front_end.shape))  # lets pruned weights follow
    return module
