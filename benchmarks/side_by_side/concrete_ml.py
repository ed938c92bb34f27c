"""Brevitas weights through Concrete ML's own flow, with its defaults; nothing of ours but the weights."""

from __future__ import annotations

import time
from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import torch
from brevitas import nn as qnn
from brevitas.inject.enum import ScalingImplType
from brevitas.quant import Int8WeightPerTensorFloat
from concrete.ml.torch.compile import compile_brevitas_qat_model
from torch import nn
from torch.nn.utils import prune

from benchmarks.side_by_side.contender import Answered, Sizes
from cryptml.fhe.backends.toolchain import linkable
from cryptml.networks import load_network
from cryptml.networks.boundary import FloatArray
from cryptml.networks.checkpoint import load_checkpoint
from cryptml.networks.modules.negacyclic import NegacyclicActivation
from cryptml.networks.modules.rounded_accumulator import RoundedAccumulator
from cryptml.processes.answering import milliseconds_since

OUTPUT_BITS = 8
"""What Concrete ML takes where nobody says otherwise; its inputs are as wide as the network was trained for."""


class ConcreteMLContender:
    """See `Contender`.

    Args:
        network: A shipped name or a folder with the Brevitas parameters.
        calibration: File with (n, side, side) float32 regions.
        architecture: The ``module:function`` that may be imported for a folder; None for a shipped network.
    """

    def __init__(self, network: str, calibration: str, architecture: str | None = None) -> None:
        self._network = load_network(network)
        self._module = plain(load_checkpoint(network, self._network, architecture))
        self._calibration = np.load(calibration)

    def prepare(self, cleanup: ExitStack) -> None:  # noqa: ARG002
        """See `Contender.prepare`."""
        inputs = torch.from_numpy(self._network.front_end.apply(self._calibration))
        bits = {"model_inputs": self._network.boundaries[0].bits, "model_outputs": OUTPUT_BITS}
        with linkable():
            self._compiled = compile_brevitas_qat_model(self._module, inputs, n_bits=bits)
        circuit = self._compiled.fhe_circuit
        circuit.keygen()
        encrypted = circuit.encrypt(self._compiled.quantize_input(inputs[:1].numpy()))
        self.sizes = Sizes(
            keys=len(circuit.client.evaluation_keys.serialize()),
            upload=len(encrypted.serialize()),
            bootstraps=int(circuit.programmable_bootstrap_count),
            bits=int(circuit.graph.maximum_integer_bit_width()),
        )

    def answer(self, region: FloatArray) -> Answered:
        """See `Contender.answer`."""
        circuit = self._compiled.fhe_circuit
        stages = {}
        started = time.perf_counter()
        real = self._network.front_end.apply(region[None])
        values = self._compiled.quantize_input(real)
        stages["quantise"] = milliseconds_since(started)
        started = time.perf_counter()
        encrypted = circuit.encrypt(values)
        stages["encrypt"] = milliseconds_since(started)
        started = time.perf_counter()
        result = circuit.run(encrypted)
        stages["evaluate"] = milliseconds_since(started)
        started = time.perf_counter()
        logits = self._compiled.dequantize_output(circuit.decrypt(result))[0]
        stages["decrypt"] = milliseconds_since(started)
        self.sizes = replace(self.sizes, download=len(result.serialize()))
        clear = self._compiled.forward(real, fhe="disable")[0]
        return Answered(stages, np.asarray(logits, np.float32), np.asarray(clear, np.float32))

    def server_peak_bytes(self) -> int | None:
        """See `Contender.server_peak_bytes`."""
        return None


def plain(module: nn.Sequential) -> nn.Sequential:
    """Return the same integer weights as Concrete ML reads them: whole accumulators, one scale a layer.

    What was a scale of its own for each neuron moves into the batch normalisation behind.
    """
    layers = dict(module.named_children())
    names = list(layers)
    for place, name in enumerate(names):
        layer = layers[name]
        if prune.is_pruned(layer):  # type: ignore[no-untyped-call]
            prune.remove(layer, "weight")  # type: ignore[no-untyped-call]
        if isinstance(layer, RoundedAccumulator):
            layers[name] = nn.Identity()
        elif isinstance(layer, NegacyclicActivation):
            layers[name] = PlainWave(layer)
        elif isinstance(layer, qnn.QuantLinear) and layer.quant_weight().scale.numel() > 1:
            behind = (layers[other] for other in names[place:])
            norm = next(each for each in behind if isinstance(each, (nn.BatchNorm1d, NegacyclicActivation)))
            layers[name], ratio = _one_scale(layer)
            with torch.no_grad():
                if isinstance(norm, NegacyclicActivation):
                    low, width = norm.grid()
                    norm.put(low * ratio, width * ratio)
                else:
                    norm.running_mean.mul_(ratio)  # type: ignore[union-attr]
                    norm.running_var.copy_((norm.running_var + norm.eps) * ratio**2 - norm.eps)  # type: ignore[union-attr, operator]
    return nn.Sequential(OrderedDict(layers)).eval()


class PlainWave(nn.Module):
    """A `NegacyclicActivation` of whole accumulators, in operations that Concrete ML imports."""

    low: torch.Tensor
    half_period: torch.Tensor
    loudness: torch.Tensor

    def __init__(self, wave: NegacyclicActivation) -> None:
        super().__init__()
        low, width = wave.grid()
        self.register_buffer("low", low.detach())
        self.register_buffer("half_period", (width * 2**wave.bits).detach())
        self.register_buffer("loudness", wave.loudness.detach())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the triangle of (batch, channels, ...) accumulators."""
        axes = [1, -1, *[1] * (x.ndim - 2)]
        distance = (x - self.low.reshape(axes)) / self.half_period.reshape(axes)
        distance = distance - 2 * ((distance + 1) / 2).floor()
        return (1 - 2 * distance.abs()) * self.loudness.reshape(axes)


class _CommonScale(Int8WeightPerTensorFloat):  # type: ignore[misc]
    """One scale for all weights, which `_one_scale` sets: the largest integer need not be the largest that the bits can hold."""

    scaling_impl_type = ScalingImplType.PARAMETER
    scaling_init = 1.0


def _one_scale(layer: qnn.QuantLinear) -> tuple[qnn.QuantLinear, torch.Tensor]:
    """Return a layer of the same integers with one scale, and by how much each of its accumulators grew."""
    quantised = layer.quant_weight()
    integers, scale = quantised.int().float(), quantised.scale.flatten()
    common = scale.mean()
    bits = int(quantised.bit_width)
    plain_layer = qnn.QuantLinear(
        layer.in_features, layer.out_features, bias=False, weight_quant=_CommonScale, weight_bit_width=bits
    )
    with torch.no_grad():
        plain_layer.weight.copy_(integers * common)
        plain_layer.weight_quant.tensor_quant.scaling_impl.value.fill_(common * (2 ** (bits - 1) - 1))
    return plain_layer, (common / scale).detach()
