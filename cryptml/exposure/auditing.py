"""An audit of a network: its server segments attacked as a curious client could, in the clear and on ciphertexts."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptml.errors import SettingError
from cryptml.exposure.audit import audit_segment
from cryptml.exposure.facts import segment_exposure, split_exposure
from cryptml.exposure.oracles import EncryptedOracle
from cryptml.exposure.results import (
    SEEN,
    AttackedSegment,
    CiphertextAttack,
    NetworkAudit,
    SplitAudit,
    learned_for_certain,
)
from cryptml.fhe.backends.base import Compiled
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.fhe.server import ServerCircuit, load_evaluation_keys
from cryptml.fhe.settings import CompilerSettings
from cryptml.listening import Listener, SilentListener
from cryptml.networks import Network, load_network
from cryptml.networks.rounding.noise import DEFAULT_P_ERROR
from cryptml.networks.shipped import DEFAULT_SPLITS
from cryptml.splits import Segment, Split, enumerate_segments, enumerate_splits

MAX_AUDITED_LAYERS = 12
"""Of a network of more layers, all splits are thousands."""

SEEDED = 0
"""Attacks draw the same random queries each time."""


@dataclass(frozen=True)
class AuditRequest:
    """What to attack, and how hard.

    Attributes:
        network: Folder of a trained network, or a shipped network's name.
        split: C or S for each layer, whose server segments are attacked; a shipped network's own, or all on the server, if None.
        all_splits: Attack every segment of the network instead, and add up what every split exposes.
        queries: Most queries to a non-linear segment, 16 or more.
        encrypted: Whether the smallest linear segment is attacked on ciphertexts too, through the client's own interface.
        encrypted_queries: Most queries on ciphertexts; a segment that needs more is not attacked so.
        p_error: Probability that one programmable bootstrap fails, above 0 and below 1.
    """

    network: str
    split: str | None = None
    all_splits: bool = False
    queries: int = 2000
    encrypted: bool = True
    encrypted_queries: int = 100
    p_error: float = DEFAULT_P_ERROR

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            SettingError: With the reason.
        """
        if not 0 < self.p_error < 1:
            raise SettingError(
                f"`p_error` {self.p_error:g} is no probability of a rare event; use one above 0 and below 1"
            )
        if self.all_splits and self.split is not None:
            raise SettingError("`all_splits` and `split` contradict each other; give one of them")


def audit(request: AuditRequest, *, listener: Listener | None = None) -> SplitAudit | NetworkAudit:
    """Attack server segments as a curious client could; circuits and keys are made for it, and nothing of them is kept.

    Args:
        request: What to attack, and how hard.
        listener: Hears of progress.

    Returns:
        A `NetworkAudit` where all segments were asked for, else a `SplitAudit`.

    Raises:
        CircuitError: If a segment does not compile.
        NetworkError: If there is no such network.
        SettingError: If what is asked for does not go together, or there are too many splits to list.
        SplitError: If the split does not fit the network.
    """
    listener = listener if listener is not None else SilentListener()
    network = load_network(request.network)
    request.check()
    if not request.all_splits:
        letters = request.split
        if letters is None:
            letters = DEFAULT_SPLITS.get(request.network, "S" * len(network))
        return _audit_split(network, Split(letters).require_length(len(network)), request, listener)
    if len(network) > MAX_AUDITED_LAYERS:
        raise SettingError(
            f"network {network.name!r} has {len(network)} layers, too many for `all_splits`; at most {MAX_AUDITED_LAYERS}, so give `split`"
        )
    return _audit_all(network, request, listener)


