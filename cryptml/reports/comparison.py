"""Comparison of profile reports: what differs between the machines, and what got faster or slower."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from cryptml.errors import InputError
from cryptml.profiler.plan.ranking import describe_composed
from cryptml.profiler.plan.report import link_of
from cryptml.reports.table import milliseconds_text, plain_table

INFEASIBLE = "infeasible"
LARGEST_CHANGES = 20


@dataclass(frozen=True)
class FieldDifference:
    """One field of machine, versions, network or configuration that is not the same in all reports.

    Attributes:
        name: Path of the field, for example ``machine.versions.numpy``.
        values: Its value in each report, in order; None where a report lacks it or holds null.
    """

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class SegmentChange:
    """Evaluation of one segment on the server, in the base and in a later report.

    Attributes:
        report: Index of the later report, 1 or more.
        start: Index of the first layer.
        stop: Index after the last layer.
        layers: Names of the first and last layer in the base, ``conv1..act1``.
        before_ms: Median or estimate in the base; None where infeasible.
        after_ms: The same in the later report.
        status_before: ``measured``, ``estimated`` or ``infeasible``.
        status_after: The same in the later report.
    """

    report: int
    start: int
    stop: int
    layers: str
    before_ms: float | None
    after_ms: float | None
    status_before: str
    status_after: str

    @property
    def ratio(self) -> float | None:
        """After over before: above 1 is slower; None where either is missing or zero."""
        return _ratio(self.before_ms, self.after_ms)


@dataclass(frozen=True)
class SplitChange:
    """Latency of one split, in the base and in a later report, both over the network of the base.

    Attributes:
        report: Index of the later report, 1 or more.
        split: Letters of the split.
        before_ms: Latency in the base, of medians; None where infeasible.
        after_ms: The same in the later report, at bandwidth and round-trip time of the base.
    """

    report: int
    split: str
    before_ms: float | None
    after_ms: float | None

    @property
    def ratio(self) -> float | None:
        """After over before: above 1 is slower; None where either is infeasible."""
        return _ratio(self.before_ms, self.after_ms)

    @property
    def became_feasible(self) -> bool:
        """Whether only the later report can run it."""
        return self.before_ms is None and self.after_ms is not None

    @property
    def became_infeasible(self) -> bool:
        """Whether only the base can run it."""
        return self.before_ms is not None and self.after_ms is None


@dataclass(frozen=True)
class Comparison:
    """All that differs between a base, which is the first report, and the later ones.

    Attributes:
        reports: How many reports, 2 or more.
        differences: Fields that differ, in the order of the reports.
        layer_counts: Number of layers of each report's network.
        segments: Changes of segments, largest first; only of reports with as many layers as the base.
        splits: Changes of the splits that the base lists, largest first; only of reports with as many layers as the base.
    """

    reports: int
    differences: tuple[FieldDifference, ...]
    layer_counts: tuple[int, ...]
    segments: tuple[SegmentChange, ...]
    splits: tuple[SplitChange, ...]

    @property
    def unmatched(self) -> tuple[int, ...]:
        """Indices of the reports whose networks have another number of layers than the base."""
        return tuple(index for index, count in enumerate(self.layer_counts) if count != self.layer_counts[0])

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values, with the ratios."""
        return {
            **asdict(self),
            "segments": [{**asdict(each), "ratio": each.ratio} for each in self.segments],
            "splits": [{**asdict(each), "ratio": each.ratio} for each in self.splits],
        }


def compare(reports: Sequence[Mapping[str, Any]]) -> Comparison:
    """Compare profile reports with the first one.

    Splits are matched by their letters and segments by their layers' indices. Where a later report assumed another
    bandwidth or round-trip time, its latencies are recomputed for the base's, so that only computing is compared.

    Args:
        reports: Two or more profile reports, valid against their schema.

    Raises:
        InputError: If there are fewer than two reports.
    """
    if len(reports) < 2:
        raise InputError(f"{len(reports)} profile reports cannot be compared; give two or more")
    base = reports[0]
    counts = tuple(len(report["network"]["layers"]) for report in reports)
    segments: list[SegmentChange] = []
    splits: list[SplitChange] = []
    for index, report in enumerate(reports[1:], start=1):
        if counts[index] == counts[0]:
            segments += _segment_changes(base, report, index)
            splits += _split_changes(base, report, index)
    return Comparison(
        reports=len(reports),
        differences=_differences(reports),
        layer_counts=counts,
        segments=tuple(sorted(segments, key=_weight, reverse=True)),
        splits=tuple(sorted(splits, key=_weight, reverse=True)),
    )


def slower_than(comparison: Comparison, percent: float) -> tuple[SplitChange, ...]:
    """Return the splits that are feasible in both reports and got slower by more than ``percent``, slowest first."""
    found = [(change.ratio, change) for change in comparison.splits]
    slower = [(ratio, change) for ratio, change in found if ratio is not None and ratio > 1 + percent / 100]
    return tuple(change for _, change in sorted(slower, key=lambda pair: pair[0], reverse=True))


def regressions(comparison: Comparison, percent: float) -> list[str]:
    """Return in words what became worse: slower splits, splits that cannot be run any more, reports that cannot be compared."""
    slower = slower_than(comparison, percent)
    lost = [change for change in comparison.splits if change.became_infeasible]
    found = []
    if slower:
        found.append(
            f"{len(slower)} splits became slower by more than {percent:g} %, {slower[0].split} most: {slower[0].ratio:.2f} times"
        )
    if lost:
        found.append(f"{len(lost)} splits became infeasible, {lost[0].split} among them")
    found += [
        f"report {index + 1} is of another number of layers, so nothing can be said of it"
        for index in comparison.unmatched
    ]
    return found


