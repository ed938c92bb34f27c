"""``split-profiler audit``: what a split exposes, with the attacks actually run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from cryptml.cli.console import ConsoleListener, out, print_json
from cryptml.cli.spelling import as_options
from cryptml.errors import printable
from cryptml.fhe.settings import power
from cryptml.networks import Network
from cryptml.networks.rounding.noise import DEFAULT_P_ERROR
from cryptml.profiler.plan.listing import describe_layers
from cryptml.reports.exposure import (
    client_holds_text,
    client_table,
    encrypted_table,
    seconds_text,
    segments_table,
    server_table,
    sides_text,
    split_exposures_table,
)
from cryptml.splits import Split

FACTS = (
    "found: learned integers recovered exactly, or entries of the composed map of several linear layers; agrees: outputs "
    "predicted exactly on random inputs; trivial: the same for always naming the most frequent value; explains: share of "
    "the outputs' variance (all in %); exact: equal on every input, shown, not sampled."
)


def audit(
    network: Annotated[str, typer.Argument(help="Folder of a trained network, or a shipped network's name.")],
    split: Annotated[str | None, typer.Option(help="C or S for each layer; a shipped network has a default.")] = None,
    all_splits: Annotated[bool, typer.Option("--all", help="Attack every segment, list all splits.")] = False,
    budget: Annotated[
        int, typer.Option("--queries", min=16, max=100_000, help="Most queries to a non-linear segment.")
    ] = 2000,
    encrypted: Annotated[
        bool, typer.Option(help="Attack the smallest linear server segment on ciphertexts too.")
    ] = True,
    encrypted_queries: Annotated[int, typer.Option(min=0, help="Most queries on ciphertexts.")] = 100,
    p_error: Annotated[
        float, typer.Option(help="Probability that one programmable bootstrap fails.", show_default="2^-40")
    ] = DEFAULT_P_ERROR,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Attack server segments as a curious client could, and print what was recovered."""
    from cryptml.exposure.auditing import AuditRequest
    from cryptml.exposure.auditing import audit as audit_network

    request = AuditRequest(
        network,
        split,
        all_splits=all_splits,
        queries=budget,
        encrypted=encrypted,
        encrypted_queries=encrypted_queries,
        p_error=p_error,
    )
    found = audit_network(request, listener=ConsoleListener())
    report = found.to_json()
    if json:
        print_json(report)
    elif all_splits:
        _print_all(found.network, report)
    else:
        _print_split(found.network, report)


def _print_split(network: Network, report: Mapping[str, Any]) -> None:
    split, layers, exposure = Split(report["split"]), describe_layers(network), report["exposure"]
    names = [layer["name"] for layer in layers]
    out.print(sides_text(split), "\n", sep="")
    out.print(client_table(layers, split, report["learned_for_certain"]))
    out.print(client_holds_text(exposure))
    out.print()
    if not report["segments"]:
        _tell("No server segment: nothing is hidden from the client, and the server sees nothing.")
        return
    out.print(segments_table("Server segments, attacked in the clear", names, report["segments"]))
    _print_notes(report["segments"])
    _print_encrypted(report["encrypted"])
    out.print(server_table(report["server_sees"]))
    trips = len(report["server_sees"])
    _tell(
        f"The server sees the sizes above, {trips} round trip{'s' if trips > 1 else ''} in this order for each prediction, "
        "when each comes and from where, and the key set's digest, the same for all predictions of a client. It holds no "
        "key that decrypts."
    )
    _tell(
        f"Security {report['security_bits']} bits; p_error {power(report['p_error'])} a bootstrap; "
        f"a whole prediction is wrong with a probability of at most {power(exposure['failure_probability'])}."
    )


def _print_all(network: Network, report: Mapping[str, Any]) -> None:
    names = [layer.name for layer in network.layers]
    out.print(segments_table(f"Segments of network {network.name}, attacked in the clear", names, report["segments"]))
    _tell_linear(report["segments"])
    _tell(FACTS)
    out.print()
    _print_encrypted(report["encrypted"])
    out.print(split_exposures_table(network.name, report["splits"]))
    _tell(
        "client: learned integers in the clear; linear: in linear server segments, from so many queries; taken: in server "
        "segments that the attacks above recovered exactly; decrypts: boundaries that the client decrypts; fails: a whole "
        f"prediction, at most. Security {report['security_bits']} bits; p_error {power(report['p_error'])} a bootstrap."
    )


def _tell(text: str) -> None:
    """Print a paragraph, broken at words."""
    out.print(printable(text), markup=False)


def _tell_linear(segments: Sequence[Mapping[str, Any]]) -> None:
    linear = [f"{segment['start']}-{segment['stop']}" for segment in segments if segment["exposure"]["linear"]]
    _tell(f"Linear: {', '.join(linear) or 'none'}.")


def _print_notes(segments: Sequence[Mapping[str, Any]]) -> None:
    _tell_linear(segments)
    _tell(FACTS)
    for segment in segments:
        name = f"{segment['start']}-{segment['stop']}"
        seconds = segment["attack"]["seconds"]
        _tell(f"{name}  attack run: {segment['attack']['method']} ({seconds_text(seconds)}).")
        _tell(f"{name}  known: {segment['exposure']['attack']}")
    out.print()


def _print_encrypted(result: Mapping[str, Any]) -> None:
    if result["skipped"] is None:
        out.print(encrypted_table(result))
    else:
        _tell(f"Attack on ciphertexts skipped: {as_options(result['skipped'])}.")
        out.print()
