"""What every back end gives: a compiled segment, and the settings that they share."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cryptml.errors import CircuitError
from cryptml.fhe.circuit_spec import CircuitSpec
from cryptml.fhe.concrete import FunctionDebugArtifacts, MultiParameterStrategy, SecurityLevel, fhe
from cryptml.fhe.settings import CompilerSettings, Grouping
from cryptml.networks.network import Network
from cryptml.splits import Segment

SERVER_FILES = ("sharedlib.so", "program_info.concrete.params.json", "compilation_feedback.json")
"""What Concrete needs at run time to evaluate a circuit."""


@dataclass(frozen=True)
class Compiled:
    """A segment compiled, its server's half still in the compiler's temporary folder.

    Attributes:
        spec: What client and server share.
        server: Concrete's server, which owns the folder.
    """

    spec: CircuitSpec
    server: fhe.Server

    def move_to(self, folder: Path) -> None:
        """Write the server's half to a new folder and remove the temporary one."""
        output = Path(self.server._library.get_output_dir_path())
        folder.mkdir(parents=True)
        for name in SERVER_FILES:
            shutil.copyfile(output / name, folder / name)
        self.discard()

    def discard(self) -> None:
        """Remove the temporary folder."""
        shutil.rmtree(self.server._library.get_output_dir_path(), ignore_errors=True)


class Backend(Protocol):
    """Compiles segments."""

    def __call__(
        self, network: Network, segment: Segment, settings: CompilerSettings, *, keys_of: CircuitSpec | None = None
    ) -> Compiled:
        """Compile one segment of a network.

        Args:
            network: Whose layers.
            segment: Which of them.
            settings: Of Concrete.
            keys_of: Take the key parameters of this circuit, so that both can share a key set; choose the best if None.

        Raises:
            CircuitError: If it does not compile, not exactly, or not for those key parameters.
        """
        ...


STRATEGIES = {
    Grouping.WIDTH: MultiParameterStrategy.PRECISION,
    Grouping.WIDTH_AND_NORM: MultiParameterStrategy.PRECISION_AND_NORM2,
}
"""Concrete's names."""


def require_key_parameters(spec: CircuitSpec, keys_of: CircuitSpec | None) -> None:
    """Refuse a circuit that did not get the key parameters asked for.

    Where they do not suffice, Concrete's optimiser says nothing and takes others.

    Raises:
        CircuitError: With both segments.
    """
    if keys_of is not None and spec.parameters.key_parameters != keys_of.parameters.key_parameters:
        raise CircuitError(
            f"segment {spec.segment} cannot be evaluated with the key parameters of segment {keys_of.segment}; give each a "
            "key set of its own"
        )


class _NoArtifacts(FunctionDebugArtifacts):  # type: ignore[misc]
    """Keeps no text of the graphs that are compiled; writing tables out as text takes longer than compiling them."""

    def add_graph(self, name: str, graph: Any) -> None:
        """Keep nothing."""


def no_artifacts(function: str) -> fhe.DebugArtifacts:
    """Return what Concrete is given to put its debugging texts into, for a function of that name."""
    found = fhe.DebugArtifacts()
    found.module_artifacts.functions = {function: _NoArtifacts()}
    return found


def configuration(settings: CompilerSettings, keys_of: CircuitSpec | None = None) -> fhe.Configuration:
    """Return Concrete's settings: 128-bit security, compressed keys and inputs, nothing written where the process runs.

    Args:
        settings: Of Concrete.
        keys_of: A circuit whose key parameters to take.
    """
    restriction = None
    if keys_of is not None:
        specs = fhe.ClientSpecs.deserialize(keys_of.client_specs)
        restriction = specs.program_info.get_keyset_info().get_restriction()
    return fhe.Configuration(
        p_error=settings.p_error,
        multi_parameter_strategy=STRATEGIES[settings.grouping],
        security_level=SecurityLevel.SECURITY_128_BITS,
        compress_evaluation_keys=True,
        compress_input_ciphertexts=True,
        dump_artifacts_on_unexpected_failures=False,
        enable_unsafe_features=False,
        use_insecure_key_cache=False,
        keyset_restriction=restriction,
    )
