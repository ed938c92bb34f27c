"""The answers of a run as a table, CSV: one row a picture, the same columns for every run of a network."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cryptml.errors import printable

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would evaluate: a file's name may, and is put behind an apostrophe then."""


def answers_csv(documents: Iterable[Mapping[str, Any]], classes: Sequence[str], *, compared: bool) -> bytes:
    """Return a table of answers, UTF-8 with a heading.

    Args:
        documents: As `cryptml_client.asking.PictureAnswer.to_json` gives them, in the order of the rows.
        classes: Of the network: a column of probabilities for each.
        compared: Whether answers were compared with those in the clear, which adds the column ``matches_clear``.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    chances = [_cell(f"probability_{name}") for name in classes]
    head = ["file", "frame", "label", "positive_class", "positive_probability", *chances, "source", "split"]
    writer.writerow([*head, *(["matches_clear"] if compared else []), "error"])
    for each in documents:
        probabilities = each.get("probabilities") or {}
        row = [
            _cell(each["image"]),
            _cell(each["frame"]),
            *(_cell(each.get(name)) for name in ("label", "positive", "positive_probability")),
            *(_cell(probabilities.get(name)) for name in classes),
            *(_cell(each.get(name)) for name in ("source", "split")),
        ]
        writer.writerow([*row, *([_cell(each.get("matches_clear"))] if compared else []), _cell(each.get("error"))])
    return text.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: Any) -> str:
    """Return a value as a cell shows it: nothing for None, and no text that a spreadsheet would evaluate."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return str(value)
    text = printable(str(value))
    return f"'{text}" if str(value).startswith(FORMULAS) or text.startswith(FORMULAS) else text
