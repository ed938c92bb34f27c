"""``split-profiler choose``: the fastest split that keeps the constraints, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryptml.cli.console import note, out, print_json, remark, say
from cryptml.cli.options.choosing import ConstraintOptions
from cryptml.cli.options.groups import with_option_groups
from cryptml.cli.options.link import Bandwidth, RoundTrip
from cryptml.exposure.statement import exposed_text
from cryptml.profiler.plan.choice import Choice, choosable
from cryptml.profiler.plan.choice import choose as choose_split
from cryptml.profiler.plan.report import link_of, load_report
from cryptml.reports.profile import WIDE, exclusion_table, profile_table


@with_option_groups
def choose(
    report: Annotated[Path, typer.Argument(help="A report of split-profiler run.")],
    options: ConstraintOptions,
    bandwidth_mbps: Bandwidth = None,
    rtt_ms: RoundTrip = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the fastest split that keeps every constraint, and why; exit 1 where none does, with the nearest miss."""
    constraints = options.constraints()
    document = load_report(report)
    link = link_of(document, bandwidth_mbps, rtt_ms)
    choice = choose_split(document, choosable(document, link, constraints), constraints)
    if json:
        print_json(choice.to_json())
    else:
        if choice.split is not None:
            out.print(profile_table(document, [choice.split], link, wide=out.width >= WIDE, title="Chosen"))
        out.print(exclusion_table(choice))
        explain(choice)
    if choice.split is None:
        raise typer.Exit(1)
    if not json and "S" in choice.split["split"]:
        remark(f"next: cryptml build NETWORK --report {report} --split {choice.split['split']} --out BUNDLE")


def explain(choice: Choice) -> None:
    """Say in words why a split was chosen, or what came nearest; what it exposes goes to stderr too."""
    for reason in choice.reasons:
        say(reason)
    if choice.exposed:
        note(exposed_text(choice.exposed))
    if choice.split is not None and "S" not in choice.split["split"]:
        note("nothing is encrypted with this split: clients hold the whole network, and no service is needed")
    if choice.split is None and choice.nearest is not None:
        say(f"no split keeps every constraint; the nearest miss is {choice.nearest['split']}:")
        for name, words in choice.excess.items():
            say(f"  {name}: {words}")
        if "keep-secret" in choice.excess:
            say("name the layers that clients may learn with --expose, or all of them with --expose all")
            say("or accept what takes QUERIES queries or more with --allow-recovery QUERIES")
