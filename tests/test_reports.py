"""The listing of all splits, and tables that fit a terminal of 80 columns."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from cryptml.networks import Network, Standardisation
from cryptml.networks.architectures import tiny as architecture
from cryptml.networks.conversion import convert
from cryptml.profiler.plan.listing import describe_layers, describe_split, list_splits
from cryptml.reports.table import (
    bytes_text,
    milliseconds_text,
    network_table,
    plain_table,
    split_text,
    splits_table,
)
from cryptml.splits import Split, enumerate_splits

LAYERS = ["conv1", "act1", "conv2", "act2", "linear"]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    module = architecture.build().eval()
    return convert(module, name="tiny", front_end=Standardisation(8), classes=("benign", "malignant"))


def printed(table: Table, width: int = 80) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(table)
    text = console.export_text()
    return [line.rstrip() for line in text.splitlines()]


def test_the_listing_has_every_split_once(network: Network) -> None:
    listing = json.loads(json.dumps(list_splits(network)))
    assert set(listing) == {"network", "layers", "splits"}
    assert listing["network"] == "tiny"
    assert [entry["split"] for entry in listing["splits"]] == [str(split) for split in enumerate_splits(5)]
    assert len(listing["splits"]) == 2**5
    for entry in listing["splits"]:
        assert set(entry) == {"split", "segments"}
        rebuilt = "".join(part["side"][0].upper() * (part["stop"] - part["start"]) for part in entry["segments"])
        assert rebuilt == entry["split"]
        assert [part["start"] for part in entry["segments"]] == [0, *(part["stop"] for part in entry["segments"][:-1])]
        assert all(set(part) == {"side", "start", "stop"} for part in entry["segments"])


def test_the_listing_describes_the_layers(network: Network) -> None:
    rows = describe_layers(network)
    assert [row["name"] for row in rows] == LAYERS
    assert [row["shape"] for row in rows] == [[2, 4, 4], [2, 4, 4], [4, 2, 2], [4, 2, 2], [2]]
    assert [row["bootstraps"] for row in rows] == [0, 32, 0, 16, 0]
    assert [row["parameters"] for row in rows] == [layer.parameters for layer in network.layers]
    assert [row["bits"] for row in rows] == [boundary.bits for boundary in network.boundaries[1:]]
    assert [row["lookup_bits"] for row in rows][1::2] == [network.boundaries[1].bits, network.boundaries[3].bits]
    assert sum(row["parameters"] for row in rows) == network.parameters


def test_one_split_is_described_by_its_segments() -> None:
    assert describe_split(Split("CSSC")) == {
        "split": "CSSC",
        "segments": [
            {"side": "client", "start": 0, "stop": 1},
            {"side": "server", "start": 1, "stop": 3},
            {"side": "client", "start": 3, "stop": 4},
        ],
    }


def test_all_splits_fit_80_columns_a_line_each(network: Network) -> None:
    lines = printed(splits_table(list_splits(network)))
    assert lines == printed(splits_table(list_splits(network)), width=300)
    assert "…" not in "\n".join(lines)
    assert "32 splits of network tiny" in lines[0]
    rows = {line.split()[0]: line for line in lines if line.strip() and set(line.split()[0]) <= {"C", "S"}}
    assert len(rows) == 32
    assert "conv1 | act1..act2 | linear" in rows["CSSSC"]
    assert "conv1..linear" in rows["SSSSS"]
    assert [rows[split].split()[-1] for split in ("CCCCC", "CSSSC", "SCSCS")] == ["0", "1", "3"]


@pytest.mark.parametrize("split", ["CCCCC", "CSSSC", "SSSSS"])
def test_the_network_fits_80_columns_a_line_a_layer(network: Network, split: str) -> None:
    lines = printed(network_table(network, Split(split)))
    assert lines == printed(network_table(network, Split(split)), width=300)
    assert "…" not in "\n".join(lines)
    for name, side, layer in zip(LAYERS, Split(split).sides, describe_layers(network), strict=True):
        (line,) = [line for line in lines if line.strip().startswith(name)]
        assert line.endswith(side.name.lower())
        assert "x".join(map(str, layer["shape"])) in line
        assert (" - " in line) == (layer["bootstraps"] == 0)


def test_a_split_of_another_length_has_no_table(network: Network) -> None:
    with pytest.raises(ValueError, match="zip"):
        network_table(network, Split("CS"))


def test_columns_are_justified_as_asked() -> None:
    lines = printed(plain_table("Title", [("name", "left"), ("count", "right")], [("a", "1"), ("longer", "12345678")]))
    assert lines[0] == "Title"
    (row,) = [line for line in lines if line.split() == ["a", "1"]]
    assert row.strip().startswith("a ")
    assert row.endswith("       1")


def test_sides_have_their_colours() -> None:
    text = split_text(Split("CS"))
    assert text.plain == "CS"
    assert [str(span.style) for span in text.spans] == ["bold cyan", "bold magenta"]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.6e6, "1 GB"),
        (1000, "1 kB"),
        (1536, "1.54 kB"),
        (72_425_472, "72.4 MB"),
        (2.5e9, "2.5 GB"),
        (3e12, "3 TB"),
        (4.2e16, "4.2e+04 TB"),
    ],
)
def test_byte_counts_have_three_digits_and_a_unit(count: float, text: str) -> None:
    assert bytes_text(count) == text


@given(st.integers(0, 10**15))
def test_byte_counts_are_readable_back_to_one_percent(count: int) -> None:
    number, unit = bytes_text(count).split()
    assert float(number) * 1000 ** ["B", "kB", "MB", "GB", "TB"].index(unit) == pytest.approx(count, rel=0.01)


@pytest.mark.parametrize(("value", "text"), [(0, "0.0 ms"), (12.34, "12.3 ms"), (999.9, "999.9 ms"), (1500, "1.50 s")])
def test_durations_have_a_fitting_unit(value: float, text: str) -> None:
    assert milliseconds_text(value) == text
