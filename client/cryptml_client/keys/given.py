"""The keys that a program names, by a folder or not at all, and their passphrase from the environment."""

from __future__ import annotations

import os
from pathlib import Path

from cryptml.errors import SettingError
from cryptml_client.keys.store import KeyStore

PASSPHRASE_VARIABLE = "CRYPTML_PASSPHRASE"  # noqa: S105 (a name)


def key_store(keys: KeyStore | Path | str | None) -> KeyStore:
    """Return the store of a folder, opened with the environment's passphrase; a store that is one already as it is.

    Raises:
        KeySetError: If the user has no folder, and none is given.
        SettingError: If the passphrase's variable is set, but empty.
    """
    if isinstance(keys, KeyStore):
        return keys
    return KeyStore(None if keys is None else Path(keys), passphrase_of_environment())


def passphrase_of_environment() -> str | None:
    """Return the keys' passphrase, None where none is set.

    Raises:
        SettingError: If the variable is set, but empty: keys would lie in the clear where somebody meant to encrypt them.
    """
    found = os.environ.get(PASSPHRASE_VARIABLE)
    if found == "":
        raise SettingError(f"the variable {PASSPHRASE_VARIABLE} is set, but empty; give it the passphrase, or unset it")
    return found
