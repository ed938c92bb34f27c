"""How much of a segment an attack recovers, against the segment's own weights and tables."""

from __future__ import annotations

import numpy as np

from cryptml.errors import NetworkError
from cryptml.exposure.attacks.affine import CHUNK, AffineSurrogate
from cryptml.exposure.knowledge import Knowledge
from cryptml.exposure.operators import Operator
from cryptml.exposure.probes import AffinePlan
from cryptml.exposure.surrogate import Surrogate
from cryptml.networks.extent import IntArray
from cryptml.networks.layers import Activation, Convolution, Linear, run_all
from cryptml.networks.network import Network
from cryptml.networks.operations import NumpyOperations
from cryptml.splits import Segment


def affine_share(network: Network, segment: Segment, surrogate: AffineSurrogate) -> float:
    """Return the share of a linear segment's weights that a surrogate has right, 0 to 1, up to what no client can tell."""
    plan, operator = surrogate.plan, surrogate.operator
    layers = network.segment_layers(segment)
    if not plan.rest or operator is None:
        truth = network.run(surrogate.base, segment)
        return float((surrogate.predict(surrogate.base) == truth).mean())
    offset = surrogate.answer - operator.apply(plan.pool(surrogate.base))
    last = layers[-1]
    if len(plan.rest) == 1 and isinstance(last, Linear):
        return _share([(operator.weight, last.weight), (offset[0], last.bias)])
    if len(plan.rest) == 1 and isinstance(last, Convolution) and plan.window is not None:
        weight, seen = _grouped(operator, last), _observable(plan, last)
        bias = np.broadcast_to(last.bias[:, None, None], offset[0].shape)
        spread = np.broadcast_to(seen, last.weight.shape)
        constant = (offset[0] == bias).all(axis=(1, 2))
        return _share([(weight[spread], last.weight[spread]), (constant.astype(np.int64), np.ones_like(last.bias))])
    rest = layers[len(plan.pools) :]
    # Affine layers are run outside their ranges here, which NumPy's integers allow; ranges matter to circuits only.
    extent = network.boundaries[segment.start + len(plan.pools)].extent()
    size = int(np.prod(plan.grid))
    zero = run_all(rest, np.zeros((1, *plan.grid), dtype=np.int64), extent, NumpyOperations())
    equal, total = int((offset == zero).sum()), zero.size
    for first in range(0, size, CHUNK):
        units = np.eye(size, dtype=np.int64)[first : first + CHUNK].reshape(-1, *plan.grid)
        truth = run_all(rest, units, extent, NumpyOperations()) - zero
        equal, total = equal + int((operator.apply(units) == truth).sum()), total + truth.size
    return equal / total


def _share(pairs: list[tuple[IntArray, IntArray]]) -> float:
    equal = sum(int((found == truth).sum()) for found, truth in pairs)
    return equal / sum(truth.size for _, truth in pairs)


def _grouped(operator: Operator, layer: Convolution) -> IntArray:
    """Return the recovered kernel in the layer's own shape, (out, in / groups, rows, columns)."""
    outputs, inputs = layer.weight.shape[:2]
    first = np.arange(outputs) // (outputs // layer.groups) * inputs
    return operator.weight[np.arange(outputs)[:, None], first[:, None] + np.arange(inputs)]


def _observable(plan: AffinePlan, layer: Convolution) -> IntArray:
    """Return (rows, columns) bool: the taps that ever meet an input rather than padding."""
    if plan.window is None:
        raise NetworkError(f"layer {layer.name!r} has no window; report this")
    seen = np.zeros(layer.weight.shape[2:], dtype=bool)
    rows, columns = (
        {t for p in range(plan.grid[axis + 1]) for t in plan.window.hits(axis, p, plan.writes[axis + 1]).values()}
        for axis in (0, 1)
    )
    seen[np.ix_(sorted(rows), sorted(columns))] = True
    return seen


def table_share(network: Network, segment: Segment, surrogate: Surrogate) -> float | None:
    """Return the share of reachable table entries recovered of an activation with at most poolings behind it."""
    layer, reads = network.layers[segment.start], network.boundaries[segment.start]
    if surrogate.table is None or surrogate.kernel is not None or not isinstance(layer, Activation):
        return None
    asked = np.arange(reads.low, reads.high + 1)
    entries = layer.bins.index(asked)
    found = surrogate.table
    if network.entering_bins(segment) is not None:
        entries = np.unique(entries)
        found = found[:, entries - surrogate.first]
    reached = layer.bins.whole(layer.table)[:, entries]
    return _share([(found, np.broadcast_to(reached, found.shape))])


def same_index_model(network: Network, segment: Segment, surrogate: Surrogate) -> bool:
    """Return whether a fitted kernel and table are the layer's own up to a factor, on every sum that can occur."""
    known = Knowledge.of(network, segment)
    index = next(i for i, layer in enumerate(known.layers) if not layer.linear)
    layers = network.segment_layers(segment)
    linear, activation = layers[:index], layers[index]
    plan = AffinePlan(known.reads.shape, known.layers[:index])
    if (
        surrogate.kernel is None
        or surrogate.table is None
        or surrogate.found is None
        or not isinstance(activation, Activation)
    ):
        return False
    conv = linear[-1]
    if len(plan.rest) != 1 or not isinstance(conv, Convolution) or plan.window is None:
        return False
    operator = Operator(plan.window, surrogate.kernel, plan.writes)
    guessed = _grouped(operator, conv)
    grid = network.boundaries[segment.start + index - 1]
    low, high = (min(grid.low, 0), max(grid.high, 0)) if any(conv.padding) else (grid.low, grid.high)
    if plan.window is None or np.any(surrogate.kernel[~plan.window.connects]):
        return False
    for channel, (kernel, weight) in enumerate(zip(guessed, conv.weight, strict=True)):
        norm = int((kernel * kernel).sum())
        factor, remainder = divmod(int((kernel * weight).sum()), norm) if norm else (0, 0)
        if remainder or not np.array_equal(kernel * factor, weight):
            return False
        least = int((np.maximum(kernel, 0) * low + np.minimum(kernel, 0) * high).sum())
        most = int((np.maximum(kernel, 0) * high + np.minimum(kernel, 0) * low).sum())
        sums = np.arange(least, most + 1)
        table = activation.bins.whole(activation.table)[channel if len(activation.table) > 1 else 0]
        entries = activation.bins.index(sums * factor + int(conv.bias[channel]))
        place = sums - surrogate.first
        if place[0] < 0 or place[-1] >= surrogate.table.shape[1]:
            return False
        if not surrogate.found[channel, place].all() or not np.array_equal(
            surrogate.table[channel, place], table[entries]
        ):
            return False
    return True