def comparison_table(comparison: Comparison) -> list[Table]:
    """Return tables of differing fields, of splits and of segments, each with its largest changes only."""
    names = [f"report {index + 1}" for index in range(comparison.reports)]
    differences = [
        (difference.name, *("-" if value is None else str(value) for value in difference.values))
        for difference in comparison.differences
    ]
    tables = [
        plain_table("What differs", [("field", "left"), *((name, "left") for name in names)], differences),
    ]
    figures = [("report", "right"), ("before", "right"), ("after", "right"), ("change", "left")]
    if comparison.splits:
        rows = [_row(change.split, change) for change in comparison.splits[:LARGEST_CHANGES]]
        title = _title("Splits, latency", len(comparison.splits))
        tables.append(plain_table(title, [("split", "left"), *figures], rows))
    if comparison.segments:
        rows = [_row(change.layers, change) for change in comparison.segments[:LARGEST_CHANGES]]
        title = _title("Segments on the server, evaluation", len(comparison.segments))
        tables.append(plain_table(title, [("segment", "left"), *figures], rows))
    if comparison.unmatched:
        why = "neither splits nor segments can be matched"
        rows = [
            (names[index], str(comparison.layer_counts[index]), why if index else "base")
            for index in (0, *comparison.unmatched)
        ]
        columns = [("report", "left"), ("layers", "right"), ("compared", "left")]
        tables.append(plain_table("Other number of layers than report 1", columns, rows))
    return tables


def _differences(reports: Sequence[Mapping[str, Any]]) -> tuple[FieldDifference, ...]:
    columns = [_fields(report) for report in reports]
    names = list(dict.fromkeys(name for fields in columns for name in fields))
    rows = ((name, tuple(fields.get(name) for fields in columns)) for name in names)
    return tuple(FieldDifference(name, values) for name, values in rows if any(v != values[0] for v in values))


def _fields(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the compared fields by path; a network's layers count as one field, their names."""
    fields = {f"machine.{name}": value for name, value in report["machine"].items() if name != "versions"}
    fields |= {f"machine.versions.{name}": value for name, value in report["machine"]["versions"].items()}
    network = report["network"]
    fields |= {"network.name": network["name"], "network.digest": network["digest"]}
    fields["network.layers"] = " ".join(layer["name"] for layer in network["layers"])
    return fields | {f"configuration.{name}": value for name, value in report["configuration"].items()}


def _segment_changes(base: Mapping[str, Any], other: Mapping[str, Any], index: int) -> list[SegmentChange]:
    later = {(segment["start"], segment["stop"]): segment["server"] for segment in other["segments"]}
    names = [layer["name"] for layer in base["network"]["layers"]]
    changes = []
    for segment in base["segments"]:
        start, stop = segment["start"], segment["stop"]
        before, after = segment["server"], later.get((start, stop))
        if after is None:
            continue
        span = names[start] if stop - start == 1 else f"{names[start]}..{names[stop - 1]}"
        figures = (_evaluate(before), _evaluate(after), before["status"], after["status"])
        changes.append(SegmentChange(index, start, stop, span, *figures))
    return changes


def _evaluate(server: Mapping[str, Any]) -> float | None:
    return None if server["status"] == INFEASIBLE or server["cost"] is None else server["cost"]["evaluate_ms"]


def _split_changes(base: Mapping[str, Any], other: Mapping[str, Any], index: int) -> list[SplitChange]:
    later = {split["split"]: split for split in other["splits"]}
    assumed, wanted = other["configuration"], base["configuration"]
    same = all(assumed[name] == wanted[name] for name in ("bandwidth_mbps", "rtt_ms"))
    changes = []
    for split in base["splits"]:
        after = later.get(split["split"]) or describe_composed(other, split["split"], link_of(other))
        before_ms = None if split["origin"] == INFEASIBLE else split["latency_ms"]
        after_ms = None if after["origin"] == INFEASIBLE else after["latency_ms"]
        if after_ms is not None and not same:
            transfer = (after["upload_bytes"] + after["download_bytes"]) * 8 / (wanted["bandwidth_mbps"] * 1000)
            after_ms = after["client_ms"] + after["server_ms"] + after["round_trips"] * wanted["rtt_ms"] + transfer
        changes.append(SplitChange(index, split["split"], before_ms, after_ms))
    return changes


def _ratio(before: float | None, after: float | None) -> float | None:
    return None if not before or after is None else after / before


def _weight(change: SegmentChange | SplitChange) -> float:
    """Return how large a change is; what became feasible or infeasible comes first, what is infeasible in both last."""
    if (change.before_ms is None) != (change.after_ms is None):
        return float("inf")
    ratio = change.ratio
    if ratio is None:
        return 0.0
    return max(ratio, 1 / ratio) if ratio else float("inf")


def _row(label: str, change: SegmentChange | SplitChange) -> tuple[str, ...]:
    figures = ("-" if value is None else milliseconds_text(value) for value in (change.before_ms, change.after_ms))
    return (label, str(change.report + 1), *figures, _change_text(change))


def _change_text(change: SegmentChange | SplitChange) -> str:
    ratio = change.ratio
    if ratio is not None:
        if ratio == 1:
            return "no change"
        return f"{(ratio - 1) * 100:.1f} % slower" if ratio > 1 else f"{(1 - ratio) * 100:.1f} % faster"
    if change.before_ms is None and change.after_ms is None:
        return "infeasible in both"
    if change.before_ms is None:
        return "became feasible"
    return "became infeasible" if change.after_ms is None else "was 0"


def _title(what: str, count: int) -> str:
    return f"{what}: {min(count, LARGEST_CHANGES)} largest changes of {count}"
