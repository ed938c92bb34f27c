"""What became of the clients, as a table and as claims that hold or do not."""

from __future__ import annotations

from collections import Counter

from benchmarks.hostile_service.limits import (
    MARGIN_BYTES,
    MARGIN_SECONDS,
    MOST_REQUESTS,
    MOST_TEXT,
    PATIENCE_SECONDS,
    TIMEOUT_SECONDS,
)
from benchmarks.hostile_service.result import Result, Row

COLUMNS = (
    "answers",
    "refused with a sentence",
    "answered rightly",
    "answered otherwise",
    "crashes",
    "hangs",
    "slowest s",
    "peak MB",
)


def table(result: Result) -> list[str]:
    """Return the lines of the table."""
    lines = [f"| kind of attack | {' | '.join(COLUMNS)} |", f"|---|{'---:|' * len(COLUMNS)}"]
    rows = sorted(result.rows.items())
    every = [row for _, row in rows]
    total = Row(slowest=max(row.slowest for row in every), peak=max(row.peak for row in every))
    for name in ("answers", "refused", "right", "other", "crashes", "hangs"):
        setattr(total, name, sum(getattr(row, name) for row in every))
    for kind, row in [*rows, ("all", total)]:
        counts = (row.answers, row.refused, row.right, row.other, row.crashes, row.hangs)
        lines.append(f"| {kind} | {' | '.join(map(str, counts))} | {row.slowest:.1f} | {row.peak / 1e6:.0f} |")
    return lines


def verdicts(result: Result) -> list[tuple[bool, str]]:
    """Return what is claimed of the client, and whether it holds."""
    crashes, hangs = (sum(getattr(row, name) for row in result.rows.values()) for name in ("crashes", "hangs"))
    faults = Counter(fault.what.split(":")[0][:40] for fault in result.faults)
    noise = result.noise
    peak = max(row.peak for row in result.rows.values())
    return [
        (not crashes, f"no exception but the client's own errors, no abort, nothing printed: {crashes} were"),
        (
            not hangs,
            f"nobody held for longer than {TIMEOUT_SECONDS:g} s and a patience of {PATIENCE_SECONDS:g} s a request and "
            f"{MARGIN_SECONDS:g} s a run (waiting for a core of this machine, and making keys, left out), or made to ask more than "
            f"{MOST_REQUESTS} times: {hangs} were",
        ),
        (
            peak <= result.honest_peak + MARGIN_BYTES,
            f"memory of a client {result.honest_peak / 1e6:.0f} MB at most with honest services, {peak / 1e6:.0f} MB with hostile ones; "
            f"{MARGIN_BYTES / 1e6:.0f} MB more are allowed",
        ),
        (not result.elsewhere, f"no redirect was followed: {result.elsewhere} were"),
        (
            noise is not None and noise.is_right,
            f"{result.ciphertexts} ciphertexts were looked at; where masks can be seen, their noise is that of the security curve: "
            + (
                f"{noise.ratio:.3f} of its deviation, by {noise.samples} samples"
                if noise
                else "too few samples were seen"
            ),
        ),
        (
            not result.faults,
            f"every error is one printable sentence of at most {MOST_TEXT} characters; in {result.bytes / 1e6:.0f} MB that were sent none "
            f"of {result.patterns} images of picture, activations and secret keys; all of it is accounted for; the same requests whatever "
            f"is decrypted: {sum(faults.values())} faults of all kinds",
        ),
    ]
