"""``split-profiler plan``: what a deployment needs for so many clinics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryptml.cli.console import ConsoleListener, out, print_json, say
from cryptml.cli.options.link import Bandwidth, RoundTrip
from cryptml.errors import SettingError
from cryptml.reports.capacity import capacity_table, capacity_words


def plan(
    report: Annotated[Path, typer.Argument(help="A report of split-profiler run, of a machine like those to be used.")],
    clinics: Annotated[int, typer.Option(help="How many ask, each with keys of its own.")],
    pictures_a_day: Annotated[float, typer.Option(help="Of each clinic.")],
    p95: Annotated[float, typer.Option("--p95", metavar="SECONDS", help="Within which 95 of 100 answers are to come.")],
    split: Annotated[str | None, typer.Option(help="Letters; all layers on the server if not given.")] = None,
    hours: Annotated[float, typer.Option(help="Of a day in which they ask.")] = 8.0,
    peak: Annotated[float, typer.Option(help="Times the mean of these hours that the busiest hour has.")] = 2.0,
    beside: Annotated[
        str, typer.Option(metavar="CLINICS", help="Numbers of clinics to plan for too, with commas between.")
    ] = "1000",
    cached_keys: Annotated[
        int | None, typer.Option(help="Key sets in each worker's memory; as many as fit if not given.")
    ] = None,
    bandwidth_mbps: Bandwidth = None,
    rtt_ms: RoundTrip = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulation.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how many machines keep 95 of 100 answers within a time, and what memory, disk and wire they take.

    The busiest hour is simulated with the service's own queue: clinics ask independently, workers take the measured times, keys that are
    not in a worker's memory are read first.
    """
    from cryptml.verification.capacity import CapacityRequest, Demand, plan_capacity

    request = CapacityRequest(
        report,
        Demand(clinics, pictures_a_day, p95, hours, peak),
        split=split,
        beside=_numbers(beside),
        bandwidth_mbps=bandwidth_mbps,
        rtt_ms=rtt_ms,
        cached_keys=cached_keys,
        seed=seed,
    )
    document = plan_capacity(request, listener=ConsoleListener()).to_json()
    if json:
        print_json(document)
        return
    out.print(capacity_table(document))
    for words in capacity_words(document):
        say(words)


def _numbers(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and len(part) < 10 for part in parts):
        raise SettingError(f"--beside {text[:80]!r} is not whole numbers with commas between; write such as 100,1000")
    return tuple(map(int, parts))
