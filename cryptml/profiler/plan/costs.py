"""What a segment costs on each side, and a network's segments together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryptml.splits import Segment

Floats = NDArray[np.float64]

MAX_LAYERS = 62
"""A split's letters are the bits of one 64-bit integer."""

KEY_TRIPS = 2
"""Round trips for one key set: whether it is there, then the upload."""


@dataclass(frozen=True)
class Link:
    """The link between client and server: a parameter of the composition, never of a measurement.

    Attributes:
        bandwidth_mbps: Megabits a second, either direction.
        rtt_ms: Round-trip time.
    """

    bandwidth_mbps: float
    rtt_ms: float

    def transfer_ms(self, size_bytes: float) -> float:
        """Return the time on the link of some bytes, without the round trip."""
        return size_bytes * 8 / (self.bandwidth_mbps * 1000)


@dataclass(frozen=True)
class SegmentCost:
    """What composition needs of one segment.

    Attributes:
        client_run_ms: As a client segment.
        feasible: Whether it can be a server segment; what follows is 0 where it cannot.
        estimated: Whether what follows was estimated.
        keygen_ms: Making its keys, once a client.
        load_keys_ms: Storing and loading their evaluation half on the server, once a client.
        encrypt_ms: One input, on the client.
        evaluate_ms: One input, on the server.
        decrypt_ms: One output, on the client.
        upload_bytes: One encrypted input.
        download_bytes: One encrypted output.
        evaluation_key_bytes: As sent, once a client.
        client_keygen_peak_bytes: Above the client's baseline, while its keys are made.
        client_peak_bytes: Above the client's baseline, while it is encrypted for and decrypted.
        client_retained_bytes: Its keys, which the client keeps.
        server_peak_bytes: Above the server's baseline, while this segment is at work.
        server_retained_bytes: What the server keeps of it.
        bootstraps: Programmable bootstraps for one input.
        parameters: Learned integers in its layers.
        recoverable: Of these, those that a client that decrypts the segment recovers with a known number of queries: all or none.
        queries: That number; infinite where none is known.
        shares_keys: Whether its keys are those of all other such segments, made, sent and kept once.
    """

    client_run_ms: float
    feasible: bool
    estimated: bool
    keygen_ms: float
    load_keys_ms: float
    encrypt_ms: float
    evaluate_ms: float
    decrypt_ms: float
    upload_bytes: float
    download_bytes: float
    evaluation_key_bytes: float
    client_keygen_peak_bytes: float
    client_peak_bytes: float
    client_retained_bytes: float
    server_peak_bytes: float
    server_retained_bytes: float
    bootstraps: float
    parameters: float
    recoverable: float
    queries: float
    shares_keys: bool = False


@dataclass(frozen=True)
class CostModel:
    """A network's segments with their costs.

    Attributes:
        layers: How many.
        segments: Every segment's cost.
        front_end_ms: Front end and first quantisation, on the client.
        client_baseline_bytes: Of a client's process that has done nothing yet.
        server_baseline_bytes: Of a server's worker that has done nothing yet.
    """

    layers: int
    segments: Mapping[Segment, SegmentCost]
    front_end_ms: float
    client_baseline_bytes: float
    server_baseline_bytes: float