def _audit_split(network: Network, split: Split, request: AuditRequest, listener: Listener) -> SplitAudit:
    attacks = _attack(network, split.server_segments, request.queries, listener)
    facts = {each.segment: each.exposure for each in attacks}
    bootstraps = {segment: network.bootstraps(segment) for segment in facts}
    parameters = [layer.parameters for layer in network.layers]
    names = [layer.name for layer in network.layers]
    sees = [_sizes(network, segment, request.p_error, listener) for segment in split.server_segments]
    return SplitAudit(
        network,
        request.queries,
        request.p_error,
        attacks,
        _attack_ciphertexts(network, attacks, request, listener),
        split,
        split_exposure(split, facts, parameters, bootstraps, request.p_error),
        learned_for_certain(names, split, attacks, request.queries),
        sees,
    )


def _audit_all(network: Network, request: AuditRequest, listener: Listener) -> NetworkAudit:
    attacks = _attack(network, list(enumerate_segments(len(network))), request.queries, listener)
    facts = {each.segment: each.exposure for each in attacks}
    exact = {each.segment for each in attacks if each.recovery.exact}
    bootstraps = {segment: network.bootstraps(segment) for segment in facts}
    parameters = [layer.parameters for layer in network.layers]
    splits = [
        (
            split,
            split_exposure(split, facts, parameters, bootstraps, request.p_error),
            sum(facts[segment].parameters for segment in split.server_segments if segment in exact),
        )
        for split in enumerate_splits(len(network))
    ]
    encrypted = _attack_ciphertexts(network, attacks, request, listener)
    return NetworkAudit(network, request.queries, request.p_error, attacks, encrypted, splits)


def _attack(
    network: Network, segments: Sequence[Segment], budget: int, listener: Listener
) -> tuple[AttackedSegment, ...]:
    attacks = []
    with listener.bar("attacking segments", len(segments)) as bar:
        for number, segment in enumerate(segments, start=1):
            recovery = audit_segment(network, segment, budget=budget, seed=SEEDED)
            attacks.append(AttackedSegment(segment, segment_exposure(network, segment), recovery))
            bar(number)
    return tuple(attacks)


def _sizes(network: Network, segment: Segment, p_error: float, listener: Listener) -> dict[str, Any]:
    compiled = _compile(network, segment, p_error, listener)
    spec = compiled.spec.to_json()
    compiled.discard()
    return {name: spec[name] for name in SEEN}


def _compile(network: Network, segment: Segment, p_error: float, listener: Listener) -> Compiled:
    with listener.stage(f"compiling segment {segment}"):
        return compile_integer_program(network, segment, CompilerSettings(p_error))


def _attack_ciphertexts(
    network: Network, attacks: Sequence[AttackedSegment], request: AuditRequest, listener: Listener
) -> CiphertextAttack:
    """Attack the smallest linear segment through the client's real interface, or say why not."""
    if not request.encrypted:
        return CiphertextAttack("not asked for")
    linear = [each for each in attacks if each.exposure.queries]
    if not linear:
        return CiphertextAttack("no linear server segment with anything to learn")
    chosen = min(linear, key=lambda each: each.exposure.inputs)
    segment, queries = chosen.segment, chosen.exposure.queries or 0
    if queries > request.encrypted_queries:
        return CiphertextAttack(
            f"segment {segment} needs {queries} queries, `encrypted_queries` allows {request.encrypted_queries}"
        )
    compiled = _compile(network, segment, request.p_error, listener)
    with tempfile.TemporaryDirectory(prefix="cryptml-audit-") as name:
        folder = Path(name) / "circuit"
        compiled.move_to(folder)
        keys = KeySet.generate(compiled.spec)
        with listener.bar(f"attacking segment {segment} on ciphertexts", queries) as bar:
            oracle = EncryptedOracle(
                ClientCircuit(compiled.spec, keys),
                ServerCircuit(folder),
                load_evaluation_keys(keys.evaluation_keys),
                lambda: bar(oracle.queries),
            )
            recovery = audit_segment(network, segment, oracle, seed=SEEDED)
    keyless = compiled.spec.parameters.evaluation_key_bytes == 0
    return CiphertextAttack(None, segment, recovery, keys.digest, keyless)
