"""What became of the clients, counted by kind of attack."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.hostile_service.secrecy import Noise


@dataclass
class Row:
    """What became of one kind of attack."""

    answers: int = 0
    refused: int = 0
    right: int = 0
    other: int = 0
    crashes: int = 0
    hangs: int = 0
    slowest: float = 0.0
    peak: int = 0


@dataclass
class Fault:
    """What must not be."""

    kind: str
    run: str
    what: str
    detail: str = ""


@dataclass
class Result:
    """Of all runs.

    Attributes:
        rows: By kind.
        faults: Everything that must not be.
        honest_peak: Bytes, of the client's processes in honest runs.
        elsewhere: Connections to where redirects lead.
        errors: How often each class of error was the answer.
        ciphertexts: That were looked at.
        bytes: That were looked through.
        noise: Of ciphertexts whose masks can be seen.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    honest_peak: int = 0
    elsewhere: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    ciphertexts: int = 0
    bytes: int = 0
    noise: Noise | None = None
    patterns: int = 0

    @property
    def answers(self) -> int:
        """How many runs there were."""
        return sum(row.answers for row in self.rows.values())


def documents_json(result: Result) -> str:
    """Return the faults as JSON, for looking at."""
    return json.dumps([fault.__dict__ for fault in result.faults], indent=1)
