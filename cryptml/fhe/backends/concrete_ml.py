"""Concrete ML's own import of a Brevitas segment, refused where it is not exact.

A second opinion on every circuit, and the baseline that the integer back end is compared with. Its
bit widths come from calibration data, so inputs far from those may overflow; the integer back end has no such limit but where a
table clamps. Networks with rounded accumulators are refused: the import knows nothing of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from brevitas import nn as qnn
from brevitas.core.scaling import ScalingImplType
from brevitas.inject.enum import RestrictValueType
from brevitas.quant import Int8ActPerTensorFloat, Uint8ActPerTensorFloat
from concrete import fhe
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils import prune

from cryptml.errors import CircuitError, said_by
from cryptml.fhe.backends.base import Compiled, configuration, require_key_parameters
from cryptml.fhe.backends.toolchain import linkable
from cryptml.fhe.circuit_spec import CircuitSpec, Codec
from cryptml.fhe.settings import CompilerSettings
from cryptml.files import sha256
from cryptml.networks.boundary import Boundary, FloatArray
from cryptml.networks.checkpoint import load_checkpoint
from cryptml.networks.conversion import read_stages
from cryptml.networks.extent import IntArray, bits_for
from cryptml.networks.layers import Convolution, MaxPooling
from cryptml.networks.modules.blocks import value_of
from cryptml.networks.network import Network
from cryptml.networks.textures import random_textures
from cryptml.splits import Segment

CALIBRATION = 256
CHECKED = 256
OUTPUT_BITS = 8


@dataclass(frozen=True)
class ConcreteMLBackend:
    """Compiles segments of one saved network through `concrete.ml`.

    Attributes:
        source: Folder or shipped name; holds the Brevitas parameters.
        trusted: The ``module:function`` of a network of one's own, which is imported and run.
        regions: (batch, side, side) float32 in [0, 1] to calibrate and check with; random fields if None.
    """

    source: str
    trusted: str | None = None
    regions: FloatArray | None = field(default=None, compare=False)

    def __call__(
        self, network: Network, segment: Segment, settings: CompilerSettings, *, keys_of: CircuitSpec | None = None
    ) -> Compiled:
        """Compile one segment; see `Backend`.

        Raises:
            CircuitError: If Concrete ML cannot import or compile it, or computes something else than Brevitas on the data,
                with the largest difference.
        """
        _require_readable(network, segment)
        reads, writes = network.boundaries[segment.start], network.boundaries[segment.stop]
        module = _segment_module(load_checkpoint(self.source, network, self.trusted), network, segment)
        _require_one_scale(module, segment)
        integers = self._integers(network, segment)
        reals = reads.dequantise(integers)
        half = max(1, len(reals) // 2)
        quantised = _imported(module, reals[:half], reads, segment, settings, keys_of)
        circuit = quantised.fhe_circuit
        codec = _codec(quantised, reads, writes)
        client_specs = circuit.client.specs.serialize()
        spec = CircuitSpec(
            segment=segment,
            backend="concrete-ml",
            reads=reads.without_grid(),
            writes=writes.without_grid(),
            codec=codec,
            p_error=settings.p_error,
            bootstraps=int(circuit.programmable_bootstrap_count),
            table_bits=int(circuit.graph.maximum_integer_bit_width()) if circuit.programmable_bootstrap_count else 0,
            approximate=False,
            complexity=float(circuit.complexity),
            key_set=sha256(client_specs),
            client_specs=client_specs,
        )
        compiled = Compiled(spec, circuit.server)
        try:
            _require_taken(spec)
            require_key_parameters(spec, keys_of)
            _require_exact(quantised, module, codec, integers[half:], reals[half:], network, segment)
        except CircuitError:
            compiled.discard()
            raise
        except (Exception, SystemExit) as error:  # of modules that are not what the import is for
            compiled.discard()
            raise CircuitError(
                f"Concrete ML's circuit for segment {segment} cannot be compared with Brevitas ({said_by(error)}); use `backend` integer"
            ) from error
        return compiled

    def _integers(self, network: Network, segment: Segment) -> IntArray:
        """Return what regions become in front of a segment: half of them calibrate the import, half check it."""
        side = network.front_end.side
        regions = self.regions if self.regions is not None else random_textures(side, CALIBRATION + CHECKED)
        given = network.quantise(regions)
        return network.run(given, Segment(0, segment.start)) if segment.start else given


def _require_readable(network: Network, segment: Segment) -> None:
    """Refuse what the import is known not to read."""
    if any(layer.rounds for layer in network.segment_layers(segment)):
        raise CircuitError(
            f"Concrete ML cannot read segment {segment}: it has rounded accumulators, which the import does not know; use "
            "`backend` integer"
        )
    odd = [
        layer.name
        for layer in network.segment_layers(segment)
        if isinstance(layer, MaxPooling) or (isinstance(layer, Convolution) and layer.reads is not None)
    ]
    if odd:
        raise CircuitError(
            f"Concrete ML cannot read segment {segment}: layers {', '.join(odd)} pool maxima or arrange values, which the import is not "
            "asked for; use `backend` integer"
        )
    scales = len(network.boundaries[segment.start].scale)
    if len(set(network.boundaries[segment.start].scale)) != 1:
        raise CircuitError(
            f"Concrete ML cannot read boundary {segment.start}: it has {scales} scales, one a channel, where the import takes one; use "
            "`backend` integer or begin the segment elsewhere"
        )


def _imported(
    module: nn.Sequential,
    reals: FloatArray,
    reads: Boundary,
    segment: Segment,
    settings: CompilerSettings,
    keys_of: CircuitSpec | None,
) -> Any:
    """Return what Concrete ML makes of a segment's modules: a ``QuantizedModule`` with its circuit.

    Raises:
        CircuitError: If it cannot import or compile them.
    """
    from concrete.ml.torch.compile import compile_brevitas_qat_model

    try:
        with linkable():
            return compile_brevitas_qat_model(
                module,
                reals,
                n_bits={"model_inputs": _input_bits(reads), "model_outputs": OUTPUT_BITS},
                configuration=_configuration(settings, keys_of),
                p_error=settings.p_error,
            )
    except (Exception, SystemExit) as error:  # foreign code, which raises whatever it meets
        raise CircuitError(
            f"Concrete ML cannot compile segment {segment} ({said_by(error)}); use `backend` integer"
        ) from error


def _require_taken(spec: CircuitSpec) -> None:
    """Refuse a circuit that no client takes; narrow linear ones get a secret of a dimension that is too small."""
    try:
        spec.require_fit()
    except CircuitError as error:
        raise CircuitError(
            f"Concrete ML compiles segment {spec.segment} to what no client takes ({error}); use `backend` integer"
        ) from error


def _configuration(settings: CompilerSettings, keys_of: CircuitSpec | None) -> fhe.Configuration:
    """Return Concrete's settings as Concrete ML wants them: p_error is an argument of its own there."""
    found = configuration(settings, keys_of)
    found.p_error = None
    return found


