"""Compile several segments so that those with lookups share one key set: one to make, upload and keep instead of many.

Some of the circuits then take larger key parameters than they need, and are slower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from cryptml.errors import CircuitError
from cryptml.fhe.backends.base import Backend, Compiled
from cryptml.networks.network import Network
from cryptml.splits import Segment


def compile_sharing(
    network: Network, segments: Sequence[Segment], p_error: float, backend: Backend, tell: Callable[[Segment], None]
) -> list[Compiled]:
    """Compile segments for one key set; linear ones need no evaluation keys and keep their own.

    They are those of the segment with the largest keys, which suffice for the others as a rule.

    Args:
        network: Whose segments.
        segments: The server's.
        p_error: For one lookup.
        backend: Compiles each.
        tell: Called before each compilation.

    Raises:
        CircuitError: If a segment does not compile, or the largest key parameters do not suffice for all.
    """
    compiled: list[Compiled] = []
    done = False
    try:
        for segment in segments:
            tell(segment)
            compiled.append(backend(network, segment, p_error))
        keyed = [index for index, each in enumerate(compiled) if each.spec.parameters.evaluation_key_bytes]
        sizes = [compiled[index].spec.parameters.expanded_key_bytes for index in keyed]
        candidates = {
            compiled[index].spec.parameters.key_parameters: compiled[index].spec
            for index, size in zip(keyed, sizes, strict=True)
            if size == max(sizes)
        }
        refused: CircuitError | None = None
        for candidate in sorted(candidates.values(), key=lambda spec: spec.parameters.key_parameters):
            try:
                for index in keyed:
                    if compiled[index].spec.parameters.key_parameters != candidate.parameters.key_parameters:
                        tell(segments[index])
                        again = backend(network, segments[index], p_error, keys_of=candidate)
                        compiled[index].discard()
                        compiled[index] = again
            except CircuitError as error:
                refused = error
                continue
            refused = None
            break
        if refused is not None:
            raise CircuitError(
                "the largest key parameters do not suffice for all segments; build with a key set for each"
            ) from refused
        done = True
    finally:
        if not done:
            for each in compiled:
                each.discard()
    return [
        replace(each, spec=replace(each.spec, key_set=each.spec.parameters.key_parameters)) if index in keyed else each
        for index, each in enumerate(compiled)
    ]
