"""``cryptml pretrain``: the deep front end's weights, from nothing but a seed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from cryptml.cli.console import bar, out, print_json, say
from cryptml.errors import SettingError

STEPS = 6000
"""Of the weights that the package has."""


def pretrain(
    out_file: Annotated[Path, typer.Option("--out", help="New safetensors file for the weights.")],
    steps: Annotated[int, typer.Option(min=10, max=1_000_000, help="Of 128 new scenes each.")] = STEPS,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of weights and scenes.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Pretrain a feature extractor on synthetic scenes, and say which of their properties the features tell.

    No data set is read. The package's own weights came of this command with the defaults; other weights are for a version of your own,
    whose networks and clients must all have them.
    """
    if out_file.exists() and not force:
        raise SettingError(f"{out_file} exists; choose another file or pass --force to replace it")
    import torch

    from cryptml.files import write_bytes
    from cryptml.networks.front_ends.deep import weights_digest
    from cryptml.reports.table import plain_table
    from cryptml.training import pretrain as learn

    torch.set_num_threads(1)  # small maps: more threads cost more than they give, and one is reproducible
    out_file.parent.mkdir(parents=True, exist_ok=True)
    with bar("learning to see", steps) as (progress, task):

        def report(step: int, _steps: int, loss: float, _auc: float | None) -> None:
            progress.update(task, completed=step, description=f"learning to see: loss {loss:.3f}")

        pretrained = learn(steps, seed, report)
    packed = pretrained.pack()
    write_bytes(out_file, packed)
    digest = hashlib.sha256(packed).hexdigest()
    same = digest == weights_digest()
    if json:
        print_json({"digest": digest, "as_in_the_package": same, "explained": pretrained.explained})
        return
    rows = [(name.replace("_", " "), f"{share:.0%}") for name, share in pretrained.explained.items()]
    out.print(plain_table("What the features tell of a scene", [("property", "left"), ("told", "right")], rows))
    say(f"weights {digest[:12]}..., {'those' if same else 'not those'} of the package, written to {out_file}")
