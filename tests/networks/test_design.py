"""A design is a network in numbers: what it says of itself is so, and its file is all that it takes to build it again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cryptml.errors import NetworkError
from cryptml.networks import Scattering, Standardisation
from cryptml.networks.architectures.design import TABLES, ConvolutionDesign, Design
from cryptml.networks.architectures.registry import load_architecture
from cryptml.networks.architectures.wavelets import LEAST_SIDE
from cryptml.networks.conversion import convert
from cryptml.splits import Segment

PICTURES = Standardisation(12)
DESIGN = Design(
    front_end=PICTURES,
    pool=2,
    convolutions=(ConvolutionDesign(3, 3, 2),),
    hidden=4,
    votes=True,
    table="modulus",
    wavelets=False,
    input_bits=4,
    weight_bits=4,
    activation_bits=2,
    rounded_bits=3,
    kept=0.5,
)

CONVOLUTIONS = st.builds(ConvolutionDesign, st.integers(1, 4), st.integers(1, 5), st.integers(1, 3))
DESIGNS = st.fixed_dictionaries(
    {
        "pool": st.sampled_from([1, 2]),
        "convolutions": st.lists(CONVOLUTIONS, max_size=2).map(tuple),
        "hidden": st.sampled_from([0, 2, 5]),
        "table": st.sampled_from(TABLES),
        "wavelets": st.booleans(),
        "input_bits": st.integers(2, 5),
        "weight_bits": st.integers(2, 6),
        "activation_bits": st.integers(1, 3),
        "rounded_bits": st.integers(2, 4),
        "kept": st.sampled_from([0.1, 0.5, 1.0]),
    }
)


@settings(max_examples=25, deadline=None)
@given(DESIGNS, st.booleans())
def test_every_design_is_a_network_of_as_many_bootstraps_as_it_says(numbers: dict[str, object], votes: bool) -> None:
    begins = next((each.kernel for each in numbers["convolutions"]), 0)  # type: ignore[attr-defined]
    numbers = {**numbers, "wavelets": numbers["wavelets"] and begins >= LEAST_SIDE}
    try:
        design = Design(front_end=PICTURES, votes=votes and bool(numbers["hidden"]), **numbers)  # type: ignore[arg-type]
    except NetworkError as error:
        assume("shrink" not in str(error))
        raise
    module = design.build(2).train()
    module(torch.randn(16, *PICTURES.shape))
    network = convert(module.eval(), name="design", front_end=PICTURES, classes=("a", "b"))
    assert network.bootstraps(Segment(0, len(network))) == design.bootstraps


def test_a_file_holds_all_of_a_design_and_trains_like_any_architecture(tmp_path: Path) -> None:
    for name, design in (
        ("pictures", DESIGN),
        ("features", replace(DESIGN, front_end=Scattering(16, 2, 4), pool=1, convolutions=(), table="triangle")),
        ("wavelets", replace(DESIGN, pool=1, convolutions=(ConvolutionDesign(5, 6, 3),), wavelets=True)),
    ):
        file = tmp_path / f"{name}.json"
        design.save(file)
        assert Design.load(file) == design
        architecture = load_architecture(str(file))
        assert (architecture.front_end, architecture.side) == (design.front_end, design.front_end.side)
        assert [*dict(architecture.build(2).named_children())] == [*dict(design.build(2).named_children())]


def test_pruning_leaves_the_share_that_it_names() -> None:
    module = DESIGN.build(2)
    for name, taps in (("conv1", 4), ("linear2", 6)):
        kept = (module.get_submodule(name).weight != 0).flatten(1).sum(1)
        assert (kept == taps).all(), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"front_end": Scattering(16, 2, 4)}, "convolutions or pooling behind a front end that gives"),
        ({"hidden": 1}, "needs 2 hidden neurons and .hidden. is 1"),
        ({"convolutions": (ConvolutionDesign(2, 7, 1),)}, "shrink to 0 rows"),
        ({"wavelets": True}, "wavelets with a kernel of 3 behind"),
        ({"wavelets": True, "convolutions": ()}, "wavelets with a kernel of 0 behind"),
    ],
)
def test_what_describes_no_network_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        replace(DESIGN, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": -1}, "hidden"),
        ({"hidden": 2.0}, "hidden"),
        ({"kept": 0}, "kept"),
        ({"rounded_bits": 9}, "rounded_bits"),
        ({"front_end": {"kind": "code"}}, "front_end"),
        ({"more": 1}, "more"),
        ({"format_version": 2}, "format version 2"),
        ({"convolutions": [{"channels": 10**9, "kernel": 1, "stride": 1}]}, "channels"),
    ],
)
def test_malformed_files_are_refused_by_name(change: dict[str, object], message: str, tmp_path: Path) -> None:
    file = tmp_path / "design.json"
    DESIGN.save(file)
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(NetworkError, match=message):
        load_architecture(str(file))


def test_missing_and_huge_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"absent.json is missing"):
        load_architecture(str(tmp_path / "absent.json"))
    (tmp_path / "huge.json").write_bytes(b" " * (1 << 20))
    with pytest.raises(NetworkError, match="bytes, more than"):
        load_architecture(str(tmp_path / "huge.json"))
