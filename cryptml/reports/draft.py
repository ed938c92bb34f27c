"""What a network will cost, before it is trained, as a table."""

from __future__ import annotations

from rich.table import Table

from cryptml.reports.table import plain_table
from cryptml.search.fitting import Draft


def draft_table(draft: Draft) -> Table:
    """Return the layers of an untrained network with the bits that tables read, their PBS and what all of it costs."""
    columns = [
        ("layer", "left"),
        ("kind", "left"),
        ("output", "right"),
        ("output bits", "right"),
        ("table bits", "right"),
        ("PBS", "right"),
    ]
    rows = [
        (
            row["name"],
            row["kind"],
            "x".join(map(str, row["shape"])),
            str(row["bits"]),
            str(row["lookup_bits"] or ""),
            str(row["bootstraps"] or ""),
        )
        for row in draft.rows()
    ]
    title = (
        f"Untrained, all layers on the server: {draft.bootstraps} PBS, about {draft.evaluate_ms / 1e3:.2f} s an evaluation, "
        f"evaluation keys of {draft.key_bytes / 1e6:.1f} MB, input {draft.input_bytes / 1e3:.1f} kB, answer "
        f"{draft.output_bytes / 1e3:.1f} kB"
    )
    return plain_table(title, columns, rows)
