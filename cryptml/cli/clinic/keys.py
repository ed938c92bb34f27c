"""``cryptml keys``: the client's key sets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from cryptml_client.keys.deleting import KeySetEntry, models_of, services_of

from cryptml.cli.console import Stages, note, out, print_json, say
from cryptml.cli.options.connection import ConnectionOptions, ReachOptions
from cryptml.cli.options.credentials import (
    NEW_PASSPHRASE_VARIABLE,
    NewPassphraseFile,
    PassphraseFile,
    read_new_passphrase,
    read_passphrase,
)
from cryptml.cli.options.groups import with_option_groups
from cryptml.cli.verbs import create_group
from cryptml.errors import SettingError
from cryptml.reports.table import bytes_text, plain_table

app = create_group("Make, list, encrypt and delete this client's keys.")
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
    from cryptml_client.keys.deleting import key_sets
    from cryptml_client.keys.store import KeyStore

    store = KeyStore(keys, notify=note)
    found = key_sets(store)
    if json:
        print_json(
            [
                {
                    "key_set": entry.key_set,
                    "evaluation_keys": entry.evaluation_keys,
                    "encrypted": entry.encrypted,
                    "bytes": entry.size_bytes,
                    "made": entry.made or None,
                    "uses": [
                        {
                            "service": use.service,
                            "model": use.model,
                            "since": use.since,
                            "evaluation_keys": use.evaluation_keys,
                        }
                        for use in entry.uses
                    ],
                }
                for entry in found
            ]
        )
        return
    if not found:
        say(f"no keys in {store.folder}; they are made when a service is asked for the first time")
        return
    rows = [
        (
            entry.key_set[:16],
            models_of(entry.uses) or "-",
            services_of(entry.uses) or "-",
            entry.made or "deleted here",
            "yes" if entry.encrypted else "no",
            bytes_text(entry.size_bytes) if entry.file is not None else "-",
        )
        for entry in found
    ]
    columns = ["key set", "model", "service", "made", "passphrase", "size"]
    aligned = [(name, "right" if name == "size" else "left") for name in columns]
    out.print(plain_table(f"Key sets in {store.folder}", aligned, rows))


@app.command("delete")
@with_option_groups
def delete(
    key_set: Annotated[str, typer.Argument(help="The key set's name, or its first 8 digits or more.")],
    reaching: ReachOptions,
    keys: Folder = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    here_only: Annotated[
        bool, typer.Option("--here-only", help="Leave the evaluation half where services have it.")
    ] = False,
) -> None:
    """Delete a key set here, and its evaluation half at the services that have it; new ones are made when they are next needed."""
    from cryptml_client.keys.deleting import delete_keys, key_set_named
    from cryptml_client.keys.store import KeyStore

    store = KeyStore(keys, notify=note)
    entry = key_set_named(store, key_set)
    _ask_before(entry, yes=yes, here_only=here_only)
    gone = delete_keys(store, entry, None if here_only else reaching.transport)
    there = f", and its evaluation half at {services_of(entry.uses)}" if gone else ""
    left = f"; its evaluation half stays at {services_of(entry.uses)}" if here_only and entry.uses else ""
    say(f"key set {entry.key_set[:16]} is deleted here{there}{left}")


def _ask_before(entry: KeySetEntry, *, yes: bool, here_only: bool) -> None:
    """Show what is deleted, and ask the person at the terminal.

    Raises:
        SettingError: If there is nobody to ask, and ``--yes`` was not given.
    """
    where = services_of(entry.uses) or "no service that is known here"
    there = "stays" if here_only else "is deleted too"
    note(
        f"key set {entry.key_set[:16]}: model {models_of(entry.uses) or 'unknown'}, made {entry.made or 'earlier, and deleted here'}, "
        f"{bytes_text(entry.size_bytes)}; its evaluation half at {where} {there}"
    )
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise SettingError("keys are deleted for good, and there is no terminal to ask at; pass --yes")
    if not typer.confirm("Delete it for good?", default=False, err=True):
        raise typer.Exit(1)


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
    from cryptml_client.keys.store import KeyStore

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
