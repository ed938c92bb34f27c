"""``cryptml bundles``: the models that this client has accepted, and the digest of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptml.bundle.manifest import grouped
from cryptml.cli.console import out, print_json, say
from cryptml.cli.verbs import create_group
from cryptml.errors import SettingError, counted
from cryptml.reports.table import facts_table, plain_table

if TYPE_CHECKING:
    from cryptml_client import AcceptedBundles

app = create_group("List and forget accepted models; show a bundle's digest.")
Folder = Annotated[
    Path | None, typer.Option("--keys", help="Folder of the keys, beside which accepted models are listed.")
]


@app.command("list")
def list_accepted(
    keys: Folder = None, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """List the models that were accepted, by service."""
    entries = _accepted(keys).entries()
    if json:
        print_json([vars(each) for each in entries])
        return
    if not entries:
        say("no model was accepted yet; the first question to a service shows the digest of its model")
        return
    rows = [
        (each.service, each.model, each.how, each.accepted_at, grouped(each.digest[:32]) + " ...") for each in entries
    ]
    names = ("service", "model", "accepted", "at", "digest")
    out.print(plain_table("Accepted models", [(name, "left") for name in names], rows))


@app.command("forget")
def forget(
    service: Annotated[str, typer.Argument(help="Address of the service, as cryptml bundles list shows it.")],
    model: Annotated[str | None, typer.Option(help="Of its models; all if not given.")] = None,
    keys: Folder = None,
) -> None:
    """Forget what was accepted of a service: its model is then as new."""
    from cryptml_client.http.addresses import service_address

    count = _accepted(keys).forget(str(service_address(service)).rstrip("/"), model)
    if not count:
        raise SettingError(f"no model of {service} was accepted; cryptml bundles list shows them")
    say(f"{counted(count, 'accepted model')} of {service} forgotten")


@app.command("digest")
def digest(
    bundle: Annotated[Path, typer.Argument(help="Folder that cryptml build wrote.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the digest that clinics compare, of a bundle of one's own."""
    from cryptml_client.trust.pinning import describe_bundle

    from cryptml.bundle import ClientBundle
    from cryptml.errors import BundleError
    from cryptml.networks.path_kinds import BUNDLE, mistaken

    half = bundle / "client"
    if not half.is_dir():
        raise BundleError(
            mistaken(bundle, BUNDLE) or f"there is no bundle at {bundle}; name the folder that cryptml build wrote"
        )
    found = ClientBundle.load(half)
    if json:
        print_json({"model": found.model, "digest": found.digest})
        return
    out.print(facts_table("What clinics see", describe_bundle(found)))
    say(grouped(found.digest))


def _accepted(keys: Path | None) -> AcceptedBundles:
    from cryptml_client import AcceptedBundles
    from cryptml_client.keys.folder import default_folder
    from cryptml_client.trust.pinning import FILE

    return AcceptedBundles((keys if keys is not None else default_folder()) / FILE)
