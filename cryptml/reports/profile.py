"""Tables of a profile for a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from cryptml.errors import counted
from cryptml.profiler.plan.choice import Choice
from cryptml.profiler.plan.costs import Link
from cryptml.profiler.plan.sharing import answers_won
from cryptml.profiler.plan.spread import spread_text
from cryptml.reports.table import bytes_text, duration_text, facts_table, plain_table, split_text
from cryptml.splits import Split


def _machines(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return which machine of a cluster measured which segments; nothing where there was one."""
    measured: dict[str, list[str]] = {}
    for entry in document["segments"]:
        if (machine := entry["server"].get("machine")) is not None:
            measured.setdefault(machine, []).append(f"{entry['start']}-{entry['stop']}")
    said = "; ".join(f"{machine} measured {', '.join(segments)}" for machine, segments in sorted(measured.items()))
    return [("cluster", f"{len(measured)} alike: {said}")] if measured else []


def summary_table(document: Mapping[str, Any]) -> Table:
    """Return what was profiled, where and how."""
    machine, settings, elapsed = document["machine"], document["configuration"], document["elapsed"]
    status = [entry["server"]["status"] for entry in document["segments"]]
    fit = document["fit"]
    rows = [
        (
            "machine",
            f"{machine['cpu']}, {machine['cores']} cores, {bytes_text(machine['memory_bytes'])}, {machine['os']}",
        ),
        *_machines(document),
        ("when", document["created"]),
        ("versions", ", ".join(f"{name} {number}" for name, number in machine["versions"].items())),
        ("p_error, security", f"{settings['p_error']:.3g} a bootstrap, {settings['security_bits']} bits"),
        ("threads, repeats", f"{settings['threads']}, {settings['repeats']}"),
        (
            "segments",
            ", ".join(
                f"{status.count(name)} {name}" for name in ("measured", "estimated", "infeasible") if name in status
            ),
        ),
        ("answers", _answers(document)),
        (
            "time",
            f"{duration_text(elapsed['total_s'] * 1000)} in all, {duration_text(elapsed['segments_s'] * 1000)} in segments"
            + (f" ({elapsed['total_s'] / elapsed['segments_s']:.2f} times)" if elapsed["segments_s"] else ""),
        ),
    ]
    if fit:
        names = {
            "evaluate_ms": "evaluation",
            "client_peak_bytes": "client memory",
            "server_peak_bytes": "server memory",
        }
        judged = [
            f"{names[name]} {error['median']:.1%}, worst {error['worst']:.1%}" for name, error in fit["errors"].items()
        ]
        rows.append(("estimates", f"median error of {'; '.join(judged)} on {fit['points']} measured ones"))
    spread = spread_text(document)
    rows += [("spread", spread)] if spread is not None else []
    return facts_table(f"Profile of network {document['network']['name']}", rows)


def _answers(document: Mapping[str, Any]) -> str:
    rounded = [entry for entry in document["segments"] if entry["server"].get("approximate")]
    if not rounded:
        return "equal to those in the clear"
    return (
        f"rounded approximately by {len(rounded)} of {len(document['segments'])} segments, equal from the others; the model "
        "card says what that changes"
    )


def profile_table(
    document: Mapping[str, Any],
    entries: Sequence[Mapping[str, Any]],
    link: Link,
    *,
    wide: bool,
    title: str | None = None,
) -> Table:
    """Return splits with their figures, one a row; an asterisk marks the frontier.

    Args:
        document: The report.
        entries: Its splits, as `cryptml.profiler.plan.ranking` gives them.
        link: The wire that they were composed for.
        wide: Whether all columns are shown, for `WIDE` characters, or those of `NARROW`.
        title: Instead of the usual one.
    """
    heading = title or f"{counted(len(entries), 'split')}"
    heading += f" of {document['network']['name']} at {link.bandwidth_mbps:g} Mbit/s, {link.rtt_ms:g} ms"
    rows = [_row(entry) for entry in entries]
    chosen = COLUMNS if wide else NARROW
    table = plain_table(
        heading, [(name, COLUMNS[name]) for name in chosen], [[row[name] for name in chosen] for row in rows]
    )
    table.collapse_padding = True  # one space less between columns, so that 8 layers fit 80 characters
    return table


COLUMNS = {
    "split": "left",
    "origin": "left",
    "latency": "right",
    "client": "right",
    "server": "right",
    "wire": "right",
    "up": "right",
    "down": "right",
    "mem C": "right",
    "mem S": "right",
    "keys": "right",
    "trips": "right",
    "exposed": "right",
}
"""All columns, with their alignment; ``exposed``: parameters that the client holds or recovers with a known number of queries."""

NARROW = ("split", "origin", "latency", "up", "down", "mem C", "mem S", "exposed")
"""Those that fit 80 characters."""

WIDE = 140
"""Characters that all columns need."""


def key_sets_table(entries: Sequence[Mapping[str, Any]]) -> Table:
    """Return what one key set for all server segments costs beside one for each, for the splits where that differs.

    The last column: for how many answers one set takes less time, setup included.
    """
    columns = [("split", "left")]
    columns += [(name, "right") for words in ("latency", "setup", "mem S") for name in (words, "one set")]
    columns += [("one set wins", "left")]
    rows: list[list[str | Text]] = []
    for entry in entries:
        shared = entry["shared_keys"]
        if shared is None:
            continue
        row: list[str | Text] = [split_text(Split(entry["split"]))]
        for key, text in (
            ("latency_ms", duration_text),
            ("setup_ms", duration_text),
            ("server_peak_bytes", bytes_text),
        ):
            row += [text(entry[key]), text(shared[key])]
        estimated = shared["estimated"] or entry["origin"] == "estimated"
        row.append(_answers_text(answers_won(entry)) + (" ~" if estimated else ""))
        rows.append(row)
    table = plain_table("A key set for each server segment, or one set for all", columns, rows)
    table.collapse_padding = True
    return table


def _answers_text(won: tuple[float, float] | None) -> str:
    if won is None or won[1] < 1:
        return "never"
    least, most = won
    if math.isinf(most):
        return "always" if least < 1 else f"from {math.floor(least) + 1:,} answers"
    return f"up to {math.floor(most):,} answers"


def exclusion_table(choice: Choice) -> Table:
    """Return how many splits each constraint excludes."""
    rows = [(name, f"{count} of {choice.total}") for name, count in choice.excluded.items()]
    return plain_table("What excludes how many splits", [("constraint", "left"), ("excludes", "right")], rows)


def _row(entry: Mapping[str, Any]) -> dict[str, str | Text]:
    letters = split_text(Split(entry["split"]))
    letters.append("*" if entry["on_frontier"] else " ", "bold green")
    exposure = entry["exposure"]
    row: dict[str, str | Text] = dict.fromkeys(COLUMNS, "-")
    row |= {"split": letters, "trips": str(entry["round_trips"])}
    row["exposed"] = f"{exposure['client_parameters'] + exposure['recoverable_parameters']:,}"
    if entry["origin"] == "infeasible":
        return {**row, "origin": Text("infeasible", "red")}
    times = {"latency": "latency_ms", "client": "client_ms", "server": "server_ms", "wire": "network_ms"}
    sizes = {
        "up": "upload_bytes",
        "down": "download_bytes",
        "mem C": "client_peak_bytes",
        "mem S": "server_peak_bytes",
        "keys": "evaluation_key_bytes",
    }
    row["origin"] = entry["origin"]
    row |= {name: duration_text(entry[key]) for name, key in times.items()}
    row |= {name: bytes_text(entry[key]) for name, key in sizes.items() if entry[key]}
    return row