def _segment_module(module: nn.Sequential, network: Network, segment: Segment) -> nn.Sequential:
    """Return the Brevitas modules of a segment behind a quantiser that is the segment's first boundary."""
    _make_permanent(module)
    _, stages = read_stages(module, network.front_end.shape)
    reads = network.boundaries[segment.start]
    if segment.stop > len(stages) or any(stage.paired for stage in stages[segment.start : segment.stop]):
        raise CircuitError(
            f"Concrete ML cannot read segment {segment}: its logits are not those of a module but made of them; use `backend` integer"
        )
    parts: list[nn.Module] = [_boundary_quantiser(reads)]
    for index in range(segment.start, segment.stop):
        if network.layers[index].kind == "linear" and len(network.boundaries[index].shape) > 1:
            parts.append(nn.Flatten())
        parts += stages[index].modules
    last: Any = parts[-1]
    if hasattr(last, "return_quant_tensor"):
        last.return_quant_tensor = False  # the exporter takes plain tensors alone as outputs
    return nn.Sequential(*parts).eval()


def _make_permanent(module: nn.Module) -> None:
    """Put the products of weights and masks in the place of pruned weights: an export knows no pruning."""
    for each in module.modules():
        pruned = {
            hook._tensor_name for hook in each._forward_pre_hooks.values() if isinstance(hook, prune.BasePruningMethod)
        }
        for name in pruned:
            prune.remove(each, name)  # type: ignore[no-untyped-call]


