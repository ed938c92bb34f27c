"""Compiling where the system has no linker, and below folders whose names hold spaces."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from cryptml.errors import CircuitError
from cryptml.fhe.backends import toolchain
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.concrete import server_module
from cryptml.fhe.settings import DEFAULT_COMPILER_SETTINGS
from cryptml.networks import Boundary, Network, Standardisation
from cryptml.networks.conversion.grid import to_boundary
from cryptml.networks.layers import Activation, Linear
from cryptml.splits import Segment

pytestmark = pytest.mark.encrypted


@pytest.fixture
def bare_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH that holds nothing."""
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


@pytest.mark.usefixtures("bare_path")
def test_compiles_without_a_system_linker(tiny: Network) -> None:
    before = os.environ["PATH"]
    compiled = compile_integer_program(tiny, Segment(4, 5), DEFAULT_COMPILER_SETTINGS)
    compiled.discard()
    assert os.environ["PATH"] == before


@pytest.mark.usefixtures("bare_path")
def test_says_what_is_missing(tiny: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CircuitError, match="compiling needs ld and ar"):
        compile_integer_program(tiny, Segment(4, 5), DEFAULT_COMPILER_SETTINGS)


def test_compiles_with_a_temporary_folder_that_holds_a_space(
    tiny: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    compiled = compile_integer_program(tiny, Segment(4, 5), DEFAULT_COMPILER_SETTINGS)
    compiled.move_to(tmp_path / "circuit here")
    assert tempfile.gettempdir() == str(folder)
    assert (tmp_path / "circuit here" / "sharedlib.so").is_file()


def test_refuses_when_no_plain_folder_is_left(tiny: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "with space"))
    monkeypatch.setattr(toolchain, "PLAIN_FOLDER", str(tmp_path / "missing"))
    with pytest.raises(CircuitError, match="set TMPDIR to another"):
        compile_integer_program(tiny, Segment(4, 5), DEFAULT_COMPILER_SETTINGS)


def test_a_segment_that_cannot_compile_says_so() -> None:
    """Sixteen bits are the widest table that the network may ask for; no secure parameters look it up at 2^-40."""
    first = Boundary((1, 8, 8), -2, 1, (1.0,))
    wide = Linear("wide", np.full((2, 64), 341), np.full(2, 2 * 341 * 64))
    table = Activation("table", np.arange(65_473)[None] % 4)
    last = Linear("last", np.eye(2, dtype=np.int64), np.zeros(2, np.int64))
    boundaries = [first]
    for layer in (wide, table, last):
        boundaries.append(to_boundary(layer, boundaries[-1], np.ones(1), np.zeros(1, np.int64)))
    network = Network("wide", Standardisation(8), (wide, table, last), tuple(boundaries), ("no", "yes"))
    with pytest.raises(CircuitError, match=r"segment 0-3 of network 'wide' does not compile at p_error 9\.09"):
        compile_integer_program(network, Segment(0, 3), DEFAULT_COMPILER_SETTINGS)


def test_the_runtime_library_is_quoted_only_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "lookup_runtime_lib", lambda: "/a folder/lib (1).so")
    with toolchain.linkable():
        assert server_module.lookup_runtime_lib() == r"/a\ folder/lib\ \(1\).so"
    assert server_module.lookup_runtime_lib() == "/a folder/lib (1).so"
