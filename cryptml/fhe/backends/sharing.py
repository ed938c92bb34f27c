"""Compile several segments so that those with bootstraps share one key set: one to make, upload and keep instead of many.

Some of the circuits then take larger key parameters than they need, and are slower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from cryptml.errors import CircuitError
from cryptml.fhe.backends.base import Backend, Compiled
from cryptml.fhe.circuit_spec import CircuitSpec
from cryptml.fhe.settings import CompilerSettings
from cryptml.networks.network import Network
from cryptml.splits import Segment


def compile_sharing(
    network: Network,
    segments: Sequence[Segment],
    settings: Callable[[Segment], CompilerSettings],
    backend: Backend,
    tell: Callable[[Segment], None],
) -> list[Compiled]:
    """Compile segments for one key set; linear ones need no evaluation keys and keep their own.

    They are those of the segment with the largest keys, which suffice for the others as a rule.

    Args:
        network: Whose segments.
        segments: The server's.
        settings: Of Concrete, for a segment; one that takes another's key parameters takes its settings too.
        backend: Compiles each.
        tell: Called before each compilation.

    Raises:
        CircuitError: If a segment does not compile, or the largest key parameters do not suffice for all.
    """
    compiled: list[Compiled] = []
    try:
        for segment in segments:
            tell(segment)
            compiled.append(backend(network, segment, settings(segment)))
        keyed = [index for index, each in enumerate(compiled) if each.spec.parameters.evaluation_key_bytes]
        owner = min((compiled[index].spec for index in keyed), key=_largest_first, default=None)
        for index in keyed:
            if owner and compiled[index].spec.parameters.key_parameters != owner.parameters.key_parameters:
                tell(segments[index])
                try:
                    again = backend(network, segments[index], settings(owner.segment), keys_of=owner)
                except CircuitError as error:
                    raise CircuitError(
                        "the largest key parameters do not suffice for all segments; build with a key set for each"
                    ) from error
                compiled[index].discard()
                compiled[index] = again
    except BaseException:
        for each in compiled:
            each.discard()
        raise
    return [
        replace(each, spec=replace(each.spec, key_set=each.spec.parameters.key_parameters)) if index in keyed else each
        for index, each in enumerate(compiled)
    ]


def _largest_first(spec: CircuitSpec) -> tuple[int, str]:
    """Order by size, then by name, as `cryptml.profiler.plan.sharing` does."""
    return -spec.parameters.expanded_key_bytes, spec.parameters.key_parameters
