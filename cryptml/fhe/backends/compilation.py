"""The integer program, compiled by Concrete: exact by construction, but where a table rounds or clamps what it reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryptml.errors import CircuitError
from cryptml.fhe.backends.base import Compiled, configuration, no_artifacts, require_key_parameters
from cryptml.fhe.backends.toolchain import linkable
from cryptml.fhe.circuit_spec import CircuitSpec, Codec
from cryptml.fhe.concrete import fhe
from cryptml.fhe.parameters import InsecureParameters
from cryptml.fhe.settings import CompilerSettings, Rounding
from cryptml.files import sha256
from cryptml.networks.bins import Bins
from cryptml.networks.extent import Extent, IntArray, bits_for
from cryptml.networks.layers import Activation, Layer, propagate_all, run_all
from cryptml.networks.network import Network
from cryptml.splits import Segment

SAMPLES = 8

MOST_SPARE_BITS = 8
"""That a circuit without programmable bootstraps is widened by, at most: each adds some 39 to its secret's dimension."""

EXACTNESS = {Rounding.APPROXIMATE: fhe.Exactness.APPROXIMATE, Rounding.EXACT: fhe.Exactness.EXACT}


@dataclass(frozen=True)
class ConcreteOperations:
    """Tracing of `cryptml.networks.operations.Operations` into a Concrete graph; tensors are tracers of batch 1.

    Attributes:
        exactness: With which dropped bits are rounded away.
    """

    exactness: fhe.Exactness = fhe.Exactness.APPROXIMATE

    def convolve(
        self,
        x: fhe.Tracer,
        weight: IntArray,
        bias: IntArray,
        *,
        stride: tuple[int, int],
        padding: tuple[int, int],
        groups: int,
        bounds: tuple[int, int],
    ) -> fhe.Tracer:
        """See `Operations.convolve`."""
        return _assume(fhe.conv(_pad(x, *padding), weight, bias, strides=stride, group=groups), bounds)

    def multiply(self, x: fhe.Tracer, weight: IntArray, bias: IntArray, *, bounds: tuple[int, int]) -> fhe.Tracer:
        """See `Operations.multiply`; the product before the bias is computed modulo a power of two, so it needs no more room."""
        return _assume(_assume(x @ weight.T, bounds) + bias, bounds)

    def sum_windows(
        self, x: fhe.Tracer, kernel: tuple[int, int], stride: tuple[int, int], *, bounds: tuple[int, int]
    ) -> fhe.Tracer:
        """See `Operations.sum_windows`."""
        channels = x.shape[1]
        ones = np.ones((channels, 1, *kernel), dtype=np.int64)
        return _assume(fhe.conv(x, ones, strides=stride, group=channels), bounds)

    def max_windows(
        self,
        x: fhe.Tracer,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int],
        extent: tuple[int, int],
    ) -> fhe.Tracer:
        """See `Operations.max_windows`; padded values are moved so that what is added beyond the edges, 0, is the least."""
        low, high = extent
        moved = low if any(padding) else 0
        x = _assume(x - moved, (0, high - low)) if moved else x
        x = _pad(x, *padding)
        x = _assume(x + moved, extent) if moved else x
        for axis in (3, 2):  # columns first
            length, size, step = x.shape[axis], kernel[axis - 2], stride[axis - 2]
            stop = (length - size) // step * step + 1
            found = _part(x, axis, 0, stop, step)
            for start in range(1, size):
                found = _larger(_part(x, axis, start, start + stop, step), found, extent)
            x = found
        return x

    def arrange(self, x: fhe.Tracer, shape: tuple[int, ...]) -> fhe.Tracer:
        """See `Operations.arrange`."""
        return x.reshape((1, *shape))

    def look_up(self, x: fhe.Tracer, tables: IntArray, bins: Bins) -> fhe.Tracer:
        """See `Operations.look_up`."""
        padded = np.pad(tables, ((0, 0), (0, (1 << bins.bits) - bins.count)), mode="edge")
        # Concrete rounds to the nearest multiple of a bin's width: half a width less, that is the bin itself.
        half = bins.width // 2
        last = (bins.width << bins.bits) - 1 - half
        index = x - (bins.low + half) if bins.low + half else x
        index = _assume(index, (0, last))
        if bins.dropped_bits:
            index = fhe.round_bit_pattern(
                index,
                lsbs_to_remove=bins.dropped_bits,
                overflow_protection=False,
                exactness=self.exactness,
            )
            padded = np.repeat(padded, bins.width, axis=1)
        if len(padded) == 1:
            return fhe.LookupTable(padded[0])[index]
        channel_tables = np.empty(len(padded), dtype=object)
        channel_tables[:] = [fhe.LookupTable(table) for table in padded]
        spread = np.broadcast_to(channel_tables.reshape(1, -1, *[1] * (x.ndim - 2)), x.shape)
        return fhe.LookupTable(spread)[index]

    def flatten(self, x: fhe.Tracer) -> fhe.Tracer:
        """See `Operations.flatten`."""
        return x.reshape((1, x.size))

    def add(self, x: fhe.Tracer, y: fhe.Tracer, *, bounds: tuple[int, int]) -> fhe.Tracer:
        """See `Operations.add`."""
        return _assume(x + y, bounds)


