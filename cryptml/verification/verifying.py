"""The verification of a report: splits run over real HTTP, what failed among them, predicted beside measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptml.errors import CircuitError, MeasurementError, ReportError, ServiceUnavailable
from cryptml.listening import Listener, SilentListener
from cryptml.networks import load_network
from cryptml.profiler.plan.report import Report, load_report, require_network, save_report
from cryptml.splits import Split
from cryptml.verification.run import choose_splits, compare_with_predictions, run_split_over_http


@dataclass(frozen=True)
class VerificationRequest:
    """Which splits of a report are run, and how.

    Attributes:
        report: File that ``split-profiler run`` wrote.
        network: Folder of its network, or a shipped name; the report's own name if None.
        splits: Their letters, with commas; some of the frontier if None.
        frontier: All of the frontier that need a server, where none is named.
        count: How many, spread over the frontier, where nothing else is said.
        repeats: Answers of each, after a first one.
        timeout: Seconds for preparing and for each answer.
        share_keys: With one key set for all server segments of each split.
        record: Write the result into the report.
    """

    report: Path
    network: str | None = None
    splits: str | None = None
    frontier: bool = False
    count: int = 12
    repeats: int = 3
    timeout: float = 1800.0
    share_keys: bool = False
    record: bool = False


@dataclass(frozen=True, eq=False)
class Verification:
    """Predicted beside measured.

    Attributes:
        report: The profile that predicted.
        document: The comparison as JSON values, as a report holds it.
        failures: A sentence for each split that could not be run.
        share_keys: Whether all server segments of a split had one key set.
    """

    report: Report
    document: Mapping[str, Any]
    failures: tuple[str, ...]
    share_keys: bool

    def to_json(self) -> dict[str, Any]:
        """Return the comparison with the failures as JSON values."""
        return {**self.document, "failures": list(self.failures)}


def verify(request: VerificationRequest, *, listener: Listener | None = None) -> Verification:
    """Build, serve and ask splits over HTTP on this machine; client, service and worker in processes of their own.

    A split that does not compile, run or answer costs only itself.

    Args:
        request: Which splits, and how.
        listener: Hears which split is run.

    Raises:
        MeasurementError: If none could be run, with every reason.
        NetworkError: If there is no such network.
        ReportError: If the report is another network's, none of its splits can be run, or the result is no part of it.
        SplitError: If a split does not fit the network.
    """
    listener = listener if listener is not None else SilentListener()
    document = load_report(request.report)
    name = request.network or document["network"]["name"]
    require_network(document, name)
    network = load_network(name)
    if request.record and request.share_keys:
        raise ReportError(
            "a report holds the verification of splits with a key set for each segment; leave out `record`"
        )
    share_keys = request.share_keys
    chosen = choose_splits(
        document, request.splits, frontier=request.frontier, count=request.count, share_keys=share_keys
    )
    results, failures = [], []
    for number, letters in enumerate(chosen, start=1):
        with listener.stage(f"[{number}/{len(chosen)}] {letters}"):
            try:
                results.append(
                    run_split_over_http(
                        network, document, Split(letters), request.repeats, request.timeout, share_keys=share_keys
                    )
                )
            except (CircuitError, MeasurementError, ServiceUnavailable) as error:
                failures.append(f"split {letters} was not run: {error}")
    if not results:
        raise MeasurementError("; ".join(failures))
    found = compare_with_predictions(document, results, request.repeats, share_keys=share_keys)
    if request.record:
        save_report(request.report, {**document, "verification": found})
    return Verification(document, found, tuple(failures), share_keys)
