"""The server's half of a circuit: evaluate ciphertexts with evaluation keys. Nothing here can decrypt.

Native faults abort the process, so this runs in a worker process, never in the web process.
"""

from __future__ import annotations

import ctypes
import signal
from pathlib import Path

from cryptml.errors import CiphertextError, CircuitError, KeySetError
from cryptml.fhe.concrete import Library, fhe
from cryptml.fhe.framing import is_whole

LIBRARY = "sharedlib.so"
"""File of a circuit's native code, as Concrete names it."""

_LIBC = ctypes.CDLL(None)


class ServerCircuit:
    """One compiled segment, loaded from its folder of a server bundle.

    Args:
        folder: Holds the files that `cryptml.fhe.backends.base.Compiled.move_to` wrote; their digests have been checked,
            because native code is loaded from them.

    Raises:
        CircuitError: If Concrete cannot load them.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._server = fhe.Server(Library(str(folder)), is_simulated=False, composition_rules=None)
            self._server.client_specs.serialize()
            self._code = ctypes.CDLL(str(folder / LIBRARY))  # Concrete itself would find out at the first evaluation
        except (RuntimeError, ValueError, OSError) as error:
            raise CircuitError(
                f"the circuit in {folder.name} does not load ({_first_line(error)}); build it again"
            ) from error

    def evaluate(self, ciphertext: bytes, keys: fhe.EvaluationKeys) -> bytes:
        """Evaluate the segment on one encrypted input.

        Args:
            ciphertext: A serialised Concrete value, of the size that the manifest states.
            keys: From `load_evaluation_keys`, made for this circuit.

        Returns:
            The serialised encrypted output.

        Raises:
            CiphertextError: If it is not a ciphertext for this circuit.
        """
        if not is_whole(ciphertext):
            raise CiphertextError("the ciphertext is not as long as it says; encrypt the input again")
        try:
            value = fhe.Value.deserialize(ciphertext)
        except (RuntimeError, ValueError) as error:
            raise CiphertextError("the ciphertext is malformed; encrypt the input again") from error
        try:
            result = self._server.run(value, evaluation_keys=keys)
        except (RuntimeError, ValueError, TypeError) as error:
            raise CiphertextError(
                f"the ciphertext does not fit this segment and these keys ({_first_line(error)}); encrypt for this segment"
            ) from error
        finally:
            _ignore_broken_pipes()
        return bytes(result.serialize())


def load_evaluation_keys(data: bytes) -> fhe.EvaluationKeys:
    """Deserialise evaluation keys; hundreds of megabytes in memory, so keep the object rather than do it twice.

    Raises:
        KeySetError: If they are malformed or truncated.
    """
    if not is_whole(data):
        raise KeySetError("the evaluation keys are not as long as they say; make and upload them again")
    try:
        return fhe.EvaluationKeys.deserialize(data)
    except (RuntimeError, ValueError) as error:
        raise KeySetError("the evaluation keys are malformed or truncated; make and upload them again") from error


def _ignore_broken_pipes() -> None:
    """Ignore the signal of a broken pipe, as Python does: from its first evaluation on Concrete's runtime (HPX) ends the process at it.

    Python's own function for it works in the main thread alone.
    """
    _LIBC.signal(int(signal.SIGPIPE), ctypes.c_void_p(signal.SIG_IGN))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
