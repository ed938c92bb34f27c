"""``cryptml datasets``: what can be trained on, and what a data set consists of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from cryptml.cli.console import note, out, print_json, say
from cryptml.cli.options.data import DataOptions
from cryptml.cli.options.groups import with_option_groups
from cryptml.cli.output_files import check_new_file, write_private
from cryptml.cli.verbs import create_group
from cryptml.datasets import describe_datasets
from cryptml.datasets.description import DataDescription
from cryptml.reports.table import plain_table

app = create_group("List the data sets and how to write them; describe one.", without_command=True)

SIDE = 32
"""Of pictures where nobody says for which network: that of regions of mini-MIAS."""

MOST_SHOWN = 20
"""Duplicates that are written out for a person; a program gets all."""


@app.callback()
def datasets(context: typer.Context, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the data sets and how to write them; describe one."""
    if context.invoked_subcommand is None:
        _list(json=json)


@app.command("list")
def list_datasets(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the data sets and how to write them."""
    _list(json=json)


@app.command("describe")
@with_option_groups
def describe(
    dataset: Annotated[str, typer.Argument(help="Such as folder:PATH; see cryptml datasets.")],
    options: DataOptions,
    side: Annotated[
        int, typer.Option(help="Rows and columns of the reduced pictures: what the network will read.")
    ] = SIDE,
    contact_sheet: Annotated[Path | None, typer.Option(help="New PNG file that shows pictures of each class.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing contact sheet.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count pictures and patients by class and subset; tell sizes and pictures that come twice; draw a contact sheet."""
    if contact_sheet is not None:
        check_new_file(contact_sheet, "--contact-sheet", "PNG", force=force)
    data = options.load(dataset, side)
    found = DataDescription.of(data)
    if contact_sheet is not None:
        from cryptml.reports.contact_sheet import render_contact_sheet

        write_private(contact_sheet, render_contact_sheet(data))
    if json:
        print_json({**found.to_json(), "contact_sheet": None if contact_sheet is None else str(contact_sheet)})
        return
    _show(found)
    if contact_sheet is not None:
        say(f"contact sheet written to {contact_sheet}")


def _list(*, json: bool) -> None:
    rows = describe_datasets()
    if json:
        print_json([{"name": name, "form": form, "description": description} for name, form, description in rows])
        return
    table = plain_table("Data sets", [("name", "left"), ("written as", "left"), ("what it is", "left")], rows)
    table.columns[2].no_wrap = False
    out.print(table)


def _show(found: DataDescription) -> None:
    """Print a description as tables."""
    positive = found.positive or "none; choose one with cryptml train --positive"
    say(
        f"{found.name}: {found.size_words}; positive class: {positive}; augmentation by default: {found.augmentation}\n"
    )
    rows = [_row("pictures", subset, counts) for subset, counts in found.counts.items()]
    rows.append(_row("pictures", "all", _sums(found.counts)))
    if found.patient_counts is not None:
        rows += [_row("patients with such", subset, counts) for subset, counts in found.patient_counts.items()]
        rows.append(_row("patients with such", "all", _sums(found.patient_counts)))
    columns = [("count", "left"), ("subset", "left"), *((name, "right") for name in found.classes)]
    out.print(plain_table("By class and subset", columns, rows))
    if found.views:
        views = [(view, *map(str, counts)) for view, counts in found.views.items()]
        out.print(plain_table("By view", [("view", "left"), *((name, "right") for name in found.classes)], views))
    if found.sizes:
        sizes = [(f"{columns} x {rows}", str(count)) for (columns, rows), count in found.sizes.items()]
        sizes += [("others", str(found.other_sizes))] if found.other_sizes else []
        if found.shorter is not None and len(found.sizes) > 1:
            say(f"shorter sides of originals: {found.shorter[0]} to {found.shorter[1]} pixels\n")
        out.print(plain_table("Originals", [("columns x rows", "right"), ("pictures", "right")], sizes))
    for words in found.doubtful:
        note(words)
    for words in found.duplicates[:MOST_SHOWN]:
        note(f"the same picture: {words}")
    if len(found.duplicates) > MOST_SHOWN:
        note(f"and {len(found.duplicates) - MOST_SHOWN} more pictures that come twice; --json has all")


def _row(what: str, subset: str, counts: Sequence[int]) -> tuple[str, ...]:
    total = max(1, sum(counts))
    return (what, subset, *(f"{count} ({count / total:.0%})" for count in counts))


def _sums(counts: Mapping[str, Sequence[int]]) -> list[int]:
    return [sum(column) for column in zip(*counts.values(), strict=True)]
