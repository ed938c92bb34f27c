"""What an audit found: segments with the attacks on them, and what they come to for a split or for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptml.exposure.audit import Recovery
from cryptml.exposure.facts import SegmentExposure, SplitExposure, insecure_layers
from cryptml.fhe.security import SECURITY_BITS
from cryptml.networks.network import Network
from cryptml.splits import Segment, Split

SEEN = ("start", "stop", "input_bytes", "output_bytes", "evaluation_key_bytes", "bootstraps", "failure_probability")
"""What of a circuit's specification the server's operator sees of each prediction."""


@dataclass(frozen=True)
class AttackedSegment:
    """One segment, attacked in the clear.

    Attributes:
        segment: Which layers.
        exposure: What is known about attacks on it.
        recovery: How the attack ended that was run.
    """

    segment: Segment
    exposure: SegmentExposure
    recovery: Recovery

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {
            "start": self.segment.start,
            "stop": self.segment.stop,
            "exposure": self.exposure.to_json(),
            "attack": self.recovery.to_json(),
        }


@dataclass(frozen=True)
class CiphertextAttack:
    """The attack on ciphertexts, or why there was none.

    Attributes:
        skipped: Why there was none; None where there was one, and the others are given then.
        segment: Which layers.
        recovery: How it ended.
        key_set: Digest (hexadecimal) of the key set, which is what the server saw of the client.
        keyless: Whether the circuit needs no evaluation keys.
    """

    skipped: str | None = None
    segment: Segment | None = None
    recovery: Recovery | None = None
    key_set: str = ""
    keyless: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the attack as JSON values, or the reason alone."""
        if self.segment is None or self.recovery is None:
            return {"skipped": self.skipped}
        return {
            "skipped": None,
            "start": self.segment.start,
            "stop": self.segment.stop,
            "attack": self.recovery.to_json(),
            "key_set": self.key_set,
            "keyless": self.keyless,
        }


@dataclass(frozen=True, eq=False)
class Audit:
    """What attacks on a network recovered; `SplitAudit` and `NetworkAudit` say of what.

    Attributes:
        network: That was attacked.
        queries: Most queries to a non-linear segment.
        p_error: Probability that one programmable bootstrap fails.
        segments: Each with its attack, in the order of the layers.
        encrypted: The attack on ciphertexts.
    """

    network: Network
    queries: int
    p_error: float
    segments: Sequence[AttackedSegment]
    encrypted: CiphertextAttack

    def _settings(self) -> dict[str, Any]:
        return {"queries": self.queries, "p_error": self.p_error, "security_bits": SECURITY_BITS}


@dataclass(frozen=True, eq=False)
class SplitAudit(Audit):
    """What the client of one split has, or gets.

    Attributes:
        split: Who runs which layer.
        exposure: The facts of the split added up.
        learned: Layers that the client learns for certain, each with the reason; one that is missing is not thereby secret.
        server_sees: Sizes of each circuit (`SEEN`), in the order of a prediction's round trips.
    """

    split: Split
    exposure: SplitExposure
    learned: Mapping[str, str]
    server_sees: Sequence[Mapping[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {
            "network": self.network.name,
            "split": self.split.letters,
            **self._settings(),
            "exposure": self.exposure.to_json(),
            "learned_for_certain": dict(self.learned),
            "segments": [each.to_json() for each in self.segments],
            "server_sees": [dict(each) for each in self.server_sees],
            "encrypted": self.encrypted.to_json(),
        }


@dataclass(frozen=True, eq=False)
class NetworkAudit(Audit):
    """What the client of each split has, or gets.

    Attributes:
        splits: All, each with its exposure and the learned integers of those of its server segments that attacks recovered exactly.
    """

    splits: Sequence[tuple[Split, SplitExposure, int]]

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {
            "network": self.network.name,
            **self._settings(),
            "segments": [each.to_json() for each in self.segments],
            "splits": [
                {"split": split.letters, "exposure": exposure.to_json(), "attacked_parameters": attacked}
                for split, exposure, attacked in self.splits
            ],
            "encrypted": self.encrypted.to_json(),
        }


def learned_for_certain(
    names: Sequence[str], split: Split, attacks: Sequence[AttackedSegment], budget: int
) -> dict[str, str]:
    """Return the layers that a client learns: by what is known of their segments, or because an attack recovered them exactly.

    Args:
        names: Of the network's layers, in order.
        split: Who runs what.
        attacks: On each server segment.
        budget: Queries that a client may make; as many as an attack made, where that is more.
    """
    most = max((each.recovery.queries for each in attacks), default=0)
    found = insecure_layers(names, split, {each.segment: each.exposure for each in attacks}, max(budget, most))
    for each in attacks:
        if each.recovery.exact and not each.exposure.linear:
            reason = f"{each.recovery.queries:,} queries recovered segment {each.segment}"
            found.update(dict.fromkeys(names[each.segment.start : each.segment.stop], reason))
    return found
