"""Tables of what a split exposes and of what attacks on it recovered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from cryptml.errors import counted
from cryptml.fhe.settings import power
from cryptml.reports.table import STYLES, bytes_text, milliseconds_text, plain_table, split_text
from cryptml.splits import Side, Split


def segments_table(title: str, names: Sequence[str], segments: Sequence[Mapping[str, Any]]) -> Table:
    """Return the facts of segments and how the attacks on them ended.

    Args:
        title: Above the table.
        names: Of the network's layers.
        segments: With ``start``, ``stop``, ``exposure`` and ``attack``, as `cryptml.exposure.results.AttackedSegment.to_json` gives them.
    """
    rows = []
    for segment in segments:
        facts, attack = segment["exposure"], segment["attack"]
        rows.append(
            (
                f"{segment['start']}-{segment['stop']}",
                span(names[segment["start"] : segment["stop"]]),
                f"{facts['parameters']:,}",
                f"{attack['queries']:,}",
                "-" if attack["recovered_share"] is None else share(attack["recovered_share"]),
                share(attack["agreement"]),
                share(attack["baseline"]),
                share(attack["explained"]),
                Text("yes", "bold red") if attack["exact"] else Text("no"),
            )
        )
    columns = [
        ("", "left"),
        ("layers", "left"),
        ("params", "right"),
        ("queries", "right"),
        ("found", "right"),
        ("agrees", "right"),
        ("trivial", "right"),
        ("explains", "right"),
        ("exact", "left"),
    ]
    table = plain_table(title, columns, rows)
    table.padding = (0, 1, 0, 0)
    return table


def client_table(layers: Sequence[Mapping[str, Any]], split: Split, insecure: Mapping[str, str]) -> Table:
    """Return who holds the learned integers of each layer, and why a client has them or gets them."""
    rows = [
        (
            layer["name"],
            Text(side.name.lower(), STYLES[side]),
            f"{layer['parameters']:,}",
            insecure.get(layer["name"], "-"),
        )
        for layer, side in zip(layers, split.sides, strict=True)
    ]
    columns = [
        ("layer", "left"),
        ("side", "left"),
        ("parameters", "right"),
        ("the client learns it, because", "left"),
    ]
    return plain_table("What the client holds or gets", columns, rows)


def server_table(circuits: Sequence[Mapping[str, Any]]) -> Table:
    """Return what the server sees of each prediction, in the order of the round trips."""
    rows = [
        (
            str(number),
            f"{circuit['start']}-{circuit['stop']}",
            bytes_text(circuit["input_bytes"]),
            bytes_text(circuit["output_bytes"]),
            bytes_text(circuit["evaluation_key_bytes"]),
            f"{circuit['bootstraps']:,}",
            power(circuit["failure_probability"]),
        )
        for number, circuit in enumerate(circuits, 1)
    ]
    columns = [
        ("trip", "left"),
        ("segment", "left"),
        ("bytes in", "right"),
        ("bytes out", "right"),
        ("keys (once)", "right"),
        ("PBS", "right"),
        ("fails", "right"),
    ]
    return plain_table("What the server sees of a prediction", columns, rows)


def split_exposures_table(network: str, splits: Sequence[Mapping[str, Any]]) -> Table:
    """Return all splits with what the client holds, gets by linear algebra and gets by the attacks that were run."""
    rows = [
        (
            split_text(Split(entry["split"])),
            f"{entry['exposure']['client_parameters']:,}",
            percent(entry["exposure"]["client_parameter_share"]),
            f"{entry['exposure']['recoverable_parameters']:,}",
            "-" if entry["exposure"]["queries"] is None else f"{entry['exposure']['queries']:,}",
            f"{entry['attacked_parameters']:,}",
            str(entry["exposure"]["decrypted_boundaries"]),
            power(entry["exposure"]["failure_probability"]),
        )
        for entry in splits
    ]
    columns = [
        ("split", "left"),
        ("client", "right"),
        ("share", "right"),
        ("linear", "right"),
        ("queries", "right"),
        ("taken", "right"),
        ("decrypts", "right"),
        ("fails", "right"),
    ]
    return plain_table(f"{counted(len(splits), 'split')} of network {network}", columns, rows)


def encrypted_table(result: Mapping[str, Any]) -> Table:
    """Return the attack through the real client interface."""
    attack = result["attack"]
    rows = [
        ("segment", f"{result['start']}-{result['stop']}"),
        ("queries", f"{attack['queries']:,}"),
        ("integers recovered exactly", percent(attack["recovered_share"])),
        ("exact", "yes" if attack["exact"] else "no"),
        ("time", seconds_text(attack["seconds"])),
        ("time a query", milliseconds_text(1000 * attack["seconds"] / max(1, attack["queries"]))),
        ("key set that the server saw", result["key_set"][:16] + (" (empty)" if result["keyless"] else "")),
    ]
    return plain_table("Attack on ciphertexts", [("through the client's own interface", "left"), ("", "right")], rows)


def sides_text(split: Split) -> Text:
    """Return a split with the meaning of its letters."""
    return Text.assemble("Split ", split_text(split), "  (C: client, in the clear; S: server, encrypted)")


def span(names: Sequence[str]) -> str:
    """Return the first and the last of some layers' names."""
    return names[0] if len(names) == 1 else f"{names[0]}..{names[-1]}"


def percent(share: float) -> str:
    """Return a share with a digit behind the point; 100 % is said of the whole alone."""
    shown = f"{100 * share:.1f} %"
    if share in (0, 1) or shown not in ("100.0 %", "0.0 %"):
        return shown
    return ">99.9 %" if share > 0.5 else "<0.1 %"


def share(value: float) -> str:
    """Return `percent` without its sign, for narrow tables."""
    return percent(value).removesuffix(" %")


def seconds_text(seconds: float) -> str:
    """Return a duration of an attack."""
    return milliseconds_text(1000 * seconds)


def client_holds_text(exposure: Mapping[str, Any]) -> Text:
    """Return in a sentence what the client has in the clear."""
    side = Text(Side.CLIENT.name.lower(), STYLES[Side.CLIENT])
    return Text.assemble(
        "The ",
        side,
        f" holds {exposure['client_parameters']:,} learned integers in the clear, "
        f"{percent(exposure['client_parameter_share'])} of all.",
    )
