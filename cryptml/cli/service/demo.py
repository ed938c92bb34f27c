"""``cryptml demo``: a real mammogram answered end to end, service and client in processes of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptml.cli.console import Stages, out, say
from cryptml.errors import CryptmlError
from cryptml.reports.table import bytes_text, milliseconds_text, network_table, plain_table, split_text

if TYPE_CHECKING:
    from cryptml.verification.demonstration import Demonstration


def demo(
    network: Annotated[str, typer.Option(help="Shipped network or folder.")] = "reference",
    split: Annotated[str | None, typer.Option(help="C or S for each layer.")] = None,
    image: Annotated[
        Path | None, typer.Option(help="A mammogram of your own instead of the one that comes along.")
    ] = None,
) -> None:
    """Start a service, ask it about a real mammogram that it never sees, compare with the clear answer, stop everything."""
    from cryptml.verification.demonstration import DemonstrationRequest, demonstrate

    found = demonstrate(DemonstrationRequest(network, split, image), Stages())
    out.print(network_table(found.network, found.split))
    out.print("Split ", split_text(found.split), "  (C: client, in the clear; S: server, encrypted)\n", sep="")
    _print_sizes_and_times(found)
    result = found.prediction.to_json()
    say(f"{found.file.name}, region {found.region}: {result['label']} with probability {result['probability']:.3f}")
    if result["positive"] is not None:
        say(f"probability of {result['positive']}, the positive class: {result['positive_probability']:.3f}")
    say(f"logits, decrypted: {result['logits']}")
    if not found.matches_clear():
        raise CryptmlError("the decrypted answer differs from the answer in the clear; please report this")
    if found.approximate:
        out.print("the answer in the clear, up to what rounding may change: [bold green]yes[/]")
    else:
        out.print("equal to the answer in the clear: [bold green]yes[/]")
    out.print("Research use only, not a medical device.", style="dim")


def _print_sizes_and_times(found: Demonstration) -> None:
    prediction = found.prediction
    sizes = [
        ("client bundle", bytes_text(found.bundle_bytes)),
        ("evaluation keys (once)", bytes_text(found.key_bytes)),
        ("ciphertext up", bytes_text(prediction.upload_bytes)),
        ("ciphertext down", bytes_text(prediction.download_bytes)),
    ]
    out.print(plain_table("Sizes", [("what", "left"), ("size", "right")], sizes))
    times = [("keys made and uploaded (once)", milliseconds_text(found.prepared_ms))]
    stages = prediction.to_json()["timings_ms"]
    times += [(stage.replace("_", " "), milliseconds_text(value)) for stage, value in stages.items()]
    times.append(("answer, all stages", milliseconds_text(prediction.answer.timings.total)))
    out.print(plain_table("Times", [("stage", "left"), ("time", "right")], times))