def _assume(x: fhe.Tracer, bounds: tuple[int, int]) -> fhe.Tracer:
    """Let Concrete take for granted that a value keeps within bounds, and may reach them.

    Concrete gives a value the width that samples need. Samples may miss the largest value, and those of an accumulator with
    calibrated bounds may exceed them where real inputs do not. Only what the samples evaluate to is clipped, nothing in
    the circuit.
    """
    low, high = bounds
    node = x.computation
    evaluate = node.evaluator
    node.evaluator = lambda *values: np.clip(evaluate(*values), low, high)
    return fhe.hint(x, bit_width=bits_for(low, high))


def _part(x: fhe.Tracer, axis: int, start: int, stop: int, step: int) -> fhe.Tracer:
    """Return every ``step``-th row (axis 2) or column (axis 3)."""
    chosen = slice(start, min(stop, x.shape[axis]), step)
    return x[:, :, chosen, :] if axis == 2 else x[:, :, :, chosen]


def _larger(one: fhe.Tracer, other: fhe.Tracer, extent: tuple[int, int]) -> fhe.Tracer:
    """Return the larger of two values each, by one table on their difference."""
    span = extent[1] - extent[0]
    difference = _assume(one - other + span, (0, 2 * span))
    entries = np.maximum(np.arange(1 << bits_for(0, 2 * span)) - span, 0)
    return _assume(other + fhe.LookupTable(entries)[difference], extent)


def _pad(x: fhe.Tracer, rows: int, columns: int) -> fhe.Tracer:
    """Surround encrypted maps with zeros, which Concrete's convolution does not do itself."""
    if not rows and not columns:
        return x
    _, channels, height, width = x.shape
    padded = fhe.zeros((1, channels, height + 2 * rows, width + 2 * columns))
    padded[:, :, rows : rows + height, columns : columns + width] = x
    return padded


