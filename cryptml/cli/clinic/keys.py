"""``cryptml keys``: the client's key sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryptml.cli.console import Stages, note, out, print_json, say
from cryptml.cli.options.connection import ConnectionOptions
from cryptml.cli.options.credentials import (
    NEW_PASSPHRASE_VARIABLE,
    NewPassphraseFile,
    PassphraseFile,
    read_new_passphrase,
    read_passphrase,
)
from cryptml.cli.options.groups import with_option_groups
from cryptml.errors import SettingError
from cryptml.reports.table import bytes_text, plain_table

app = typer.Typer(help="Make, list, encrypt and delete this client's keys.", no_args_is_help=True)
Folder = Annotated[Path | None, typer.Option("--keys", help="Folder of the keys; the user's data folder by default.")]


@app.command("make")
@with_option_groups
def make(
    connection: ConnectionOptions,
) -> None:
    """Make the keys for a service's model where there are none, and upload their evaluation half."""
    with connection.connect(Stages()) as client:
        client.prepare()
        size = bytes_text(client.evaluation_key_bytes)
        say(f"keys for {client.bundle.model} in {client.key_folder}; evaluation half ({size}) stored there")


@app.command("list")
def list_keys(keys: Folder = None, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List key sets; nothing secret is shown."""
    from cryptml_client import KeyStore

    stored = list(KeyStore(keys, notify=note).list())
    if json:
        print_json(
            [
                {
                    "key_set": entry.key_set,
                    "evaluation_keys": entry.evaluation_keys,
                    "encrypted": entry.encrypted,
                    "bytes": entry.size_bytes,
                }
                for entry in stored
            ]
        )
        return
    rows = [
        (
            entry.key_set[:16],
            entry.evaluation_keys[:16],
            "yes" if entry.encrypted else "no",
            bytes_text(entry.size_bytes),
        )
        for entry in stored
    ]
    columns = [("key set", "left"), ("evaluation keys", "left"), ("passphrase", "left"), ("size", "right")]
    out.print(plain_table(f"Key sets in {KeyStore(keys).folder}", columns, rows))


@app.command("delete")
def delete(
    key_set: Annotated[str, typer.Argument(help="The key set's name, or how it begins.")], keys: Folder = None
) -> None:
    """Delete a key set; new ones are made when they are next needed."""
    from cryptml_client import KeyStore

    KeyStore(keys, notify=note).delete(key_set)


@app.command("passphrase")
def passphrase(
    keys: Folder = None,
    passphrase_file: PassphraseFile = None,
    new_passphrase_file: NewPassphraseFile = None,
    remove: Annotated[bool, typer.Option("--remove", help="Leave the files in the clear from now on.")] = False,
) -> None:
    """Encrypt all key files under a new passphrase, those in the clear too, or remove theirs.

    None is changed where one does not open; a change that was interrupted is ended by the next one.
    """
    from cryptml_client import KeyStore

    new = read_new_passphrase(new_passphrase_file)
    if (new is None) != remove:
        raise SettingError(
            f"give either a new passphrase (--new-passphrase-file, or {NEW_PASSPHRASE_VARIABLE}) or --remove"
        )
    store = KeyStore(keys, read_passphrase(passphrase_file), notify=note)
    changed = store.change_passphrase(new)
    state = "lie in the clear now" if new is None else "are encrypted under the new passphrase"
    say(
        f"all keys in {store.folder} {state}; {changed} files were written anew, and the blocks of the old ones may remain on the disk "
        "until it reuses them"
    )
