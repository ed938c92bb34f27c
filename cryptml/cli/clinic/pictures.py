"""``cryptml pictures``: what files and studies hold, before anything is asked about them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryptml.cli.console import ConsoleListener, out, print_json, say
from cryptml.images.study import StudyPicture, study_pictures
from cryptml.reports.table import plain_table


def pictures(
    path: Annotated[Path, typer.Argument(help="A picture, a folder of a study, or a DICOMDIR.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the pictures of a study by side and view, with their frames, and say which cannot be read; exit 1 if one cannot."""
    found = study_pictures(path, ConsoleListener(), decode=True)
    if json:
        print_json([_to_json(each) for each in found])
    else:
        columns = [("file", "left"), ("side", "left"), ("view", "left"), ("frames", "right"), ("size", "right")]
        rows = [_row(each) for each in found if each.problem is None]
        if rows:
            out.print(plain_table(f"Pictures of {path}", [*columns, ("encoded as", "left")], rows))
        for each in found:
            if each.problem is not None:
                say(f"{each.name}: {each.problem}", "yellow")
    if any(each.problem is not None for each in found):
        raise typer.Exit(1)


def _row(found: StudyPicture) -> tuple[str, ...]:
    shown = found.description
    if shown is None:
        return (found.name, "", "", "", "", "")
    size = f"{shown.columns} x {shown.rows}"
    return (found.name, shown.laterality or "-", shown.view or "-", str(shown.frames), size, shown.source)


def _to_json(found: StudyPicture) -> dict[str, object]:
    shown = found.description
    return {
        "file": str(found.file),
        "name": found.name,
        "laterality": shown and shown.laterality,
        "view": shown and shown.view,
        "frames": shown and shown.frames,
        "columns": shown and shown.columns,
        "rows": shown and shown.rows,
        "source": shown and shown.source,
        "problem": found.problem,
    }