def compile_integer_program(
    network: Network, segment: Segment, settings: CompilerSettings, *, keys_of: CircuitSpec | None = None
) -> Compiled:
    """Compile a segment of the integer program; see `Backend`.

    Every accumulator has room for its worst case, so that no input overflows, but for those whose activation clamps or is negacyclic: they
    have room for their bins, and a negacyclic table is read right beyond.
    """
    reads, writes = network.boundaries[segment.start], network.boundaries[segment.stop]
    layers, extent, bins = _entering(network, segment)
    low = int(propagate_all(layers, extent).low.min())
    offset = min(low, 0)
    codec = Codec(output_offset=(float(offset),), input_bins=bins)
    bootstraps = network.bootstraps(segment)
    what = f"segment {segment} of network {network.name!r}"
    for spare_bits in range(1 if bootstraps else MOST_SPARE_BITS + 1):
        program = _Program(layers, extent, offset, writes.bits + spare_bits if offset or spare_bits else None)
        circuit = _compile(program, settings, keys_of, what)
        client_specs = circuit.client.specs.serialize()
        spec = CircuitSpec(
            segment=segment,
            backend="integer",
            reads=reads.without_grid(),
            writes=writes.without_grid(),
            codec=codec,
            p_error=settings.p_error,
            bootstraps=bootstraps,
            table_bits=network.table_bits(segment),
            approximate=settings.rounding is Rounding.APPROXIMATE and network.is_approximate(segment),
            complexity=float(circuit.complexity),
            key_set=sha256(client_specs),
            client_specs=client_specs,
        )
        compiled = Compiled(spec, circuit.server)
        try:
            _require_readable(spec, what)
            spec.require_fit()
            require_key_parameters(spec, keys_of)
        except InsecureParameters as error:  # some dimensions that the optimiser tries are too small
            compiled.discard()
            refused: CircuitError = error
        except CircuitError:
            compiled.discard()
            raise
        else:
            return compiled
    raise CircuitError(
        f"{what} compiles at p_error {settings.p_error:g} to what no client takes ({refused}); make the p_error smaller, or give the "
        "segment to the client"
    )


@dataclass(frozen=True)
class _Program:
    """What Concrete traces: layers, and how their result is made unsigned.

    Attributes:
        layers: In order.
        extent: Of what enters the first.
        offset: Subtracted from the result; the least that it can be where that is negative.
        bits: That the result is given; None for as many as it needs.
    """

    layers: tuple[Layer, ...]
    extent: Extent
    offset: int
    bits: int | None


def _compile(program: _Program, settings: CompilerSettings, keys_of: CircuitSpec | None, what: str) -> fhe.Circuit:
    operations = ConcreteOperations(EXACTNESS[settings.rounding])
    extent = program.extent

    def trace(x: fhe.Tracer) -> fhe.Tracer:
        y = run_all(program.layers, x, extent, operations)
        # Concrete learns a result's sign from samples, which may miss it: make every result unsigned.
        return y if program.bits is None else fhe.hint(y - program.offset, bit_width=program.bits)

    shape = (1, *extent.shape)
    generator = np.random.default_rng(0)
    samples = [np.full(shape, bound) for bound in extent.bounds]
    samples += [generator.integers(*extent.bounds, shape, endpoint=True) for _ in range(SAMPLES)]
    try:
        with linkable():
            compiler = fhe.Compiler(trace, {"x": "encrypted"})
            return compiler.compile(samples, configuration(settings, keys_of), no_artifacts(trace.__name__))
    except (RuntimeError, ValueError, IndexError) as error:  # the last where a layer gives the same whatever it takes
        refusal = _refusal_behind(error)
        if refusal is not None:
            raise refusal from error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise CircuitError(f"{what} does not compile at p_error {settings.p_error:g} ({reason})") from error


def _refusal_behind(error: BaseException | None) -> CircuitError | None:
    """Return the refusal of `cryptml.fhe.concrete` at which Concrete failed, or None."""
    while error is not None and not isinstance(error, CircuitError):
        error = error.__cause__
    return error


def _require_readable(spec: CircuitSpec, what: str) -> None:
    """Refuse a circuit whose values are cut into several ciphertexts each, as Concrete does with very wide tables."""
    try:
        spec.parameters  # noqa: B018
    except InsecureParameters:
        raise
    except CircuitError as error:
        raise CircuitError(
            f"{what} does not compile at p_error {spec.p_error:g} to one ciphertext a value; make the inputs of its tables narrower"
        ) from error


def _entering(network: Network, segment: Segment) -> tuple[tuple[Layer, ...], Extent, Bins | None]:
    """Return the layers to trace, what enters the first, and the bins that the client puts its values into before."""
    layers, extent = network.segment_layers(segment), network.boundaries[segment.start].extent()
    bins, first = network.entering_bins(segment), layers[0]
    if bins is None or not isinstance(first, Activation):
        return layers, extent, None
    zeros = np.zeros_like(extent.low)
    return (first.on_bins(), *layers[1:]), Extent(extent.shape, zeros, zeros + bins.numbers - 1), bins