def _boundary_quantiser(reads: Boundary) -> nn.Module:
    """Return a quantiser of fixed scale whose grid holds every value of the boundary."""
    bits, signed = _input_bits(reads), _input_low(reads) < 0
    largest = (1 << (bits - 1)) if signed else (1 << bits) - 1
    return qnn.QuantIdentity(
        act_quant=Int8ActPerTensorFloat if signed else Uint8ActPerTensorFloat,
        bit_width=bits,
        scaling_impl_type=ScalingImplType.CONST,
        restrict_scaling_type=RestrictValueType.FP,
        scaling_init=reads.scale[0] * largest,
        return_quant_tensor=True,
    )


def _require_one_scale(module: nn.Sequential, segment: Segment) -> None:
    for part in module:
        if isinstance(part, (qnn.QuantConv2d, qnn.QuantLinear)) and part.quant_weight_scale().numel() > 1:
            raise CircuitError(
                f"Concrete ML cannot read segment {segment}: its weights have {part.quant_weight_scale().numel()} scales, one a "
                "channel, where the import takes one; use `backend` integer or a PerTensor weight quantiser"
            )


def _input_low(reads: Boundary) -> int:
    return reads.low - max(reads.zero)


def _input_bits(reads: Boundary) -> int:
    return bits_for(_input_low(reads), reads.high - min(reads.zero))


def _codec(quantised: object, reads: Boundary, writes: Boundary) -> Codec:
    """Return the affine maps between the boundaries and what Concrete ML made the circuit's inputs and outputs."""
    (entering,), (leaving,) = quantised.input_quantizers, quantised.output_quantizers  # type: ignore[attr-defined]
    in_step = np.asarray(entering.quant_params.scale, dtype=np.float64).reshape(-1)
    out_step = np.asarray(leaving.quant_params.scale, dtype=np.float64).reshape(-1)
    in_zero = np.asarray(entering.quant_params.zero_point, dtype=np.float64).reshape(-1)
    out_zero = np.asarray(leaving.quant_params.zero_point, dtype=np.float64).reshape(-1)
    input_scale = np.asarray(reads.scale[:1]) / in_step
    output_scale = out_step / np.asarray(writes.scale)
    return Codec(
        input_scale=tuple(input_scale.tolist()),
        input_offset=tuple((in_zero - np.asarray(reads.zero) * input_scale).tolist()),
        output_scale=tuple(output_scale.tolist()),
        output_offset=tuple((np.asarray(writes.zero) - out_zero * output_scale).tolist()),
    )


def _require_exact(
    quantised: object,
    module: nn.Sequential,
    codec: Codec,
    integers: IntArray,
    reals: FloatArray,
    network: Network,
    segment: Segment,
) -> None:
    """Compare the circuit in the clear with Brevitas, and its integers with the integer program.

    Raises:
        CircuitError: With the largest difference and the share of inputs that differ.
    """
    with torch.no_grad():
        expected = value_of(module(torch.from_numpy(reals))).numpy()
    raw = quantised.quantized_forward(codec.encode(integers), fhe="disable")  # type: ignore[attr-defined]
    found: NDArray[np.int64] = codec.decode(np.asarray(raw).reshape(len(integers), *expected.shape[1:]))
    writes = network.boundaries[segment.stop]
    difference = np.abs(writes.dequantise(found) - expected)
    wrong = found != network.run(integers, segment)
    axes = tuple(range(1, wrong.ndim))
    # Half a step of the grid separates one integer from the next; a lesser difference is the rounding of a float.
    step = np.asarray(writes.scale).reshape(-1, *[1] * (expected.ndim - 2))
    if bool((difference >= step / 2).any()) or bool(wrong.any()):
        raise CircuitError(
            f"Concrete ML's circuit for segment {segment} is not exact: it differs from Brevitas by up to {float(difference.max()):.3g} "
            f"(grid step {float(np.max(writes.scale)):.3g}) on {float(wrong.any(axis=axes).mean()):.1%} of {len(integers)} inputs; "
            "use `backend` integer"
        )
