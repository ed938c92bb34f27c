"""``split-profiler audit``: what a split exposes, with the attacks actually run."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryptml.cli.console import Stages, bar, out, print_json
from cryptml.errors import SettingError, printable
from cryptml.exposure.facts import SegmentExposure, insecure_layers, segment_exposure, split_exposure
from cryptml.fhe.settings import power
from cryptml.networks import Network, load_network
from cryptml.networks.rounding.noise import DEFAULT_P_ERROR
from cryptml.networks.shipped import DEFAULT_SPLITS
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
from cryptml.splits import Segment, Split, enumerate_segments, enumerate_splits

if TYPE_CHECKING:
    from cryptml.fhe.backends.base import Compiled

MAX_AUDITED_LAYERS = 12
"""Of a network of more layers, --all would print thousands of splits."""

SEEDED = 0
"""Attacks draw the same random queries each time."""

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
        float, typer.Option(help="Probability that one programmable bootstrap fails.")
    ] = DEFAULT_P_ERROR,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Attack server segments as a curious client could, and print what was recovered."""
    trained = load_network(network)
    if not 0 < p_error < 1:
        raise SettingError(f"--p-error {p_error:g} is no probability of a rare event; use one above 0 and below 1")
    if all_splits and split is not None:
        raise SettingError("--all and --split contradict each other; give one of them")
    if all_splits and len(trained) > MAX_AUDITED_LAYERS:
        raise SettingError(
            f"network {trained.name!r} has {len(trained)} layers, too many for --all; at most {MAX_AUDITED_LAYERS}, "
            "so give --split"
        )
    if all_splits:
        report = _audit_all(trained, budget, p_error)
    else:
        letters = split if split is not None else DEFAULT_SPLITS.get(network, "S" * len(trained))
        report = _audit_split(trained, Split(letters).require_length(len(trained)), budget, p_error)
    report["encrypted"] = _attack_ciphertexts(trained, report["segments"], encrypted, encrypted_queries, p_error)
    if json:
        print_json(report)
    elif all_splits:
        _print_all(trained, report)
    else:
        _print_split(trained, report)


def _audit_split(network: Network, split: Split, budget: int, p_error: float) -> dict[str, Any]:
    segments = split.server_segments
    facts = {segment: segment_exposure(network, segment) for segment in segments}
    attacks = _attack(network, segments, facts, budget)
    layers = describe_layers(network)
    bootstraps = {segment: network.bootstraps(segment) for segment in segments}
    exposure = split_exposure(split, facts, [layer["parameters"] for layer in layers], bootstraps, p_error)
    most = max((attack["attack"]["queries"] for attack in attacks), default=0)
    names = [layer["name"] for layer in layers]
    insecure = insecure_layers(names, split, facts, max(budget, most))
    for entry in attacks:
        if entry["attack"]["exact"] and not entry["exposure"]["linear"]:
            reason = f"{entry['attack']['queries']:,} queries recovered segment {entry['start']}-{entry['stop']}"
            insecure.update(dict.fromkeys(names[entry["start"] : entry["stop"]], reason))
    return {
        "network": network.name,
        "split": split.letters,
        "queries": budget,
        "p_error": p_error,
        "security_bits": _security_bits(),
        "exposure": exposure.to_json(),
        "learned_for_certain": insecure,
        "segments": attacks,
        "server_sees": _server_sees(network, segments, p_error),
    }


def _audit_all(network: Network, budget: int, p_error: float) -> dict[str, Any]:
    segments = list(enumerate_segments(len(network)))
    facts = {segment: segment_exposure(network, segment) for segment in segments}
    attacks = _attack(network, segments, facts, budget)
    exact = {Segment(entry["start"], entry["stop"]) for entry in attacks if entry["attack"]["exact"]}
    parameters = [layer.parameters for layer in network.layers]
    bootstraps = {segment: network.bootstraps(segment) for segment in segments}
    splits = [
        {
            "split": split.letters,
            "exposure": split_exposure(split, facts, parameters, bootstraps, p_error).to_json(),
            "attacked_parameters": sum(facts[s].parameters for s in split.server_segments if s in exact),
        }
        for split in enumerate_splits(len(network))
    ]
    return {
        "network": network.name,
        "queries": budget,
        "p_error": p_error,
        "security_bits": _security_bits(),
        "segments": attacks,
        "splits": splits,
    }


