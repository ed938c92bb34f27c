"""What every back end gives: a compiled segment, and the settings that they share."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from concrete import fhe
from concrete.fhe.compilation.configuration import SecurityLevel

from cryptml.fhe.circuit import CircuitSpec
from cryptml.networks.network import Network
from cryptml.splits import Segment

SERVER_FILES = ("sharedlib.so", "program_info.concrete.params.json", "compilation_feedback.json")
"""What Concrete needs at run time to evaluate a circuit."""

Backend = Callable[[Network, Segment, float], "Compiled"]
"""Compiles a segment of a network for a p_error; raises `CircuitError` where it cannot, or not exactly."""


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


def configuration(p_error: float | None) -> fhe.Configuration:
    """Return Concrete's settings: 128-bit security, compressed keys and inputs, nothing written where the process runs.

    Concrete ML takes the p_error itself and wants None here.
    """
    return fhe.Configuration(
        p_error=p_error,
        security_level=SecurityLevel.SECURITY_128_BITS,
        compress_evaluation_keys=True,
        compress_input_ciphertexts=True,
        dump_artifacts_on_unexpected_failures=False,
        enable_unsafe_features=False,
        use_insecure_key_cache=False,
    )
