"""The client's half of a circuit: its keys, encryption, decryption. The secret key lives here and nowhere else.

Concrete is imported at the first keys, not with this module: it takes half a second, and much of what a client does needs none of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cryptml.errors import CiphertextError, CircuitError, KeySetError
from cryptml.fhe.circuit_spec import CircuitSpec
from cryptml.fhe.framing import is_whole
from cryptml.fhe.parameters import OVERHEAD_BYTES
from cryptml.networks.extent import IntArray

if TYPE_CHECKING:
    from cryptml.fhe.concrete import fhe


@dataclass(frozen=True)
class KeySet:
    """The keys of one client for one circuit, or for several that share them.

    Attributes:
        name: `CircuitSpec.key_set` of the circuits that they were made for.
        keys: Concrete's key set, secret keys included.
        noted_digest: `digest`, where it is known from when they were made; compared when the evaluation keys are serialised.
    """

    name: str
    keys: fhe.Keys
    noted_digest: str | None = None

    @staticmethod
    def generate(spec: CircuitSpec) -> KeySet:
        """Make fresh keys; seconds to minutes, from the operating system's randomness.

        Native code makes them, and signals wait for its end: `cryptml_client.keys.making` makes them in a process of its own.

        Raises:
            CircuitError: If the circuit's specification is not one that an honest build makes.
        """
        return KeySet.generate_native(spec.key_set, spec.parameters.native)

    @staticmethod
    def generate_native(name: str, native: bytes) -> KeySet:
        """Make fresh keys as `generate`, for `CircuitParameters.native` of a circuit that was checked.

        Raises:
            CircuitError: If that is not one of Concrete's specifications.
        """
        client = _native_client(native, f"key set {name[:8]}")
        client.keygen(force=True)
        return KeySet(name, client.keys)

    @staticmethod
    def deserialise(spec: CircuitSpec, data: bytes, noted_digest: str | None = None) -> KeySet:
        """Read what `serialise` wrote.

        Args:
            spec: Of the circuit.
            data: The keys.
            noted_digest: Their `digest`, from whoever wrote them, which spares to serialise them once more for it.

        Raises:
            KeySetError: If it cannot be read.
        """
        from cryptml.fhe.concrete import fhe

        try:
            return KeySet(spec.key_set, fhe.Keys.deserialize(data), noted_digest)
        except (RuntimeError, ValueError) as error:
            raise KeySetError("the key file's content is malformed; delete it to make new keys") from error

    def serialise(self) -> bytes:
        """Return all keys, secret ones included, unprotected: for the key store alone."""
        return bytes(self.keys.serialize())

    @cached_property
    def evaluation_keys(self) -> bytes:
        """The serialised evaluation keys, which the server gets: they compute, they do not decrypt.

        Raises:
            KeySetError: If they are others than were noted.
        """
        serialised = self._serialise_evaluation_keys()
        if self.noted_digest is not None and hashlib.sha256(serialised).hexdigest() != self.noted_digest:
            raise KeySetError(
                "the key file was altered: it holds other evaluation keys than it says; delete it to make new keys"
            )
        return serialised

    @cached_property
    def digest(self) -> str:
        """SHA-256 of `evaluation_keys` in hexadecimal: the key set's name on the server.

        Hundreds of megabytes are serialised for it and dropped again, so that they need not stand beside `serialise`.
        """
        if self.noted_digest is not None:
            return self.noted_digest
        return hashlib.sha256(self.__dict__.get("evaluation_keys") or self._serialise_evaluation_keys()).hexdigest()

    def _serialise_evaluation_keys(self) -> bytes:
        return bytes(self.keys.evaluation.serialize())


class ClientCircuit:
    """Encrypts inputs and decrypts outputs of one server segment.

    Args:
        spec: The circuit.
        keys: Made for it.

    Raises:
        CircuitError: On a specification that no honest build makes.
        KeySetError: If the keys belong to another circuit.
    """

    def __init__(self, spec: CircuitSpec, keys: KeySet) -> None:
        if keys.name != spec.key_set:
            raise KeySetError(f"the keys were made for another circuit than segment {spec.segment}; make new ones")
        self.spec = spec
        self._client = _native_client(spec.parameters.native, f"segment {spec.segment}")
        self._client.keys = keys.keys

    def takes(self, values: IntArray) -> bool:
        """Return whether (1, *reads.shape) integers are in the range that the circuit takes; `encrypt` takes the nearest otherwise."""
        low, high = self.spec.parameters.input_encoding.bounds
        encoded = self.spec.codec.encode(values)
        return bool(low <= encoded.min() and encoded.max() <= high)

    def encrypt(self, values: IntArray) -> bytes:
        """Return the serialised ciphertext of (1, *reads.shape) integers.

        Those that the circuit does not take are put to the end of its range, so that something is sent whatever they are; see `takes`.

        Raises:
            CircuitError: If they break the boundary.
        """
        violation = self.spec.reads.describe_violation(values)
        if violation or len(values) != 1:
            raise CircuitError(
                f"input of segment {self.spec.segment} has {violation or f'batch {len(values)}'}; give one input"
            )
        encoded = self.spec.codec.encode(values).clip(*self.spec.parameters.input_encoding.bounds)
        try:
            ciphertext = bytes(self._client.encrypt(encoded).serialize())
        except (RuntimeError, ValueError, TypeError) as error:
            raise CircuitError(
                f"the client specification of segment {self.spec.segment} does not take what its manifest says; build the bundle again"
            ) from error
        least = self.spec.parameters.input_bytes
        if not least <= len(ciphertext) <= least + OVERHEAD_BYTES:
            raise CircuitError(
                f"an encrypted input of segment {self.spec.segment} has {len(ciphertext)} bytes, expected {least}; nothing was "
                "sent, and this service's parameters are not to be trusted"
            )
        return ciphertext

    def decrypt(self, ciphertext: bytes) -> IntArray:
        """Return the (1, *writes.shape) integers of a serialised answer.

        Raises:
            CiphertextError: If it is not a ciphertext of this circuit's output.
            CircuitError: If what it decrypts to cannot come from this segment.
        """
        from cryptml.fhe.concrete import fhe

        if not is_whole(ciphertext):
            raise CiphertextError(
                f"the answer of segment {self.spec.segment} is cut off; ask again, or another service"
            )
        try:
            decrypted = self._client.decrypt(fhe.Value.deserialize(ciphertext))
        except (RuntimeError, ValueError, TypeError) as error:
            raise CiphertextError(
                f"the answer of segment {self.spec.segment} is not a ciphertext of it; ask again, or another service"
            ) from error
        return self.spec.check_answer(self.spec.codec.decode(decrypted))


def _native_client(native: bytes, what: str) -> fhe.Client:
    """Return Concrete's client for what was checked of a specification, written anew, never for the bytes that a service sent."""
    from cryptml.fhe.concrete import fhe

    try:
        return fhe.Client(fhe.ClientSpecs.deserialize(native))
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise CircuitError(
            f"the client specification of {what} is not one of Concrete's; build the bundle again"
        ) from error
