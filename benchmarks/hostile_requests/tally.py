"""Answers to hostile requests, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from benchmarks.hostile_requests.target import CANARY, Answer, Shot

CLASSES = ("2xx", "3xx", "4xx", "503", "other 5xx", "closed", "left")


@dataclass
class Tally:
    """All answers.

    Attributes:
        counts: By kind of request and class of answer.
        wrong: What should not have been answered so.
        seconds: That each kind took.
    """

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    statuses: Counter[int | None] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """Requests so far."""
        return sum(sum(found.values()) for found in self.counts.values())

    def add(self, kind: str, shot: Shot, answer: Answer) -> None:
        """Count an answer."""
        self.counts.setdefault(kind, Counter())[answer.kind] += 1
        self.statuses[answer.status] += 1
        said = f"{kind}: {answer.status} for {shot.data[:120]!r}"
        if answer.kind == "other 5xx":
            self.wrong.append(f"{said}: {answer.raw[-300:]!r}")
        if shot.forbidden and answer.kind in ("2xx", "3xx"):
            self.wrong.append(said)
        if shot.secret in answer.raw or CANARY in answer.raw or b"root:x:" in answer.raw:
            self.wrong.append(f"{said}: the answer holds what it must not")


def table(tally: Tally) -> list[str]:
    """Return the lines of the table."""
    rows = [f"| kind | requests | {' | '.join(CLASSES)} |", f"|---|{'---:|' * (1 + len(CLASSES))}"]
    for kind, found in tally.counts.items():
        cells = [str(sum(found.values())), *(str(found[name]) for name in CLASSES)]
        rows.append(f"| {kind} | {' | '.join(cells)} |")
    sums = [sum(found[name] for found in tally.counts.values()) for name in CLASSES]
    rows.append(f"| all | {tally.total} | {' | '.join(map(str, sums))} |")
    return rows
