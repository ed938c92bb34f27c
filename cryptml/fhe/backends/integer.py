"""The integer program, compiled by Concrete: exact by construction."""

from __future__ import annotations

import numpy as np
from concrete import fhe

from cryptml.errors import CircuitError
from cryptml.fhe.backends.base import Compiled, configuration, require_key_parameters
from cryptml.fhe.backends.toolchain import linkable
from cryptml.fhe.circuit import CircuitSpec, Codec
from cryptml.files import sha256
from cryptml.networks.extent import IntArray
from cryptml.networks.layers import propagate_all, run_all
from cryptml.networks.network import Network
from cryptml.splits import Segment

SAMPLES = 8


class ConcreteOperations:
    """Tracing of `cryptml.networks.operations.Operations` into a Concrete graph; tensors are tracers of batch 1."""

    def convolve(
        self,
        x: fhe.Tracer,
        weight: IntArray,
        bias: IntArray,
        *,
        stride: tuple[int, int],
        padding: tuple[int, int],
        groups: int,
        bits: int,
    ) -> fhe.Tracer:
        """See `Operations.convolve`."""
        y = fhe.conv(_pad(x, *padding), weight, bias, strides=stride, group=groups)
        return fhe.hint(y, bit_width=bits)

    def multiply(self, x: fhe.Tracer, weight: IntArray, bias: IntArray, *, bits: int) -> fhe.Tracer:
        """See `Operations.multiply`; the product may leave ``bits``, because it is computed modulo a power of two."""
        return fhe.hint(x @ weight.T + bias, bit_width=bits)

    def sum_windows(self, x: fhe.Tracer, kernel: tuple[int, int], stride: tuple[int, int], *, bits: int) -> fhe.Tracer:
        """See `Operations.sum_windows`."""
        channels = x.shape[1]
        ones = np.ones((channels, 1, *kernel), dtype=np.int64)
        return fhe.hint(fhe.conv(x, ones, strides=stride, group=channels), bit_width=bits)

    def look_up(self, x: fhe.Tracer, tables: IntArray, low: int) -> fhe.Tracer:
        """See `Operations.look_up`."""
        size = 1 << max(1, (tables.shape[1] - 1).bit_length())
        padded = np.pad(tables, ((0, 0), (0, size - tables.shape[1])), mode="edge")
        index = fhe.hint(x - low if low else x, bit_width=size.bit_length() - 1)
        if len(padded) == 1:
            return fhe.LookupTable(padded[0])[index]
        channel_tables = np.empty(len(padded), dtype=object)
        channel_tables[:] = [fhe.LookupTable(table) for table in padded]
        spread = np.broadcast_to(channel_tables.reshape(1, -1, *[1] * (x.ndim - 2)), x.shape)
        return fhe.LookupTable(spread)[index]

    def flatten(self, x: fhe.Tracer) -> fhe.Tracer:
        """See `Operations.flatten`."""
        return x.reshape((1, x.size))

    def add(self, x: fhe.Tracer, y: fhe.Tracer, *, bits: int) -> fhe.Tracer:
        """See `Operations.add`."""
        return fhe.hint(x + y, bit_width=bits)


def _pad(x: fhe.Tracer, rows: int, columns: int) -> fhe.Tracer:
    """Surround encrypted maps with zeros, which Concrete's convolution does not do itself."""
    if not rows and not columns:
        return x
    _, channels, height, width = x.shape
    padded = fhe.zeros((1, channels, height + 2 * rows, width + 2 * columns))
    padded[:, :, rows : rows + height, columns : columns + width] = x
    return padded


def compile_integer_program(
    network: Network, segment: Segment, p_error: float, *, keys_of: CircuitSpec | None = None
) -> Compiled:
    """Compile a segment of the integer program for its worst case, so that no input overflows; see `Backend`."""
    reads, writes = network.boundaries[segment.start], network.boundaries[segment.stop]
    layers = network.segment_layers(segment)
    extent = reads.extent()
    low = int(propagate_all(layers, extent).low.min())
    offset = min(low, 0)

    def program(x: fhe.Tracer) -> fhe.Tracer:
        y = run_all(layers, x, extent, ConcreteOperations())
        # Concrete learns a result's sign from samples, which may miss it: make every result unsigned.
        return fhe.hint(y - offset, bit_width=writes.bits) if offset else y

    shape = (1, *reads.shape)
    generator = np.random.default_rng(0)
    samples = [np.full(shape, reads.low), np.full(shape, reads.high)]
    samples += [generator.integers(reads.low, reads.high, shape, endpoint=True) for _ in range(SAMPLES)]
    try:
        with linkable():
            circuit = fhe.Compiler(program, {"x": "encrypted"}).compile(samples, configuration(p_error, keys_of))
    except (RuntimeError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise CircuitError(
            f"segment {segment} of network {network.name!r} does not compile at p_error {p_error:g} ({reason})"
        ) from error
    client_specs = circuit.client.specs.serialize()
    spec = CircuitSpec(
        segment=segment,
        backend="integer",
        reads=reads.without_grid(),
        writes=writes.without_grid(),
        codec=Codec(output_offset=(float(offset),)),
        p_error=p_error,
        bootstraps=network.bootstraps(segment),
        lookup_bits=network.lookup_bits(segment),
        complexity=float(circuit.complexity),
        key_set=sha256(client_specs),
        client_specs=client_specs,
    )
    compiled = Compiled(spec, circuit.server)
    try:
        require_key_parameters(spec, keys_of)
    except CircuitError:
        compiled.discard()
        raise
    return compiled
