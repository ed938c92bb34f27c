"""Compose the cost of every split from the costs of its segments, for any bandwidth and round-trip time.

``latency = client segments + server segments of (encrypt + upload + round trip + evaluate + download + decrypt)``: sums over
segments, except for memory. A client makes the keys of all server segments before its first answer, and a server keeps them
all; while a segment is at work it adds its own transient to what is retained. So 2^n splits are composed by walking the
boundaries once, each partial split extended by its last segment, with NumPy arrays over all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryptml.profiler.plan.costs import KEY_TRIPS, CostModel, Floats, Link, SegmentCost
from cryptml.splits import Segment

MAX_COMPOSED_LAYERS = 20
"""2^20 splits fill some hundred megabytes; above, only the frontier is computed."""


@dataclass
class Partial:
    """Running values of many splits at once, each an array with one entry a split."""

    code: NDArray[np.int64]
    infeasible: NDArray[np.bool_]
    estimated: NDArray[np.bool_]
    client_ms: Floats
    server_ms: Floats
    network_ms: Floats
    setup_ms: Floats
    upload_bytes: Floats
    download_bytes: Floats
    evaluation_key_bytes: Floats
    round_trips: Floats
    keyed: Floats
    bootstraps: Floats
    client_parameters: Floats
    recoverable: Floats
    queries: Floats
    client_retained: Floats
    client_keygen_peak: Floats
    client_shared: Floats
    client_extra: Floats
    server_retained: Floats
    server_shared: Floats
    server_extra: Floats

    @staticmethod
    def start(front_end_ms: float) -> Partial:
        """Return the one split of no layers."""
        zero = np.zeros(1)
        values: dict[str, Any] = {field.name: zero.copy() for field in fields(Partial)}
        values["code"] = np.zeros(1, dtype=np.int64)
        values["infeasible"] = np.zeros(1, dtype=bool)
        values["estimated"] = np.zeros(1, dtype=bool)
        values["client_ms"] = np.full(1, front_end_ms, dtype=np.float64)
        values["queries"] = np.full(1, np.inf)
        return Partial(**values)

    @staticmethod
    def join(parts: Sequence[Partial]) -> Partial:
        """Return all entries of several, in order."""
        return Partial(
            **{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Partial)}
        )

    def pick(self, index: NDArray[Any]) -> Partial:
        """Return the entries of an index or a mask."""
        return Partial(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def client(self, segment: Segment, cost: SegmentCost) -> Partial:
        """Return these splits extended by a client segment."""
        after = self.pick(np.arange(len(self.code)))
        after.code = after.code << len(segment)
        after.client_ms += cost.client_run_ms
        after.client_parameters += cost.parameters
        return after

    def server(self, segment: Segment, cost: SegmentCost, link: Link) -> Partial:
        """Return these splits extended by a server segment."""
        after = self.pick(np.arange(len(self.code)))
        after.code = (after.code << len(segment)) | ((1 << len(segment)) - 1)
        after.infeasible |= not cost.feasible
        after.estimated |= cost.estimated
        after.client_ms += cost.encrypt_ms + cost.decrypt_ms
        after.server_ms += cost.evaluate_ms
        after.network_ms += link.rtt_ms + link.transfer_ms(cost.upload_bytes + cost.download_bytes)
        there = cost.shares_keys & (after.keyed > 0)  # a segment before made, sent and keeps the same keys
        after.setup_ms += np.where(
            there,
            0.0,
            cost.keygen_ms + cost.load_keys_ms + KEY_TRIPS * link.rtt_ms + link.transfer_ms(cost.evaluation_key_bytes),
        )
        after.upload_bytes += cost.upload_bytes
        after.download_bytes += cost.download_bytes
        after.evaluation_key_bytes += np.where(there, 0.0, cost.evaluation_key_bytes)
        after.round_trips += 1
        after.keyed += cost.bootstraps > 0
        after.bootstraps += cost.bootstraps
        after.recoverable += cost.recoverable
        after.queries = np.minimum(after.queries, cost.queries)
        # What is kept of shared keys counts once: as much as by the segment that keeps most.
        making = np.where(there, 0.0, after.client_retained + cost.client_keygen_peak_bytes)
        after.client_keygen_peak = np.maximum(after.client_keygen_peak, making)
        after.client_extra = np.maximum(after.client_extra, cost.client_peak_bytes - cost.client_retained_bytes)
        if cost.shares_keys:
            after.client_retained -= after.client_shared
            after.client_shared = np.maximum(after.client_shared, cost.client_retained_bytes)
            after.client_retained += after.client_shared
            after.server_retained -= after.server_shared
            after.server_shared = np.maximum(after.server_shared, cost.server_retained_bytes)
            after.server_retained += after.server_shared
        else:
            after.client_retained += cost.client_retained_bytes
            after.server_retained += cost.server_retained_bytes
        after.server_extra = np.maximum(after.server_extra, cost.server_peak_bytes - cost.server_retained_bytes)
        return after


@dataclass(frozen=True, eq=False)
class Composed:
    """Every split's cost: arrays with one entry a split, in the order C before S.

    Attributes:
        layers: How many the network has.
        parts: The sums.
        latency_ms: Client, server and network together.
        client_peak_bytes: Of the client's process.
        server_peak_bytes: Of the server's worker; 0 where a split needs none.
    """

    layers: int
    parts: Partial
    latency_ms: Floats
    client_peak_bytes: Floats
    server_peak_bytes: Floats

    def __len__(self) -> int:
        return len(self.latency_ms)

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """Which splits can be run."""
        return ~self.parts.infeasible

    @property
    def exposed_parameters(self) -> Floats:
        """Parameters that the client holds, or recovers with a known number of queries."""
        return self.parts.client_parameters + self.parts.recoverable

    def letters(self, index: int) -> str:
        """Return a split as it is written."""
        return f"{int(self.parts.code[index]):0{self.layers}b}".translate(LETTERS)

    def figure(self, name: str, index: int) -> float | int:
        """Return one of `cryptml.profiler.plan.report.FIGURES` of a split, rounded as a report holds it."""
        array = getattr(self, name) if hasattr(self, name) else getattr(self.parts, name)
        return round(float(array[index]), 4) if name.endswith("_ms") else round(float(array[index]))

    def objectives(self) -> Floats:
        """Return (splits, 3): latency, server peak memory, exposed parameters; what the frontier is of."""
        return np.stack([self.latency_ms, self.server_peak_bytes, self.exposed_parameters], axis=1)


LETTERS = str.maketrans("01", "CS")


def finish(model: CostModel, parts: Partial) -> Composed:
    """Return the totals of whole splits."""
    served = parts.round_trips > 0
    return Composed(
        layers=model.layers,
        parts=parts,
        latency_ms=parts.client_ms + parts.server_ms + parts.network_ms,
        client_peak_bytes=model.client_baseline_bytes
        + np.maximum(parts.client_keygen_peak, parts.client_retained + parts.client_extra),
        server_peak_bytes=np.where(
            served, model.server_baseline_bytes + parts.server_retained + parts.server_extra, 0.0
        ),
    )


def compose(model: CostModel, link: Link) -> Composed:
    """Compose all 2^n splits of a network, C before S at each layer.

    Raises:
        ValueError: Above `MAX_COMPOSED_LAYERS` layers; `cryptml.profiler.plan.frontier.search_frontier` needs no list.
    """
    if model.layers > MAX_COMPOSED_LAYERS:
        raise ValueError(f"2^{model.layers} splits are too many to list, at most 2^{MAX_COMPOSED_LAYERS}")
    ends: dict[tuple[int, str], Partial] = {(0, ""): Partial.start(model.front_end_ms)}
    for stop in range(1, model.layers + 1):
        for side, other in (("C", "S"), ("S", "C")):
            grown = []
            for start in range(stop):
                before = ends.get((start, other)) if start else ends[0, ""]
                if before is not None:
                    grown.append(extend(before, Segment(start, stop), model, link, side))
            ends[stop, side] = Partial.join(grown)
    whole = Partial.join([ends[model.layers, "C"], ends[model.layers, "S"]])
    return finish(model, whole.pick(np.argsort(whole.code)))


def compose_one(model: CostModel, letters: str, link: Link) -> Composed:
    """Compose a single split."""
    from cryptml.splits import Split

    parts = Partial.start(model.front_end_ms)
    for side, segment in Split(letters).require_length(model.layers).segments:
        parts = extend(parts, segment, model, link, side.value)
    return finish(model, parts)


def extend(before: Partial, segment: Segment, model: CostModel, link: Link, side: str) -> Partial:
    """Return splits up to ``segment.start`` extended by a segment of one side."""
    cost = model.segments[segment]
    return before.client(segment, cost) if side == "C" else before.server(segment, cost, link)