def _attack(
    network: Network, segments: Sequence[Segment], facts: Mapping[Segment, SegmentExposure], budget: int
) -> list[dict[str, Any]]:
    from cryptml.exposure.audit import audit_segment

    attacks = []
    with bar("attacking segments", len(segments)) as (progress, task):
        for segment in segments:
            recovery = audit_segment(network, segment, budget=budget, seed=SEEDED)
            attacks.append(
                {
                    "start": segment.start,
                    "stop": segment.stop,
                    "exposure": facts[segment].to_json(),
                    "attack": recovery.to_json(),
                }
            )
            progress.advance(task)
    return attacks


def _server_sees(network: Network, segments: Sequence[Segment], p_error: float) -> list[dict[str, Any]]:
    """Compile the segments for their sizes; nothing is kept."""
    seen = []
    for segment in segments:
        compiled = _compile(network, segment, p_error)
        spec = compiled.spec.to_json()
        compiled.discard()
        names = ("start", "stop", "input_bytes", "output_bytes", "evaluation_key_bytes", "bootstraps")
        seen.append({name: spec[name] for name in (*names, "failure_probability")})
    return seen


def _compile(network: Network, segment: Segment, p_error: float) -> Compiled:
    from cryptml.fhe.backends.integer import compile_integer_program
    from cryptml.fhe.settings import CompilerSettings

    with Stages().stage(f"compiling segment {segment}"):
        return compile_integer_program(network, segment, CompilerSettings(p_error))


def _attack_ciphertexts(
    network: Network, attacks: Sequence[Mapping[str, Any]], wanted: bool, limit: int, p_error: float
) -> dict[str, Any]:
    """Attack the smallest linear segment through the client's real interface, or say why not."""
    linear = [entry for entry in attacks if entry["exposure"]["queries"]]
    if not wanted:
        return {"skipped": "not asked for (--no-encrypted)"}
    if not linear:
        return {"skipped": "no linear server segment with anything to learn"}
    chosen = min(linear, key=lambda entry: entry["exposure"]["inputs"])
    segment, queries = Segment(chosen["start"], chosen["stop"]), chosen["exposure"]["queries"]
    if queries > limit:
        return {"skipped": f"segment {segment} needs {queries} queries, --encrypted-queries allows {limit}"}
    from cryptml.exposure.audit import audit_segment
    from cryptml.exposure.oracles import EncryptedOracle
    from cryptml.fhe.client import ClientCircuit, KeySet
    from cryptml.fhe.server import ServerCircuit, load_evaluation_keys

    compiled = _compile(network, segment, p_error)
    with tempfile.TemporaryDirectory(prefix="cryptml-audit-") as name:
        folder = Path(name) / "circuit"
        compiled.move_to(folder)
        keys = KeySet.generate(compiled.spec)
        with bar(f"attacking segment {segment} on ciphertexts", queries) as (progress, task):
            oracle = EncryptedOracle(
                ClientCircuit(compiled.spec, keys),
                ServerCircuit(folder),
                load_evaluation_keys(keys.evaluation_keys),
                lambda: progress.advance(task),
            )
            recovery = audit_segment(network, segment, oracle, seed=SEEDED)
    return {
        "skipped": None,
        "start": segment.start,
        "stop": segment.stop,
        "attack": recovery.to_json(),
        "key_set": keys.digest,
        "keyless": compiled.spec.parameters.evaluation_key_bytes == 0,
    }


def _security_bits() -> int:
    from cryptml.fhe.security import SECURITY_BITS

    return SECURITY_BITS


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
        _tell(f"Attack on ciphertexts skipped: {result['skipped']}.")
        out.print()
