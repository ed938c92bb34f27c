"""Tables on narrow terminals: no name is lost."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from cryptml.reports.table import plain_table

HEADINGS = ("tenant", "since", "state", "evaluations today", "at once", "keys", "key bytes", "queries of a segment")
ROW = (
    "radiology-of-the-university-hospital",
    "2026-11-29 17:01",
    "active",
    "1,204 of 100,000",
    "4",
    "3 of 8",
    "57.1 MB of 20.0 GB",
    "no bound",
)


def shown(width: int, rows: int = 2) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(plain_table("Tenants", [(each, "left") for each in HEADINGS], [ROW] * rows))
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_every_cell_is_whole(width: int) -> None:
    text = shown(width)
    assert all(cell in text for cell in ROW)
    assert all(len(line) <= width for line in text.splitlines())
    assert "…" not in text
    assert text.startswith("Tenants")


def test_a_wide_terminal_has_a_table() -> None:
    assert " ".join(HEADINGS) == " ".join(shown(200).splitlines()[2].split())


def test_many_rows_stay_a_table() -> None:
    assert len(shown(60, rows=40).splitlines()) < 50


def test_cells_keep_their_colours() -> None:
    console = Console(file=io.StringIO(), width=20, force_terminal=True, color_system="standard")
    console.print(plain_table("T", [("a", "left"), ("b", "left")], [("x" * 15, Text("y" * 15, "red"))]))
    assert "\x1b[31m" in console.file.getvalue()  # type: ignore[attr-defined]
