"""Segments that are a function of one weighted sum: its direction by least squares, its weights by rounding, its table by asking.

Least squares on random inputs gives the direction of w where answers are a function of ``w @ x`` (Brillinger, A Generalized
Linear Model with "Gaussian" Regressor Variables, 1982); rounding to small integers does the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import islice, zip_longest

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from cryptml.exposure.attacks.pooling import pooled
from cryptml.exposure.knowledge import Knowledge, PublicLayer
from cryptml.exposure.operators import Operator, Window
from cryptml.exposure.probes import AffinePlan
from cryptml.exposure.surrogate import Answers, Surrogate
from cryptml.networks.bins import Bins
from cryptml.networks.extent import IntArray
from cryptml.networks.operations import NumpyOperations

GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it, modulo 1, lie evenly however many there are."""

TABLE_SAMPLES = 1024
"""Answers of a channel from which a pooled table is solved."""

LARGEST_WEIGHT = 7
"""Weights of up to 4 bits are tried as hypotheses."""

PATIENCE = 1
"""Further scales that are tried after the best one."""

DOUBTFUL = 16
"""Weights of a channel that are rounded the other way on trial."""

MAX_SAMPLES = 30_000_000
"""Numbers in the design matrix of a fit: 240 MB."""


def index_model(known: Knowledge, oracle: Answers, budget: int, random: np.random.Generator) -> Surrogate | None:
    """Fit a convolution of small integers and a table to a segment ``linear..., activation, poolings``; None for another.

    Three quarters of the budget are random queries. The rest drives sums to values that random inputs do not reach, where
    answers are not pooled.
    """
    index = next((i for i, layer in enumerate(known.layers) if not layer.linear), len(known.layers))
    behind = list(known.layers[index + 1 :])
    plan = AffinePlan(known.reads.shape, known.layers[:index])
    window = plan.window
    if known.activations != 1 or known.layers[index].kind != "activation" or window is None:
        return None
    if any(layer.kind != "pooling" for layer in behind):
        return None
    taps = window.connects.shape[1] * math.prod(window.kernel)
    count = min(budget * 3 // 4, max(8, MAX_SAMPLES // (taps * math.prod(plan.writes[1:]))))
    values = random.integers(
        known.reads.low, known.reads.high, (count, *known.reads.shape), endpoint=True, dtype=np.int64
    )
    answers = oracle.query(values)
    patches = _patches(plan.pool(values), window)  # (batch, rows, columns, taps) in front of the table
    summed = pooled(np.moveaxis(patches, -1, 1), behind)
    design = np.moveaxis(summed, 1, -1).reshape(-1, taps)
    kernels, tables = _fit(design, patches, answers, behind, window)
    first = min((min(table) for table in tables), default=0)
    if not behind:
        _drive(kernels, tables, plan, known, oracle, budget - count)
    first = min([first, *(min(table) for table in tables)])
    last = max(max(table) for table in tables)
    table = np.zeros((len(tables), last - first + 1), dtype=np.int64)
    found = np.zeros(table.shape, dtype=bool)
    for channel, entries in enumerate(tables):
        seen = np.array(sorted(entries))
        between = np.searchsorted((seen[:-1] + seen[1:]) / 2, np.arange(first, last + 1))
        table[channel] = np.array([entries[int(each)] for each in seen])[between]
        found[channel, seen - first] = True
    operator = Operator(window, kernels.reshape(-1, window.connects.shape[1], *window.kernel), plan.writes)

    def predict(inputs: IntArray) -> IntArray:
        sums = operator.apply(plan.pool(inputs))
        return pooled(NumpyOperations().look_up(sums, table, Bins(first, table.shape[1])), behind)

    method = "least squares on random queries, rounded to small integers, then a table"
    return Surrogate(predict, method, False, table, first, found, operator.weight)


def _patches(grid: IntArray, window: Window) -> IntArray:
    (rows, columns), (down, right) = window.padding, window.stride
    padded = np.pad(grid, ((0, 0), (0, 0), (rows, rows), (columns, columns)))
    views = sliding_window_view(padded, window.kernel, axis=(2, 3))[:, :, ::down, ::right]  # type: ignore[call-overload]
    moved = np.moveaxis(views, 1, 3)
    return np.ascontiguousarray(moved).reshape(*moved.shape[:3], -1)


def _fit(
    design: IntArray, patches: IntArray, answers: IntArray, behind: list[PublicLayer], window: Window
) -> tuple[IntArray, list[dict[int, int]]]:
    """Return (out, taps) integer weights and a table (sum: entry) for each output channel."""
    taps = design.shape[1]
    allowed = np.repeat(window.connects, math.prod(window.kernel), axis=1)
    centred = design - design.mean(axis=0)
    gram = centred.T @ centred + 1e-6 * np.eye(taps)
    kernels, tables = [], []
    for channel in range(len(window.connects)):
        wanted = answers[:, channel]
        direction = np.linalg.solve(gram, centred.T @ (wanted.ravel() - wanted.mean())) * allowed[channel]
        largest = np.abs(direction).max()
        best: tuple[float, IntArray, dict[int, int]] | None = None
        found = 1
        for scale in range(1, LARGEST_WEIGHT + 1):
            scaled = np.rint(direction / max(largest, 1e-9) * scale).astype(np.int64)
            entries, error = _fit_table(patches @ scaled, wanted, behind)
            if best is None or error < best[0]:
                best = (error, scaled, entries)
                found = scale
            if error == 0 or largest < 1e-9 or scale > found + PATIENCE:
                break
        if best is not None and best[0] and not behind:
            best = _mend(best, direction / largest * found, patches, wanted)
        if best is not None:
            kernels.append(best[1])
            tables.append(best[2])
    return np.stack(kernels), tables


def _mend(
    best: tuple[float, IntArray, dict[int, int]], scaled: NDArray[np.float64], patches: IntArray, wanted: IntArray
) -> tuple[float, IntArray, dict[int, int]]:
    """Round the least certain weights the other way, one after another, where that explains answers better."""
    for tap in np.argsort(-np.abs(scaled - np.rint(scaled)))[:DOUBTFUL]:
        error, kernel, _ = best
        other = kernel.copy()
        other[tap] += 1 if scaled[tap] > kernel[tap] else -1
        entries, changed = _fit_table(patches @ other, wanted, [])
        if changed < error:
            best = (changed, other, entries)
        if not best[0]:
            break
    return best


def _fit_table(sums: IntArray, wanted: IntArray, behind: list[PublicLayer]) -> tuple[dict[int, int], float]:
    """Return the table that explains answers best, and the share that it does not explain."""
    low, entries = int(sums.min()), int(sums.max() - sums.min()) + 1
    if not behind:
        flat, answers = (sums - low).ravel(), wanted.ravel()
        counts = np.bincount(flat, minlength=entries)
        means = np.bincount(flat, answers, entries) / np.maximum(counts, 1)
        table = np.rint(means).astype(np.int64)
        seen = np.flatnonzero(counts)
        return {low + int(i): int(table[i]) for i in seen}, float((table[flat] != answers).mean())
    rows = max(1, TABLE_SAMPLES // wanted[0].size)
    marks = (sums[:rows, None] - low == np.arange(entries)[:, None, None]).astype(np.int64)
    counts = np.moveaxis(pooled(marks, behind), 1, -1).reshape(-1, entries)
    answers = wanted[:rows].ravel()
    seen = np.flatnonzero(counts.any(axis=0))
    table = np.rint(np.linalg.lstsq(counts[:, seen].astype(float), answers.astype(float), rcond=None)[0]).astype(int)
    wrong = float((counts[:, seen] @ table != answers).mean())
    return {low + int(i): int(entry) for i, entry in zip(seen, table, strict=True)}, wrong


def _drive(
    kernels: IntArray, tables: list[dict[int, int]], plan: AffinePlan, known: Knowledge, oracle: Answers, budget: int
) -> None:
    """Fill table entries that random inputs missed: whole windows are set so that a channel's sum takes a wanted value."""
    window = plan.window
    if window is None:
        return
    if len(plan.pools) > 1:  # of several poolings behind one another the inputs of a cell are not a rectangle
        return
    area = math.prod(math.prod(layer.kernel) for layer in plan.pools)
    low, high = known.reads.low * area, known.reads.high * area
    starts = []
    for axis in (0, 1):
        apart = -(-window.kernel[axis] // window.stride[axis])
        inside = [
            o
            for o in range(plan.writes[axis + 1])
            if 0 <= o * window.stride[axis] - window.padding[axis] <= plan.grid[axis + 1] - window.kernel[axis]
        ]
        starts.append(inside[::apart])
    slots = [(row, column) for row in starts[0] for column in starts[1]]
    if not slots:
        return
    channels = [
        ((channel, total, patch) for total, patch in _missing(kernel, tables[channel], low, high))
        for channel, kernel in enumerate(kernels)
    ]
    in_turns = (found for row in zip_longest(*channels) for found in row if found is not None)
    wanted = list(islice(in_turns, budget * len(slots)))
    for turn in range(min(budget, -(-len(wanted) // len(slots)))):
        batch = wanted[turn * len(slots) : (turn + 1) * len(slots)]
        cells = np.full(plan.grid, min(max(0, low), high), dtype=np.int64)
        for (row, column), (_, _, patch) in zip(slots, batch, strict=False):
            top, left = row * window.stride[0] - window.padding[0], column * window.stride[1] - window.padding[1]
            cells[:, top : top + window.kernel[0], left : left + window.kernel[1]] = patch.reshape(-1, *window.kernel)
        answer = oracle.query(_ungrid(cells, plan, known.reads.low)[None])[0]
        for (row, column), (channel, total, _) in zip(slots, batch, strict=False):
            tables[channel][total] = int(answer[channel, row, column])


def _missing(kernel: IntArray, table: Mapping[int, int], low: int, high: int) -> Iterator[tuple[int, IntArray]]:
    """Yield unseen sums of a channel, each with taps in [low, high] that make it; the first few are spread evenly already."""
    extreme = np.where(kernel > 0, low, high)
    least, most = int(kernel @ extreme), int(kernel @ np.where(kernel > 0, high, low))
    sums = np.arange(least, most + 1, max(1, int(np.gcd.reduce(np.abs(kernel)))))
    unseen = np.setdiff1d(sums, np.fromiter(table, np.int64))
    taps = [int(tap) for tap in np.argsort(-np.abs(kernel), kind="stable") if kernel[tap]]
    for place in np.argsort(np.arange(len(unseen)) * GOLDEN % 1, kind="stable").tolist():
        patch, rest = extreme.copy(), int(unseen[place]) - least
        for tap in taps:
            size = abs(int(kernel[tap]))
            moves = min(high - low, rest // size)
            patch[tap] += moves if kernel[tap] > 0 else -moves
            rest -= moves * size
        if rest == 0:
            yield int(unseen[place]), patch


def _ungrid(cells: IntArray, plan: AffinePlan, low: int) -> IntArray:
    """Return inputs in range whose pooling, one at most, gives the wanted cells: as even as integers can be."""
    if not plan.pools:
        return cells
    (pool,) = plan.pools
    inputs = np.full(plan.shape, low, dtype=np.int64)
    area = math.prod(pool.kernel)
    for row in range(pool.kernel[0]):
        for column in range(pool.kernel[1]):
            part = inputs[:, row :: pool.stride[0], column :: pool.stride[1]][:, : plan.grid[1], : plan.grid[2]]
            part[...] = cells // area + (row * pool.kernel[1] + column < cells % area)
    return inputs
