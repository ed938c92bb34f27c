"""Tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from cryptml.errors import counted, printable
from cryptml.splits import Side, Split

if TYPE_CHECKING:
    from cryptml.networks.network import Network

STYLES = {Side.CLIENT: "bold cyan", Side.SERVER: "bold magenta"}
MOST_COLUMNS = 10_000
MOST_LINES = 120
"""That a table which is too wide may become."""

UNITS = ("B", "kB", "MB", "GB", "TB")


class _Whole(Table):
    """A table that loses nothing where it is too wide: as long as it has few rows, each becomes lines of heading and cell.

    Title and caption are as wide as the terminal, however narrow the table is.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render as a table where it fits, or where there are too many rows for anything else."""
        title, caption = self.title, self.caption
        self.title = self.caption = None
        try:
            yield Text(str(title or ""), "bold")
            yield from self._body(console, options)
            if caption:
                yield Text.assemble((str(caption), "dim"), "\n")
        finally:
            self.title, self.caption = title, caption

    def _body(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.update(max_width=MOST_COLUMNS)
        fits = self.__rich_measure__(console, wide).maximum <= options.max_width
        if (
            fits
            or not all(column.no_wrap for column in self.columns)
            or self.row_count * len(self.columns) > MOST_LINES
        ):
            yield from super().__rich_console__(console, options)
            return
        yield Text("")
        indent = max(len(str(column.header)) for column in self.columns[1:]) + 2 if len(self.columns) > 1 else 0
        for row in zip(*(list(column.cells) for column in self.columns), strict=True):
            yield Text.assemble(f"{self.columns[0].header} ", _as_text(row[0]))
            for column, cell in zip(self.columns[1:], row[1:], strict=True):
                yield Text.assemble(f"  {column.header!s:<{indent}}", _as_text(cell))
        yield Text("")


def _as_text(cell: object) -> Text:
    return cell if isinstance(cell, Text) else Text(str(cell))


def plain_table(title: str, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str | Text]]) -> Table:
    """Return a table; columns are (heading, ``left`` or ``right``); control characters in cells are dropped."""
    table = _Whole(
        title=Text(printable(title)),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for heading, justify in columns:
        table.add_column(heading, justify="right" if justify == "right" else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(printable(cell)) for cell in row))
    return table


def facts_table(title: str, facts: Sequence[tuple[str, str]]) -> Table:
    """Return names and what they are, a line or more each: long ones are wrapped; control characters are dropped."""
    table = plain_table(title, [("", "left"), ("", "left")], facts)
    table.show_header = False
    table.columns[1].no_wrap = False
    return table


def network_table(network: Network, split: Split) -> Table:
    """Return the layers with output shape, bits, parameters, bootstraps and side."""
    from cryptml.profiler.plan.listing import describe_layers  # here, because most tables need no network

    rows = [
        (
            row["name"],
            row["kind"],
            "x".join(map(str, row["shape"])),
            str(row["bits"]),
            f"{row['parameters']:,}",
            f"{row['bootstraps']:,}" if row["bootstraps"] else "-",
            Text(side.name.lower(), STYLES[side]),
        )
        for row, side in zip(describe_layers(network), split.sides, strict=True)
    ]
    columns = [
        ("layer", "left"),
        ("kind", "left"),
        ("output", "right"),
        ("bits", "right"),
        ("parameters", "right"),
        ("PBS", "right"),
        ("side", "left"),
    ]
    return plain_table(f"Network {network.name}", columns, rows)


def split_text(split: Split) -> Text:
    """Return a split's letters in the colours of their sides."""
    text = Text()
    for side in split.sides:
        text.append(side.value, STYLES[side])
    return text


def splits_table(listing: Mapping[str, Any]) -> Table:
    """Return all splits of `cryptml.profiler.plan.listing.list_splits` with their segments in words."""
    names = [layer["name"] for layer in listing["layers"]]
    rows = []
    for entry in listing["splits"]:
        parts = Text(" | ").join(
            Text(_span(names[segment["start"] : segment["stop"]]), STYLES[Side[segment["side"].upper()]])
            for segment in entry["segments"]
        )
        server = sum(segment["side"] == "server" for segment in entry["segments"])
        rows.append((split_text(Split(entry["split"])), parts, str(server)))
    columns = [("split", "left"), ("segments (cyan: client, magenta: server)", "left"), ("round trips", "right")]
    return plain_table(f"{counted(len(rows), 'split')} of network {listing['network']}", columns, rows)


def bytes_text(count: float) -> str:
    """Return a byte count with three digits and its unit (powers of 1000)."""
    for unit in UNITS[:-1]:
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} {UNITS[-1]}"


def milliseconds_text(value: float) -> str:
    """Return a duration with a fitting unit."""
    return f"{value / 1000:.2f} s" if value >= 1000 else f"{value:.1f} ms"


def duration_text(value: float) -> str:
    """Return milliseconds with the unit that leaves few digits, minutes and hours included."""
    if value < 1000:
        return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"
    if value < 60_000:
        return f"{value / 1000:.3g} s"
    return f"{value / 60_000:.1f} min" if value < 3_600_000 else f"{value / 3_600_000:.1f} h"


def _span(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]}..{names[-1]}"


def circuits_table(circuits: Iterable[Mapping[str, Any]]) -> Table:
    """Return what each circuit of a bundle costs, by its description in the manifest."""
    from cryptml.fhe.settings import power

    rows = [
        (
            f"{circuit['start']}-{circuit['stop']}",
            f"{circuit['bootstraps']:,}",
            str(circuit["lookup_bits"]),
            "rounded" if circuit["approximate"] else "equal",
            circuit["key_set"][:8],
            power(circuit["p_error"]),
            power(circuit["failure_probability"]),
            bytes_text(circuit["evaluation_key_bytes"]),
            bytes_text(circuit["input_bytes"]),
            bytes_text(circuit["output_bytes"]),
        )
        for circuit in circuits
    ]
    columns = [
        ("segment", "left"),
        ("PBS", "right"),
        ("bits", "right"),
        ("answer", "left"),
        ("key set", "left"),
        ("p_error", "right"),
        ("fails", "right"),
        ("keys", "right"),
        ("up", "right"),
        ("down", "right"),
    ]
    return plain_table("Server segments", columns, rows)
